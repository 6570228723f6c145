//! The parts of a step's batch.

use kexue_nn::PackedBatch;
use kexue_train::Objective;
use rand_chacha::ChaCha8Rng;

/// A part of the batch of a step.
#[derive(Clone, Copy)]
pub struct Shard<'a> {
    /// Its sequences.
    pub packed: &'a PackedBatch,
    /// The objective of the loss; `None` for a forward pass only.
    pub objective: Option<Objective<'a>>,
    /// The generator of its dropout, which draws the same numbers as on the CPU.
    pub generator: Option<&'a ChaCha8Rng>,
}
