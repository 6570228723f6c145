//! Flags of every command that trains.

use crate::model_flags::named;
use clap::Args;
use kexue_optim::Decay;
use kexue_train::TrainSettings;

#[derive(Args)]
#[command(next_help_heading = "Training")]
pub struct TrainingFlags {
    /// Seed of every random choice.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Optimiser steps.
    #[arg(long, default_value_t = 5000)]
    steps: u64,
    /// Examples a step.
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f32,
    /// Steps of warm-up.
    #[arg(long, default_value_t = 200)]
    warmup: u64,
    /// How the rate falls.
    #[arg(long, value_parser = named::<Decay>(&["constant", "linear", "cosine"]), default_value = "cosine")]
    decay: Decay,
    /// Decoupled weight decay of the matrices.
    #[arg(long, default_value_t = 0.01)]
    weight_decay: f32,
    /// Largest norm of a gradient.
    #[arg(long, default_value_t = 1.0)]
    max_gradient_norm: f32,
    /// Weight of the past in the moving average of the weights; 0 for none.
    #[arg(long, default_value_t = 0.999)]
    average: f32,
    /// Steps between validations and checkpoints.
    #[arg(long, default_value_t = 500)]
    validate_every: u64,
    /// Stop after so many validations without a better result; 0 for never.
    #[arg(long, default_value_t = 0)]
    patience: u64,
}

impl TrainingFlags {
    pub fn settings(&self) -> TrainSettings {
        TrainSettings {
            seed: self.seed,
            steps: self.steps,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            warmup: self.warmup,
            decay: self.decay,
            weight_decay: self.weight_decay,
            max_gradient_norm: self.max_gradient_norm,
            average: self.average,
            validate_every: self.validate_every,
            patience: self.patience,
            ..TrainSettings::default()
        }
    }
}
