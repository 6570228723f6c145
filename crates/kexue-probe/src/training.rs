//! A model over its first steps.

use crate::initial::BATCHES;
use crate::snapshot::{Pass, Snapshot};
use crate::{Architecture, Data};
use kexue_nn::{Model, Tape};
use kexue_train::generator;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// One run of some steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// The seed of its weights and batches.
    pub seed: u64,
    /// Steps of warm-up.
    pub warmup: u64,
    /// The mean loss of each step's batch, before the step.
    pub losses: Vec<f64>,
    /// What some of the batches showed, with the update of that step.
    pub snapshots: Vec<Snapshot>,
    /// The step whose loss was no longer a number: the run ended there.
    pub diverged: Option<u64>,
    /// Whether it was cut short from outside.
    pub interrupted: bool,
}

impl Run {
    /// The mean loss of the last tenth of the steps; `None` for a run that diverged or was cut short.
    pub fn final_loss(&self) -> Option<f64> {
        if self.diverged.is_some() || self.interrupted || self.losses.is_empty() {
            return None;
        }
        let last = &self.losses[self.losses.len() - self.losses.len().div_ceil(10)..];
        Some(last.iter().sum::<f64>() / last.len() as f64)
    }

    /// The lowest mean loss of any tenth of the steps that were done; `None` without a finite one.
    pub fn best_loss(&self) -> Option<f64> {
        let tenth = self.losses.len().div_ceil(10).max(1);
        let means = self
            .losses
            .chunks(tenth)
            .map(|part| part.iter().sum::<f64>() / part.len() as f64);
        means.filter(|mean| mean.is_finite()).reduce(f64::min)
    }
}

/// Trains a model for some steps and looks at it `looks` times. Batches depend on the seed alone, so that runs of one seed see the same ones.
/// A loss that is no longer a number ends the run; so does `interrupt`.
pub fn train(
    mut model: Model,
    architecture: &Architecture,
    data: &Data<'_>,
    warmup: u64,
    (steps, looks): (u64, u64),
    seed: u64,
    interrupt: &AtomicBool,
) -> (Run, Model) {
    let mut chain = architecture.optimizer.chain(model.layout(), warmup);
    let (mut pass, mut looking) = (Pass::new(Tape::default()), Pass::new(Tape::tracing()));
    let mut run = Run {
        seed,
        warmup,
        losses: Vec::new(),
        snapshots: Vec::new(),
        diverged: None,
        interrupted: false,
    };
    let every = (steps / looks.max(1)).max(1);
    for step in 0..steps {
        if interrupt.load(Ordering::Relaxed) {
            run.interrupted = true;
            break;
        }
        let batch = data.batch(&mut generator(seed, BATCHES, step));
        let look = step % every == 0 || step + 1 == steps;
        let pass = if look { &mut looking } else { &mut pass };
        let loss = pass.run(&model, &batch);
        run.losses.push(loss);
        if !loss.is_finite() || pass.gradient.iter().any(|g| !g.is_finite()) {
            run.diverged = Some(step);
            break;
        }
        let mut snapshot = pass
            .tape
            .trace()
            .filter(|_| look)
            .map(|trace| Snapshot::new(&model, &batch, trace, &pass.gradient, step, loss));
        let before = snapshot.as_ref().map(|_| model.values().to_vec());
        chain.step(model.values_mut(), &mut pass.gradient, step);
        if let (Some(snapshot), Some(before)) = (&mut snapshot, before) {
            snapshot.set_updates(model.layout().slots(), &before, model.values());
        }
        run.snapshots.extend(snapshot);
    }
    (run, model)
}
