//! Everything that makes a training of two players what it is.

use crate::loss::AdversarialLoss;
use crate::network::{Architecture, ModelSettings, NormKind, Space};
use crate::normalizer::NormalizerSettings;
use kexue_grad::Activation;
use kexue_nn::Distribution;
use kexue_optim::{AdamConfig, ChainSettings, Decay, Link};
use kexue_train::{GroupSettings, RunConfig, TrainError, TrainSettings, Turn};
use serde::{Deserialize, Serialize};

/// The game and how it is played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanSettings {
    /// A toy distribution (`ring`, `grid`, `swiss-roll`), or a file or folder with points or images.
    pub data: String,
    /// What the players play for.
    pub loss: AdversarialLoss,
    /// Steps of the critic before each of the generator's.
    pub critic_steps: u64,
    /// Real samples, and as many generated ones, in a step of the critic.
    pub critic_batch: usize,
    /// Generated samples in a step of the generator.
    pub generator_batch: usize,
    /// Highest learning rate of the critic.
    pub critic_learning_rate: f32,
    /// Highest learning rate of the generator.
    pub generator_learning_rate: f32,
    /// How both rates fall.
    pub decay: Decay,
    /// Adam's constants, of both.
    pub adam: AdamConfig,
    /// Weight of the past in the moving average of the generator, which is sampled and saved; 0 for none.
    pub average: f32,
    /// Samples at each validation.
    pub samples: usize,
    /// What keeps the critic's slope bounded.
    pub normalizer: NormalizerSettings,
}

/// Starting points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Points: MLPs with three hidden layers of 128, hinge loss, two latents, Adam(0.5, 0.9), both learning rates 1e-3.
    Mlp,
    /// Images: the CNN of article 8757's experiments: BCE, both learning rates 2e-4, one critic step, weights from N(0, 0.02²), LeakyReLU 0.1.
    Cnn,
    /// Images of 32×32: its ResNet: hinge, 200,000 steps, batches of 64 and 128, Adam(0, 0.9), learning rates 4e-4 and 2e-4, five critic steps, average
    /// 0.9999, linear decay.
    Resnet,
}

impl Preset {
    /// The networks.
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

    /// The game. The data are to be named, the normaliser chosen.
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

    /// Weight of a gradient penalty. Points take 0.1, as the authors of WGAN-GP do in their toy examples.
    pub fn penalty_weight(self) -> f64 {
        match self {
            Self::Mlp => 0.1,
            Self::Cnn | Self::Resnet => 10.0,
        }
    }

    /// Steps of the generator.
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
    /// Version of Kexue that made it.
    pub version: String,
    /// Both networks.
    pub model: ModelSettings,
    /// The run: seed, steps and validations, counting those of both players.
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
    /// Checks the settings, and that the normaliser suits the critic.
    ///
    /// # Errors
    /// Names the setting, and says what it must be.
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

    /// Steps of both players for one of the generator.
    pub fn cycle(&self) -> u64 {
        self.critic_steps + 1
    }

    /// The settings of a run with so many steps of the generator, validated after every so many of them.
    pub fn train(&self, seed: u64, steps: u64, validate_every: u64) -> TrainSettings {
        TrainSettings {
            seed,
            steps: steps.saturating_mul(self.cycle()),
            batch_size: self.critic_batch,
            // The kernels work in parallel.
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
                // No transformation of these chains draws anything.
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
/// Names the setting, and says what it must be.
pub fn check_space(model: &ModelSettings, space: Space) -> Result<(), TrainError> {
    model
        .validate(space)
        .map_err(|(field, problem)| TrainError::Setting { field, problem })
}
