//! Why a configuration is invalid.

use thiserror::Error;

/// An invalid configuration.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// The path of the field in the configuration, such as `attention_scale.base`.
    pub field: &'static str,
    /// The problem, and what to do about it.
    pub problem: String,
}
