//! Comparison of the gradients of every objective with differences of its value.

use kexue_optim::Parameters;
use kexue_vae::{
    Activation, AnnealedModel, Bound, Deviation, ImageSize, ImportanceModel, Likelihood, Objective, Observations,
    StochasticLayer, Vae, VaeConfig, VaeDensity, VaeTape,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn config(likelihood: Likelihood, layers: &[(&[usize], usize)], convolutions: &[usize]) -> VaeConfig {
    let image = ImageSize {
        channels: 2,
        height: 4,
        width: 8,
    };
    VaeConfig {
        dimensions: if convolutions.is_empty() { 5 } else { image.numbers() },
        image: (!convolutions.is_empty()).then_some(image),
        convolutions: convolutions.to_vec(),
        activation: Activation::Tanh,
        likelihood,
        layers: layers
            .iter()
            .map(|(hidden, latent)| StochasticLayer {
                hidden: hidden.to_vec(),
                latent: *latent,
            })
            .collect(),
    }
}

fn observations(config: &VaeConfig, count: usize) -> Observations {
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    let inputs: Vec<f32> = (0..count * config.dimensions)
        .map(|_| f32::from(generator.random_range(0..2u8)))
        .collect();
    Observations {
        targets: inputs.clone(),
        inputs,
    }
}

fn model(config: VaeConfig) -> Vae {
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    let mut model = Vae::new(config, &mut generator).unwrap();
    // Biases of 0 and symmetric weights would hide errors.
    model
        .values_mut()
        .iter_mut()
        .for_each(|value| *value += generator.random_range(-0.2..0.2));
    model
}

/// The sum of the bounds with the same noise each time, and its gradient.
fn value(objective: &Objective, model: &Vae, observations: &Observations) -> (f64, Vec<f32>) {
    let mut gradient = vec![0.0; model.values().len()];
    let mut generator = ChaCha8Rng::seed_from_u64(9);
    let mut tape = VaeTape::default();
    let found = objective.gradient(model, observations, 2, &mut generator, &mut tape, &mut gradient);
    (found.bound, gradient)
}

const BERNOULLI: Likelihood = Likelihood::Bernoulli {};
const ONE: &[(&[usize], usize)] = &[(&[6, 5], 3)];
const TWO: &[(&[usize], usize)] = &[(&[6], 4), (&[5], 2)];
const THREE: &[(&[usize], usize)] = &[(&[6], 4), (&[], 3), (&[4], 2)];

#[test]
fn gradients_are_differences() {
    let gaussian = |deviation| Likelihood::Gaussian {
        deviation,
        dequantize: true,
    };
    let cases = [
        (BERNOULLI, ONE, &[][..]),
        (BERNOULLI, TWO, &[]),
        (BERNOULLI, THREE, &[]),
        (gaussian(Deviation::Learned), ONE, &[]),
        (gaussian(Deviation::PerDimension), TWO, &[]),
        (Likelihood::Categorical { classes: 3 }, ONE, &[]),
        (Likelihood::DiscretizedLogistic {}, ONE, &[]),
        (BERNOULLI, ONE, &[3, 2]),
        (Likelihood::DiscretizedLogistic {}, TWO, &[3]),
    ];
    let one = Objective::default();
    let objectives = [
        Objective {
            draws: 3,
            ..one.clone()
        },
        Objective {
            closed_form_kl: true,
            draws: 2,
            ..one.clone()
        },
        Objective {
            beta: 0.5,
            kl_warmup: 6,
            ..one.clone()
        },
        Objective {
            beta: 2.0,
            closed_form_kl: true,
            ..one.clone()
        },
        Objective {
            bound: Bound::Iwae,
            draws: 4,
            ..one
        },
    ];
    for (likelihood, layers, convolutions) in cases {
        let mut model = model(config(likelihood, layers, convolutions));
        let observations = observations(model.config(), 3);
        for objective in &objectives {
            let (_, gradient) = value(objective, &model, &observations);
            // A direction of all parameters, then single parameters of every slot.
            let mut directions: Vec<Vec<(usize, f32)>> = vec![
                gradient
                    .iter()
                    .enumerate()
                    .map(|(at, g)| (at, g.signum() * 0.02))
                    .collect(),
            ];
            for slot in model.slots().iter() {
                directions.push(vec![(slot.range.start + slot.range.len() / 2, 1.0)]);
            }
            for direction in directions {
                let mut at = |step: f32| {
                    let before = model.values().to_vec();
                    direction
                        .iter()
                        .for_each(|(place, by)| model.values_mut()[*place] += step * by);
                    let value = value(objective, &model, &observations).0;
                    model.values_mut().copy_from_slice(&before);
                    value
                };
                let step = 1e-2;
                let difference = -(at(step) - at(-step)) / f64::from(2.0 * step);
                let expected: f64 = direction
                    .iter()
                    .map(|(place, by)| f64::from(gradient[*place] * by))
                    .sum();
                assert!(
                    (difference - expected).abs() < 0.01 * (1.0 + expected.abs()),
                    "{likelihood:?} {layers:?} {convolutions:?} {objective:?} {:?}: {difference} {expected}",
                    direction.len()
                );
            }
        }
    }
}

/// Mean and standard error of each component's projection on a direction over many draws.
fn projected(bound: Bound, model: &Vae, observations: &Observations, direction: &[f32]) -> (f64, f64, f64) {
    let objective = Objective {
        bound,
        draws: 5,
        ..Objective::default()
    };
    let mut generator = ChaCha8Rng::seed_from_u64(3);
    let mut tape = VaeTape::default();
    let values: Vec<f64> = (0..6000)
        .map(|_| {
            let mut gradient = vec![0.0; direction.len()];
            objective.gradient(model, observations, 0, &mut generator, &mut tape, &mut gradient);
            gradient.iter().zip(direction).map(|(g, d)| f64::from(g * d)).sum()
        })
        .collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, (variance / values.len() as f64).sqrt(), variance)
}

