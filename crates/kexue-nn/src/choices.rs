//! The loss of choosing one token among those allowed: a softmax over a set, not over the vocabulary.
//!
//! With the whole vocabulary as the set, it is the ordinary cross-entropy. With the tokens that a trie allows, it trains exactly the choice that
//! constrained decoding makes, at a cost proportional to the size of the set.

use crate::kernels::{ADD, SET, Shape, add, add_scaled, dot, gather, log_of, matmul, softmax};
use crate::model::Model;
use kexue_text::Token;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// One training choice among allowed tokens.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Row of the hidden state that makes the choice.
    pub row: usize,
    /// The allowed tokens, each once. Choices that share a list are computed together.
    pub allowed: Arc<[Token]>,
    /// Index of the correct token in `allowed`.
    pub target: usize,
    /// Numbers added to the logits, one for each allowed token; empty for none.
    pub bias: Vec<f32>,
}

/// Minimum length of a list that is computed as one matrix product for all choices that share it.
const DENSE: usize = 256;

impl Model {
    /// The summed cross-entropy of `choices`, given the hidden states `[tokens, d_model]`. Adds the derivative of the loss with respect to the
    /// hidden states to `d_hidden`, `[tokens, d_model]`, and with respect to the tied embedding to `gradient`, `[parameters]`.
    ///
    /// # Panics
    /// If a row, a token or a target is out of range.
    pub fn choice_loss(&self, hidden: &[f32], choices: &[Choice], d_hidden: &mut [f32], gradient: &mut [f32]) -> f64 {
        let d = self.config().d_model;
        let d_embedding = &mut gradient[self.layout().embedding.clone()];
        // Choices with a long list, grouped by list, in the order in which the lists first appear. Floating-point sums depend on the order of
        // their terms, so an order by address would make them depend on the heap.
        let (mut dense, mut group_of) = (Vec::<Vec<&Choice>>::new(), HashMap::<*const Token, usize>::new());
        let mut loss = 0.0;
        let mut scores = Vec::new();
        for choice in choices {
            if choice.allowed.len() >= DENSE {
                let group = *group_of.entry(choice.allowed.as_ptr()).or_insert(dense.len());
                match dense.get_mut(group) {
                    Some(group) => group.push(choice),
                    None => dense.push(vec![choice]),
                }
                continue;
            }
            let state = &hidden[choice.row * d..][..d];
            scores.clear();
            scores.extend(choice.allowed.iter().map(|&token| dot(state, self.embedding(token))));
            add(&mut scores, &choice.bias);
            softmax(&mut scores);
            loss -= log_of(scores[choice.target]);
            scores[choice.target] -= 1.0;
            let d_state = &mut d_hidden[choice.row * d..][..d];
            for (&token, &score) in choice.allowed.iter().zip(&scores) {
                add_scaled(d_state, self.embedding(token), score);
                add_scaled(&mut d_embedding[token as usize * d..][..d], state, score);
            }
        }
        for group in &dense {
            loss += self.dense_loss(hidden, group, d_hidden, d_embedding);
        }
        loss
    }

