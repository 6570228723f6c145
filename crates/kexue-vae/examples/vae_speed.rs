//! Training steps and density estimates per second, measured like PyTorch's in `benches/peers/vae/speed.py`.
//!
//! `vae_speed step|iwae|density [--threads N] [--rounds N]`: `step` is the ELBO of 784-500-500-50 with 128 images and Adam, `iwae` the bound of 50 draws of
//! 784-200-200-50 with 20 images and Adam, `density` 5,000 draws of an image of the latter. One JSON object on standard output.
use kexue_optim::{Adam, AdamConfig, Chain, LearningRate, Parameters, Schedule};
use kexue_vae::{
    Bound, DensitySettings, ImageSize, Objective, Observations, StochasticLayer, Vae, VaeConfig, VaeDensity, VaeTape,
    densities,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.map_or(default, |at| {
            let value = arguments.get(at + 1).and_then(|value| value.parse().ok());
            value.unwrap_or_else(|| panic!("{name} needs a number"))
        })
    };
    let (threads, rounds) = (number("--threads", 1).max(1), number("--rounds", 10).max(1));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    pool.expect("a thread pool");
    let what = arguments.get(1).map_or("step", String::as_str);
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    let image = ImageSize {
        channels: 1,
        height: 28,
        width: 28,
    };
    let mut config = VaeConfig::one_layer(image);
    if what == "step" {
        config.layers = vec![StochasticLayer {
            hidden: vec![500, 500],
            latent: 50,
        }];
    }
    let mut model = Vae::new(config, &mut generator).expect("a valid configuration");
    let mut observations = |count: usize| {
        let inputs: Vec<f32> = (0..count * 784)
            .map(|_| f32::from(generator.random_range(0..2u8)))
            .collect();
        Observations {
            targets: inputs.clone(),
            inputs,
        }
    };
    if what == "density" {
        let images: Vec<Observations> = (0..rounds).map(|_| observations(1)).collect();
        let images: Vec<&Observations> = images.iter().collect();
        let started = Instant::now();
        let found = densities(&VaeDensity::new(&model), &images, &DensitySettings::default(), &|_| ());
        let seconds = started.elapsed().as_secs_f64();
        let mean = found
            .expect("valid settings")
            .iter()
            .map(|density| density.log_density)
            .sum::<f64>()
            / rounds as f64;
        println!(
            "{{\"images_per_second\": {}, \"mean\": {mean}}}",
            rounds as f64 / seconds
        );
        return;
    }
    let (batch, objective) = match what {
        "step" => (128, Objective::default()),
        "iwae" => (
            20,
            Objective {
                bound: Bound::Iwae,
                draws: 50,
                ..Objective::default()
            },
        ),
        other => panic!("{other} is not one of step, iwae, density"),
    };
    let observations = observations(batch);
    let mut chain = Chain::new()
        .then(Adam::new(AdamConfig::default(), model.values().len()))
        .then(LearningRate(Schedule::constant(1e-4)));
    let (mut gradient, mut tape) = (vec![0.0; model.values().len()], VaeTape::default());
    let mut draws = ChaCha8Rng::seed_from_u64(1);
    let started = Instant::now();
    for step in 0..rounds as u64 {
        gradient.fill(0.0);
        objective.gradient(&model, &observations, step, &mut draws, &mut tape, &mut gradient);
        gradient.iter_mut().for_each(|g| *g /= batch as f32);
        chain.step(model.values_mut(), &mut gradient, step);
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{{\"steps_per_second\": {}}}", rounds as f64 / seconds);
}
