//! Comparison of the model with a closed form, and tests of training and exact resumption.

use kexue_optim::Parameters;
use kexue_train::{Loss, Metric, Task, TrainError, TrainSettings, generator, train};
use kexue_vae::{
    Activation, AnnealingSettings, Binarization, Bound, Dataset, DensitySettings, Deviation, Likelihood, Objective,
    Observations, Preparation, StochasticLayer, Vae, VaeBatch, VaeConfig, VaeDensity, VaeSettings, VaeTape, VaeTask,
    annealed, densities, sandwich,
};
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const SIGMA: f32 = 0.6;
/// Orthogonal columns, so that the covariance of the posterior is diagonal like that of the encoder.
const COLUMNS: [[f32; 4]; 2] = [[1.0, 0.5, -0.5, 0.2], [0.5, -1.0, 0.0, 0.0]];
const MEAN: [f32; 4] = [0.3, -0.2, 0.0, 1.0];

/// z ~ N(0, I₂), x ~ N(A·z + mean, σ²·I₄). The encoder is the exact posterior, widened by the factor `widen`.
fn linear(widen: f32) -> Vae {
    let config = VaeConfig {
        dimensions: 4,
        image: None,
        convolutions: Vec::new(),
        activation: Activation::Tanh,
        likelihood: Likelihood::Gaussian {
            deviation: Deviation::Fixed(SIGMA),
            dequantize: false,
        },
        layers: vec![StochasticLayer {
            hidden: Vec::new(),
            latent: 2,
        }],
    };
    let mut model = Vae::new(config, &mut generator(0, 0, 0)).unwrap();
    let range = |model: &Vae, name: &str| {
        model
            .slots()
            .iter()
            .find(|slot| slot.name == name)
            .unwrap()
            .range
            .clone()
    };
    for (unit, column) in COLUMNS.iter().enumerate() {
        let norm: f32 = column.iter().map(|a| a * a).sum();
        let variance = 1.0 / (1.0 + norm / (SIGMA * SIGMA));
        let offset: f32 = column.iter().zip(MEAN).map(|(a, mean)| a * mean).sum();
        let (weight, bias) = (range(&model, "encoder.0.0.weight"), range(&model, "encoder.0.0.bias"));
        for (d, a) in column.iter().enumerate() {
            model.values_mut()[weight.start + unit * 4 + d] = variance * a / (SIGMA * SIGMA);
            model.values_mut()[weight.start + (2 + unit) * 4 + d] = 0.0;
            let decoder = range(&model, "decoder.0.0.weight").start;
            model.values_mut()[decoder + d * 2 + unit] = *a;
        }
        model.values_mut()[bias.start + unit] = -variance * offset / (SIGMA * SIGMA);
        model.values_mut()[bias.start + 2 + unit] = 0.5 * variance.ln() + widen.ln();
    }
    let bias = range(&model, "decoder.0.0.bias");
    model.values_mut()[bias].copy_from_slice(&MEAN);
    model
}

fn log_density(x: &[f32; 4]) -> f64 {
    let centred: Vec<f64> = x.iter().zip(MEAN).map(|(x, mean)| f64::from(x - mean)).collect();
    let normal = |square: f64, variance: f64| -0.5 * (square / variance + variance.ln() + std::f64::consts::TAU.ln());
    let (mut left, mut log, variance) = (
        centred.iter().map(|c| c * c).sum::<f64>(),
        0.0,
        f64::from(SIGMA).powi(2),
    );
    for column in COLUMNS {
        let norm: f64 = column.iter().map(|a| f64::from(*a).powi(2)).sum();
        let along = column
            .iter()
            .zip(&centred)
            .map(|(a, c)| f64::from(*a) * c)
            .sum::<f64>()
            .powi(2)
            / norm;
        left -= along;
        log += normal(along, norm + variance);
    }
    log + normal(left, variance) + normal(0.0, variance)
}

