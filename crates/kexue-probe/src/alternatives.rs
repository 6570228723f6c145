//! Alternatives to an architecture, measured before the first step.

use crate::change::Change;
use crate::data::Batch;
use crate::initial::{fresh, initial};
use crate::snapshot::{Identity, identities};
use crate::{Architecture, OptimizerKind, ProbeError};
use kexue_nn::{Model, NormPlacement, StdConvention, Tape};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// An architecture that differs from the probed one in one setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// The setting that differs.
    pub change: Change,
    /// The share of the embeddings that is left at the top.
    pub identity: Identity,
    /// The ratio of the gradients of the first and the last layer's parameters.
    pub gradient_ratio: f64,
    /// Relative change of the last hidden states by a first update at the full learning rate.
    pub output_change: f64,
    /// The ratio of the gradients of single tokens after the first and after the last sub-layer.
    pub token_gradient_ratio: f64,
    /// The same ratio, corrected for the growth of the stream.
    pub gradient_flow: f64,
    /// The gradient of single tokens after each sub-layer.
    pub token_gradients: Vec<f64>,
}

/// Minimum identity-path weight at the top with a suggested standard deviation.
pub(crate) const KEPT: f64 = 0.5;

fn alternative(
    change: Change,
    architecture: &Architecture,
    model: &Model,
    batch: &Batch,
    seed: u64,
) -> Result<Alternative, ProbeError> {
    let initial = initial(model, architecture, batch, seed)?;
    let snapshot = initial.snapshot;
    Ok(Alternative {
        change,
        identity: snapshot.last().map(|sublayer| sublayer.identity).unwrap_or_default(),
        gradient_ratio: snapshot.gradient_ratio(),
        output_change: initial.full_rate.output_change,
        token_gradient_ratio: snapshot.token_gradient_ratio(),
        gradient_flow: snapshot.gradient_flow(),
        token_gradients: snapshot
            .sublayers
            .iter()
            .map(|sublayer| sublayer.token_gradient)
            .collect(),
    })
}

/// The placements worth comparing: pre-norm, post-norm, and DeepNorm with the optimiser's constants.
fn placements(optimizer: OptimizerKind) -> [NormPlacement; 4] {
    let derived = match optimizer {
        OptimizerKind::Adam => NormPlacement::DeepNormAdam,
        OptimizerKind::Sgd => NormPlacement::DeepNormSgd,
        OptimizerKind::Lamb => NormPlacement::DeepNormLamb,
    };
    [
        NormPlacement::Pre,
        NormPlacement::Post,
        NormPlacement::DeepNorm,
        derived,
    ]
}

/// The change to a norm placement.
pub(crate) fn placement_change(placement: NormPlacement) -> Change {
    Change::new("norm_placement", placement_name(placement).replace('-', "_"))
}

/// The name of a placement in reports, such as `deep-norm`.
pub fn placement_name(placement: NormPlacement) -> &'static str {
    match placement {
        NormPlacement::Pre => "pre",
        NormPlacement::Post => "post",
        NormPlacement::DeepNorm => "deep-norm",
        NormPlacement::DeepNormSgd => "deep-norm-sgd",
        NormPlacement::DeepNormAdam => "deep-norm-adam",
        NormPlacement::DeepNormLamb => "deep-norm-lamb",
        NormPlacement::Sandwich => "sandwich",
        NormPlacement::None => "none",
    }
}

/// Probes an architecture with other norm placements, and with the largest initial standard deviation that keeps half of the input. Stops early once
/// `interrupt` is set.
///
/// # Errors
/// If an architecture is invalid.
pub fn alternatives(
    architecture: &Architecture,
    batch: &Batch,
    seed: u64,
    interrupt: &AtomicBool,
) -> Result<Vec<Alternative>, ProbeError> {
    let stopped = || interrupt.load(Ordering::Relaxed);
    let mut all = Vec::new();
    for placement in placements(architecture.optimizer.kind) {
        if placement != architecture.model.norm_placement && !stopped() {
            let other = architecture.with_placement(placement);
            let model = fresh(&other, seed)?;
            all.push(alternative(placement_change(placement), &other, &model, batch, seed)?);
        }
    }
    if !stopped()
        && let Some((std, other)) = smaller_std(architecture, batch, seed)?
    {
        let model = fresh(&other, seed)?;
        all.push(alternative(
            Change::new("initializer.weights.std", std),
            &other,
            &model,
            batch,
            seed,
        )?);
    }
    Ok(all)
}

/// Rounds a positive number down to two digits, so that the printed value is the measured one.
fn two_digits(value: f32) -> f32 {
    let unit = 10f64.powf(f64::from(value).log10().floor() - 1.0);
    ((f64::from(value) / unit).floor() * unit) as f32
}

/// The largest effective standard deviation, to two digits and before the scaling of the branches, at which the identity path keeps [`KEPT`], and the
/// architecture with it. `None` if more is kept already, or no standard deviation keeps it.
fn smaller_std(
    architecture: &Architecture,
    batch: &Batch,
    seed: u64,
) -> Result<Option<(f32, Architecture)>, ProbeError> {
    let initializer = architecture.model.initializer;
    let with_std = |std: f32| {
        let mut other = architecture.clone();
        other.model.initializer = initializer.with_std(std, StdConvention::Effective);
        other
    };
    let kept = |std: f32| -> Result<f64, ProbeError> {
        let model = fresh(&with_std(std), seed)?;
        let mut tape = Tape::tracing();
        model.forward(&batch.packed, &mut tape, None);
        let top = tape.trace().and_then(|trace| identities(&model, trace).last().copied());
        Ok(top.unwrap_or_default().predicted)
    };
    let d = architecture.model.d_model;
    let now = initializer.weights.effective_std(d, d) as f32;
    let (mut low, mut high) = (now / 64.0, now);
    if kept(high)? >= KEPT || kept(low)? < KEPT {
        return Ok(None);
    }
    while high / low > 1.05 {
        let middle = (low * high).sqrt();
        if kept(middle)? >= KEPT {
            low = middle
        } else {
            high = middle
        }
    }
    let std = two_digits(low);
    Ok(Some((std, with_std(std))))
}
