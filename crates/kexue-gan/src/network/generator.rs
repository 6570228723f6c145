//! The generator of any architecture.

use super::cnn::CnnGenerator;
use super::mlp::mlp;
use super::resnet::ResNetGenerator;
use super::settings::{Architecture, ModelSettings, Space};
use super::variant::by_variant;
use burn::module::Module;
use burn::tensor::Device;
use kexue_grad::{Dual, ForwardDual, Mlp};

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

impl ForwardDual<2, 2> for Generator {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<2>) -> Dual<2> {
        let output = by_variant!(self, tangent, input, Mlp, ImageMlp, Cnn, ResNet);
        match self {
            Self::ImageMlp(_) => output.tanh(),
            _ => output,
        }
    }
}
