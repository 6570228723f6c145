//! Errors of a probe.

use kexue_nn::ConfigError;
use thiserror::Error;

/// Why a probe failed.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The architecture is invalid.
    #[error("model: {0}")]
    Model(#[from] ConfigError),
    /// An invalid setting.
    #[error("{field}: {problem}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// The problem, and what to do about it.
        problem: String,
    },
    /// A training failed.
    #[error(transparent)]
    Train(#[from] kexue_train::TrainError),
    /// The description of an architecture cannot be read.
    #[error("{0}")]
    Description(String),
}

impl ProbeError {
    pub(crate) fn setting(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Setting {
            field,
            problem: problem.into(),
        }
    }
}
