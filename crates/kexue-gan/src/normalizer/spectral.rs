//! Spectral normalisation (arXiv 1802.05957).

use super::method::Normalizer;
use crate::network::Critic;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use kexue_grad::{Dual, SingularVectors};

/// Divides every weight, as a matrix `[out, all others]`, by its largest singular value.
///
/// The singular vectors are recomputed every time from a fixed start. So there is no state that a checkpoint would have to keep, at the cost of some
/// products of a matrix and a vector, which are cheap compared with those of matrices.
#[derive(Clone, Copy, Debug)]
pub struct SpectralNorm;

/// Number of rounds of power iteration.
const ROUNDS: usize = 12;

struct Divide;

impl ModuleMapper for Divide {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D < 2 {
            return parameter;
        }
        let (id, weight, mapper) = parameter.consume();
        let dims = weight.dims();
        let matrix = weight.clone().reshape([dims[0], dims[1..].iter().product()]);
        let vectors = SingularVectors::of(matrix, ROUNDS);
        let divided = Dual::constant(weight).spectral_norm(&vectors).value;
        Param::from_mapped_value(id, divided, mapper)
    }
}

impl Normalizer for SpectralNorm {
    fn weights(&self, critic: &Critic) -> Critic {
        critic.clone().map(&mut Divide)
    }
}
