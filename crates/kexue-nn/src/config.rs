//! The configuration of a Transformer.

use crate::config_error::ConfigError;
use crate::norm_placement::NormPlacement;
use crate::{AttentionScale, BranchScaling, Initializer};
use kexue_optim::{Role, Slot};
use serde::{Deserialize, Serialize};

/// The kind of norm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// `γ·(x − mean)/std + β` (arXiv 1607.06450).
    #[default]
    LayerNorm,
    /// `γ·x/rms`, without β (arXiv 1910.07467).
    RmsNorm,
}

/// How positions enter the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// Queries and keys are rotated by their position (RoFormer, arXiv 2104.09864).
    #[default]
    Rotary,
    /// A learned embedding for each position below `max_positions` (BERT).
    Learned,
}

/// The activation between the two feed-forward matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x·Φ(x)` (arXiv 1606.08415).
    #[default]
    Gelu,
    /// GELU with the tanh approximation of Φ, as in GPT-2.
    GeluTanh,
    /// `max(0, x)`.
    Relu,
}

/// The layers between the last hidden state and the tied softmax over the vocabulary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// No layers.
    #[default]
    None,
    /// A bias for each token.
    Bias,
    /// Dense, activation and norm, then a bias for each token: BERT's masked-language-model head.
    DenseNorm,
}

/// Where the scale of a weight is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parametrization {
    /// In the weight.
    #[default]
    Standard,
    /// In the layer: `x·Wᵀ/√fan_in`, with weights √fan_in times larger. The function is the same, with other effective learning rates (arXiv 1806.07572).
    Ntk,
}

/// The factor of the logits of the tied softmax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogitScale {
    /// 1.
    #[default]
    One,
    /// `1/√d_model`, for embeddings with standard deviation 1 (T5).
    InverseRootWidth,
}

/// The configuration of a Transformer whose softmax is tied to its embedding. BERT, RoFormer and UniLM are special cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    #[serde(default = "defaults::d_model")]
    pub d_model: usize,
    /// Number of blocks, of two branches each.
    #[serde(default = "defaults::layers")]
    pub layers: usize,
    /// Number of attention heads. It must divide `d_model`; with rotary positions, the width of a head must be even.
    #[serde(default = "defaults::heads")]
    pub heads: usize,
    /// Width of the feed-forward layers.
    #[serde(default = "defaults::d_ffn")]
    pub d_ffn: usize,
    /// How positions enter the model.
    #[serde(default)]
    pub positions: Positions,
    /// Longest sequence with learned positions; 0 with rotary positions, which have no limit.
    #[serde(default)]
    pub max_positions: usize,
    /// Number of segments with an embedding (BERT's token types): 2 for pairs of texts, 0 for none.
    #[serde(default)]
    pub token_types: usize,
    /// The placement of the norms, before or after the branches.
    #[serde(default)]
    pub norm_placement: NormPlacement,
    /// The kind of norm.
    #[serde(default)]
    pub norm: NormKind,
    /// The initial value of a learned factor of each branch: 0 for ReZero (arXiv 2003.04887) and SkipInit (arXiv 2002.10444), 1 for Fixup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<f32>,
    /// The activation between the two feed-forward matrices.
    #[serde(default)]
    pub activation: Activation,
    /// The factor of the attention scores.
    #[serde(default)]
    pub attention_scale: AttentionScale,
    /// The layers between the last hidden state and the softmax.
    #[serde(default)]
    pub head: Head,
    /// The factor of the logits.
    #[serde(default)]
    pub logit_scale: LogitScale,
    /// Probability of dropping an element of the embedding and of each branch, in training.
    #[serde(default = "defaults::dropout")]
    pub dropout: f32,
    /// Added to the variance under the square root of a norm.
    #[serde(default = "defaults::norm_epsilon")]
    pub norm_epsilon: f32,
    /// Where the scale of a weight is applied.
    #[serde(default)]
    pub parametrization: Parametrization,
    /// The distributions of initial weights.
    #[serde(default)]
    pub initializer: Initializer,
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
}

