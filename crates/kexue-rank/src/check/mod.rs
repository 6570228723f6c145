//! Which mean, over which columns, reproduces a printed average?
//!
//! A claim is explained by a [`Rule`]: a mean, a reading of the columns, and the columns it leaves out. Rules are sought for some
//! rows by meeting in the middle over all subsets of columns, fewest left out first, and tried on all rows; the rule that
//! explains most rows is taken, and the rest of the rows are explained in the same way. So a table whose averages are honest has
//! one rule for each column of averages, and where systems were averaged over different columns there are several.

mod explain;
mod reading;
mod search;

use crate::error::{Error, Result};
use crate::mean::Mean;
use crate::subsets::MOST;
use crate::table::Table;

/// What to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The means.
    pub means: Vec<Mean>,
    /// The most columns that an explanation may leave out; by default all but two.
    pub most_left_out: Option<usize>,
    /// Digits behind the decimal mark of the claims, if the table's own (the most of the column) are not what was meant.
    pub decimals: Option<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            means: vec![Mean::ARITHMETIC, Mean::GEOMETRIC, Mean::HARMONIC],
            most_left_out: None,
            decimals: None,
        }
    }
}

/// How well an explanation meets a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The mean of the printed scores, rounded, is the claim.
    Printed,
    /// The claim is the mean of scores that round to the printed ones: it was computed before rounding.
    BeforeRounding,
}

/// One claim that a rule explains.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Explained {
    /// The row.
    pub system: String,
    /// The printed average.
    pub claimed: f64,
    /// The mean by the rule.
    pub value: f64,
    /// How well they meet.
    pub fit: Fit,
    /// Columns of the rule that this row lacks: its mean is over fewer columns than that of the others.
    pub skipped: Vec<String>,
    /// Columns of the rule that this row lacks and for which it was given a zero.
    pub zeros: Vec<String>,
}

/// A way to average that reproduces claims.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Rule {
    /// The mean.
    pub mean: Mean,
    /// How columns are read; empty if as printed, with several metrics of a cell averaged.
    pub reading: String,
    /// The columns it averages.
    pub columns: Vec<String>,
    /// The columns it leaves out.
    pub left_out: Vec<String>,
    /// The claims it explains.
    pub rows: Vec<Explained>,
    /// How many rules that leave out no more columns would reproduce the claim of one row by accident, estimated from how many
    /// come near it. A rule for many rows is met by accident much more rarely.
    pub expected_by_chance: f64,
}

impl Rule {
    /// The mean, the number of columns, and what is special about them.
    pub fn in_words(&self) -> String {
        let mut words = format!("{} of {} columns", self.mean, self.columns.len());
        if !self.left_out.is_empty() {
            words.push_str(&format!(" (without {})", self.left_out.join(", ")));
        }
        if !self.reading.is_empty() {
            words.push_str(&format!(", with {}", self.reading));
        }
        words
    }
}

/// A claim that no rule explains.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Unexplained {
    /// The row.
    pub system: String,
    /// The printed average.
    pub claimed: f64,
    /// What each mean of all its columns would be.
    pub means: Vec<(Mean, f64)>,
    /// A rule that reproduces it, but for this row alone and out of so many that one does by accident.
    pub by_accident: Option<String>,
}

/// The explanations of one column of averages.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ClaimReport {
    /// The heading of the column.
    pub name: String,
    /// Digits behind the decimal mark to which claims were reproduced.
    pub decimals: u8,
    /// The rules, by the number of rows they explain.
    pub rules: Vec<Rule>,
    /// What is left.
    pub unexplained: Vec<Unexplained>,
    /// Systems whose rank changes if all claims are averaged over the columns that they share, by the mean of the first rule:
    /// the name, the rank by the claims and the rank on equal columns.
    pub moved: Vec<(String, usize, usize)>,
    /// The columns on which [`ClaimReport::moved`] is computed; empty if the claims are on equal columns already.
    pub equal_columns: Vec<String>,
}

impl ClaimReport {
    /// The sets of columns that were averaged, with the systems: one if the claims compare like with like.
    pub fn column_sets(&self) -> Vec<(Vec<String>, Vec<String>)> {
        let mut sets: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for rule in &self.rules {
            for row in &rule.rows {
                let columns: Vec<String> = rule
                    .columns
                    .iter()
                    .filter(|column| !row.skipped.contains(column))
                    .cloned()
                    .collect();
                match sets.iter_mut().find(|(known, _)| *known == columns) {
                    Some((_, systems)) => systems.push(row.system.clone()),
                    None => sets.push((columns, vec![row.system.clone()])),
                }
            }
        }
        sets
    }

