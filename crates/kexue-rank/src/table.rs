//! A results table: systems, tasks, scores, and the averages printed beside them.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// Whether a higher or a lower score is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Accuracy, F1, correlation.
    #[default]
    Higher,
    /// Error rate, perplexity, distance.
    Lower,
}

/// A row: a system that was scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Its name, unique in the table.
    pub name: String,
    /// Other names that another file may use for it, such as team and name together.
    pub aliases: Vec<String>,
    /// The index of its file in [`Table::sources`].
    pub source: usize,
    /// Its line in the file, counted from 1; 0 if the format has no lines.
    pub line: u64,
    /// `false` if the table has ranks, but none for this row.
    pub ranked: bool,
}

/// A column of scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its name, unique in the table.
    pub name: String,
    /// The heading above several columns, if the table has one.
    pub group: Option<String>,
    /// Whether higher or lower scores are better.
    pub direction: Direction,
    /// `metrics[metric][row]`: one metric, or several if cells are such as `93.9/91.8`. A missing cell is NaN in every metric.
    pub metrics: Vec<Vec<f64>>,
    /// `errors[row]`: the `± error` of the cells; NaN if there is none.
    pub errors: Option<Vec<f64>>,
    /// The maximum number of decimals in a cell.
    pub decimals: u8,
}

impl Task {
    /// The score of a row, which is the arithmetic mean of its metrics; NaN if missing.
    pub fn score(&self, row: usize) -> f64 {
        let sum: f64 = self.metrics.iter().map(|metric| metric[row]).sum();
        sum / self.metrics.len() as f64
    }

    /// The scores of all rows, see [`Task::score`].
    pub fn scores(&self) -> Cow<'_, [f64]> {
        match self.metrics.as_slice() {
            [single] => Cow::Borrowed(single),
            _ => Cow::Owned(
                (0..self.metrics.first().map_or(0, Vec::len))
                    .map(|row| self.score(row))
                    .collect(),
            ),
        }
    }

    /// Whether a row has no score.
    pub fn is_missing(&self, row: usize) -> bool {
        self.metrics.iter().any(|metric| metric[row].is_nan())
    }
}

/// A column of printed averages.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The heading.
    pub name: String,
    /// `values[row]`; NaN if none is printed.
    pub values: Vec<f64>,
    /// The maximum number of decimals in a cell.
    pub decimals: u8,
}

/// A results table as it was read, including missing cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The files it was read from.
    pub sources: Vec<String>,
    /// The rows.
    pub systems: Vec<System>,
    /// The columns that are scores.
    pub tasks: Vec<Task>,
    /// The columns that are averages of scores.
    pub claims: Vec<Claim>,
    /// All column headings of the files, used or not.
    pub headings: Vec<String>,
    /// Notes for the user: guesses, and anything unusual.
    pub notes: Vec<String>,
}

impl Table {
    /// A table of plain numbers, `scores[row][task]`, NaN for missing; higher is better.
    /// Rows that are too short are filled with missing cells.
    pub fn from_scores(systems: &[&str], tasks: &[&str], scores: &[&[f64]]) -> Self {
        Self {
            systems: systems
                .iter()
                .map(|name| System {
                    name: (*name).to_owned(),
                    aliases: Vec::new(),
                    source: 0,
                    line: 0,
                    ranked: true,
                })
                .collect(),
            tasks: tasks
                .iter()
                .enumerate()
                .map(|(task, name)| Task {
                    name: (*name).to_owned(),
                    group: None,
                    direction: Direction::Higher,
                    metrics: vec![
                        (0..systems.len())
                            .map(|row| {
                                scores
                                    .get(row)
                                    .and_then(|row| row.get(task))
                                    .copied()
                                    .unwrap_or(f64::NAN)
                            })
                            .collect(),
                    ],
                    errors: None,
                    decimals: 0,
                })
                .collect(),
            headings: tasks.iter().map(|name| (*name).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// The index of a task by its name. Case, spaces and punctuation may differ if the match is unique.
    pub fn task(&self, name: &str) -> Option<usize> {
        find_name(self.tasks.iter().map(|task| task.name.as_str()), name)
    }

    /// Whether a file has a column of this name, used or not.
    pub fn has_heading(&self, name: &str) -> bool {
        find_name(self.headings.iter().map(String::as_str), name).is_some()
    }

    /// Checks that a file has columns of these names.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] for the first that no file has.
    pub fn require_headings(&self, names: &[String]) -> Result<()> {
        match names.iter().find(|name| !self.has_heading(name)) {
            None => Ok(()),
            Some(name) => Err(Error::unknown("column", name, self.headings.iter().cloned()).in_files(&self.sources)),
        }
    }

    /// The index of a system by its name, as for [`Table::task`].
    pub fn system(&self, name: &str) -> Option<usize> {
        find_name(self.systems.iter().map(|system| system.name.as_str()), name)
    }
}

/// The letters and digits of a name in lower case, which are the same for all its spellings.
pub(crate) fn normalise(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Finds a name exactly, or otherwise by its letters and digits if the match is unique.
pub(crate) fn find_name<'a>(names: impl Iterator<Item = &'a str> + Clone, wanted: &str) -> Option<usize> {
    if let Some(found) = names.clone().position(|name| name == wanted) {
        return Some(found);
    }
    let wanted = normalise(wanted);
    if wanted.is_empty() {
        return None;
    }
    let mut found = names
        .enumerate()
        .filter(|(_, name)| normalise(name) == wanted)
        .map(|(index, _)| index);
    match (found.next(), found.next()) {
        (Some(index), None) => Some(index),
        _ => None,
    }
}
