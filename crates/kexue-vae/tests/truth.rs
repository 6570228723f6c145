//! Comparison of the estimator with known densities.

use kexue_vae::{AnnealedModel, AnnealingSettings, DensitySettings, Doubt, LatentModel, annealed, densities, sandwich};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

const LOG_TAU: f64 = 1.837_877_066_409_345_3;

fn log_normal(x: f64, mean: f64, deviation: f64) -> f64 {
    -0.5 * ((x - mean) / deviation).powi(2) - deviation.ln() - 0.5 * LOG_TAU
}

fn normal(generator: &mut ChaCha8Rng) -> f64 {
    generator.sample(StandardNormal)
}

/// z ~ N(0, I₂), x = A·z + σ·noise in three dimensions: x ~ N(0, A·Aᵀ + σ²·I), z|x ~ N(P·Aᵀx/σ², P) with P⁻¹ = I + AᵀA/σ².
struct Linear {
    a: [[f64; 2]; 3],
    sigma: f64,
    /// The width of the proposal relative to the posterior, and its shift.
    widen: f64,
    shift: f64,
}

impl Linear {
    fn new(widen: f64, shift: f64) -> Self {
        let a = [[0.8, -0.3], [0.5, 1.1], [-1.2, 0.4]];
        let sigma = 0.7;
        Self { a, sigma, widen, shift }
    }

    /// The covariance of the posterior.
    fn covariance(&self) -> [[f64; 2]; 2] {
        let gram = |i: usize, j: usize| self.a.iter().map(|row| row[i] * row[j]).sum::<f64>() / self.sigma.powi(2);
        let (p, q, r) = (1.0 + gram(0, 0), gram(0, 1), 1.0 + gram(1, 1));
        let det = p * r - q * q;
        [[r / det, -q / det], [-q / det, p / det]]
    }

    fn mean(&self, x: &[f64; 3]) -> [f64; 2] {
        let p = self.covariance();
        let projected = [0, 1].map(|i| (0..3).map(|d| self.a[d][i] * x[d]).sum::<f64>() / self.sigma.powi(2));
        [0, 1].map(|i| p[i][0] * projected[0] + p[i][1] * projected[1])
    }

    /// `log p(x) = log p(x, z) − log p(z|x)` at any z.
    fn log_density(&self, x: &[f64; 3]) -> f64 {
        let exact = Self::new(1.0, 0.0);
        let z = [0.3, -0.2];
        exact.log_joint(x, &z) - exact.log_proposal(x, &z)
    }

    /// The lower factor of the proposal's covariance.
    fn factor(&self) -> [[f64; 2]; 2] {
        let p = self.covariance();
        let l = p[0][0].sqrt();
        let m = p[0][1] / l;
        let n = (p[1][1] - m * m).sqrt();
        [[l * self.widen, 0.0], [m * self.widen, n * self.widen]]
    }
}

impl LatentModel for Linear {
    type Sample = [f64; 3];
    type Latent = [f64; 2];

    fn draw(&self, x: &[f64; 3], generator: &mut ChaCha8Rng) -> [f64; 2] {
        let (mean, l) = (self.mean(x), self.factor());
        let (a, b) = (normal(generator), normal(generator));
        [
            mean[0] + self.shift + l[0][0] * a,
            mean[1] + self.shift + l[1][0] * a + l[1][1] * b,
        ]
    }

    fn log_joint(&self, x: &[f64; 3], z: &[f64; 2]) -> f64 {
        let prior: f64 = z.iter().map(|&z| log_normal(z, 0.0, 1.0)).sum();
        let likelihood = self.a.iter().zip(x);
        prior
            + likelihood
                .map(|(row, &x)| log_normal(x, row[0] * z[0] + row[1] * z[1], self.sigma))
                .sum::<f64>()
    }

    fn log_proposal(&self, x: &[f64; 3], z: &[f64; 2]) -> f64 {
        let (mean, l) = (self.mean(x), self.factor());
        let a = (z[0] - mean[0] - self.shift) / l[0][0];
        let b = (z[1] - mean[1] - self.shift - l[1][0] * a) / l[1][1];
        -0.5 * (a * a + b * b) - (l[0][0] * l[1][1]).ln() - LOG_TAU
    }
}

impl AnnealedModel for Linear {
    type Sample = [f64; 3];

    fn noise_size(&self) -> usize {
        2
    }

