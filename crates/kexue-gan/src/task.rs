//! Training of both players as a task of the training loop.

use crate::data::Data;
use crate::lipschitz::slopes;
use crate::normalizer::Normalizer;
use crate::picture::picture;
use crate::play::{GeneratorFormula, critic_step, generator_step};
use crate::players::{GanModel, Players, noise};
use crate::settings::GanConfig;
use burn::module::Module;
use burn::tensor::Tensor;
use kexue_grad::ForwardDual;
use kexue_train::{Loss, Metric, Page, Task, TrainError, generator};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::hash::{Hash as _, Hasher};
use std::sync::Mutex;

/// Purpose of the random stream ([`generator`]): draws of validations, always the same.
const VALIDATION: u64 = 0x0076_616c;
/// Number of points of each kind at which a validation measures slopes.
const SLOPE_POINTS: usize = 256;

/// The input of a player's step.
pub enum Move {
    /// A step of the critic.
    Critic {
        /// Real samples.
        real: Vec<f32>,
        /// The generator's input for the generated samples.
        noise: Vec<f32>,
        /// A number within 0 and 1 for each pair of real and generated samples.
        shares: Vec<f32>,
    },
    /// A step of the generator.
    Generator {
        /// The generator's input.
        noise: Vec<f32>,
    },
}

/// Two players and their data, as a task of `kexue-train`.
pub struct GanTask<'a> {
    config: &'a GanConfig,
    data: &'a Data,
    normalizer: Box<dyn Normalizer>,
    formula: GeneratorFormula,
    /// PNG files of the last validation, with captions.
    pictures: Mutex<Vec<(Vec<u8>, String)>>,
}

impl<'a> GanTask<'a> {
    /// Creates a task from a valid configuration.
    pub fn new(config: &'a GanConfig, data: &'a Data) -> Self {
        Self {
            normalizer: config.gan.normalizer.build(),
            formula: match config.model.critic_is_piecewise_linear() {
                true => GeneratorFormula::FirstOrder,
                false => GeneratorFormula::Exact,
            },
            config,
            data,
            pictures: Mutex::new(Vec::new()),
        }
    }

    /// Creates untrained players.
    pub fn model(&self) -> GanModel {
        let Self { config, data, .. } = self;
        GanModel::new(&config.model, data.space(), &*self.normalizer, config.train.seed)
    }

    /// The formula by which the generator's step differentiates the critic.
    pub fn formula(&self) -> GeneratorFormula {
        self.formula
    }

    fn scalar(tensor: Tensor<1>) -> f64 {
        f64::from(tensor.into_scalar::<f32>())
    }
}

impl Task for GanTask<'_> {
    type Model = GanModel;
    type Batch = Move;
    type Workspace = ();

    fn examples(&self) -> usize {
        self.data.len()
    }

    fn hash_examples(&self, mut hasher: &mut dyn Hasher) {
        self.data.hash(&mut hasher);
    }

    fn workspace(&self, _: &GanModel) {}

    fn batch(&self, examples: &[usize], step: u64, random: &mut ChaCha8Rng) -> Result<Move, TrainError> {
        let gan = &self.config.gan;
        let latent = self.config.model.latent;
        if step % gan.cycle() == gan.critic_steps {
            return Ok(Move::Generator {
                noise: noise(gan.generator_batch.div_ceil(self.config.train.shards) * latent, random),
            });
        }
        Ok(Move::Critic {
            real: self.data.take(examples.iter().copied()),
            noise: noise(examples.len() * latent, random),
            shares: examples.iter().map(|_| random.random_range(0.0..1.0)).collect(),
        })
    }

    fn loss(
        &self,
        model: &GanModel,
        batch: &Move,
        _: &mut ChaCha8Rng,
        (): &mut (),
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        let (gan, latent) = (&self.config.gan, self.config.model.latent);
        let players = model.fork();
        let (loss, gradients, items, also) = match batch {
            Move::Critic { real, noise, shares } => {
                let generator = players.generator.clone().no_grad();
                let fake = generator.forward(model.tensor(noise.clone(), latent));
                let real = model.tensor(real.clone(), self.data.space().size());
                let shares = model.tensor(shares.clone(), 1);
                let step = critic_step(gan.loss, &*self.normalizer, &players.critic, real, fake, shares);
                let mut also = vec![("critic.gap".to_owned(), Self::scalar(step.gap), 1.0)];
                also.extend(
                    step.gradient_norm
                        .map(|norm| ("critic.gradient_norm".to_owned(), Self::scalar(norm), 1.0)),
                );
                let items = 2 * noise.len() / latent;
                (Self::scalar(step.loss.clone()), step.loss.backward(), items, also)
            }
            Move::Generator { noise } => {
                let noise = model.tensor(noise.clone(), latent);
                let items = noise.dims()[0];
                let Players { critic, generator } = &players;
                let (loss, surrogate) =
                    generator_step(gan.loss, &*self.normalizer, self.formula, critic, generator, noise);
                (Self::scalar(loss), surrogate.backward(), items, Vec::new())
            }
        };
        for (sum, part) in gradient.iter_mut().zip(model.gradient_of(&players, gradients)) {
            *sum += part;
        }
        Ok(Loss {
            sum: loss,
            terms: 1.0,
            items,
            also,
        })
    }

    fn validate(&self, model: &GanModel) -> Result<Vec<Metric>, TrainError> {
        let size = self.data.space().size();
        let mut random = generator(self.config.train.seed, VALIDATION, 0);
        let samples = model.sample(self.config.gan.samples, &mut random);
        let mut metrics = Vec::new();
        if let Some(toy) = self.data.toy() {
            let points: Vec<[f64; 2]> = samples.chunks(2).map(|p| [f64::from(p[0]), f64::from(p[1])]).collect();
            let quality = toy.judge(&points);
            // Without a goal: a GAN is judged by its final state, not by its best validation.
            metrics.push(Metric::observed("modes_covered", quality.covered as f64));
            metrics.push(Metric::observed("good_samples", quality.good));
        }
        let count = SLOPE_POINTS.min(samples.len() / size);
        let real = model.tensor(self.data.draw(count, &mut random), size);
        let fake = model.tensor(samples[..count * size].to_vec(), size);
        let measured = slopes(&*self.normalizer, model.critic(), real, fake, &mut random);
        metrics.push(Metric::observed("slope.largest_gradient", measured.largest_gradient));
        metrics.push(Metric::observed("slope.mean_gradient", measured.mean_gradient));
        metrics.push(Metric::observed("slope.largest_of_pairs", measured.largest()));
        let pictures = picture(self.data, model, &*self.normalizer, &samples).map_err(TrainError::task)?;
        *self.pictures.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = pictures;
        Ok(metrics)
    }

    fn illustrate(&self, page: &mut Page) {
        let pictures = self.pictures.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for (png, caption) in &*pictures {
            page.picture(png, 1, caption);
        }
    }
}
