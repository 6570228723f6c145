//! The Fisher information of a model before training, and the child network selected by it.

use crate::dataset::{Dataset, Encoded};
use crate::task::{TuneTask, TuneWorkspace};
use kexue_nn::Classifier;
use kexue_optim::{BitMask, Chain, ClipGlobalNorm, Fisher, Parameters, Slot, Transformation};
use kexue_train::{generator, streams};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The way to measure the Fisher information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FisherKind {
    /// Squares of each sample's gradient, without dropout. All parameters compete.
    #[default]
    Samples,
    /// As in the authors' code: squares of each batch's gradient, clipped, with dropout. Only parameters with `layer` in their names compete; all others are
    /// trained. Gradients are not divided by p.
    Authors,
}

/// The diagonal of the Fisher information over some examples, before training.
///
/// `batch_size` and `clip` apply to [`FisherKind::Authors`], and `seed` is the seed of its dropout.
pub fn fisher(
    task: &TuneTask<'_>,
    model: &Classifier,
    kind: FisherKind,
    batch_size: usize,
    clip: f32,
    seed: u64,
) -> Fisher {
    let task = task.without_technique();
    let size = model.slots().size();
    let Dataset { examples, .. } = task.training;
    match kind {
        FisherKind::Samples => by_samples(&task, model, examples),
        FisherKind::Authors => {
            let (mut fisher, mut workspace) = (Fisher::new(size), TuneWorkspace::default());
            let mut gradient = vec![0.0; size];
            let mut clipping = Chain::new();
            if clip.is_finite() {
                clipping = clipping.then(ClipGlobalNorm { max_norm: clip });
            }
            for (step, examples) in (0..).zip(examples.chunks(batch_size.max(1))) {
                gradient.fill(0.0);
                let batch = task.pack(examples.iter());
                let mut random = generator(seed, streams::FISHER, step);
                task.gradient(model, &batch, Some(&mut random), &mut workspace, &mut gradient);
                let share = 1.0 / examples.len() as f32;
                gradient.par_iter_mut().for_each(|g| *g *= share);
                clipping.apply(&mut gradient, model.values(), step);
                fisher.add(&gradient);
            }
            fisher
        }
    }
}

/// Number of parts of the examples, each for one thread. It is fixed, so that the order of summation does not depend on the number of threads.
const PARTS: usize = 2;

fn by_samples(task: &TuneTask<'_>, model: &Classifier, examples: &[Encoded]) -> Fisher {
    let size = model.slots().size();
    let parts: Vec<Fisher> = examples
        .par_chunks(examples.len().div_ceil(PARTS).max(1))
        .map(|examples| {
            let (mut fisher, mut workspace) = (Fisher::new(size), TuneWorkspace::default());
            let mut gradient = vec![0.0; size];
            for example in examples {
                let batch = task.pack(std::iter::once(example));
                task.gradient(model, &batch, None, &mut workspace, &mut gradient);
                let parts = touched(model, example);
                fisher.add_parts(&gradient, parts.iter().cloned());
                parts.into_iter().for_each(|part| gradient[part].fill(0.0));
            }
            fisher
        })
        .collect();
    parts
        .into_iter()
        .reduce(Fisher::merge)
        .unwrap_or_else(|| Fisher::new(size))
}

/// The ranges where the gradient of an example may not be 0. Of the token embeddings, which are half of a small model, these are the rows of its tokens.
fn touched(model: &Classifier, example: &Encoded) -> Vec<Range<usize>> {
    let is_table = |slot: &&Slot| slot.name == "embeddings.word_embeddings.weight";
    let size = model.slots().size();
    let Some(table) = model.slots().iter().find(is_table).map(|slot| slot.range.clone()) else {
        return std::iter::once(0..size).collect();
    };
    let d = model.model().config().d_model;
    let mut tokens = example.tokens.clone();
    tokens.sort_unstable();
    tokens.dedup();
    let rows = tokens.into_iter().map(|token| table.start + token as usize * d);
    let rows = rows.map(|start| start..start + d);
    [0..table.start, table.end..size].into_iter().chain(rows).collect()
}

/// The parameters that ChildTuning-D trains: the share `p` with the largest Fisher information.
pub fn child(fisher: &Fisher, kind: FisherKind, p: f32, model: &Classifier) -> BitMask {
    let competes = |slot: &Slot| kind == FisherKind::Samples || slot.name.contains("layer");
    fisher.child(p, model.slots(), competes)
}

/// The number of trained parameters in a part of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptShare {
    /// The part: `embeddings`, `layer 0 attention`, `layer 0 feed-forward`, …, `head`.
    pub part: String,
    /// Number of parameters of the part.
    pub parameters: usize,
    /// Number of trained parameters.
    pub kept: usize,
}

/// The shares of the embeddings, of both branches of each layer, and of the head that a mask keeps.
pub fn kept_shares(mask: &BitMask, model: &Classifier) -> Vec<KeptShare> {
    use kexue_optim::{Branch, Place};
    let mut shares: Vec<KeptShare> = Vec::new();
    for slot in model.slots() {
        let part = match slot.place {
            Place::Block { block, branch } => {
                let branch = match branch {
                    Branch::Attention => "attention",
                    Branch::FeedForward => "feed-forward",
                };
                format!("layer {block} {branch}")
            }
            Place::Head => "head".to_owned(),
            _ => "embeddings".to_owned(),
        };
        let kept = mask.count_in(slot);
        match shares.iter_mut().find(|share| share.part == part) {
            Some(share) => {
                share.parameters += slot.range.len();
                share.kept += kept;
            }
            None => shares.push(KeptShare {
                part,
                parameters: slot.range.len(),
                kept,
            }),
        }
    }
    shares
}
