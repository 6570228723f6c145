//! Clipping by the norm of the whole gradient.

use crate::{CHUNK, Transformation};
use rayon::prelude::*;

/// Scales the gradient down to a norm, over all parameters together (Pascanu et al., arXiv 1211.5063), as PyTorch's `clip_grad_norm_`.
#[derive(Clone, Copy, Debug)]
pub struct ClipGlobalNorm {
    /// The largest norm that passes unchanged.
    pub max_norm: f32,
}

/// The Euclidean norm; the same for any number of threads.
pub(crate) fn norm(values: &[f32]) -> f64 {
    let sums: Vec<f64> = values
        .par_chunks(CHUNK)
        .map(|chunk| {
            let mut lanes = [0.0f64; 8];
            for part in chunk.chunks(8) {
                for (lane, &value) in lanes.iter_mut().zip(part) {
                    *lane += f64::from(value) * f64::from(value);
                }
            }
            lanes.iter().sum()
        })
        .collect();
    sums.iter().sum::<f64>().sqrt()
}

impl Transformation for ClipGlobalNorm {
    fn apply(&mut self, update: &mut [f32], _: &[f32], _: u64) {
        let norm = norm(update);
        if norm > f64::from(self.max_norm) {
            let factor = (f64::from(self.max_norm) / norm) as f32;
            update
                .par_chunks_mut(CHUNK)
                .for_each(|chunk| chunk.iter_mut().for_each(|u| *u *= factor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_norm_is_bounded_and_clipping_twice_is_clipping_once(
            mut update in proptest::collection::vec(-1e3f32..1e3, 1..50),
            max_norm in 0.1f32..100.0,
        ) {
            let before = update.clone();
            let mut clip = ClipGlobalNorm { max_norm };
            clip.apply(&mut update, &[], 0);
            prop_assert!(norm(&update) <= f64::from(max_norm) * 1.00001);
            if norm(&before) <= f64::from(max_norm) {
                prop_assert_eq!(&update, &before);
            }
            let once = update.clone();
            clip.apply(&mut update, &[], 0);
            for (a, b) in once.iter().zip(&update) {
                prop_assert!((a - b).abs() <= a.abs() * 1e-5);
            }
        }
    }
}
