//! Weight clipping (WGAN, arXiv 1701.07875).

use super::method::Normalizer;

/// Clips every weight to ±c after each step (arXiv 1701.07875).
#[derive(Clone, Copy, Debug)]
pub struct WeightClipping {
    /// c.
    pub bound: f32,
}

impl Normalizer for WeightClipping {
    fn weight_bound(&self) -> Option<f32> {
        Some(self.bound)
    }
}