fn observation(x: [f32; 4]) -> Observations {
    Observations {
        inputs: x.to_vec(),
        targets: x.to_vec(),
    }
}

#[test]
fn a_linear_model_has_the_density_of_its_closed_form() {
    for x in [MEAN, [0.0; 4], [2.0, -1.0, 0.5, 0.0]] {
        let truth = log_density(&x);
        let measure = |model: &Vae, samples: u64| {
            let settings = DensitySettings {
                samples,
                ..DensitySettings::default()
            };
            densities(&VaeDensity::new(model), &[&observation(x)], &settings, &|_| ())
                .unwrap()
                .remove(0)
        };
        // With the exact posterior, one draw is exact up to rounding in single precision.
        assert!((measure(&linear(1.0), 1).log_density - truth).abs() < 2e-5);
        let many = measure(&linear(1.0), 500);
        assert!(many.standard_error < 1e-5 && (many.log_density - truth).abs() < 2e-5);
        let wide = measure(&linear(1.4), 4000);
        assert!((wide.log_density - truth).abs() < 4.0 * wide.standard_error && wide.doubt.is_none());
        assert!(wide.elbo < truth - 0.1);
    }
}

#[test]
fn annealing_and_the_sandwich_agree_on_a_model() {
    let model = linear(1.4);
    let density = VaeDensity::new(&model);
    let settings = AnnealingSettings {
        chains: 32,
        temperatures: 150,
        leapfrog: 5,
        seed: 1,
    };
    let x = [1.0, -1.0, 0.5, 0.0];
    let weights = annealed(&density, &observation(x), &settings).unwrap();
    assert!((weights.log_mean() - log_density(&x)).abs() < 4.0 * weights.standard_error() + 0.02);
    let (sample, bounds) = sandwich(&density, 0, &settings).unwrap();
    let truth = log_density(&<[f32; 4]>::try_from(&sample.targets[..]).unwrap());
    let slack = 4.0 * bounds.standard_error + 0.02;
    assert!(
        bounds.lower < truth + slack && bounds.upper > truth - slack,
        "{bounds:?} {truth}"
    );
}

/// A task that interrupts itself at a validation.
struct Interrupting<'a> {
    task: VaeTask<'a>,
    at: usize,
    validations: AtomicUsize,
    interrupt: AtomicBool,
}

impl Task for Interrupting<'_> {
    type Model = Vae;
    type Batch = VaeBatch;
    type Workspace = VaeTape;

    fn examples(&self) -> usize {
        self.task.examples()
    }
    fn workspace(&self, model: &Vae) -> VaeTape {
        self.task.workspace(model)
    }
    fn batch(&self, examples: &[usize], step: u64, generator: &mut ChaCha8Rng) -> Result<VaeBatch, TrainError> {
        self.task.batch(examples, step, generator)
    }
    fn loss(
        &self,
        model: &Vae,
        batch: &VaeBatch,
        generator: &mut ChaCha8Rng,
        tape: &mut VaeTape,
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        self.task.loss(model, batch, generator, tape, gradient)
    }
    fn validate(&self, model: &Vae) -> Result<Vec<Metric>, TrainError> {
        if self.validations.fetch_add(1, Ordering::Relaxed) + 1 == self.at {
            self.interrupt.store(true, Ordering::Relaxed);
        }
        self.task.validate(model)
    }
}

/// Grey pictures of 4 × 4 pixels with bright rows.
fn pictures(folder: &std::path::Path) -> Dataset {
    let path = folder.join("pictures");
    let image = |number: usize| (0..16).map(move |at| if at / 4 == number % 4 { 230 } else { 20 });
    let header = [[0, 0, 8, 3], 120u32.to_be_bytes(), [0, 0, 0, 4], [0, 0, 0, 4]].concat();
    let bytes: Vec<u8> = header.into_iter().chain((0..120).flat_map(image)).collect();
    std::fs::write(&path, bytes).unwrap();
    Dataset::read(&[path]).unwrap()
}

