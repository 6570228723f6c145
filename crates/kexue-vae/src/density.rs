//! Densities of observations by importance sampling, to a requested precision.

use crate::{ImportanceModel, LogWeights};
use kexue_train::{TrainError, generator};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Purpose of the random stream ([`generator`]): the draws of density estimates.
const DRAWS: u64 = 0x6465_6e73;

/// An estimate with fewer effective samples is considered unreliable.
const LEAST_EFFECTIVE: f64 = 10.0;

/// Settings of density estimates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DensitySettings {
    /// Maximum number of draws per observation.
    pub samples: u64,
    /// The standard error of a log-density, in nats, at which drawing stops if the weights have no heavy tail. `None` to use all draws.
    pub precision: Option<f64>,
    /// Number of draws that are computed at once. The draws of a block come from one random stream, so results depend on this setting.
    pub block: usize,
    /// Number of observations whose blocks are computed at the same time. Results do not depend on it.
    pub batch: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for DensitySettings {
    fn default() -> Self {
        Self {
            samples: 5000,
            precision: None,
            block: 250,
            batch: 64,
            seed: 0,
        }
    }
}

impl DensitySettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// If a setting is invalid. The error names the first one.
    pub fn validate(&self) -> Result<(), TrainError> {
        let problem = |field, problem: &str| {
            let problem = problem.to_owned();
            Err(TrainError::Setting { field, problem })
        };
        if self.samples == 0 || self.samples > 1 << 31 {
            return problem("samples", "must be within 1 and 2147483648");
        }
        if self
            .precision
            .is_some_and(|precision| precision.is_nan() || precision <= 0.0)
        {
            return problem("precision", "must be a positive number of nats");
        }
        if self.block == 0 || self.block > 1 << 16 {
            return problem("block", "must be within 1 and 65536");
        }
        if self.batch == 0 {
            return problem("batch", "must be at least 1");
        }
        Ok(())
    }
}

/// Why an estimate is unreliable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The weights are NaN or all 0: the density of the observation cannot be represented.
    NoDensity,
    /// A few draws have almost all of the weight.
    FewEffectiveSamples,
    /// The tail of the weights is so heavy that the mean may change much with more draws.
    HeavyTail,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDensity => "no density",
            Self::FewEffectiveSamples => "few effective samples",
            Self::HeavyTail => "heavy tail",
        })
    }
}

/// The density of one observation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Density {
    /// The estimate of `log q(x)` in nats, a lower bound in expectation.
    pub log_density: f64,
    /// Its standard error by the delta method; NaN for a single draw.
    pub standard_error: f64,
    /// Number of draws.
    pub draws: u64,
    /// The effective sample size of their weights.
    pub effective_samples: f64,
    /// The shape of the weights' tail; see [`LogWeights::k_hat`].
    pub k_hat: Option<f64>,
    /// The evidence lower bound, from the same draws.
    pub elbo: f64,
    /// Why the estimate is unreliable; `None` if it is reliable.
    pub doubt: Option<Doubt>,
    /// The bound as a function of the number of draws; see [`LogWeights::curve`].
    pub curve: Vec<(u64, f64)>,
}

impl Density {
    /// The estimate from a stream of weights.
    pub fn of(weights: &LogWeights) -> Self {
        let (log_density, curve) = (weights.log_mean(), weights.curve());
        let (k_hat, effective) = (weights.k_hat(), weights.effective_samples());
        let few = weights.count() > 1 && effective < LEAST_EFFECTIVE.min(weights.count() as f64 / 2.0);
        let doubt = match k_hat {
            _ if !log_density.is_finite() => Some(Doubt::NoDensity),
            _ if few => Some(Doubt::FewEffectiveSamples),
            Some(shape) if shape > weights.k_threshold() => Some(Doubt::HeavyTail),
            _ => None,
        };
        Self {
            log_density,
            standard_error: weights.standard_error(),
            draws: weights.count(),
            effective_samples: effective,
            k_hat,
            elbo: curve.first().map_or(f64::NAN, |point| point.1),
            doubt,
            curve,
        }
    }

    /// `−log₂ q(x)` divided by the number of dimensions.
    pub fn bits_per_dimension(&self, dimensions: usize) -> f64 {
        -self.log_density / std::f64::consts::LN_2 / dimensions as f64
    }
}

/// Estimates the densities of observations. Calls `advance` with the number of finished ones.
///
/// The draws of an observation depend only on the seed, the block size, and its place in `samples`, neither on `batch` nor on the number of threads. The
/// memory holds the weights of one block for each observation of a batch.
///
/// # Errors
/// If a setting is invalid. The error names it.
pub fn densities<M: ImportanceModel>(
    model: &M,
    samples: &[&M::Sample],
    settings: &DensitySettings,
    advance: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Density>, TrainError> {
    settings.validate()?;
    let mut all = Vec::with_capacity(samples.len());
    for (batch, samples) in samples.chunks(settings.batch).enumerate() {
        let first = batch * settings.batch;
        let estimates = samples.par_iter().enumerate().with_max_len(1).map(|(at, sample)| {
            let estimate = one(model, sample, (first + at) as u64, settings);
            advance(1);
            estimate
        });
        all.extend(estimates.collect::<Vec<_>>());
    }
    Ok(all)
}

/// The density of the observation at a place.
fn one<M: ImportanceModel>(model: &M, sample: &M::Sample, place: u64, settings: &DensitySettings) -> Density {
    let proposal = model.propose(sample);
    let mut weights = LogWeights::new(settings.samples);
    let mut logs = vec![0.0; settings.block.min(settings.samples as usize)];
    for block in 0u64.. {
        let left = settings.samples - weights.count();
        let logs = &mut logs[..(settings.block as u64).min(left) as usize];
        // Each place has 2³² blocks, more than the maximum number of draws.
        let mut random = generator(settings.seed, DRAWS, place << 32 | block);
        model.log_weights(sample, &proposal, &mut random, logs);
        logs.iter().for_each(|&log| weights.push(log));
        if weights.count() == settings.samples || is_precise(&weights, settings) {
            break;
        }
    }
    Density::of(&weights)
}

fn is_precise(weights: &LogWeights, settings: &DensitySettings) -> bool {
    // The first block may have missed the tail entirely.
    let enough = weights.count() >= 2 * settings.block as u64;
    let reached = |precision| enough && weights.standard_error() <= precision;
    settings.precision.is_some_and(reached) && weights.k_hat().is_none_or(|shape| shape <= weights.k_threshold())
}
