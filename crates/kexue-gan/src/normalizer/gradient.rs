//! Critics divided by the norm of their gradient (article 8757).

use super::method::Normalizer;
use burn::tensor::Tensor;

/// The formula of D̂ from scores D and norms `‖g‖` of `g = ∇ₓD`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GradientRatio {
    /// `D/(‖g‖ + |D|)`, within −1 and 1 (arXiv 2109.02235).
    Gn,
    /// `D·‖g‖/(‖g‖² + ε)` (arXiv 2111.03162).
    Gran {
        /// ε.
        epsilon: f64,
    },
    /// `D/(‖g‖ + ε)`.
    Scaled {
        /// ε.
        epsilon: f64,
    },
    /// `⟨g/‖g‖, x⟩`. For a piecewise-linear critic without biases, `D = ⟨g, x⟩`, so this is `D/‖g‖`.
    Direction,
}

/// Added to denominators, because score and norm can both be 0, as at the origin for a new network with biases of 0.
const SMALLEST: f64 = 1e-12;

/// A critic divided by the norm of its own gradient.
#[derive(Clone, Copy, Debug)]
pub struct GradientNormalizer(pub GradientRatio);

impl Normalizer for GradientNormalizer {
    fn needs_gradient(&self) -> bool {
        true
    }

    fn projects(&self) -> bool {
        self.0 == GradientRatio::Direction
    }

    fn normalize(&self, scores: Tensor<1>, norms: Tensor<1>) -> Tensor<1> {
        match self.0 {
            GradientRatio::Gn => scores.clone() / (norms + scores.abs() + SMALLEST),
            GradientRatio::Gran { epsilon } => scores * norms.clone() / (norms.square() + epsilon),
            GradientRatio::Scaled { epsilon } => scores / (norms + epsilon),
            GradientRatio::Direction => scores / (norms + SMALLEST),
        }
    }
}
