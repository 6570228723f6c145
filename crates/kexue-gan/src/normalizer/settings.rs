//! Normalisers as settings.

use super::clipping::WeightClipping;
use super::gradient::{GradientNormalizer, GradientRatio};
use super::method::{Normalizer, Unnormalized};
use super::penalty::GradientPenalty;
use super::spectral::SpectralNorm;
use crate::network::{ModelSettings, NormKind};
use serde::{Deserialize, Serialize};

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
