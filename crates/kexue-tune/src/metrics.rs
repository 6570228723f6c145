//! Measures of predictions.

use serde::{Deserialize, Serialize};

/// A measure of predictions; larger values are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The share of correct predictions.
    Accuracy,
    /// The harmonic mean of precision and recall: for two classes that of the last class, for more the mean over the classes.
    F1,
    /// Matthews' correlation coefficient; for several classes, Gorodkin's generalisation.
    Matthews,
    /// Pearson's correlation of numbers.
    Pearson,
    /// Spearman's rank correlation; equal numbers share the mean of their ranks.
    Spearman,
}

impl Measure {
    /// The name of the measure in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::Matthews => "matthews",
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
        }
    }

    /// Whether it measures numbers, not classes.
    pub fn is_of_numbers(self) -> bool {
        matches!(self, Self::Pearson | Self::Spearman)
    }

    /// The measure for predicted classes; 1 is the best.
    pub fn of_classes(self, predicted: &[usize], right: &[usize], classes: usize) -> f64 {
        let mut table = vec![vec![0.0f64; classes]; classes];
        for (&predicted, &right) in predicted.iter().zip(right) {
            table[right][predicted] += 1.0;
        }
        let total = right.len() as f64;
        let hits: f64 = (0..classes).map(|class| table[class][class]).sum();
        let actual = |class: usize| table[class].iter().sum::<f64>();
        let claimed = |class: usize| table.iter().map(|row| row[class]).sum::<f64>();
        match self {
            Self::F1 => {
                let f1 = |class: usize| ratio(2.0 * table[class][class], actual(class) + claimed(class));
                match classes {
                    0 => 0.0,
                    1 | 2 => f1(classes - 1),
                    _ => (0..classes).map(f1).sum::<f64>() / classes as f64,
                }
            }
            Self::Matthews => {
                let sum = |of: &dyn Fn(usize) -> f64| (0..classes).map(of).sum::<f64>();
                let covariance = hits * total - sum(&|class| actual(class) * claimed(class));
                let spread = |of: &dyn Fn(usize) -> f64| total * total - sum(&|class| of(class).powi(2));
                ratio(covariance, (spread(&actual) * spread(&claimed)).sqrt())
            }
            Self::Accuracy | Self::Pearson | Self::Spearman => ratio(hits, total),
        }
    }

    /// The measure for predicted numbers; 1 is the best.
    pub fn of_numbers(self, predicted: &[f64], right: &[f64]) -> f64 {
        match self {
            Self::Spearman => correlation(&ranks(predicted), &ranks(right)),
            _ => correlation(predicted, right),
        }
    }
}

/// The ratio, or 0 if the denominator is 0.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |of: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| of(a - mean_a, b - mean_b)).sum::<f64>();
    ratio(sum(&|a, b| a * b), (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt())
}

/// Ranks from 1.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = start as f64 + (group.len() + 1) as f64 / 2.0;
        group.iter().for_each(|&at| ranks[at] = rank);
        start += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    #[test]
    fn classes_by_the_formulas_of_their_counts() {
        // 3 true positives, 1 false positive, 2 false negatives, 4 true negatives.
        let predicted = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0];
        let right = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0];
        near(Measure::Accuracy.of_classes(&predicted, &right, 2), 0.7);
        near(Measure::F1.of_classes(&predicted, &right, 2), 6.0 / 9.0);
        let matthews = (3.0 * 4.0 - 1.0 * 2.0) / (4.0f64 * 5.0 * 5.0 * 6.0).sqrt();
        near(Measure::Matthews.of_classes(&predicted, &right, 2), matthews);
        // With more classes than occur, only the mean of F1 changes.
        near(Measure::Matthews.of_classes(&predicted, &right, 3), matthews);
        near(
            Measure::F1.of_classes(&predicted, &right, 3),
            (6.0 / 9.0 + 8.0 / 11.0) / 3.0,
        );
        // With one class only, there is no correlation.
        near(Measure::Matthews.of_classes(&[1; 4], &[0, 1, 0, 1], 2), 0.0);
        near(Measure::Accuracy.of_classes(&[], &[], 2), 0.0);
    }

    #[test]
    fn numbers_by_value_and_by_rank() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 8.0, 27.0, 64.0]);
        near(Measure::Spearman.of_numbers(&a, &b), 1.0);
        // Around the means, Σab = 104, Σa² = 5, Σb² = 2390.
        near(Measure::Pearson.of_numbers(&a, &b), 104.0 / (5.0f64 * 2390.0).sqrt());
        // Ranks 1.5, 1.5, 3, 4 against 1, 2, 3, 4.
        near(
            Measure::Spearman.of_numbers(&[5.0, 5.0, 6.0, 7.0], &a),
            4.5 / (4.5f64 * 5.0).sqrt(),
        );
        near(Measure::Pearson.of_numbers(&[2.0; 4], &a), 0.0);
    }
}
