//! Proved properties of normalised critics, tested on critics of every architecture.

use burn::module::Module;
use burn::tensor::Tensor;
use kexue_gan::lipschitz::{scores_and_gradients, slopes};
use kexue_gan::loss::AdversarialLoss;
use kexue_gan::network::{Architecture, ModelSettings, NormKind, Space, score};
use kexue_gan::normalizer::{Normalizer, NormalizerSettings};
use kexue_gan::play::{GeneratorFormula, critic_step, generator_step, normalized_scores};
use kexue_gan::players::GanModel;
use kexue_gan::settings::Preset;
use kexue_grad::{Activation, norm_per_sample, scores_and_grad_norms};
use kexue_images::Shape;
use kexue_nn::Distribution;
use kexue_optim::Parameters;
use kexue_train::generator;

const RATIOS: [NormalizerSettings; 4] = [
    NormalizerSettings::Gradient {},
    NormalizerSettings::Gran { epsilon: 0.1 },
    NormalizerSettings::Scaled { epsilon: 0.1 },
    NormalizerSettings::Direction {},
];

const ALL: [NormalizerSettings; 9] = [
    NormalizerSettings::None {},
    NormalizerSettings::Clip { bound: 0.1 },
    NormalizerSettings::GradientPenalty {
        weight: 10.0,
        one_sided: false,
    },
    NormalizerSettings::GradientPenalty {
        weight: 10.0,
        one_sided: true,
    },
    NormalizerSettings::Spectral {},
    NormalizerSettings::Gradient {},
    NormalizerSettings::Gran { epsilon: 0.1 },
    NormalizerSettings::Scaled { epsilon: 0.1 },
    NormalizerSettings::Direction {},
];

const LOSSES: [AdversarialLoss; 3] = [
    AdversarialLoss::Hinge,
    AdversarialLoss::Bce,
    AdversarialLoss::Wasserstein,
];

/// Small networks of every architecture, with their spaces.
fn architectures() -> Vec<(ModelSettings, Space)> {
    let small = |preset: Preset, shape: [usize; 3]| {
        let [channels, height, width] = shape;
        let settings = ModelSettings {
            latent: 4,
            width: 4,
            layers: 2,
            initial: Distribution::Kaiming,
            ..preset.model()
        };
        let shape = Shape {
            channels,
            height,
            width,
        };
        (settings, Space::Images(shape))
    };
    let points = ModelSettings {
        width: 16,
        ..Preset::Mlp.model()
    };
    let cnn = small(Preset::Cnn, [1, 28, 28]);
    assert_eq!(cnn.0.architecture, Architecture::Cnn);
    vec![
        (points, Space::Points(2)),
        small(Preset::Mlp, [1, 4, 4]),
        cnn,
        small(Preset::Resnet, [3, 16, 16]),
    ]
}

fn random_points(model: &GanModel, count: usize, size: usize, seed: u64) -> Tensor<2> {
    let mut random = generator(seed, 7, 0);
    let normal = Distribution::Normal { std: 1.0 };
    let values = (0..count * size).map(|_| normal.draw(&mut random));
    model.tensor(values.collect(), size)
}

fn numbers(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data_as::<f32>().try_to_vec().unwrap()
}

#[test]
fn the_gradient_of_a_normalised_critic_is_at_most_one_off_the_kinks() {
    for (settings, space) in architectures() {
        assert!(settings.critic_is_piecewise_linear());
        for kind in RATIOS {
            let normalizer = kind.build();
            for seed in 0..3 {
                let model = GanModel::new(&settings, space, &*normalizer, seed);
                let points = random_points(&model, 64, space.size(), seed);
                let (scores, gradients) = scores_and_gradients(&*normalizer, model.critic(), points);
                let norms = numbers(norm_per_sample(gradients));
                assert!(
                    norms.iter().all(|norm| *norm <= 1.0 + 1e-4),
                    "{settings:?} {kind:?} {norms:?}"
                );
                assert!(norms.iter().any(|norm| *norm > 0.01), "{settings:?} {kind:?}");
                if kind == (NormalizerSettings::Gradient {}) {
                    assert!(numbers(scores).iter().all(|score| score.abs() <= 1.0));
                }
            }
        }
    }
}

/// The gradient of the generator by a formula.
fn generator_gradient(
    normalizer: &dyn Normalizer,
    formula: GeneratorFormula,
    loss: AdversarialLoss,
    model: &GanModel,
) -> Vec<f32> {
    let noise = model.tensor(model.noise(8, &mut generator(5, 5, 5)), 4);
    let (_, surrogate) = generator_step(loss, normalizer, formula, model.critic(), model.generator(), noise);
    model.gradient(surrogate.backward())
}

/// Relative distance of two gradients.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied())
}

