//! Gradient accumulation.

use crate::{Chain, Transformation};

/// Collects the gradients of several steps and then applies a chain to their mean; in between, the update is 0. Like optax's `MultiSteps`, it allows
/// batches larger than memory. The chain counts its own steps.
pub struct Accumulate {
    steps: u64,
    chain: Chain,
    sum: Vec<f32>,
}

impl Accumulate {
    /// Makes one step of `chain` from `steps` gradients of `parameters` numbers.
    pub fn new(steps: u64, chain: Chain, parameters: usize) -> Self {
        Self {
            steps: steps.max(1),
            chain,
            sum: vec![0.0; parameters],
        }
    }
}

impl Transformation for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        self.sum.iter_mut().zip(&*update).for_each(|(sum, g)| *sum += g);
        if (step + 1).is_multiple_of(self.steps) {
            let factor = (1.0 / self.steps as f64) as f32;
            update.iter_mut().zip(&mut self.sum).for_each(|(update, sum)| {
                *update = *sum * factor;
                *sum = 0.0;
            });
            self.chain.apply(update, parameters, step / self.steps);
        } else {
            update.fill(0.0);
        }
    }

    fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        let mut all = vec![("sum".to_owned(), &mut self.sum)];
        all.extend(self.chain.state());
        all
    }

    fn learning_rate(&self, step: u64) -> Option<f32> {
        self.chain.learning_rate(step / self.steps)
    }

    fn describe(&self) -> String {
        format!("mean of {} gradients → {}", self.steps, self.chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, AdamConfig, WeightDecay};

    #[test]
    fn accumulated_steps_are_steps_of_the_mean_and_nothing_moves_between() {
        let chain = || {
            Chain::new()
                .then(Adam::new(AdamConfig::default(), 1))
                .then(WeightDecay::new(0.1, std::iter::once(0..1).collect()))
        };
        let mut accumulated = Chain::new().then(Accumulate::new(4, chain(), 1));
        let mut plain = chain();
        let (mut a, mut b) = ([5.0], [5.0]);
        for step in 0..12u64 {
            let before = a;
            accumulated.step(&mut a, &mut [step as f32], step);
            if step % 4 == 3 {
                plain.step(&mut b, &mut [step as f32 - 1.5], step / 4);
                assert_eq!(a, b);
            } else {
                assert_eq!(a, before);
            }
        }
    }
}
