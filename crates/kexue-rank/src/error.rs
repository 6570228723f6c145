//! What can be wrong with a table, or with a question about it.

use crate::advice::{Advice, Setting};
use std::fmt;

/// A place in a file: its name, and line and column if they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Name of the file, or `-` for standard input.
    pub file: String,
    /// Line, counted from 1; 0 if the format has no lines (JSON values).
    pub line: u64,
    /// Row of the table, counted from 1, if the format has no lines; otherwise 0.
    pub row: u64,
    /// Name of the column, or a path inside a JSON value; empty for the whole line.
    pub column: String,
}

impl Place {
    /// A whole file.
    pub fn file(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            ..Self::default()
        }
    }

    /// A line of a file.
    pub fn line(file: &str, line: u64) -> Self {
        Self {
            file: file.to_owned(),
            line,
            ..Self::default()
        }
    }

    /// A cell of a file.
    pub fn cell(file: &str, line: u64, column: &str) -> Self {
        Self {
            file: file.to_owned(),
            line,
            column: column.to_owned(),
            ..Self::default()
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file)?;
        if self.line > 0 {
            write!(formatter, ":{}", self.line)?;
        } else if self.row > 0 {
            write!(formatter, ": row {}", self.row)?;
        }
        if !self.column.is_empty() {
            write!(formatter, ": column `{}`", self.column)?;
        }
        Ok(())
    }
}

/// A cell named by its system and its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellName {
    /// The file and the line of the row; empty if the scores are not from a file.
    pub place: Place,
    /// The row.
    pub system: String,
    /// The column.
    pub task: String,
}

/// Why a question about a table cannot be answered. Every variant is bad input, not a bug.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    Io {
        /// The file.
        path: String,
        /// The operating system's error.
        source: std::io::Error,
    },

    /// A file is invalid.
    Malformed {
        /// The place.
        place: Place,
        /// What was found, and what was expected.
        problem: String,
        /// What to do.
        advice: Advice,
    },

    /// A name given by the user is not in the table.
    Unknown {
        /// The files of the table, if it is from files.
        files: Vec<String>,
        /// `column`, `system` or `group`.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// The names in the table.
        known: String,
    },

    /// Means over different columns were requested.
    UnequalColumns {
        /// The missing cells.
        cells: Vec<CellName>,
    },

    /// A mean that is not defined for zero or negative scores.
    NotPositive {
        /// The requested mean.
        mean: String,
        /// Why it is not defined.
        reason: String,
        /// The cells for which it is not defined.
        cells: Vec<CellName>,
        /// Which other mean to use.
        advice: Advice,
    },

    /// A vote with missing scores, and no setting for how to treat them.
    MissingVotes {
        /// The missing cells.
        cells: Vec<CellName>,
    },

    /// Two files have different scores for a cell.
    Disagreement {
        /// The cells, with the value and the place in each file.
        disagreements: Vec<crate::disagreement::Disagreement>,
    },

    /// The question does not fit the table.
    Refused {
        /// The files of the table, if it is from files.
        files: Vec<String>,
        /// What is wrong.
        problem: String,
        /// What to do.
        advice: Advice,
    },
}

