//! Learning rates over time.

use crate::Transformation;
use crate::chain::{Piece, apply_pieces};
use crate::vectors::scale;
use serde::{Deserialize, Serialize};

/// How the learning rate decays after the warm-up.
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
    /// Never above `1/√t` at step t, from 1: Adafactor's relative step size (arXiv 1804.04235, section 8).
    InverseRoot,
    /// In eight phases, each three times as long as the previous one, at rates that fall evenly on a logarithmic scale to a tenth of the peak: phase i
    /// has `3^i` epochs at `10^(−i/7)` (Burda, Grosse & Salakhutdinov, arXiv 1509.00519, section 5).
    Phases,
}

/// Phases of [`Decay::Phases`].
const PHASES: u32 = 8;

impl Decay {
    fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::InverseRoot => "inverse root",
            Self::Phases => "phases",
        }
    }
}

/// A learning rate with linear warm-up from 0, followed by decay.
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
    /// The same rate at every step.
    pub fn constant(rate: f32) -> Self {
        Self {
            peak: rate,
            warmup: 0,
            total: u64::MAX,
            decay: Decay::Constant,
        }
    }

    /// The rate of a step, counted from 0.
    pub fn at(&self, step: u64) -> f32 {
        if step < self.warmup {
            return self.peak * (step + 1) as f32 / self.warmup as f32;
        }
        let done = (step - self.warmup) as f64 / (self.total.saturating_sub(self.warmup)).max(1) as f64;
        let left = match self.decay {
            Decay::Constant => 1.0,
            Decay::InverseRoot => return self.peak.min(((step + 1) as f64).sqrt().recip() as f32),
            Decay::Linear => 1.0 - done,
            Decay::Phases => {
                // (3^i − 1)/2 of the (3^8 − 1)/2 parts are before phase i.
                let parts = |phase: u32| (3f64.powi(phase as i32) - 1.0) / 2.0;
                let phase = (1..PHASES)
                    .take_while(|&phase| done * parts(PHASES) >= parts(phase))
                    .count();
                10f64.powf(-(phase as f64) / f64::from(PHASES - 1))
            }
            Decay::Cosine => 0.5 + 0.5 * (std::f64::consts::PI * done.min(1.0)).cos(),
        };
        (f64::from(self.peak) * left.max(0.0)) as f32
    }
}

/// Multiplies the update by the rate of the step.
#[derive(Clone, Copy, Debug)]
pub struct LearningRate(pub Schedule);

impl Transformation for LearningRate {
    fn name(&self) -> &'static str {
        "rate"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        apply_pieces(self, update, parameters, step);
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn pieces(&mut self, pieces: usize, _: usize, step: u64) -> Vec<Piece<'_>> {
        let rate = self.0.at(step);
        let piece = |_| -> Piece<'_> { Box::new(move |update, _| scale(update, rate)) };
        (0..pieces).map(piece).collect()
    }

    fn learning_rate(&self, step: u64) -> Option<f32> {
        Some(self.0.at(step))
    }

    fn describe(&self) -> String {
        let Schedule {
            peak, warmup, decay, ..
        } = self.0;
        let mut words = format!("rate {peak}");
        if warmup > 0 {
            words += &format!(", warmup {warmup}");
        }
        if decay != Decay::Constant {
            words += &format!(", {}", decay.name());
        }
        words
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
    fn phases_are_those_of_the_published_schedule() {
        let schedule = Schedule {
            peak: 1e-3,
            warmup: 0,
            total: 3280 * 10,
            decay: Decay::Phases,
        };
        let mut step = 0;
        for phase in 0..8 {
            let rate = 1e-3 * 10f32.powf(-(phase as f32) / 7.0);
            for at in [step, step + 3u64.pow(phase) * 10 - 1] {
                assert!((schedule.at(at) / rate - 1.0).abs() < 1e-5, "phase {phase}, step {at}");
            }
            step += 3u64.pow(phase) * 10;
        }
        assert_eq!(step, 32800);
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
