//! Named vectors that go into a file together.

use kexue_optim::{Parameters, Slots};

/// Vectors by name, one after another.
#[derive(Default)]
pub(crate) struct NamedVectors {
    pub slots: Slots,
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
