//! Adam's moments.

use crate::Transformation;
use crate::chain::{Piece, apply_pieces, next};
use crate::vectors::{AdamStep, adam};
use serde::{Deserialize, Serialize};

/// Constants of [`Adam`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }
}

/// `m̂/(√v̂ + ε)` with bias-corrected moments (Kingma & Ba, arXiv 1412.6980, algorithm 1).
#[derive(Clone, Debug)]
pub struct Adam {
    config: AdamConfig,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adam {
    /// Zero-initialised moments of this many parameters.
    pub fn new(config: AdamConfig, parameters: usize) -> Self {
        Self {
            config,
            first: vec![0.0; parameters],
            second: vec![0.0; parameters],
        }
    }
}

impl Transformation for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        apply_pieces(self, update, parameters, step);
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn pieces(&mut self, _pieces: usize, size: usize, step: u64) -> Vec<Piece<'_>> {
        let AdamConfig { beta1, beta2, epsilon } = self.config;
        let correction = |beta: f32| 1.0 - f64::from(beta).powf((step + 1) as f64);
        let step = AdamStep {
            beta1,
            beta2,
            epsilon,
            first_factor: (1.0 / correction(beta1)) as f32,
            second_factor: (1.0 / correction(beta2)) as f32,
        };
        let moments = self.first.chunks_mut(size).zip(self.second.chunks_mut(size));
        moments
            .map(|(mut first, mut second)| -> Piece<'_> {
                Box::new(move |update, _| {
                    let count = update.len();
                    adam(update, next(&mut first, count), next(&mut second, count), step);
                })
            })
            .collect()
    }

    fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        vec![
            ("first".to_owned(), &mut self.first),
            ("second".to_owned(), &mut self.second),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_algorithm_as_written() {
        let config = AdamConfig::default();
        let mut adam = Adam::new(config, 2);
        let (mut m, mut v) = ([0.0f64; 2], [0.0f64; 2]);
        for step in 0..20 {
            let gradient = [(step as f32 * 0.9).sin() * 3.0, 1e-4];
            let mut update = gradient;
            adam.apply(&mut update, &[0.0; 2], step);
            for i in 0..2 {
                let g = f64::from(gradient[i]);
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let t = step as i32 + 1;
                let expected = m[i] / (1.0 - 0.9f64.powi(t)) / ((v[i] / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8);
                assert!(
                    (f64::from(update[i]) - expected).abs() < 1e-4,
                    "step {step}: {} {expected}",
                    update[i]
                );
            }
        }
    }

    #[test]
    fn the_first_step_is_the_sign_whatever_the_size() {
        let mut update = [1e-3, -1e3];
        Adam::new(AdamConfig::default(), 2).apply(&mut update, &[0.0; 2], 0);
        assert!((update[0] - 1.0).abs() < 1e-3 && (update[1] + 1.0).abs() < 1e-3);
    }
}
