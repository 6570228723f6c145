//! Weights in and out: safetensors files with Hugging Face's names, the configuration in the header.

use crate::{ConfigError, Layout, Model, TransformerConfig};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::borrow::Cow;
use std::collections::HashMap;
use thiserror::Error;

/// Why weights cannot be used.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// Not a safetensors file, or a damaged one.
    #[error("not a readable safetensors file: {0}")]
    Format(String),
    /// A parameter of the model is not in the file.
    #[error(
        "the file has no tensor `{name}` of shape {shape:?}, which this configuration needs; it belongs to another model"
    )]
    Missing {
        /// The parameter.
        name: String,
        /// Its shape in the model.
        shape: Vec<usize>,
    },
    /// A parameter has another shape or type than the model's.
    #[error("tensor `{name}` is {found}; this configuration needs F32 or F16 of shape {expected:?}")]
    Mismatch {
        /// The parameter.
        name: String,
        /// Type and shape in the file.
        found: String,
        /// Shape in the model.
        expected: Vec<usize>,
    },
    /// The configuration cannot stand.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
}

/// How the numbers are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    Single,
    /// 16 bits: half the size, three significant digits.
    Half,
}

impl Model {
    /// The model as a safetensors file; `metadata` goes into its header.
    ///
    /// # Errors
    /// When a parameter cannot be written in the format.
    pub fn to_safetensors(
        &self,
        precision: Precision,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<u8>, WeightsError> {
        let dtype = match precision {
            Precision::Single => Dtype::F32,
            Precision::Half => Dtype::F16,
        };
        let tensors: Vec<_> = self
            .layout()
            .slots()
            .iter()
            .map(|slot| {
                let values = &self.values()[slot.range.clone()];
                let bytes: Vec<u8> = match precision {
                    Precision::Single => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                    Precision::Half => values
                        .iter()
                        .flat_map(|&value| half::f16::from_f32(value).to_le_bytes())
                        .collect(),
                };
                (slot, bytes)
            })
            .collect();
        let views = tensors
            .iter()
            .map(|(slot, bytes)| {
                let view = TensorView::new(dtype, slot.shape.clone(), bytes)
                    .map_err(|error| WeightsError::Format(error.to_string()))?;
                Ok((slot.name.as_str(), view))
            })
            .collect::<Result<Vec<_>, WeightsError>>()?;
        safetensors::serialize(views, Some(metadata)).map_err(|error| WeightsError::Format(error.to_string()))
    }

    /// A model from the bytes of a safetensors file.
    ///
    /// # Errors
    /// When the file is damaged, or a parameter is missing or of another shape; it names the parameter.
    pub fn from_safetensors(config: TransformerConfig, bytes: &[u8]) -> Result<Self, WeightsError> {
        config.validate()?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| WeightsError::Format(error.to_string()))?;
        let layout = Layout::new(&config);
        let mut values = Vec::new();
        for slot in layout.slots() {
            let tensor = file.tensor(&slot.name).map_err(|_| WeightsError::Missing {
                name: slot.name.clone(),
                shape: slot.shape.clone(),
            })?;
            if tensor.shape() != slot.shape || !matches!(tensor.dtype(), Dtype::F32 | Dtype::F16) {
                return Err(WeightsError::Mismatch {
                    name: slot.name.clone(),
                    found: format!("{:?} of shape {:?}", tensor.dtype(), tensor.shape()),
                    expected: slot.shape.clone(),
                });
            }
            let data: Cow<'_, [u8]> = tensor.data().into();
            match tensor.dtype() {
                Dtype::F32 => {
                    values.extend(
                        data.chunks_exact(4)
                            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
                    );
                }
                _ => values.extend(
                    data.chunks_exact(2)
                        .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()),
                ),
            }
        }
        Model::with_values(config, values)?
            .ok_or_else(|| WeightsError::Format("the tensors do not add up to the model".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn model() -> Model {
        let config = TransformerConfig {
            d_model: 8,
            layers: 1,
            heads: 2,
            d_ffn: 12,
            ..TransformerConfig::new(10)
        };
        Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0)).unwrap()
    }

    #[test]
    fn round_trip() {
        let model = model();
        let bytes = model.to_safetensors(Precision::Single, HashMap::new()).unwrap();
        let read = Model::from_safetensors(model.config().clone(), &bytes).unwrap();
        assert_eq!(read.values(), model.values());
        let half = model.to_safetensors(Precision::Half, HashMap::new()).unwrap();
        assert!(
            (bytes.len() - half.len()).abs_diff(2 * model.values().len()) < 64,
            "up to padding of the headers"
        );
        let read = Model::from_safetensors(model.config().clone(), &half).unwrap();
        assert!(
            read.values()
                .iter()
                .zip(model.values())
                .all(|(a, b)| (a - b).abs() <= b.abs() * 1e-3 + 1e-7)
        );
    }

    #[test]
    fn names_what_does_not_fit() {
        let model = model();
        let bytes = model.to_safetensors(Precision::Single, HashMap::new()).unwrap();
        let message = |config| Model::from_safetensors(config, &bytes).unwrap_err().to_string();
        let deeper = TransformerConfig {
            layers: 2,
            ..model.config().clone()
        };
        assert!(message(deeper).contains("no tensor `encoder.layer.1.attention.self.query.weight` of shape [8, 8]"));
        let wider = TransformerConfig {
            vocab_size: 11,
            ..model.config().clone()
        };
        assert!(message(wider).contains("`embeddings.word_embeddings.weight` is F32 of shape [10, 8]"));
    }

    #[test]
    fn no_truncation_and_no_flipped_header_panics() {
        let model = model();
        let bytes = model.to_safetensors(Precision::Single, HashMap::new()).unwrap();
        for length in 0..bytes.len() {
            assert!(Model::from_safetensors(model.config().clone(), &bytes[..length]).is_err());
        }
        for at in 0..bytes.len().min(2000) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            let _ = Model::from_safetensors(model.config().clone(), &damaged);
        }
    }
}
