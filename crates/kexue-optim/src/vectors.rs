//! The loops over flat vectors that a step spends its time in, compiled for several instruction sets, of which the best is chosen at run time. Every set
//! computes the same bits: none of the operations is fused with another.

use multiversion::multiversion;

/// `values ← factor·values`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub(crate) fn scale(values: &mut [f32], factor: f32) {
    for value in values {
        *value *= factor;
    }
}

/// `values ← values + factor·source`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub(crate) fn add_scaled(values: &mut [f32], source: &[f32], factor: f32) {
    for (value, source) in values.iter_mut().zip(source) {
        *value += factor * source;
    }
}

/// `values ← values − source`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub(crate) fn subtract(values: &mut [f32], source: &[f32]) {
    for (value, source) in values.iter_mut().zip(source) {
        *value -= source;
    }
}

/// `average ← average + weight·(values − average)`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub(crate) fn approach(average: &mut [f32], values: &[f32], weight: f32) {
    for (average, value) in average.iter_mut().zip(values) {
        *average += weight * (value - *average);
    }
}

/// The constants of a step of Adam.
#[derive(Clone, Copy)]
pub(crate) struct AdamStep {
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    /// The factors that correct the moments' bias.
    pub first_factor: f32,
    pub second_factor: f32,
}

/// Updates the moments, and replaces gradients by Adam's update.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub(crate) fn adam(update: &mut [f32], first: &mut [f32], second: &mut [f32], step: AdamStep) {
    for ((update, first), second) in update.iter_mut().zip(first).zip(second) {
        *first += (1.0 - step.beta1) * (*update - *first);
        *second += (1.0 - step.beta2) * (*update * *update - *second);
        *update = *first * step.first_factor / ((*second * step.second_factor).sqrt() + step.epsilon);
    }
}

/// Multiplies the values whose lane is below the threshold by a factor, and sets the others to 0, even if they are not finite.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2"))]
pub(crate) fn keep_below(values: &mut [f32], lanes: &[[u8; 2]], threshold: u32, factor: f32) {
    for (value, lane) in values.iter_mut().zip(lanes) {
        let scaled = *value * factor;
        *value = if is_below(*lane, threshold) { scaled } else { 0.0 };
    }
}

/// Adds `factor·source` to the values whose lane is below the threshold.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2"))]
pub(crate) fn add_below(values: &mut [f32], source: &[f32], lanes: &[[u8; 2]], threshold: u32, factor: f32) {
    for ((value, source), lane) in values.iter_mut().zip(source).zip(lanes) {
        let scaled = factor * source;
        *value += if is_below(*lane, threshold) { scaled } else { 0.0 };
    }
}

#[inline(always)]
fn is_below(lane: [u8; 2], threshold: u32) -> bool {
    u32::from(u16::from_le_bytes(lane)) < threshold
}

/// Multiplies the values whose bits are set in `words`, 32 to a word, the first in the lowest, by a factor, and sets the others to 0, even if they are not
/// finite.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2"))]
pub(crate) fn keep_bits(values: &mut [f32], words: &[f32], factor: f32) {
    let (blocks, rest) = values.as_chunks_mut::<32>();
    let (whole, last) = words.split_at(blocks.len());
    for (block, word) in blocks.iter_mut().zip(whole) {
        for (place, value) in block.iter_mut().enumerate() {
            let scaled = *value * factor;
            *value = if has_bit(*word, place) { scaled } else { 0.0 };
        }
    }
    for (place, value) in rest.iter_mut().enumerate() {
        *value = if has_bit(last[0], place) { *value * factor } else { 0.0 };
    }
}

/// Adds `factor·source` to the values whose bits are set in `words`, as in [`keep_bits`].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2"))]
pub(crate) fn add_bits(values: &mut [f32], source: &[f32], words: &[f32], factor: f32) {
    let (blocks, rest) = values.as_chunks_mut::<32>();
    let (sources, rest_of_source) = source.as_chunks::<32>();
    let (whole, last) = words.split_at(blocks.len());
    for ((block, source), word) in blocks.iter_mut().zip(sources).zip(whole) {
        for (place, (value, source)) in block.iter_mut().zip(source).enumerate() {
            let scaled = factor * source;
            *value += if has_bit(*word, place) { scaled } else { 0.0 };
        }
    }
    for (place, (value, source)) in rest.iter_mut().zip(rest_of_source).enumerate() {
        *value += if has_bit(last[0], place) { factor * source } else { 0.0 };
    }
}

#[inline(always)]
fn has_bit(word: f32, place: usize) -> bool {
    word.to_bits() & (1 << place) != 0
}

/// The sum of squares, in eight lanes.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let (parts, rest) = values.as_chunks::<8>();
    for part in parts {
        for (lane, &value) in lanes.iter_mut().zip(part) {
            *lane += f64::from(value) * f64::from(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += f64::from(value) * f64::from(value);
    }
    lanes.iter().sum()
}