#[test]
fn training_learns_and_resumes_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path());
    let image = data.image.unwrap();
    for (bound, draws, convolutions) in [
        (Bound::Vae, 1, vec![]),
        (Bound::Iwae, 4, vec![]),
        (Bound::Dreg, 4, vec![3]),
    ] {
        let config = VaeConfig {
            convolutions,
            layers: vec![StochasticLayer {
                hidden: vec![12],
                latent: 3,
            }],
            ..VaeConfig::one_layer(image)
        };
        let likelihood = config.likelihood;
        let settings = VaeSettings {
            objective: Objective {
                bound,
                draws,
                kl_warmup: if bound == Bound::Vae { 30 } else { 0 },
                ..Objective::default()
            },
            preparation: Preparation::of(&data, likelihood, Binarization::Drawn).unwrap(),
            hold_out: 6,
            validate_on: 100,
        };
        let train_settings = TrainSettings {
            steps: 300,
            batch_size: 10,
            shards: 2,
            learning_rate: 1e-2,
            warmup: 0,
            weight_decay: 0.0,
            average: 0.0,
            validate_every: 60,
            ..TrainSettings::default()
        };
        let run = |name: &str, at: usize| {
            let task = Interrupting {
                task: VaeTask::new(&data, settings.clone(), likelihood, 0).unwrap(),
                at,
                validations: AtomicUsize::new(0),
                interrupt: AtomicBool::new(false),
            };
            let mut model = Vae::new(config.clone(), &mut generator(0, 0, 0)).unwrap();
            model.start_at_mean(&settings.preparation.mean(&data, likelihood));
            let path = folder.path().join(format!("{name}-{bound:?}"));
            std::fs::create_dir_all(&path).unwrap();
            (
                train(&task, model, &train_settings, &path, "a run", &task.interrupt).unwrap(),
                path,
            )
        };
        let (whole, path) = run("whole", 0);
        let held_out: Vec<f64> = whole
            .records
            .iter()
            .filter_map(|record| record.values.get("held_out_bound").copied())
            .collect();
        assert!(
            held_out.last().unwrap() > &(held_out[0] + 0.1),
            "{bound:?}: {held_out:?}"
        );
        assert!(run("parts", 2).0.interrupted);
        let (_, parts) = run("parts", 0);
        for name in ["model.safetensors", "metrics.jsonl", "checkpoint.bin", "report.html"] {
            assert!(
                std::fs::read(path.join(name)).unwrap() == std::fs::read(parts.join(name)).unwrap(),
                "{bound:?}: {name}"
            );
        }
    }
}

#[test]
fn what_validation_says_is_the_bound_that_training_maximises() {
    // The bounds with and without the closed-form divergence are equal in expectation.
    let model = linear(1.4);
    let observations = Observations {
        inputs: [1.0, -1.0, 0.5, 0.0].repeat(2000),
        targets: [1.0, -1.0, 0.5, 0.0].repeat(2000),
    };
    let bound = |closed_form_kl: bool| {
        let objective = Objective {
            closed_form_kl,
            ..Objective::default()
        };
        let mut gradient = vec![0.0; model.values().len()];
        let mut random = generator(3, 0, 0);
        objective
            .gradient(
                &model,
                &observations,
                0,
                &mut random,
                &mut VaeTape::default(),
                &mut gradient,
            )
            .bound
            / 2000.0
    };
    assert!(
        (bound(true) - bound(false)).abs() < 0.1,
        "{} {}",
        bound(true),
        bound(false)
    );
    let settings = DensitySettings {
        samples: 20_000,
        ..DensitySettings::default()
    };
    let elbo = densities(
        &VaeDensity::new(&model),
        &[&observation([1.0, -1.0, 0.5, 0.0])],
        &settings,
        &|_| (),
    )
    .unwrap()[0]
        .elbo;
    assert!((bound(true) - elbo).abs() < 0.1);
}
