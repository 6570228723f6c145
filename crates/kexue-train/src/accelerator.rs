//! Training steps that are computed on another device.

use crate::{Loss, Task, TrainError};
use kexue_nn::{Choice, Classifier, PackedBatch, Prediction};
use rand_chacha::ChaCha8Rng;

/// A named vector of an optimiser's state.
pub type NamedState<'a> = (String, &'a mut Vec<f32>);

/// Computes whole steps of a task on another device, such as a GPU. It holds the parameters and the optimiser's state; the learner's copies are those
/// of the last [`store`](Self::store).
pub trait Accelerator<T: Task>: Send {
    /// Receives the parameters, and the optimiser's state by the names in a checkpoint.
    ///
    /// # Errors
    /// If the device fails.
    fn load(&mut self, values: &[f32], state: Vec<NamedState<'_>>) -> Result<(), TrainError>;

    /// Computes the loss of a step's batch and keeps its gradient. Each shard is a batch and the generator that made it, as for [`Task::loss`].
    ///
    /// # Errors
    /// If the device fails or cannot compute the batch.
    fn gradient(&mut self, task: &T, shards: &[(T::Batch, ChaCha8Rng)], step: u64) -> Result<Loss, TrainError>;

    /// Updates the parameters with the gradient of the mean.
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

/// The loss of a Transformer's batch.
#[derive(Clone, Copy, Debug)]
pub enum Objective<'a> {
    /// Of tokens, over the vocabulary: [`Model::prediction_loss`](kexue_nn::Model::prediction_loss).
    Predictions(&'a [Prediction]),
    /// Of tokens, among the allowed ones: [`Model::choice_loss`](kexue_nn::Model::choice_loss).
    Choices(&'a [Choice]),
}

/// A batch of a Transformer, with what whole passes on a device need.
pub trait TransformerBatch {
    /// The sequences.
    fn packed(&self) -> &PackedBatch;

    /// The loss to compute.
    fn objective(&self) -> Objective<'_>;

    /// The loss of the batch, given its sum: adds terms, items, and other recorded means.
    fn loss(&self, sum: f64) -> Loss;
}

/// A task that trains a [`Classifier`]. A device computes the Transformer's passes; the head and the loss, which are small, stay on the CPU.
pub trait ClassifierTask: Task<Model = Classifier> {
    /// The sequences of a batch.
    fn packed(batch: &Self::Batch) -> &PackedBatch;

    /// Computes the loss of a batch from its logits, `[sequences, labels]`, and replaces `d_logits` by its derivative with respect to them.
    fn logits_loss(&self, batch: &Self::Batch, logits: &[f32], d_logits: &mut Vec<f32>) -> Loss;

    /// The length of the adversarial perturbation of each sequence's embeddings; 0 for none.
    fn perturbation(&self) -> f32;

    /// The loss to record, given the one of the perturbed embeddings. The gradient is that of their sum.
    fn with_adversarial(loss: Loss, adversarial: Loss) -> Loss;
}
