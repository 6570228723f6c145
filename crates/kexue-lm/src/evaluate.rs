//! Accuracy and attention entropy at a length.
//!
//! Masks are drawn over the text before it is cut into sequences, so every length predicts the same tokens under the same corruption.

use kexue_nn::{HeadTape, Mask, Model, PackedBatch, Prediction, Tape};
use kexue_text::{Masking, SpecialTokens, Token, Window};
use kexue_train::{generator, streams};
use rayon::prelude::*;
use std::collections::HashMap;

/// The scores of a model at one length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LengthScore {
    /// Tokens per sequence.
    pub length: usize,
    /// Share of the predictions that are correct.
    pub accuracy: f64,
    /// Share that would be correct if every prediction were the most frequent token of the text.
    pub baseline: f64,
    /// Mean cross-entropy of a prediction, in nats.
    pub loss: f64,
    /// Number of predictions.
    pub predictions: usize,
    /// Mean entropy of the attention rows, in nats, `[layers][heads]`.
    pub entropy: Vec<Vec<f64>>,
}

impl LengthScore {
    /// The [accuracy](Self::accuracy) in percent.
    pub fn accuracy_percent(&self) -> f64 {
        100.0 * self.accuracy
    }

    /// The [baseline](Self::baseline) in percent.
    pub fn baseline_percent(&self) -> f64 {
        100.0 * self.baseline
    }

    /// The mean over all layers and heads.
    pub fn mean_entropy(&self) -> f64 {
        let heads = self.entropy.iter().flatten();
        heads.clone().sum::<f64>() / heads.count().max(1) as f64
    }
}

/// Tokens computed at once.
const BATCH_TOKENS: usize = 4096;

