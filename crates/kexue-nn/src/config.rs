//! What a Transformer looks like.

use crate::AttentionScale;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where the layer norms stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormPlacement {
    /// `x + F(Norm(x))`, with one more norm at the end: trains without warm-up (article 8747).
    #[default]
    Pre,
    /// `Norm(x + F(x))`, as in BERT; the embeddings are normalised too.
    Post,
}

/// The shape of a Transformer with rotary positions and a softmax tied to its embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    #[serde(default = "defaults::d_model")]
    pub d_model: usize,
    /// Number of blocks.
    #[serde(default = "defaults::layers")]
    pub layers: usize,
    /// Attention heads; divides `d_model` into even head widths.
    #[serde(default = "defaults::heads")]
    pub heads: usize,
    /// Width of the feed-forward layers.
    #[serde(default = "defaults::d_ffn")]
    pub d_ffn: usize,
    /// Where the layer norms stand.
    #[serde(default)]
    pub norm_placement: NormPlacement,
    /// The factor of the attention scores.
    #[serde(default)]
    pub attention_scale: AttentionScale,
    /// Probability of dropping an element of the embedding and of each branch, in training.
    #[serde(default = "defaults::dropout")]
    pub dropout: f32,
    /// Added to the variance under a norm's root.
    #[serde(default = "defaults::norm_epsilon")]
    pub norm_epsilon: f32,
    /// Effective standard deviation of the initial weights, drawn from a normal truncated at two nominal deviations.
    #[serde(default = "defaults::initial_std")]
    pub initial_std: f32,
}

mod defaults {
    pub fn d_model() -> usize {
        256
    }
    pub fn layers() -> usize {
        4
    }
    pub fn heads() -> usize {
        4
    }
    pub fn d_ffn() -> usize {
        1024
    }
    pub fn dropout() -> f32 {
        0.1
    }
    pub fn norm_epsilon() -> f32 {
        1e-5
    }
    pub fn initial_std() -> f32 {
        0.02
    }
}

/// A configuration that no Transformer can have.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl TransformerConfig {
    /// Four layers of width 256 over `vocab_size` tokens.
    pub fn new(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            d_model: defaults::d_model(),
            layers: defaults::layers(),
            heads: defaults::heads(),
            d_ffn: defaults::d_ffn(),
            norm_placement: NormPlacement::default(),
            attention_scale: AttentionScale::default(),
            dropout: defaults::dropout(),
            norm_epsilon: defaults::norm_epsilon(),
            initial_std: defaults::initial_std(),
        }
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.d_model / self.heads.max(1)
    }

    /// Checks that such a Transformer can be.
    ///
    /// # Errors
    /// Names the field that cannot stand.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let problem = |field, problem: String| Err(ConfigError { field, problem });
        // Bounds far above any real model keep every size computed from a file within memory's arithmetic.
        for (field, value, most) in [
            ("vocab_size", self.vocab_size, 1 << 24),
            ("d_model", self.d_model, 1 << 16),
            ("layers", self.layers, 1 << 10),
            ("heads", self.heads, 1 << 10),
            ("d_ffn", self.d_ffn, 1 << 18),
        ] {
            if value == 0 || value > most {
                return problem(field, format!("{value} is not within 1 and {most}"));
            }
        }
        if !self.d_model.is_multiple_of(self.heads) || !self.head_dim().is_multiple_of(2) {
            return problem(
                "heads",
                format!(
                    "{} heads do not divide d_model = {} into even widths, which rotary positions need",
                    self.heads, self.d_model
                ),
            );
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return problem("dropout", format!("{} is not within 0 and 1", self.dropout));
        }
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon.is_finite()) {
            return problem(
                "norm_epsilon",
                format!("{} is not a small positive number", self.norm_epsilon),
            );
        }
        if !(self.initial_std > 0.0 && self.initial_std.is_finite()) {
            return problem("initial_std", format!("{} is not a positive number", self.initial_std));
        }
        if let AttentionScale::EntropyInvariant { base } = self.attention_scale
            && !(base > 1.0 && base.is_finite())
        {
            return problem("attention_scale.base", format!("{base} is not a number above 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_field_that_cannot_stand() {
        let mut config = TransformerConfig::new(300);
        assert_eq!(config.validate(), Ok(()));
        config.heads = 3;
        assert_eq!(config.validate().unwrap_err().field, "heads");
        config.heads = 0;
        assert_eq!(config.validate().unwrap_err().field, "heads");
        config.heads = 4;
        config.dropout = 1.0;
        assert_eq!(config.validate().unwrap_err().field, "dropout");
    }
}
