//! WGAN-GP (arXiv 1704.00028).

use super::method::Normalizer;
use crate::network::Critic;
use burn::tensor::Tensor;
use kexue_grad::NormPenalty;

/// `weight·(‖∇ₓD‖ − 1)²` at points between real and generated samples.
#[derive(Clone, Copy, Debug)]
pub struct GradientPenalty {
    /// The factor of the penalty; 10 in the paper.
    pub weight: f64,
    /// Whether only norms above 1 are penalised.
    pub one_sided: bool,
}

impl Normalizer for GradientPenalty {
    fn penalty(&self, critic: &Critic, real: Tensor<2>, fake: Tensor<2>, shares: Tensor<2>) -> Option<Tensor<1>> {
        let between = real * shares.clone() + fake * (shares.neg() + 1.0);
        let penalty = match self.one_sided {
            true => NormPenalty::OneSided { target: 1.0 },
            false => NormPenalty::TwoSided { target: 1.0 },
        };
        let (_, norms) = critic.scores_and_grad_norms(between);
        Some(penalty.of(norms).mean() * self.weight)
    }
}
