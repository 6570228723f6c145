//! Explanations of averages: rules, and the averages that they do not explain.

use std::fmt;

use crate::error::counted;
use crate::mean::Mean;

/// How a rule combines several numbers into one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Formula {
    /// A mean with equal weights.
    Mean(Mean),
    /// The plain sum.
    Sum,
    /// The arithmetic mean with the weights of [`Rule::weights`].
    Weighted,
}

impl Formula {
    /// Whether a score of zero can be averaged.
    pub(super) fn takes_zeros(self) -> bool {
        match self {
            Self::Mean(mean) => mean.undefined(0.0).is_none(),
            Self::Sum | Self::Weighted => false,
        }
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mean(mean) => mean.fmt(formatter),
            Self::Sum => write!(formatter, "sum"),
            Self::Weighted => write!(formatter, "weighted mean"),
        }
    }
}

impl serde::Serialize for Formula {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Mean(mean) => mean.serialize(serializer),
            Self::Sum => serializer.serialize_str("sum"),
            Self::Weighted => serializer.serialize_str("weighted"),
        }
    }
}

/// How an explanation reproduces a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The rounded mean of the printed scores equals the claim.
    Printed,
    /// The claim was computed before rounding: it is the mean of scores that round to the printed ones.
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
    /// How the mean reproduces the claim.
    pub fit: Fit,
    /// Columns of the rule that this row lacks, so that its mean is over fewer columns than the others'.
    pub skipped: Vec<String>,
    /// Columns of the rule that this row lacks and that count as zero.
    pub zeros: Vec<String>,
}

/// A way to average that reproduces claims.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Rule {
    /// The mean, the sum, or weights.
    pub formula: Formula,
    /// How columns are interpreted; empty if as printed, with several metrics of a cell averaged.
    pub reading: String,
    /// The columns it averages.
    pub columns: Vec<String>,
    /// The columns it leaves out.
    pub left_out: Vec<String>,
    /// The weights of the columns it averages: integers if possible, otherwise shares of 1; empty if they are equal.
    pub weights: Vec<f64>,
    /// The claims it explains.
    pub rows: Vec<Explained>,
    /// The number of equally simple rules that would explain as many claims by accident, estimated from the number that come near them.
    pub expected_by_chance: f64,
}

impl Rule {
    /// The rule in words: the formula, the number of columns, and their weights and interpretation.
    pub fn in_words(&self) -> String {
        let mut words = format!("{} of {}", self.formula, counted(self.columns.len(), "column"));
        if !self.weights.is_empty() {
            let whole = self.weights.iter().all(|weight| weight.fract() == 0.0);
            let part = |(column, weight): (&String, &f64)| match whole {
                true => format!("{column} × {weight}"),
                false => format!("{column} {:.1} %", 100.0 * weight),
            };
            let parts: Vec<String> = self.columns.iter().zip(&self.weights).map(part).collect();
            words.push_str(&format!(" ({})", parts.join(", ")));
        }
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
    /// Each mean over all its columns.
    pub means: Vec<(Mean, f64)>,
    /// A rule that reproduces it, but only for this row, and probably by accident.
    pub by_accident: Option<String>,
}

/// The explanations of one column of averages.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ClaimReport {
    /// The heading of the column.
    pub name: String,
    /// Number of decimals to which claims were reproduced.
    pub decimals: u8,
    /// The rules, by the number of rows they explain.
    pub rules: Vec<Rule>,
    /// The claims that no rule explains.
    pub unexplained: Vec<Unexplained>,
    /// Systems whose rank changes if all claims are averaged over their common columns, by the mean of the first rule: the name, the rank by the
    /// claims and the rank on equal columns.
    pub moved: Vec<(String, usize, usize)>,
    /// The columns that [`ClaimReport::moved`] is computed on; empty if the claims are on equal columns already.
    pub equal_columns: Vec<String>,
}

impl ClaimReport {
    /// The sets of columns that were averaged, with their systems. A single set means that the claims are comparable.
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

    /// Whether one rule over one set of columns explains all claims.
    pub fn is_consistent(&self) -> bool {
        self.unexplained.is_empty() && self.rules.len() == 1 && self.column_sets().len() == 1
    }
}

/// The explanations of a table's averages.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Check {
    /// One report for each column of averages.
    pub claims: Vec<ClaimReport>,
    /// What is wrong, in words; empty if nothing is wrong.
    pub findings: Vec<String>,
    /// What is not explained, in words. These averages may be right or wrong.
    pub notes: Vec<String>,
}

impl Check {
    /// Whether nothing was found to be wrong. Some averages may still be unexplained, see [`Check::notes`].
    pub fn is_consistent(&self) -> bool {
        self.findings.is_empty()
    }
}
