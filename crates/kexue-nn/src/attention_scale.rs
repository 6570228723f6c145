//! What multiplies `q·k` before the softmax.

use serde::{Deserialize, Serialize};

/// The factor λ of `softmax(λ·QKᵀ)V`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum AttentionScale {
    /// `1/√d`, the scale of "Attention Is All You Need".
    #[default]
    Ordinary,
    /// `log_base(n)/√d` for a query that sees `n` keys: the entropy of the attention row then hardly depends on `n` (article 8823).
    EntropyInvariant {
        /// The `n` at which it equals the ordinary scale; 512 in the article.
        base: f64,
    },
}

impl AttentionScale {
    /// λ for a query that sees `keys` keys, in heads of `head_dim`.
    ///
    /// One key gives 0 under the entropy-invariant scale, which is harmless: the softmax over one key is 1.
    pub fn factor(self, keys: usize, head_dim: usize) -> f32 {
        let ordinary = 1.0 / (head_dim as f64).sqrt();
        let factor = match self {
            Self::Ordinary => ordinary,
            Self::EntropyInvariant { base } => (keys.max(1) as f64).ln() / base.ln() * ordinary,
        };
        factor as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_invariant_is_ordinary_at_its_base() {
        let scale = AttentionScale::EntropyInvariant { base: 512.0 };
        assert_eq!(
            scale.factor(512, 64).to_bits(),
            AttentionScale::Ordinary.factor(512, 64).to_bits()
        );
        assert_eq!(scale.factor(1, 64), 0.0);
        assert!(scale.factor(64, 64) < 0.125 && scale.factor(1024, 64) > 0.125);
    }
}
