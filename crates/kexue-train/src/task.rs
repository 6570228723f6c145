//! What is trained: the extension point of this crate.

use crate::{Page, TrainError};
use kexue_optim::Parameters;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What the examples of a shard cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loss {
    /// Sum of the terms.
    pub sum: f64,
    /// Number of terms. The loss that is recorded, and the gradient that is followed, are of the mean over the whole batch.
    pub terms: f64,
    /// What was computed, in [`Task::UNIT`]s, for the throughput.
    pub items: usize,
    /// Other means to record, by name: sum and number of terms.
    pub also: Vec<(String, f64, f64)>,
}

/// Which values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Larger ones.
    Maximize,
    /// Smaller ones.
    Minimize,
}

impl Goal {
    /// Whether `new` is better than `old`.
    pub fn is_better(self, new: f64, old: f64) -> bool {
        match self {
            Self::Maximize => new > old,
            Self::Minimize => new < old,
        }
    }
}

/// A number that a validation measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Which values are better; `None` if that cannot be said.
    pub goal: Option<Goal>,
}

impl Metric {
    /// A number of which larger values are better.
    pub fn maximized(name: impl Into<String>, value: f64) -> Self {
        Self {
            goal: Some(Goal::Maximize),
            ..Self::observed(name, value)
        }
    }

    /// A number of which smaller values are better.
    pub fn minimized(name: impl Into<String>, value: f64) -> Self {
        Self {
            goal: Some(Goal::Minimize),
            ..Self::observed(name, value)
        }
    }

    /// A number that is neither good nor bad.
    pub fn observed(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
            goal: None,
        }
    }
}

/// Something to train: how its batches are made, and what they cost.
///
/// Batches are made ahead of time, while the one before is computed. Both draw from a generator that depends on the seed, the shard and the step alone; it
/// goes on with the batch from [`batch`](Self::batch) to [`loss`](Self::loss). See the [crate's documentation](crate) for an example.
pub trait Task: Sync {
    /// What has the parameters.
    type Model: Parameters + Sync;
    /// What a shard of a step computes.
    type Batch: Send + Sync;
    /// Memory that a shard reuses from step to step.
    type Workspace: Send;

    /// What [`Loss::items`] counts.
    const UNIT: &'static str = "examples";

    /// Number of training examples.
    fn examples(&self) -> usize;

    /// A workspace for one shard.
    fn workspace(&self, model: &Self::Model) -> Self::Workspace;

    /// Makes a shard of a step's batch from some examples. If several parameter groups take turns, the step says whose turn it is.
    ///
    /// # Errors
    /// If an example cannot be made.
    fn batch(&self, examples: &[usize], step: u64, generator: &mut ChaCha8Rng) -> Result<Self::Batch, TrainError>;

    /// Computes the loss of a shard, and adds the gradient of the *sum* of its terms to `gradient`, which is 0 when the task is called.
    ///
    /// # Errors
    /// If the loss cannot be computed.
    fn loss(
        &self,
        model: &Self::Model,
        batch: &Self::Batch,
        generator: &mut ChaCha8Rng,
        workspace: &mut Self::Workspace,
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError>;

    /// Measures a model. The first metric with a goal decides which model is the best; without one, the latest is kept.
    ///
    /// # Errors
    /// If validation fails.
    fn validate(&self, model: &Self::Model) -> Result<Vec<Metric>, TrainError>;

    /// Adds what the report shows before its curves: pictures of the last validation.
    fn illustrate(&self, _page: &mut Page) {}

    /// What goes into the header of the saved weights.
    fn metadata(&self) -> HashMap<String, String> {
        HashMap::new()
    }
}
