//! The critic of any architecture.

use super::cnn::CnnCritic;
use super::mlp::mlp;
use super::resnet::ResNetCritic;
use super::settings::{Architecture, ModelSettings, Space};
use super::variant::by_variant;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use kexue_grad::{Dual, ForwardDual, Mlp, PiecewiseLinear, scores_and_grad_norms, scores_and_input_gradient};

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

impl Critic {
    /// Creates a critic. Draw its weights with [`FlatModule::draw`](kexue_burn::FlatModule::draw).
    pub fn new(settings: &ModelSettings, space: Space, device: &Device) -> Self {
        match (settings.architecture, space) {
            (Architecture::Cnn, Space::Images(shape)) => Self::Cnn(CnnCritic::new(settings, shape, device)),
            (Architecture::Resnet, Space::Images(shape)) => Self::ResNet(ResNetCritic::new(settings, shape, device)),
            _ => Self::Mlp(mlp(settings, space.size(), 1, settings.critic_activation, device)),
        }
    }

    /// The critic in the form that computes the following faster, if it has one.
    fn piecewise_linear(&self) -> Option<PiecewiseLinear> {
        match self {
            Self::Mlp(mlp) => {
                let inputs = mlp.layers().first()?.weight.dims()[0];
                let chain = PiecewiseLinear::new([inputs, 1, 1], mlp.activation())?;
                mlp.layers().iter().try_fold(chain, PiecewiseLinear::dense)
            }
            Self::Cnn(cnn) => cnn.piecewise_linear(),
            // Its shortcuts make it more than a chain.
            Self::ResNet(_) => None,
        }
    }

    /// The score of each sample, `[batch]`.
    pub fn scores(&self, input: Tensor<2>) -> Tensor<1> {
        let fast = self.piecewise_linear().and_then(|chain| chain.scores(input.clone()));
        fast.unwrap_or_else(|| score(self.forward_dual(None, Dual::constant(input))).value)
    }

    /// The scores of the samples and the norms of their gradients, both `[batch]` and differentiable.
    pub fn scores_and_grad_norms(&self, input: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let chain = self.piecewise_linear();
        let fast = chain.and_then(|chain| chain.scores_and_grad_norms(input.clone()));
        fast.unwrap_or_else(|| scores_and_grad_norms(self, input, score))
    }

    /// The scores of the samples, `[batch]`, and the gradient of each with respect to its sample, `[batch, size]`, as constants.
    pub fn scores_and_input_gradient(&self, input: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        let chain = self.piecewise_linear();
        let fast = chain.and_then(|chain| chain.scores_and_input_gradient(input.clone()));
        fast.unwrap_or_else(|| scores_and_input_gradient(self, input, score))
    }
}

/// Converts the critic's output to one number per sample.
pub fn score(output: Dual<2>) -> Dual<1> {
    output.sum_per_sample()
}

impl ForwardDual<2, 2> for Critic {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<2>) -> Dual<2> {
        by_variant!(self, tangent, input, Mlp, Cnn, ResNet)
    }
}
