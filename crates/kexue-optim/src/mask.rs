//! Masks of parameters: redrawn at every step, or fixed.

use crate::bit_mask::BitMask;
use crate::chunk::BLOCK;
use crate::vectors::{add_below, keep_below};

/// Probabilities are multiples of `1/STEPS`, so that 16 random bits decide for one parameter.
const STEPS: f32 = 65536.0;

/// The random words of a block that need not begin with a word, as bytes, so that each can be seen as the lanes of four parameters.
type Words = [[u8; 8]; BLOCK / 4 + 1];

/// The increment of SplitMix64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finisher of SplitMix64 (Steele et al., OOPSLA 2014): random bits from a counter.
#[inline(always)]
fn mix(counter: u64) -> u64 {
    let z = (counter ^ (counter >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The random word that decides for four parameters.
#[inline(always)]
fn random_word(key: u64, index: u64) -> u64 {
    mix(key.wrapping_add(index.wrapping_mul(GOLDEN)))
}

/// The random words from `first` on.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn draw(words: &mut [[u8; 8]], key: u64, first: u64) {
    for (word, index) in words.iter_mut().zip(first..) {
        *word = random_word(key, index).to_le_bytes();
    }
}

/// The lanes of `count` parameters from `start` on, at most a block.
fn lanes(key: u64, start: usize, count: usize, words: &mut Words) -> &[[u8; 2]] {
    let before = start % 4;
    draw(&mut words[..(before + count).div_ceil(4)], key, (start / 4) as u64);
    let (lanes, _) = words.as_flattened().as_chunks();
    &lanes[before..][..count]
}

/// A key that depends on all parts and their order.
pub(crate) fn key(parts: &[u64]) -> u64 {
    parts
        .iter()
        .fold(0, |key, &part| mix((key ^ part).wrapping_add(GOLDEN)))
}

/// Determines which parameters a step moves.
///
/// A random mask is a function of seed, step and position in the flat vector. It takes no memory, does not depend on the number of threads, shards and
/// processes, and is the same in a resumed run.
#[derive(Clone, Debug)]
pub struct Mask(Source);

#[derive(Clone, Debug)]
enum Source {
    /// Kept where 16 random bits are less than `threshold`.
    Random {
        seed: u64,
        threshold: u32,
    },
    Fixed(BitMask),
}

impl Mask {
    /// Every step keeps each parameter with probability `p`, which is rounded to a multiple of 1/65536 and is at least that.
    pub fn random(p: f32, seed: u64) -> Self {
        let threshold = (p * STEPS).round().clamp(1.0, STEPS) as u32;
        Self(Source::Random { seed, threshold })
    }

    /// The same parameters at every step.
    pub fn fixed(mask: BitMask) -> Self {
        Self(Source::Fixed(mask))
    }

    /// The probability that a random mask keeps a parameter; the share that a fixed one keeps.
    pub fn share(&self) -> f32 {
        match &self.0 {
            Source::Random { threshold, .. } => *threshold as f32 / STEPS,
            Source::Fixed(mask) => mask.count() as f32 / mask.len().max(1) as f32,
        }
    }

    /// Whether a step moves the parameter at a position.
    pub fn keeps(&self, step: u64, position: usize) -> bool {
        match self.at(step) {
            StepMask::Random { key, threshold } => {
                let lane = random_word(key, (position / 4) as u64) >> (position % 4 * 16);
                ((lane & 0xffff) as u32) < threshold
            }
            StepMask::Fixed(mask) => mask.keeps(position),
        }
    }

    /// The mask of a step.
    pub fn at(&self, step: u64) -> StepMask<'_> {
        match &self.0 {
            Source::Random { seed, threshold } => StepMask::Random {
                key: key(&[*seed, step]),
                threshold: *threshold,
            },
            Source::Fixed(mask) => StepMask::Fixed(mask),
        }
    }

    /// Its state in a checkpoint.
    pub(crate) fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        match &mut self.0 {
            Source::Random { .. } => Vec::new(),
            Source::Fixed(mask) => vec![("mask".to_owned(), mask.words_mut())],
        }
    }

    /// A short description.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.0 {
            Source::Random { .. } => "random",
            Source::Fixed(_) => "fixed",
        }
    }
}

/// The mask of one step, in the form in which other devices compute it.
#[derive(Clone, Copy, Debug)]
pub enum StepMask<'a> {
    /// Position `4·i + j` is kept if 16 bits of a random word, of which bit `16·j` is the lowest, are less than `threshold`. The word is SplitMix64's
    /// finisher of `key + i·0x9E3779B97F4A7C15`.
    Random {
        /// The key of seed and step.
        key: u64,
        /// The probability times 65536.
        threshold: u32,
    },
    /// A fixed mask.
    Fixed(&'a BitMask),
}

