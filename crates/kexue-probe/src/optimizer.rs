//! The optimiser of an architecture.

use crate::ProbeError;
use kexue_optim::{AdamConfig, Chain, ChainError, ChainSettings, Decay, Link, Slots};
use serde::{Deserialize, Serialize};

/// The rule that turns a gradient into a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Adam's moments (arXiv 1412.6980).
    #[default]
    Adam,
    /// The gradient itself.
    Sgd,
    /// Adam's direction at the length of the parameter (arXiv 1904.00962).
    Lamb,
}

/// An optimiser and its learning rate, which increases from 0 during the warm-up and is then constant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerSettings {
    /// The rule that turns a gradient into a direction.
    pub kind: OptimizerKind,
    /// The learning rate after the warm-up.
    pub learning_rate: f32,
    /// Number of warm-up steps, in the runs with warm-up.
    pub warmup: u64,
    /// Decoupled weight decay of the matrices.
    pub weight_decay: f32,
    /// Maximum norm of a gradient; 0 for no clipping.
    pub max_gradient_norm: f32,
    /// Adam's constants.
    pub adam: AdamConfig,
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam,
            learning_rate: 1e-3,
            warmup: 100,
            weight_decay: 0.0,
            max_gradient_norm: 0.0,
            adam: AdamConfig::default(),
        }
    }
}

impl OptimizerSettings {
    /// Checks that the settings are valid.
    ///
    /// # Errors
    /// If a setting is invalid. The error names it.
    pub fn validate(&self) -> Result<(), ProbeError> {
        let positive = |value: f32| value > 0.0 && value.is_finite();
        if !positive(self.learning_rate) {
            return Err(ProbeError::setting(
                "optimizer.learning_rate",
                format!("{} is not a positive number", self.learning_rate),
            ));
        }
        for (field, value) in [
            ("optimizer.weight_decay", self.weight_decay),
            ("optimizer.max_gradient_norm", self.max_gradient_norm),
        ] {
            if value != 0.0 && !positive(value) {
                return Err(ProbeError::setting(
                    field,
                    format!("{value} is not a number, 0 or more"),
                ));
            }
        }
        let AdamConfig { beta1, beta2, epsilon } = self.adam;
        if !(0.0..1.0).contains(&beta1) || !(0.0..1.0).contains(&beta2) || !positive(epsilon) {
            return Err(ProbeError::setting(
                "optimizer.adam",
                "betas must be within 0 and 1, epsilon positive",
            ));
        }
        Ok(())
    }

    /// The transformations, in their order: clip → moments → weight decay → trust ratio → learning rate.
    pub(crate) fn chain(&self, slots: &Slots, warmup: u64) -> Result<Chain, ProbeError> {
        let mut links = Vec::new();
        if self.max_gradient_norm > 0.0 {
            links.push(Link::Clip {
                max: self.max_gradient_norm,
            });
        }
        if self.kind != OptimizerKind::Sgd {
            links.push(Link::Adam(self.adam));
        }
        if self.weight_decay > 0.0 {
            links.push(Link::Decay {
                rate: self.weight_decay,
                on: Vec::new(),
                masked: false,
            });
        }
        if self.kind == OptimizerKind::Lamb {
            links.push(Link::TrustRatio {});
        }
        links.push(Link::Rate {
            peak: self.learning_rate,
            warmup,
            decay: Decay::Constant,
        });
        let settings = ChainSettings {
            links,
            ..ChainSettings::default()
        };
        let problem = |error: ChainError| ProbeError::setting("optimizer", error.to_string());
        settings.build(slots, u64::MAX).map_err(problem)
    }
}
