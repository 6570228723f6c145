//! Why a configuration is invalid.

use thiserror::Error;

/// An invalid configuration.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// The problem, and what to do.
    pub problem: String,
}
