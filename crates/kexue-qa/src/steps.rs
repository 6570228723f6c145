//! A probability whose logit is a sum of step functions, one of each input, fitted by boosting.
//!
//! Each round of gradient boosting (Friedman 2001) adds the split of one input that lowers the loss most, a tree of depth one. The sum of all is an
//! additive model: what an input adds depends on that input alone. Unlike a line, a step does not grow without bounds outside of what was seen.

use rayon::prelude::*;

/// The number of rounds, and the share of each split that is added.
const ROUNDS: usize = 100;
const RATE: f64 = 0.1;
/// The number of quantiles of an input at which it may be split.
const QUANTILES: usize = 32;
/// The fewest examples on each side of a split, and what is added to the second derivative of the loss on each side.
const LEAST_EXAMPLES: usize = 20;
const SHRINKAGE: f64 = 1.0;

/// What is added to the logit where an input is at least a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The place of the input.
    pub input: usize,
    /// The lowest value of the input that it is added for.
    pub from: f64,
    /// What is added.
    pub added: f64,
}

/// A sum of steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// The logit where no input reaches a step.
    pub constant: f64,
    /// In the order of their inputs and bounds.
    pub steps: Vec<Step>,
}

/// An example to fit on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Example<const N: usize> {
    pub inputs: [f64; N],
    pub is_true: bool,
    pub weight: f64,
}

/// The quantiles of an input, and for each example how many of them it reaches.
struct Input {
    bounds: Vec<f64>,
    reached: Vec<u8>,
}

/// A split of an input: what the logit gains below and from its bound on, and how much lower that makes the loss.
#[derive(Clone, Copy)]
struct Split {
    input: usize,
    bound: usize,
    below: f64,
    above: f64,
    gain: f64,
}

impl Steps {
    /// The probability.
    pub fn probability(&self, inputs: &[f64]) -> f64 {
        let reached =
            (self.steps.iter()).filter(|step| inputs.get(step.input).is_some_and(|&input| input >= step.from));
        let logit = self.constant + reached.map(|step| step.added).sum::<f64>();
        1.0 / (1.0 + (-logit).exp())
    }

    /// Fits the steps to examples. Without examples of both kinds, the probability is that of the kind that there is, short of certainty.
    pub(crate) fn fit<const N: usize>(examples: &[Example<N>]) -> Self {
        let weight = |is_true: bool| -> f64 {
            let of = examples.iter().filter(|example| example.is_true == is_true);
            of.map(|example| example.weight).sum::<f64>() + 1e-3
        };
        let mut constant = (weight(true) / weight(false)).ln();
        let inputs: Vec<Input> = (0..N)
            .into_par_iter()
            .map(|place| Input::new(place, examples))
            .collect();
        let mut added: Vec<Vec<f64>> = inputs.iter().map(|input| vec![0.0; input.bounds.len()]).collect();
        let mut logits = vec![constant; examples.len()];
        for _ in 0..ROUNDS {
            // First and second derivatives of the loss, by the logit of each example.
            let derivatives: Vec<[f64; 2]> = (examples.iter().zip(&logits))
                .map(|(example, logit)| {
                    let probability = 1.0 / (1.0 + (-logit).exp());
                    let target = f64::from(u8::from(example.is_true));
                    [
                        example.weight * (probability - target),
                        example.weight * probability * (1.0 - probability),
                    ]
                })
                .collect();
            let splits = (0..N)
                .into_par_iter()
                .filter_map(|input| inputs[input].split(input, &derivatives));
            let splits: Vec<Split> = splits.collect();
            let Some(best) = splits.into_iter().reduce(|a, b| if b.gain > a.gain { b } else { a }) else {
                break;
            };
            constant += RATE * best.below;
            added[best.input][best.bound] += RATE * (best.above - best.below);
            for (logit, &reached) in logits.iter_mut().zip(&inputs[best.input].reached) {
                *logit += RATE
                    * if usize::from(reached) > best.bound {
                        best.above
                    } else {
                        best.below
                    };
            }
        }
        let steps = inputs.iter().zip(added).enumerate().flat_map(|(input, (of, added))| {
            let steps = of.bounds.iter().zip(added).filter(|&(_, added)| added != 0.0);
            steps.map(move |(&from, added)| Step { input, from, added })
        });
        Self {
            constant,
            steps: steps.collect(),
        }
    }
}

impl Input {
    fn new<const N: usize>(place: usize, examples: &[Example<N>]) -> Self {
        let mut values: Vec<f64> = examples.iter().map(|example| example.inputs[place]).collect();
        values.sort_by(f64::total_cmp);
        let quantile = |number: usize| values.get(number * values.len() / (QUANTILES + 1)).copied();
        let mut bounds: Vec<f64> = (1..=QUANTILES).filter_map(quantile).collect();
        bounds.dedup();
        let reached = |example: &Example<N>| bounds.partition_point(|&bound| bound <= example.inputs[place]) as u8;
        Self {
            reached: examples.iter().map(reached).collect(),
            bounds,
        }
    }

