//! Tasks: the extension point of this crate.

use crate::{Page, TrainError};
use kexue_optim::Parameters;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::Hasher;

/// The loss of a shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loss {
    /// Sum of the terms.
    pub sum: f64,
    /// Number of terms. The recorded loss and the gradient are those of the mean over the whole batch.
    pub terms: f64,
    /// Number of computed [`Task::UNIT`]s, for the throughput.
    pub items: usize,
    /// Other means to record, by name: sum and number of terms.
    pub also: Vec<(String, f64, f64)>,
}

impl std::ops::AddAssign for Loss {
    fn add_assign(&mut self, loss: Self) {
        self.sum += loss.sum;
        self.terms += loss.terms;
        self.items += loss.items;
        for (name, sum, terms) in loss.also {
            match self.also.iter_mut().find(|(other, ..)| *other == name) {
                Some(other) => (other.1, other.2) = (other.1 + sum, other.2 + terms),
                None => self.also.push((name, sum, terms)),
            }
        }
    }
}

impl std::iter::Sum for Loss {
    fn sum<I: Iterator<Item = Self>>(losses: I) -> Self {
        losses.fold(Self::default(), |mut total, loss| {
            total += loss;
            total
        })
    }
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

/// A number measured by a validation.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Which values are better; `None` if neither.
    pub goal: Option<Goal>,
}

impl Metric {
    /// A metric whose larger values are better.
    pub fn maximized(name: impl Into<String>, value: f64) -> Self {
        Self {
            goal: Some(Goal::Maximize),
            ..Self::observed(name, value)
        }
    }

    /// A metric whose smaller values are better.
    pub fn minimized(name: impl Into<String>, value: f64) -> Self {
        Self {
            goal: Some(Goal::Minimize),
            ..Self::observed(name, value)
        }
    }

    /// A metric without better or worse values.
    pub fn observed(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
            goal: None,
        }
    }
}

/// A training task: how to make batches, and how to compute their losses.
///
/// Each batch is made while the previous one is computed. Both steps draw from a generator that depends only on the seed, the shard and the step; it is
/// passed from [`batch`](Self::batch) to [`loss`](Self::loss) with the batch. See the [crate's documentation](crate) for an example.
pub trait Task: Sync {
    /// The model to train.
    type Model: Parameters + Send + Sync;
    /// A shard of a step's batch.
    type Batch: Send + Sync;
    /// Memory that a shard reuses from step to step.
    type Workspace: Send;

    /// The unit that [`Loss::items`] counts.
    const UNIT: &'static str = "examples";

    /// Number of training examples.
    fn examples(&self) -> usize;

    /// Hashes the training examples, so that a run is not resumed with others. By default only their number.
    fn hash_examples(&self, hasher: &mut dyn Hasher) {
        hasher.write_usize(self.examples());
    }

    /// A workspace for one shard.
    fn workspace(&self, model: &Self::Model) -> Self::Workspace;

    /// Makes a shard of a step's batch from some examples. If parameter groups take turns, the step determines which group is trained.
    ///
    /// # Errors
    /// If an example cannot be made.
    fn batch(&self, examples: &[usize], step: u64, generator: &mut ChaCha8Rng) -> Result<Self::Batch, TrainError>;

    /// Computes the loss of a shard, and adds the gradient of the *sum* of its terms to `gradient`, which is 0 at the call.
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

    /// Measures a model. The first metric with a goal decides which model is the best; without such a metric, the latest is kept.
    ///
    /// # Errors
    /// If validation fails.
    fn validate(&self, model: &Self::Model) -> Result<Vec<Metric>, TrainError>;

    /// Adds content to the report before its curves, such as pictures of the last validation.
    fn illustrate(&self, _page: &mut Page) {}

    /// Entries of the header of the saved weights.
    fn metadata(&self) -> HashMap<String, String> {
        HashMap::new()
    }
}
