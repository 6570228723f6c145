//! The two players, in three architectures.
//!
//! Both take and return vectors, `[batch, size]`: an image is its numbers, channel by channel, and the convolutional networks give them their
//! shape themselves. So whatever normalises a critic, measures it or draws it need not know what its inputs are.

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
    /// Their kind.
    pub architecture: Architecture,
    /// Numbers that the generator starts from: a standard normal vector.
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
    /// How weights are drawn.
    pub initial: Distribution,
}

/// What the data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Points with so many coordinates.
    Points(usize),
    /// Images, their numbers within −1 and 1.
    Images(Shape),
}

impl Space {
    /// Numbers of one example.
    pub fn size(self) -> usize {
        match self {
            Self::Points(size) => size,
            Self::Images(shape) => shape.size(),
        }
    }
}

impl ModelSettings {
    /// Whether the critic is linear between kinks and treats each sample by itself, so that `∇ₓ‖∇ₓD‖ = 0` almost everywhere.
    pub fn critic_is_piecewise_linear(&self) -> bool {
        self.critic_activation.is_piecewise_linear() && self.critic_norm == NormKind::None
    }

    /// Checks that the networks can be built for the data.
    ///
    /// # Errors
    /// Names the setting, and says what it must be.
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
                "convolutions need images, and the data are points; take an MLP".to_owned(),
            )),
            (Architecture::Cnn, Space::Images(shape)) => cnn::check(shape),
            (Architecture::Resnet, Space::Images(shape)) => resnet::check(shape),
        }
    }
}

/// The critic: `[batch, size]` → `[batch, 1]`.
// One a training: its size does not matter.
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
    /// A critic as the settings say. Its weights are to be drawn by [`FlatModule::draw`](kexue_burn::FlatModule::draw).
    pub fn new(settings: &ModelSettings, space: Space, device: &Device) -> Self {
        match (settings.architecture, space) {
            (Architecture::Cnn, Space::Images(shape)) => Self::Cnn(CnnCritic::new(settings, shape, device)),
            (Architecture::Resnet, Space::Images(shape)) => Self::ResNet(ResNetCritic::new(settings, shape, device)),
            _ => Self::Mlp(mlp(settings, space.size(), 1, settings.critic_activation, device)),
        }
    }

    /// One score a sample, `[batch]`.
    pub fn scores(&self, input: Tensor<2>) -> Tensor<1> {
        score(self.forward_dual(None, Dual::constant(input))).value
    }
}

/// The critic's output as one number a sample.
pub fn score(output: Dual<2>) -> Dual<1> {
    output.sum_per_sample()
}

impl Generator {
    /// A generator as the settings say. Its weights are to be drawn by [`FlatModule::draw`](kexue_burn::FlatModule::draw).
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

/// Passes on, with the tangent's part of the same variant.
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
