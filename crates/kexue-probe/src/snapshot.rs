//! Measurements of a model on one batch, sub-layer by sub-layer.

use crate::data::Batch;
use crate::places::sublayer;
use kexue_nn::{HeadTape, Model, Role, Slot, Tape, Trace};
use kexue_optim::{Branch, Place};
use rand::Rng;
use serde::Serialize;

/// The share of the stream before the first branch that is left in the stream after a branch.
///
/// If norms follow the sum, the stream keeps its size, and each branch multiplies the previous stream by `(1 + σ²/α²)^(−1/2)`, so the weight decays
/// exponentially. Otherwise the weight stays 1 and the stream grows, so the *share* decreases with the square root of the number of equal branches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Identity {
    /// The weight computed from the branch variances: `Π (1 + σᵢ²/α²)^(−1/2)` if norms follow the sum, otherwise 1.
    pub predicted: f64,
    /// The weight by regression: the product of the slopes of each stream on the previous stream. If norms follow the sum, the streams are scaled to RMS
    /// 1, so that a trained γ does not count.
    pub regression: f64,
    /// The weight by Jacobian-vector products: the product of the slopes of each stream's change on the previous stream's change, for a random change of
    /// the embeddings (by central differences).
    pub jacobian: Option<f64>,
    /// The share: the product of the correlations of each stream with the previous stream.
    pub share: f64,
}

/// The gain γ of a norm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NormGain {
    /// The parameter's name.
    pub name: String,
    /// Mean of γ.
    pub mean: f64,
    /// Largest |γ|.
    pub max: f64,
}

/// A sub-layer, measured on one batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubLayer {
    /// The layer, from 0.
    pub layer: usize,
    /// The branch of the layer.
    pub branch: Branch,
    /// Root mean square of the stream after it.
    pub rms: f64,
    /// σ²: the variance of the branch's output, divided by that of the stream before it.
    pub branch_variance: f64,
    /// The share of the first stream that is left after it.
    pub identity: Identity,
    /// Share of the stream's square that all tokens of a sequence have in common; 1 if they cannot be distinguished.
    pub common: f64,
    /// Norm of the gradient of the mean loss with respect to the stream after it.
    pub stream_gradient: f64,
    /// Norm of that gradient without its mean over the tokens of each sequence: the part that differs from token to token.
    pub token_gradient: f64,
    /// Norm of the gradient of the mean loss with respect to its parameters.
    pub gradient: f64,
    /// RMS of a step's update of its matrices divided by that of the matrices; `None` before the first step.
    pub update_ratio: Option<f64>,
    /// Mean and maximum of its norm's γ.
    pub gamma: Option<(f64, f64)>,
}

/// The size of a matrix and of its update.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matrix {
    /// The parameter's name.
    pub name: String,
    /// Root mean square of the weights.
    pub rms: f64,
    /// RMS of a step's update divided by that of the weights; `None` before the first step.
    pub update_ratio: Option<f64>,
}

/// Measurements on one batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// Number of completed steps.
    pub step: u64,
    /// Mean loss in nats.
    pub loss: f64,
    /// Root mean square of the stream before the first branch.
    pub embedding_rms: f64,
    /// Norm of the gradient with respect to that stream.
    pub embedding_stream_gradient: f64,
    /// Norm of that gradient without its mean over the tokens of each sequence.
    pub embedding_token_gradient: f64,
    /// Norm of the whole gradient.
    pub gradient: f64,
    /// The sub-layers, in the order of the stream.
    pub sublayers: Vec<SubLayer>,
    /// All norms, in the order of the stream.
    pub norms: Vec<NormGain>,
    /// All matrices and embeddings.
    pub matrices: Vec<Matrix>,
}

/// The memory of a forward and a backward pass.
#[derive(Debug)]
pub(crate) struct Pass {
    pub tape: Tape,
    head: HeadTape,
    d_hidden: Vec<f32>,
}

impl Pass {
    pub fn new(tape: Tape) -> Self {
        Self {
            tape,
            head: HeadTape::default(),
            d_hidden: Vec::new(),
        }
    }

    /// Runs a forward and a backward pass without dropout. Returns the mean loss and adds its gradient to `gradient`, which must be 0.
    pub fn run(&mut self, model: &Model, batch: &Batch, gradient: &mut [f32]) -> f64 {
        model.forward(&batch.packed, &mut self.tape, None);
        let hidden = self.tape.hidden();
        self.d_hidden.clear();
        self.d_hidden.resize(hidden.len(), 0.0);
        let count = batch.predictions.len().max(1) as f64;
        let (loss, _) = model.prediction_loss(hidden, &batch.predictions, &mut self.head, &mut self.d_hidden, gradient);
        let factor = count.recip() as f32;
        // The head computes the gradient of the sum; from here on, all gradients are those of the mean.
        for values in [&mut self.d_hidden[..], gradient] {
            values.iter_mut().for_each(|value| *value *= factor);
        }
        model.backward(&batch.packed, &mut self.tape, &mut self.d_hidden, gradient);
        loss / count
    }
}

