//! Annealed importance sampling: lower bounds of densities without an encoder, and upper bounds for samples of the model.

use crate::LogWeights;
use kexue_train::{TrainError, generator};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Purpose of the random stream ([`generator`]): chains of annealed importance sampling.
const CHAINS: u64 = 0x0061_6973;

/// A model whose latents are a function of standard normal noise, and whose likelihood can be differentiated with respect to that noise.
///
/// The noise of several layers is concatenated. The prior of the noise is standard normal for any prior of the latents.
pub trait AnnealedModel: Sync {
    /// An observation x.
    type Sample: Sync;

    /// Size of the noise of a latent.
    fn noise_size(&self) -> usize;

    /// Sets `out[chain]` to `log p(x | z(noise[chain]))`, and `gradient[chain, noise]` to its derivative.
    fn log_likelihood(&self, sample: &Self::Sample, noise: &[f32], gradient: &mut [f32], out: &mut [f64]);

    /// Draws x from `p(x | z(noise))`.
    fn generate(&self, noise: &[f32], generator: &mut ChaCha8Rng) -> Self::Sample;
}

/// Settings of the chains.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnealingSettings {
    /// Number of chains, each of which gives one weight.
    pub chains: usize,
    /// Number of distributions between prior and posterior.
    pub temperatures: usize,
    /// Number of leapfrog steps of Hamiltonian Monte Carlo at each of them.
    pub leapfrog: usize,
    /// Seed of the chains.
    pub seed: u64,
}

impl Default for AnnealingSettings {
    fn default() -> Self {
        Self {
            chains: 16,
            temperatures: 500,
            leapfrog: 10,
            seed: 0,
        }
    }
}

impl AnnealingSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// If a setting is invalid. The error names the first one.
    pub fn validate(&self) -> Result<(), TrainError> {
        for (field, value) in [
            ("chains", self.chains),
            ("temperatures", self.temperatures),
            ("leapfrog", self.leapfrog),
        ] {
            if value == 0 || value > 1 << 20 {
                let problem = "must be within 1 and 1048576".to_owned();
                return Err(TrainError::Setting { field, problem });
            }
        }
        Ok(())
    }

    /// The inverse temperatures from 0 to 1, on a logistic curve that is densest at both ends (Wu, Burda, Salakhutdinov & Grosse, arXiv 1611.04273).
    fn schedule(&self) -> Vec<f64> {
        let logistic = |t: f64| 1.0 / (1.0 + (-8.0 * (t - 0.5)).exp());
        let (low, high) = (logistic(0.0), logistic(1.0));
        let at = |t: usize| (logistic(t as f64 / self.temperatures as f64) - low) / (high - low);
        (0..=self.temperatures).map(at).collect()
    }
}

/// Bounds of a log-density from below and above (Grosse, Ghahramani & Adams, arXiv 1511.02543).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sandwich {
    /// A lower bound of the log-density in expectation, in nats.
    pub lower: f64,
    /// An upper bound of the log-density in expectation, in nats.
    pub upper: f64,
    /// The larger of the standard errors of both bounds.
    pub standard_error: f64,
}

/// Estimates the log-density of an observation by annealed importance sampling from the prior to the posterior (Neal, physics/9803008). Returns one weight
/// per chain.
///
/// The step sizes are tuned in a separate run, so that they are fixed in the counted chains and the estimate of the density is unbiased.
///
/// # Errors
/// If a setting is invalid. The error names it.
pub fn annealed<M: AnnealedModel>(
    model: &M,
    sample: &M::Sample,
    settings: &AnnealingSettings,
) -> Result<LogWeights, TrainError> {
    settings.validate()?;
    Ok(Annealing::new(model, sample, settings).upwards())
}

/// Draws an observation from the model and bounds its log-density on both sides by bidirectional Monte Carlo: chains from the prior to the posterior, and
/// chains back from the latent from which the observation was drawn, which is an exact draw from the posterior. `number` distinguishes observations.
///
/// # Errors
/// If a setting is invalid. The error names it.
pub fn sandwich<M: AnnealedModel>(
    model: &M,
    number: u64,
    settings: &AnnealingSettings,
) -> Result<(M::Sample, Sandwich), TrainError> {
    settings.validate()?;
    let mut random = generator(settings.seed, CHAINS + 1, number);
    let noise: Vec<f32> = (0..model.noise_size()).map(|_| random.sample(StandardNormal)).collect();
    let sample = model.generate(&noise, &mut random);
    let mut annealing = Annealing::new(model, &sample, settings);
    let (up, down) = (annealing.upwards(), annealing.downwards(&noise));
    let bounds = Sandwich {
        lower: up.log_mean(),
        upper: -down.log_mean(),
        standard_error: up.standard_error().max(down.standard_error()),
    };
    Ok((sample, bounds))
}

/// The chains of one observation.
struct Annealing<'a, M: AnnealedModel> {
    model: &'a M,
    sample: &'a M::Sample,
    settings: &'a AnnealingSettings,
    schedule: Vec<f64>,
    /// A step size for each temperature.
    step_sizes: Vec<f32>,
}

/// The state of the chains.
#[derive(Clone)]
struct State {
    noise: Vec<f32>,
    gradient: Vec<f32>,
    likelihood: Vec<f64>,
}

