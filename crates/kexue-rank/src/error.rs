//! What can be wrong with a table or a question about it.

use std::fmt;

/// A place in a file: its name, and the line and column where they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Name of the file, or `-` for standard input.
    pub file: String,
    /// Line, counted from 1; 0 where the format has no lines (JSON values).
    pub line: u64,
    /// Row of the table, counted from 1, where there are no lines; else 0.
    pub row: u64,
    /// Name of the column, or a path inside a JSON value; empty where the whole line is meant.
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
    /// The file and the line of the row; empty for scores that are from no file.
    pub place: Place,
    /// The row.
    pub system: String,
    /// The column.
    pub task: String,
}

/// Why a question about a table cannot be answered. Every variant is bad input, never a bug.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{path}: {source}; {}", io_hint(source))]
    Io {
        /// The file.
        path: String,
        /// The reason the system gives.
        source: std::io::Error,
    },

    /// A file is not what it should be; the hint says what to do.
    #[error("{place}: {problem}; {hint}")]
    Malformed {
        /// Where.
        place: Place,
        /// What was found, and what was expected.
        problem: String,
        /// What to do.
        hint: String,
    },

    /// A name given by the user is not in the table.
    #[error("{}no {what} is called `{name}`; there are: {known}", list_files(files))]
    Unknown {
        /// The files of the table, if it is from files.
        files: Vec<String>,
        /// `column`, `system` or `group`.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },

    /// Means over different columns were asked for.
    #[error(
        "{} missing: a mean would compare unequal columns.\n{}\nTake the columns that every system has with --columns common, \
         name the columns with --columns or --without, or leave the systems out with --drop-rows",
        counted(cells.len(), "cell"), list_cells(cells)
    )]
    UnequalColumns {
        /// The cells that are missing.
        cells: Vec<CellName>,
    },

    /// A mean with an exponent of 0 or below of scores that are not positive.
    #[error(
        "the {mean} is not defined: {reason}.\n{}\nLeave the columns out with --without, choose the systems with --systems or --head, or {hint}",
        list_cells(cells)
    )]
    NotPositive {
        /// The mean that was asked for.
        mean: String,
        /// Why it is not defined.
        reason: String,
        /// The cells that are zero or negative.
        cells: Vec<CellName>,
        /// What else could be asked for.
        hint: &'static str,
    },

    /// A vote in which a missing score says nothing.
    #[error(
        "{} missing: a task cannot place a system without its score.\n{}\nSay what a missing score means with --missing last or \
         --missing pairwise, take the columns that every system has with --columns common, or leave the systems out with --drop-rows",
        counted(cells.len(), "cell"), list_cells(cells)
    )]
    MissingVotes {
        /// The cells that are missing.
        cells: Vec<CellName>,
    },

    /// Two files say different things about one cell.
    #[error(
        "the files disagree about {}:\n{}\nSay which file to believe with --prefer first or --prefer last",
        counted(disagreements.len(), "cell"), list(disagreements, 20)
    )]
    Disagreement {
        /// The cells, with the value and the place in each file.
        disagreements: Vec<crate::disagreement::Disagreement>,
    },

    /// The question does not fit the table.
    #[error("{}{problem}; {hint}", list_files(files))]
    Refused {
        /// The files of the table, if it is from files.
        files: Vec<String>,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
}

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn malformed(place: Place, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Malformed {
            place,
            problem: problem.into(),
            hint: hint.into(),
        }
    }

    pub(crate) fn refused(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused {
            files: Vec::new(),
            problem: problem.into(),
            hint: hint.into(),
        }
    }

    /// The error where no mean can be chosen, because all exponents are looked at.
    pub(crate) fn of_all_exponents(mut self) -> Self {
        if let Self::NotPositive { hint, .. } = &mut self {
            *hint = "rank by one mean that is defined: kexue rank show --mean am";
        }
        self
    }

    /// The error with the files of the table that it is about.
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

fn io_hint(error: &std::io::Error) -> &'static str {
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

/// Items in one line, of many the first.
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
