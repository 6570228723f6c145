//! Named values without a model.

use crate::{Parameters, Slots};

/// Vectors by name, one after another: content of a weights file that is not a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedVectors {
    /// The name, shape and range of each.
    pub slots: Slots,
    /// Their values, as many as the slots have.
    pub values: Vec<f32>,
}

impl Parameters for NamedVectors {
    fn slots(&self) -> &Slots {
        &self.slots
    }

    fn values(&self) -> &[f32] {
        &self.values
    }

    fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}
