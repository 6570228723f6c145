//! Normalisation of critics, which bounds their slope: one trait and eight implementations.
//!
//! | setting | D̂ | slope |
//! | --- | --- | --- |
//! | `none` | D | not bounded |
//! | `clip` | D, weights within ±c | bounded by the architecture |
//! | `gradient_penalty` | D, plus a penalty of `‖∇ₓD‖` between real and generated samples | about 1 there |
//! | `spectral` | D of weights W/σ(W) | at most 1 for 1-Lipschitz activations, up to the error of σ |
//! | `gradient` (GN) | `D/(‖g‖ + \|D\|)`, `g = ∇ₓD` | at most 1 off the kinks |
//! | `gran` | `D·‖g‖/(‖g‖² + ε)` | at most 1 off the kinks |
//! | `scaled` | `D/(‖g‖ + ε)` | at most 1 off the kinks |
//! | `direction` | `⟨g/‖g‖, x⟩` | 1 off the kinks |
//!
//! For the last four (article 8757), the bound does not hold *at* the kinks, where `‖g‖` and therefore D̂ jump.

mod gradient;
mod penalty;
mod spectral;

pub use gradient::{GradientNormalizer, GradientRatio};
pub use penalty::GradientPenalty;
pub use spectral::SpectralNorm;

use crate::network::{Critic, ModelSettings, NormKind};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// A way to normalise a critic.
pub trait Normalizer: Send + Sync {
    /// The critic with normalised weights, as a differentiable function of its weights.
    fn weights(&self, critic: &Critic) -> Critic {
        critic.clone()
    }

    /// Whether [`normalize`](Self::normalize) needs the norm of the gradient.
    fn needs_gradient(&self) -> bool {
        false
    }

    /// Whether [`normalize`](Self::normalize) gets `⟨∇ₓD, x⟩` as the scores instead of D.
    fn projects(&self) -> bool {
        false
    }

    /// Computes D̂ from the scores D and the norms `‖∇ₓD‖`, both `[batch]`. The norms are 0 if they are not needed.
    fn normalize(&self, scores: Tensor<1>, _norms: Tensor<1>) -> Tensor<1> {
        scores
    }

    /// A penalty to add to the critic's loss, for real and generated samples `[batch, size]` and a random number within 0 and 1 for each pair, `[batch, 1]`.
    fn penalty(&self, _critic: &Critic, _real: Tensor<2>, _fake: Tensor<2>, _shares: Tensor<2>) -> Option<Tensor<1>> {
        None
    }

    /// The bound of the critic's weights, which are clipped after each step; `None` for no clipping.
    fn weight_bound(&self) -> Option<f32> {
        None
    }
}

/// No normalisation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unnormalized;

impl Normalizer for Unnormalized {}

/// Clips every weight to ±c after each step (arXiv 1701.07875).
#[derive(Clone, Copy, Debug)]
pub struct WeightClipping {
    /// c.
    pub bound: f32,
}

impl Normalizer for WeightClipping {
    fn weight_bound(&self) -> Option<f32> {
        Some(self.bound)
    }
}

/// The settings of a normaliser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NormalizerSettings {
    /// [`Unnormalized`].
    None {},
    /// [`WeightClipping`].
    Clip {
        /// Maximum absolute weight.
        bound: f32,
    },
    /// [`GradientPenalty`].
    GradientPenalty {
        /// The factor of the penalty.
        weight: f64,
        /// Whether only norms above 1 are penalised.
        one_sided: bool,
    },
    /// [`SpectralNorm`].
    Spectral {},
    /// [`GradientRatio::Gn`].
    Gradient {},
    /// [`GradientRatio::Gran`].
    Gran {
        /// ε.
        epsilon: f64,
    },
    /// [`GradientRatio::Scaled`].
    Scaled {
        /// ε.
        epsilon: f64,
    },
    /// [`GradientRatio::Direction`].
    Direction {},
}

impl NormalizerSettings {
    /// Builds the normaliser.
    pub fn build(self) -> Box<dyn Normalizer> {
        match self {
            Self::None {} => Box::new(Unnormalized),
            Self::Clip { bound } => Box::new(WeightClipping { bound }),
            Self::GradientPenalty { weight, one_sided } => Box::new(GradientPenalty { weight, one_sided }),
            Self::Spectral {} => Box::new(SpectralNorm),
            Self::Gradient {} => Box::new(GradientNormalizer(GradientRatio::Gn)),
            Self::Gran { epsilon } => Box::new(GradientNormalizer(GradientRatio::Gran { epsilon })),
            Self::Scaled { epsilon } => Box::new(GradientNormalizer(GradientRatio::Scaled { epsilon })),
            Self::Direction {} => Box::new(GradientNormalizer(GradientRatio::Direction)),
        }
    }

    /// Checks that the settings are valid and suit the critic.
    ///
    /// # Errors
    /// If a setting is invalid. The error names it and its valid values.
    pub fn validate(self, model: &ModelSettings) -> Result<(), (&'static str, String)> {
        let positive = |field, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err((field, format!("{value} must be a positive number"))),
        };
        match self {
            Self::Clip { bound } => positive("clip", f64::from(bound))?,
            Self::GradientPenalty { weight, .. } => positive("penalty_weight", weight)?,
            Self::Gran { epsilon } | Self::Scaled { epsilon } => positive("epsilon", epsilon)?,
            Self::None {} | Self::Spectral {} | Self::Gradient {} | Self::Direction {} => {}
        }
        let per_sample = matches!(
            self,
            Self::GradientPenalty { .. }
                | Self::Gradient {}
                | Self::Gran { .. }
                | Self::Scaled { .. }
                | Self::Direction {}
        );
        if per_sample && model.critic_norm == NormKind::Batch {
            let problem = "with batch norm, the score of a sample depends on the other samples of its batch, so the gradient of each score with respect \
                           to its own input cannot be computed in one pass: the gradient of the sum also contains the contributions of the other \
                           samples; use no norm or layer norm";
            return Err(("critic_norm", problem.to_owned()));
        }
        Ok(())
    }
}
