//! Times training steps and forward passes on a GPU, and prints a line of JSON for each. `benches/gpu/run` compares it with PyTorch.

use kexue_cuda::{Device, DeviceModel, DeviceOptimizer, Engine, Precision, Shard};
use kexue_nn::{
    Decoder, Head, Layout, Mask, Model, Node, NormPlacement, PackedBatch, Positions, Prediction, TransformerConfig,
};
use kexue_optim::{AdamConfig, ChainSettings, Decay, Link};
use kexue_train::Objective;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

struct Workload {
    name: &'static str,
    config: TransformerConfig,
    sequences: usize,
    length: usize,
}

fn workloads() -> [Workload; 2] {
    let bert = TransformerConfig {
        d_model: 768,
        layers: 12,
        heads: 12,
        d_ffn: 3072,
        positions: Positions::Learned,
        max_positions: 512,
        token_types: 2,
        norm_placement: NormPlacement::Post,
        norm_epsilon: 1e-12,
        head: Head::DenseNorm,
        ..TransformerConfig::new(21_128)
    };
    let small = TransformerConfig {
        head: Head::DenseNorm,
        ..TransformerConfig::new(8000)
    };
    [
        Workload {
            name: "bert-base",
            config: bert,
            sequences: 32,
            length: 128,
        },
        Workload {
            name: "small",
            config: small,
            sequences: 32,
            length: 64,
        },
    ]
}

/// Weights with a standard deviation of about 0.02. It matters only that they are neither 0 nor equal.
fn model(config: &TransformerConfig) -> Result<Model, Failure> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let layout = Layout::new(config);
    let mut values = vec![0.0; layout.len()];
    for slot in layout.slots() {
        let is_gamma = slot.name.ends_with("LayerNorm.weight") || slot.name.ends_with("layer_norm.weight");
        for value in &mut values[slot.range.clone()] {
            *value = match slot.shape.len() {
                1 if is_gamma => 1.0,
                1 => 0.0,
                _ => (random.next_u32() as f32 / u32::MAX as f32 - 0.5) * 0.07,
            };
        }
    }
    Ok(Model::with_values(config.clone(), values)?.ok_or("the layout has another length")?)
}

