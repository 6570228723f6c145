//! The settings of a training run of two players.

use crate::loss::AdversarialLoss;
use crate::network::{Architecture, ModelSettings, NormKind, Space};
use crate::normalizer::NormalizerSettings;
use kexue_grad::Activation;
use kexue_nn::Distribution;
use kexue_optim::{AdamConfig, ChainSettings, Decay, Link};
use kexue_train::{GroupSettings, RunConfig, TrainError, TrainSettings, Turn};
use serde::{Deserialize, Serialize};

/// The settings of the game.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanSettings {
    /// A toy distribution (`ring`, `grid`, `swiss-roll`), or a file or folder with points or images.
    pub data: String,
    /// The adversarial loss.
    pub loss: AdversarialLoss,
    /// Number of steps of the critic before each step of the generator.
    pub critic_steps: u64,
    /// Number of real samples, and of generated samples, in a step of the critic.
    pub critic_batch: usize,
    /// Number of generated samples in a step of the generator.
    pub generator_batch: usize,
    /// Highest learning rate of the critic.
    pub critic_learning_rate: f32,
    /// Highest learning rate of the generator.
    pub generator_learning_rate: f32,
    /// The decay of both learning rates.
    pub decay: Decay,
    /// Adam's constants, for both players.
    pub adam: AdamConfig,
    /// Decay of the moving average of the generator, which is sampled and saved; 0 for no average.
    pub average: f32,
    /// Number of samples at each validation.
    pub samples: usize,
    /// The normaliser of the critic.
    pub normalizer: NormalizerSettings,
}

/// Starting points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// For points: MLPs with three hidden layers of width 128, hinge loss, two latents, Adam(0.5, 0.9), both learning rates 1e-3.
    Mlp,
    /// For images: the CNN of article 8757's experiments, with BCE, both learning rates 2e-4, one critic step, weights from N(0, 0.02²), LeakyReLU 0.1.
    Cnn,
    /// For images of 32×32: the article's ResNet, with hinge loss, 200,000 steps, batches of 64 and 128, Adam(0, 0.9), learning rates 4e-4 and 2e-4, five
    /// critic steps, average 0.9999, linear decay.
    Resnet,
}

impl Preset {
    /// The settings of the networks.
    pub fn model(self) -> ModelSettings {
        let mlp = ModelSettings {
            architecture: Architecture::Mlp,
            latent: 2,
            width: 128,
            layers: 3,
            critic_activation: Activation::LeakyRelu,
            generator_activation: Activation::Relu,
            critic_norm: NormKind::None,
            generator_norm: NormKind::None,
            initial: Distribution::Kaiming,
        };
        match self {
            Self::Mlp => mlp,
            Self::Cnn => ModelSettings {
                architecture: Architecture::Cnn,
                latent: 128,
                width: 64,
                generator_norm: NormKind::Batch,
                initial: Distribution::Normal { std: 0.02 },
                ..mlp
            },
            Self::Resnet => ModelSettings {
                architecture: Architecture::Resnet,
                latent: 128,
                width: 128,
                critic_activation: Activation::Relu,
                generator_norm: NormKind::Batch,
                initial: Distribution::Xavier,
                ..mlp
            },
        }
    }

    /// The settings of the game. Set the data and the normaliser.
    pub fn gan(self) -> GanSettings {
        let mlp = GanSettings {
            data: "ring".to_owned(),
            loss: AdversarialLoss::Hinge,
            critic_steps: 1,
            critic_batch: 128,
            generator_batch: 128,
            critic_learning_rate: 1e-3,
            generator_learning_rate: 1e-3,
            decay: Decay::Linear,
            adam: AdamConfig {
                beta1: 0.5,
                beta2: 0.9,
                epsilon: 1e-8,
            },
            average: 0.99,
            samples: 2048,
            normalizer: NormalizerSettings::Gradient {},
        };
        match self {
            Self::Mlp => mlp,
            Self::Cnn => GanSettings {
                loss: AdversarialLoss::Bce,
                critic_batch: 64,
                generator_batch: 64,
                critic_learning_rate: 2e-4,
                generator_learning_rate: 2e-4,
                decay: Decay::Constant,
                adam: AdamConfig {
                    beta1: 0.5,
                    beta2: 0.999,
                    epsilon: 1e-8,
                },
                average: 0.999,
                samples: 256,
                ..mlp
            },
            Self::Resnet => GanSettings {
                critic_steps: 5,
                critic_batch: 64,
                critic_learning_rate: 4e-4,
                generator_learning_rate: 2e-4,
                adam: AdamConfig { beta1: 0.0, ..mlp.adam },
                average: 0.9999,
                samples: 256,
                ..mlp
            },
        }
    }