/// The optimal acceptance rate of Hamiltonian Monte Carlo (Neal, arXiv 1206.1901).
const ACCEPTED: f64 = 0.65;

impl<'a, M: AnnealedModel> Annealing<'a, M> {
    fn new(model: &'a M, sample: &'a M::Sample, settings: &'a AnnealingSettings) -> Self {
        let schedule = settings.schedule();
        let mut this = Self {
            model,
            sample,
            settings,
            step_sizes: vec![0.0; schedule.len()],
            schedule,
        };
        this.tune();
        this
    }

    fn state(&self, noise: Vec<f32>) -> State {
        let mut state = State {
            gradient: vec![0.0; noise.len()],
            likelihood: vec![0.0; self.settings.chains],
            noise,
        };
        self.evaluate(&mut state);
        state
    }

    fn evaluate(&self, state: &mut State) {
        self.model
            .log_likelihood(self.sample, &state.noise, &mut state.gradient, &mut state.likelihood);
    }

    fn at_prior(&self, random: &mut ChaCha8Rng) -> State {
        let size = self.settings.chains * self.model.noise_size();
        self.state((0..size).map(|_| random.sample(StandardNormal)).collect())
    }

    fn tune(&mut self) {
        let mut random = generator(self.settings.seed, CHAINS + 2, 0);
        let mut state = self.at_prior(&mut random);
        let mut size = 0.1f32;
        for at in 1..self.schedule.len() {
            let accepted = self.transition(&mut state, self.schedule[at], size, &mut random);
            self.step_sizes[at] = size;
            size *= if accepted > ACCEPTED { 1.05 } else { 0.95 };
        }
    }

    fn upwards(&mut self) -> LogWeights {
        let mut random = generator(self.settings.seed, CHAINS, 0);
        let mut state = self.at_prior(&mut random);
        let mut logs = vec![0.0; self.settings.chains];
        for at in 1..self.schedule.len() {
            let rise = self.schedule[at] - self.schedule[at - 1];
            add_scaled(&mut logs, &state.likelihood, rise);
            self.transition(&mut state, self.schedule[at], self.step_sizes[at], &mut random);
        }
        weights(&logs)
    }

    fn downwards(&mut self, noise: &[f32]) -> LogWeights {
        let mut random = generator(self.settings.seed, CHAINS + 3, 0);
        let mut state = self.state(noise.repeat(self.settings.chains));
        let mut logs = vec![0.0; self.settings.chains];
        for at in (1..self.schedule.len()).rev() {
            self.transition(&mut state, self.schedule[at], self.step_sizes[at], &mut random);
            let fall = self.schedule[at - 1] - self.schedule[at];
            add_scaled(&mut logs, &state.likelihood, fall);
        }
        weights(&logs)
    }

    /// A step of Hamiltonian Monte Carlo on `log N(noise) + β·log p(x|noise)`. Returns the share of chains that moved.
    fn transition(&self, state: &mut State, beta: f64, step: f32, random: &mut ChaCha8Rng) -> f64 {
        let width = self.model.noise_size();
        let mut momentum: Vec<f32> = (0..state.noise.len()).map(|_| random.sample(StandardNormal)).collect();
        let mut proposal = state.clone();
        let half_kick = |momentum: &mut [f32], at: &State| {
            for ((momentum, noise), gradient) in momentum.iter_mut().zip(&at.noise).zip(&at.gradient) {
                *momentum += 0.5 * step * (beta as f32 * gradient - noise);
            }
        };
        let energy = |momentum: &[f32], at: &State, chain: usize| {
            let own = chain * width..(chain + 1) * width;
            let square = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
            0.5 * (square(&momentum[own.clone()]) + square(&at.noise[own])) - beta * at.likelihood[chain]
        };
        let before: Vec<f64> = (0..self.settings.chains)
            .map(|chain| energy(&momentum, state, chain))
            .collect();
        for _ in 0..self.settings.leapfrog {
            half_kick(&mut momentum, &proposal);
            for (noise, momentum) in proposal.noise.iter_mut().zip(&momentum) {
                *noise += step * momentum;
            }
            self.evaluate(&mut proposal);
            half_kick(&mut momentum, &proposal);
        }
        let mut moved = 0;
        for (chain, before) in before.into_iter().enumerate() {
            let accept = random.random::<f64>() < (before - energy(&momentum, &proposal, chain)).exp();
            if accept {
                let own = chain * width..(chain + 1) * width;
                state.noise[own.clone()].copy_from_slice(&proposal.noise[own.clone()]);
                state.gradient[own.clone()].copy_from_slice(&proposal.gradient[own]);
                state.likelihood[chain] = proposal.likelihood[chain];
                moved += 1;
            }
        }
        moved as f64 / self.settings.chains as f64
    }
}

fn add_scaled(logs: &mut [f64], likelihood: &[f64], factor: f64) {
    for (log, likelihood) in logs.iter_mut().zip(likelihood) {
        *log += factor * likelihood;
    }
}

fn weights(logs: &[f64]) -> LogWeights {
    let mut weights = LogWeights::new(logs.len() as u64);
    logs.iter().for_each(|&log| weights.push(log));
    weights
}
