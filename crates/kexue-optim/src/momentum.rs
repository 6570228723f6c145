//! Momentum: that of gradient descent, and Lion's.

use crate::Transformation;
use crate::chain::{Piece, apply_pieces, next};
use serde::{Deserialize, Serialize};

/// Constants of [`Momentum`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MomentumConfig {
    /// The share of the momentum that a step keeps.
    pub momentum: f32,
    /// Whether to use Nesterov's momentum.
    pub nesterov: bool,
}

impl Default for MomentumConfig {
    fn default() -> Self {
        Self {
            momentum: 0.9,
            nesterov: false,
        }
    }
}

/// `m ← μ·m + g`, and `m` (Nesterov: `g + μ·m`) is the update; as PyTorch's `SGD` (Sutskever et al., ICML 2013).
#[derive(Clone, Debug)]
pub struct Momentum {
    config: MomentumConfig,
    momentum: Vec<f32>,
}

impl Momentum {
    /// Zero-initialised momentum of this many parameters.
    pub fn new(config: MomentumConfig, parameters: usize) -> Self {
        Self {
            config,
            momentum: vec![0.0; parameters],
        }
    }
}

impl Transformation for Momentum {
    fn name(&self) -> &'static str {
        "momentum"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        apply_pieces(self, update, parameters, step);
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn pieces(&mut self, _: usize, size: usize, _: u64) -> Vec<Piece<'_>> {
        let MomentumConfig { momentum: mu, nesterov } = self.config;
        let piece = |momentum| -> Piece<'_> {
            let mut rest: &mut [f32] = momentum;
            Box::new(move |update, _| {
                let momentum = next(&mut rest, update.len());
                for (update, momentum) in update.iter_mut().zip(momentum) {
                    *momentum = mu * *momentum + *update;
                    *update = if nesterov { *update + mu * *momentum } else { *momentum };
                }
            })
        };
        self.momentum.chunks_mut(size).map(piece).collect()
    }

    fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        vec![("momentum".to_owned(), &mut self.momentum)]
    }

    fn describe(&self) -> String {
        let nesterov = if self.config.nesterov { ", nesterov" } else { "" };
        format!("momentum {}{nesterov}", self.config.momentum)
    }
}

/// Constants of [`Lion`]; the defaults are the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LionConfig {
    /// Weight of the momentum in the sign that is the update.
    pub beta1: f32,
    /// Weight of the momentum in the next momentum.
    pub beta2: f32,
}

impl Default for LionConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.99,
        }
    }
}

/// The sign of a mean of momentum and gradient (Chen et al., arXiv 2302.06675, algorithm 2): `sign(β₁·m + (1−β₁)·g)`, then
/// `m ← β₂·m + (1−β₂)·g`. The sign of 0 is 0.
#[derive(Clone, Debug)]
pub struct Lion {
    config: LionConfig,
    momentum: Vec<f32>,
}

impl Lion {
    /// Zero-initialised momentum of this many parameters.
    pub fn new(config: LionConfig, parameters: usize) -> Self {
        Self {
            config,
            momentum: vec![0.0; parameters],
        }
    }
}

impl Transformation for Lion {
    fn name(&self) -> &'static str {
        "lion"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        apply_pieces(self, update, parameters, step);
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn pieces(&mut self, _: usize, size: usize, _: u64) -> Vec<Piece<'_>> {
        let LionConfig { beta1, beta2 } = self.config;
        let piece = |momentum| -> Piece<'_> {
            let mut rest: &mut [f32] = momentum;
            Box::new(move |update, _| {
                let momentum = next(&mut rest, update.len());
                for (update, momentum) in update.iter_mut().zip(momentum) {
                    let mean = beta1 * *momentum + (1.0 - beta1) * *update;
                    *momentum = beta2 * *momentum + (1.0 - beta2) * *update;
                    // Not `signum`, which is 1 at 0.
                    *update = f32::from(i8::from(mean > 0.0) - i8::from(mean < 0.0));
                    if mean.is_nan() {
                        *update = mean;
                    }
                }
            })
        };
        self.momentum.chunks_mut(size).map(piece).collect()
    }

    fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        vec![("momentum".to_owned(), &mut self.momentum)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn momentum_sums_a_constant_gradient_to_its_limit() {
        let mut momentum = Momentum::new(MomentumConfig::default(), 1);
        let mut update = [0.0];
        for step in 0..200 {
            update = [1.0];
            momentum.apply(&mut update, &[0.0], step);
        }
        assert!((update[0] - 10.0).abs() < 1e-4, "1/(1 − 0.9): {update:?}");
    }

    #[test]
    fn lion_moves_every_parameter_by_the_same_amount_or_not_at_all() {
        let mut update = [1e-20, -1e20, 0.0];
        Lion::new(LionConfig::default(), 3).apply(&mut update, &[0.0; 3], 0);
        assert_eq!(update, [1.0, -1.0, 0.0]);
    }
}
