//! Decoupled weight decay.

use crate::Transformation;
use std::ops::Range;

/// Adds `rate · parameter` to the update, for the parameters in some ranges (Loshchilov & Hutter, arXiv 1711.05101). Before
/// [`LearningRate`](crate::LearningRate) in the chain, it is AdamW's.
#[derive(Clone, Debug)]
pub struct WeightDecay {
    /// Fraction of a parameter that a step of learning rate 1 would remove.
    pub rate: f32,
    /// The parameters that decay: matrices, as a rule, not biases and norms.
    pub ranges: Vec<Range<usize>>,
}

impl Transformation for WeightDecay {
    fn apply(&mut self, update: &mut [f32], parameters: &[f32], _: u64) {
        for range in &self.ranges {
            for (update, parameter) in update[range.clone()].iter_mut().zip(&parameters[range.clone()]) {
                *update += self.rate * parameter;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ranges_decay() {
        let mut update = [0.0; 4];
        WeightDecay {
            rate: 0.1,
            ranges: vec![1..2, 3..4],
        }
        .apply(&mut update, &[1.0, 2.0, 3.0, 4.0], 0);
        assert_eq!(update, [0.0, 0.2, 0.0, 0.4]);
    }
}
