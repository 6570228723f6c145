//! Finds the mean and the columns that reproduce a printed average.
//!
//! A [`Rule`] explains a column of averages. The search first looks for one rule for all rows: equal weights over some of the columns, for each
//! mean, or their sum. If none explains most rows, it looks for one set of weights. For equal weights it takes some rows, searches all subsets
//! of columns by meeting in the middle, fewest left out first, and tries the subsets found on all rows. Every rule states how many equally
//! simple rules would explain as many rows by accident.
//!
//! Averages are reported as not comparable only if one rule explains most rows, and others follow a different rule that is not likely to be an
//! accident. If no rule explains an average, it is reported as not explained, and no conclusion is drawn.

mod equal_columns;
mod explain;
mod explanation;
mod findings;
mod nnls;
mod options;
mod question;
mod reading;
mod search;
mod weights;

use crate::advice::Advice;
use crate::error::{Error, Result};
use crate::scores::put_in_group;
use crate::subsets::MOST;
use crate::table::Table;

pub use explanation::{Check, ClaimReport, Explained, Fit, Formula, Rule, Unexplained};
pub use options::Options;

use question::Question;
use reading::Reading;

/// Explains the averages of a table.
///
/// # Errors
///
/// [`Error::Refused`] if the table has no column of averages, or more columns than can be searched.
pub fn check(table: &Table, options: &Options) -> Result<Check> {
    check_options(table, options).map_err(|error| error.in_files(&table.sources))?;
    let readings = reading::readings(table);
    let explain = |claim: usize, readings: &[Reading]| {
        explain::explain(table, &Question::new(&table.claims[claim], readings, options), options)
    };
    let mut claims: Vec<ClaimReport> = (0..table.claims.len()).map(|claim| explain(claim, &readings)).collect();
    // Averages of some columns may be averaged in turn.
    let parts: Vec<usize> = (0..claims.len())
        .filter(|&claim| claims[claim].is_consistent() && !claims[claim].rules[0].left_out.is_empty())
        .collect();
    if parts.len() > 1 {
        let of_averages = [Reading::of_averages(table, &parts)];
        for (claim, report) in claims
            .iter_mut()
            .enumerate()
            .filter(|(_, report)| report.rules.is_empty())
        {
            let again = explain(claim, &of_averages);
            if !again.rules.is_empty() {
                *report = again;
            }
        }
    }
    let findings = findings::findings(table, &claims);
    if !findings.is_empty() {
        equal_columns::rank_on_equal_columns(table, &readings, &mut claims);
    }
    let notes = findings::not_explained(&claims);
    Ok(Check {
        claims,
        findings,
        notes,
    })
}

fn check_options(table: &Table, options: &Options) -> Result<()> {
    if table.claims.is_empty() {
        return Err(Error::refused(
            format!(
                "the table has no column of averages; its columns are: {}",
                table.headings.join(", ")
            ),
            "name the averages with <claims>",
        ));
    }
    if options.means.is_empty() {
        return Err(Error::refused("no mean to try", "give <means am,gm,hm>"));
    }
    let mut group_of: Vec<Option<&str>> = vec![None; table.tasks.len()];
    for (group, members) in &options.groups {
        for member in members {
            let Some(task) = table.task(member) else {
                let known = table.tasks.iter().map(|task| task.name.clone());
                return Err(Error::unknown("column", member, known));
            };
            put_in_group(&mut group_of[task], group, &table.tasks[task].name)?;
        }
    }
    for (name, weight) in &options.weights {
        let is_group = options.groups.iter().any(|(group, _)| group == name)
            || table.tasks.iter().any(|task| task.group.as_deref() == Some(name));
        if table.task(name).is_none() && !is_group {
            return Err(Error::unknown(
                "column",
                name,
                table.tasks.iter().map(|task| task.name.clone()),
            ));
        }
        if !(weight.is_finite() && *weight >= 0.0) {
            return Err(Error::refused(
                format!("the weight {weight} of `{name}`"),
                "give a number that is not negative",
            ));
        }
    }
    if table.tasks.len() > MOST {
        return Err(Error::refused(
            format!("{} columns have too many subsets", table.tasks.len()),
            Advice::about("choose at most {} with <tasks> or <ignore>", &MOST.to_string()),
        ));
    }
    Ok(())
}
