//! Means over seeds.

use serde::Serialize;

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean over seeds.
    pub mean: f64,
    /// Its standard error; 0 for a single seed.
    pub standard_error: f64,
}

impl Mean {
    /// The mean of values.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let standard_error = kexue_output::standard_error(values).unwrap_or(0.0);
        Self { mean, standard_error }
    }

    /// The standard error to show; `None` for a single seed.
    pub(crate) fn shown_error(self) -> Option<f64> {
        Some(self.standard_error).filter(|error| *error > 0.0)
    }
}
