//! Steps whose loss is computed elsewhere: the last hidden states of first tokens go out, and the derivative with respect to them comes in.

use crate::engine::Part;
use crate::machine::{Address, Arg, bytes_of, bytes_of_mut};
use crate::plan::{Plan, Purpose};
use crate::{CudaError, Engine, Shard};
use std::ops::Range;

impl Engine {
    /// Computes the last hidden states of the sequences' first tokens, `[sequences, d_model]`, with dropout for shards with a generator. Objectives are
    /// ignored. `offset`, `[tokens, d_model]`, is added to the sum of the embeddings, unless it is empty.
    ///
    /// # Errors
    /// If a batch does not fit the model, or the device fails.
    ///
    /// # Panics
    /// If the offset has another shape.
    pub fn states(&mut self, shards: &[Shard<'_>], offset: &[f32]) -> Result<Vec<f32>, CudaError> {
        let rows: usize = shards.iter().map(|shard| shard.packed.len()).sum();
        let count: usize = shards.iter().map(|shard| shard.packed.rows().count()).sum();
        let d = self.config.d_model;
        self.open = None;
        if rows == 0 {
            return Ok(Vec::new());
        }
        let mut plan = Plan::new(&self.config, &self.layout, shards, Purpose::States)?;
        plan.key.is_moved = !offset.is_empty();
        let memory = self.prepare(&plan)?;
        if plan.key.is_moved {
            assert_eq!(offset.len(), rows * d, "the offset does not match the batch");
            self.machine.zero(memory.offset, 4 * plan.key.rows * d)?;
            self.machine.upload(memory.offset, bytes_of(offset))?;
        }
        self.run(&plan, &memory, Part::Forward)?;
        let mut states = vec![0.0; count * d];
        self.machine.download(memory.first, bytes_of_mut(&mut states))?;
        self.open = Some((plan, memory));
        Ok(states)
    }

    /// Computes the gradient of a loss, given its derivative with respect to the result of the last call of [`states`](Self::states), of which this is the
    /// backward pass. It replaces the gradient of the previous step, except for parameters that are not the Transformer's.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If the derivative has another shape than the states.
    pub fn states_backward(&mut self, d_states: &[f32]) -> Result<(), CudaError> {
        let Some((plan, memory)) = self.open.take() else {
            assert!(d_states.is_empty(), "there are no states");
            return self.machine.zero(self.gradient, 4 * self.layout.len());
        };
        assert!(
            d_states.len() <= plan.key.places * self.config.d_model,
            "the derivative does not match the states"
        );
        self.machine.upload(memory.d_first, bytes_of(d_states))?;
        self.run(&plan, &memory, Part::Backward)?;
        self.open = Some((plan, memory));
        Ok(())
    }

    /// The derivative of the loss with respect to the sum of the embeddings of `tokens` tokens, `[tokens, d_model]`, after
    /// [`states_backward`](Self::states_backward).
    ///
    /// # Errors
    /// If the device fails.
    pub fn d_embeddings(&mut self, tokens: usize) -> Result<Vec<f32>, CudaError> {
        let mut derivative = vec![0.0; tokens * self.config.d_model];
        if let Some((_, memory)) = &self.open {
            self.machine.download(memory.d_stream, bytes_of_mut(&mut derivative))?;
        }
        Ok(derivative)
    }

    /// Copies some parameters from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn parameters_of(&mut self, range: Range<usize>, values: &mut [f32]) -> Result<(), CudaError> {
        let at = self.parameters + 4 * range.start as u64;
        self.machine.download(at, bytes_of_mut(&mut values[range]))
    }

    /// Copies the gradient of some parameters to the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn set_gradient_of(&mut self, range: Range<usize>, gradient: &[f32]) -> Result<(), CudaError> {
        let at = self.gradient + 4 * range.start as u64;
        self.machine.upload(at, bytes_of(&gradient[range]))
    }

    /// Keeps a copy of the gradient aside.
    ///
    /// # Errors
    /// If memory is insufficient, or the device fails.
    pub fn keep_gradient(&mut self) -> Result<(), CudaError> {
        let kept = self.kept()?;
        self.add(self.gradient, 0.0, kept, self.layout.len())
    }

    /// Adds the gradient that was kept aside to the present one.
    ///
    /// # Errors
    /// If memory is insufficient, or the device fails.
    pub fn add_kept_gradient(&mut self) -> Result<(), CudaError> {
        let kept = self.kept()?;
        self.add(kept, 1.0, self.gradient, self.layout.len())
    }

    /// Adds the squares of the gradient to what is kept aside, which is 0 at first.
    ///
    /// # Errors
    /// If memory is insufficient, or the device fails.
    pub fn keep_squares(&mut self) -> Result<(), CudaError> {
        let (kept, count) = (self.kept()?, self.layout.len());
        let args = [Arg::Long(count as u64), self.gradient.into(), kept.into()];
        self.launch("add_squares", (count.div_ceil(256).min(4096), 1), 256, 0, &args)
    }

    /// Copies what is kept aside from the device.
    ///
    /// # Errors
    /// If memory is insufficient, or the device fails.
    pub fn kept_values(&mut self) -> Result<Vec<f32>, CudaError> {
        let kept = self.kept()?;
        let mut values = vec![0.0; self.layout.len()];
        self.machine.download(kept, bytes_of_mut(&mut values))?;
        Ok(values)
    }

    /// The memory for what is kept aside.
    fn kept(&mut self) -> Result<Address, CudaError> {
        if self.kept == 0 {
            self.kept = self.allocate(4 * self.layout.len())?;
        }
        Ok(self.kept)
    }

    /// `to ← from + keep·to`, for some numbers in single precision. With 0 it copies, any bits.
    pub(crate) fn add(&mut self, from: Address, keep: f32, to: Address, count: usize) -> Result<(), CudaError> {
        if count == 0 {
            return Ok(());
        }
        let args = [Arg::Long(count as u64), from.into(), keep.into(), to.into()];
        self.launch("add_floats", (count.div_ceil(256).min(4096), 1), 256, 0, &args)
    }
}
