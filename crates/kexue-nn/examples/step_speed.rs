//! Prints how long a forward and a backward pass take, and how many floating-point operations a second that is.
use kexue_nn::{Model, PackedBatch, Tape, TransformerConfig};
use rand::{Rng, SeedableRng};
use std::time::Instant;

fn main() {
    let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    let config = TransformerConfig::new(8000);
    let model = Model::new(config.clone(), &mut generator).expect("a valid configuration");
    let mut batch = PackedBatch::default();
    for _ in 0..32 {
        let tokens: Vec<u32> = (0..36).map(|_| generator.random_range(0..8000)).collect();
        batch.push(&tokens, 20);
    }
    let (mut tape, mut gradient) = (Tape::default(), vec![0.0; model.layout().len()]);
    let d = config.d_model;
    let linear = (4 * d * d + 2 * d * config.d_ffn) * config.layers;
    for round in 0..12 {
        let start = Instant::now();
        model.forward(&batch, &mut tape, Some(&mut generator));
        let forward = start.elapsed();
        let mut d_hidden = vec![1e-3; batch.len() * d];
        model.backward(&batch, &mut tape, &mut d_hidden, &mut gradient);
        let total = start.elapsed();
        if round > 1 {
            println!(
                "{} tokens: forward {:.1} ms, with backward {:.1} ms, {:.1} GFLOP/s in the linear layers",
                batch.len(),
                forward.as_secs_f64() * 1e3,
                total.as_secs_f64() * 1e3,
                6.0 * (linear * batch.len()) as f64 / total.as_secs_f64() / 1e9
            );
        }
    }
}
