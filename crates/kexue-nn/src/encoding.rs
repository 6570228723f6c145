//! Forward passes without a backward one, on several threads.

use crate::{Model, PackedBatch, Tape};
use rayon::prelude::*;

/// Computes hidden states for inference. Its memory is reused from batch to batch and does not grow with the number of layers.
#[derive(Debug)]
pub struct Encoder {
    workers: Vec<Worker>,
    hidden: Vec<f32>,
}

/// A thread's part of a batch and its working memory.
#[derive(Debug)]
struct Worker {
    batch: PackedBatch,
    tape: Tape,
}

impl Encoder {
    /// An encoder that divides the sequences of a batch among `threads` threads of the current `rayon` pool.
    pub fn new(threads: usize) -> Self {
        let worker = || Worker {
            batch: PackedBatch::default(),
            tape: Tape::forward_only(),
        };
        Self {
            workers: std::iter::repeat_with(worker).take(threads.max(1)).collect(),
            hidden: Vec::new(),
        }
    }

    /// The last hidden states, `[tokens, d_model]`.
    ///
    /// # Panics
    /// As [`Model::forward`].
    pub fn run(&mut self, model: &Model, batch: &PackedBatch) -> &[f32] {
        if self.workers.len() == 1 {
            let tape = &mut self.workers[0].tape;
            model.forward(batch, tape, None);
            return tape.hidden();
        }
        let parts = batch.split(self.workers.len());
        for (worker, part) in self.workers.iter_mut().zip(parts) {
            worker.batch = part;
        }
        self.workers
            .par_iter_mut()
            .filter(|worker| !worker.batch.is_empty())
            .for_each(|worker| model.forward(&worker.batch, &mut worker.tape, None));
        self.hidden.clear();
        for worker in self.workers.iter().filter(|worker| !worker.batch.is_empty()) {
            self.hidden.extend_from_slice(worker.tape.hidden());
        }
        &self.hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mask, TransformerConfig};
    use rand::SeedableRng;

    #[test]
    fn any_number_of_threads_computes_what_the_training_pass_does() {
        let config = TransformerConfig {
            d_model: 16,
            layers: 3,
            heads: 2,
            d_ffn: 24,
            token_types: 2,
            ..TransformerConfig::new(30)
        };
        let model = Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(3)).unwrap();
        let mut batch = PackedBatch::default();
        for length in [5, 1, 9, 4, 4, 17] {
            batch.push_pair(&vec![length; length as usize], &[1, 2], Mask::unilm(3));
        }
        let mut tape = Tape::default();
        model.forward(&batch, &mut tape, None);
        for threads in [1, 2, 3, 7, 20] {
            let mut encoder = Encoder::new(threads);
            // Twice: the memory of the first pass must not show in the second.
            for _ in 0..2 {
                let differences = encoder
                    .run(&model, &batch)
                    .iter()
                    .zip(tape.hidden())
                    .map(|(a, b)| (a - b).abs());
                assert!(differences.fold(0.0, f32::max) < 1e-5, "{threads} threads");
            }
            let mut less = PackedBatch::default();
            less.push(&[3, 4], Mask::CAUSAL);
            assert_eq!(encoder.run(&model, &less).len(), 2 * 16);
        }
    }
}
