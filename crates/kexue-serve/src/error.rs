//! Why a service cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// Why a service cannot start, or ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A setting cannot be.
    #[error("{field}: {problem}")]
    Setting {
        /// The field of [`Settings`](crate::Settings).
        field: &'static str,
        /// What is wrong with it, what was expected.
        problem: String,
    },
    /// A file cannot be used.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected, what to do.
        problem: String,
    },
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gives no thread, signal or socket.
    #[error("cannot {what}: {source}")]
    System {
        /// What failed.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The graph.
    #[error(transparent)]
    Graph(#[from] kexue_kg::KgError),
    /// The model.
    #[error(transparent)]
    Model(#[from] kexue_qa::Error),
}
