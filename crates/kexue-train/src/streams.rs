//! Random streams: every random choice of a run is drawn from (seed, purpose, step).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Purpose of [`generator`]: the weights of a fresh model.
pub const WEIGHTS: u64 = 0;
/// Purpose of [`generator`]: making and computing the batch of the first shard. The following shards use the following numbers.
pub const SHARDS: u64 = 1;
/// Purpose of [`generator`]: the order of the examples.
pub const ORDER: u64 = 0x006f_7264_6572;
/// Purpose of [`generator`]: the masks of an evaluation.
pub const MASKS: u64 = 0x006d_6c6d;
/// Purpose of [`generator`]: questions from templates.
pub const TEMPLATES: u64 = 0x7465_6d70;
/// Purpose of [`generator`]: dropout while Fisher information is measured.
pub const FISHER: u64 = 0x6669_7368_6572;
/// Purpose of [`generator`]: the directions of a probe's Jacobian-vector products. A probe has a single shard.
pub const DIRECTIONS: u64 = 2;

/// A generator that depends only on these numbers, so that a resumed run draws the same numbers as an uninterrupted one.
pub fn generator(seed: u64, purpose: u64, step: u64) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&purpose.to_le_bytes());
    bytes[16..24].copy_from_slice(&step.to_le_bytes());
    ChaCha8Rng::from_seed(bytes)
}
