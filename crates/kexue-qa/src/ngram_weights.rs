//! A logistic regression that tells unanswerable questions from others by their words, and by pairs and triples of words.
//!
//! A bigram model of each relation's questions finds "who discovered" probable if both words are frequent there. This regression weighs what tells
//! the two apart.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, HashMap};

/// The number of passes over the questions.
const EPOCHS: usize = 20;
/// The learning rate of AdaGrad (Duchi, Hazan & Singer 2011), and the sum of squares it starts with.
const RATE: f64 = 0.1;
const SQUARES: f64 = 0.01;
/// The factor of half the squared weights in the loss.
const DECAY: f64 = 1e-4;
/// The least number of questions that a feature occurs in.
const LEAST_QUESTIONS: u32 = 8;

/// The features of questions as numbers, so that each text is in memory once.
#[derive(Debug, Default)]
pub(crate) struct Features {
    places: HashMap<String, usize>,
}

impl Features {
    /// The numbers of a question's features, each of which must occur once.
    pub fn of(&mut self, features: impl IntoIterator<Item = String>) -> Vec<u32> {
        let place = |feature| {
            let next = self.places.len();
            *self.places.entry(feature).or_insert(next) as u32
        };
        features.into_iter().map(place).collect()
    }

    /// Learns a weight for each feature that is not rare, the logarithm of odds that it adds: positive for unanswerable questions. Both classes weigh the
    /// same.
    pub fn learn(self, answerable: &[Vec<u32>], unanswerable: &[Vec<u32>]) -> BTreeMap<String, f64> {
        if answerable.is_empty() || unanswerable.is_empty() {
            return BTreeMap::new();
        }
        let mut counts = vec![0; self.places.len()];
        for &feature in answerable.iter().chain(unanswerable).flatten() {
            counts[feature as usize] += 1;
        }
        let frequent = |place: usize| counts[place] >= LEAST_QUESTIONS;
        let weights = weights(answerable, unanswerable, &frequent, counts.len());
        let places = self.places.into_iter().filter(|&(_, place)| frequent(place));
        places.map(|(name, place)| (name, weights[place])).collect()
    }
}

/// The weights of the features that are frequent.
fn weights(
    answerable: &[Vec<u32>],
    unanswerable: &[Vec<u32>],
    frequent: &impl Fn(usize) -> bool,
    count: usize,
) -> Vec<f64> {
    let total = (answerable.len() + unanswerable.len()) as f64;
    let class = |questions: &[Vec<u32>], label: f64| -> Vec<(Vec<usize>, f64, f64)> {
        let weight = total / (2.0 * questions.len() as f64);
        let kept = |question: &Vec<u32>| {
            let places = question.iter().map(|&feature| feature as usize);
            places.filter(|&place| frequent(place)).collect()
        };
        questions
            .iter()
            .map(|question| (kept(question), label, weight))
            .collect()
    };
    let mut questions = class(answerable, 0.0);
    questions.extend(class(unanswerable, 1.0));
    let (mut weights, mut squares) = (vec![0.0; count], vec![SQUARES; count]);
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
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_the_classes_apart_gets_the_weight() {
        let mut features = Features::default();
        let mut question = |words: &[&str]| features.of(words.iter().map(|&word| word.to_owned()));
        let answerable = vec![question(&["^", "when", "discovered"]); 200];
        let mut unanswerable = vec![question(&["^", "who", "discovered"]); 20];
        unanswerable.push(question(&["once"]));
        let again = Features {
            places: features.places.clone(),
        };
        let weights = features.learn(&answerable, &unanswerable);
        assert!(weights["who"] > 1.0 && weights["when"] < -1.0, "{weights:?}");
        assert!(weights["discovered"].abs() < weights["who"] / 2.0, "{weights:?}");
        assert!(!weights.contains_key("once"));
        assert_eq!(again.learn(&answerable, &unanswerable), weights);
        assert!(Features::default().learn(&[], &unanswerable).is_empty());
    }
}