    /// The weight of a gradient penalty. For points it is 0.1, as in the toy examples of WGAN-GP's authors.
    pub fn penalty_weight(self) -> f64 {
        match self {
            Self::Mlp => 0.1,
            Self::Cnn | Self::Resnet => 10.0,
        }
    }

    /// Number of steps of the generator.
    pub fn steps(self) -> u64 {
        match self {
            Self::Mlp => 5_000,
            Self::Cnn => 100_000,
            Self::Resnet => 200_000,
        }
    }
}

/// The content of a run's `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanConfig {
    /// The version of Kexue that wrote it.
    pub version: String,
    /// Both networks.
    pub model: ModelSettings,
    /// The run: seed, steps and validations. The steps of both players count.
    pub train: TrainSettings,
    /// The game.
    pub gan: GanSettings,
}

impl RunConfig for GanConfig {
    const KIND: &'static str = "gan";

    fn validate(&self) -> Result<(), TrainError> {
        self.gan.validate(&self.model)
    }
}

impl GanSettings {
    /// Checks that the settings are valid, and that the normaliser suits the critic.
    ///
    /// # Errors
    /// If a setting is invalid. The error names it and its valid values.
    pub fn validate(&self, model: &ModelSettings) -> Result<(), TrainError> {
        let setting = |(field, problem)| TrainError::Setting { field, problem };
        let range = |field, value: u64, most: u64| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(setting((field, format!("{value} must be within 1 and {most}")))),
        };
        range("critic_steps", self.critic_steps, 1000)?;
        range("critic_batch", self.critic_batch as u64, 1 << 20)?;
        range("generator_batch", self.generator_batch as u64, 1 << 20)?;
        range("samples", self.samples as u64, 1 << 20)?;
        for (field, rate) in [
            ("critic_learning_rate", self.critic_learning_rate),
            ("generator_learning_rate", self.generator_learning_rate),
        ] {
            if !(rate > 0.0 && rate <= 1e6) {
                return Err(setting((field, format!("{rate} must be a positive number"))));
            }
        }
        self.normalizer.validate(model).map_err(setting)
    }

    /// Number of steps of both players per step of the generator.
    pub fn cycle(&self) -> u64 {
        self.critic_steps + 1
    }

    /// The settings of a run with `steps` steps of the generator and a validation after every `validate_every` of them.
    pub fn train(&self, seed: u64, steps: u64, validate_every: u64) -> TrainSettings {
        TrainSettings {
            seed,
            steps: steps.saturating_mul(self.cycle()),
            batch_size: self.critic_batch,
            // One thread, because the kernels are parallel.
            shards: 1,
            learning_rate: self.generator_learning_rate,
            warmup: 0,
            decay: self.decay,
            weight_decay: 0.0,
            max_gradient_norm: f32::INFINITY,
            adam: self.adam,
            average: self.average,
            validate_every: validate_every.saturating_mul(self.cycle()),
            ..TrainSettings::default()
        }
    }

    /// The players as groups of parameters that take turns.
    pub fn groups(&self) -> [GroupSettings; 2] {
        let group = |name: &str, rate, from, until, averages| GroupSettings {
            name: name.to_owned(),
            on: vec![format!("{name}.*").parse().expect("a pattern")],
            chain: ChainSettings {
                links: vec![
                    Link::Adam(self.adam),
                    Link::Rate {
                        peak: rate,
                        warmup: 0,
                        decay: self.decay,
                    },
                ],
                groups: Vec::new(),
                // No transformation of these chains draws random numbers.
                seed: 0,
            },
            turn: Turn {
                cycle: self.cycle(),
                from,
                until,
            },
            averages,
        };
        let averages = if self.average > 0.0 {
            vec![self.average]
        } else {
            Vec::new()
        };
        [
            group("critic", self.critic_learning_rate, 0, self.critic_steps, Vec::new()),
            group(
                "generator",
                self.generator_learning_rate,
                self.critic_steps,
                self.cycle(),
                averages,
            ),
        ]
    }
}

/// Checks that the networks suit the data.
///
/// # Errors
/// If a setting is invalid. The error names it and its valid values.
pub fn check_space(model: &ModelSettings, space: Space) -> Result<(), TrainError> {
    model
        .validate(space)
        .map_err(|(field, problem)| TrainError::Setting { field, problem })
}