impl StepMask<'_> {
    /// Multiplies the kept values from position `start` on by `factor`. The others become 0, even if they are not finite.
    pub(crate) fn apply(self, start: usize, values: &mut [f32], factor: f32) {
        let (key, threshold) = match self {
            Self::Random { key, threshold } => (key, threshold),
            Self::Fixed(mask) => return mask.keep(start, values, factor),
        };
        let mut words: Words = [[0; 8]; BLOCK / 4 + 1];
        for (values, start) in values.chunks_mut(BLOCK).zip((start..).step_by(BLOCK)) {
            let lanes = lanes(key, start, values.len(), &mut words);
            keep_below(values, lanes, threshold, factor);
        }
    }

    /// Adds `factor · source` to the kept values from position `start` on.
    pub(crate) fn add(self, start: usize, values: &mut [f32], source: &[f32], factor: f32) {
        let (key, threshold) = match self {
            Self::Random { key, threshold } => (key, threshold),
            Self::Fixed(mask) => return mask.add(start, values, source, factor),
        };
        let mut words: Words = [[0; 8]; BLOCK / 4 + 1];
        let blocks = values.chunks_mut(BLOCK).zip(source.chunks(BLOCK));
        for ((values, source), start) in blocks.zip((start..).step_by(BLOCK)) {
            let lanes = lanes(key, start, values.len(), &mut words);
            add_below(values, source, lanes, threshold, factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_mask_is_a_function_of_seed_step_and_position() {
        let mask = Mask::random(0.3, 7);
        let whole: Vec<bool> = (0..5000).map(|position| mask.keeps(3, position)).collect();
        for start in [0, 1, 2, 3, 4, 1023, 2049] {
            let mut values = vec![1.0; 5000 - start];
            mask.at(3).apply(start, &mut values, 2.0);
            for (value, kept) in values.iter().zip(&whole[start..]) {
                assert_eq!(*value, if *kept { 2.0 } else { 0.0 });
            }
        }
        let of = |mask: &Mask, step: u64| {
            (0..5000)
                .map(|position| mask.keeps(step, position))
                .collect::<Vec<bool>>()
        };
        assert_eq!(of(&Mask::random(0.3, 7), 3), whole);
        assert_ne!(of(&mask, 4), whole);
        assert_ne!(of(&Mask::random(0.3, 8), 3), whole);
    }

    #[test]
    fn a_fixed_mask_keeps_its_bits_wherever_a_piece_begins() {
        let bits = BitMask::from_fn(300, |at| at * at % 7 < 3);
        let mask = Mask::fixed(bits.clone());
        for (start, count) in [
            (0, 300),
            (1, 299),
            (31, 2),
            (32, 32),
            (33, 5),
            (64, 100),
            (299, 1),
            (300, 0),
        ] {
            let source: Vec<f32> = (0..count).map(|at| at as f32 - 7.0).collect();
            let (mut values, mut sums) = (source.clone(), vec![0.5; count]);
            mask.at(0).apply(start, &mut values, 2.0);
            mask.at(0).add(start, &mut sums, &source, 2.0);
            for (at, (value, sum)) in values.iter().zip(&sums).enumerate() {
                let expected = if bits.keeps(start + at) { 2.0 * source[at] } else { 0.0 };
                assert_eq!((*value, *sum), (expected, 0.5 + expected), "{start} {at}");
            }
        }
    }

    #[test]
    fn steps_seeds_and_neighbours_are_independent() {
        let size = 100_000;
        for p in [0.1f32, 0.5, 0.9] {
            let bits = |seed: u64, step: u64| {
                let mut values = vec![1.0; size];
                Mask::random(p, seed).at(step).apply(0, &mut values, 1.0);
                values
            };
            let (one, next, other) = (bits(0, 0), bits(0, 1), bits(1, 0));
            let mean = |values: &mut dyn Iterator<Item = f32>| values.map(f64::from).sum::<f64>() / size as f64;
            let p = f64::from(p);
            // Four standard errors.
            let near = |found: f64, expected: f64| {
                let error = (expected * (1.0 - expected) / size as f64).sqrt();
                assert!(
                    (found - expected).abs() < 4.0 * error,
                    "p = {p}: {found}, not {expected}"
                );
            };
            near(mean(&mut one.iter().copied()), p);
            for second in [&next, &other, &one[1..].iter().copied().chain([one[0]]).collect()] {
                near(mean(&mut one.iter().zip(second).map(|(a, b)| a * b)), p * p);
            }
        }
    }

    #[test]
    fn what_is_masked_is_zero_whatever_it_was() {
        let mut values = vec![f32::NAN; 64];
        Mask::random(0.5, 0).at(0).apply(0, &mut values, 1.0);
        assert!(values.iter().any(|value| value.is_nan()) && values.contains(&0.0));
    }
}
