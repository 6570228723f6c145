//! Reading and writing weights: safetensors files with the names of [`Layout`]'s slots, which are Hugging Face's.

use crate::kernels::Linear;
use crate::packed_weights::{InferenceLinear, InferencePrecision, PackedWeights};
use crate::tensors::{SafetensorsFile, Tensors};
use crate::weights_error::WeightsError;
use crate::{Layout, Model, TransformerConfig};
use kexue_optim::{Parameters, Slot, Slots};
use kexue_output::{NewFile, OutputError, git_lfs_problem};
use safetensors::View;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Write as _};
use std::ops::Range;
use std::path::Path;

/// The precision of stored numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    Single,
    /// 16 bits: half the size, three significant digits.
    Half,
}

/// A tensor to be written. It is converted to bytes when its turn comes, so that memory holds one converted tensor at a time.
pub(crate) struct Stored<'a> {
    shape: Vec<usize>,
    values: Cow<'a, [f32]>,
    precision: Precision,
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        match self.precision {
            Precision::Single => Dtype::F32,
            Precision::Half => Dtype::F16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.values.iter();
        match self.precision {
            Precision::Single => values.flat_map(|value| value.to_le_bytes()).collect(),
            Precision::Half => values
                .flat_map(|&value| half::f16::from_f32(value).to_le_bytes())
                .collect(),
        }
    }

    fn data_len(&self) -> usize {
        self.values.len() * self.dtype().bitsize() / 8
    }
}

/// A name, a shape and numbers.
pub(crate) type NamedTensor<'a> = (String, Vec<usize>, Cow<'a, [f32]>);

pub(crate) fn stored(
    tensors: Vec<NamedTensor<'_>>,
    precision: Precision,
) -> impl Iterator<Item = (String, Stored<'_>)> {
    tensors.into_iter().map(move |(name, shape, values)| {
        let stored = Stored {
            shape,
            values,
            precision,
        };
        (name, stored)
    })
}

/// Writes a safetensors file atomically.
pub(crate) fn write_safetensors(
    path: &Path,
    tensors: Vec<NamedTensor<'_>>,
    precision: Precision,
    metadata: HashMap<String, String>,
) -> Result<(), WeightsError> {
    write_views(path, stored(tensors, precision), Some(metadata))
}

/// Writes a safetensors file atomically, or into what is no regular file.
pub(crate) fn write_views<V: View>(
    path: &Path,
    views: impl IntoIterator<Item = (String, V)>,
    metadata: Option<HashMap<String, String>>,
) -> Result<(), WeightsError> {
    let cannot = |error: &dyn std::fmt::Display| WeightsError::Write(error.to_string());
    // In the order of the library, so that files have the same bytes as those that it makes in memory. Its own writer replaces the file at a path,
    // with a mode of its own.
    let mut views: Vec<(String, V)> = views.into_iter().collect();
    views.sort_by(|(name, view), (other_name, other)| (other.dtype(), name).cmp(&(view.dtype(), other_name)));
    let mut end = 0;
    let infos = views.iter().map(|(name, view)| {
        let start = end;
        end += view.data_len();
        let info = TensorInfo {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            data_offsets: (start, end),
        };
        (name.clone(), info)
    });
    let header = Metadata::new(metadata, infos.collect()).map_err(|error| cannot(&error))?;
    let mut header = serde_json::to_vec(&header).map_err(|error| cannot(&error))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = NewFile::create(path)?;
    let mut write = |bytes: &[u8]| file.write_all(bytes).map_err(OutputError::io(path));
    write(&(header.len() as u64).to_le_bytes())?;
    write(&header)?;
    for (_, view) in &views {
        write(&view.data())?;
    }
    Ok(file.commit()?)
}

