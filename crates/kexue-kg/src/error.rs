//! What can go wrong with a graph.

use crate::remedy::Remedy;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a graph could not be built, opened or read.
#[derive(Debug, Error)]
pub enum KgError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file, or `<stdin>`.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// An output cannot be written.
    #[error(transparent)]
    Output(#[from] kexue_output::OutputError),
    /// A line of the input is not in its format.
    #[error("{file}:{line}: {problem}")]
    Line {
        /// The file, or `<stdin>`.
        file: String,
        /// Line number, from 1.
        line: u64,
        /// The field, what was found, what was expected.
        problem: String,
        /// What helps.
        remedies: Vec<Remedy>,
    },
    /// The input, or a file, cannot be used with these settings.
    #[error("{file}: {problem}")]
    Setting {
        /// The file, or `<stdin>`.
        file: String,
        /// What was found, what was expected.
        problem: String,
        /// What helps.
        remedy: Remedy,
    },
    /// The input as a whole cannot be used.
    #[error("{file}: {problem}")]
    Input {
        /// The file, or `<stdin>`.
        file: String,
        /// What was found, what was expected, what to do.
        problem: String,
    },
    /// The index file cannot be used.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: kexue_trie::Error,
    },
    /// Another program changes the graph.
    #[error("{path}: another program is changing this graph; try again when it is done")]
    Busy {
        /// The index.
        path: PathBuf,
    },
    /// More subjects would be changed than can be merged with an index.
    #[error("more than {most} subjects would have changed")]
    TooManyChanges {
        /// The maximum.
        most: usize,
    },
    /// An error of the index.
    #[error(transparent)]
    Index(#[from] kexue_trie::Error),
    /// There are no triples to build an index from.
    #[error("the input holds no facts; expected lines of subject, relation and object")]
    Empty,
    /// The graph is too large for the format.
    #[error("the graph has more than {0}")]
    TooLarge(&'static str),
}

impl KgError {
    /// Remedies for this error. The message does not name them.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Line { remedies, .. } => remedies.clone(),
            Self::Setting { remedy, .. } => vec![*remedy],
            Self::TooManyChanges { .. } => vec![Remedy::Compact],
            _ => Vec::new(),
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}
