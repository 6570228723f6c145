//! Which mean, over which columns, reproduces a printed average?
//!
//! A column of averages is explained by a [`Rule`]. One rule is sought for all rows first: equal weights over some of the columns,
//! for each mean, or their sum; where none explains most rows, one set of weights. Equal weights are found for some rows by
//! meeting in the middle over all subsets of columns, fewest left out first, and tried on all rows. Every rule says how many rules
//! as simple would explain as many rows by accident.
//!
//! Only where one rule explains most rows, and others follow another rule that is no accident, are averages found not to compare
//! like with like. What no rule explains is not explained, and nothing more.

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

use crate::error::{Error, Result};
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
            "the table has no column of averages",
            format!("name it with --claims; there are: {}", table.headings.join(", ")),
        ));
    }
    if options.means.is_empty() {
        return Err(Error::refused("no mean to try", "give --mean am,gm,hm"));
    }
    for member in options.groups.iter().flat_map(|(_, members)| members) {
        if table.task(member).is_none() {
            let known = table.tasks.iter().map(|task| task.name.clone());
            return Err(Error::unknown("column", member, known));
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
            format!("choose at most {MOST} with --columns or --without"),
        ));
    }
    Ok(())
}
