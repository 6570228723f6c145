//! Clipping: by the norm of the whole gradient, by the norm of each parameter's, by value.

use crate::chain::{Piece, apply_pieces};
use crate::chunk::CHUNK;
use crate::vectors::{scale, sum_of_squares};
use crate::{Slots, Transformation};
use rayon::prelude::*;
use std::ops::Range;

/// The Euclidean norm; the same for any number of threads.
pub(crate) fn norm(values: &[f32]) -> f64 {
    let sums: Vec<f64> = values.par_chunks(CHUNK).map(sum_of_squares).collect();
    sums.iter().sum::<f64>().sqrt()
}

/// Scales values down to a norm.
fn clip(values: &mut [f32], max_norm: f32) {
    let norm = norm(values);
    if norm > f64::from(max_norm) {
        let factor = (f64::from(max_norm) / norm) as f32;
        values.par_chunks_mut(CHUNK).for_each(|chunk| scale(chunk, factor));
    }
}

/// Scales the gradient down to a norm, over all parameters together (Pascanu et al., arXiv 1211.5063), as PyTorch's `clip_grad_norm_`.
#[derive(Clone, Copy, Debug)]
pub struct ClipGlobalNorm {
    /// The largest norm that passes unchanged.
    pub max_norm: f32,
}

impl Transformation for ClipGlobalNorm {
    fn name(&self) -> &'static str {
        "clip"
    }

    fn apply(&mut self, update: &mut [f32], _: &[f32], _: u64) {
        clip(update, self.max_norm);
    }

    fn describe(&self) -> String {
        format!("clip {}", self.max_norm)
    }
}

/// Scales the gradient of each parameter down to a norm separately.
#[derive(Clone, Debug)]
pub struct ClipEachNorm {
    max_norm: f32,
    ranges: Vec<Range<usize>>,
}

impl ClipEachNorm {
    /// Clips the gradient of each slot to `max_norm`.
    pub fn new(max_norm: f32, slots: &Slots) -> Self {
        let ranges = slots.iter().map(|slot| slot.range.clone()).collect();
        Self { max_norm, ranges }
    }
}

impl Transformation for ClipEachNorm {
    fn name(&self) -> &'static str {
        "clip_each"
    }

    fn apply(&mut self, update: &mut [f32], _: &[f32], _: u64) {
        for range in &self.ranges {
            clip(&mut update[range.clone()], self.max_norm);
        }
    }

    fn describe(&self) -> String {
        format!("clip each parameter's norm {}", self.max_norm)
    }
}

/// Bounds every number of the gradient, as PyTorch's `clip_grad_value_`.
#[derive(Clone, Copy, Debug)]
pub struct ClipValue {
    /// The largest absolute value.
    pub max: f32,
}

impl Transformation for ClipValue {
    fn name(&self) -> &'static str {
        "clip_value"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        apply_pieces(self, update, parameters, step);
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn pieces(&mut self, pieces: usize, _: usize, _: u64) -> Vec<Piece<'_>> {
        let max = self.max;
        let piece =
            |_| -> Piece<'_> { Box::new(move |update, _| update.iter_mut().for_each(|u| *u = u.clamp(-max, max))) };
        (0..pieces).map(piece).collect()
    }

    fn describe(&self) -> String {
        format!("clip values {}", self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, Role};
    use proptest::prelude::*;

    fn two_slots(first: usize, size: usize) -> Slots {
        let mut slots = Slots::default();
        slots.add("a", Role::Weight, Place::Unspecified, &[first]);
        slots.add("b", Role::Weight, Place::Unspecified, &[size - first]);
        slots
    }

    proptest! {
        #[test]
        fn the_norm_is_bounded_and_clipping_twice_is_clipping_once(
            mut update in proptest::collection::vec(-1e3f32..1e3, 2..50),
            max_norm in 0.1f32..100.0,
            kind in 0..3,
        ) {
            let before = update.clone();
            let half = update.len() / 2;
            let slots = two_slots(half, update.len());
            let mut clip: Box<dyn Transformation> = match kind {
                0 => Box::new(ClipGlobalNorm { max_norm }),
                1 => Box::new(ClipEachNorm::new(max_norm, &slots)),
                _ => Box::new(ClipValue { max: max_norm }),
            };
            let parameters = vec![0.0; update.len()];
            let size = |values: &[f32]| match kind {
                0 => norm(values),
                1 => norm(&values[..half]).max(norm(&values[half..])),
                _ => values.iter().fold(0.0f64, |most, value| most.max(f64::from(value.abs()))),
            };
            clip.apply(&mut update, &parameters, 0);
            prop_assert!(size(&update) <= f64::from(max_norm) * 1.00001);
            if size(&before) <= f64::from(max_norm) {
                prop_assert_eq!(&update, &before);
            }
            let once = update.clone();
            clip.apply(&mut update, &parameters, 0);
            for (a, b) in once.iter().zip(&update) {
                prop_assert!((a - b).abs() <= a.abs() * 1e-5);
            }
        }
    }
}
