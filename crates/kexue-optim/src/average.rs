//! Averages weights over the steps.

use crate::chunk::CHUNK;
use crate::vectors::approach;
use rayon::prelude::*;

/// An exponential moving average of the parameters. It is often a better model than the last one (Polyak & Juditsky, 1992).
///
/// Early on it averages all steps so far, so that the initial parameters are soon forgotten.
#[derive(Clone, Debug)]
pub struct MovingAverage {
    decay: f32,
    values: Vec<f32>,
}

impl MovingAverage {
    /// Starts with the given parameters; `decay` is the weight of the past at each step.
    pub fn new(decay: f32, parameters: &[f32]) -> Self {
        Self {
            decay,
            values: parameters.to_vec(),
        }
    }

    /// Adds the parameters after a step, counted from 0.
    pub fn update(&mut self, parameters: &[f32], step: u64) {
        let decay = self.decay.min((step + 1) as f32 / (step + 10) as f32);
        self.values
            .par_chunks_mut(CHUNK)
            .zip(parameters.par_chunks(CHUNK))
            .for_each(|(average, parameters)| approach(average, parameters, 1.0 - decay));
    }

    /// The average.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The average, for a checkpoint.
    pub fn values_mut(&mut self) -> &mut Vec<f32> {
        &mut self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approaches_constant_parameters() {
        let mut average = MovingAverage::new(0.9, &[5.0]);
        for step in 0..100 {
            average.update(&[1.0], step);
        }
        assert!((average.values()[0] - 1.0).abs() < 1e-3);
    }
}