impl Error {
    /// The message. `name` names the settings that its advice mentions; `Display` names them by their fields.
    pub fn message(&self, name: impl Fn(&Setting) -> String) -> String {
        match self {
            Self::Io { path, source } => format!("{path}: {source}; {}", io_advice(source)),
            Self::Malformed { place, problem, advice } => format!("{place}: {problem}; {}", advice.naming(name)),
            Self::Unknown {
                files,
                what,
                name,
                known,
            } => {
                format!("{}no {what} is called `{name}`; there are: {known}", list_files(files))
            }
            Self::UnequalColumns { cells } => {
                let advice = Advice::from(
                    "Use the columns that every system has with <columns common>, name the columns with <columns> or <without>, \
                     or leave the systems out with <drop_rows>",
                );
                format!(
                    "{} missing: a mean would compare unequal columns.\n{}\n{}",
                    counted(cells.len(), "cell"),
                    list_cells(cells),
                    advice.naming(name)
                )
            }
            Self::NotPositive {
                mean,
                reason,
                cells,
                advice,
            } => {
                let rows = Advice::from(
                    "Leave the columns out with <without>, choose the systems with <systems> or <head>, or ",
                );
                format!(
                    "the {mean} is not defined: {reason}.\n{}\n{}{}",
                    list_cells(cells),
                    rows.naming(&name),
                    advice.naming(&name)
                )
            }
            Self::MissingVotes { cells } => {
                let advice = Advice::from(
                    "Say how to treat a missing score with <missing last> or <missing pairwise>, use the columns that every system has \
                     with <columns common>, or leave the systems out with <drop_rows>",
                );
                format!(
                    "{} missing: a task cannot rank a system without its score.\n{}\n{}",
                    counted(cells.len(), "cell"),
                    list_cells(cells),
                    advice.naming(name)
                )
            }
            Self::Disagreement { disagreements } => {
                let advice = Advice::from("Say which file to trust with <prefer first> or <prefer last>");
                format!(
                    "the files disagree about {}:\n{}\n{}",
                    counted(disagreements.len(), "cell"),
                    list(disagreements, 20),
                    advice.naming(name)
                )
            }
            Self::Refused { files, problem, advice } => {
                format!("{}{problem}; {}", list_files(files), advice.naming(name))
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message(Setting::to_string))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn malformed(place: Place, problem: impl Into<String>, advice: impl Into<Advice>) -> Self {
        Self::Malformed {
            place,
            problem: problem.into(),
            advice: advice.into(),
        }
    }

    pub(crate) fn refused(problem: impl Into<String>, advice: impl Into<Advice>) -> Self {
        Self::Refused {
            files: Vec::new(),
            problem: problem.into(),
            advice: advice.into(),
        }
    }

    /// The error if the means of all exponents are needed, so that another mean is no remedy.
    pub(crate) fn of_all_exponents(mut self) -> Self {
        if let Self::NotPositive { advice, .. } = &mut self {
            *advice = Advice::from("rank by a single mean that is defined, such as the arithmetic mean");
        }
        self
    }

    /// Adds the files of the table that the error is about.
    pub(crate) fn in_files(mut self, sources: &[String]) -> Self {
        if let Self::Unknown { files, .. } | Self::Refused { files, .. } = &mut self {
            *files = sources.to_vec();
        }
        self
    }

    pub(crate) fn unknown(what: &'static str, name: &str, known: impl IntoIterator<Item = String>) -> Self {
        let mut known: Vec<String> = known.into_iter().collect();
        let more = known.len().saturating_sub(40);
        known.truncate(40);
        let mut known = known.join(", ");
        if more > 0 {
            known.push_str(&format!(" and {more} more"));
        }
        Self::Unknown {
            files: Vec::new(),
            what,
            name: name.to_owned(),
            known,
        }
    }
}

fn io_advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "give the path of a table, a folder with a metrics.jsonl, or - for standard input"
        }
        std::io::ErrorKind::PermissionDenied => "allow the file to be read",
        _ => "try again, or give another file",
    }
}

fn list_files(files: &[String]) -> String {
    if files.is_empty() {
        String::new()
    } else {
        format!("{}: ", files.join(", "))
    }
}

/// `1 cell`, `2 cells`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Items on one line; of many, only the first ones.
pub(crate) fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    let more = items.len().saturating_sub(30);
    let mut text = items[..items.len() - more].join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn list<T: fmt::Display>(items: &[T], limit: usize) -> String {
    let mut lines: Vec<String> = items.iter().take(limit).map(|item| format!("  {item}")).collect();
    if items.len() > limit {
        lines.push(format!("  … and {} more", items.len() - limit));
    }
    lines.join("\n")
}

/// Cells grouped by system, at most 20 systems.
fn list_cells(cells: &[CellName]) -> String {
    let rows: Vec<String> = cells
        .chunk_by(|a, b| a.system == b.system)
        .map(|cells| {
            let more = cells.len().saturating_sub(12);
            let tasks: Vec<&str> = cells.iter().take(12).map(|cell| cell.task.as_str()).collect();
            let Place { file, line, .. } = &cells[0].place;
            let place = match (file.is_empty(), line) {
                (true, _) => String::new(),
                (false, 0) => format!("{file}: "),
                (false, line) => format!("{file}:{line}: "),
            };
            let mut text = format!("{place}{}: {}", cells[0].system, tasks.join(", "));
            if more > 0 {
                text.push_str(&format!(" and {more} more"));
            }
            text
        })
        .collect();
    list(&rows, 20)
}
