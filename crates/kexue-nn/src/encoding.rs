//! Forward passes for inference, on several threads.

use crate::kernels::Work;
use crate::{DeviceError, InferencePrecision, Model, PackedBatch, Tape};
use rayon::prelude::*;

/// Computes hidden states for inference. Its memory is reused from batch to batch and does not grow with the number of layers.
///
/// The first pass of a model packs the weights of its blocks. The model keeps this second copy until its parameters change, for all encoders and
/// decoders.
#[derive(Debug)]
pub struct Encoder {
    workers: Vec<Worker>,
    hidden: Vec<f32>,
}

/// A thread's parts of a batch and its working memory.
#[derive(Debug)]
struct Worker {
    tape: Tape,
    /// The last hidden states of its parts, `[tokens, d_model]`.
    hidden: Vec<f32>,
}

impl Worker {
    fn run(&mut self, model: &Model, parts: &[PackedBatch]) {
        self.tape.set_work(Work::Pieces);
        self.hidden.clear();
        for part in parts.iter().filter(|part| !part.is_empty()) {
            model.forward(part, &mut self.tape, None);
            self.hidden.extend_from_slice(self.tape.hidden());
        }
    }
}

impl Encoder {
    /// Creates an encoder that uses `threads` threads of the current `rayon` pool.
    ///
    /// The sequences of a batch are divided among the threads if there are at least as many. In a smaller batch, the threads share the products, heads
    /// and activations, so that a single sequence uses all cores. The results are the same, bit for bit, for any number of threads.
    pub fn new(threads: usize) -> Self {
        let worker = || Worker {
            tape: Tape::forward_only(),
            hidden: Vec::new(),
        };
        Self {
            workers: std::iter::repeat_with(worker).take(threads.max(1)).collect(),
            hidden: Vec::new(),
        }
    }

    /// The last hidden states, `[tokens, d_model]`; unspecified for rows that are no [outputs](PackedBatch::set_outputs).
    ///
    /// # Errors
    /// If the model is on a [device](Model::set_device), and the batch does not fit it or the device fails.
    ///
    /// # Panics
    /// As [`Model::forward`].
    pub fn run(&mut self, model: &Model, batch: &PackedBatch) -> Result<&[f32], DeviceError> {
        if let Some(device) = model.device() {
            self.hidden = device.hidden(batch)?;
            return Ok(&self.hidden);
        }
        let threads = self.workers.len();
        let is_divided = batch.sequences().len() >= threads;
        if !is_divided || threads == 1 && batch.len() <= PART_TOKENS {
            let tape = &mut self.workers[0].tape;
            let is_shared = !is_divided && batch.len() * model.config().d_model >= shared_numbers(model);
            tape.set_work(if is_shared { Work::ParallelPieces } else { Work::Pieces });
            model.forward(batch, tape, None);
            return Ok(tape.hidden());
        }
        let each = batch.len().div_ceil(threads * PART_TOKENS).max(1);
        let parts = batch.split(threads * each);
        self.workers
            .par_iter_mut()
            .zip(parts.par_chunks(each))
            .for_each(|(worker, parts)| worker.run(model, parts));
        self.hidden.clear();
        for worker in &self.workers {
            self.hidden.extend_from_slice(&worker.hidden);
        }
        Ok(&self.hidden)
    }
}

/// Number of tokens that a thread computes at once, unless a sequence is longer. The values of a layer then stay in its cache.
const PART_TOKENS: usize = 128;