impl TransformerConfig {
    /// Four pre-norm layers of width 256 over `vocab_size` tokens, with rotary positions.
    pub fn new(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            d_model: defaults::d_model(),
            layers: defaults::layers(),
            heads: defaults::heads(),
            d_ffn: defaults::d_ffn(),
            positions: Positions::default(),
            max_positions: 0,
            token_types: 0,
            norm_placement: NormPlacement::default(),
            norm: NormKind::default(),
            gate: None,
            activation: Activation::default(),
            attention_scale: AttentionScale::default(),
            head: Head::default(),
            logit_scale: LogitScale::default(),
            dropout: defaults::dropout(),
            norm_epsilon: defaults::norm_epsilon(),
            parametrization: Parametrization::default(),
            initializer: Initializer::default(),
        }
    }

    /// This configuration with another norm placement. Scales the branches by DeepNorm's β exactly if the placement is a DeepNorm one.
    pub fn with_placement(mut self, placement: NormPlacement) -> Self {
        self.norm_placement = placement;
        let branches = &mut self.initializer.branches;
        if placement.is_deep_norm() {
            *branches = BranchScaling::DeepNorm;
        } else if *branches == BranchScaling::DeepNorm {
            *branches = BranchScaling::None;
        }
        self
    }

    /// The maximum length of a sequence; `None` if there is no limit.
    pub fn longest_sequence(&self) -> Option<usize> {
        (self.positions == Positions::Learned).then_some(self.max_positions)
    }

    /// The factor by which the layers multiply a stored matrix.
    pub fn weight_factor(&self, slot: &Slot) -> f32 {
        match (self.parametrization, &slot.shape[..]) {
            (Parametrization::Ntk, &[_, fan_in]) if slot.role != Role::Embedding => self.linear_factor(fan_in),
            _ => 1.0,
        }
    }

    /// The factor by which a linear layer with this many inputs multiplies its matrix.
    pub fn linear_factor(&self, inputs: usize) -> f32 {
        match self.parametrization {
            Parametrization::Standard => 1.0,
            Parametrization::Ntk => (inputs as f32).sqrt().recip(),
        }
    }

    /// The factor of the last hidden state: the factor of the logits, or 1 if the head has a dense layer.
    pub fn hidden_factor(&self) -> f32 {
        match self.head {
            Head::DenseNorm => 1.0,
            Head::None | Head::Bias => self.logit_factor(),
        }
    }

    /// The factor of the logits.
    pub fn logit_factor(&self) -> f32 {
        match self.logit_scale {
            LogitScale::One => 1.0,
            LogitScale::InverseRootWidth => (self.d_model as f32).sqrt().recip(),
        }
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.d_model / self.heads.max(1)
    }

    /// Checks that the configuration is valid.
    ///
    /// # Errors
    /// If a field is invalid; the error names it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let problem = |field, problem: String| Err(ConfigError { field, problem });
        // Bounds far above any real model, so that no size computed from a file overflows.
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
        let rotary = self.positions == Positions::Rotary;
        if !self.d_model.is_multiple_of(self.heads) || rotary && !self.head_dim().is_multiple_of(2) {
            return problem(
                "heads",
                format!(
                    "{} heads do not divide d_model = {} into whole widths, which must be even with rotary positions",
                    self.heads, self.d_model
                ),
            );
        }
        if rotary && self.max_positions > 0 {
            return problem(
                "max_positions",
                "rotary positions have no limit; leave this field out".to_owned(),
            );
        }
        if !rotary && !(1..=1 << 20).contains(&self.max_positions) {
            return problem(
                "max_positions",
                format!(
                    "{} is not within 1 and 1048576, which learned positions require",
                    self.max_positions
                ),
            );
        }
        if self.token_types > 256 {
            return problem("token_types", format!("{} is more than 256", self.token_types));
        }
        if self.gate.is_some_and(|gate| !gate.is_finite()) {
            return problem("gate", "is not a number".to_owned());
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return problem(
                "dropout",
                format!("must be at least 0 and less than 1, not {}", self.dropout),
            );
        }
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon.is_finite()) {
            return problem(
                "norm_epsilon",
                format!("{} is not a small positive number", self.norm_epsilon),
            );
        }
        if let Some((field, text)) = self.attention_scale.problem() {
            return problem(field, text);
        }
        self.initializer.validate(self.norm_placement)
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
        config.max_positions = 9;
        assert_eq!(config.validate().unwrap_err().field, "max_positions");
        config.max_positions = 0;
        config.positions = Positions::Learned;
        assert_eq!(config.validate().unwrap_err().field, "max_positions");
        config.positions = Positions::Rotary;
        config.dropout = 1.0;
        assert_eq!(config.validate().unwrap_err().field, "dropout");
    }
}
