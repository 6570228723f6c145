//! Steps that are computed elsewhere than on the processor.

use crate::{Loss, Task, TrainError};
use kexue_nn::{Choice, PackedBatch, Prediction};
use rand_chacha::ChaCha8Rng;

/// A named vector of an optimiser's state.
pub type NamedState<'a> = (String, &'a mut Vec<f32>);

/// Computes whole steps of a task in the processor's place, such as a GPU. It holds the parameters and the optimiser's state; the learner's own are those
/// of the last [`store`](Self::store).
pub trait Accelerator<T: Task>: Send {
    /// Takes over the parameters, and the optimiser's state by the names that a checkpoint has.
    ///
    /// # Errors
    /// If the device fails.
    fn load(&mut self, values: &[f32], state: Vec<NamedState<'_>>) -> Result<(), TrainError>;

    /// The loss of a step's batch, with its gradient kept: shard by shard a batch and the generator that made it, as for [`Task::loss`].
    ///
    /// # Errors
    /// If the device fails or cannot compute the batch.
    fn gradient(&mut self, task: &T, shards: &[(T::Batch, ChaCha8Rng)], step: u64) -> Result<Loss, TrainError>;

    /// Moves the parameters by the gradient of the mean.
    ///
    /// # Errors
    /// If the device fails.
    fn apply(&mut self, step: u64) -> Result<(), TrainError>;

    /// Copies parameters and state back.
    ///
    /// # Errors
    /// If the device fails.
    fn store(&mut self, values: &mut [f32], state: Vec<NamedState<'_>>) -> Result<(), TrainError>;
}

/// What the loss of a Transformer's batch is of.
#[derive(Clone, Copy, Debug)]
pub enum Objective<'a> {
    /// Tokens, over the vocabulary: [`Model::prediction_loss`](kexue_nn::Model::prediction_loss).
    Predictions(&'a [Prediction]),
    /// Tokens, among those allowed: [`Model::choice_loss`](kexue_nn::Model::choice_loss).
    Choices(&'a [Choice]),
}

/// A batch of a Transformer, as whole passes on a device need it.
pub trait TransformerBatch {
    /// The sequences.
    fn packed(&self) -> &PackedBatch;

    /// What the loss is of.
    fn objective(&self) -> Objective<'_>;

    /// The loss of the batch, given its sum: terms, items, and what else is recorded.
    fn loss(&self, sum: f64) -> Loss;
}
