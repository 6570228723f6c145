//! The diagonal of the empirical Fisher information.

use crate::{BitMask, Slot, Slots};
use rayon::prelude::*;
use std::ops::Range;

/// The number of values that one thread adds at a time.
const CHUNK: usize = 1 << 14;

/// The mean of squared gradients: with a gradient of `log p(y|x)` for each sample, the diagonal of the empirical Fisher information.
///
/// ```
/// use kexue_optim::{Fisher, Slots};
///
/// let mut fisher = Fisher::new(3);
/// for gradient in [[1.0, 0.0, -3.0], [1.0, 2.0, -1.0]] {
///     fisher.add(&gradient);
/// }
/// assert_eq!(fisher.diagonal(), [1.0, 2.0, 5.0]);
/// let child = fisher.child(1.0 / 3.0, &Slots::flat(3), |_| true);
/// assert!(child.keeps(2) && child.count() == 1);
/// ```
#[derive(Clone, Debug)]
pub struct Fisher {
    sums: Vec<f32>,
    gradients: u64,
}

impl Fisher {
    /// Starts without gradients, for `parameters` parameters.
    pub fn new(parameters: usize) -> Self {
        Self {
            sums: vec![0.0; parameters],
            gradients: 0,
        }
    }

    /// The result of another device: the sums of the squares of some gradients.
    pub fn of_sums(sums: Vec<f32>, gradients: u64) -> Self {
        Self { sums, gradients }
    }

    /// Adds the squares of a gradient.
    pub fn add(&mut self, gradient: &[f32]) {
        self.gradients += 1;
        let sums = self.sums.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
        sums.for_each(|(sums, gradient)| sums.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g * g));
    }

    /// Adds the squares of a gradient that is 0 outside some ranges.
    pub fn add_parts(&mut self, gradient: &[f32], parts: impl IntoIterator<Item = Range<usize>>) {
        self.gradients += 1;
        for part in parts {
            let sums = self.sums[part.clone()].iter_mut().zip(&gradient[part]);
            sums.for_each(|(sum, g)| *sum += g * g);
        }
    }

    /// Adds the gradients of another.
    pub fn merge(mut self, other: Self) -> Self {
        self.gradients += other.gradients;
        let sums = self.sums.par_chunks_mut(CHUNK).zip(other.sums.par_chunks(CHUNK));
        sums.for_each(|(sums, more)| sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more));
        self
    }

    /// Number of gradients.
    pub fn gradients(&self) -> u64 {
        self.gradients
    }

    /// The mean of the squares.
    pub fn diagonal(&self) -> Vec<f32> {
        let count = self.gradients.max(1) as f32;
        self.sums.iter().map(|sum| sum / count).collect()
    }

    /// The child network: of the parameters of slots for which `competes` holds, the share `p` with the most information, and all parameters of other slots.
    pub fn child(&self, p: f32, slots: &Slots, competes: impl Fn(&Slot) -> bool) -> BitMask {
        BitMask::largest(&self.sums, p, slots, competes)
    }
}
