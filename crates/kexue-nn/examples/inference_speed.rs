//! Tokens per second of a forward pass, measured like that of `transformers` in `benches/peers/nn/inference_speed.py`.
//!
//! Flags: `--threads N` (2), `--rounds N` (8), `--batch N` (8), `--length N` (128), `--base` for BERT-base instead of 4 layers of width 256, `--f16` or
//! `--int8` for another precision, `--save FOLDER` to save the random model and stop, `--folder FOLDER` to load one for inference instead.
//! One JSON object on standard output.
use kexue_nn::{
    Encoder, Head, InferencePrecision, Mask, Model, NormPlacement, PackedBatch, Positions, Precision, Pretrained,
    Token, TransformerConfig,
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
    let (threads, rounds) = (number("--threads", 2).max(1), number("--rounds", 8).max(1));
    let (sequences, length) = (number("--batch", 8), number("--length", 128));
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .expect("a thread pool");

    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let folder = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} needs a folder")))
    };
    let precision = match () {
        () if has("--int8") => InferencePrecision::Int8,
        () if has("--f16") => InferencePrecision::Half,
        () => InferencePrecision::Single,
    };
    let base = has("--base");
    let (d_model, layers, heads) = if base { (768, 12, 12) } else { (256, 4, 4) };
    let config = TransformerConfig {
        d_model,
        layers,
        heads,
        d_ffn: 4 * d_model,
        positions: Positions::Learned,
        max_positions: 512,
        token_types: 2,
        norm_placement: NormPlacement::Post,
        head: Head::None,
        ..TransformerConfig::new(30522)
    };
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    let random = |generator: &mut ChaCha8Rng| Model::new(config, generator).expect("a valid configuration");
    if let Some(folder) = folder("--save") {
        let stored = if has("--f16") {
            Precision::Half
        } else {
            Precision::Single
        };
        let pretrained = Pretrained::new(random(&mut generator));
        return pretrained.save(folder, stored).expect("a folder that can be written");
    }
    let model = match folder("--folder") {
        Some(folder) => {
            Pretrained::load_for_inference(folder, precision)
                .expect("a model")
                .model
        }
        None => {
            let mut model = random(&mut generator);
            model.set_inference_precision(precision);
            model
        }
    };
    let mut batch = PackedBatch::default();
    for _ in 0..sequences {
        let tokens: Vec<Token> = (0..length).map(|_| generator.random_range(0..30522)).collect();
        batch.push(&tokens, Mask::BIDIRECTIONAL);
    }
    let mut encoder = Encoder::new(threads);
    let mut seconds = Vec::new();
    for round in 0..rounds + 2 {
        let start = Instant::now();
        encoder.run(&model, &batch).expect("the CPU computes");
        // The first rounds are slower, because they allocate memory.
        if round >= 2 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = (seconds[(rounds - 1) / 2] + seconds[rounds / 2]) / 2.0;
    println!(
        "{{\"tokens_per_second\": {:.0}, \"pass_ms\": {:.1}}}",
        batch.len() as f64 / median,
        median * 1e3
    );
}
