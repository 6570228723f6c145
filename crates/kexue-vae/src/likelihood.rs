//! Distributions of an observation given its latent.

use crate::kernels::{HALF_LOG_TAU, bernoulli, logistic};
use serde::{Deserialize, Serialize};

/// The variance of a Gaussian likelihood.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deviation {
    /// A fixed standard deviation.
    Fixed(f32),
    /// One learned standard deviation for all dimensions.
    Learned,
    /// A learned standard deviation for each dimension.
    PerDimension,
}

/// The distribution of each dimension of an observation. Dimensions are independent given the latent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Likelihood {
    /// 0 or 1; the decoder computes the logit.
    Bernoulli {},
    /// Normally distributed real numbers; the decoder computes the mean.
    Gaussian {
        /// Their standard deviation.
        deviation: Deviation,
        /// Bytes, dequantised: `(byte + u)/256` with uniform u replaces the byte. The density is that of the byte itself, because u is drawn with every draw of
        /// the latent and integrated out like it (Theis, van den Oord & Bethge, arXiv 1511.01844).
        #[serde(default)]
        dequantize: bool,
    },
    /// Classes; the decoder computes the logits.
    Categorical {
        /// Number of classes; 256 for bytes.
        classes: usize,
    },
    /// Bytes: a logistic distribution, whose mean and scale the decoder computes, integrated over the interval of each byte. The first and the last
    /// interval are unbounded (Salimans, Karpathy, Chen & Kingma, arXiv 1701.05517, equation 2).
    DiscretizedLogistic {},
}

/// Minimum logarithm of a logistic scale, as in PixelCNN++.
const LEAST_LOG_SCALE: f32 = -7.0;

