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

/// The bits of a number that is kept or not, given 16 of them.
#[inline(always)]
fn widen(kept: [u8; 2]) -> u32 {
    i32::from(i16::from_le_bytes(kept)).cast_unsigned()
}

/// Multiplies the values whose bits are set in `kept` by a factor, and sets the others to 0, even if they are not finite.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2"))]
pub(crate) fn keep(values: &mut [f32], kept: &[[u8; 2]], factor: f32) {
    for (value, kept) in values.iter_mut().zip(kept) {
        *value = f32::from_bits((*value * factor).to_bits() & widen(*kept));
    }
}

/// Adds `factor·source` to the values whose bits are set in `kept`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2"))]
pub(crate) fn add_kept(values: &mut [f32], source: &[f32], kept: &[[u8; 2]], factor: f32) {
    for ((value, source), kept) in values.iter_mut().zip(source).zip(kept) {
        *value += f32::from_bits((factor * source).to_bits() & widen(*kept));
    }
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

/// For each bit of `words`, the lowest first, 16 bits of the same value.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2"))]
pub(crate) fn expand_bits(kept: &mut [[u8; 64]], words: &[f32]) {
    for (kept, word) in kept.iter_mut().zip(words) {
        // Hidden, so that the compiler goes through the places of a word side by side, rather than scatter those of many words.
        let word = std::hint::black_box(word.to_bits());
        for (place, kept) in (0u32..).zip(kept.as_chunks_mut::<2>().0) {
            *kept = (((word >> place) & 1) as u16).wrapping_neg().to_le_bytes();
        }
    }
}