#[test]
fn the_first_order_formula_is_exact_for_piecewise_linear_critics_only() {
    use GeneratorFormula::{Exact, FirstOrder};
    for (mut settings, space) in architectures() {
        settings.latent = 4;
        for kind in RATIOS {
            let normalizer = kind.build();
            for loss in LOSSES {
                let gradient = |settings: &ModelSettings, formula| {
                    let mut model = GanModel::new(settings, space, &*normalizer, 3);
                    // With biases of 0, samples at 0 would be on the kinks of all neurons.
                    let mut random = generator(9, 0, 0);
                    let normal = Distribution::Normal { std: 1.0 };
                    for value in model.values_mut() {
                        *value += 0.1 * normal.draw(&mut random);
                    }
                    model.changed();
                    generator_gradient(&*normalizer, formula, loss, &model)
                };
                let (first, exact) = (gradient(&settings, FirstOrder), gradient(&settings, Exact));
                assert!(exact.iter().any(|g| *g != 0.0));
                assert!(distance(&first, &exact) < 1e-4, "{settings:?} {kind:?} {loss:?}");

                let smooth = ModelSettings {
                    critic_activation: Activation::Tanh,
                    ..settings.clone()
                };
                assert!(!smooth.critic_is_piecewise_linear());
                let (first, exact) = (gradient(&smooth, FirstOrder), gradient(&smooth, Exact));
                assert!(distance(&first, &exact) > 1e-3, "{smooth:?} {kind:?} {loss:?}");
            }
        }
    }
}

/// Compares the derivatives of both players' losses along a direction with differences of the losses.
#[test]
fn gradients_are_those_of_differences() {
    let settings = ModelSettings {
        latent: 4,
        width: 12,
        layers: 2,
        critic_activation: Activation::Softplus,
        generator_activation: Activation::Tanh,
        ..Preset::Mlp.model()
    };
    let space = Space::Points(3);
    for kind in ALL {
        let normalizer = kind.build();
        // The hinge may have a kink within the step of the differences.
        for loss in [AdversarialLoss::Bce, AdversarialLoss::Wasserstein] {
            let mut model = GanModel::new(&settings, space, &*normalizer, 11);
            let real = random_points(&model, 16, 3, 1);
            let shares = random_points(&model, 16, 1, 2).abs().clamp_max(1.0);
            let noise = random_points(&model, 16, 4, 3);
            let critic = |model: &GanModel| {
                use kexue_grad::ForwardDual;
                let fake = model.generator().clone().no_grad().forward(noise.clone());
                critic_step(loss, &*normalizer, model.critic(), real.clone(), fake, shares.clone()).loss
            };
            let generator = |model: &GanModel| {
                let exact = GeneratorFormula::Exact;
                generator_step(
                    loss,
                    &*normalizer,
                    exact,
                    model.critic(),
                    model.generator(),
                    noise.clone(),
                )
                .1
            };
            let before = model.values().to_vec();
            for (player, objective) in [
                ("critic.", &critic as &dyn Fn(&GanModel) -> Tensor<1>),
                ("generator.", &generator),
            ] {
                let gradient = model.gradient(objective(&model).backward());
                let own: Vec<usize> = model
                    .slots()
                    .iter()
                    .filter(|slot| slot.name.starts_with(player))
                    .flat_map(|slot| slot.range.clone())
                    .collect();
                // Along the gradient, where the derivative is its length.
                let length = own.iter().map(|&i| f64::from(gradient[i]).powi(2)).sum::<f64>().sqrt();
                assert!(length > 0.0, "{kind:?} {loss:?} {player}");
                let mut at = |step: f64| {
                    let mut values = before.clone();
                    for &i in &own {
                        values[i] += (step * f64::from(gradient[i]) / length) as f32;
                    }
                    model.values_mut().copy_from_slice(&values);
                    // Clipping would change the weights.
                    let wide = model.values().to_vec();
                    model.changed();
                    if model.values() != wide {
                        return None;
                    }
                    Some(f64::from(objective(&model).into_scalar::<f32>()))
                };
                let step = 1e-2;
                let ends = at(step).zip(at(-step));
                model.values_mut().copy_from_slice(&before);
                model.changed();
                if let Some((up, down)) = ends {
                    let slope = (up - down) / (2.0 * step);
                    assert!(
                        (slope - length).abs() <= 0.02 * length.max(1e-2),
                        "{kind:?} {loss:?} {player}: {slope}, not {length}"
                    );
                }
            }
        }
    }
}

