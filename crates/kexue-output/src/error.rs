//! Errors of outputs.

use std::path::PathBuf;
use thiserror::Error;

/// Why an output cannot be written. Every message begins with the path.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The system could not read or write.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The output was refused.
    #[error("{path}: {problem}")]
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Another process holds the lock.
    #[error("{path}: another process is writing here; wait until it is done, or choose another folder")]
    Busy {
        /// The file or folder that the lock protects.
        path: PathBuf,
    },
}

impl OutputError {
    /// Adds a path to an error of the system.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// A refusal to write to a path. `problem` says what is wrong and what to do.
    pub fn refused(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::Refused {
            path: path.into(),
            problem: problem.into(),
        }
    }
}
