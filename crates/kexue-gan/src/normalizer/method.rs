//! The trait of normalisation methods.

use crate::network::Critic;
use burn::tensor::Tensor;

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

    /// Computes D̂ from the scores D and the norms `‖∇ₓD‖`, both `[batch]`. Called only if [`needs_gradient`](Self::needs_gradient) is true; otherwise D̂ is
    /// D.
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