impl Likelihood {
    /// Number of parameters that the decoder computes for each dimension.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Bernoulli {} | Self::Gaussian { .. } => 1,
            Self::Categorical { classes } => *classes,
            Self::DiscretizedLogistic {} => 2,
        }
    }

    /// Number of learned parameters besides the decoder: the logarithms of standard deviations.
    pub fn log_deviations(&self, dimensions: usize) -> usize {
        match self {
            Self::Gaussian {
                deviation: Deviation::Learned,
                ..
            } => 1,
            Self::Gaussian {
                deviation: Deviation::PerDimension,
                ..
            } => dimensions,
            _ => 0,
        }
    }

    /// Whether noise is added to targets.
    pub fn dequantizes(&self) -> bool {
        matches!(self, Self::Gaussian { dequantize: true, .. })
    }

    /// Whether observations are discrete, so that log-densities are log-probabilities.
    pub fn is_discrete(&self) -> bool {
        !matches!(self, Self::Gaussian { dequantize: false, .. })
    }

    /// The input of the encoder for a target.
    pub(crate) fn input_of(&self, target: f32) -> f32 {
        match self {
            Self::Bernoulli {} | Self::DiscretizedLogistic {} | Self::Gaussian { dequantize: false, .. } => target,
            Self::Gaussian { dequantize: true, .. } => target + 0.5 / 256.0,
            Self::Categorical { classes } => target / (*classes - 1) as f32,
        }
    }

    /// The term to add to the log-density of an observation: `p(byte) = E p((byte + u)/256) / 256` in each dimension.
    pub(crate) fn log_volume(&self, dimensions: usize) -> f64 {
        match self.dequantizes() {
            true => -(dimensions as f64) * 256f64.ln(),
            false => 0.0,
        }
    }

    /// Adds the log-likelihood of each row to `out`. Row r of the decoder's `outputs`, `[rows, parameters, dimensions]`, belongs to row r/`share` of the
    /// targets. With `gradient`, the outputs are replaced by the derivatives of the log-likelihood.
    pub(crate) fn log_likelihood(
        &self,
        outputs: &mut [f32],
        (targets, share): (&[f32], usize),
        dimensions: usize,
        log_deviations: &[f32],
        gradient: bool,
        out: &mut [f64],
    ) {
        if let Self::Bernoulli {} = self {
            return bernoulli(outputs, targets, dimensions, share, gradient, out);
        }
        let rows = outputs.chunks_exact_mut(dimensions * self.parameters());
        for (row, (outputs, out)) in rows.zip(out).enumerate() {
            let targets = &targets[row / share * dimensions..][..dimensions];
            *out += match self {
                Self::Bernoulli {} => 0.0,
                Self::Gaussian { deviation, .. } => {
                    let log_deviation = |at: usize| match deviation {
                        Deviation::Fixed(value) => value.ln(),
                        _ => log_deviations[at % log_deviations.len()],
                    };
                    gaussian(outputs, targets, log_deviation, gradient)
                }
                Self::Categorical { classes } => categorical(outputs, targets, *classes, gradient),
                Self::DiscretizedLogistic {} => discretized_logistic(outputs, targets, gradient),
            };
        }
    }

    /// Adds the derivatives with respect to the logarithms of the standard deviations: `Σ scale·(u² − 1)` with the standardised error u. `slopes` are the
    /// derivatives with respect to the means, `u/σ`.
    pub(crate) fn deviation_gradient(
        &self,
        slopes: &[f32],
        log_deviations: &[f32],
        scale: &[f32],
        gradient: &mut [f32],
        dimensions: usize,
    ) {
        if log_deviations.is_empty() {
            return;
        }
        for (slopes, scale) in slopes.chunks_exact(dimensions).zip(scale) {
            for (at, slope) in slopes.iter().enumerate() {
                let at = at % log_deviations.len();
                let u = slope * log_deviations[at].exp();
                gradient[at] += scale * (u * u - 1.0);
            }
        }
    }

    /// The mean of an observation in units of the targets, from a row of the decoder's outputs; for classes, the most probable one.
    pub(crate) fn mean(&self, outputs: &[f32], dimensions: usize) -> Vec<f32> {
        match self {
            Self::Bernoulli {} => outputs.iter().map(|&logit| logistic(logit)).collect(),
            Self::Gaussian { .. } => outputs.to_vec(),
            Self::DiscretizedLogistic {} => outputs[..dimensions].iter().map(|mean| mean.clamp(-1.0, 1.0)).collect(),
            Self::Categorical { classes } => {
                let class = |at: usize| {
                    let logit = |class: &usize| outputs[class * dimensions + at];
                    (0..*classes).max_by(|a, b| logit(a).total_cmp(&logit(b))).unwrap_or(0) as f32
                };
                (0..dimensions).map(class).collect()
            }
        }
    }

    /// Draws an observation, in units of the targets.
    pub(crate) fn draw(
        &self,
        outputs: &[f32],
        dimensions: usize,
        log_deviations: &[f32],
        generator: &mut rand_chacha::ChaCha8Rng,
    ) -> Vec<f32> {
        use rand::Rng;
        let mut uniform = || generator.random_range(1e-7..1.0f32);
        match self {
            Self::Bernoulli {} => outputs
                .iter()
                .map(|&logit| f32::from(u8::from(uniform() < logistic(logit))))
                .collect(),
            Self::Gaussian { deviation, .. } => {
                let normal = |(at, mean): (usize, &f32)| {
                    let log = match deviation {
                        Deviation::Fixed(value) => value.ln(),
                        _ => log_deviations[at % log_deviations.len()],
                    };
                    mean + log.exp() * generator.sample::<f32, _>(rand_distr::StandardNormal)
                };
                outputs.iter().enumerate().map(normal).collect()
            }
            Self::DiscretizedLogistic {} => {
                let (means, scales) = outputs.split_at(dimensions);
                let pairs = means.iter().zip(scales);
                pairs
                    .map(|(mean, log_scale)| {
                        let u = uniform();
                        let value = mean + log_scale.max(LEAST_LOG_SCALE).exp() * (u.ln() - (-u).ln_1p());
                        // Rounds to the nearest byte.
                        ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round() / 127.5 - 1.0
                    })
                    .collect()
            }
            Self::Categorical { classes } => (0..dimensions)
                .map(|at| {
                    // The class with the largest sum of logit and Gumbel noise.
                    let mut noisy = |class: usize| outputs[class * dimensions + at] - (-uniform().ln()).ln();
                    let first = (0usize, noisy(0));
                    let best = (1..*classes).fold(first, |best, class| {
                        let value = noisy(class);
                        if value > best.1 { (class, value) } else { best }
                    });
                    best.0 as f32
                })
                .collect(),
        }
    }
}

fn gaussian(means: &mut [f32], targets: &[f32], log_deviation: impl Fn(usize) -> f32, gradient: bool) -> f64 {
    let mut sum = 0.0;
    for (at, (mean, target)) in means.iter_mut().zip(targets).enumerate() {
        let log_deviation = log_deviation(at);
        let inverse = (-log_deviation).exp();
        let u = (target - *mean) * inverse;
        sum -= f64::from(0.5 * u * u + log_deviation + HALF_LOG_TAU);
        if gradient {
            *mean = u * inverse;
        }
    }
    sum
}

fn categorical(logits: &mut [f32], targets: &[f32], classes: usize, gradient: bool) -> f64 {
    let dimensions = targets.len();
    let mut sum = 0.0;
    for (at, target) in targets.iter().enumerate() {
        let target = (*target as usize).min(classes - 1);
        let own = || (0..classes).map(|class| class * dimensions + at);
        let largest = own().map(|place| logits[place]).fold(f32::NEG_INFINITY, f32::max);
        let total: f32 = own().map(|place| (logits[place] - largest).exp()).sum();
        sum += f64::from(logits[target * dimensions + at] - largest) - f64::from(total).ln();
        if gradient {
            for place in own() {
                logits[place] = -(logits[place] - largest).exp() / total;
            }
            logits[target * dimensions + at] += 1.0;
        }
    }
    sum
}

