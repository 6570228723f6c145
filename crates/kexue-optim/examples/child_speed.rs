//! What masks cost: steps of AdamW alone and with each mask, in turn, on 20 million parameters. `benches/peers/optim/child_speed.py` is the same in PyTorch.
//!
//! Prints a JSON object: processor time of a step in nanoseconds per parameter, the median of the rounds, and the median of the ratios to plain AdamW within a round.

use kexue_optim::{
    Adam, AdamConfig, BitMask, Chain, ChildTuning, LearningRate, Schedule, Transformation, UpdateDropout, WeightDecay,
};

const SIZE: usize = 20_000_000;
const STEPS: u64 = 10;

/// Processor time of this process in seconds, all threads together.
fn processor_time() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() * 1e-9
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(9);
    let names = ["plain", "task_free", "task_driven", "update_dropout"];
    let chain = |name: &str| {
        let mut chain = Chain::new();
        chain = match name {
            "task_free" => chain.then(ChildTuning::task_free(0.3, 1)),
            "task_driven" => chain.then(ChildTuning::task_driven(BitMask::from_fn(SIZE, |at| {
                at * 7919 % 10 < 3
            }))),
            _ => chain,
        };
        chain = chain
            .then(Adam::new(AdamConfig::default(), SIZE))
            .then(WeightDecay::new(0.01, std::iter::once(0..SIZE).collect()));
        if name == "update_dropout" {
            chain = chain.then(UpdateDropout::new(0.3, 1));
        }
        chain.then(LearningRate(Schedule::constant(1e-3)))
    };
    let mut chains: Vec<Chain> = names.iter().map(|name| chain(name)).collect();
    let mut parameters = vec![0.1f32; SIZE];
    let noise: Vec<f32> = (0..SIZE).map(|at| ((at * 7919 % 1000) as f32 - 500.0) * 1e-3).collect();
    let mut gradient = noise.clone();
    let mut times = vec![Vec::new(); names.len()];
    for round in 0..=rounds {
        for (chain, times) in chains.iter_mut().zip(&mut times) {
            let mut spent = 0.0;
            for step in 0..STEPS {
                gradient.copy_from_slice(&noise);
                let start = processor_time();
                chain.step(&mut parameters, &mut gradient, round as u64 * STEPS + step);
                spent += processor_time() - start;
            }
            // The first round warms up.
            if round > 0 {
                times.push(spent / STEPS as f64 / SIZE as f64 * 1e9);
            }
        }
    }
    let plain = times[0].clone();
    let memory: Vec<usize> = chains
        .iter_mut()
        .map(|chain| chain.state().iter().map(|(_, values)| 4 * values.len()).sum())
        .collect();
    let fields: Vec<String> = names
        .iter()
        .zip(&mut times)
        .zip(memory)
        .map(|((name, times), memory)| {
            let mut ratios: Vec<f64> = times.iter().zip(&plain).map(|(time, plain)| time / plain).collect();
            let (time, ratio) = (median(times), median(&mut ratios));
            format!("\"{name}\": {{\"ns\": {time:.3}, \"ratio\": {ratio:.3}, \"state_bytes\": {memory}}}")
        })
        .collect();
    println!("{{{}}}", fields.join(", "));
}