#[test]
fn dreg_has_the_gradient_of_iwae_in_expectation() {
    // Hidden layers bound the logarithms of the standard deviations. Without them, the weights of three layers have too heavy tails for a test.
    let three: &[(&[usize], usize)] = &[(&[6], 4), (&[5], 3), (&[4], 2)];
    for layers in [ONE, TWO, three] {
        let model = model(config(BERNOULLI, layers, &[]));
        let observations = observations(model.config(), 2);
        for prefix in ["encoder.0", "encoder.1", "encoder.2", "decoder"] {
            let mut generator = ChaCha8Rng::seed_from_u64(11);
            let mut direction = vec![0.0; model.values().len()];
            for slot in model.slots().iter().filter(|slot| slot.name.starts_with(prefix)) {
                direction[slot.range.clone()]
                    .iter_mut()
                    .for_each(|d| *d = generator.random_range(-1.0..1.0));
            }
            if direction.iter().all(|d| *d == 0.0) {
                continue;
            }
            let (iwae, iwae_error, _) = projected(Bound::Iwae, &model, &observations, &direction);
            let (dreg, dreg_error, _) = projected(Bound::Dreg, &model, &observations, &direction);
            let error = (iwae_error.powi(2) + dreg_error.powi(2)).sqrt();
            assert!(
                (iwae - dreg).abs() < 4.0 * error,
                "{layers:?} {prefix}: {iwae} {dreg} ± {error}"
            );
            assert!(error < 0.5, "{error}: too noisy to tell");
        }
    }
}

#[test]
fn the_derivative_that_annealing_follows_is_a_difference() {
    for layers in [ONE, TWO, THREE] {
        let model = model(config(BERNOULLI, layers, &[]));
        let density = VaeDensity::new(&model);
        let observation = observations(model.config(), 1);
        let size = density.noise_size();
        let noise: Vec<f32> = (0..2 * size).map(|i| (i as f32 * 0.7).sin()).collect();
        let (mut gradient, mut out) = (vec![0.0; 2 * size], [0.0; 2]);
        density.log_likelihood(&observation, &noise, &mut gradient, &mut out);
        for at in 0..2 * size {
            let moved = |by: f32| {
                let (mut noise, mut unused, mut out) = (noise.clone(), vec![0.0; 2 * size], [0.0; 2]);
                noise[at] += by;
                density.log_likelihood(&observation, &noise, &mut unused, &mut out);
                out[at / size]
            };
            let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!(
                (difference - f64::from(gradient[at])).abs() < 2e-3,
                "{layers:?} {at}: {difference} {}",
                gradient[at]
            );
        }
    }
}

#[test]
fn the_mean_weight_is_the_bound_of_training() {
    // With the same draws, the objective's value for one observation is the log-mean of its weights.
    for layers in [ONE, TWO] {
        let model = model(config(BERNOULLI, layers, &[]));
        let density = VaeDensity::new(&model);
        let observation = observations(model.config(), 1);
        let objective = Objective {
            bound: Bound::Iwae,
            draws: 7,
            ..Objective::default()
        };
        let (bound, _) = value(&objective, &model, &observation);
        let mut logs = [0.0; 7];
        let proposal = density.propose(&observation);
        density.log_weights(&observation, &proposal, &mut ChaCha8Rng::seed_from_u64(9), &mut logs);
        let mean = (logs.iter().map(|log| log.exp()).sum::<f64>() / 7.0).ln();
        assert!((mean - bound).abs() < 1e-5, "{mean} {bound}");
    }
}
