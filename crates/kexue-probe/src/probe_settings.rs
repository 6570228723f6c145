//! The settings of a probe.

use crate::ProbeError;
use kexue_nn::NormPlacement;
use serde::Serialize;

/// The measurements that a probe makes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeSettings {
    /// The first seed. A seed determines weights, batches and directions.
    pub seed: u64,
    /// Number of seeds. Means over them are reported, with standard errors.
    pub seeds: u64,
    /// Steps of training, with and without warm-up; 0 for none.
    pub steps: u64,
    /// Number of snapshots of each training.
    pub snapshots: u64,
    /// Other placements to train as well.
    pub compare: Vec<NormPlacement>,
    /// Scale the branches of fresh models so that their variance is this times the stream's.
    pub branch_variance: Option<f64>,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            seeds: 1,
            steps: 0,
            snapshots: 25,
            compare: Vec::new(),
            branch_variance: None,
        }
    }
}

impl ProbeSettings {
    pub(crate) fn validate(&self) -> Result<(), ProbeError> {
        if !(1..=1000).contains(&self.seeds) {
            return Err(ProbeError::setting(
                "seeds",
                format!("{} is not within 1 and 1000", self.seeds),
            ));
        }
        if self.snapshots == 0 {
            return Err(ProbeError::setting("snapshots", "there must be at least one"));
        }
        if self
            .branch_variance
            .is_some_and(|variance| !(1e-12..=1e12).contains(&variance))
        {
            // Outside these bounds, the scaled weights exceed single precision.
            let problem = "must be a positive number, within 1e-12 and 1e12";
            return Err(ProbeError::setting("branch_variance", problem));
        }
        Ok(())
    }
}
