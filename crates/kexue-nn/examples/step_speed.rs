//! Tokens per second of a training step (forward, backward and AdamW), measured like PyTorch's in `benches/peers/nn/train_speed.py`.
//!
//! Flags: `--threads N` (2), `--rounds N` (8), `--without-softmax`, `--without-adam`, and `--all-rows`, which computes the last layer for rows too that no
//! choice reads, as PyTorch does. One JSON object on standard output.
use kexue_nn::{Choice, Mask, Model, PackedBatch, Tape, Token, TransformerConfig};
use kexue_optim::{Adam, AdamConfig, Chain, LearningRate, Schedule, WeightDecay};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::sync::Arc;
use std::time::Instant;

const SEQUENCES: usize = 64;
const LENGTH: usize = 36;
const PREFIX: usize = 20;
const VOCABULARY: usize = 8000;

/// The sequences of one thread, and its working memory.
struct Shard {
    batch: PackedBatch,
    choices: Vec<Choice>,
    tape: Tape,
    gradient: Vec<f32>,
    generator: ChaCha8Rng,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.map_or(default, |at| {
            let value = arguments.get(at + 1).and_then(|value| value.parse().ok());
            value.unwrap_or_else(|| panic!("{name} needs a number"))
        })
    };
    let (threads, rounds) = (number("--threads", 2).max(1), number("--rounds", 8).max(1));
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .expect("a thread pool");

    let mut generator = ChaCha8Rng::seed_from_u64(0);
    let config = TransformerConfig::new(VOCABULARY);
    let mut model = Model::new(config.clone(), &mut generator).expect("a valid configuration");
    let length = model.layout().len();
    let decaying = model.layout().slots().iter().filter(|slot| slot.decays());
    let mut chain = Chain::new();
    if !has("--without-adam") {
        chain = chain
            .then(Adam::new(AdamConfig::default(), length))
            .then(WeightDecay::new(
                0.01,
                decaying.map(|slot| slot.range.clone()).collect(),
            ))
            .then(LearningRate(Schedule::constant(1e-4)));
    }
    let vocabulary: Arc<[Token]> = (0..VOCABULARY as Token).collect();
    let is_limited = !has("--without-softmax") && !has("--all-rows");
    let outputs = SEQUENCES * if is_limited { LENGTH - PREFIX } else { LENGTH };
    let mut shards: Vec<Shard> = (0..threads)
        .map(|shard| {
            let (mut batch, mut choices) = (PackedBatch::default(), Vec::new());
            for _ in (shard..SEQUENCES).step_by(threads) {
                let tokens: Vec<Token> = (0..LENGTH)
                    .map(|_| generator.random_range(0..VOCABULARY as Token))
                    .collect();
                let start = batch.push(&tokens, Mask::unilm(PREFIX));
                choices.extend((PREFIX..LENGTH).map(|place| Choice {
                    row: start + place - 1,
                    allowed: vocabulary.clone(),
                    target: tokens[place] as usize,
                    bias: Vec::new(),
                }));
            }
            if is_limited {
                batch.set_outputs(choices.iter().map(|choice| choice.row));
            }
            let generator = ChaCha8Rng::seed_from_u64(1 + shard as u64);
            Shard {
                batch,
                choices,
                tape: Tape::default(),
                gradient: vec![0.0; length],
                generator,
            }
        })
        .collect();

    let mut seconds = Vec::new();
    for round in 0..rounds + 3 {
        let start = Instant::now();
        shards.par_iter_mut().for_each(|shard| {
            shard.gradient.fill(0.0);
            model.forward(&shard.batch, &mut shard.tape, Some(&mut shard.generator));
            let mut d_hidden;
            if has("--without-softmax") {
                d_hidden = vec![1e-3; shard.tape.hidden().len()];
            } else {
                d_hidden = vec![0.0; shard.tape.hidden().len()];
                let hidden = shard.tape.hidden();
                model.choice_loss(hidden, &shard.choices, &mut d_hidden, &mut shard.gradient);
            }
            model.backward(&shard.batch, &mut shard.tape, &mut d_hidden, &mut shard.gradient);
        });
        let (first, others) = shards.split_first_mut().expect("at least one shard");
        for other in others {
            let chunks = first
                .gradient
                .par_chunks_mut(1 << 16)
                .zip(other.gradient.par_chunks(1 << 16));
            chunks.for_each(|(sum, more)| sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more));
        }
        if !has("--without-adam") {
            chain.step(model.values_mut(), &mut first.gradient, round as u64);
        }
        // The first rounds are slower, because they allocate memory.
        if round >= 3 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = (seconds[(rounds - 1) / 2] + seconds[rounds / 2]) / 2.0;
    let tokens = (SEQUENCES * LENGTH) as f64;
    // Of the last layer, what follows the attention is computed for fewer rows.
    let (attention, rest) = (3 * config.d_model, config.d_model + 2 * config.d_ffn);
    let whole = tokens * (config.layers * (attention + rest)) as f64;
    let linear = (whole - (tokens - outputs as f64) * rest as f64) * config.d_model as f64;
    println!(
        "{{\"tokens_per_second\": {:.0}, \"step_ms\": {:.1}, \"linear_layers_gflops\": {:.1}}}",
        tokens / median,
        median * 1e3,
        6.0 * linear / median / 1e9
    );
}
