//! Training settings.

use crate::{Regularizer, TrainError};
use kexue_optim::{AdamConfig, ChainSettings, Decay, Link, SlotGroup};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// All settings of a run except those of the task and the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSettings {
    /// Seed of all random choices.
    pub seed: u64,
    /// Number of optimiser steps.
    pub steps: u64,
    /// Examples per step.
    pub batch_size: usize,
    /// Number of parts of a batch that are computed in parallel. It determines how gradients are summed, so the result depends on it.
    pub shards: usize,
    /// The optimiser, transformation by transformation. If there is none: clip to `max_gradient_norm`, `adam`, `weight_decay` of the matrices, and a
    /// learning rate that rises to `learning_rate` in `warmup` steps and falls as `decay` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub optimizer: Vec<Link>,
    /// Parameters that are frozen, or have their own learning rate or weight decay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<SlotGroup>,
    /// Perturbation of inputs or parameters, or a penalty of their gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regularizer: Option<Regularizer>,
    /// Highest learning rate.
    pub learning_rate: f32,
    /// Number of warm-up steps.
    pub warmup: u64,
    /// How the learning rate decays after the warm-up.
    pub decay: Decay,
    /// Decoupled weight decay, for matrices only.
    pub weight_decay: f32,
    /// The norm that gradients are clipped to; infinite for no clipping.
    pub max_gradient_norm: f32,
    /// Adam's constants.
    pub adam: AdamConfig,
    /// Decay of the moving average of the weights that is validated and saved; 0 for none.
    pub average: f32,
    /// Decays of further moving averages. Each is validated, and the best one is saved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_averages: Vec<f32>,
    /// Number of steps between validations and checkpoints.
    pub validate_every: u64,
    /// Stop after this many validations without improvement; 0 for never.
    pub patience: u64,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            steps: 5_000,
            batch_size: 64,
            shards: 4,
            optimizer: Vec::new(),
            groups: Vec::new(),
            regularizer: None,
            learning_rate: 1e-3,
            warmup: 200,
            decay: Decay::Cosine,
            weight_decay: 0.01,
            max_gradient_norm: 1.0,
            adam: AdamConfig {
                beta1: 0.9,
                beta2: 0.98,
                epsilon: 1e-8,
            },
            average: 0.999,
            more_averages: Vec::new(),
            validate_every: 500,
            patience: 0,
        }
    }
}

/// Reads an optimiser from a TOML file: `[[optimizer]]` tables, and `[[group]]` tables for parameters with their own settings.
///
/// # Errors
/// If the file cannot be read, a table is invalid (the error names its line), or there is none.
pub fn read_optimizer(path: &Path) -> Result<ChainSettings, TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
    let read: ChainSettings =
        toml::from_str(&text).map_err(|error| TrainError::file(path, error.to_string().trim_end()))?;
    match read.links.is_empty() {
        true => Err(TrainError::file(
            path,
            "has no [[optimizer]] table: name the transformations in their order",
        )),
        false => Ok(read),
    }
}

/// Larger rates make all numbers overflow, and might overflow themselves when multiplied by the warm-up steps.
const LARGEST_RATE: f32 = 1e6;

impl TrainSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// Names the first invalid setting.
    pub fn validate(&self) -> Result<(), TrainError> {
        let problem = |field, problem: &str| {
            Err(TrainError::Setting {
                field,
                problem: problem.to_owned(),
            })
        };
        if self.steps == 0 {
            return problem("steps", "there must be at least one");
        }
        if self.batch_size == 0 || self.batch_size > 1 << 20 {
            return problem("batch_size", "must be within 1 and 1048576");
        }
        if self.shards == 0 || self.shards > 1024 {
            return problem("shards", "must be within 1 and 1024");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return problem("learning_rate", "must be a positive number");
        }
        if self.learning_rate > LARGEST_RATE {
            return problem("learning_rate", "must be at most 1e6");
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return problem("weight_decay", "must be a number, 0 or more");
        }
        if self.max_gradient_norm.is_nan() || self.max_gradient_norm <= 0.0 {
            return problem("max_gradient_norm", "must be a positive number");
        }
        if !(0.0..1.0).contains(&self.average) {
            return problem("average", "must be 0 (none) or below 1");
        }
        if !self
            .more_averages
            .iter()
            .all(|average| *average > 0.0 && *average < 1.0)
        {
            return problem("more_averages", "must be within 0 and 1");
        }
        let share = |value: f32| (0.0..1.0).contains(&value);
        let AdamConfig { beta1, beta2, epsilon } = self.adam;
        if !(share(beta1) && share(beta2) && epsilon > 0.0 && epsilon.is_finite()) {
            return problem("adam", "betas must be within 0 and 1, epsilon positive");
        }
        if self.validate_every == 0 {
            return problem("validate_every", "must be at least 1");
        }
        Ok(())
    }

    /// Whether a finished run can be continued with more steps, because no learning rate depends on the number of steps.
    pub fn can_be_extended(&self) -> bool {
        !self.chain().depends_on_steps()
    }

    /// The optimiser.
    pub fn chain(&self) -> ChainSettings {
        let mut links = self.optimizer.clone();
        if links.is_empty() {
            if self.max_gradient_norm.is_finite() {
                links.push(Link::Clip {
                    max: self.max_gradient_norm,
                });
            }
            links.push(Link::Adam(self.adam));
            if self.weight_decay > 0.0 {
                links.push(Link::Decay {
                    rate: self.weight_decay,
                    on: Vec::new(),
                    masked: false,
                });
            }
            links.push(Link::Rate {
                peak: self.learning_rate,
                warmup: self.warmup,
                decay: self.decay,
            });
        }
        ChainSettings {
            links,
            groups: self.groups.clone(),
            seed: self.seed,
        }
    }

    /// The moving averages.
    pub fn averages(&self) -> Vec<f32> {
        let first = (self.average > 0.0).then_some(self.average);
        first.into_iter().chain(self.more_averages.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_are_refused_by_name() {
        let field = |change: &dyn Fn(&mut TrainSettings)| {
            let mut settings = TrainSettings::default();
            change(&mut settings);
            match settings.validate() {
                Err(TrainError::Setting { field, .. }) => field,
                _ => "none",
            }
        };
        assert_eq!(field(&|_| ()), "none");
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(field(&|settings| settings.learning_rate = value), "learning_rate");
            assert_eq!(field(&|settings| settings.weight_decay = value), "weight_decay");
            assert_eq!(field(&|settings| settings.average = value), "average");
            assert_eq!(field(&|settings| settings.adam.beta1 = value), "adam");
            assert_eq!(field(&|settings| settings.adam.beta2 = value), "adam");
            assert_eq!(field(&|settings| settings.adam.epsilon = value), "adam");
        }
        assert_eq!(
            field(&|settings| settings.max_gradient_norm = f32::NAN),
            "max_gradient_norm"
        );
        assert_eq!(
            field(&|settings| settings.learning_rate = 3e38),
            "learning_rate",
            "infinite while it warms up"
        );
    }
}