/// Measures a model, without dropout, on parts of `length - 2` tokens of each stretch, enclosed in `[CLS]` and `[SEP]`.
///
/// The masks of a stretch depend only on `seed` and its place in `stretches`. Given the same stretches, every length predicts the same tokens,
/// except those left over at the end of a stretch. `mask` determines which keys a token sees: the whole sequence ([`Mask::BIDIRECTIONAL`]) or a
/// window.
pub fn evaluate(
    model: &Model,
    stretches: &[Window<'_>],
    length: usize,
    mask: Mask,
    masking: &Masking,
    special: &SpecialTokens,
    seed: u64,
) -> LengthScore {
    let masked: Vec<Masked> = stretches
        .iter()
        .enumerate()
        .map(|(index, &stretch)| {
            let mut masked = Masked::default();
            let mut random = generator(seed, streams::MASKS, index as u64);
            masking.corrupt(
                stretch,
                special,
                &mut random,
                &mut masked.tokens,
                &mut masked.predictions,
            );
            masked
        })
        .collect();
    let part_length = length.saturating_sub(2).max(1);
    let parts: Vec<Part<'_>> = masked.iter().flat_map(|masked| masked.parts(part_length)).collect();
    let constant = most_frequent_token(stretches);
    let batches: Vec<Partial> = parts
        .par_chunks((BATCH_TOKENS / length.max(1)).max(1))
        .map_init(Memory::default, |memory, parts| {
            memory.score(model, parts, mask, special, constant)
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
        baseline: total.constant_right as f64 / predictions,
        loss: total.loss / predictions,
        predictions: total.predictions,
        entropy: total
            .entropy
            .iter()
            .map(|heads| heads.iter().map(|sum| sum / total.tokens.max(1) as f64).collect())
            .collect(),
    }
}

/// The most frequent token; the smallest of several.
fn most_frequent_token(stretches: &[Window<'_>]) -> Option<Token> {
    let mut counts: HashMap<Token, usize> = HashMap::new();
    for &token in stretches.iter().flat_map(|stretch| stretch.tokens) {
        *counts.entry(token).or_default() += 1;
    }
    let by_count = |&(token, count): &(Token, usize)| (count, std::cmp::Reverse(token));
    counts.into_iter().max_by_key(by_count).map(|(token, _)| token)
}

/// A stretch with its masks.
#[derive(Default)]
struct Masked {
    /// `[tokens]`, corrupted.
    tokens: Vec<Token>,
    /// Places in `tokens`, ascending, and the original tokens there.
    predictions: Vec<(usize, Token)>,
}

/// A part of a stretch with its masks.
struct Part<'a> {
    tokens: &'a [Token],
    /// Place of its first token in the stretch.
    start: usize,
    /// The masks of the stretch that are in this part. Places count from the start of the stretch.
    predictions: &'a [(usize, Token)],
}

impl Masked {
    /// Consecutive parts of `length` tokens; a shorter rest is dropped.
    fn parts(&self, length: usize) -> impl Iterator<Item = Part<'_>> {
        self.tokens
            .chunks_exact(length)
            .enumerate()
            .map(move |(index, tokens)| {
                let start = index * length;
                let before = |end: usize| self.predictions.partition_point(|&(at, _)| at < end);
                Part {
                    tokens,
                    start,
                    predictions: &self.predictions[before(start)..before(start + length)],
                }
            })
    }
}

/// Sums over some sequences.
#[derive(Default)]
struct Partial {
    right: usize,
    constant_right: usize,
    loss: f64,
    predictions: usize,
    tokens: usize,
    entropy: Vec<Vec<f64>>,
}

impl Partial {
    fn add(&mut self, other: &Self) {
        self.right += other.right;
        self.constant_right += other.constant_right;
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
        parts: &[Part<'_>],
        mask: Mask,
        special: &SpecialTokens,
        constant: Option<Token>,
    ) -> Partial {
        self.batch.clear();
        let (mut sequence, mut predictions) = (Vec::new(), Vec::new());
        for part in parts {
            sequence.clear();
            sequence.push(special.cls);
            sequence.extend_from_slice(part.tokens);
            sequence.push(special.sep);
            let first = self.batch.push(&sequence, mask) + 1;
            predictions.extend(part.predictions.iter().map(|&(at, token)| Prediction {
                row: first + at - part.start,
                token,
            }));
        }
        let constant_right = predictions.iter().filter(|one| Some(one.token) == constant).count();
        self.batch.set_outputs(predictions.iter().map(|one| one.row));
        model.forward(&self.batch, &mut self.tape, None);
        let (loss, right) = model.prediction_score(self.tape.hidden(), &predictions, &mut self.head);
        let tokens = self.batch.len();
        let entropy = self.tape.attention_entropy(model, &self.batch);
        Partial {
            right,
            constant_right,
            loss,
            predictions: predictions.len(),
            tokens,
            // Converts means to sums, so that batches of different sizes can be added.
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
        // 15 % of 5,000, with four standard errors.
        assert!((650..=850).contains(&score.predictions), "{}", score.predictions);
        assert!((score.loss - 100f64.ln()).abs() < 0.2, "near ln 100: {}", score.loss);
        // One prediction in ten is shown its own token.
        assert!(score.accuracy < 0.2, "{}", score.accuracy);
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

    #[test]
    fn every_length_predicts_the_same_tokens() {
        let config = TransformerConfig {
            d_model: 8,
            layers: 1,
            heads: 1,
            d_ffn: 8,
            ..TransformerConfig::new(100)
        };
        let model = Model::new(config, &mut generator(3, 0, 0)).unwrap();
        // Words of one to eight tokens; the most frequent token is the one of the shortest.
        let (mut tokens, mut begins) = (Vec::<Token>::new(), Vec::new());
        for word in 0.. {
            let length = 1 + word % 8;
            tokens.extend((0..length).map(|at| {
                if length == 1 {
                    10
                } else {
                    11 + (8 * length + at) as Token
                }
            }));
            begins.extend((0..length).map(|at| at == 0));
            if tokens.len() >= 12_000 {
                break;
            }
        }
        let (tokens, begins) = (&tokens[..12_000], &begins[..12_000]);
        let stretch = Window { tokens, begins };
        let special = SpecialTokens {
            cls: 1,
            sep: 2,
            mask: 3,
            ordinary: 10..100,
        };
        let masking = Masking::default();
        let stretches: Vec<Window<'_>> = stretch.parts(240).collect();
        let scores = [10, 24, 60, 240].map(|length| {
            evaluate(
                &model,
                &stretches,
                length + 2,
                Mask::BIDIRECTIONAL,
                &masking,
                &special,
                0,
            )
        });
        for score in &scores {
            assert_eq!(score.predictions, scores[0].predictions);
            assert_eq!(score.baseline, scores[0].baseline);
        }
        let share = tokens.iter().filter(|&&token| token == 10).count() as f64 / 12_000.0;
        // 15 % of 333 such words, with four standard errors.
        assert!(
            (scores[0].baseline / share - 1.0).abs() < 0.6,
            "{} {share}",
            scores[0].baseline
        );
    }
}