fn batch(
    random: &mut ChaCha8Rng,
    vocabulary: usize,
    sequences: usize,
    length: usize,
) -> (PackedBatch, Vec<Prediction>) {
    let (mut packed, mut predictions) = (PackedBatch::default(), Vec::new());
    for _ in 0..sequences {
        let tokens: Vec<u32> = (0..length).map(|_| random.next_u32() % vocabulary as u32).collect();
        let start = packed.push(&tokens, Mask::BIDIRECTIONAL);
        // 15 % of them, in ascending order.
        for at in (0..length).filter(|at| at * 3 % 20 < 3) {
            predictions.push(Prediction {
                row: start + at,
                token: random.next_u32() % vocabulary as u32,
            });
        }
    }
    (packed, predictions)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn chain() -> ChainSettings {
    let links = vec![
        Link::Clip { max: 1.0 },
        Link::Adam(AdamConfig::default()),
        Link::Decay {
            rate: 0.01,
            on: Vec::new(),
            masked: false,
        },
        Link::Rate {
            peak: 1e-4,
            warmup: 0,
            decay: Decay::Constant,
        },
    ];
    ChainSettings {
        links,
        ..ChainSettings::default()
    }
}

fn train(work: &Workload, precision: Precision, is_profiling: bool) -> Result<(), Failure> {
    let model = model(&work.config)?;
    let mut engine = Engine::new(Device::default(), &model, precision)?;
    let mut optimizer = DeviceOptimizer::new(&mut engine, &chain(), 1000, &[])?;
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let batches: Vec<_> = (0..4)
        .map(|_| batch(&mut random, work.config.vocab_size, work.sequences, work.length))
        .collect();
    let mut step = |engine: &mut Engine, at: usize| -> Result<f64, Failure> {
        let (packed, predictions) = &batches[at % batches.len()];
        let generator = ChaCha8Rng::seed_from_u64(at as u64);
        let shard = Shard {
            packed,
            objective: Some(Objective::Predictions(predictions)),
            generator: Some(&generator),
        };
        let (loss, _) = engine.loss(&[shard])?;
        optimizer.step(engine, at as u64, predictions.len() as f64)?;
        Ok(loss / predictions.len() as f64)
    };
    let mut first = 0.0;
    for at in 0..5 {
        let loss = step(&mut engine, at)?;
        if at == 0 {
            first = loss;
        }
    }
    engine.synchronize()?;
    let mut times = Vec::new();
    let mut last = 0.0;
    let (rounds, each) = (10, if work.name == "small" { 50 } else { 5 });
    for round in 0..rounds {
        let begun = Instant::now();
        for at in 0..each {
            last = step(&mut engine, 5 + round * each + at)?;
        }
        engine.synchronize()?;
        times.push(1e3 * begun.elapsed().as_secs_f64() / each as f64);
    }
    let spread = times.iter().fold(f64::INFINITY, |least, &time| least.min(time));
    println!(
        "{{\"what\": \"training step\", \"workload\": \"{}\", \"precision\": \"{precision}\", \"ms\": {:.3}, \"least\": {spread:.3}, \
         \"first_loss\": {first:.4}, \"last_loss\": {last:.4}}}",
        work.name,
        median(times)
    );
    if is_profiling {
        engine.set_recording(false);
        step(&mut engine, 0)?;
        engine.time_kernels(true);
        step(&mut engine, 1)?;
        let mut by_name = BTreeMap::<String, (f32, usize)>::new();
        for (name, time) in engine.time_kernels(false) {
            let sum = by_name.entry(name).or_default();
            *sum = (sum.0 + time, sum.1 + 1);
        }
        let mut by_time: Vec<_> = by_name.into_iter().collect();
        by_time.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
        let total: f32 = by_time.iter().map(|(_, (time, _))| time).sum();
        println!("{} {precision}: {total:.2} ms of kernels", work.name);
        for (name, (time, count)) in by_time.iter().take(26) {
            println!("  {time:8.3} ms {count:4} x {name}");
        }
    }
    Ok(())
}

fn infer(work: &Workload, precision: Precision, sequences: usize) -> Result<(), Failure> {
    let model = model(&work.config)?;
    let mut engine = Engine::new(Device::default(), &model, precision)?;
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let (packed, _) = batch(&mut random, work.config.vocab_size, sequences, 128);
    for _ in 0..5 {
        engine.hidden(&packed)?;
    }
    let mut times = Vec::new();
    for _ in 0..30 {
        let begun = Instant::now();
        // Includes copying the hidden states to the CPU.
        engine.hidden(&packed)?;
        times.push(1e3 * begun.elapsed().as_secs_f64());
    }
    let least = times.iter().fold(f64::INFINITY, |least, &time| least.min(time));
    println!(
        "{{\"what\": \"inference {sequences} x 128\", \"workload\": \"{}\", \"precision\": \"{precision}\", \"ms\": {:.3}, \"least\": {least:.3}}}",
        work.name,
        median(times)
    );
    Ok(())
}

/// Decodes trees of the flagship's size as `qa eval` does: prompts of 32 questions, then six steps of three beams each with 20 logits, and four of eight
/// facts. Without a precision, on one core of the CPU.
fn decode(precision: Option<Precision>) -> Result<(), Failure> {
    let config = TransformerConfig {
        d_model: 192,
        heads: 6,
        d_ffn: 768,
        ..TransformerConfig::new(8000)
    };
    let mut model = model(&config)?;
    let name = match precision {
        None => "cpu".to_owned(),
        Some(precision) => {
            let copy = DeviceModel::new(Device::default(), &model, precision)?;
            model.set_device(Arc::new(copy));
            precision.to_string()
        }
    };
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut token = move || random.next_u32() % 8000;
    let questions: Vec<Vec<u32>> = (0..32).map(|at| (0..12 + at % 16).map(|_| token()).collect()).collect();
    let mut decoder = Decoder::new(&model);
    let mut times = Vec::new();
    for round in 0..40 {
        let begun = Instant::now();
        decoder.clear();
        let mut beams: Vec<Node> = decoder.prompts(questions.iter().map(|question| &question[..]))?;
        for step in 0..10 {
            let width = if step < 6 { 3 } else { 8 };
            let mut steps = decoder.steps();
            let parents = beams.iter().cycle().take(32 * width);
            beams = parents.map(|&parent| steps.push(parent, token())).collect();
            decoder.extend(&steps)?;
            let pairs: Vec<(Node, u32)> = beams
                .iter()
                .flat_map(|&node| [node; 20])
                .map(|node| (node, token()))
                .collect();
            decoder.logits(&pairs)?;
        }
        if round >= 10 {
            times.push(1e3 * begun.elapsed().as_secs_f64());
        }
    }
    let least = times.iter().fold(f64::INFINITY, |least, &time| least.min(time));
    println!(
        "{{\"what\": \"decoding 32 questions\", \"workload\": \"flagship\", \"precision\": \"{name}\", \"ms\": {:.3}, \"least\": {least:.3}}}",
        median(times)
    );
    Ok(())
}

fn main() -> Result<(), Failure> {
    let is_profiling = std::env::args().any(|argument| argument == "--profile");
    println!("{}", Device::default().check()?);
    let precisions = [Precision::F32, Precision::Tf32, Precision::Bf16];
    for work in &workloads() {
        for precision in precisions {
            train(work, precision, is_profiling)?;
        }
    }
    let [bert, _] = workloads();
    for precision in precisions {
        for sequences in [1, 32] {
            infer(&bert, precision, sequences)?;
        }
    }
    for precision in [None, Some(Precision::F32), Some(Precision::Bf16)] {
        decode(precision)?;
    }
    Ok(())
}
