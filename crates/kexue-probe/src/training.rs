//! The first training steps of a model.

use crate::data::Batch;
use crate::mean::Mean;
use crate::snapshot::{Pass, Snapshot};
use crate::{Architecture, Data, ProbeError};
use kexue_nn::{Model, NormPlacement, Tape};
use kexue_train::{BatchSettings, Learner, Loss, Metric, ParameterGroup, Task, TrainError};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// A short training run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// The seed of the weights and batches.
    pub seed: u64,
    /// Number of warm-up steps.
    pub warmup: u64,
    /// The mean loss of each step's batch, before the step.
    pub losses: Vec<f64>,
    /// Measurements on some of the batches, with the updates of those steps.
    pub snapshots: Vec<Snapshot>,
    /// The step with a loss or gradient that was not finite, at which the run ended.
    pub diverged: Option<u64>,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

impl Trial {
    /// The mean loss of the last tenth of the steps; `None` if it diverged or was interrupted.
    pub fn final_loss(&self) -> Option<f64> {
        if self.diverged.is_some() || self.interrupted || self.losses.is_empty() {
            return None;
        }
        let last = &self.losses[self.losses.len() - self.losses.len().div_ceil(10)..];
        Some(last.iter().sum::<f64>() / last.len() as f64)
    }

    /// The lowest mean loss of any tenth of the completed steps; `None` if none is finite.
    pub fn best_loss(&self) -> Option<f64> {
        let tenth = self.losses.len().div_ceil(10).max(1);
        let means = self
            .losses
            .chunks(tenth)
            .map(|part| part.iter().sum::<f64>() / part.len() as f64);
        means.filter(|mean| mean.is_finite()).reduce(f64::min)
    }
}

/// Runs that differ only in their seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trials {
    /// The name of their common settings.
    pub name: String,
    /// The norm placement, if it is not that of the probed architecture.
    pub placement: Option<NormPlacement>,
    /// Number of warm-up steps.
    pub warmup: u64,
    /// One run for each seed.
    pub runs: Vec<Trial>,
}

impl Trials {
    /// The mean final loss of the completed runs; `None` if there is none.
    pub fn final_loss(&self) -> Option<Mean> {
        self.mean_of(Trial::final_loss)
    }

    /// The mean of the lowest losses; `None` if no loss was finite.
    pub fn best_loss(&self) -> Option<Mean> {
        self.mean_of(Trial::best_loss)
    }

    fn mean_of(&self, loss: impl Fn(&Trial) -> Option<f64>) -> Option<Mean> {
        let losses: Vec<f64> = self.runs.iter().filter_map(loss).collect();
        (!losses.is_empty()).then(|| Mean::of(&losses))
    }
}

/// The probe's batches as a task with one shard and without dropout.
struct Steps<'a> {
    data: &'a Data<'a>,
}

/// Working memory of the steps. A measured step leaves its snapshot.
struct Workspace {
    plain: Pass,
    tracing: Pass,
    /// The number of the step, if it is measured.
    look: Option<u64>,
    snapshot: Option<Snapshot>,
}

impl Task for Steps<'_> {
    type Model = Model;
    type Batch = Batch;
    type Workspace = Workspace;

    /// Every step draws its own batch.
    fn examples(&self) -> usize {
        1
    }

    fn workspace(&self, _: &Model) -> Workspace {
        Workspace {
            plain: Pass::new(Tape::default()),
            tracing: Pass::new(Tape::tracing()),
            look: None,
            snapshot: None,
        }
    }

    fn batch(&self, _: &[usize], _: u64, generator: &mut ChaCha8Rng) -> Result<Batch, TrainError> {
        Ok(self.data.batch(generator))
    }

    fn loss(
        &self,
        model: &Model,
        batch: &Batch,
        _: &mut ChaCha8Rng,
        workspace: &mut Workspace,
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        let pass = match workspace.look {
            Some(_) => &mut workspace.tracing,
            None => &mut workspace.plain,
        };
        let loss = pass.run(model, batch, gradient);
        workspace.snapshot = workspace
            .look
            .zip(pass.tape.trace())
            .map(|(step, trace)| Snapshot::new(model, batch, trace, gradient, step, loss));
        // The loss and the gradient are already those of the mean.
        Ok(Loss {
            sum: loss,
            terms: 1.0,
            items: batch.packed.len(),
            also: Vec::new(),
        })
    }

    /// A probe has snapshots instead.
    fn validate(&self, _: &Model) -> Result<Vec<Metric>, TrainError> {
        Ok(Vec::new())
    }
}

/// Trains a model for some steps and takes about `snapshots` snapshots of it. Batches depend only on the seed, so trials with the same seed see the same
/// batches. A non-finite loss or gradient ends the trial, and so does `interrupt`.
///
/// # Errors
/// If the architecture's optimiser is invalid.
pub fn run_trial(
    model: Model,
    architecture: &Architecture,
    data: &Data<'_>,
    warmup: u64,
    (steps, snapshots): (u64, u64),
    seed: u64,
    interrupt: &AtomicBool,
) -> Result<(Trial, Model), ProbeError> {
    let chain = architecture.optimizer.chain(model.layout().slots(), warmup)?;
    let group = ParameterGroup::whole(model.layout().slots(), chain);
    let batches = BatchSettings {
        seed,
        size: 1,
        shards: 1,
    };
    let task = Steps { data };
    let mut learner = Learner::new(&task, model, vec![group], batches);
    let mut run = Trial {
        seed,
        warmup,
        losses: Vec::new(),
        snapshots: Vec::new(),
        diverged: None,
        interrupted: false,
    };
    let every = (steps / snapshots.max(1)).max(1);
    for step in 0..steps {
        if interrupt.load(Ordering::Relaxed) {
            run.interrupted = true;
            break;
        }
        let last = step + 1 == steps;
        learner.workspace(0).look = (step % every == 0 || last).then_some(step);
        let loss = learner.gradient(step, last)?.sum;
        run.losses.push(loss);
        if !loss.is_finite() || learner.last_gradient().iter().any(|g| !g.is_finite()) {
            run.diverged = Some(step);
            break;
        }
        let snapshot = learner.workspace(0).snapshot.take();
        let before = snapshot.as_ref().map(|_| learner.model().values().to_vec());
        learner.apply(step)?;
        if let (Some(mut snapshot), Some(before)) = (snapshot, before) {
            let model = learner.model();
            snapshot.set_updates(model.layout().slots(), &before, model.values());
            run.snapshots.push(snapshot);
        }
    }
    Ok((run, learner.into_model()))
}
