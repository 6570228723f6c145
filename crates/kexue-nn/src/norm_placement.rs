//! The placement of the norms in a block.

use serde::{Deserialize, Serialize};

/// The placement of the norms, and the factor of the residual stream.
///
/// DeepNorm's constants are those of an encoder with N layers, hence 2N branches; β is for the weights inside the branches
/// ([`BranchScaling::DeepNorm`](crate::BranchScaling::DeepNorm)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormPlacement {
    /// `x + F(Norm(x))`, with a final norm. It trains without warm-up (article 8747).
    #[default]
    Pre,
    /// `Norm(x + F(x))`, as in BERT; the embeddings are normalised too.
    Post,
    /// `Norm(α·x + F(x))` with the published α = (2N)^¼, β = (8N)^−¼ (arXiv 2203.00555).
    DeepNorm,
    /// The constants re-derived for SGD in article 8978: α = (2N)^¼, β = (2N)^−¼.
    DeepNormSgd,
    /// The constants for Adam: α = (2N)^½, β = (2N)^−½.
    DeepNormAdam,
    /// The constants for LAMB: α = 1, β = (2N)^−½.
    DeepNormLamb,
    /// `x + Norm(F(Norm(x)))`, with a final norm (CogView, arXiv 2105.13290).
    Sandwich,
    /// `x + F(x)`, for gated branches (ReZero, SkipInit) and Fixup.
    None,
}

impl NormPlacement {
    /// Whether the input of a branch is normalised.
    pub fn before(self) -> bool {
        matches!(self, Self::Pre | Self::Sandwich)
    }

    /// Whether the sum of stream and branch is normalised.
    pub fn after(self) -> bool {
        matches!(self, Self::Post) || self.is_deep_norm()
    }

    /// Whether this is one of the DeepNorm placements.
    pub fn is_deep_norm(self) -> bool {
        matches!(
            self,
            Self::DeepNorm | Self::DeepNormSgd | Self::DeepNormAdam | Self::DeepNormLamb
        )
    }

    /// α: the factor of the residual stream at each branch, in a model with this many layers.
    pub fn residual_scale(self, layers: usize) -> f64 {
        let branches = 2.0 * layers as f64;
        match self {
            Self::DeepNorm | Self::DeepNormSgd => branches.powf(0.25),
            Self::DeepNormAdam => branches.sqrt(),
            _ => 1.0,
        }
    }

    /// β: DeepNorm's factor of the weights inside branches.
    pub fn branch_weight_scale(self, layers: usize) -> f64 {
        let branches = 2.0 * layers as f64;
        match self {
            Self::DeepNorm => (4.0 * branches).powf(-0.25),
            Self::DeepNormSgd => branches.powf(-0.25),
            Self::DeepNormAdam | Self::DeepNormLamb => branches.powf(-0.5),
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_norms_constants() {
        // N = 8 layers, 16 branches.
        for (placement, alpha, beta) in [
            (NormPlacement::DeepNorm, 2.0, 64f64.powf(-0.25)),
            (NormPlacement::DeepNormSgd, 2.0, 0.5),
            (NormPlacement::DeepNormAdam, 4.0, 0.25),
            (NormPlacement::DeepNormLamb, 1.0, 0.25),
            (NormPlacement::Post, 1.0, 1.0),
        ] {
            assert!((placement.residual_scale(8) - alpha).abs() < 1e-12, "{placement:?}");
            assert!((placement.branch_weight_scale(8) - beta).abs() < 1e-12, "{placement:?}");
        }
    }
}
