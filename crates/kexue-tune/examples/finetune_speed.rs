//! Speed of a fine-tuning step: forward, backward, clipping and AdamW. `benches/peers/tune/step_speed.py` does the same in PyTorch.
//!
//! `finetune_speed MODEL [--length N | --lengths FILE] [--steps N] [--batch N] [--threads N]`; a file of lengths has one per line. Prints examples per
//! second, by wall-clock time and by processor time.

use kexue_nn::Classifier;
use kexue_optim::Parameters;
use kexue_train::{BatchSettings, Learner, ParameterGroup, TrainSettings, generator};
use kexue_tune::{Dataset, Encoded, Labels, Method, Start, TuneTask};
use std::path::Path;
use std::time::Instant;

/// Processor time of this process in seconds, all threads together.
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("name the folder of a model")?;
    let value = |name: &str| {
        arguments
            .iter()
            .position(|argument| argument == name)
            .and_then(|at| arguments.get(at + 1))
    };
    let number = |name: &str, default: usize| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (batch, steps, threads) = (
        number("--batch", 16),
        number("--steps", 10) as u64,
        number("--threads", 2),
    );
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let lengths: Vec<usize> = match value("--lengths") {
        Some(path) => std::fs::read_to_string(path)?
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect(),
        None => vec![number("--length", 128)],
    };
    let start = Start::open(Path::new(folder))?;
    let encoded = |at: usize| {
        let length = lengths[at % lengths.len()];
        Encoded {
            tokens: (0..length)
                .map(|place| (1000 + (at * 7919 + place * 104_729) % 29_000) as u32)
                .collect(),
            second: length,
            target: Some((at % 2) as f32),
        }
    };
    let data = Dataset {
        examples: (0..batch * (steps as usize + 1)).map(encoded).collect(),
        cut: 0,
    };
    let labels = Labels::Classes(vec!["0".to_owned(), "1".to_owned()]);
    let task = TuneTask {
        training: &data,
        held_out: &data,
        labels: &labels,
        measures: &[],
        method: Method::default(),
        has_segments: true,
    };
    let model = Classifier::new(&start.pretrained, 2, &mut generator(0, 0, 0));
    let settings = TrainSettings {
        steps: steps + 1,
        learning_rate: 1e-5,
        ..TrainSettings::default()
    };
    let chain = settings.chain().build(model.slots(), steps + 1)?;
    let group = ParameterGroup::whole(model.slots(), chain);
    let batches = BatchSettings {
        seed: 0,
        size: batch,
        shards: threads,
    };
    let mut learner = Learner::new(&task, model, vec![group], batches);
    let mut clock = (Instant::now(), 0.0);
    for step in 0..=steps {
        // The first step warms up.
        if step == 1 {
            clock = (Instant::now(), processor_time());
        }
        learner.gradient(step, step == steps)?;
        learner.apply(step)?;
    }
    let count = (steps as usize * batch) as f64;
    let (wall, processor) = (clock.0.elapsed().as_secs_f64(), processor_time() - clock.1);
    println!(
        "{{\"examples_per_second\": {}, \"examples_per_second_cpu\": {}}}",
        count / wall,
        count / processor
    );
    Ok(())
}
