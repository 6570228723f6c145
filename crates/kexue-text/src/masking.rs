//! BERT's masking of tokens to predict (arXiv 1810.04805).

use crate::{SpecialTokens, Token, Window};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// How many tokens are predicted, and what replaces them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Masking {
    /// Probability that a token is to be predicted.
    pub rate: f64,
    /// Share of these replaced by the mask token.
    pub masked: f64,
    /// Share of these replaced by a random token. The rest stay unchanged.
    pub random: f64,
    /// Whether the tokens of a word are predicted together.
    pub whole_words: bool,
}

impl Default for Masking {
    fn default() -> Self {
        Self {
            rate: 0.15,
            masked: 0.8,
            random: 0.1,
            whole_words: true,
        }
    }
}

impl Masking {
    /// The name of an invalid setting and its valid values, if one is invalid.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        if !(self.rate > 0.0 && self.rate < 1.0) {
            Some(("rate", "must be above 0 and below 1"))
        } else if !share(self.masked) || !share(self.random) || self.masked + self.random > 1.0 {
            Some(("masked", "must be within 0 and 1, together with `random` at most 1"))
        } else {
            None
        }
    }

    /// Appends `[CLS] window [SEP]` to `sequence`, corrupted by [`Masking::corrupt`], and to `predictions` the positions in `sequence` and the
    /// original tokens.
    pub fn apply(
        &self,
        window: Window<'_>,
        special: &SpecialTokens,
        generator: &mut impl Rng,
        sequence: &mut Vec<Token>,
        predictions: &mut Vec<(usize, Token)>,
    ) {
        sequence.push(special.cls);
        self.corrupt(window, special, generator, sequence, predictions);
        sequence.push(special.sep);
    }

    /// Appends the window's tokens to `sequence`, corrupted, and to `predictions` the positions in `sequence` and the original tokens, in
    /// ascending order.
    ///
    /// Each word is drawn independently. A token is therefore predicted with probability `rate`, however long its word and the window are, so
    /// accuracies at different lengths are comparable. A short window may have nothing to predict.
    pub fn corrupt(
        &self,
        window: Window<'_>,
        special: &SpecialTokens,
        generator: &mut impl Rng,
        sequence: &mut Vec<Token>,
        predictions: &mut Vec<(usize, Token)>,
    ) {
        let mut is_chosen = false;
        for (at, &token) in window.tokens.iter().enumerate() {
            if at == 0 || !self.whole_words || window.begins[at] {
                is_chosen = generator.random_bool(self.rate);
            }
            if !is_chosen {
                sequence.push(token);
                continue;
            }
            predictions.push((sequence.len(), token));
            let draw = generator.random::<f64>();
            sequence.push(if draw < self.masked {
                special.mask
            } else if draw < self.masked + self.random {
                generator.random_range(special.ordinary.clone())
            } else {
                token
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const SPECIAL: SpecialTokens = SpecialTokens {
        cls: 1,
        sep: 2,
        mask: 3,
        ordinary: 10..1_000_000,
    };

    fn apply(masking: Masking, window: Window<'_>, seed: u64) -> (Vec<Token>, Vec<(usize, Token)>) {
        let (mut sequence, mut predictions) = (Vec::new(), Vec::new());
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        masking.apply(window, &SPECIAL, &mut generator, &mut sequence, &mut predictions);
        (sequence, predictions)
    }

    #[test]
    fn shares_are_those_asked_for_and_the_rest_is_untouched() {
        let tokens: Vec<Token> = (100..100_100).collect();
        let begins = vec![true; tokens.len()];
        let window = Window {
            tokens: &tokens,
            begins: &begins,
        };
        let (sequence, predictions) = apply(Masking::default(), window, 1);
        let within = |share: f64, p: f64, count: usize| (share - p).abs() < 4.0 * (p * (1.0 - p) / count as f64).sqrt();
        let predicted = predictions.len();
        assert!(within(predicted as f64 / 1e5, 0.15, 100_000), "{predicted}");
        let count = |is: &dyn Fn(Token, Token) -> bool| {
            let hits = predictions
                .iter()
                .filter(|&&(at, right)| is(sequence[at], right))
                .count();
            hits as f64 / predicted as f64
        };
        let within = |share: f64, p: f64| within(share, p, predicted);
        assert!(within(count(&|here, _| here == 3), 0.8));
        assert!(within(count(&|here, right| here == right), 0.1));
        let mut restored = sequence.clone();
        for &(at, right) in &predictions {
            restored[at] = right;
        }
        assert_eq!(restored[1..=tokens.len()], tokens);
        assert_eq!((sequence[0], sequence[tokens.len() + 1]), (1, 2));
        assert_ne!(
            apply(Masking::default(), window, 2).1,
            predictions,
            "another seed, other tokens"
        );
    }

    #[test]
    fn words_are_masked_whole() {
        let tokens: Vec<Token> = (100..140).collect();
        let begins: Vec<bool> = (0..40).map(|at| at % 4 == 0).collect();
        let window = Window {
            tokens: &tokens,
            begins: &begins,
        };
        let mut words = 0;
        for seed in 0..400 {
            let (_, predictions) = apply(Masking::default(), window, seed);
            for word in predictions.chunks(4) {
                assert_eq!((word[0].0 - 1) % 4, 0);
                assert!(word.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1) && word.len() == 4);
                words += 1;
            }
        }
        // 4,000 words at 15 %: 600 ± 4 · 22.6.
        assert!((510..=690).contains(&words), "{words}");
        let none = Window {
            tokens: &[],
            begins: &[],
        };
        assert!(apply(Masking::default(), none, 0).1.is_empty());
    }

    #[test]
    fn the_same_kinds_of_words_are_chosen_at_every_length() {
        // Words of one to eight tokens, of which a constant prediction knows the shortest.
        const CONSTANT: Token = 100;
        let (mut tokens, mut begins) = (Vec::new(), Vec::new());
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        while tokens.len() < 200_000 {
            let length = generator.random_range(1..=8usize);
            tokens.extend((0..length).map(|at| if length == 1 { CONSTANT } else { 200 + at as Token }));
            begins.extend((0..length).map(|at| at == 0));
        }
        let document = Window {
            tokens: &tokens,
            begins: &begins,
        };
        for whole_words in [true, false] {
            let masking = Masking {
                whole_words,
                ..Masking::default()
            };
            // Mean accuracy of the constant at a length, and its standard error, over windows.
            let accuracy = |length: usize| {
                let counts: Vec<(f64, f64)> = document
                    .parts(length)
                    .enumerate()
                    .map(|(seed, part)| {
                        let (_, predictions) = apply(masking, part, seed as u64);
                        let right = predictions.iter().filter(|&&(_, token)| token == CONSTANT);
                        (right.count() as f64, predictions.len() as f64)
                    })
                    .collect();
                let total: f64 = counts.iter().map(|(_, all)| all).sum();
                let mean = counts.iter().map(|(right, _)| right).sum::<f64>() / total;
                let squares: f64 = counts.iter().map(|(right, all)| (right - mean * all).powi(2)).sum();
                (mean, squares.sqrt() / total)
            };
            let expected = tokens.iter().filter(|&&token| token == CONSTANT).count() as f64 / tokens.len() as f64;
            for length in [14, 30, 126, 1022] {
                let (mean, error) = accuracy(length);
                assert!(
                    (mean - expected).abs() < 4.0 * error,
                    "{length} tokens, whole words {whole_words}: {mean} ± {error}, expected {expected}"
                );
            }
        }
    }
}
