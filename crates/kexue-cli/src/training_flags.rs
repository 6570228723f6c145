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
    /// Seed of all random choices [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Number of optimiser steps [default: by the size of the data]
    #[arg(long)]
    steps: Option<u64>,
    /// Examples per step [default: by the size of the data]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Highest learning rate [default: by the size of the model]
    #[arg(long)]
    learning_rate: Option<f32>,
    /// Number of warm-up steps [default: by the size of the data]
    #[arg(long)]
    warmup: Option<u64>,
    /// How the learning rate decays [default: cosine]
    #[arg(long, value_parser = named::<Decay>(&["constant", "linear", "cosine"]))]
    decay: Option<Decay>,
    /// Decoupled weight decay, for matrices only [default: 0.01]
    #[arg(long)]
    weight_decay: Option<f32>,
    /// Clip gradients to this norm [default: 1]
    #[arg(long)]
    max_gradient_norm: Option<f32>,
    /// Number of parts of a batch that are computed in parallel [default: 4]. Their gradients are summed in order, so the result depends on this number,
    /// but not on the number of processes or threads.
    #[arg(long)]
    shards: Option<usize>,
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
    /// Decay of the moving average of the weights; 0 for none [default: by the size of the data]. Of several (0.999,0.9999), the one that validates best
    /// is saved.
    #[arg(long, value_delimiter = ',')]
    average: Vec<f32>,
    /// Steps between validations and checkpoints [default: by the size of the data]
    #[arg(long)]
    validate_every: Option<u64>,
    /// Stop after this many validations without improvement; 0 for never [default: 0]
    #[arg(long)]
    patience: Option<u64>,
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
    /// Overrides settings of `base` with the flags that were given.
    pub fn over(&self, base: TrainSettings) -> Result<TrainSettings> {
        let (links, mut groups) = match &self.optimizer {
            None => (base.optimizer, base.groups),
            Some(path) => {
                let chain: ChainSettings = read_optimizer(path)?;
                (chain.links, chain.groups)
            }
        };
        let frozen = self.freeze.iter().cloned().map(SlotGroup::frozen);
        groups = frozen.chain(self.lr_factor.iter().cloned()).chain(groups).collect();
        let (average, more_averages) = match self.average.split_first() {
            Some((first, more)) => (*first, more.to_vec()),
            None => (base.average, base.more_averages),
        };
        Ok(TrainSettings {
            seed: self.seed.unwrap_or(base.seed),
            steps: self.steps.unwrap_or(base.steps),
            batch_size: self.batch_size.unwrap_or(base.batch_size),
            shards: self.shards.unwrap_or(base.shards),
            optimizer: links,
            groups,
            regularizer: self.regularizer.or(base.regularizer),
            learning_rate: self.learning_rate.unwrap_or(base.learning_rate),
            warmup: self.warmup.unwrap_or(base.warmup),
            decay: self.decay.unwrap_or(base.decay),
            weight_decay: self.weight_decay.unwrap_or(base.weight_decay),
            max_gradient_norm: self.max_gradient_norm.unwrap_or(base.max_gradient_norm),
            average,
            more_averages,
            validate_every: self.validate_every.unwrap_or(base.validate_every),
            patience: self.patience.unwrap_or(base.patience),
            adam: base.adam,
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
