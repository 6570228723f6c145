//! Training of a VAE as a task of the training loop.

use crate::{Bound, Dataset, Likelihood, LogWeights, Numbers, Objective, Observations, Preparation, Vae, VaeTape};
use kexue_train::{Loss, Metric, Task, TrainError, generator};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::hash::{Hash as _, Hasher};

/// Purpose of the random stream ([`generator`]): pixels and latents of validations.
const HELD_OUT: u64 = 0x7661_655f;

/// Number of observations that a validation computes at once.
pub(crate) const CHUNK: usize = 100;

/// The objective and the data of a training run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VaeSettings {
    /// The objective, which is maximised.
    pub objective: Objective,
    /// The conversion of numbers to observations.
    pub preparation: Preparation,
    /// One observation in `hold_out` is held out for validation; 0 for none.
    pub hold_out: usize,
    /// Maximum number of held-out observations per validation.
    pub validate_on: usize,
}

impl VaeSettings {
    /// Whether an observation is held out.
    pub fn holds_out(&self, index: usize) -> bool {
        self.hold_out > 0 && index % self.hold_out == self.hold_out - 1
    }
}

/// A shard of a batch.
#[derive(Debug)]
pub struct VaeBatch {
    observations: Observations,
    count: usize,
    step: u64,
}

/// Training of a [`Vae`] on a data set.
pub struct VaeTask<'a> {
    data: &'a Dataset,
    settings: VaeSettings,
    likelihood: Likelihood,
    training: Vec<usize>,
    held_out: Vec<usize>,
    seed: u64,
}

impl<'a> VaeTask<'a> {
    /// Creates a task. `seed` is the seed of validations.
    ///
    /// # Errors
    /// If a setting is invalid, or nothing is left to train on.
    pub fn new(
        data: &'a Dataset,
        settings: VaeSettings,
        likelihood: Likelihood,
        seed: u64,
    ) -> Result<Self, TrainError> {
        settings.objective.validate()?;
        let (mut held_out, training): (Vec<usize>, Vec<usize>) =
            (0..data.len()).partition(|&index| settings.holds_out(index));
        held_out.truncate(settings.validate_on);
        if training.is_empty() {
            return Err(TrainError::Setting {
                field: "hold_out",
                problem: format!(
                    "{} of {} observations leaves nothing to train on",
                    settings.hold_out,
                    data.len()
                ),
            });
        }
        Ok(Self {
            data,
            settings,
            likelihood,
            training,
            held_out,
            seed,
        })
    }

    /// The observations that are held out and read at validations.
    pub fn held_out(&self) -> &[usize] {
        &self.held_out
    }
}

impl Task for VaeTask<'_> {
    type Model = Vae;
    type Batch = VaeBatch;
    type Workspace = VaeTape;

    fn examples(&self) -> usize {
        self.training.len()
    }

    fn hash_examples(&self, mut hasher: &mut dyn Hasher) {
        self.training.hash(&mut hasher);
        match &self.data.numbers {
            Numbers::Bytes(bytes) => bytes.hash(&mut hasher),
            Numbers::Reals(reals) => reals.iter().for_each(|real| hasher.write_u32(real.to_bits())),
        }
    }

    fn workspace(&self, _: &Vae) -> VaeTape {
        VaeTape::default()
    }

    fn batch(&self, examples: &[usize], step: u64, generator: &mut ChaCha8Rng) -> Result<VaeBatch, TrainError> {
        let indices: Vec<usize> = examples.iter().map(|&example| self.training[example]).collect();
        Ok(VaeBatch {
            observations: self
                .settings
                .preparation
                .observe(self.data, self.likelihood, &indices, generator),
            count: indices.len(),
            step,
        })
    }

    fn loss(
        &self,
        model: &Vae,
        batch: &VaeBatch,
        generator: &mut ChaCha8Rng,
        tape: &mut VaeTape,
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        if batch.count == 0 {
            return Ok(Loss::default());
        }
        let objective = &self.settings.objective;
        let found = objective.gradient(model, &batch.observations, batch.step, generator, tape, gradient);
        let terms = batch.count as f64;
        Ok(Loss {
            sum: -found.bound,
            terms,
            items: batch.count,
            also: vec![("log_likelihood".to_owned(), found.log_likelihood, terms)],
        })
    }

    fn validate(&self, model: &Vae) -> Result<Vec<Metric>, TrainError> {
        if self.held_out.is_empty() {
            return Ok(Vec::new());
        }
        // The bound itself, regardless of the factor of the divergence in training.
        let draws = self.settings.objective.draws;
        let mean_of_logs = self.settings.objective.bound == Bound::Vae;
        let chunks =
            self.held_out
                .par_chunks(CHUNK)
                .enumerate()
                .map_init(VaeTape::default, |tape, (chunk, indices)| {
                    let mut random = generator(self.seed, HELD_OUT, chunk as u64);
                    let observations =
                        self.settings
                            .preparation
                            .observe(self.data, self.likelihood, indices, &mut random);
                    model.encode(&observations.inputs, tape);
                    model.weigh((&observations.targets, draws), indices.len() * draws, &mut random, tape);
                    let bound = |logs: &[f64]| match mean_of_logs {
                        true => logs.iter().sum::<f64>() / draws as f64,
                        false => {
                            let mut weights = LogWeights::new(draws as u64);
                            logs.iter().for_each(|&log| weights.push(log));
                            weights.log_mean()
                        }
                    };
                    tape.log_weights.chunks_exact(draws).map(bound).sum::<f64>()
                });
        // Summed in order, so that the result does not depend on threads.
        let sums: Vec<f64> = chunks.collect();
        let bound = sums.iter().sum::<f64>() / self.held_out.len() as f64 + self.settings.preparation.log_volume();
        Ok(vec![Metric::maximized("held_out_bound", bound)])
    }
}
