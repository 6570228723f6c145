//! Times steps of fine-tuning on a GPU, and prints a line of JSON for each. `benches/gpu/finetune.py` does the same in PyTorch.
//!
//! `finetune_bench [FILE]`: with a file of sequence lengths, one per line, also batches of these lengths.

use kexue_cuda::{ClassifierRun, Device, Precision};
use kexue_nn::{Classifier, Model, NormPlacement, Positions, Pretrained, TransformerConfig};
use kexue_train::{Accelerator, Task, TrainSettings, generator};
use kexue_tune::{Dataset, Encoded, Labels, Method, TuneTask};
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

fn bert(d_model: usize, layers: usize) -> TransformerConfig {
    TransformerConfig {
        d_model,
        layers,
        heads: 12,
        d_ffn: 4 * d_model,
        positions: Positions::Learned,
        max_positions: 512,
        token_types: 2,
        norm_placement: NormPlacement::Post,
        norm_epsilon: 1e-12,
        ..TransformerConfig::new(30_522)
    }
}

fn time(
    name: &str,
    config: &TransformerConfig,
    lengths: &[usize],
    batch: usize,
    method: &str,
    precision: Precision,
) -> Result<(), Failure> {
    let model = Model::new(config.clone(), &mut generator(0, 0, 0))?;
    let model = Classifier::new(&Pretrained::new(model), 2, &mut generator(0, 0, 1));
    let (warm, rounds, each) = (20, 10, 20);
    let steps = warm + rounds * each;
    let encoded = |at: usize| {
        let length = lengths[at % lengths.len()];
        Encoded {
            tokens: (0..length)
                .map(|place| (1000 + (at * 7919 + place * 104_729) % 29_000) as u32)
                .collect(),
            second: length / 2,
            target: Some((at % 2) as f32),
        }
    };
    let data = Dataset {
        examples: (0..batch * steps).map(encoded).collect(),
        cut: 0,
    };
    let labels = Labels::Classes(vec!["0".to_owned(), "1".to_owned()]);
    let method: Method = method.parse()?;
    let task = TuneTask {
        training: &data,
        held_out: &data,
        labels: &labels,
        measures: &[],
        method,
        has_segments: true,
    };
    let settings = TrainSettings {
        steps: steps as u64,
        learning_rate: 1e-5,
        max_gradient_norm: 1.0,
        ..TrainSettings::default()
    };
    let settings = method.settings(&settings, config, &kexue_tune::ChildSettings::default());
    let mut run = ClassifierRun::new(Device::default(), &model, &settings, precision)?;
    let mut batches = Vec::new();
    for at in 0..steps {
        let examples: Vec<usize> = (at * batch..(at + 1) * batch).collect();
        let mut random = generator(0, 1, at as u64);
        batches.push([(task.batch(&examples, at as u64, &mut random)?, random)]);
    }
    let mut times = Vec::new();
    let mut at = 0;
    for round in 0..=rounds {
        let begun = Instant::now();
        let count = if round == 0 { warm } else { each };
        for _ in 0..count {
            // The loss comes from the device, so the step is finished but for its update.
            run.gradient(&task, &batches[at], at as u64)?;
            Accelerator::<TuneTask<'_>>::apply(&mut run, at as u64)?;
            at += 1;
        }
        if round > 0 {
            times.push(1e3 * begun.elapsed().as_secs_f64() / f64::from(count as u32));
        }
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"what\": \"fine-tuning step\", \"workload\": \"{name}\", \"method\": \"{method}\", \"precision\": \"{precision}\", \"ms\": {:.3}, \"least\": {:.3}}}",
        times[rounds / 2],
        times[0]
    );
    Ok(())
}

fn main() -> Result<(), Failure> {
    println!("{}", Device::default().check()?);
    let lengths: Option<Vec<usize>> = match std::env::args().nth(1) {
        Some(path) => Some(
            std::fs::read_to_string(path)?
                .lines()
                .filter_map(|line| line.parse().ok())
                .collect(),
        ),
        None => None,
    };
    let (mini, base) = (bert(384, 6), bert(768, 12));
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        time("MiniLM 16 x 128", &mini, &[128], 16, "none", precision)?;
        if let Some(lengths) = &lengths {
            time("MiniLM 16 x real", &mini, lengths, 16, "none", precision)?;
        }
        time("BERT-base 32 x 128", &base, &[128], 32, "none", precision)?;
    }
    for method in ["child-f:0.3", "update-dropout:0.3", "r-drop:1", "fgm:1"] {
        time("MiniLM 16 x 128", &mini, &[128], 16, method, Precision::F32)?;
    }
    Ok(())
}
