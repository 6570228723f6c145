//! Accuracy and attention entropy at a length.

use kexue_nn::{HeadTape, Mask, Model, PackedBatch, Prediction, Tape};
use kexue_text::{Masking, SpecialTokens, Window};
use kexue_train::{generator, streams};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// What a model knows at a length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LengthScore {
    /// Tokens of a sequence.
    pub length: usize,
    /// Share of the predictions that are right.
    pub accuracy: f64,
    /// Mean cross-entropy of a prediction, in nats.
    pub loss: f64,
    /// Predictions made.
    pub predictions: usize,
    /// Mean entropy of the attention rows, in nats, `[layers][heads]`.
    pub entropy: Vec<Vec<f64>>,
}

impl LengthScore {
    /// The mean over all layers and heads.
    pub fn mean_entropy(&self) -> f64 {
        let heads = self.entropy.iter().flatten();
        heads.clone().sum::<f64>() / heads.count().max(1) as f64
    }
}

/// Tokens computed at once.
const BATCH_TOKENS: usize = 4096;

/// Masks each part of `length - 2` tokens of some stretches, the same ones for the same seed, and lets the model predict; without dropout.
///
/// Given the same stretches, every length sees the same text, up to what is left over at the end of a stretch. `mask` says which keys a token
/// sees: all of the sequence ([`Mask::BIDIRECTIONAL`]) or those of a window.
pub fn evaluate(
    model: &Model,
    stretches: &[Window<'_>],
    length: usize,
    mask: Mask,
    masking: &Masking,
    special: &SpecialTokens,
    seed: u64,
) -> LengthScore {
    let parts: Vec<Window<'_>> = stretches
        .iter()
        .flat_map(|stretch| stretch.parts(length.saturating_sub(2).max(1)))
        .collect();
    let batch_size = (BATCH_TOKENS / length.max(1)).max(1);
    let batches: Vec<Partial> = parts
        .par_chunks(batch_size)
        .enumerate()
        .map_init(Memory::default, |memory, (index, parts)| {
            let random = generator(seed, streams::MASKS, index as u64);
            memory.score(model, parts, mask, masking, special, random)
        })
        .collect();
    let mut total = Partial::default();
    for batch in &batches {
        total.add(batch);
    }
    let predictions = total.predictions.max(1) as f64;
    LengthScore {
        length,
        accuracy: total.right as f64 / predictions,
        loss: total.loss / predictions,
        predictions: total.predictions,
        entropy: total
            .entropy
            .iter()
            .map(|heads| heads.iter().map(|sum| sum / total.tokens.max(1) as f64).collect())
            .collect(),
    }
}

/// Sums over some sequences.
#[derive(Default)]
struct Partial {
    right: usize,
    loss: f64,
    predictions: usize,
    tokens: usize,
    entropy: Vec<Vec<f64>>,
}

impl Partial {
    fn add(&mut self, other: &Self) {
        self.right += other.right;
        self.loss += other.loss;
        self.predictions += other.predictions;
        self.tokens += other.tokens;
        self.entropy.resize(other.entropy.len(), Vec::new());
        for (sums, more) in self.entropy.iter_mut().zip(&other.entropy) {
            sums.resize(more.len(), 0.0);
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
}

#[derive(Default)]
struct Memory {
    batch: PackedBatch,
    tape: Tape,
    head: HeadTape,
}

impl Memory {
    fn score(
        &mut self,
        model: &Model,
        parts: &[Window<'_>],
        mask: Mask,
        masking: &Masking,
        special: &SpecialTokens,
        mut random: ChaCha8Rng,
    ) -> Partial {
        self.batch.clear();
        let (mut sequence, mut places, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            sequence.clear();
            places.clear();
            masking.apply(*part, special, &mut random, &mut sequence, &mut places);
            let start = self.batch.push(&sequence, mask);
            predictions.extend(places.iter().map(|&(at, token)| Prediction { row: start + at, token }));
        }
        model.forward(&self.batch, &mut self.tape, None);
        let (loss, right) = model.prediction_score(self.tape.hidden(), &predictions, &mut self.head);
        let tokens = self.batch.len();
        let entropy = self.tape.attention_entropy(model, &self.batch);
        Partial {
            right,
            loss,
            predictions: predictions.len(),
            tokens,
            // Means to sums, so that batches of different sizes add up.
            entropy: entropy
                .into_iter()
                .map(|heads| heads.into_iter().map(|mean| mean * tokens as f64).collect())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_nn::TransformerConfig;
    use kexue_text::Token;

    #[test]
    fn an_untrained_model_guesses_and_attends_evenly() {
        let config = TransformerConfig {
            d_model: 16,
            layers: 3,
            heads: 2,
            d_ffn: 16,
            ..TransformerConfig::new(100)
        };
        let model = Model::new(config, &mut generator(3, 0, 0)).unwrap();
        let tokens: Vec<Token> = (0..5000).map(|at| 10 + (at * 7 % 83) as Token).collect();
        let begins = vec![true; tokens.len()];
        let stretch = Window {
            tokens: &tokens,
            begins: &begins,
        };
        let special = SpecialTokens {
            cls: 1,
            sep: 2,
            mask: 3,
            ordinary: 10..100,
        };
        let masking = Masking::default();
        let score = evaluate(&model, &[stretch], 52, Mask::BIDIRECTIONAL, &masking, &special, 0);
        assert_eq!(
            score.predictions,
            100 * 8,
            "a hundred parts of 50, rounded shares of 15 %"
        );
        assert!((score.loss - 100f64.ln()).abs() < 0.2, "near ln 100: {}", score.loss);
        assert!(score.accuracy < 0.1);
        assert_eq!(score.entropy.len(), 3);
        assert!(
            (score.mean_entropy() - 52f64.ln()).abs() < 0.05,
            "{}",
            score.mean_entropy()
        );
        assert_eq!(
            score,
            evaluate(&model, &[stretch], 52, Mask::BIDIRECTIONAL, &masking, &special, 0),
            "the same seed"
        );
        let longer = evaluate(&model, &[stretch], 502, Mask::BIDIRECTIONAL, &masking, &special, 0);
        assert!((longer.mean_entropy() - 502f64.ln()).abs() < 0.05);
    }
}
