//! Derivatives of gradients on [Burn](https://burn.dev), which itself differentiates only once.
//!
//! Gradient penalties need the derivative of a gradient. It is always the derivative of a *directional* derivative, which can be computed in forward
//! mode: a [`Dual`] carries a tangent with each tensor, and reverse mode then differentiates the tangent. The result is exact for every
//! differentiable network, at about the cost of one more forward and backward pass.
//!
//! Read [`Dual`] first, then [`ForwardDual`], the only trait that a network must implement, then [`grad_norm`].
//!
//! | what | function |
//! | --- | --- |
//! | derivative along a direction of the input | [`jvp`] |
//! | `‖∇ₓf‖` of each sample, differentiable | [`grad_norm`]; together with the scores: [`scores_and_grad_norms`] |
//! | its penalty: squared, one-sided or two-sided | [`input_gradient_penalty`] |
//! | Hessian with respect to the parameters times a direction | [`hvp`] |
//! | `‖∇_θL‖²`, differentiable | [`parameter_gradient_penalty`] |
//!
//! For chains of convolutions and dense layers with ReLU or leaky ReLU, [`PiecewiseLinear`] computes scores and norms in fewer passes.
//!
//! [`inequality`] computes both sides of the inequality between the two penalties (article 8796).
//!
//! The following example trains a critic with WGAN-GP's penalty:
//!
//! ```
//! use burn::module::Module;
//! use burn::nn::{Linear, LinearConfig};
//! use burn::optim::{AdamConfig, GradientsParams};
//! use burn::tensor::{Device, Distribution, Tensor};
//! use kexue_grad::{Dual, ForwardDual, NormPenalty, forward_dual, grad_norm, input_gradient_penalty};
//!
//! #[derive(Module, Debug)]
//! struct Critic {
//!     hidden: Linear,
//!     score: Linear,
//! }
//! forward_dual!(Critic, 2 => 2: .hidden, tanh(), .score);
//!
//! let device = Device::flex().autodiff();
//! device.seed(1);
//! let mut critic = Critic {
//!     hidden: LinearConfig::new(2, 16).init(&device),
//!     score: LinearConfig::new(16, 1).init(&device),
//! };
//! let mut optimizer = AdamConfig::new().init();
//! let real = Tensor::<2>::random([64, 2], Distribution::Normal(1.0, 0.3), &device);
//! let fake = Tensor::<2>::random([64, 2], Distribution::Normal(-1.0, 0.3), &device);
//! for _ in 0..60 {
//!     let share = Tensor::<2>::random([64, 1], Distribution::Default, &device);
//!     let between = real.clone() * share.clone() + fake.clone() * (share.neg() + 1.0);
//!     let penalty = input_gradient_penalty(&critic, between, Dual::<2>::sum_per_sample, NormPenalty::TwoSided { target: 1.0 });
//!     let loss = critic.forward(fake.clone()).mean() - critic.forward(real.clone()).mean() + penalty * 10.0;
//!     let gradients = GradientsParams::from_grads(loss.backward(), &critic);
//!     critic = optimizer.step(0.02, critic, gradients);
//! }
//! let norms = grad_norm(&critic, real * 0.5, Dual::<2>::sum_per_sample);
//! assert!((norms.mean().into_scalar::<f32>() - 1.0).abs() < 0.3);
//! ```
#![forbid(unsafe_code)]

mod activation;
mod derivative;
mod dual;
mod forward;
pub mod inequality;
mod mlp;
mod norm;
mod piecewise_linear;
mod pooling;
mod product;
mod reduction;
mod shape;

pub use derivative::{
    NormPenalty, grad_norm, hvp, input_gradient, input_gradient_penalty, jvp, norm_per_sample, parameter_gradient,
    parameter_gradient_penalty, parameter_gradient_penalty_per_sample, parameter_jvp, scores_and_grad_norms,
    scores_and_input_gradient,
};
pub use dual::Dual;
pub use forward::{ForwardDual, embed};
pub use inequality::Activation;
pub use mlp::Mlp;
pub use norm::SingularVectors;
pub use piecewise_linear::PiecewiseLinear;
