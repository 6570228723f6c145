//! The attention scale: the factor of `q·k` before the softmax.

use serde::{Deserialize, Serialize};

/// The factor λ of `softmax(λ·QKᵀ)V`, in heads of width d, for a query that sees n keys.
///
/// It is applied to the queries, so it costs nothing and works with any attention kernel. n is counted in the query's own row of the mask
/// ([`Mask::visible`](crate::Mask::visible)), so it differs between rows and starts over in each packed document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum AttentionScale {
    /// `1/√d`, the scale of "Attention Is All You Need".
    #[default]
    Ordinary,
    /// `log_base(n)/√d`, with which the entropy of an attention row hardly depends on n (article 8823).
    EntropyInvariant {
        /// The n at which the factor equals the ordinary scale; 512 in the article.
        base: f64,
    },
    /// `κ·ln(n)/d`, the same scale given by its constant κ = √d / ln(base).
    EntropyInvariantKappa {
        /// κ.
        kappa: f64,
    },
    /// `max(1, log_L(n))/√d`, for inference only, with a model that was trained with the ordinary scale at length L (article 8823).
    InferenceClip {
        /// L, the training length.
        trained_length: usize,
    },
    /// One factor for every head width and number of keys; 1 in T5.
    Fixed {
        /// λ.
        factor: f64,
    },
}

impl AttentionScale {
    /// λ for a query that sees `keys` keys, in heads of `head_dim`.
    ///
    /// One key gives 0 under the entropy-invariant scale, which is harmless: the softmax over one key is 1.
    pub fn factor(self, keys: usize, head_dim: usize) -> f32 {
        let ordinary = 1.0 / (head_dim as f64).sqrt();
        let log_keys = (keys.max(1) as f64).ln();
        let factor = match self {
            Self::Ordinary => ordinary,
            Self::EntropyInvariant { base } => log_keys / base.ln() * ordinary,
            Self::EntropyInvariantKappa { kappa } => kappa * log_keys / head_dim as f64,
            Self::InferenceClip { trained_length } => (log_keys / (trained_length as f64).ln()).max(1.0) * ordinary,
            Self::Fixed { factor } => factor,
        };
        factor as f32
    }

    /// The invalid field and the problem, if any.
    pub(crate) fn problem(self) -> Option<(&'static str, String)> {
        let unless = |good: bool, field, problem: String| (!good).then_some((field, problem));
        match self {
            Self::Ordinary => None,
            Self::EntropyInvariant { base } => unless(
                base > 1.0 && base.is_finite(),
                "attention_scale.base",
                format!("{base} is not a number above 1"),
            ),
            Self::EntropyInvariantKappa { kappa } => unless(
                kappa > 0.0 && kappa.is_finite(),
                "attention_scale.kappa",
                format!("{kappa} is not a positive number"),
            ),
            Self::InferenceClip { trained_length } => unless(
                trained_length > 1,
                "attention_scale.trained_length",
                format!("{trained_length} is not a length of at least 2"),
            ),
            Self::Fixed { factor } => unless(
                factor > 0.0 && factor.is_finite(),
                "attention_scale.factor",
                format!("{factor} is not a positive number"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_invariant_is_ordinary_at_its_base() {
        let scale = AttentionScale::EntropyInvariant { base: 512.0 };
        for head_dim in [32, 64, 100] {
            let ordinary = AttentionScale::Ordinary.factor(512, head_dim);
            assert_eq!(scale.factor(512, head_dim).to_bits(), ordinary.to_bits());
        }
        assert_eq!(scale.factor(1, 64), 0.0);
        assert!(scale.factor(64, 64) < 0.125 && scale.factor(1024, 64) > 0.125);
    }

    #[test]
    fn kappa_and_base_are_two_names_of_one_scale() {
        let by_base = AttentionScale::EntropyInvariant { base: 512.0 };
        let by_kappa = AttentionScale::EntropyInvariantKappa {
            kappa: 8.0 / 512f64.ln(),
        };
        for keys in [2, 64, 700] {
            assert!((by_base.factor(keys, 64) / by_kappa.factor(keys, 64) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn the_clip_is_ordinary_up_to_the_trained_length() {
        let clip = AttentionScale::InferenceClip { trained_length: 64 };
        let ordinary = AttentionScale::Ordinary.factor(1, 64);
        assert_eq!(clip.factor(1, 64), ordinary);
        assert_eq!(clip.factor(64, 64), ordinary);
        assert!(
            (clip.factor(4096, 64) / ordinary - 2.0).abs() < 1e-6,
            "log 64² = 2 log 64"
        );
    }
}