    fn log_likelihood(&self, x: &[f64; 3], noise: &[f32], gradient: &mut [f32], out: &mut [f64]) {
        let chains = noise.chunks_exact(2).zip(gradient.chunks_exact_mut(2)).zip(out);
        for ((noise, gradient), out) in chains {
            (*out, gradient[0], gradient[1]) = (0.0, 0.0, 0.0);
            for (row, &x) in self.a.iter().zip(x) {
                let mean = row[0] * f64::from(noise[0]) + row[1] * f64::from(noise[1]);
                *out += log_normal(x, mean, self.sigma);
                let slope = (x - mean) / self.sigma.powi(2);
                gradient[0] += (slope * row[0]) as f32;
                gradient[1] += (slope * row[1]) as f32;
            }
        }
    }

    fn generate(&self, noise: &[f32], generator: &mut ChaCha8Rng) -> [f64; 3] {
        let mean = |row: &[f64; 2]| row[0] * f64::from(noise[0]) + row[1] * f64::from(noise[1]);
        [0, 1, 2].map(|d| mean(&self.a[d]) + self.sigma * normal(generator))
    }
}

fn settings(samples: u64, seed: u64) -> DensitySettings {
    DensitySettings {
        samples,
        seed,
        block: 50,
        ..DensitySettings::default()
    }
}

const X: [f64; 3] = [1.5, -0.4, 0.9];

/// Mean and standard error.
fn mean_of(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, kexue_output::standard_error(values).unwrap())
}

#[test]
fn the_exact_posterior_needs_one_draw() {
    let model = Linear::new(1.0, 0.0);
    let truth = model.log_density(&X);
    let one = &densities(&model, &[&X], &settings(1, 0), &|_| ()).unwrap()[0];
    assert!((one.log_density - truth).abs() < 1e-12);
    assert!(one.standard_error.is_nan() && one.doubt.is_none());
    let many = &densities(&model, &[&X], &settings(1000, 0), &|_| ()).unwrap()[0];
    assert!(many.standard_error < 1e-7 && (many.effective_samples - 1000.0).abs() < 1e-6);
    assert!((many.log_density - truth).abs() < 1e-12 && many.doubt.is_none());
}

#[test]
fn it_converges_from_below_and_the_bound_rises() {
    let model = Linear::new(1.6, 0.5);
    let truth = model.log_density(&X);
    let mut before = f64::NEG_INFINITY;
    for draws in [1, 4, 16, 64, 1024] {
        // 400 repetitions: the same observation at 400 places, which have different draws.
        let all = densities(&model, &[&X; 400], &settings(draws, 1), &|_| ()).unwrap();
        let estimates: Vec<f64> = all.iter().map(|density| density.log_density).collect();
        let (mean, error) = mean_of(&estimates);
        assert!(
            mean < truth + 3.0 * error,
            "{draws}: {mean} is above {truth} by more than its error {error}"
        );
        assert!(mean > before, "{draws}: {mean} after {before}");
        before = mean;
    }
    assert!((before - truth).abs() < 0.01, "{before} {truth}");
    // The curve of many draws contains the bounds of few.
    let (elbo, error) = mean_of(
        &densities(&model, &[&X; 400], &settings(1, 1), &|_| ())
            .unwrap()
            .iter()
            .map(|d| d.log_density)
            .collect::<Vec<_>>(),
    );
    let curve = &densities(&model, &[&X], &settings(4096, 2), &|_| ()).unwrap()[0];
    assert!((curve.elbo - elbo).abs() < 4.0 * error);
    assert!(
        curve.curve.windows(2).all(|pair| pair[1].1 >= pair[0].1),
        "{:?}",
        curve.curve
    );
}

#[test]
fn intervals_cover_the_truth_as_often_as_they_say() {
    let model = Linear::new(1.5, 0.3);
    let truth = model.log_density(&X);
    let repetitions = 1000;
    let all = densities(&model, &vec![&X; repetitions], &settings(1000, 3), &|_| ()).unwrap();
    for (quantile, nominal) in [(1.0, 0.682_689), (1.96, 0.950_004), (2.5758, 0.99)] {
        let covered =
            |density: &&kexue_vae::Density| (density.log_density - truth).abs() <= quantile * density.standard_error;
        let share = all.iter().filter(covered).count() as f64 / repetitions as f64;
        let error = (nominal * (1.0f64 - nominal) / repetitions as f64).sqrt();
        assert!((share - nominal).abs() < 3.0 * error, "{nominal}: {share}");
    }
}

#[test]
fn precision_is_reached_with_as_few_draws_as_it_takes_and_no_setting_of_the_work_changes_a_bit() {
    let model = Linear::new(1.5, 0.3);
    let xs: Vec<[f64; 3]> = (0..20).map(|i| [i as f64 * 0.2, -0.4, 0.9]).collect();
    let xs: Vec<&[f64; 3]> = xs.iter().collect();
    let run = |batch: usize, threads: usize| {
        let settings = DensitySettings {
            precision: Some(0.05),
            batch,
            ..settings(100_000, 4)
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| densities(&model, &xs, &settings, &|_| ()).unwrap())
    };
    let all = run(64, 1);
    for density in &all {
        assert!(density.standard_error <= 0.05 && density.draws < 5000, "{density:?}");
    }
    assert!(all == run(1, 3) && all == run(7, 2));
}

