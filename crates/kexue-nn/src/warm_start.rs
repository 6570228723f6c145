//! Initialising a model with the weights of another one.

use crate::{AttentionScale, Model, TransformerConfig};
use thiserror::Error;

/// A setting whose difference makes the same weights compute something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The number of heads.
    Heads,
    /// The placement of the norms.
    NormPlacement,
    /// The kind of norm.
    NormKind,
    /// Whether linear layers divide by the square root of their number of inputs (NTK).
    Parametrization,
    /// Whether branches have gates.
    Gates,
    /// T5's scales: the factor of the logits, and an attention scale fixed to 1.
    FixedScales,
    /// The attention scale.
    AttentionScale,
    /// Rotary or learned positions.
    Positions,
    /// The activation of the feed-forward layers.
    Activation,
}

impl Difference {
    /// The name of the setting in [`TransformerConfig`].
    pub fn setting(self) -> &'static str {
        match self {
            Self::Heads => "heads",
            Self::NormPlacement => "norm_placement",
            Self::NormKind => "norm",
            Self::Parametrization => "parametrization",
            Self::Gates => "gate",
            Self::FixedScales => "logit_scale",
            Self::AttentionScale => "attention_scale",
            Self::Positions => "positions",
            Self::Activation => "activation",
        }
    }
}

/// The number of values that a warm start copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmStart {
    /// Values copied from the other model.
    pub copied: usize,
    /// Values left unchanged.
    pub fresh: usize,
}

/// Why a model cannot be initialised with another one's weights.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WarmStartError {
    /// No parameter has the same name and shape in both.
    #[error("no weights of the same name and shape")]
    NothingInCommon,
    /// A setting changes the meaning of the weights.
    #[error("`{}` differs", .0.setting())]
    Differs(Difference),
}

impl TransformerConfig {
    /// The first setting that makes weights trained with `other` compute something else with this configuration.
    ///
    /// Ignores settings of initialisation and training, and the initial value of gates, because gates are learned.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let is_fixed = |config: &Self| matches!(config.attention_scale, AttentionScale::Fixed { .. });
        let same = [
            (Difference::Heads, self.heads == other.heads),
            (Difference::NormPlacement, self.norm_placement == other.norm_placement),
            (Difference::NormKind, self.norm == other.norm),
            (
                Difference::Parametrization,
                self.parametrization == other.parametrization,
            ),
            (Difference::Gates, self.gate.is_some() == other.gate.is_some()),
            (
                Difference::FixedScales,
                self.logit_scale == other.logit_scale && is_fixed(self) == is_fixed(other),
            ),
            (
                Difference::AttentionScale,
                self.attention_scale == other.attention_scale,
            ),
            (Difference::Positions, self.positions == other.positions),
            (Difference::Activation, self.activation == other.activation),
        ];
        same.iter().find(|(_, same)| !same).map(|(difference, _)| *difference)
    }
}

impl Model {
    /// Copies the weights of `other` that have the same name and shape here, if they have the same meaning.
    ///
    /// # Errors
    /// If there are none, or a setting changes their meaning. The model is then unchanged.
    pub fn warm_start(&mut self, other: &Self) -> Result<WarmStart, WarmStartError> {
        let slots = self.layout().slots();
        let is_common = slots.iter().any(|slot| {
            let mut theirs = other.layout().slots().iter();
            theirs.any(|theirs| theirs.name == slot.name && theirs.shape == slot.shape)
        });
        if !is_common {
            return Err(WarmStartError::NothingInCommon);
        }
        if let Some(difference) = self.config().difference(other.config()) {
            return Err(WarmStartError::Differs(difference));
        }
        let (copied, fresh) = self.copy_matching(other);
        Ok(WarmStart { copied, fresh })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn model(change: impl FnOnce(&mut TransformerConfig)) -> Model {
        let mut config = TransformerConfig {
            d_model: 8,
            layers: 1,
            heads: 2,
            d_ffn: 8,
            ..TransformerConfig::new(10)
        };
        change(&mut config);
        Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1)).unwrap()
    }

    #[test]
    fn weights_are_copied_only_where_they_mean_the_same() {
        let other = model(|_| {});
        let mut deeper = model(|config| config.layers = 2);
        let before = deeper.clone();
        let start = deeper.warm_start(&other).unwrap();
        assert_eq!(start.copied, other.values().len());
        assert_eq!(start.copied + start.fresh, deeper.values().len());
        assert_eq!(deeper.embedding(3), other.embedding(3));

        let mut heads = model(|config| config.heads = 4);
        let unchanged = heads.clone();
        assert_eq!(
            heads.warm_start(&other),
            Err(WarmStartError::Differs(Difference::Heads))
        );
        assert_eq!(heads.values(), unchanged.values());
        let mut wider = model(|config| {
            config.d_model = 12;
            config.d_ffn = 12;
            config.vocab_size = 9;
        });
        assert_eq!(wider.warm_start(&before), Err(WarmStartError::NothingInCommon));
    }
}
