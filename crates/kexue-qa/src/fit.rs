//! Fitting the weights of learned rescoring: a conditional logit by Newton's method.

use crate::evaluate::Case;
use crate::rerank::{EVIDENCE, Evidence, Reranker, logit};
use crate::search::{SearchOptions, candidates};
use crate::{Error, Result};
use kexue_kg::KnowledgeGraph;
use kexue_nn::Model;
use serde::Serialize;

const N: usize = EVIDENCE.len();

/// Weight of the squared distance to [`Reranker::default`], for each question.
const SHRINKAGE: f64 = 1e-3;
/// Newton steps at most; ten are usual.
const STEPS: usize = 50;
/// Parts of cross-validation.
const FOLDS: usize = 5;
/// Fewer questions than these say too little about so many weights.
pub const LEAST_QUESTIONS: usize = 200;

/// How well probabilities of candidates foretell the right one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Foretelling {
    /// Questions whose most probable candidate is right, in percent.
    pub right: f64,
    /// Mean negative logarithm of the probability of the right candidates, in nats.
    pub negative_log_likelihood: f64,
}

/// What a fit found.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The weights, fitted on all questions.
    pub reranker: Reranker,
    /// Questions that could be used: the right fact is among the candidates.
    pub questions: usize,
    /// Questions whose right fact is not among them.
    pub out_of_reach: usize,
    /// The model's own probabilities.
    pub before: Foretelling,
    /// Learned ones, each part of the questions weighed by a fit on the others (5-fold cross-validation).
    pub after: Foretelling,
}

/// A question's candidates; right ones first.
struct Choice {
    candidates: Vec<Evidence>,
    right: usize,
}

/// Fits weights on questions that the model was not trained on.
///
/// # Errors
/// When there are fewer than [`LEAST_QUESTIONS`] to fit on, a question cannot be asked, or the graph is damaged.
pub fn fit(graph: &KnowledgeGraph, model: &Model, options: &SearchOptions, cases: &[Case]) -> Result<Fit> {
    let texts: Vec<&str> = cases.iter().map(|case| case.question.text.as_str()).collect();
    let counted = counted(graph, &texts);
    let options = SearchOptions {
        rescore: true,
        reranker: Some(counted.clone()),
        ..options.clone()
    };
    let results = candidates(graph, model, &options, &texts)?;
    let choices: Vec<Choice> = cases
        .iter()
        .zip(results)
        .filter_map(|(case, result)| {
            let all = result.found.iter().zip(result.evidence);
            let (mut candidates, wrong): (Vec<_>, Vec<_>) =
                all.partition(|(found, _)| case.gold_keys.contains(&found.key));
            let right = candidates.len();
            candidates.extend(wrong);
            let candidates = candidates.into_iter().map(|(_, evidence)| evidence).collect();
            (right > 0).then_some(Choice { candidates, right })
        })
        .collect();
    if choices.len() < LEAST_QUESTIONS {
        return Err(Error::TooFew {
            found: choices.len(),
            needed: LEAST_QUESTIONS,
        });
    }
    let mut after = Foretelling::default();
    for fold in 0..FOLDS {
        let part = |inside: bool| {
            // Neighbours in a file are alike, and stay together.
            let (indexed, all) = (choices.iter().enumerate(), choices.len());
            indexed
                .filter(move |(index, _)| (index * FOLDS / all == fold) == inside)
                .map(|(_, choice)| choice)
        };
        let weighed = foretell(&newton(&part(false).collect::<Vec<_>>()), part(true));
        let share = part(true).count() as f64 / choices.len() as f64;
        after.right += share * weighed.right;
        after.negative_log_likelihood += share * weighed.negative_log_likelihood;
    }
    Ok(Fit {
        reranker: Reranker {
            weights: newton(&choices.iter().collect::<Vec<_>>()),
            ..counted
        },
        questions: choices.len(),
        out_of_reach: cases.len() - choices.len(),
        before: foretell(&Reranker::default().weights, choices.iter()),
        after,
    })
}

/// The model's own weights, and how many of the questions have each token.
fn counted(graph: &KnowledgeGraph, texts: &[&str]) -> Reranker {
    let mut counts = vec![0; graph.vocabulary().len()];
    for text in texts {
        let mut tokens = graph.vocabulary().encode(text);
        tokens.sort_unstable();
        tokens.dedup();
        tokens.iter().for_each(|&token| counts[token as usize] += 1);
    }
    Reranker {
        questions: texts.len() as u32,
        counts,
        ..Reranker::default()
    }
}

fn foretell<'c>(weights: &Evidence, choices: impl Iterator<Item = &'c Choice>) -> Foretelling {
    let (mut sum, mut count) = (Foretelling::default(), 0.0);
    for choice in choices {
        let (_, loss, best) = choice.probabilities(weights);
        sum.right += f64::from(u8::from(best < choice.right));
        sum.negative_log_likelihood += loss;
        count += 1.0;
    }
    Foretelling {
        right: 100.0 * sum.right / f64::max(count, 1.0),
        negative_log_likelihood: sum.negative_log_likelihood / f64::max(count, 1.0),
    }
}

impl Choice {
    /// The probability of each candidate, the negative logarithm of that of the right ones, and the index of the most probable.
    fn probabilities(&self, weights: &Evidence) -> (Vec<f64>, f64, usize) {
        let mut probabilities: Vec<f64> = self
            .candidates
            .iter()
            .map(|evidence| logit(weights, evidence))
            .collect();
        let largest = probabilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let best = probabilities.iter().position(|&logit| logit == largest).unwrap_or(0);
        let right: f64 = probabilities[..self.right]
            .iter()
            .map(|logit| (logit - largest).exp())
            .sum();
        let sum: f64 = probabilities.iter().map(|logit| (logit - largest).exp()).sum();
        probabilities
            .iter_mut()
            .for_each(|logit| *logit = (*logit - largest).exp() / sum);
        // A right candidate beyond the range of floating point is still only so improbable.
        (probabilities, sum.ln() - right.max(1e-300).ln(), best)
    }
}