/// The sum of squares.
pub(crate) fn square(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum()
}

pub(crate) fn norm(values: &[f32]) -> f64 {
    square(values).sqrt()
}

pub(crate) fn rms(values: &[f32]) -> f64 {
    (square(values) / values.len().max(1) as f64).sqrt()
}

fn dot(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

/// The variance over the features, averaged over tokens.
fn variance(values: &[f32], width: usize) -> f64 {
    let of = |row: &[f32]| {
        let mean = row.iter().map(|&value| f64::from(value)).sum::<f64>() / width as f64;
        square(row) / width as f64 - mean * mean
    };
    let rows = values.len() / width;
    values.chunks_exact(width).map(of).sum::<f64>() / rows.max(1) as f64
}

/// The square of the common part of each sequence's tokens: their mean, counted once per token.
fn common_square(batch: &Batch, values: &[f32], width: usize) -> f64 {
    let of = |rows: std::ops::Range<usize>| {
        let count = rows.len().max(1) as f64;
        let mut sums = vec![0.0f64; width];
        for row in values[rows.start * width..rows.end * width].chunks_exact(width) {
            sums.iter_mut()
                .zip(row)
                .for_each(|(sum, &value)| *sum += f64::from(value));
        }
        sums.iter().map(|sum| sum * sum).sum::<f64>() / count
    };
    batch.packed.rows().map(of).sum()
}

fn token_gradient(batch: &Batch, gradient: &[f32], width: usize) -> f64 {
    (square(gradient) - common_square(batch, gradient, width))
        .max(0.0)
        .sqrt()
}

impl Snapshot {
    /// Whether loss, streams and gradients are finite.
    pub(crate) fn is_finite(&self) -> bool {
        let sublayers = self.sublayers.iter();
        let mut numbers = sublayers.flat_map(|sublayer| [sublayer.rms, sublayer.branch_variance, sublayer.gradient]);
        [self.loss, self.gradient, self.gradient_flow()]
            .into_iter()
            .all(f64::is_finite)
            && numbers.all(f64::is_finite)
    }

    /// Measures the last run of a tracing pass.
    pub(crate) fn new(model: &Model, batch: &Batch, trace: &Trace, gradient: &[f32], step: u64, loss: f64) -> Self {
        let slots = model.layout().slots();
        let d = model.config().d_model;
        let count = trace.branches.len();
        let of_sublayer = |at: usize| slots.iter().filter(move |slot| sublayer(slot) == Some(at));
        let identities = identities(model, trace);
        let sublayers = (0..count).map(|at| {
            let gammas: Vec<f64> = of_sublayer(at)
                .filter(|slot| slot.role == Role::Gamma)
                .flat_map(|slot| &model.values()[slot.range.clone()])
                .map(|&gamma| f64::from(gamma))
                .collect();
            let squares: f64 = of_sublayer(at).map(|slot| square(&gradient[slot.range.clone()])).sum();
            SubLayer {
                layer: at / 2,
                branch: [Branch::Attention, Branch::FeedForward][at % 2],
                rms: rms(&trace.streams[at + 1]),
                branch_variance: branch_variance(model, trace, at),
                identity: identities[at],
                common: common_square(batch, &trace.streams[at + 1], d) / square(&trace.streams[at + 1]),
                stream_gradient: norm(&trace.gradients[at + 1]),
                token_gradient: token_gradient(batch, &trace.gradients[at + 1], d),
                gradient: squares.sqrt(),
                update_ratio: None,
                gamma: (!gammas.is_empty()).then(|| {
                    let sum: f64 = gammas.iter().sum();
                    let most = gammas.iter().fold(0.0f64, |most, gamma| most.max(gamma.abs()));
                    (sum / gammas.len() as f64, most)
                }),
            }
        });
        Self {
            step,
            loss,
            embedding_rms: rms(&trace.streams[0]),
            embedding_stream_gradient: norm(&trace.gradients[0]),
            embedding_token_gradient: token_gradient(batch, &trace.gradients[0], d),
            gradient: norm(gradient),
            sublayers: sublayers.collect(),
            norms: norms(model),
            matrices: slots
                .iter()
                .filter(|slot| slot.decays())
                .map(|slot| Matrix {
                    name: slot.name.clone(),
                    rms: rms(&model.values()[slot.range.clone()]),
                    update_ratio: None,
                })
                .collect(),
        }
    }

    /// Sets the update ratios of a step that changed the parameters from `before` to `after`.
    pub(crate) fn set_updates(&mut self, slots: &[Slot], before: &[f32], after: &[f32]) {
        let mut sums = vec![(0.0, 0.0); self.sublayers.len()];
        let decaying = slots.iter().filter(|slot| slot.decays());
        for (matrix, slot) in self.matrices.iter_mut().zip(decaying) {
            let (before, after) = (&before[slot.range.clone()], &after[slot.range.clone()]);
            let moved: f64 = before.iter().zip(after).map(|(&b, &a)| f64::from(a - b).powi(2)).sum();
            let size = square(before);
            matrix.update_ratio = (size > 0.0).then(|| (moved / size).sqrt());
            if let Some(at) = sublayer(slot) {
                sums[at].0 += moved;
                sums[at].1 += size;
            }
        }
        for (sublayer, (moved, size)) in self.sublayers.iter_mut().zip(sums) {
            sublayer.update_ratio = (size > 0.0).then(|| (moved / size).sqrt());
        }
    }

    /// The last sub-layer, which every model has.
    pub fn last(&self) -> Option<&SubLayer> {
        self.sublayers.last()
    }

    /// The ratio of the token gradients after the first and after the last sub-layer: how much of the signal of single tokens arrives at the input.
    pub fn token_gradient_ratio(&self) -> f64 {
        match (self.sublayers.first(), self.sublayers.last()) {
            (Some(first), Some(last)) => first.token_gradient / last.token_gradient,
            _ => f64::NAN,
        }
    }

    /// The same ratio, corrected for the growth of the stream: if later branches make a stream n times as large, its gradient before them is n times as
    /// large, which is harmless.
    pub fn gradient_flow(&self) -> f64 {
        let ratio = self.token_gradient_ratio();
        match (self.sublayers.first(), self.sublayers.last()) {
            (Some(first), Some(last)) if ratio > 1.0 => (ratio * first.rms / last.rms).max(1.0),
            _ => ratio,
        }
    }

    /// The ratio of the gradients of the first and the last layer's parameters; below 1, gradients decay on the way to the input.
    pub fn gradient_ratio(&self) -> f64 {
        let layer = |which: usize| -> f64 {
            let parts = self.sublayers.iter().filter(|sublayer| sublayer.layer == which);
            parts.map(|sublayer| sublayer.gradient.powi(2)).sum::<f64>().sqrt()
        };
        layer(0) / layer(self.sublayers.len() / 2 - 1)
    }
}

/// γ of every norm in the order of the stream. In the layout, the last norm comes before the blocks.
fn norms(model: &Model) -> Vec<NormGain> {
    let gains = |which: &dyn Fn(Place) -> bool| -> Vec<NormGain> {
        let slots = model.layout().slots().iter();
        let gammas = slots.filter(|slot| slot.role == Role::Gamma && which(slot.place));
        let gain = |slot: &Slot| {
            let values = &model.values()[slot.range.clone()];
            NormGain {
                name: slot.name.trim_end_matches(".weight").to_owned(),
                mean: values.iter().map(|&gamma| f64::from(gamma)).sum::<f64>() / values.len() as f64,
                max: values.iter().fold(0.0f32, |most, gamma| most.max(gamma.abs())).into(),
            }
        };
        gammas.map(gain).collect()
    };
    let mut all = gains(&|place| place == Place::Input);
    all.extend(gains(&|place| matches!(place, Place::Block { .. })));
    all.extend(gains(&|place| place == Place::Output));
    all.extend(gains(&|place| place == Place::Head));
    all
}

/// σ² of a branch.
pub(crate) fn branch_variance(model: &Model, trace: &Trace, at: usize) -> f64 {
    let d = model.config().d_model;
    variance(&trace.branches[at], d) / variance(&trace.streams[at], d)
}

/// The share of the first stream that is left after each branch.
pub(crate) fn identities(model: &Model, trace: &Trace) -> Vec<Identity> {
    let config = model.config();
    let alpha = config.norm_placement.residual_scale(config.layers);
    let mut so_far = Identity {
        predicted: 1.0,
        regression: 1.0,
        jacobian: None,
        share: 1.0,
    };
    let step = |at: usize| {
        let (before, after) = (&trace.streams[at], &trace.streams[at + 1]);
        let (product, square_before) = (dot(before, after), square(before));
        let correlation = product / (square_before * square(after)).sqrt();
        so_far.share *= correlation;
        if config.norm_placement.after() {
            so_far.predicted *= (1.0 + branch_variance(model, trace, at) / alpha.powi(2)).sqrt().recip();
            so_far.regression *= correlation;
        } else {
            so_far.regression *= product / square_before;
        }
        so_far
    };
    (0..trace.branches.len()).map(step).collect()
}

/// The identity-path weights after each branch by Jacobian-vector products: the change of the stream, from branch to branch, if every token's embedding
/// is moved in a random direction by a hundredth of its size. Empty if it has no size.
pub(crate) fn jacobian_weights(model: &Model, batch: &Batch, generator: &mut impl Rng) -> Vec<f64> {
    let slots = model.layout().slots();
    let Some(table) = slots.iter().find(|slot| slot.role == Role::Embedding) else {
        return Vec::new();
    };
    let step = 1e-2 * rms(&model.values()[table.range.clone()]) as f32 * 3f32.sqrt();
    if !(step > 0.0 && step.is_finite()) {
        return Vec::new();
    }
    let direction: Vec<f32> = table
        .range
        .clone()
        .map(|_| generator.random_range(-step..step))
        .collect();
    let streams = |sign: f32| {
        let mut moved = model.clone();
        let values = &mut moved.values_mut()[table.range.clone()];
        values
            .iter_mut()
            .zip(&direction)
            .for_each(|(value, u)| *value += sign * u);
        let mut tape = Tape::tracing();
        moved.forward(&batch.packed, &mut tape, None);
        tape.trace().map(|trace| trace.streams.clone()).unwrap_or_default()
    };
    let mut changes = streams(1.0);
    for (change, other) in changes.iter_mut().zip(streams(-1.0)) {
        change.iter_mut().zip(other).for_each(|(up, down)| *up -= down);
    }
    let mut weight = 1.0;
    changes
        .windows(2)
        .map(|pair| {
            weight *= dot(&pair[0], &pair[1]) / square(&pair[0]);
            weight
        })
        .collect()
}

/// The mean of each number over snapshots of models with the same architecture.
pub(crate) fn mean(snapshots: &[&Snapshot]) -> Option<Snapshot> {
    let (first, count) = (snapshots.first()?, snapshots.len() as f64);
    let average = |of: &dyn Fn(&Snapshot) -> f64| snapshots.iter().map(|snapshot| of(snapshot)).sum::<f64>() / count;
    let optional = |of: &dyn Fn(&Snapshot) -> Option<f64>| {
        let values: Option<Vec<f64>> = snapshots.iter().map(|snapshot| of(snapshot)).collect();
        values.map(|values| values.iter().sum::<f64>() / count)
    };
    let sublayers = first.sublayers.iter().enumerate().map(|(at, sublayer)| {
        let average = |of: &dyn Fn(&SubLayer) -> f64| average(&|snapshot| of(&snapshot.sublayers[at]));
        let optional = |of: &dyn Fn(&SubLayer) -> Option<f64>| optional(&|snapshot| of(&snapshot.sublayers[at]));
        let gamma_mean = optional(&|sublayer| sublayer.gamma.map(|gamma| gamma.0));
        let gamma_max = optional(&|sublayer| sublayer.gamma.map(|gamma| gamma.1));
        SubLayer {
            layer: sublayer.layer,
            branch: sublayer.branch,
            rms: average(&|sublayer| sublayer.rms),
            branch_variance: average(&|sublayer| sublayer.branch_variance),
            identity: Identity {
                predicted: average(&|sublayer| sublayer.identity.predicted),
                regression: average(&|sublayer| sublayer.identity.regression),
                jacobian: optional(&|sublayer| sublayer.identity.jacobian),
                share: average(&|sublayer| sublayer.identity.share),
            },
            common: average(&|sublayer| sublayer.common),
            stream_gradient: average(&|sublayer| sublayer.stream_gradient),
            token_gradient: average(&|sublayer| sublayer.token_gradient),
            gradient: average(&|sublayer| sublayer.gradient),
            update_ratio: optional(&|sublayer| sublayer.update_ratio),
            gamma: gamma_mean.zip(gamma_max),
        }
    });
    let norms = first.norms.iter().enumerate().map(|(at, norm)| NormGain {
        name: norm.name.clone(),
        mean: average(&|snapshot| snapshot.norms[at].mean),
        max: average(&|snapshot| snapshot.norms[at].max),
    });
    let matrices = first.matrices.iter().enumerate().map(|(at, matrix)| Matrix {
        name: matrix.name.clone(),
        rms: average(&|snapshot| snapshot.matrices[at].rms),
        update_ratio: optional(&|snapshot| snapshot.matrices[at].update_ratio),
    });
    Some(Snapshot {
        step: first.step,
        loss: average(&|snapshot| snapshot.loss),
        embedding_rms: average(&|snapshot| snapshot.embedding_rms),
        embedding_stream_gradient: average(&|snapshot| snapshot.embedding_stream_gradient),
        embedding_token_gradient: average(&|snapshot| snapshot.embedding_token_gradient),
        gradient: average(&|snapshot| snapshot.gradient),
        sublayers: sublayers.collect(),
        norms: norms.collect(),
        matrices: matrices.collect(),
    })
}
