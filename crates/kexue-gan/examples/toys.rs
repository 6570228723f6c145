//! Trains a GAN with every normaliser on a toy distribution, from several seeds: the table of `docs/gan.md`.
//!
//! Flags: `--data ring` (or `grid`, `swiss-roll`), `--steps N` of the generator (3,000), `--seeds N` (3), `--only NAME`. For each normaliser, it prints
//! the means and standard errors over the seeds of the covered modes, of the good samples in percent and of the largest slope over pairs at a distance
//! of 0.01, and the processor time per step. Runs are kept in the folder `--out` (`toy-runs`), and interrupted runs in it are resumed.
use kexue_gan::data::Data;
use kexue_gan::evaluate::evaluate;
use kexue_gan::normalizer::NormalizerSettings;
use kexue_gan::run::TrainedGan;
use kexue_gan::settings::{GanConfig, Preset};
use kexue_gan::task::GanTask;
use kexue_output::mean_with_error;
use kexue_train::{Trainer, prepare};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

const NAMES: [&str; 9] = [
    "none",
    "clip",
    "gp",
    "gp-one-sided",
    "sn",
    "gn",
    "gran",
    "scaled",
    "direction",
];

fn normalizer(name: &str) -> NormalizerSettings {
    let weight = Preset::Mlp.penalty_weight();
    match name {
        "clip" => NormalizerSettings::Clip { bound: 0.05 },
        "gp" | "gp-one-sided" => NormalizerSettings::GradientPenalty {
            weight,
            one_sided: name == "gp-one-sided",
        },
        "sn" => NormalizerSettings::Spectral {},
        "gn" => NormalizerSettings::Gradient {},
        "gran" => NormalizerSettings::Gran { epsilon: 0.1 },
        "scaled" => NormalizerSettings::Scaled { epsilon: 0.1 },
        "direction" => NormalizerSettings::Direction {},
        _ => NormalizerSettings::None {},
    }
}

/// Processor time of this process in seconds, all threads together.
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2);
    ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str, default: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        let found = at.and_then(|at| arguments.get(at + 1));
        found.map_or_else(|| default.to_owned(), String::clone)
    };
    let (data_name, only) = (value("--data", "ring"), value("--only", ""));
    let (steps, seeds): (u64, u64) = (value("--steps", "3000").parse()?, value("--seeds", "3").parse()?);
    let out = PathBuf::from(value("--out", "toy-runs"));
    let data = Data::open(&data_name)?;
    println!("{data_name}, {steps} steps, {seeds} seeds");
    println!(
        "| normaliser | modes covered | good samples, % | largest ‖∇D̂‖ | largest slope at 0.01 | processor time per step, ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for name in NAMES.into_iter().filter(|name| only.is_empty() || *name == only) {
        let mut columns = <[Vec<f64>; 5]>::default();
        for seed in 0..seeds {
            let mut gan = Preset::Mlp.gan();
            gan.data.clone_from(&data_name);
            gan.normalizer = normalizer(name);
            let config = GanConfig {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                train: gan.train(seed, steps, steps),
                model: Preset::Mlp.model(),
                gan,
            };
            let folder = out.join(format!("{data_name}-{name}-{seed}"));
            let task = GanTask::new(&config, &data);
            let description = prepare(&folder, &config, &[])?;
            let groups = config.gan.groups();
            let trainer = Trainer::new(&task, task.model(), &config.train, &groups, &folder, &description)?;
            let start = processor_time();
            trainer.run(&AtomicBool::new(false))?;
            let milliseconds = (processor_time() - start) * 1e3 / steps as f64;
            let measured = evaluate(&TrainedGan::open(&folder, None)?, 4096, 0, None)?;
            let row = [
                measured.modes.map_or(f64::NAN, |modes| modes.0 as f64),
                100.0 * measured.good_samples.unwrap_or(f64::NAN),
                measured.slopes.largest_gradient,
                measured.slopes.pairs[1].largest,
                milliseconds,
            ];
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        let shown: Vec<String> = columns
            .iter()
            .map(|column| mean_with_error(column, |value| format!("{value:.2}")))
            .collect();
        println!("| `{name}` | {} |", shown.join(" | "));
    }
    Ok(())
}