    /// The best split of this input.
    fn split(&self, input: usize, derivatives: &[[f64; 2]]) -> Option<Split> {
        // Sums of the derivatives, and the number of examples, by the number of bounds reached.
        let mut sums = vec![([0.0; 2], 0); self.bounds.len() + 1];
        for (&reached, [first, second]) in self.reached.iter().zip(derivatives) {
            let (sum, count) = &mut sums[usize::from(reached)];
            sum[0] += first;
            sum[1] += second;
            *count += 1;
        }
        let all = sums
            .iter()
            .fold([0.0; 2], |all, (sum, _)| [all[0] + sum[0], all[1] + sum[1]]);
        let (mut below, mut count, mut best) = ([0.0; 2], 0, None::<Split>);
        for (bound, (sum, examples)) in sums[..self.bounds.len()].iter().enumerate() {
            below = [below[0] + sum[0], below[1] + sum[1]];
            count += examples;
            if count < LEAST_EXAMPLES || self.reached.len() - count < LEAST_EXAMPLES {
                continue;
            }
            let above = [all[0] - below[0], all[1] - below[1]];
            let [at_below, at_above] = [below, above].map(|[first, second]| -first / (second + SHRINKAGE));
            let gain = -below[0] * at_below - above[0] * at_above;
            if best.is_none_or(|best| gain > best.gain) {
                best = Some(Split {
                    input,
                    bound,
                    below: at_below,
                    above: at_above,
                    gain,
                });
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Examples that are true with the probability that their inputs have.
    fn drawn(count: usize, logit: impl Fn(&[f64; 3]) -> f64) -> Vec<Example<3>> {
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let mut example = || {
            let inputs = std::array::from_fn(|_| generator.random_range(-2.0..2.0));
            Example {
                inputs,
                is_true: generator.random_range(0.0..1.0) < 1.0 / (1.0 + (-logit(&inputs)).exp()),
                weight: 1.0,
            }
        };
        (0..count).map(|_| example()).collect()
    }

    fn loss(steps: &Steps, examples: &[Example<3>]) -> f64 {
        let of = |example: &Example<3>| {
            let probability = steps.probability(&example.inputs);
            -f64::ln(if example.is_true {
                probability
            } else {
                1.0 - probability
            })
        };
        examples.iter().map(of).sum::<f64>() / examples.len() as f64
    }

    #[test]
    fn finds_a_curve_that_no_line_has() {
        // Likely in the middle of the first input, whatever the second is; the third matters a little.
        let logit = |inputs: &[f64; 3]| if inputs[0].abs() < 1.0 { 2.0 } else { -2.0 } + 0.5 * inputs[2];
        let steps = Steps::fit(&drawn(4000, logit));
        for inputs in [[0.0, 1.5, 0.0], [0.5, -1.5, 0.0], [1.5, 0.0, 0.0], [-1.5, 1.0, 0.0]] {
            let truth = 1.0 / (1.0 + (-logit(&inputs)).exp());
            let found = steps.probability(&inputs);
            assert!((found - truth).abs() < 0.1, "{found} for {truth} at {inputs:?}");
        }
        let (low, high) = (
            steps.probability(&[0.0, 0.0, -1.9]),
            steps.probability(&[0.0, 0.0, 1.9]),
        );
        assert!(high - low > 0.1, "{low} {high}");
        // Outside of what was seen nothing grows.
        assert_eq!(steps.probability(&[0.0, 0.0, 2.0]), steps.probability(&[0.0, 0.0, 1e9]));
        // The true probabilities have a loss of 0.397 on other examples of this kind.
        let fresh = drawn(12_000, logit).split_off(4000);
        assert!(loss(&steps, &fresh) < 0.43, "{}", loss(&steps, &fresh));
    }

    #[test]
    fn the_mean_probability_is_the_share() {
        let examples = drawn(3000, |inputs| inputs[0] - 1.0);
        let steps = Steps::fit(&examples);
        let share = examples.iter().filter(|example| example.is_true).count() as f64 / 3000.0;
        let mean = examples
            .iter()
            .map(|example| steps.probability(&example.inputs))
            .sum::<f64>()
            / 3000.0;
        assert!((share - mean).abs() < 0.01, "{share} {mean}");
        // A weight of two is the example twice.
        let mut twice = examples.clone();
        twice.extend(&examples[..1000]);
        let mut heavy = examples;
        heavy[..1000].iter_mut().for_each(|example| example.weight = 2.0);
        let [twice, heavy] = [twice, heavy].map(|examples| Steps::fit(&examples).probability(&[0.3, 0.0, 0.0]));
        assert!((twice - heavy).abs() < 0.02, "{twice} {heavy}");
    }

    #[test]
    fn few_examples_say_little() {
        let none = Steps::fit::<3>(&[]);
        assert_eq!(none.probability(&[0.0; 3]), 0.5);
        let few = Steps::fit(&drawn(2 * LEAST_EXAMPLES - 1, |_| 0.0));
        assert!(few.steps.is_empty());
        let one_kind = Steps::fit(&drawn(100, |_| 99.0));
        let probability = one_kind.probability(&[0.0; 3]);
        assert!(probability > 0.999 && probability < 1.0, "{probability}");
    }
}
