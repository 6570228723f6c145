//! The batches that a model is measured and trained on.

use crate::{Objective, ProbeError};
use kexue_nn::{Mask, PackedBatch, Prediction, Token};
use kexue_text::{Corpus, Masking, SpecialTokens, Window};
use rand::Rng;
use std::collections::HashMap;

/// The source of sequences.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Real text.
    Text {
        /// Its documents.
        corpus: &'a Corpus,
        /// The special tokens of sequences.
        special: &'a SpecialTokens,
    },
    /// Ordinary tokens, drawn uniformly. Nothing can be learned from them, but activations and gradients can be measured.
    Random {
        /// The special tokens of sequences.
        special: &'a SpecialTokens,
    },
}

/// Batches of a source.
#[derive(Clone, Debug)]
pub struct Data<'a> {
    source: Source<'a>,
    objective: Objective,
    masking: Masking,
    sequences: usize,
    length: usize,
}

/// Sequences, and the tokens to predict in them.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The sequences.
    pub packed: PackedBatch,
    /// The tokens to predict.
    pub predictions: Vec<Prediction>,
}

impl<'a> Data<'a> {
    /// Creates batches of `sequences` sequences of `length` tokens, including separators.
    ///
    /// # Errors
    /// If the source is empty, or the sequences are too short to predict anything.
    pub fn new(source: Source<'a>, objective: Objective, sequences: usize, length: usize) -> Result<Self, ProbeError> {
        if sequences == 0 || sequences > 1 << 16 {
            return Err(ProbeError::setting(
                "batch_size",
                format!("{sequences} is not within 1 and 65536"),
            ));
        }
        if !(3..=1 << 16).contains(&length) {
            return Err(ProbeError::setting(
                "length",
                format!("{length} is not within 3 and 65536: a sequence needs a token between two separators"),
            ));
        }
        if sequences * length > 1 << 20 {
            let problem = format!("{sequences} sequences of {length} tokens are more than 1048576 tokens: use fewer");
            return Err(ProbeError::setting("batch_size", problem));
        }
        match source {
            Source::Text { corpus, .. } if corpus.is_empty() => {
                Err(ProbeError::setting("texts", "the files contain no text"))
            }
            Source::Random { special } if special.ordinary.is_empty() => Err(ProbeError::setting(
                "vocab_size",
                "too small: there are only special tokens",
            )),
            _ => Ok(Self {
                source,
                objective,
                masking: Masking::default(),
                sequences,
                length,
            }),
        }
    }

    /// Draws a batch with something to predict. A batch without masked tokens is drawn again.
    pub fn batch(&self, generator: &mut impl Rng) -> Batch {
        loop {
            let batch = self.draw(generator);
            if !batch.predictions.is_empty() {
                return batch;
            }
        }
    }

    fn draw(&self, generator: &mut impl Rng) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..self.sequences {
            match self.source {
                Source::Text { corpus, special } => {
                    if let Some(window) = corpus.sample(self.length - 2, generator) {
                        self.push(&mut batch, window, special, generator);
                    }
                }
                Source::Random { special } => {
                    let draw = |_| generator.random_range(special.ordinary.clone());
                    let tokens: Vec<Token> = (0..self.length - 2).map(draw).collect();
                    let begins = vec![true; tokens.len()];
                    let window = Window {
                        tokens: &tokens,
                        begins: &begins,
                    };
                    self.push(&mut batch, window, special, generator);
                }
            }
        }
        batch
    }

    fn push(&self, batch: &mut Batch, window: Window<'_>, special: &SpecialTokens, generator: &mut impl Rng) {
        match self.objective {
            Objective::Masked => {
                let (mut sequence, mut predictions) = (Vec::new(), Vec::new());
                self.masking
                    .apply(window, special, generator, &mut sequence, &mut predictions);
                let start = batch.packed.push(&sequence, Mask::BIDIRECTIONAL);
                let at = |(place, token)| Prediction {
                    row: start + place,
                    token,
                };
                batch.predictions.extend(predictions.into_iter().map(at));
            }
            Objective::Causal => {
                let sequence: Vec<Token> = [special.cls].iter().chain(window.tokens).copied().collect();
                let start = batch.packed.push(&sequence, Mask::CAUSAL);
                let at = |(place, &token): (usize, &Token)| Prediction {
                    row: start + place,
                    token,
                };
                batch.predictions.extend(window.tokens.iter().enumerate().map(at));
            }
        }
    }

    /// Whether the source is text: nothing can be learned from random tokens.
    pub fn is_text(&self) -> bool {
        matches!(self.source, Source::Text { .. })
    }

    /// Number of tokens of a sequence, including separators.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The loss, in nats, of the best model that ignores its input: the entropy of the token frequencies. A model whose loss stays here has learned only
    /// the frequencies of tokens.
    pub fn plateau(&self) -> f64 {
        match self.source {
            Source::Random { special } => (special.ordinary.len() as f64).ln(),
            Source::Text { corpus, .. } => {
                let mut windows = corpus.stretches(self.length - 2, 20_000);
                if windows.is_empty() {
                    windows = corpus.stretches(1, 1_000_000);
                }
                let mut counts: HashMap<Token, f64> = HashMap::new();
                for token in windows.iter().flat_map(|window| window.tokens) {
                    *counts.entry(*token).or_default() += 1.0;
                }
                let total: f64 = counts.values().sum();
                let mut entropies: Vec<f64> = counts
                    .values()
                    .map(|count| -count / total * (count / total).ln())
                    .collect();
                // Sorted, because the order of a hash table differs between runs.
                entropies.sort_by(f64::total_cmp);
                entropies.iter().sum()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_text::{TextEncoder, Vocabulary};
    use kexue_train::generator;

    const SPECIAL: SpecialTokens = SpecialTokens {
        cls: 0,
        sep: 1,
        mask: 2,
        ordinary: 3..19,
    };

    #[test]
    fn what_is_predicted_is_what_stood_there() {
        let vocabulary = Vocabulary::new("abcd".chars(), false);
        let mut corpus = Corpus::default();
        corpus.read(&b"abcdabcdabcdabcdabcd"[..], &vocabulary).unwrap();
        let special = vocabulary.special_tokens();
        let source = Source::Text {
            corpus: &corpus,
            special: &special,
        };
        let causal = Data::new(source, Objective::Causal, 3, 9).unwrap();
        let batch = causal.batch(&mut generator(1, 2, 3));
        assert_eq!((batch.packed.len(), batch.predictions.len()), (3 * 8, 3 * 7));
        for prediction in &batch.predictions {
            assert_eq!(batch.packed.tokens()[prediction.row + 1], prediction.token);
        }
        let masked = Data::new(source, Objective::Masked, 2, 12).unwrap();
        let batch = masked.batch(&mut generator(1, 2, 3));
        assert_eq!(batch.packed.len(), 24);
        assert!(
            (masked.plateau() - 4f64.ln()).abs() < 1e-9,
            "four letters, each as often"
        );
    }

    #[test]
    fn random_tokens_are_ordinary_ones() {
        let source = Source::Random { special: &SPECIAL };
        let data = Data::new(source, Objective::Masked, 5, 20).unwrap();
        let batch = data.batch(&mut generator(0, 0, 0));
        assert_eq!(batch.packed.len(), 100);
        assert!(
            batch
                .predictions
                .iter()
                .all(|prediction| SPECIAL.ordinary.contains(&prediction.token))
        );
        assert!((data.plateau() - 16f64.ln()).abs() < 1e-12);
        assert!(Data::new(source, Objective::Masked, 5, 2).is_err());
    }
}
