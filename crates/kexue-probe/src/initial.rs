//! Measurements of a model before its first step.

use crate::data::Batch;
use crate::snapshot::{Pass, Snapshot, branch_variance, jacobian_weights, rms};
use crate::{Architecture, ProbeError};
use kexue_nn::{Model, Role, Tape};
use kexue_train::{generator, streams};
use serde::Serialize;

/// The effects of the first update on the output and the loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FirstUpdate {
    /// The learning rate of that step.
    pub learning_rate: f32,
    /// Relative change of the last hidden state of the same batch.
    pub output_change: f64,
    /// Mean loss on the same batch after the update.
    pub loss: f64,
}

/// A model before its first step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Initial {
    /// The measurements on a batch. The update ratios are those of a first step at the full learning rate.
    pub snapshot: Snapshot,
    /// The effects of a first update at the full learning rate.
    pub full_rate: FirstUpdate,
    /// The effects of the first update of the warm-up.
    pub warmed_up: FirstUpdate,
}

/// Creates a model of an architecture with random weights.
///
/// # Errors
/// If the architecture is invalid.
pub fn fresh(architecture: &Architecture, seed: u64) -> Result<Model, ProbeError> {
    architecture.validate()?;
    Ok(Model::new(
        architecture.model.clone(),
        &mut generator(seed, streams::WEIGHTS, 0),
    )?)
}

/// Measures a model on one batch, before any step.
///
/// # Errors
/// If the architecture's optimiser is invalid.
pub fn initial(model: &Model, architecture: &Architecture, batch: &Batch, seed: u64) -> Result<Initial, ProbeError> {
    let mut pass = Pass::new(Tape::tracing());
    let mut gradient = vec![0.0; model.layout().len()];
    let loss = pass.run(model, batch, &mut gradient);
    let mut snapshot = match pass.tape.trace() {
        Some(trace) => Snapshot::new(model, batch, trace, &gradient, 0, loss),
        None => unreachable!("the tape traces"),
    };
    let weights = jacobian_weights(model, batch, &mut generator(seed, streams::DIRECTIONS, 0));
    for (sublayer, weight) in snapshot.sublayers.iter_mut().zip(weights) {
        sublayer.identity.jacobian = Some(weight);
    }
    let hidden = pass.tape.hidden().to_vec();
    let mut first = |warmup: u64| -> Result<(FirstUpdate, Model), ProbeError> {
        let mut moved = model.clone();
        let mut chain = architecture.optimizer.chain(model.layout().slots(), warmup)?;
        let mut update = gradient.clone();
        chain.step(moved.values_mut(), &mut update, 0);
        update.fill(0.0);
        let loss = pass.run(&moved, batch, &mut update);
        let difference: Vec<f32> = hidden.iter().zip(pass.tape.hidden()).map(|(a, b)| b - a).collect();
        let update = FirstUpdate {
            learning_rate: architecture.optimizer.learning_rate / warmup.max(1) as f32,
            output_change: rms(&difference) / rms(&hidden),
            loss,
        };
        Ok((update, moved))
    };
    let warmed_up = first(architecture.optimizer.warmup)?.0;
    let (full_rate, moved) = first(0)?;
    snapshot.set_updates(model.layout().slots(), model.values(), moved.values());
    Ok(Initial {
        snapshot,
        full_rate,
        warmed_up,
    })
}

/// Scales the last matrix of each branch, starting at the input, so that the variance of every branch is `variance` times that of the stream, as the
/// formula `(1 + σ²)^(−l/2)` assumes. Branches that are normalised or 0 are not changed.
pub fn calibrate(model: &mut Model, batch: &Batch, variance: f64) {
    let last_matrices: Vec<_> = model
        .layout()
        .slots()
        .iter()
        .filter(|slot| matches!(slot.role, Role::AttentionOutput | Role::Down))
        .map(|slot| slot.range.clone())
        .collect();
    let mut tape = Tape::tracing();
    for (at, range) in last_matrices.into_iter().enumerate() {
        model.forward(&batch.packed, &mut tape, None);
        let Some(trace) = tape.trace() else { return };
        let factor = (variance / branch_variance(model, trace, at)).sqrt() as f32;
        if factor.is_finite() {
            model.values_mut()[range]
                .iter_mut()
                .for_each(|weight| *weight *= factor);
        }
    }
}
