//! Architectures: well-known ones by name, others from TOML.

use crate::{OptimizerSettings, ProbeError};
use kexue_nn::{
    Activation, AttentionScale, Head, Initializer, InitializerPreset, LogitScale, NormKind, NormPlacement, Positions,
    TransformerConfig,
};
use serde::{Deserialize, Serialize};

/// The training objective of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Predict masked tokens from both sides (BERT).
    #[default]
    Masked,
    /// Predict the next token from the left (GPT).
    Causal,
}

/// A model, its objective and its optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// The model.
    pub model: TransformerConfig,
    /// The training objective.
    #[serde(default)]
    pub objective: Objective,
    /// The optimiser.
    #[serde(default)]
    pub optimizer: OptimizerSettings,
}

/// Architectures of well-known models in their base size. Positions are rotary if the original has a position bias (T5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// BERT-base: 12 post-norm layers of width 768, truncated normal with nominal standard deviation 0.02.
    Bert,
    /// RoFormer-base: BERT with rotary positions.
    Roformer,
    /// GPT-2: 12 pre-norm layers, causal, residual projections scaled by `1/√(2·layers)`.
    Gpt2,
    /// BERT's size with DeepNorm's placement and initialisation (arXiv 2203.00555).
    Deepnet,
    /// T5-base's encoder: pre-norm with RMS norms, LeCun-like initialisation, embeddings with standard deviation 1.
    T5,
}

impl Preset {
    /// The architecture with a vocabulary of this size.
    pub fn architecture(self, vocab_size: usize) -> Architecture {
        let bert = TransformerConfig {
            d_model: 768,
            layers: 12,
            heads: 12,
            d_ffn: 3072,
            positions: Positions::Learned,
            max_positions: 512,
            token_types: 2,
            norm_placement: NormPlacement::Post,
            head: Head::DenseNorm,
            norm_epsilon: 1e-12,
            initializer: Initializer::preset(InitializerPreset::Bert),
            ..TransformerConfig::new(vocab_size)
        };
        let model = match self {
            Self::Bert => bert,
            Self::Roformer => TransformerConfig {
                positions: Positions::Rotary,
                max_positions: 0,
                ..bert
            },
            Self::Gpt2 => TransformerConfig {
                max_positions: 1024,
                token_types: 0,
                norm_placement: NormPlacement::Pre,
                activation: Activation::GeluTanh,
                head: Head::None,
                norm_epsilon: 1e-5,
                initializer: Initializer::preset(InitializerPreset::Gpt2),
                ..bert
            },
            Self::Deepnet => TransformerConfig {
                norm_placement: NormPlacement::DeepNorm,
                initializer: Initializer::preset(InitializerPreset::DeepNet),
                ..bert
            },
            Self::T5 => TransformerConfig {
                positions: Positions::Rotary,
                max_positions: 0,
                token_types: 0,
                norm_placement: NormPlacement::Pre,
                norm: NormKind::RmsNorm,
                activation: Activation::Relu,
                head: Head::None,
                norm_epsilon: 1e-6,
                attention_scale: AttentionScale::Fixed { factor: 1.0 },
                logit_scale: LogitScale::InverseRootWidth,
                initializer: Initializer::preset(InitializerPreset::T5),
                ..bert
            },
        };
        Architecture {
            model,
            objective: match self {
                Self::Gpt2 => Objective::Causal,
                _ => Objective::Masked,
            },
            optimizer: OptimizerSettings::default(),
        }
    }
}

impl Architecture {
    /// Reads TOML: a `[model]` table with the fields of [`TransformerConfig`], `objective`, and an `[optimizer]` table with those of
    /// [`OptimizerSettings`]. The default of `vocab_size` is that of the data.
    ///
    /// # Errors
    /// If the text is invalid. The error names the line and the field.
    pub fn from_toml(text: &str, vocab_size: usize) -> Result<Self, ProbeError> {
        let read = || -> Result<Self, toml::de::Error> {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Description {
                model: toml::Table,
                #[serde(default)]
                objective: Objective,
                #[serde(default)]
                optimizer: OptimizerSettings,
            }
            let mut description: Description = toml::from_str(text)?;
            let without = !description.model.contains_key("vocab_size");
            if without {
                let size = toml::Value::Integer(vocab_size as i64);
                description.model.insert("vocab_size".to_owned(), size);
            }
            let model = match description.model.try_into() {
                Ok(model) => model,
                // Parsing the text itself gives messages with line numbers. Any other problem is found before the missing vocab_size.
                Err(error) => match toml::from_str::<Self>(text) {
                    Err(other) if without && other.message() == "missing field `vocab_size`" => return Err(error),
                    read => return read,
                },
            };
            Ok(Self {
                model,
                objective: description.objective,
                optimizer: description.optimizer,
            })
        };
        read().map_err(|error| ProbeError::Description(error.to_string().trim_end().to_owned()))
    }

    /// Checks the model and the optimiser.
    ///
    /// # Errors
    /// If a field is invalid. The error names it.
    pub fn validate(&self) -> Result<(), ProbeError> {
        self.model.validate()?;
        self.optimizer.validate()
    }

    /// The same architecture with another norm placement; see [`TransformerConfig::with_placement`].
    pub fn with_placement(&self, placement: NormPlacement) -> Self {
        Self {
            model: self.model.clone().with_placement(placement),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_stands() {
        for preset in [
            Preset::Bert,
            Preset::Roformer,
            Preset::Gpt2,
            Preset::Deepnet,
            Preset::T5,
        ] {
            let architecture = preset.architecture(1000);
            architecture.validate().unwrap();
            for placement in [NormPlacement::Pre, NormPlacement::Post, NormPlacement::DeepNormAdam] {
                architecture.with_placement(placement).validate().unwrap();
            }
        }
    }

    #[test]
    fn toml_is_read_and_its_mistakes_are_named() {
        let architecture = Architecture::from_toml(
            "[model]\nlayers = 24\nnorm_placement = \"post\"\n[optimizer]\nkind = \"lamb\"\nwarmup = 7\n",
            321,
        )
        .unwrap();
        assert_eq!((architecture.model.layers, architecture.model.vocab_size), (24, 321));
        assert_eq!(
            (architecture.optimizer.kind, architecture.optimizer.warmup),
            (OptimizerKind::Lamb, 7)
        );
        let given = Architecture::from_toml("[model]\nvocab_size = 5\n", 321).unwrap();
        assert_eq!(given.model.vocab_size, 5);

        let message = |text: &str| Architecture::from_toml(text, 9).unwrap_err().to_string();
        for (text, line) in [
            ("[model]\nlayer = 3\n", "line 2"),
            ("[model]\nlayers = 3\nheads = \"x\"\n", "line 3"),
            (
                "[model]\n\ninitializer = { weights = { kind = \"xaver\" } }\n",
                "line 3",
            ),
            ("objective = \"causal\"\nmodel.layer = 3\n", "line 2"),
            ("[model]\nvocab_size = 9\nlayer = 3\n", "line 3"),
        ] {
            let message = message(text);
            assert!(message.contains(line), "{text}: {message}");
        }
        assert!(message("[model]\nlayer = 3\n").contains("layer"));
        assert!(message("[model]\n[optimizer]\nrate = 3\n").contains("line 3"));
        assert!(message("layers = 3\n").contains("model"));
        assert!(message("[model]\nnorm_placement = \"above\"\n").contains("above"));
    }

    use crate::OptimizerKind;
}