/// The objective, its gradient and its Hessian matrix, where the Hessian is taken as if each question had one right candidate (for several,
/// their own spread is left out, which keeps it positive definite).
fn derivatives(weights: &Evidence, choices: &[&Choice]) -> (f64, [f64; N], [[f64; N]; N]) {
    let (mut value, mut gradient, mut hessian) = (0.0, [0.0; N], [[0.0; N]; N]);
    let prior = Reranker::default().weights;
    let shrinkage = SHRINKAGE * choices.len() as f64;
    for i in 0..N {
        let distance = weights[i] - prior[i];
        value += shrinkage * distance * distance / 2.0;
        gradient[i] = shrinkage * distance;
        hessian[i][i] = shrinkage;
    }
    for choice in choices {
        let (probabilities, loss, _) = choice.probabilities(weights);
        value += loss;
        let right: f64 = probabilities[..choice.right].iter().sum::<f64>().max(1e-300);
        let mut mean = [0.0; N];
        for (index, (evidence, probability)) in choice.candidates.iter().zip(&probabilities).enumerate() {
            let pull = if index < choice.right { probability / right } else { 0.0 };
            for i in 0..N {
                mean[i] += probability * evidence[i];
                gradient[i] += (probability - pull) * evidence[i];
                for j in 0..=i {
                    hessian[i][j] += probability * evidence[i] * evidence[j];
                }
            }
        }
        for i in 0..N {
            for j in 0..=i {
                hessian[i][j] -= mean[i] * mean[j];
            }
        }
    }
    (value, gradient, hessian)
}

/// Minimises the negative log-likelihood with the shrinkage, halving steps that do not lower it.
fn newton(choices: &[&Choice]) -> Evidence {
    let mut weights = Reranker::default().weights;
    let (mut value, mut gradient, mut hessian) = derivatives(&weights, choices);
    for _ in 0..STEPS {
        let step = solve(hessian, gradient);
        let mut length = 1.0;
        let accepted = loop {
            let mut next = weights;
            next.iter_mut()
                .zip(step)
                .for_each(|(weight, step)| *weight -= length * step);
            let at_next = derivatives(&next, choices);
            if at_next.0 < value {
                break Some((next, at_next));
            }
            length /= 2.0;
            if length < 1e-4 {
                break None;
            }
        };
        let Some((next, at_next)) = accepted else { break };
        let gained = value - at_next.0;
        weights = next;
        (value, gradient, hessian) = at_next;
        if gained < 1e-9 * value {
            break;
        }
    }
    weights
}

/// Solves `matrix · x = right` by Cholesky's decomposition; of the symmetric positive definite matrix the lower triangle is read.
fn solve(mut matrix: [[f64; N]; N], mut right: [f64; N]) -> [f64; N] {
    for i in 0..N {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| matrix[i][k] * matrix[j][k]).sum();
            let rest = matrix[i][j] - dot;
            matrix[i][j] = if i == j {
                rest.max(1e-12).sqrt()
            } else {
                rest / matrix[j][j]
            };
        }
    }
    for i in 0..N {
        let dot: f64 = (0..i).map(|k| matrix[i][k] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i][i];
    }
    for i in (0..N).rev() {
        let dot: f64 = (i + 1..N).map(|k| matrix[k][i] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i][i];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Questions whose right candidate is drawn from the probabilities that some weights give.
    fn drawn(truth: &Evidence, questions: usize) -> Vec<Choice> {
        let mut generator = ChaCha8Rng::seed_from_u64(7);
        (0..questions)
            .map(|_| {
                let mut candidates: Vec<Evidence> = (0..8)
                    .map(|_| std::array::from_fn(|_| generator.random_range(-1.0..1.0)))
                    .collect();
                let all = Choice {
                    candidates: candidates.clone(),
                    right: 1,
                };
                let mut left: f64 = generator.random();
                let probabilities = all.probabilities(truth).0;
                let chosen = probabilities.iter().position(|p| {
                    left -= p;
                    left < 0.0
                });
                candidates.swap(0, chosen.unwrap_or(0));
                Choice { candidates, right: 1 }
            })
            .collect()
    }

    #[test]
    fn finds_the_weights_that_drew_the_answers() {
        let truth: Evidence = std::array::from_fn(|index| 0.3 * index as f64 - 1.5);
        let choices = drawn(&truth, 4000);
        let found = newton(&choices.iter().collect::<Vec<_>>());
        for (found, truth) in found.iter().zip(truth) {
            // A standard error is about 0.03 here; shrinkage takes a hundredth.
            assert!((found - truth).abs() < 0.2, "{found} for {truth}");
        }
        let (before, after) = (
            foretell(&Reranker::default().weights, choices.iter()),
            foretell(&found, choices.iter()),
        );
        assert!(after.negative_log_likelihood < before.negative_log_likelihood && after.right > before.right);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let mut choices = drawn(&Reranker::default().weights, 20);
        choices[3].right = 3;
        let choices: Vec<&Choice> = choices.iter().collect();
        let at: Evidence = std::array::from_fn(|index| (index as f64).sin());
        let (_, gradient, _) = derivatives(&at, &choices);
        for (i, exact) in gradient.into_iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = at;
                moved[i] += by;
                derivatives(&moved, &choices).0
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((difference - exact).abs() < 1e-6, "{difference} {exact}");
        }
    }
}
