//! Errors of images.

use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why images cannot be read or written. Every message begins with the path.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The system could not read.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The content is not as expected.
    #[error("{path}: {problem}")]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// What was found, what was expected, and what to do.
        problem: String,
    },
    /// A picture cannot be encoded.
    #[error("the picture cannot be encoded: {0}")]
    Encode(String),
}

impl ImageError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn content(path: &Path, problem: impl Into<String>) -> Self {
        Self::Content {
            path: path.to_path_buf(),
            problem: problem.into(),
        }
    }
}
