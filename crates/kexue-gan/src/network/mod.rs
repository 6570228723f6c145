//! The two players, in three architectures.
//!
//! Both networks take and return vectors, `[batch, size]`. An image is a vector of its numbers, channel by channel, and the convolutional networks
//! reshape it. So code that normalises, measures or draws a critic does not depend on the kind of its inputs.

mod cnn;
mod norm;
mod resnet;

pub use cnn::{CnnCritic, CnnGenerator};
pub use norm::{ChannelNorm, NormKind};
pub use resnet::{ResNetCritic, ResNetGenerator};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use kexue_grad::{Activation, Dual, ForwardDual, Mlp};
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
    /// The critic's activation.
    pub critic_activation: Activation,
    /// The generator's activation.
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

    /// Checks that the networks can be built for the data.
    ///
    /// # Errors
    /// If a setting is invalid. The error names it and its valid values.
    pub fn validate(&self, space: Space) -> Result<(), (&'static str, String)> {
        let range = |field, value: usize, most: usize| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err((field, format!("{value} must be within 1 and {most}"))),
        };
        range("latent", self.latent, 1 << 16)?;
        range("width", self.width, 1 << 13)?;
        range("layers", self.layers, 64)?;
        if let Distribution::Normal { std } | Distribution::TruncatedNormal { std, .. } = self.initial
            && !(std > 0.0 && std.is_finite())
        {
            return Err(("initial_std", format!("{std} must be a positive number")));
        }
        match (self.architecture, space) {
            (Architecture::Mlp, _) => Ok(()),
            (_, Space::Points(_)) => Err((
                "architecture",
                "convolutions need images, but the data are points; use an MLP".to_owned(),
            )),
            (Architecture::Cnn, Space::Images(shape)) => cnn::check(shape),
            (Architecture::Resnet, Space::Images(shape)) => resnet::check(shape),
        }
    }
}

/// The critic: `[batch, size]` → `[batch, 1]`.
// There is one per training run, so its size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Module, Debug)]
pub enum Critic {
    /// A multilayer perceptron.
    Mlp(Mlp),
    /// Strided convolutions.
    Cnn(CnnCritic),
    /// Residual blocks.
    ResNet(ResNetCritic),
}

/// The generator: `[batch, latent]` → `[batch, size]`. Images are within −1 and 1.
#[allow(clippy::large_enum_variant)]
#[derive(Module, Debug)]
pub enum Generator {
    /// A multilayer perceptron.
    Mlp(Mlp),
    /// A multilayer perceptron for images.
    ImageMlp(Mlp),
    /// Transposed convolutions.
    Cnn(CnnGenerator),
    /// Residual blocks.
    ResNet(ResNetGenerator),
}

impl Critic {
    /// Creates a critic. Draw its weights with [`FlatModule::draw`](kexue_burn::FlatModule::draw).
    pub fn new(settings: &ModelSettings, space: Space, device: &Device) -> Self {
        match (settings.architecture, space) {
            (Architecture::Cnn, Space::Images(shape)) => Self::Cnn(CnnCritic::new(settings, shape, device)),
            (Architecture::Resnet, Space::Images(shape)) => Self::ResNet(ResNetCritic::new(settings, shape, device)),
            _ => Self::Mlp(mlp(settings, space.size(), 1, settings.critic_activation, device)),
        }
    }

    /// The score of each sample, `[batch]`.
    pub fn scores(&self, input: Tensor<2>) -> Tensor<1> {
        score(self.forward_dual(None, Dual::constant(input))).value
    }
}

/// Converts the critic's output to one number per sample.
pub fn score(output: Dual<2>) -> Dual<1> {
    output.sum_per_sample()
}

impl Generator {
    /// Creates a generator. Draw its weights with [`FlatModule::draw`](kexue_burn::FlatModule::draw).
    pub fn new(settings: &ModelSettings, space: Space, device: &Device) -> Self {
        let mlp = || {
            mlp(
                settings,
                settings.latent,
                space.size(),
                settings.generator_activation,
                device,
            )
        };
        match (settings.architecture, space) {
            (Architecture::Cnn, Space::Images(shape)) => Self::Cnn(CnnGenerator::new(settings, shape, device)),
            (Architecture::Resnet, Space::Images(shape)) => Self::ResNet(ResNetGenerator::new(settings, shape, device)),
            (_, Space::Images(_)) => Self::ImageMlp(mlp()),
            (_, Space::Points(_)) => Self::Mlp(mlp()),
        }
    }
}

fn mlp(settings: &ModelSettings, inputs: usize, outputs: usize, activation: Activation, device: &Device) -> Mlp {
    let hidden = vec![settings.width; settings.layers];
    Mlp::new(&[vec![inputs], hidden, vec![outputs]].concat(), activation, device)
}

/// Calls the network of the variant, with the tangent of the same variant.
macro_rules! by_variant {
    ($self:ident, $tangent:ident, $input:ident, $($variant:ident),+) => {
        match $self {
            $(Self::$variant(network) => {
                let tangent = $tangent.and_then(|tangent| match tangent {
                    Self::$variant(tangent) => Some(tangent),
                    _ => None,
                });
                network.forward_dual(tangent, $input)
            })+
        }
    };
}

impl ForwardDual<2, 2> for Critic {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<2>) -> Dual<2> {
        by_variant!(self, tangent, input, Mlp, Cnn, ResNet)
    }
}

impl ForwardDual<2, 2> for Generator {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<2>) -> Dual<2> {
        let output = by_variant!(self, tangent, input, Mlp, ImageMlp, Cnn, ResNet);
        match self {
            Self::ImageMlp(_) => output.tanh(),
            _ => output,
        }
    }
}