/// z ~ N(0, 1), x ~ N(sin 2z + z, 0.3), with a posterior that is far from normal. The proposal is a normal distribution.
struct Curved {
    deviation: f64,
}

impl LatentModel for Curved {
    type Sample = f64;
    type Latent = f64;

    fn draw(&self, _: &f64, generator: &mut ChaCha8Rng) -> f64 {
        self.deviation * normal(generator)
    }

    fn log_joint(&self, x: &f64, z: &f64) -> f64 {
        log_normal(*z, 0.0, 1.0) + log_normal(*x, (2.0 * z).sin() + z, 0.3)
    }

    fn log_proposal(&self, _: &f64, z: &f64) -> f64 {
        log_normal(*z, 0.0, self.deviation)
    }
}

#[test]
fn a_latent_of_one_dimension_is_what_quadrature_says() {
    let model = Curved { deviation: 1.3 };
    for x in [-2.0, -0.5, 0.0, 0.7, 1.0] {
        let step = 1e-3;
        let integral: f64 = (-12_000..=12_000)
            .map(|i| model.log_joint(&x, &(f64::from(i) * step)).exp() * step)
            .sum();
        let density = &densities(&model, &[&x], &settings(200_000, 5), &|_| ()).unwrap()[0];
        assert!(density.doubt.is_none() && density.standard_error < 0.01, "{density:?}");
        assert!(
            (density.log_density - integral.ln()).abs() < 4.0 * density.standard_error,
            "{x}"
        );
    }
}

#[test]
fn what_is_not_to_be_trusted_says_so() {
    // A proposal that is far too narrow: the variance of its weights is infinite.
    let narrow = &densities(&Linear::new(0.3, 0.0), &[&X], &settings(5000, 6), &|_| ()).unwrap()[0];
    assert_eq!(narrow.doubt, Some(Doubt::HeavyTail), "{narrow:?}");
    assert!(narrow.k_hat.unwrap() > 0.7);
    // A proposal far from the posterior.
    let beside = &densities(&Linear::new(0.5, 4.0), &[&X], &settings(5000, 6), &|_| ()).unwrap()[0];
    assert!(beside.doubt.is_some());
    // A good proposal.
    let good = &densities(&Linear::new(1.3, 0.0), &[&X], &settings(5000, 6), &|_| ()).unwrap()[0];
    assert_eq!(good.doubt, None);
    assert!(good.k_hat.unwrap() < 0.5);
    for bad in [
        DensitySettings {
            samples: 0,
            ..settings(1, 0)
        },
        DensitySettings {
            precision: Some(f64::NAN),
            ..settings(1, 0)
        },
        DensitySettings {
            block: 0,
            ..settings(1, 0)
        },
        DensitySettings {
            batch: 0,
            ..settings(1, 0)
        },
    ] {
        assert!(densities(&Linear::new(1.0, 0.0), &[&X], &bad, &|_| ()).is_err());
    }
}

#[test]
fn annealing_agrees_and_the_sandwich_closes() {
    let model = Linear::new(1.0, 0.0);
    let settings = AnnealingSettings {
        chains: 64,
        temperatures: 200,
        leapfrog: 5,
        seed: 7,
    };
    let weights = annealed(&model, &X, &settings).unwrap();
    let truth = model.log_density(&X);
    assert!(
        (weights.log_mean() - truth).abs() < 4.0 * weights.standard_error() + 0.01,
        "{} {truth}",
        weights.log_mean()
    );
    assert!(weights.standard_error() < 0.1);
    let mut generator = ChaCha8Rng::seed_from_u64(8);
    for number in 0..5 {
        let (sample, bounds) = sandwich(&model, number, &settings).unwrap();
        let truth = model.log_density(&sample);
        let slack = 4.0 * bounds.standard_error + 0.01;
        assert!(
            bounds.lower < truth + slack && bounds.upper > truth - slack,
            "{bounds:?} {truth}"
        );
        assert!((bounds.upper - bounds.lower).abs() < 0.3, "{bounds:?}");
        // Importance sampling from the exact posterior agrees.
        let z = model.draw(&sample, &mut generator);
        assert!((model.log_joint(&sample, &z) - model.log_proposal(&sample, &z) - truth).abs() < 1e-9);
    }
    assert!(annealed(&model, &X, &AnnealingSettings { chains: 0, ..settings }).is_err());
}
