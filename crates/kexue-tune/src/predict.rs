//! Logits and predictions of a trained model.

use crate::dataset::{Encoded, Labels};
use crate::metrics::Measure;
use kexue_nn::{Classifier, ClassifierTape, DeviceError, Encoder, PackedBatch};
use kexue_train::Metric;

/// Tokens per batch in inference.
const TOKENS: usize = 4096;

/// The logits of each example, `[examples][labels]`.
///
/// # Errors
/// If the model is on a [device](Classifier::set_device), and the device fails.
pub fn logits(model: &Classifier, examples: &[Encoded]) -> Result<Vec<Vec<f32>>, DeviceError> {
    let mut encoder = Encoder::new(rayon::current_num_threads());
    let mut tape = ClassifierTape::default();
    let has_segments = model.model().config().token_types > 1;
    let mut all = vec![Vec::new(); examples.len()];
    // Sequences of similar length share a batch.
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&at| examples[at].tokens.len());
    let mut batch = PackedBatch::default();
    let mut start = 0;
    while start < order.len() {
        batch.clear();
        let mut end = start;
        while end < order.len() && (end == start || batch.len() < TOKENS) {
            examples[order[end]].push(&mut batch, has_segments);
            end += 1;
        }
        batch.set_first_tokens_as_outputs();
        let hidden = encoder.run(model.model(), &batch)?;
        model.head_forward(&batch, hidden, &mut tape, None);
        for (&at, logits) in order[start..end].iter().zip(tape.logits().chunks_exact(model.labels())) {
            all[at] = logits.to_vec();
        }
        start = end;
    }
    Ok(all)
}

/// The prediction for an example.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// A class by its index, and the probability of each.
    Class(usize, Vec<f64>),
    /// A number.
    Number(f64),
}

impl Prediction {
    /// The prediction from an example's logits.
    pub fn of(logits: &[f32], labels: &Labels) -> Self {
        match labels {
            Labels::Number => Self::Number(logits.first().copied().map_or(f64::NAN, f64::from)),
            Labels::Classes(_) => {
                let most = logits.iter().copied().fold(f32::MIN, f32::max);
                let weights: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - most).exp()).collect();
                let total: f64 = weights.iter().sum();
                // The first of equal logits.
                let best = (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
                Self::Class(best.unwrap_or(0), weights.iter().map(|weight| weight / total).collect())
            }
        }
    }
}

/// The mean loss, and measures in percent, over the examples with a known target.
pub fn measure(logits: &[Vec<f32>], examples: &[Encoded], labels: &Labels, measures: &[Measure]) -> Vec<Metric> {
    let known: Vec<(&Vec<f32>, f32)> = logits
        .iter()
        .zip(examples)
        .filter_map(|(logits, example)| Some((logits, example.target?)))
        .collect();
    if known.is_empty() {
        return Vec::new();
    }
    let mut unused = vec![0.0; labels.logits()];
    let losses = known
        .iter()
        .map(|(logits, target)| crate::objective::loss(logits, *target, 0.0, &mut unused));
    let loss = losses.sum::<f64>() / known.len() as f64;
    let predictions: Vec<Prediction> = known.iter().map(|(logits, _)| Prediction::of(logits, labels)).collect();
    let value = |measure: &Measure| match labels {
        Labels::Classes(names) => {
            let class = |prediction: &Prediction| match prediction {
                Prediction::Class(class, _) => *class,
                Prediction::Number(_) => 0,
            };
            let predicted: Vec<usize> = predictions.iter().map(class).collect();
            let right: Vec<usize> = known.iter().map(|(_, target)| *target as usize).collect();
            measure.of_classes(&predicted, &right, names.len())
        }
        Labels::Number => {
            let number = |prediction: &Prediction| match prediction {
                Prediction::Number(number) => *number,
                Prediction::Class(class, _) => *class as f64,
            };
            let predicted: Vec<f64> = predictions.iter().map(number).collect();
            let right: Vec<f64> = known.iter().map(|(_, target)| f64::from(*target)).collect();
            measure.of_numbers(&predicted, &right)
        }
    };
    let measured = measures
        .iter()
        .map(|measure| Metric::maximized(measure.name(), 100.0 * value(measure)));
    measured.chain([Metric::minimized("held_out_loss", loss)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_the_largest_logits_and_unknown_targets_do_not_count() {
        let labels = Labels::Classes(vec!["a".to_owned(), "b".to_owned()]);
        let Prediction::Class(class, shares) = Prediction::of(&[0.0, 3.0f32.ln()], &labels) else {
            panic!("a number of classes");
        };
        assert_eq!(class, 1);
        assert!((shares[0] - 0.25).abs() < 1e-6);
        assert!(matches!(Prediction::of(&[2.0, 2.0], &labels), Prediction::Class(0, _)));
        let example = |target| Encoded {
            tokens: vec![1],
            second: 1,
            target,
        };
        let examples = [example(Some(1.0)), example(None), example(Some(0.0))];
        let logits = vec![vec![0.0, 1.0], vec![0.0, 0.0], vec![0.0, 1.0]];
        let metrics = measure(&logits, &examples, &labels, &[Measure::Accuracy]);
        assert_eq!((metrics[0].name.as_str(), metrics[0].value), ("accuracy", 50.0));
        assert!(measure(&logits[1..2], &examples[1..2], &labels, &[Measure::Accuracy]).is_empty());
    }
}