/// Minimum size of the residual stream, `tokens · d_model`, for which several threads are faster than one. Products of eight bits take a quarter of the
/// time, so that starting threads for them is worth it later.
fn shared_numbers(model: &Model) -> usize {
    match model.inference_precision() {
        InferencePrecision::Single | InferencePrecision::Half => 4096,
        InferencePrecision::Int8 => 16_384,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, Mask, TransformerConfig};
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
            // Twice: the memory of the first pass must not affect the second.
            for _ in 0..2 {
                let differences = encoder
                    .run(&model, &batch)
                    .unwrap()
                    .iter()
                    .zip(tape.hidden())
                    .map(|(a, b)| (a - b).abs());
                assert!(differences.fold(0.0, f32::max) < 1e-5, "{threads} threads");
            }
            let mut less = PackedBatch::default();
            less.push(&[3, 4], Mask::CAUSAL);
            assert_eq!(encoder.run(&model, &less).unwrap().len(), 2 * 16);
        }
    }

    #[test]
    fn eight_bits_are_close_and_change_with_neither_threads_nor_batches() {
        let config = TransformerConfig {
            d_model: 144,
            layers: 3,
            heads: 3,
            d_ffn: 300,
            ..TransformerConfig::new(30)
        };
        let mut model = Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(3)).unwrap();
        let prompt: Vec<u32> = (0..40).map(|at| at * 7 % 30).collect();
        let batch = |count: usize| {
            let mut batch = PackedBatch::default();
            for _ in 0..count {
                batch.push(&prompt, Mask::unilm(prompt.len()));
            }
            batch
        };
        let exact = Encoder::new(1).run(&model, &batch(1)).unwrap().to_vec();
        model.set_inference_precision(InferencePrecision::Int8);
        let rounded = Encoder::new(1).run(&model, &batch(1)).unwrap().to_vec();
        let size = |numbers: &[f32]| numbers.iter().map(|x| x * x).sum::<f32>().sqrt();
        let differences: Vec<f32> = exact.iter().zip(&rounded).map(|(a, b)| a - b).collect();
        let relative = size(&differences) / size(&exact);
        assert!(relative > 1e-6 && relative < 0.02, "{relative}");

        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for threads in [1, 2, 3] {
            for count in [1, 2, 5] {
                let mut encoder = Encoder::new(threads);
                let all = pool.install(|| encoder.run(&model, &batch(count)).unwrap().to_vec());
                for one in all.chunks_exact(rounded.len()) {
                    assert_eq!(one, rounded, "{threads} threads, {count} sequences");
                }
            }
        }
        let mut decoder = Decoder::new(&model);
        let node = decoder.prompts([&prompt[..]]).unwrap()[0];
        let last = &rounded[rounded.len() - 144..];
        let differences: Vec<f32> = last
            .iter()
            .zip(decoder.hidden(node).unwrap())
            .map(|(a, b)| a - b)
            .collect();
        let relative = size(&differences) / size(last);
        assert!(relative < 0.01, "the decoder rounds too: {relative}");

        drop(decoder);
        model.set_inference_precision(InferencePrecision::Single);
        assert_eq!(Encoder::new(1).run(&model, &batch(1)).unwrap(), exact);
    }

    #[test]
    fn outputs_are_those_of_the_whole_pass_on_any_number_of_threads() {
        let config = TransformerConfig {
            d_model: 16,
            layers: 2,
            heads: 2,
            d_ffn: 24,
            ..TransformerConfig::new(30)
        };
        let mut model = Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(3)).unwrap();
        let mut batch = PackedBatch::default();
        for length in [5, 1, 9, 4, 4, 17] {
            batch.push(&vec![length; length as usize], Mask::BIDIRECTIONAL);
        }
        for precision in [InferencePrecision::Single, InferencePrecision::Int8] {
            model.set_inference_precision(precision);
            let whole = Encoder::new(1).run(&model, &batch).unwrap().to_vec();
            for outputs in [&[0, 5, 6, 15, 19, 23][..], &[1, 2, 39], &[]] {
                let mut limited = batch.clone();
                limited.set_outputs(outputs.iter().copied());
                for threads in [1, 2, 3, 7, 20] {
                    let mut encoder = Encoder::new(threads);
                    let hidden = encoder.run(&model, &limited).unwrap();
                    assert_eq!(hidden.len(), whole.len());
                    for row in outputs {
                        let row = row * 16..(row + 1) * 16;
                        assert_eq!(hidden[row.clone()], whole[row], "{outputs:?} {threads} threads");
                    }
                }
            }
        }
        let mut first = batch.clone();
        first.set_first_tokens_as_outputs();
        let mut given = batch.clone();
        given.set_outputs(batch.rows().map(|rows| rows.start));
        assert_eq!(first.outputs(), given.outputs());
    }

    #[test]
    fn changed_parameters_are_used() {
        let config = TransformerConfig {
            d_model: 16,
            layers: 2,
            heads: 2,
            d_ffn: 24,
            ..TransformerConfig::new(30)
        };
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let mut model = Model::new(config, &mut generator).unwrap();
        let other = Model::new(model.config().clone(), &mut generator).unwrap();
        let mut batch = PackedBatch::default();
        batch.push(&[1, 2, 3], Mask::BIDIRECTIONAL);
        let mut encoder = Encoder::new(1);
        let before = encoder.run(&model, &batch).unwrap().to_vec();
        let kept = model.clone();
        let expected = encoder.run(&other, &batch).unwrap().to_vec();
        model.values_mut().copy_from_slice(other.values());
        assert_eq!(encoder.run(&model, &batch).unwrap(), expected);
        assert_eq!(
            encoder.run(&kept, &batch).unwrap(),
            before,
            "a copy keeps its own parameters"
        );
        let mut model = kept.clone();
        model.copy_matching(&other);
        assert_eq!(encoder.run(&model, &batch).unwrap(), expected);
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        // Widths that are not multiples of a piece.
        let config = TransformerConfig {
            d_model: 144,
            layers: 2,
            heads: 3,
            d_ffn: 300,
            ..TransformerConfig::new(30)
        };
        let model = Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(3)).unwrap();
        for (lengths, mask) in [
            (&[57][..], Mask::BIDIRECTIONAL),
            (&[1], Mask::BIDIRECTIONAL),
            (&[130, 40], Mask::unilm(7)),
        ] {
            let mut batch = PackedBatch::default();
            for &length in lengths {
                batch.push(&(0..length).map(|at| at % 30).collect::<Vec<_>>(), mask);
            }
            let mut one = Encoder::new(1);
            let expected: Vec<u32> = one.run(&model, &batch).unwrap().iter().map(|x| x.to_bits()).collect();
            let mut whole = Tape::default();
            model.forward(&batch, &mut whole, None);
            for threads in [2, 3, 8] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut encoder = Encoder::new(threads);
                let found = pool.install(|| encoder.run(&model, &batch).unwrap().to_vec());
                assert!(
                    found.iter().map(|x| x.to_bits()).eq(expected.iter().copied()),
                    "{lengths:?} {threads}"
                );
                let differences = found.iter().zip(whole.hidden()).map(|(a, b)| (a - b).abs());
                assert!(differences.fold(0.0, f32::max) < 1e-4);
            }
        }
    }
}
