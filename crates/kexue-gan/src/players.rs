//! Critic and generator as one model with one flat vector.

use crate::network::{Critic, Generator, ModelSettings, Space};
use crate::normalizer::Normalizer;
use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use kexue_burn::FlatModule;
use kexue_grad::ForwardDual;
use kexue_nn::Distribution;
use kexue_optim::{Parameters, Slots, WeightsError};
use kexue_train::{generator, streams};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::ops::Range;

/// The critic and the generator.
#[derive(Module, Debug)]
pub struct Players {
    /// The critic.
    pub critic: Critic,
    /// The generator.
    pub generator: Generator,
}

/// Both players as one model for `kexue-train`. The parameters are named `critic.*` and `generator.*`.
#[derive(Clone, Debug)]
pub struct GanModel {
    flat: FlatModule<Players>,
    latent: usize,
    device: Device,
    /// The maximum absolute weight of the critic, and the range of its parameters.
    bound: Option<f32>,
    critic: Vec<Range<usize>>,
}

impl GanModel {
    /// Creates players with weights drawn from the seed.
    pub fn new(settings: &ModelSettings, space: Space, normalizer: &dyn Normalizer, seed: u64) -> Self {
        let device = Device::flex().autodiff();
        let players = Players {
            critic: Critic::new(settings, space, &device),
            generator: Generator::new(settings, space, &device),
        };
        let flat = FlatModule::new(players).expect("both players have parameters with distinct names");
        let slots = flat.slots().clone();
        let critic = slots.iter().filter(|slot| slot.name.starts_with("critic."));
        let mut model = Self {
            critic: critic.map(|slot| slot.range.clone()).collect(),
            flat,
            latent: settings.latent,
            device,
            bound: normalizer.weight_bound(),
        };
        let mut random = generator(seed, streams::WEIGHTS, 0);
        model.flat.draw(settings.initial, &mut random);
        model.changed();
        model
    }

    /// The critic.
    pub fn critic(&self) -> &Critic {
        &self.flat.module().critic
    }

    /// The generator.
    pub fn generator(&self) -> &Generator {
        &self.flat.module().generator
    }

    /// The device of the tensors.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The players for a thread that differentiates while others do ([`FlatModule::fork`]).
    pub fn fork(&self) -> Players {
        self.flat.fork()
    }

    /// The gradient of a loss with respect to all parameters.
    pub fn gradient(&self, gradients: Gradients) -> Vec<f32> {
        self.flat.gradient(gradients)
    }

    /// As [`gradient`](Self::gradient), of a loss of a [`fork`](Self::fork).
    pub fn gradient_of(&self, fork: &Players, gradients: Gradients) -> Vec<f32> {
        self.flat.gradient_of(fork, gradients)
    }

    /// Turns concatenated vectors into a tensor `[batch, size]`.
    pub fn tensor(&self, values: Vec<f32>, size: usize) -> Tensor<2> {
        let batch = values.len() / size;
        Tensor::from_data(TensorData::new(values, [batch, size]), &self.device)
    }

    /// Draws the generator's input for `samples` samples.
    pub fn noise(&self, samples: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
        noise(samples * self.latent, random)
    }

    /// Generates samples, `[samples, size]`, in batches of [`SAMPLES_AT_ONCE`].
    pub fn sample(&self, samples: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
        let frozen = self.generator().clone().no_grad();
        let mut values = Vec::new();
        let mut left = samples;
        while left > 0 {
            // In full batches, so that the statistics of batch norm do not depend on the number of samples.
            let noise = self.tensor(self.noise(SAMPLES_AT_ONCE, random), self.latent);
            let made = frozen.forward(noise);
            let wanted = left.min(SAMPLES_AT_ONCE);
            let size = made.dims()[1];
            let made: Vec<f32> = made.into_data_as::<f32>().try_to_vec().expect("just converted");
            values.extend_from_slice(&made[..wanted * size]);
            left -= wanted;
        }
        values
    }
}

/// Batch size of [`GanModel::sample`].
pub const SAMPLES_AT_ONCE: usize = 128;

/// Draws standard normal numbers.
pub(crate) fn noise(count: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let normal = Distribution::Normal { std: 1.0 };
    (0..count).map(|_| normal.draw(random)).collect()
}

impl Parameters for GanModel {
    fn slots(&self) -> &Slots {
        self.flat.slots()
    }

    fn values(&self) -> &[f32] {
        self.flat.values()
    }

    fn values_mut(&mut self) -> &mut [f32] {
        self.flat.values_mut()
    }

    fn changed(&mut self) {
        if let Some(bound) = self.bound {
            for range in &self.critic {
                for value in &mut self.flat.values_mut()[range.clone()] {
                    *value = value.clamp(-bound, bound);
                }
            }
        }
        self.flat.changed();
    }

    fn save(&self, metadata: HashMap<String, String>) -> Result<Vec<u8>, WeightsError> {
        self.flat.save(metadata)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), WeightsError> {
        self.flat.load(bytes)
    }
}
