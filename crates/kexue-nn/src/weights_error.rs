//! Why weights cannot be read or written.

use crate::config_error::ConfigError;
use kexue_output::OutputError;
use thiserror::Error;

/// Why weights cannot be used.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// The file does not contain weights, or is damaged.
    #[error("not a readable file of weights: {0}")]
    Format(String),
    /// The weights cannot be written.
    #[error("the weights cannot be written: {0}")]
    Write(String),
    /// The file of weights cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A parameter of the model is not in the file.
    #[error(
        "the file has no tensor `{name}` of shape {shape:?}, which this configuration needs; it belongs to another model"
    )]
    Missing {
        /// The parameter.
        name: String,
        /// Its shape in the model.
        shape: Vec<usize>,
    },
    /// A parameter has a different shape than in the model.
    #[error("tensor `{name}` is {found}; this configuration needs shape {expected:?}")]
    Mismatch {
        /// The parameter.
        name: String,
        /// Type and shape in the file.
        found: String,
        /// Shape in the model.
        expected: Vec<usize>,
    },
    /// The configuration is invalid.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
}
