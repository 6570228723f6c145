//! A stream of importance weights: their mean, its error, and diagnostics of its reliability.

use crate::pareto::tail_shape;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A number with a total order, for a heap.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ordered(f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The means of groups of `2^level` weights.
#[derive(Clone, Debug, Default)]
struct Level {
    /// The log-mean of a complete group that waits for the next one.
    open: Option<f64>,
    /// Sum of the log-means of all complete groups.
    sum: f64,
    groups: u64,
}

/// A stream of log-weights `log w`. It keeps only the largest, so the memory grows with the square root of their number.
///
/// The mean of the weights is an unbiased estimate of the density. In expectation, its logarithm, [`log_mean`](Self::log_mean), is a lower bound of the
/// log-density that increases with the number of draws (Burda, Grosse & Salakhutdinov, arXiv 1509.00519, theorem 1).
///
/// ```
/// use kexue_vae::LogWeights;
///
/// let mut weights = LogWeights::new(1000);
/// (0..1000).for_each(|draw| weights.push(-1000.0 + f64::from(draw % 2)));
/// assert!((weights.log_mean() - (-1000.0 + (0.5 + 0.5 * 1f64.exp()).ln())).abs() < 1e-12);
/// assert!(weights.effective_samples() < 1000.0 && weights.standard_error() < 0.02);
/// ```
#[derive(Clone, Debug)]
pub struct LogWeights {
    count: u64,
    largest: f64,
    /// `Σ exp(log w − largest)`.
    sum: f64,
    /// `Σ exp(2·(log w − largest))`.
    squares: f64,
    levels: Vec<Level>,
    /// The largest log-weights, with the smallest of them on top.
    tail: BinaryHeap<Reverse<Ordered>>,
    capacity: usize,
}

/// Number of the largest of `count` weights to which a Pareto distribution is fitted (Vehtari, Simpson, Gelman, Yao & Gabry, arXiv 1507.02646).
fn tail_length(count: u64) -> usize {
    (0.2 * count as f64).min(3.0 * (count as f64).sqrt()).ceil() as usize
}

impl LogWeights {
    /// Creates an empty stream for at most `draws` weights.
    pub fn new(draws: u64) -> Self {
        Self {
            count: 0,
            largest: f64::NEG_INFINITY,
            sum: 0.0,
            squares: 0.0,
            levels: Vec::new(),
            tail: BinaryHeap::new(),
            capacity: tail_length(draws) + 1,
        }
    }

    /// Adds the logarithm of a weight; −∞ for a weight of 0. A NaN makes every result NaN.
    pub fn push(&mut self, log_weight: f64) {
        self.count += 1;
        if log_weight.is_nan() || self.largest.is_nan() {
            self.largest = f64::NAN;
            return;
        }
        if log_weight > self.largest {
            let factor = (self.largest - log_weight).exp();
            self.sum = self.sum * factor + 1.0;
            self.squares = self.squares * factor * factor + 1.0;
            self.largest = log_weight;
        } else if log_weight > f64::NEG_INFINITY {
            let weight = (log_weight - self.largest).exp();
            self.sum += weight;
            self.squares += weight * weight;
        }
        self.add_to_curve(log_weight);
        if self.tail.len() < self.capacity {
            self.tail.push(Reverse(Ordered(log_weight)));
        } else if let Some(mut least) = self.tail.peek_mut()
            && log_weight > least.0.0
        {
            *least = Reverse(Ordered(log_weight));
        }
    }

    /// Adds a weight to the curve: two complete groups of a level form one of the next.
    fn add_to_curve(&mut self, log_weight: f64) {
        let mut mean = log_weight;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Level::default());
            }
            let this = &mut self.levels[level];
            this.sum += mean;
            this.groups += 1;
            match this.open.take() {
                None => {
                    this.open = Some(mean);
                    return;
                }
                Some(other) => mean = log_add(mean, other) - std::f64::consts::LN_2,
            }
        }
    }

    /// Number of weights.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// `log (1/M Σ w)`: the estimate of the log-density. −∞ if all weights are 0 or there are none.
    pub fn log_mean(&self) -> f64 {
        match self.sum > 0.0 {
            true => self.largest + (self.sum / self.count as f64).ln(),
            false if self.largest.is_nan() => f64::NAN,
            false => f64::NEG_INFINITY,
        }
    }

    /// The standard error of [`log_mean`](Self::log_mean) by the delta method: the standard error of the mean weight divided by the mean weight. NaN for
    /// fewer than two weights.
    pub fn standard_error(&self) -> f64 {
        if self.count < 2 || !self.log_mean().is_finite() {
            return f64::NAN;
        }
        // Equal weights have no error, despite rounding.
        let relative = self.count as f64 * self.squares / (self.sum * self.sum) - 1.0;
        (relative.max(0.0) / (self.count - 1) as f64).sqrt()
    }

    /// The effective sample size `(Σ w)² / Σ w²`: the number of draws from the posterior that would give the same precision (Kong, 1992).
    pub fn effective_samples(&self) -> f64 {
        match self.sum > 0.0 {
            true => self.sum * self.sum / self.squares,
            false => 0.0,
        }
    }

    /// The shape k̂ of the generalised Pareto distribution fitted to the largest weights. The weights have moments up to order 1/k. Above
    /// [`k_threshold`](Self::k_threshold), neither the mean nor its error is reliable. `None` if there are too few weights or the largest are all equal.
    pub fn k_hat(&self) -> Option<f64> {
        let length = tail_length(self.count);
        let mut tail: Vec<f64> = self.tail.iter().map(|weight| weight.0.0).collect();
        tail.sort_unstable_by(f64::total_cmp);
        let tail = &tail[tail.len().checked_sub(length + 1)?..];
        let weight = |log: &f64| (log - self.largest).exp();
        let cutoff = weight(&tail[0]);
        let excesses: Vec<f64> = tail[1..].iter().map(|log| weight(log) - cutoff).collect();
        // Weights that differ only by rounding have no tail.
        excesses
            .last()
            .is_some_and(|last| *last > 1e-9)
            .then(|| tail_shape(&excesses))?
    }

    /// The largest k̂ for which this number of draws is sufficient: `min(1 − 1/log10 M, 0.7)` (arXiv 1507.02646v9).
    pub fn k_threshold(&self) -> f64 {
        (1.0 - 1.0 / (self.count.max(2) as f64).log10()).min(0.7)
    }

    /// The bound as a function of the number of draws: the mean of [`log_mean`](Self::log_mean) over groups of 1, 2, 4, 8, … draws, as (draws, mean). The
    /// first is the evidence lower bound (ELBO). Each mean uses all complete groups; the last ones have only one group and are single estimates.
    pub fn curve(&self) -> Vec<(u64, f64)> {
        let levels = self.levels.iter().enumerate();
        levels
            .map(|(level, means)| (1 << level, means.sum / means.groups as f64))
            .collect()
    }
}

