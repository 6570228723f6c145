//! Flat vectors as safetensors files, one tensor per slot.

use crate::Slots;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, View};
use std::borrow::Cow;
use std::collections::HashMap;
use thiserror::Error;

/// Why weights cannot be written or read.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct WeightsError(pub String);

struct Tensor<'a> {
    shape: &'a [usize],
    values: &'a [f32],
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        4 * self.values.len()
    }
}

/// The values as a safetensors file in single precision.
pub(crate) fn to_safetensors(
    slots: &Slots,
    values: &[f32],
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>, WeightsError> {
    let tensors = slots.iter().map(|slot| {
        let tensor = Tensor {
            shape: &slot.shape,
            values: &values[slot.range.clone()],
        };
        (slot.name.as_str(), tensor)
    });
    safetensors::serialize(tensors, Some(metadata)).map_err(|error| WeightsError(format!("cannot be written: {error}")))
}

/// The values of a safetensors file in single precision. Tensors without a slot are ignored.
pub(crate) fn from_safetensors(slots: &Slots, bytes: &[u8]) -> Result<Vec<f32>, WeightsError> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| WeightsError(format!("not a readable file of weights: {error}")))?;
    let mut values = Vec::with_capacity(slots.size());
    for slot in slots.iter() {
        let expected = format!("tensor `{}` of type F32 and shape {:?}", slot.name, slot.shape);
        let tensor = file
            .tensor(&slot.name)
            .map_err(|_| WeightsError(format!("has no {expected}; it belongs to another model")))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != slot.shape {
            let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
            return Err(WeightsError(format!("has {found} where the model needs {expected}")));
        }
        let numbers = tensor.data().chunks_exact(4);
        values.extend(numbers.map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use crate::{NamedVectors, Parameters, Place, Role, Slots};
    use std::collections::HashMap;

    fn line(inputs: usize, values: Vec<f32>) -> NamedVectors {
        let mut slots = Slots::default();
        slots.add("weight", Role::Weight, Place::Unspecified, &[1, inputs]);
        slots.add("bias", Role::Bias, Place::Unspecified, &[1]);
        NamedVectors { slots, values }
    }

    #[test]
    fn round_trip_and_refusals() {
        let written = line(2, vec![1.0, -2.5, 1e-30]);
        let bytes = written.save(HashMap::new()).unwrap();
        let mut read = line(2, vec![0.0; 3]);
        read.load(&bytes).unwrap();
        assert_eq!(read.values, written.values);
        let error = line(3, vec![0.0; 4]).load(&bytes).unwrap_err().to_string();
        assert!(
            error.contains("F32 [1, 2]") && error.contains("shape [1, 3]"),
            "{error}"
        );
        for length in 0..bytes.len() {
            assert!(read.load(&bytes[..length]).is_err());
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            let _ = read.load(&damaged);
        }
    }
}
