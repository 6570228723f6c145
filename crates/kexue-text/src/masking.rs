//! BERT's corruption of a text: tokens to be predicted (arXiv 1810.04805).

use crate::{SpecialTokens, Token, Window};
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// How many tokens are to be predicted, and what stands in their place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Masking {
    /// Share of the tokens that are to be predicted.
    pub rate: f64,
    /// Share of these that are masked.
    pub masked: f64,
    /// Share of these that are replaced by a random token; the rest stay as they are.
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
    /// What is wrong with a setting: its name, and what to do.
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

    /// Appends `[CLS] window [SEP]` to `sequence`, corrupted, and to `predictions` the positions in the sequence and the right tokens; at least
    /// one, whatever the rate, if there are tokens.
    pub fn apply(
        &self,
        window: Window<'_>,
        special: &SpecialTokens,
        generator: &mut impl Rng,
        sequence: &mut Vec<Token>,
        predictions: &mut Vec<(usize, Token)>,
    ) {
        let start = sequence.len();
        sequence.push(special.cls);
        sequence.extend_from_slice(window.tokens);
        sequence.push(special.sep);
        let first = |at: usize| at == 0 || !self.whole_words || window.begins[at];
        let mut words: Vec<usize> = (0..window.tokens.len()).filter(|&at| first(at)).collect();
        words.shuffle(generator);
        let wanted = ((window.tokens.len() as f64 * self.rate).round() as usize).max(1);
        let mut chosen = 0;
        for word in words {
            let end = (word + 1..window.tokens.len())
                .find(|&at| first(at))
                .unwrap_or(window.tokens.len());
            // A word that would be too much is left out, unless there is nothing yet.
            if chosen > 0 && chosen + end - word > wanted {
                continue;
            }
            for at in word..end {
                let place = &mut sequence[start + 1 + at];
                predictions.push((start + 1 + at, *place));
                let draw = generator.random::<f64>();
                if draw < self.masked {
                    *place = special.mask;
                } else if draw < self.masked + self.random {
                    *place = generator.random_range(special.ordinary.clone());
                }
            }
            chosen += end - word;
            if chosen >= wanted {
                break;
            }
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
        assert_eq!(predictions.len(), 15_000);
        let count = |is: &dyn Fn(Token, Token) -> bool| {
            let hits = predictions
                .iter()
                .filter(|&&(at, right)| is(sequence[at], right))
                .count();
            hits as f64 / 15_000.0
        };
        let within = |share: f64, p: f64| (share - p).abs() < 4.0 * (p * (1.0 - p) / 15_000.0).sqrt();
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
    fn words_are_masked_whole_and_at_least_one() {
        let tokens: Vec<Token> = (100..140).collect();
        let begins: Vec<bool> = (0..40).map(|at| at % 4 == 0).collect();
        let window = Window {
            tokens: &tokens,
            begins: &begins,
        };
        for seed in 0..50 {
            let (_, predictions) = apply(Masking::default(), window, seed);
            assert_eq!(predictions.len(), 4, "6 are wanted, a second word would make 8");
            assert!(predictions.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
            assert_eq!((predictions[0].0 - 1) % 4, 0);
        }
        let short = Window {
            tokens: &tokens[..1],
            begins: &begins[..1],
        };
        assert_eq!(apply(Masking::default(), short, 0).1, [(1, 100)]);
        let none = Window {
            tokens: &[],
            begins: &[],
        };
        assert!(apply(Masking::default(), none, 0).1.is_empty());
    }
}