/// `log (eᵃ + eᵇ)`.
pub(crate) fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    match high == f64::NEG_INFINITY {
        true => high,
        false => high + (low - high).exp().ln_1p(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn normals(seed: u64, count: usize, scale: f64) -> Vec<f64> {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let normal = |_| scale * generator.sample::<f64, _>(rand_distr::StandardNormal);
        (0..count).map(normal).collect()
    }

    fn stream(logs: &[f64]) -> LogWeights {
        let mut weights = LogWeights::new(logs.len() as u64);
        logs.iter().for_each(|&log| weights.push(log));
        weights
    }

    #[test]
    fn streaming_is_what_all_weights_at_once_give_at_any_scale() {
        let logs = normals(1, 1000, 2.0);
        let weights: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
        let (sum, squares) = (weights.iter().sum::<f64>(), weights.iter().map(|w| w * w).sum::<f64>());
        for shift in [0.0, -1e4, 1e4] {
            let shifted: Vec<f64> = logs.iter().map(|log| log + shift).collect();
            let stream = stream(&shifted);
            assert!((stream.log_mean() - shift - (sum / 1000.0).ln()).abs() < 1e-9);
            assert!((stream.effective_samples() / (sum * sum / squares) - 1.0).abs() < 1e-9);
        }
        // −∞ and an empty stream are valid; NaN is an error.
        assert_eq!(stream(&[]).log_mean(), f64::NEG_INFINITY);
        assert_eq!(stream(&[f64::NEG_INFINITY; 3]).log_mean(), f64::NEG_INFINITY);
        let mixed = stream(&[f64::NEG_INFINITY, 0.0]);
        assert!((mixed.log_mean() - 0.5f64.ln()).abs() < 1e-15);
        assert!(stream(&[0.0, f64::NAN, 0.0]).log_mean().is_nan());
        assert!(stream(&[0.0, f64::NAN, 0.0]).standard_error().is_nan());
    }

    #[test]
    fn the_delta_method_is_what_the_bootstrap_says() {
        let logs = normals(2, 2000, 0.8);
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let means: Vec<f64> = (0..1000)
            .map(|_| {
                let resample: Vec<f64> = logs
                    .iter()
                    .map(|_| logs[generator.random_range(0..logs.len())])
                    .collect();
                stream(&resample).log_mean()
            })
            .collect();
        let mean = means.iter().sum::<f64>() / 1000.0;
        let deviation = (means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 999.0).sqrt();
        // The standard deviation over 1,000 resamples has itself an error of 2.2 %.
        let ratio = stream(&logs).standard_error() / deviation;
        assert!((ratio - 1.0).abs() < 0.07, "{ratio}");
    }

    #[test]
    fn the_curve_holds_the_means_of_groups() {
        let logs = normals(4, 10, 1.0);
        let curve = stream(&logs).curve();
        assert_eq!(curve.iter().map(|point| point.0).collect::<Vec<_>>(), [1, 2, 4, 8]);
        for (size, mean) in curve {
            let groups = logs.chunks_exact(size as usize);
            let count = groups.len() as f64;
            let expected: f64 = groups.map(|group| stream(group).log_mean()).sum::<f64>() / count;
            assert!((mean - expected).abs() < 1e-12, "{size}");
        }
    }

    #[test]
    fn only_the_largest_weights_are_held() {
        let weights = stream(&normals(5, 100_000, 1.0));
        assert_eq!(weights.tail.len(), 3 * 317 - 1);
    }
}
