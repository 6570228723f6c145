//! A logistic regression that tells unanswerable questions from others by their words and pairs of words.
//!
//! A bigram model of each relation's questions finds "who discovered" probable if both words are frequent there. This regression weighs what tells
//! the two apart.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, HashMap};

/// The number of passes over the questions.
const EPOCHS: usize = 2;
/// The learning rate of AdaGrad (Duchi, Hazan & Singer 2011), and the sum of squares it starts with.
const RATE: f64 = 0.1;
const SQUARES: f64 = 0.01;
/// The factor of half the squared weights in the loss.
const DECAY: f64 = 1e-4;
/// The least number of questions that a feature occurs in.
const LEAST_QUESTIONS: u32 = 2;

/// Learns a weight for each feature, the logarithm of odds that it adds: positive for unanswerable questions. Both classes weigh the same.
pub(crate) fn learn(answerable: &[Vec<String>], unanswerable: &[Vec<String>]) -> BTreeMap<String, f64> {
    if answerable.is_empty() || unanswerable.is_empty() {
        return BTreeMap::new();
    }
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for feature in answerable.iter().chain(unanswerable).flatten() {
        *counts.entry(feature).or_default() += 1;
    }
    let mut names: Vec<&str> = counts
        .into_iter()
        .filter(|(_, count)| *count >= LEAST_QUESTIONS)
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    let places: HashMap<&str, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let total = (answerable.len() + unanswerable.len()) as f64;
    let class = |questions: &[Vec<String>], label: f64| -> Vec<(Vec<usize>, f64, f64)> {
        let weight = total / (2.0 * questions.len() as f64);
        let features = |question: &Vec<String>| {
            let found = question
                .iter()
                .filter_map(|feature| places.get(feature.as_str()).copied());
            found.collect()
        };
        questions
            .iter()
            .map(|question| (features(question), label, weight))
            .collect()
    };
    let mut questions = class(answerable, 0.0);
    questions.extend(class(unanswerable, 1.0));
    let (mut weights, mut squares) = (vec![0.0; names.len()], vec![SQUARES; names.len()]);
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    for _ in 0..EPOCHS {
        questions.shuffle(&mut generator);
        for (features, label, weight) in &questions {
            let logit: f64 = features.iter().map(|&feature| weights[feature]).sum();
            let slope = weight * (1.0 / (1.0 + (-logit).exp()) - label);
            for &feature in features {
                let gradient = slope + DECAY * weights[feature];
                squares[feature] += gradient * gradient;
                weights[feature] -= RATE * gradient / f64::sqrt(squares[feature]);
            }
        }
    }
    names.into_iter().map(str::to_owned).zip(weights).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_the_classes_apart_gets_the_weight() {
        let question = |features: &[&str]| features.iter().map(|&feature| feature.to_owned()).collect::<Vec<_>>();
        let answerable = vec![question(&["^", "when", "discovered"]); 200];
        let mut unanswerable = vec![question(&["^", "who", "discovered"]); 20];
        unanswerable.push(question(&["once"]));
        let weights = learn(&answerable, &unanswerable);
        assert!(weights["who"] > 0.5 && weights["when"] < -0.5, "{weights:?}");
        assert!(weights["discovered"].abs() < 0.4, "{weights:?}");
        assert!(!weights.contains_key("once"));
        assert_eq!(learn(&answerable, &unanswerable), weights);
        assert!(learn(&[], &unanswerable).is_empty());
    }
}
