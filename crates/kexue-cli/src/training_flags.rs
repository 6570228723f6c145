//! Flags of every command that trains.

use crate::model_flags::named;
use crate::output::Usage;
use anyhow::Result;
use clap::Args;
use kexue_optim::{ChainSettings, Decay, Pattern, SlotGroup, Slots};
use kexue_train::{Regularizer, TrainError, TrainSettings, read_optimizer};
use std::path::PathBuf;

#[derive(Args)]
#[command(next_help_heading = "Training")]
pub struct TrainingFlags {
    /// Seed of all random choices.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of optimiser steps.
    #[arg(long, default_value_t = 5000)]
    steps: u64,
    /// Examples per step.
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f32,
    /// Number of warm-up steps.
    #[arg(long, default_value_t = 200)]
    warmup: u64,
    /// How the learning rate decays.
    #[arg(long, value_parser = named::<Decay>(&["constant", "linear", "cosine"]), default_value = "cosine")]
    decay: Decay,
    /// Decoupled weight decay, for matrices only.
    #[arg(long, default_value_t = 0.01)]
    weight_decay: f32,
    /// Clip gradients to this norm.
    #[arg(long, default_value_t = 1.0)]
    max_gradient_norm: f32,
    /// Number of parts of a batch that are computed in parallel. Their gradients are summed in order, so the result depends on this number, but not
    /// on the number of processes or threads.
    #[arg(long, default_value_t = 4)]
    shards: usize,
    /// The optimiser as a TOML file: [[optimizer]] tables, each a transformation of the gradient, in the order in which to apply them.
    #[arg(long, conflicts_with_all = ["learning_rate", "warmup", "decay", "weight_decay", "max_gradient_norm"])]
    optimizer: Option<PathBuf>,
    /// Do not train the parameters whose names match this pattern; `*` stands for any characters: 'embeddings.*'.
    #[arg(long, value_name = "PATTERN")]
    freeze: Vec<Pattern>,
    /// Multiply the learning rate of the parameters whose names match: 'encoder.layer.0.*=0.5'. The first matching pattern counts.
    #[arg(long, value_name = "PATTERN=FACTOR", value_parser = rate_factor)]
    lr_factor: Vec<SlotGroup>,
    /// Perturb embeddings (fgm, pgd) or parameters (sam), or penalise the squared norm of their gradient (input-gradient, parameter-gradient), as KIND:NUMBER:
    /// fgm:0.5, sam:0.05, parameter-gradient:0.1. The number is the radius or the weight. Each step computes one to three additional gradients.
    #[arg(long, value_name = "KIND:NUMBER")]
    regularizer: Option<Regularizer>,
    /// Decay of the moving average of the weights; 0 for none. Of several (0.999,0.9999), the one that validates best is saved.
    #[arg(long, value_delimiter = ',', default_value = "0.999")]
    average: Vec<f32>,
    /// Steps between validations and checkpoints.
    #[arg(long, default_value_t = 500)]
    validate_every: u64,
    /// Stop after this many validations without improvement; 0 for never.
    #[arg(long, default_value_t = 0)]
    patience: u64,
}

/// Reads `PATTERN=FACTOR`.
pub fn rate_factor(text: &str) -> std::result::Result<SlotGroup, String> {
    let (pattern, factor) = text
        .rsplit_once('=')
        .ok_or("expected PATTERN=FACTOR, such as 'encoder.layer.0.*=0.5'")?;
    let number: f32 = factor.parse().map_err(|_| format!("`{factor}` is not a number"))?;
    match number >= 0.0 && number.is_finite() {
        true => Ok(SlotGroup::with_rate(pattern.parse()?, number)),
        false => Err(format!("the factor must be 0 or more, not {number}")),
    }
}

impl TrainingFlags {
    /// The settings.
    pub fn settings(&self) -> Result<TrainSettings> {
        let chain: ChainSettings = match &self.optimizer {
            None => ChainSettings::default(),
            Some(path) => read_optimizer(path)?,
        };
        let frozen = self.freeze.iter().cloned().map(SlotGroup::frozen);
        let groups = frozen.chain(self.lr_factor.iter().cloned()).chain(chain.groups);
        let (average, more_averages) = match self.average.split_first() {
            Some((first, more)) => (*first, more.to_vec()),
            None => (0.0, Vec::new()),
        };
        Ok(TrainSettings {
            seed: self.seed,
            steps: self.steps,
            batch_size: self.batch_size,
            shards: self.shards,
            optimizer: chain.links,
            groups: groups.collect(),
            regularizer: self.regularizer,
            learning_rate: self.learning_rate,
            warmup: self.warmup,
            decay: self.decay,
            weight_decay: self.weight_decay,
            max_gradient_norm: self.max_gradient_norm,
            average,
            more_averages,
            validate_every: self.validate_every,
            patience: self.patience,
            ..TrainSettings::default()
        })
    }

    /// Checks that the optimiser can train these parameters, before anything is written.
    pub fn check(&self, settings: &TrainSettings, slots: &Slots) -> Result<()> {
        let built = settings.chain().build(slots, settings.steps);
        built.map(|_| ()).map_err(|error| match &self.optimizer {
            Some(path) => TrainError::file(path, error).into(),
            None => Usage(error.to_string()).into(),
        })
    }
}