    /// The loss of choices that share one list.
    fn dense_loss(&self, hidden: &[f32], group: &[&Choice], d_hidden: &mut [f32], d_embedding: &mut [f32]) -> f64 {
        let (d, allowed) = (self.config().d_model, &group[0].allowed);
        let tokens = allowed.len();
        // The rows of consecutive tokens, such as those of a whole vocabulary, are used where they lie.
        let place = run_of(allowed).map(|run| run.start * d..run.end * d);
        let table = self.at(&self.layout().embedding);
        let mut gathered = Vec::new();
        let embeddings = match &place {
            Some(place) => &table[place.clone()],
            None => gather(&mut gathered, table, d, allowed.iter().map(|&token| token as usize)),
        };
        let mut apart = vec![0.0; if place.is_some() { 0 } else { tokens * d }];
        let embeddings_shape = Shape::dense(tokens, d);
        let most = group.len().div_ceil(group.len().div_ceil(DENSE_ROWS));
        let (mut states, mut scores, mut d_states) = (Vec::new(), vec![0.0; most * tokens], vec![0.0; most * d]);
        let mut loss = 0.0;
        for group in group.chunks(most) {
            let states = gather(&mut states, hidden, d, group.iter().map(|choice| choice.row));
            let (states_shape, scores_shape) = (Shape::dense(group.len(), d), Shape::dense(group.len(), tokens));
            let scores = &mut scores[..group.len() * tokens];
            matmul(
                scores,
                scores_shape,
                states,
                states_shape,
                embeddings,
                embeddings_shape.t(),
                SET,
            );
            for (row, choice) in scores.chunks_exact_mut(tokens).zip(group) {
                add(row, &choice.bias);
                softmax(row);
                loss -= log_of(row[choice.target]);
                row[choice.target] -= 1.0;
            }
            matmul(
                &mut d_states,
                states_shape,
                scores,
                scores_shape,
                embeddings,
                embeddings_shape,
                SET,
            );
            for (row, choice) in d_states.chunks_exact(d).zip(group) {
                add(&mut d_hidden[choice.row * d..][..d], row);
            }
            let d_embeddings = match &place {
                Some(place) => &mut d_embedding[place.clone()],
                None => &mut apart[..],
            };
            matmul(
                d_embeddings,
                embeddings_shape,
                scores,
                scores_shape.t(),
                states,
                states_shape,
                ADD,
            );
        }
        for (row, &token) in apart.chunks_exact(d).zip(allowed.iter()) {
            add(&mut d_embedding[token as usize * d..][..d], row);
        }
        loss
    }
}

/// Maximum number of choices whose scores over a long list are in memory at once.
const DENSE_ROWS: usize = 1024;

