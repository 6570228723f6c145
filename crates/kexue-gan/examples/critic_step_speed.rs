//! Speed of a critic's step: images of 3×32×32, convolutions of 64, 128 and 256 channels, 64 real and 64 generated samples, hinge loss, backward pass.
//! `benches/peers/run gan` compares it with PyTorch's double backward.
//!
//! `--normalizer gn|gp|none`, `--rounds N`; `--check` prints the loss and the norm of the gradient for weights that PyTorch can also compute.

use kexue_gan::loss::AdversarialLoss;
use kexue_gan::network::{ModelSettings, Space};
use kexue_gan::normalizer::NormalizerSettings;
use kexue_gan::play::critic_step;
use kexue_gan::players::GanModel;
use kexue_gan::settings::Preset;
use kexue_images::Shape;
use kexue_optim::Parameters;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 64;
const IMAGE: Shape = Shape {
    channels: 3,
    height: 32,
    width: 32,
};

/// Numbers within −1 and 1 that the PyTorch script computes as well: the fractional parts of multiples of the golden ratio.
fn numbers(count: usize, start: u64) -> Vec<f32> {
    let part = |i: u64| ((i + start) as f64 * 0.618_033_988_749_894_9).fract() * 2.0 - 1.0;
    (0..count as u64).map(|i| part(i) as f32).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).cloned()
    };
    let rounds: usize = value("--rounds").map_or(8, |rounds| rounds.parse().expect("a number of rounds"));
    let settings = match value("--normalizer").as_deref() {
        None | Some("gn") => NormalizerSettings::Gradient {},
        Some("gp") => NormalizerSettings::GradientPenalty {
            weight: 10.0,
            one_sided: false,
        },
        Some("none") => NormalizerSettings::None {},
        Some(other) => panic!("--normalizer {other}: expected gn, gp or none"),
    };
    let normalizer = settings.build();
    let model_settings = ModelSettings {
        width: 64,
        latent: 1,
        ..Preset::Cnn.model()
    };
    let mut model = GanModel::new(&model_settings, Space::Images(IMAGE), &*normalizer, 1);
    let critic = model.slots().iter().filter(|slot| slot.name.starts_with("critic."));
    let ranges: Vec<_> = critic.map(|slot| slot.range.clone()).collect();
    for range in ranges {
        let fan: f32 = 0.05;
        let drawn = numbers(range.len(), range.start as u64);
        for (value, number) in model.values_mut()[range].iter_mut().zip(drawn) {
            *value = fan * number;
        }
    }
    model.changed();
    let size = IMAGE.size();
    let (real, fake) = (numbers(BATCH * size, 7), numbers(BATCH * size, 11_111_111));
    let shares: Vec<f32> = numbers(BATCH, 3).iter().map(|x| (x + 1.0) / 2.0).collect();
    let step = || {
        let [real, fake] = [&real, &fake].map(|values| model.tensor(values.clone(), size));
        let shares = model.tensor(shares.clone(), 1);
        let step = critic_step(AdversarialLoss::Hinge, &*normalizer, model.critic(), real, fake, shares);
        let loss: f32 = step.loss.clone().into_scalar();
        (loss, model.gradient(step.loss.backward()))
    };
    if arguments.iter().any(|argument| argument == "--check") {
        let (loss, gradient) = step();
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        println!("{{\"loss\": {loss}, \"gradient_norm\": {norm}}}");
        return;
    }
    let mut seconds = Vec::new();
    for round in 0..rounds + 2 {
        let start = Instant::now();
        step();
        // The first rounds are slower, because they allocate memory.
        if round >= 2 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    println!(
        "{{\"steps_per_second\": {:.3}, \"step_ms\": {:.1}}}",
        1.0 / median,
        median * 1e3
    );
}
