//! Learning rates over time.

use crate::{CHUNK, Transformation};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Not at all.
    Constant,
    /// In a straight line to 0.
    Linear,
    /// Along half a cosine to 0.
    #[default]
    Cosine,
}

/// A learning rate that rises in a straight line from 0 and then falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest rate.
    pub peak: f32,
    /// Steps until it is reached.
    pub warmup: u64,
    /// Steps until the end.
    pub total: u64,
    /// What happens in between.
    pub decay: Decay,
}

impl Schedule {
    /// The rate of a step, counted from 0.
    pub fn at(&self, step: u64) -> f32 {
        if step < self.warmup {
            return self.peak * (step + 1) as f32 / self.warmup as f32;
        }
        let done = (step - self.warmup) as f64 / (self.total.saturating_sub(self.warmup)).max(1) as f64;
        let left = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - done,
            Decay::Cosine => 0.5 + 0.5 * (std::f64::consts::PI * done.min(1.0)).cos(),
        };
        (f64::from(self.peak) * left.max(0.0)) as f32
    }
}

/// Multiplies the update by the rate of the step.
#[derive(Clone, Copy, Debug)]
pub struct LearningRate(pub Schedule);

impl Transformation for LearningRate {
    fn apply(&mut self, update: &mut [f32], _: &[f32], step: u64) {
        let rate = self.0.at(step);
        update
            .par_chunks_mut(CHUNK)
            .for_each(|chunk| chunk.iter_mut().for_each(|u| *u *= rate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_zero() {
        for decay in [Decay::Linear, Decay::Cosine] {
            let schedule = Schedule {
                peak: 2.0,
                warmup: 10,
                total: 100,
                decay,
            };
            assert_eq!(schedule.at(0), 0.2);
            assert_eq!(schedule.at(9), 2.0);
            assert_eq!(schedule.at(10), 2.0);
            assert!((schedule.at(55) - 1.0).abs() < 1e-6, "half way down");
            assert!(schedule.at(99) < 0.05 && schedule.at(100) == 0.0 && schedule.at(1000) == 0.0);
            assert!((10..99).all(|step| schedule.at(step + 1) <= schedule.at(step)));
        }
    }

    #[test]
    fn no_warmup_starts_at_the_peak() {
        let schedule = Schedule {
            peak: 1.0,
            warmup: 0,
            total: 10,
            decay: Decay::Constant,
        };
        assert_eq!(schedule.at(0), 1.0);
        assert_eq!(schedule.at(9), 1.0);
    }
}
