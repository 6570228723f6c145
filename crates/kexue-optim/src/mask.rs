//! Masks of parameters: redrawn at every step, or fixed.

use crate::bit_mask::BitMask;
use crate::vectors::{add_kept, keep};

/// Probabilities are multiples of `1/STEPS`, so that 16 random bits decide for one parameter.
const STEPS: f32 = 65536.0;

/// The number of parameters whose mask is computed at a time.
const BLOCK: usize = 1024;

/// The mask of four parameters: 16 bits for each, all set if it is kept. A byte array, so that it can be seen as four lanes.
pub(crate) type Four = [u8; 8];

/// The masks of the block that is computed, and of those that share a word of a fixed mask with its ends.
const FOURS: usize = BLOCK / 4 + 16;

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

/// The highest bit of each lane.
const HIGH: u64 = 0x8000_8000_8000_8000;

/// Decides for the four parameters of a random word, whose lanes are compared with those of `largest`.
#[inline(always)]
fn decide(word: u64, largest: u64) -> Four {
    // Where the highest bits agree, the difference of the others tells; no lane borrows from another.
    let difference = (largest | HIGH) - (word & !HIGH);
    let dropped = ((!largest & word) | (!(largest ^ word) & !difference)) & HIGH;
    (!((dropped - (dropped >> 15)) | dropped)).to_le_bytes()
}

/// Decides for the four parameters of each random word from `first` on.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn draw(kept: &mut [Four], key: u64, first: u64, threshold: u32) {
    let largest = u64::from(threshold - 1) * 0x0001_0001_0001_0001;
    for (kept, index) in kept.iter_mut().zip(first..) {
        *kept = decide(random_word(key, index), largest);
    }
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
        let mut fours = [Four::default(); FOURS];
        self.at(step).look_up(position, 1, &mut fours)[0] != [0; 2]
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
    /// For `count` parameters from `start` on, at most a block: all bits set for those that are kept, none for the others.
    fn look_up(self, start: usize, count: usize, fours: &mut [Four; FOURS]) -> &[[u8; 2]] {
        let before = match self {
            Self::Random { key, threshold } => {
                let before = start % 4;
                let fours = &mut fours[..(before + count).div_ceil(4)];
                draw(fours, key, (start / 4) as u64, threshold);
                before
            }
            Self::Fixed(mask) => mask.look_up(start, count, fours),
        };
        let (lanes, _) = fours.as_flattened().as_chunks();
        &lanes[before..][..count]
    }

    /// Multiplies the kept values from position `start` on by `factor`. The others become 0, even if they are not finite.
    pub(crate) fn apply(self, start: usize, values: &mut [f32], factor: f32) {
        let mut fours = [Four::default(); FOURS];
        for (values, start) in values.chunks_mut(BLOCK).zip((start..).step_by(BLOCK)) {
            let kept = self.look_up(start, values.len(), &mut fours);
            keep(values, kept, factor);
        }
    }

    /// Adds `factor · source` to the kept values from position `start` on.
    pub(crate) fn add(self, start: usize, values: &mut [f32], source: &[f32], factor: f32) {
        let mut fours = [Four::default(); FOURS];
        let blocks = values.chunks_mut(BLOCK).zip(source.chunks(BLOCK));
        for ((values, source), start) in blocks.zip((start..).step_by(BLOCK)) {
            let kept = self.look_up(start, values.len(), &mut fours);
            add_kept(values, source, kept, factor);
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
