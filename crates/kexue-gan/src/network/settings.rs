//! The settings of both networks.

use super::norm::NormKind;
use kexue_grad::Activation;
use kexue_images::Shape;
use kexue_nn::Distribution;
use serde::{Deserialize, Serialize};

/// The kind of both networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Multilayer perceptrons, for points of any dimension.
    Mlp,
    /// Strided convolutions, as in DCGAN (arXiv 1511.06434).
    Cnn,
    /// Residual blocks, as in SNGAN (arXiv 1802.05957).
    Resnet,
}

/// The shape of both networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// The kind of both networks.
    pub architecture: Architecture,
    /// Size of the generator's input, a standard normal vector.
    pub latent: usize,
    /// Width of the hidden layers; channels after the critic's first convolution.
    pub width: usize,
    /// Hidden layers of an MLP.
    pub layers: usize,
    /// The activation after each hidden layer of the critic.
    pub critic_activation: Activation,
    /// The activation after each hidden layer of the generator.
    pub generator_activation: Activation,
    /// The norm of the critic's hidden layers.
    pub critic_norm: NormKind,
    /// The norm of the generator's hidden layers.
    pub generator_norm: NormKind,
    /// The distribution of the initial weights.
    pub initial: Distribution,
}

/// The kind and size of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Points with this number of coordinates.
    Points(usize),
    /// Images, with numbers within −1 and 1.
    Images(Shape),
}

impl Space {
    /// Size of an example.
    pub fn size(self) -> usize {
        match self {
            Self::Points(size) => size,
            Self::Images(shape) => shape.size(),
        }
    }
}

impl ModelSettings {
    /// Whether the critic is linear between kinks and treats samples independently, so that `∇ₓ‖∇ₓD‖ = 0` almost everywhere.
    pub fn critic_is_piecewise_linear(&self) -> bool {
        self.critic_activation.is_piecewise_linear() && self.critic_norm == NormKind::None
    }
}
