//! What can go wrong in question answering.

use std::path::PathBuf;
use thiserror::Error;

/// Why a question could not be answered, or a model could not be trained.
#[derive(Debug, Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A line of an input file is invalid.
    #[error("{path}:{line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What was found, what was expected, what to do.
        problem: String,
    },
    /// A file or folder is invalid.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected, what to do.
        problem: String,
    },
    /// There are too few questions to fit a rescoring on.
    #[error(
        "only {found} held-out questions have their fact among the candidates, and {needed} are needed to fit the rescoring; give more questions"
    )]
    TooFew {
        /// Usable questions.
        found: usize,
        /// Questions needed.
        needed: usize,
    },
    /// A question that cannot be asked.
    #[error("the question {0}")]
    Question(String),
    /// Model and graph have different vocabularies.
    #[error(
        "model and graph have different vocabularies; build the graph with the model's vocab.txt, or train a model on this graph"
    )]
    Vocabulary,
    /// The model reads sequences up to a fixed length only.
    #[error(
        "the model has learned positions, which limit the length of a sequence; answering needs `positions = \"rotary\"`"
    )]
    Positions,
    /// The model is on a device that failed.
    #[error(transparent)]
    Device(#[from] kexue_nn::DeviceError),
    /// A prefix in the index has no continuation.
    #[error("the index has no continuation of {0:?}: it is damaged")]
    DeadEnd(String),
    /// An error of the graph.
    #[error(transparent)]
    Graph(#[from] kexue_kg::KgError),
    /// An error of the index.
    #[error(transparent)]
    Index(#[from] kexue_trie::Error),
    /// An error of training.
    #[error(transparent)]
    Train(#[from] kexue_train::TrainError),
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
