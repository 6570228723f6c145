//! What can go wrong in question answering.

use std::path::PathBuf;
use thiserror::Error;

/// Why a question could not be answered or a model not be trained.
#[derive(Debug, Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something in an input file is not as expected.
    #[error("{path}:{line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What was found, what was expected, what to do.
        problem: String,
    },
    /// A file or folder as a whole is not as expected.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected, what to do.
        problem: String,
    },
    /// There are not enough questions to learn from.
    #[error(
        "only {found} held-out questions have their fact among the candidates; {needed} are needed to fit the rescoring; give more questions"
    )]
    TooFew {
        /// What there is.
        found: usize,
        /// What is needed.
        needed: usize,
    },
    /// A question that cannot be asked.
    #[error("the question {0}")]
    Question(String),
    /// Model and graph do not go together.
    #[error(
        "the model was trained with another vocabulary than the graph's; build the graph with `kexue kg build --vocab` and the model's \
         vocab.txt, or train a model on this graph"
    )]
    Vocabulary,
    /// The model's positions have an end.
    #[error("the model has learned positions, which end at a length; answering needs `positions = \"rotary\"`")]
    Positions,
    /// The index led nowhere, which it never should.
    #[error("the index has a dead end after {0:?}: this is a defect of the index; `kexue kg verify` tells more")]
    DeadEnd(String),
    /// The graph.
    #[error(transparent)]
    Graph(#[from] kexue_kg::KgError),
    /// The index.
    #[error(transparent)]
    Index(#[from] kexue_trie::Error),
    /// Training.
    #[error(transparent)]
    Train(#[from] kexue_train::TrainError),
}

/// What this crate returns.
pub type Result<T> = std::result::Result<T, Error>;