    /// Whether one mean over one set of columns explains all claims.
    pub fn is_consistent(&self) -> bool {
        self.unexplained.is_empty() && self.rules.len() <= 1 && self.column_sets().len() <= 1
    }
}

/// The explanations of a table's averages.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Check {
    /// One report for each column of averages.
    pub claims: Vec<ClaimReport>,
    /// What is wrong, in words; empty if nothing is.
    pub findings: Vec<String>,
}

impl Check {
    /// Whether every average is explained, over the same columns for all systems and in all columns of averages.
    pub fn is_consistent(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Explains the averages of a table.
///
/// # Errors
///
/// [`Error::Refused`] if the table has no column of averages, or more columns than can be searched.
pub fn check(table: &Table, options: &Options) -> Result<Check> {
    check_options(table, options).map_err(|error| error.in_files(&table.sources))?;
    let readings = reading::readings(table);
    let mut claims: Vec<ClaimReport> = table
        .claims
        .iter()
        .map(|claim| explain::explain(table, claim, &readings, options))
        .collect();
    explain::on_equal_columns(table, &readings, &mut claims);
    let findings = findings(table, &claims);
    Ok(Check { claims, findings })
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
    if table.tasks.len() > MOST {
        return Err(Error::refused(
            format!("{} columns have too many subsets", table.tasks.len()),
            format!("choose at most {MOST} with --columns or --without"),
        ));
    }
    Ok(())
}

fn findings(table: &Table, claims: &[ClaimReport]) -> Vec<String> {
    let mut findings = Vec::new();
    for claim in claims {
        let sets = claim.column_sets();
        if sets.len() > 1 {
            let parts: Vec<String> = sets
                .iter()
                .map(|(columns, systems)| format!("{} columns for {}", columns.len(), name_systems(systems)))
                .collect();
            findings.push(format!(
                "{}: systems are averaged over different columns: {}.",
                claim.name,
                parts.join("; ")
            ));
        }
        let means: Vec<Mean> = claim
            .rules
            .iter()
            .map(|rule| rule.mean)
            .fold(Vec::new(), |mut known, mean| {
                if !known.contains(&mean) {
                    known.push(mean);
                }
                known
            });
        if means.len() > 1 {
            let names: Vec<String> = means.iter().map(Mean::to_string).collect();
            findings.push(format!(
                "{}: different means for different systems: {}.",
                claim.name,
                names.join(", ")
            ));
        }
        let zeros: Vec<String> = claim
            .rules
            .iter()
            .flat_map(|rule| &rule.rows)
            .filter(|row| !row.zeros.is_empty())
            .map(|row| format!("{} ({})", row.system, row.zeros.join(", ")))
            .collect();
        if !zeros.is_empty() {
            findings.push(format!(
                "{}: a missing score counts as zero for {}.",
                claim.name,
                name_systems(&zeros)
            ));
        }
        if !claim.unexplained.is_empty() {
            let systems: Vec<String> = claim.unexplained.iter().map(|row| row.system.clone()).collect();
            findings.push(format!(
                "{}: no mean over any columns gives the average of {}.",
                claim.name,
                name_systems(&systems)
            ));
        }
    }
    // Averages of one table should be of the same columns.
    let mut main: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
    for claim in claims {
        if let Some((columns, _)) = claim.column_sets().into_iter().max_by_key(|(_, systems)| systems.len()) {
            match main.iter_mut().find(|(known, _)| *known == columns) {
                Some((_, names)) => names.push(&claim.name),
                None => main.push((columns, vec![&claim.name])),
            }
        }
    }
    if main.len() > 1 {
        let parts: Vec<String> = main
            .iter()
            .map(|(columns, names)| {
                let left_out: Vec<&str> = table
                    .tasks
                    .iter()
                    .map(|task| task.name.as_str())
                    .filter(|task| !columns.iter().any(|column| column == task))
                    .collect();
                let without = if left_out.is_empty() {
                    String::new()
                } else {
                    format!(" (without {})", left_out.join(", "))
                };
                format!("{} over {} columns{without}", names.join(" and "), columns.len())
            })
            .collect();
        findings.push(format!(
            "The averages are not of the same columns: {}.",
            parts.join("; ")
        ));
    }
    findings
}

fn name_systems(systems: &[String]) -> String {
    match systems {
        [] => "none".to_owned(),
        few if few.len() <= 3 => few.join(", "),
        many => format!("{} systems ({}, …)", many.len(), many[..2].join(", ")),
    }
}