/// Chains that are linear between kinks have passes of their own.
#[test]
fn normalised_scores_and_their_gradients_are_those_of_the_general_functions() {
    let kinds = [
        NormalizerSettings::None {},
        NormalizerSettings::Spectral {},
        NormalizerSettings::Gradient {},
        NormalizerSettings::Gran { epsilon: 0.1 },
        NormalizerSettings::Scaled { epsilon: 0.1 },
    ];
    for (settings, space) in architectures() {
        for kind in kinds {
            let normalizer = kind.build();
            let model = GanModel::new(&settings, space, &*normalizer, 3);
            // Burn forgets what weights were computed from once a loss of them is differentiated.
            let critic = || normalizer.weights(model.critic());
            let points = random_points(&model, 11, space.size(), 1);
            let own = normalized_scores(&*normalizer, &critic(), points.clone()).0;
            let (scores, norms) = scores_and_grad_norms(&critic(), points, score);
            let general = match normalizer.needs_gradient() {
                true => normalizer.normalize(scores, norms),
                false => scores,
            };
            let gradient = |scores: &Tensor<1>| {
                let loss = (scores.clone().square() + scores.clone() * 0.7).sum();
                model.gradient(loss.backward())
            };
            let of = |what: f64, limit: f64| assert!(what < limit, "{settings:?} {kind:?}: {what}");
            of(distance(&gradient(&own), &gradient(&general)), 1e-4);
            of(distance(&numbers(own), &numbers(general)), 1e-5);
        }
    }
}

#[test]
fn spectral_norm_bounds_the_slope_and_clipping_the_weights() {
    let (settings, space) = architectures().swap_remove(0);
    let spectral = NormalizerSettings::Spectral {}.build();
    let model = GanModel::new(&settings, space, &*spectral, 1);
    let (real, fake) = (random_points(&model, 200, 2, 1), random_points(&model, 200, 2, 2));
    let measured = slopes(&*spectral, model.critic(), real, fake, &mut generator(0, 0, 0));
    assert!(measured.largest() <= 1.01, "{measured:?}");

    let clip = NormalizerSettings::Clip { bound: 0.1 }.build();
    let mut model = GanModel::new(&settings, space, &*clip, 1);
    model.values_mut().fill(3.0);
    model.changed();
    for slot in model.slots().clone().iter() {
        let bound = if slot.name.starts_with("critic.") { 0.1 } else { 3.0 };
        assert!(
            model.values()[slot.range.clone()].iter().all(|value| *value == bound),
            "{}",
            slot.name
        );
    }
}

#[test]
fn a_critic_with_batch_norm_is_refused_where_single_gradients_are_needed() {
    for (mut settings, space) in architectures() {
        settings.critic_norm = NormKind::Batch;
        for kind in ALL {
            let gradient = matches!(kind, NormalizerSettings::GradientPenalty { .. }) || RATIOS.contains(&kind);
            match kind.validate(&settings) {
                Err((field, problem)) => {
                    assert!(gradient && field == "critic_norm" && problem.contains("depends on the other samples"));
                }
                Ok(()) => assert!(!gradient, "{kind:?}"),
            }
        }
        settings.critic_norm = NormKind::Layer;
        assert!(RATIOS.iter().all(|kind| kind.validate(&settings).is_ok()));
        assert!(!settings.critic_is_piecewise_linear(), "layer norm is not linear");
        // Critics with layer norm can be built and differentiated.
        let normalizer = RATIOS[0].build();
        let model = GanModel::new(&settings, space, &*normalizer, 1);
        let points = random_points(&model, 4, space.size(), 1);
        scores_and_gradients(&*normalizer, model.critic(), points);
    }
}

#[test]
fn images_that_do_not_fit_are_refused_with_what_to_do() {
    let shape = |side| {
        Space::Images(Shape {
            channels: 1,
            height: side,
            width: side,
        })
    };
    let refused = |preset: Preset, space| preset.model().validate(space).unwrap_err().1;
    assert!(refused(Preset::Cnn, shape(27)).contains("27×27 do not fit"));
    assert!(refused(Preset::Cnn, Space::Points(2)).contains("use an MLP"));
    assert!(refused(Preset::Resnet, shape(28)).contains("28×28 do not fit"));
    for side in [28, 32, 64] {
        assert_eq!(Preset::Cnn.model().validate(shape(side)), Ok(()));
    }
    assert_eq!(Preset::Resnet.model().validate(shape(32)), Ok(()));
}

#[test]
fn at_a_kink_both_formulas_take_the_same_side() {
    // Biases of 0 and samples at the origin: every neuron is on its kink.
    let (settings, space) = architectures().swap_remove(0);
    let normalizer = RATIOS[2].build();
    let model = GanModel::new(&settings, space, &*normalizer, 3);
    let origin = model.tensor(vec![0.0; 2], 2);
    let (_, gradients) = scores_and_gradients(&*normalizer, model.critic(), origin.clone());
    let (_, plain) = kexue_grad::scores_and_input_gradient(model.critic(), origin, kexue_gan::network::score);
    // D = 0, so D̂ = D/(‖g‖ + ε) has the gradient g/(‖g‖ + ε).
    let norm = numbers(norm_per_sample(plain))[0];
    let expected = norm / (norm + 0.1);
    assert!((numbers(norm_per_sample(gradients))[0] - expected).abs() < 1e-5);
}
