//! Errors of starting and running a service.

use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// An error of starting or running a service.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A setting is invalid.
    #[error("{field}: {problem}")]
    Setting {
        /// The field of [`Settings`](crate::Settings).
        field: &'static str,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// A file cannot be used.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, what was expected, and what to do.
        problem: String,
    },
    /// The service cannot listen on the address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The system refused a thread, a signal handler or a socket.
    #[error("cannot {what}: {source}")]
    System {
        /// What the service tried to do.
        what: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// The graph cannot be used.
    #[error(transparent)]
    Graph(#[from] kexue_kg::KgError),
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] kexue_qa::Error),
}