/// `−log(1 + e^−x)`.
fn log_logistic(x: f32) -> f32 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

fn discretized_logistic(outputs: &mut [f32], targets: &[f32], gradient: bool) -> f64 {
    let (means, log_scales) = outputs.split_at_mut(targets.len());
    let mut sum = 0.0;
    for ((mean, log_scale), target) in means.iter_mut().zip(log_scales).zip(targets) {
        let inverse = (-log_scale.max(LEAST_LOG_SCALE)).exp();
        let half = 1.0 / 255.0;
        // The ends of the interval, and log(σ(a) − σ(b)) = log σ(a) + log σ(−b) + log(1 − e^(b − a)).
        let (a, b) = ((target - *mean + half) * inverse, (target - *mean - half) * inverse);
        let between = a - b;
        let (mut log, mut d_mean, mut d_log_scale) = (0.0, 0.0, 0.0);
        let (first, last) = (*target < -0.999, *target > 0.999);
        if !last {
            log += log_logistic(a);
            d_mean -= inverse * logistic(-a);
            d_log_scale -= a * logistic(-a);
        }
        if !first {
            log += log_logistic(-b);
            d_mean += inverse * logistic(b);
            d_log_scale += b * logistic(b);
        }
        if !first && !last {
            log += (-(-between).exp_m1()).ln();
            d_log_scale -= between / between.exp_m1();
        }
        sum += f64::from(log);
        if gradient {
            *mean = d_mean;
            *log_scale = if *log_scale < LEAST_LOG_SCALE { 0.0 } else { d_log_scale };
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(likelihood: Likelihood, outputs: &[f32], targets: &[f32], log_deviations: &[f32]) -> f64 {
        let mut out = [0.0];
        let mut outputs = outputs.to_vec();
        likelihood.log_likelihood(
            &mut outputs,
            (targets, 1),
            targets.len(),
            log_deviations,
            false,
            &mut out,
        );
        out[0]
    }

    #[test]
    fn discrete_probabilities_sum_to_one() {
        for outputs in [[0.0f32, 0.0], [0.3, -2.0], [-0.99, -6.0], [1.4, -1.0]] {
            let byte = |byte: i32| byte as f32 / 127.5 - 1.0;
            let sum: f64 = (0..256)
                .map(|value| log(Likelihood::DiscretizedLogistic {}, &outputs, &[byte(value)], &[]).exp())
                .sum();
            assert!((sum - 1.0).abs() < 1e-3, "{outputs:?}: {sum}");
        }
        let logits = [0.4, -1.0, 3.0];
        let sum: f64 = (0..3)
            .map(|class| log(Likelihood::Categorical { classes: 3 }, &logits, &[class as f32], &[]).exp())
            .sum();
        assert!((sum - 1.0).abs() < 1e-6);
    }

    #[test]
    fn derivatives_are_differences() {
        let gaussian = |deviation| Likelihood::Gaussian {
            deviation,
            dequantize: false,
        };
        for (likelihood, targets, log_deviations) in [
            (Likelihood::Bernoulli {}, vec![0.0, 1.0, 0.3], vec![]),
            (gaussian(Deviation::Fixed(0.3)), vec![0.5, -1.0, 0.0], vec![]),
            (gaussian(Deviation::Learned), vec![0.5, -1.0, 0.0], vec![0.2]),
            (
                gaussian(Deviation::PerDimension),
                vec![0.5, -1.0, 0.0],
                vec![0.2, -0.4, 0.0],
            ),
            (Likelihood::Categorical { classes: 4 }, vec![0.0, 3.0, 1.0], vec![]),
            (Likelihood::DiscretizedLogistic {}, vec![-1.0, 1.0, 0.25], vec![]),
        ] {
            let size = 3 * likelihood.parameters();
            let outputs: Vec<f32> = (0..size).map(|i| (i as f32 * 1.3).sin() * 0.8).collect();
            let (mut slopes, mut out) = (outputs.clone(), [0.0]);
            likelihood.log_likelihood(&mut slopes, (&targets, 1), 3, &log_deviations, true, &mut out);
            for at in 0..size {
                let moved = |by: f32| {
                    let mut moved = outputs.clone();
                    moved[at] += by;
                    log(likelihood, &moved, &targets, &log_deviations)
                };
                let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!(
                    (difference - f64::from(slopes[at])).abs() < 3e-3 * (1.0 + difference.abs()),
                    "{likelihood:?} {at}: {difference} {}",
                    slopes[at]
                );
            }
            let mut gradient = vec![0.0; log_deviations.len()];
            likelihood.deviation_gradient(&slopes, &log_deviations, &[1.0], &mut gradient, 3);
            for at in 0..log_deviations.len() {
                let moved = |by: f32| {
                    let mut moved = log_deviations.clone();
                    moved[at] += by;
                    log(likelihood, &outputs, &targets, &moved)
                };
                let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!((difference - f64::from(gradient[at])).abs() < 1e-2);
            }
        }
    }
}
