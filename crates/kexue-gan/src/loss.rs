//! Adversarial losses.

use burn::tensor::Tensor;
use burn::tensor::activation::{relu, softplus};
use serde::{Deserialize, Serialize};

/// The losses of both players, which they minimise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdversarialLoss {
    /// Critic `max(0, 1 − D(real)) + max(0, 1 + D(fake))`, generator `−D(fake)` (arXiv 1705.02894).
    Hinge,
    /// Critic: cross-entropy with D as the logit; generator: the non-saturating `−ln σ(D(fake))` (arXiv 1406.2661).
    Bce,
    /// Critic `D(fake) − D(real)`, generator `−D(fake)` (arXiv 1701.07875).
    Wasserstein,
}

impl AdversarialLoss {
    /// The critic's mean loss, `[1]`, from its scores for real and generated samples.
    pub fn critic(self, real: Tensor<1>, fake: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Hinge => relu(real.neg() + 1.0).mean() + relu(fake + 1.0).mean(),
            Self::Bce => softplus(real.neg(), 1.0).mean() + softplus(fake, 1.0).mean(),
            Self::Wasserstein => fake.mean() - real.mean(),
        }
    }

    /// The generator's mean loss, `[1]`, from the critic's scores for its samples.
    pub fn generator(self, fake: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Hinge | Self::Wasserstein => fake.mean().neg(),
            Self::Bce => softplus(fake.neg(), 1.0).mean(),
        }
    }
}