impl Model {
    /// Every parameter as a tensor.
    ///
    /// # Panics
    /// If the model was loaded for inference.
    pub(crate) fn tensors(&self) -> Vec<NamedTensor<'_>> {
        self.expect_all_parameters();
        let slots = self.layout().slots().iter();
        slots
            .map(|slot| (slot.name.clone(), slot.shape.clone(), self.at(&slot.range).into()))
            .collect()
    }

    /// The model as a safetensors file; `metadata` goes into its header.
    ///
    /// # Errors
    /// If a parameter cannot be written in the format.
    ///
    /// # Panics
    /// If the model was loaded for inference.
    pub fn to_safetensors(
        &self,
        precision: Precision,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<u8>, WeightsError> {
        safetensors::serialize(stored(self.tensors(), precision), Some(metadata))
            .map_err(|error| WeightsError::Write(error.to_string()))
    }

    /// A model from the bytes of a safetensors file.
    ///
    /// # Errors
    /// If the file is damaged, or a parameter is missing or has another shape. The error names the parameter.
    pub fn from_safetensors(config: TransformerConfig, bytes: &[u8]) -> Result<Self, WeightsError> {
        if let Some(problem) = git_lfs_problem(bytes) {
            return Err(WeightsError::Format(problem.to_owned()));
        }
        Self::from_tensors(config, &mut SafetensorsFile::open(Cursor::new(bytes))?)
    }

    /// Reads a model for inference. Memory holds one linear layer of a block at a time in single precision.
    pub(crate) fn from_tensors_for_inference(
        config: TransformerConfig,
        tensors: &mut dyn Tensors,
        precision: InferencePrecision,
    ) -> Result<Self, WeightsError> {
        config.validate()?;
        let all = Layout::new(&config);
        check_shapes(tensors, all.slots())?;
        let layout = Layout::without_linear(&config);
        let values = read_range(tensors, layout.slots(), 0..layout.len())?;
        let mut read = |range: &Range<usize>| read_range(tensors, all.slots(), range.clone());
        let packed = PackedWeights::new(&all, |pair| {
            let (weight, bias) = (read(&pair.weight)?, read(&pair.bias)?);
            let layer = Linear::new(&config, &weight, &bias);
            Ok::<_, WeightsError>(InferenceLinear::new(layer, precision))
        })?;
        Ok(Self::for_inference(config, layout, values, precision, packed))
    }

    /// Reads a model whose parameters have the names of its slots.
    pub(crate) fn from_tensors(config: TransformerConfig, tensors: &mut dyn Tensors) -> Result<Self, WeightsError> {
        config.validate()?;
        let layout = Layout::new(&config);
        check_shapes(tensors, layout.slots())?;
        let values = read_range(tensors, layout.slots(), 0..layout.len())?;
        Model::with_values(config, values)?
            .ok_or_else(|| WeightsError::Format("the tensors do not add up to the model".to_owned()))
    }
}

impl Parameters for Model {
    fn slots(&self) -> &Slots {
        self.layout().slots()
    }

    fn values(&self) -> &[f32] {
        Model::values(self)
    }

    fn values_mut(&mut self) -> &mut [f32] {
        Model::values_mut(self)
    }

    fn save(&self, metadata: HashMap<String, String>) -> Result<Vec<u8>, kexue_optim::WeightsError> {
        self.to_safetensors(Precision::Single, metadata)
            .map_err(|error| kexue_optim::WeightsError(error.to_string()))
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), kexue_optim::WeightsError> {
        let read = Self::from_safetensors(self.config().clone(), bytes);
        *self = read.map_err(|error| kexue_optim::WeightsError(error.to_string()))?;
        Ok(())
    }
}

/// Checks all shapes before numbers are read, so that memory is allocated only if the files are as large as the configuration says.
pub(crate) fn check_shapes(tensors: &dyn Tensors, slots: &Slots) -> Result<(), WeightsError> {
    slots
        .iter()
        .try_for_each(|slot| check_shape(tensors, &slot.name, &slot.shape))
}

/// Reads a range of the flat vector, which must consist of whole slots whose shapes have been checked.
pub(crate) fn read_range(
    tensors: &mut dyn Tensors,
    slots: &Slots,
    range: Range<usize>,
) -> Result<Vec<f32>, WeightsError> {
    let mut values = vec![0.0; range.len()];
    let within = |slot: &&Slot| range.start <= slot.range.start && slot.range.end <= range.end;
    for slot in slots.iter().filter(within) {
        let at = slot.range.start - range.start..slot.range.end - range.start;
        let numbers = &mut values[at];
        tensors.read(&slot.name, numbers)?;
        if !numbers.iter().all(|number| number.is_finite()) {
            let problem = format!("tensor `{}` has numbers that are infinite or none at all", slot.name);
            return Err(WeightsError::Format(problem));
        }
    }
    Ok(values)
}

/// Checks that a tensor exists and has this shape.
pub(crate) fn check_shape(tensors: &dyn Tensors, name: &str, expected: &[usize]) -> Result<(), WeightsError> {
    match tensors.describe(name) {
        None => Err(WeightsError::Missing {
            name: name.to_owned(),
            shape: expected.to_vec(),
        }),
        Some((shape, _)) if shape == expected => Ok(()),
        Some((shape, dtype)) => Err(WeightsError::Mismatch {
            name: name.to_owned(),
            found: format!("{dtype} of shape {shape:?}"),
            expected: expected.to_vec(),
        }),
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
    fn numbers_that_are_none_are_refused_by_name() {
        let mut model = model();
        let slot = model.layout().slots()[2].clone();
        for number in [f32::NAN, f32::INFINITY] {
            model.values_mut()[slot.range.end - 1] = number;
            let bytes = model.to_safetensors(Precision::Single, HashMap::new()).unwrap();
            let error = Model::from_safetensors(model.config().clone(), &bytes).unwrap_err();
            assert!(error.to_string().contains(&slot.name), "{error}");
        }
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