/// The range that tokens make up, if they are consecutive and ascending.
fn run_of(tokens: &[Token]) -> Option<Range<usize>> {
    let first = *tokens.first()? as usize;
    let is_run = tokens.iter().zip(first..).all(|(&token, next)| token as usize == next);
    is_run.then(|| first..first + tokens.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Initializer, StdConvention, TransformerConfig};
    use rand::SeedableRng;

    fn model() -> Model {
        let config = TransformerConfig {
            d_model: 8,
            layers: 1,
            heads: 2,
            d_ffn: 8,
            initializer: Initializer::truncated_normal(0.5, StdConvention::Effective),
            ..TransformerConfig::new(400)
        };
        Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(4)).unwrap()
    }

    #[test]
    fn gradients_agree_with_finite_differences_for_short_and_long_lists() {
        let mut model = model();
        let mut hidden: Vec<f32> = (0..24).map(|i| (i as f32).sin()).collect();
        let long: Arc<[Token]> = (0..300).collect();
        // With a hole, and with tokens above 0.
        let holed: Arc<[Token]> = (0..300).map(|token| token + u32::from(token > 6)).collect();
        let late: Arc<[Token]> = (100..400).collect();
        let choices = [
            Choice {
                row: 0,
                allowed: Arc::from([3, 7, 9]),
                target: 1,
                bias: vec![0.5, -1.0, 0.0],
            },
            Choice {
                row: 1,
                allowed: long.clone(),
                target: 5,
                bias: (0..300).map(|i| (i as f32).cos()).collect(),
            },
            Choice {
                row: 2,
                allowed: long,
                target: 7,
                bias: Vec::new(),
            },
            Choice {
                row: 1,
                allowed: holed,
                target: 8,
                bias: Vec::new(),
            },
            Choice {
                row: 0,
                allowed: late,
                target: 299,
                bias: Vec::new(),
            },
        ];
        let (mut d_hidden, mut gradient) = (vec![0.0; 24], vec![0.0; model.layout().len()]);
        model.choice_loss(&hidden, &choices, &mut d_hidden, &mut gradient);
        let loss = |model: &Model, hidden: &[f32]| {
            model.choice_loss(hidden, &choices, &mut [0.0; 24], &mut vec![0.0; model.layout().len()])
        };
        for i in 0..24 {
            let kept = hidden[i];
            hidden[i] = kept + 1e-2;
            let up = loss(&model, &hidden);
            hidden[i] = kept - 1e-2;
            let down = loss(&model, &hidden);
            hidden[i] = kept;
            assert!(((up - down) / 2e-2 - f64::from(d_hidden[i])).abs() < 1e-3, "hidden {i}");
        }
        for token in [3, 5, 7, 9, 99, 100, 299, 300, 399] {
            let at = model.layout().embedding.start + token * 8 + 2;
            let kept = model.values()[at];
            model.values_mut()[at] = kept + 1e-2;
            let up = loss(&model, &hidden);
            model.values_mut()[at] = kept - 1e-2;
            let down = loss(&model, &hidden);
            model.values_mut()[at] = kept;
            assert!(
                ((up - down) / 2e-2 - f64::from(gradient[at])).abs() < 1e-3,
                "token {token}"
            );
        }
    }

    #[test]
    fn many_choices_are_few_choices_put_together() {
        let model = model();
        let count = 2 * DENSE_ROWS + 100;
        let hidden: Vec<f32> = (0..8 * count).map(|i| (i as f32).sin()).collect();
        for allowed in [
            (0..300).collect::<Arc<[Token]>>(),
            (0..300).map(|token| token + u32::from(token > 6)).collect(),
        ] {
            let choices: Vec<Choice> = (0..count)
                .map(|row| Choice {
                    row,
                    allowed: allowed.clone(),
                    target: row % 300,
                    bias: Vec::new(),
                })
                .collect();
            let loss = |parts: usize| {
                let (mut d_hidden, mut gradient) = (vec![0.0; hidden.len()], vec![0.0; model.layout().len()]);
                let parts = choices.chunks(count.div_ceil(parts));
                let loss: f64 = parts
                    .map(|choices| model.choice_loss(&hidden, choices, &mut d_hidden, &mut gradient))
                    .sum();
                (loss, d_hidden, gradient)
            };
            let (whole, parts) = (loss(1), loss(7));
            assert!((whole.0 - parts.0).abs() < 1e-6 * whole.0);
            let differences = whole.1.iter().zip(&parts.1).chain(whole.2.iter().zip(&parts.2));
            assert!(differences.fold(0f32, |most, (a, b)| most.max((a - b).abs())) < 1e-4);
        }
    }

    #[test]
    fn sums_do_not_depend_on_where_lists_lie_in_memory() {
        let model = model();
        let hidden: Vec<f32> = (0..48).map(|i| (i as f32).sin()).collect();
        // Three lists that share tokens, in either order of their addresses.
        let mut lists: Vec<Arc<[Token]>> = (0..3).map(|_| (0..300).collect()).collect();
        let mut results = Vec::new();
        for is_rising in [true, false] {
            lists.sort_by_key(|list| list.as_ptr() as usize);
            if !is_rising {
                lists.reverse();
            }
            let choices: Vec<Choice> = (0..6)
                .map(|row| Choice {
                    row,
                    allowed: lists[row % 3].clone(),
                    target: 40 * row,
                    bias: Vec::new(),
                })
                .collect();
            let (mut d_hidden, mut gradient) = (vec![0.0; 48], vec![0.0; model.layout().len()]);
            let loss = model.choice_loss(&hidden, &choices, &mut d_hidden, &mut gradient);
            let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            results.push((loss.to_bits(), bits(d_hidden), bits(gradient)));
        }
        assert!(results[0] == results[1]);
    }

    #[test]
    fn the_loss_of_numbers_that_are_none_is_none() {
        let model = model();
        // A short list and a long one.
        for allowed in [Arc::from([3, 7, 9]), (0..300).collect::<Arc<[Token]>>()] {
            let choice = Choice {
                row: 0,
                allowed,
                target: 1,
                bias: Vec::new(),
            };
            let loss = |hidden: f32| {
                let mut gradient = vec![0.0; model.layout().len()];
                model.choice_loss(
                    &[hidden; 8],
                    std::slice::from_ref(&choice),
                    &mut [0.0; 8],
                    &mut gradient,
                )
            };
            assert!(loss(f32::NAN).is_nan() && loss(f32::INFINITY).is_nan());
            assert!(loss(1.0).is_finite());
        }
        assert!((log_of(0.0) - 1e-37f64.ln()).abs() < 1e-6, "an underflow is bounded");
    }
}
