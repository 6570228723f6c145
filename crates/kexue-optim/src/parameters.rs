//! Trainable models: values in one flat vector, with names.

use crate::Slots;
use crate::weights::{self, WeightsError};
use std::collections::HashMap;

/// The parameters of a model: one flat vector, its named slots, and how they are saved.
///
/// Optimisers, averages, checkpoints and sums over machines use a model only through this trait.
pub trait Parameters {
    /// The name, shape and range of every parameter.
    fn slots(&self) -> &Slots;

    /// The values, in the order of the slots.
    fn values(&self) -> &[f32];

    /// The values, to be changed. Call [`changed`](Self::changed) after the last change and before computing.
    fn values_mut(&mut self) -> &mut [f32];

    /// Called after the values were changed. A model that also keeps them elsewhere, such as on a device, copies them there. Does nothing by default.
    fn changed(&mut self) {}

    /// The content of a weights file; `metadata` goes into its header. By default a safetensors file in single precision.
    ///
    /// # Errors
    /// If the weights cannot be written as a file.
    fn save(&self, metadata: HashMap<String, String>) -> Result<Vec<u8>, WeightsError> {
        weights::to_safetensors(self.slots(), self.values(), metadata)
    }

    /// Reads the values from the content of a weights file. They are unchanged if it fails.
    ///
    /// # Errors
    /// If the file is damaged, or a parameter is missing or has another shape; names the parameter.
    fn load(&mut self, bytes: &[u8]) -> Result<(), WeightsError> {
        let values = weights::from_safetensors(self.slots(), bytes)?;
        self.values_mut().copy_from_slice(&values);
        self.changed();
        Ok(())
    }
}
