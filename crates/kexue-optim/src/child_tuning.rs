//! ChildTuning: each step uses the gradient of some parameters only.

use crate::chain::{Piece, apply_pieces};
use crate::{BitMask, Mask, Transformation};

/// Masks the gradient, `g ← g·M/p` (Xu et al., arXiv 2109.05687; article 8764). Put it between clipping and moments in the chain.
///
/// With Adam after it, the task-free form is equivalent to a learning rate smaller by `√p`: see `tests/child_tuning.rs`. A gradient of 0 does not mean
/// an update of 0, since momentum and decoupled weight decay also move masked parameters. [`WeightDecay::masked`](crate::WeightDecay::masked) masks
/// the decay.
///
/// ```
/// use kexue_optim::{Adam, AdamConfig, Chain, ChildTuning, ClipGlobalNorm, LearningRate, Schedule};
///
/// let chain = Chain::new()
///     .then(ClipGlobalNorm { max_norm: 1.0 })
///     .then(ChildTuning::task_free(0.25, 7))
///     .then(Adam::new(AdamConfig::default(), 100))
///     .then(LearningRate(Schedule::constant(1e-3)));
/// assert_eq!(chain.to_string(), "clip 1 → random child 0.25 → adam → rate 0.001");
/// ```
#[derive(Clone, Debug)]
pub struct ChildTuning(Masking);

impl ChildTuning {
    /// What a mask keeps is multiplied by `factor`.
    pub(crate) fn new(mask: Mask, factor: f32) -> Self {
        Self(Masking { mask, factor })
    }

    /// ChildTuning-F: every step keeps each gradient with probability `p`, independently of other steps.
    pub fn task_free(p: f32, seed: u64) -> Self {
        Self(Masking::new(Mask::random(p, seed)))
    }

    /// ChildTuning-D: the same parameters at every step, such as those with the largest [`Fisher`](crate::Fisher) information.
    pub fn task_driven(mask: BitMask) -> Self {
        Self(Masking::new(Mask::fixed(mask)))
    }

    /// The same without division by p, as in the authors' code for the task-driven form.
    pub fn undivided(self) -> Self {
        Self(self.0.undivided())
    }

    /// The mask of the gradient.
    pub fn mask(&self) -> &Mask {
        &self.0.mask
    }

    /// The factor of what is kept.
    pub fn factor(&self) -> f32 {
        self.0.factor
    }
}

/// Masks the update, `Δθ ← Δθ·M/p`, with a fresh mask at every step (article 8764). Put it after the moments in the chain.
///
/// Weight decay before it in the chain is masked too.
#[derive(Clone, Debug)]
pub struct UpdateDropout(Masking);

impl UpdateDropout {
    /// Every step keeps each number of the update with probability `p`.
    pub fn new(p: f32, seed: u64) -> Self {
        Self(Masking::new(Mask::random(p, seed)))
    }

    /// The same without division by p.
    pub fn undivided(self) -> Self {
        Self(self.0.undivided())
    }

    /// The mask of the update.
    pub fn mask(&self) -> &Mask {
        &self.0.mask
    }

    /// The factor of what is kept.
    pub fn factor(&self) -> f32 {
        self.0.factor
    }
}

/// A mask, and the factor of what it keeps.
#[derive(Clone, Debug)]
struct Masking {
    mask: Mask,
    factor: f32,
}

impl Masking {
    fn new(mask: Mask) -> Self {
        let factor = match mask.share() {
            // Nothing is kept, so there is nothing to divide.
            0.0 => 1.0,
            share => 1.0 / share,
        };
        Self { mask, factor }
    }

    fn undivided(self) -> Self {
        Self { factor: 1.0, ..self }
    }

    fn pieces(&self, pieces: usize, size: usize, step: u64) -> Vec<Piece<'_>> {
        let (mask, factor) = (self.mask.at(step), self.factor);
        let piece = |at: usize| -> Piece<'_> {
            let mut start = at * size;
            Box::new(move |update, _| {
                mask.apply(start, update, factor);
                start += update.len();
            })
        };
        (0..pieces).map(piece).collect()
    }

    fn describe(&self, what: &str) -> String {
        let divided = if self.factor == 1.0 && self.mask.share() < 1.0 {
            ", undivided"
        } else {
            ""
        };
        let share = format!("{:.4}", self.mask.share());
        let share = share.trim_end_matches('0').trim_end_matches('.');
        format!("{what} {share}{divided}")
    }
}

impl Transformation for ChildTuning {
    fn name(&self) -> &'static str {
        "child_tuning"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        apply_pieces(self, update, parameters, step);
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn pieces(&mut self, pieces: usize, size: usize, step: u64) -> Vec<Piece<'_>> {
        self.0.pieces(pieces, size, step)
    }

    fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        self.0.mask.state()
    }

    fn describe(&self) -> String {
        self.0.describe(&format!("{} child", self.0.mask.describe()))
    }
}

impl Transformation for UpdateDropout {
    fn name(&self) -> &'static str {
        "update_dropout"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        apply_pieces(self, update, parameters, step);
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn pieces(&mut self, pieces: usize, size: usize, step: u64) -> Vec<Piece<'_>> {
        self.0.pieces(pieces, size, step)
    }

    fn describe(&self) -> String {
        self.0.describe("update dropout, keeping")
    }
}
