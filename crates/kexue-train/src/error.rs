//! What can go wrong in a run.

use std::path::PathBuf;
use thiserror::Error;

/// Why a run cannot start or continue.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A file of the run cannot be read or appended to.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// An output cannot be written.
    #[error(transparent)]
    Output(#[from] kexue_output::OutputError),
    /// A file that does not belong to the run, or is damaged.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The loss or a weight is no longer a number.
    #[error(
        "{what} of step {step} is not finite: the run has diverged; lower the learning rate or lengthen the warm-up"
    )]
    Diverged {
        /// The step, from 0.
        step: u64,
        /// What is not finite.
        what: &'static str,
    },
    /// An invalid setting.
    #[error("{field}: {problem}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// An optimiser that cannot be built.
    #[error(transparent)]
    Chain(#[from] kexue_optim::ChainError),
    /// Another process of the run failed.
    #[error("process {rank}: {problem}")]
    Process {
        /// Its number.
        rank: usize,
        /// Its error.
        problem: String,
    },
    /// A failure of the task.
    #[error(transparent)]
    Task(Box<dyn std::error::Error + Send + Sync>),
}

impl TrainError {
    /// The error for a failure of the task.
    pub fn task(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Task(error.into())
    }

    /// The error for an invalid file. `problem` says what is wrong with it, and what to do.
    pub fn file(path: impl Into<PathBuf>, problem: impl ToString) -> Self {
        Self::File {
            path: path.into(),
            problem: problem.to_string(),
        }
    }

    /// The error for a file that cannot be read or written.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
