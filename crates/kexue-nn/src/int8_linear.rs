//! A linear layer with weights of eight bits, for inference.
//!
//! Each output's weights are rounded to 255 steps of its own size. Each row of inputs is rounded to 256 steps between its least and its greatest number
//! when the product is computed. Few numbers are far larger than the others and would make all steps large, so these are left out of the rounding: the
//! inputs with the largest weights, and the largest inputs of each row (after LLM.int8(), Dettmers et al., arXiv 2208.07339).
//! Products and sums of the integers are exact, and the others are in a fixed order: the result is the same, bit for bit, for any number of threads,
//! whatever the other rows are, and with any instruction set.

use crate::kernels::{ColumnBlocks, Linear, Work};
use crate::packed_linear::{PIECE_PANELS, WIDTH, rows_at_once};
use rayon::prelude::*;
use std::ops::Range;

/// Number of inputs that one instruction multiplies for each output.
const DEPTH: usize = 4;

/// Number of rows that a thread rounds at once.
const PIECE_ROWS: usize = 16;

/// Number of inputs whose weights are not rounded.
const EXACT: usize = 16;

/// Number of largest inputs of a row that are not rounded.
const LARGEST: usize = 4;

/// Number of inputs below which no sum exceeds 31 bits.
const MOST_INPUTS: usize = i32::MAX as usize / (255 * 127);

/// The weights of 16 outputs for four inputs.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Group([[i8; DEPTH]; WIDTH]);

/// What turns the sums of 16 outputs into numbers.
#[derive(Clone, Copy, Debug)]
struct Panel {
    /// The size of a step of the weights.
    step: [f32; WIDTH],
    bias: [f32; WIDTH],
    /// The sum of the weights, in steps.
    sum: [i32; WIDTH],
    /// The weights of the inputs that are not rounded.
    exact: [[f32; WIDTH]; EXACT],
}

/// A row of inputs, in steps from its least number.
#[derive(Clone, Copy, Debug, Default)]
struct Scale {
    /// The size of a step. NaN if a number of the row is not finite.
    step: f32,
    /// The step that stands for 0.
    zero: i32,
    /// The inputs whose weights are not rounded.
    exact: [f32; EXACT],
    /// The largest of the other inputs, with their places.
    largest: [(usize, f32); LARGEST],
}

/// A linear layer with its weights in panels of 16 outputs.
#[derive(Debug)]
pub(crate) struct Int8Linear {
    inputs: usize,
    outputs: usize,
    /// `[outputs / 16, inputs / 4]`; outputs and inputs that fill up the last ones are 0.
    weight: Vec<Group>,
    /// `[outputs / 16]`.
    panels: Vec<Panel>,
    /// The places of the inputs whose weights are not rounded, ascending; at most [`EXACT`].
    exact: Vec<usize>,
    instructions: Instructions,
}

impl Int8Linear {
    /// Rounds and rearranges the weights of a layer, times its factor. `None` if it has too many inputs for sums of 32 bits: more than 66,312.
    pub fn new(layer: Linear<'_>) -> Option<Self> {
        let (outputs, inputs) = (layer.bias.len(), layer.inputs());
        if inputs > MOST_INPUTS {
            return None;
        }
        let groups = inputs.div_ceil(DEPTH);
        let exact = largest_columns(layer.weight, inputs);
        let mut weight = Vec::with_capacity(outputs.div_ceil(WIDTH) * groups);
        let mut panels = Vec::with_capacity(outputs.div_ceil(WIDTH));
        for (rows, bias) in layer.weight.chunks(WIDTH * inputs).zip(layer.bias.chunks(WIDTH)) {
            let first = weight.len();
            weight.resize(first + groups, Group([[0; DEPTH]; WIDTH]));
            let mut panel = Panel {
                step: [0.0; WIDTH],
                bias: [0.0; WIDTH],
                sum: [0; WIDTH],
                exact: [[0.0; WIDTH]; EXACT],
            };
            panel.bias[..bias.len()].copy_from_slice(bias);
            for (output, row) in rows.chunks_exact(inputs).enumerate() {
                let mut row = row.to_vec();
                for (&at, exact) in exact.iter().zip(&mut panel.exact) {
                    exact[output] = layer.factor * std::mem::take(&mut row[at]);
                }
                let largest = row.iter().fold(0.0, |most: f32, w| most.max(w.abs()));
                let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
                // NaN if a weight is not finite.
                let not_finite: f32 = row.iter().map(|w| 0.0 * w).sum();
                panel.step[output] = layer.factor * (largest / 127.0) + not_finite;
                for (group, numbers) in weight[first..].iter_mut().zip(row.chunks(DEPTH)) {
                    for (steps, number) in group.0[output].iter_mut().zip(numbers) {
                        *steps = (number * inverse).round() as i8;
                        panel.sum[output] += i32::from(*steps);
                    }
                }
            }
            panels.push(panel);
        }
        Some(Self {
            inputs,
            outputs,
            weight,
            panels,
            exact,
            instructions: Instructions::of_this_processor(),
        })
    }

    /// `y[rows, outputs] ≈ x[rows, inputs]·weightᵀ + bias`.
    ///
    /// # Panics
    /// If a matrix reaches beyond its slice.
    pub fn multiply(&self, work: Work, y: &mut [f32], x: &[f32], rows: usize) {
        let x = &x[..rows * self.inputs];
        let groups = self.inputs.div_ceil(DEPTH);
        let (mut steps, mut scales) = (vec![[0; DEPTH]; rows * groups], vec![Scale::default(); rows]);
        match work {
            Work::ParallelPieces => steps
                .par_chunks_mut(PIECE_ROWS * groups)
                .zip(scales.par_chunks_mut(PIECE_ROWS))
                .zip(x.par_chunks(PIECE_ROWS * self.inputs))
                .for_each(|((steps, scales), x)| round(steps, scales, x, &self.exact)),
            Work::Whole | Work::Pieces => round(&mut steps, &mut scales, x, &self.exact),
        }
        let out = &ColumnBlocks::new(y, rows, self.outputs);
        let (x, scales) = (&steps[..], &scales[..]);
        let product = |panels| {
            let product = Product {
                layer: self,
                x,
                scales,
                out,
                panels,
            };
            product.run(self.instructions);
        };
        let panels = self.panels.len();
        // Disjoint ranges of panels, as `Product` requires.
        work.for_each_range(panels, PIECE_PANELS, product);
    }
}

/// The places of the inputs with the largest weights, by the sum of their squares, ascending.
fn largest_columns(weight: &[f32], inputs: usize) -> Vec<usize> {
    let mut squares = vec![0.0f32; inputs];
    for row in weight.chunks_exact(inputs) {
        for (sum, number) in squares.iter_mut().zip(row) {
            *sum += number * number;
        }
    }
    let mut places: Vec<usize> = (0..inputs).collect();
    places.sort_by(|&a, &b| squares[b].total_cmp(&squares[a]));
    // Small layers have no numbers that stand out.
    places.truncate(EXACT.min(inputs / 8));
    places.sort_unstable();
    places
}

/// Number of numbers that are compared side by side.
const LANES: usize = 16;

/// The place of a number of the largest size; 0 if all are 0.
#[inline(always)]
fn place_of_largest(row: &[f32]) -> usize {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sizes = [0.0f32; LANES];
    for chunk in chunks {
        for (size, number) in sizes.iter_mut().zip(chunk) {
            *size = if number.abs() > *size { number.abs() } else { *size };
        }
    }
    let largest = sizes
        .iter()
        .chain(rest)
        .fold(0.0, |most: f32, number| most.max(number.abs()));
    let chunk = chunks.iter().position(|chunk| {
        let equal = chunk.iter().filter(|number| number.abs() == largest);
        equal.count() > 0
    });
    let start = chunk.unwrap_or(chunks.len()) * LANES;
    let within = row[start..].iter().position(|number| number.abs() == largest);
    within.map_or(0, |within| start + within)
}

/// Rounds the rows of `x`, `[rows, inputs]`, to steps, `[rows, inputs / 4]`. Inputs that fill up a group are left alone: their weights are 0.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn round(steps: &mut [[u8; DEPTH]], scales: &mut [Scale], x: &[f32], exact: &[usize]) {
    // Added to a number below 2²², it leaves the nearest whole number in the last bits.
    const SHIFT: f32 = 12_582_912.0;
    let rows = scales.len();
    let (inputs, groups) = (x.len() / rows.max(1), steps.len() / rows.max(1));
    // What is rounded of a row, filled up with zeros.
    let mut rounded = vec![0.0; inputs.next_multiple_of(LANES)];
    let x = x.chunks_exact(inputs);
    for ((row, steps), scale) in x.zip(steps.chunks_exact_mut(groups)).zip(scales) {
        let steps = &mut steps.as_flattened_mut()[..inputs];
        rounded[..inputs].copy_from_slice(row);
        for (exact, &at) in scale.exact.iter_mut().zip(exact) {
            *exact = std::mem::take(&mut rounded[at]);
        }
        for largest in &mut scale.largest {
            let at = place_of_largest(&rounded[..inputs]);
            *largest = (at, std::mem::take(&mut rounded[at]));
        }
        // The bounds include 0, so that 0 is a step.
        let (mut least, mut most, mut not_finite) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for chunk in rounded.as_chunks::<LANES>().0 {
            for lane in 0..LANES {
                let number = chunk[lane];
                least[lane] = if number < least[lane] { number } else { least[lane] };
                most[lane] = if number > most[lane] { number } else { most[lane] };
                not_finite[lane] += 0.0 * number;
            }
        }
        let least: f32 = least.into_iter().fold(0.0, f32::min);
        let most: f32 = most.into_iter().fold(0.0, f32::max);
        let step = (most / 255.0 - least / 255.0) + not_finite.iter().sum::<f32>();
        let inverse = 1.0 / step;
        // A row of zeros, of numbers too small for a step, or with one that is not a number.
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        let zero = (-least * inverse).round();
        scale.step = step;
        scale.zero = zero as i32;
        let (low, high) = (-zero, 255.0 - zero);
        for (steps, number) in steps.iter_mut().zip(&rounded) {
            let number = number * inverse;
            let number = if number > low { number } else { low };
            let number = if number < high { number } else { high };
            *steps = (number + (SHIFT + zero)).to_bits() as u8;
        }
    }
}

/// Instruction sets with code of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Instructions {
    /// All that this processor has, the fastest first.
    fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let some = [
            (
                Self::Avx512Vnni,
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni"),
            ),
            (
                Self::AvxVnni,
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni"),
            ),
            (Self::Avx2, is_x86_feature_detected!("avx2")),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let some: [(Self, bool); 0] = [];
        let some = some.into_iter().filter(|(_, is_there)| *is_there);
        some.map(|(instructions, _)| instructions).chain([Self::Portable])
    }

    fn of_this_processor() -> Self {
        Self::all().next().unwrap_or(Self::Portable)
    }
}

/// Sums of 16 outputs, in the registers of an instruction set, which the processor must have.
trait Sums: Copy {
    fn zero() -> Self;

    /// Adds the products of four inputs.
    fn add(&mut self, weights: &Group, x: [u8; DEPTH]);

    fn finish(self) -> [i32; WIDTH];
}

impl Sums for [i32; WIDTH] {
    #[inline(always)]
    fn zero() -> Self {
        [0; WIDTH]
    }

    #[inline(always)]
    fn add(&mut self, weights: &Group, x: [u8; DEPTH]) {
        for (sum, weights) in self.iter_mut().zip(&weights.0) {
            for (weight, x) in weights.iter().zip(x) {
                *sum += i32::from(*weight) * i32::from(x);
            }
        }
    }

    #[inline(always)]
    fn finish(self) -> Self {
        self
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use super::{DEPTH, Group, Sums, WIDTH};
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    pub struct Avx512Vnni(__m512i);

    impl Sums for Avx512Vnni {
        #[inline(always)]
        fn zero() -> Self {
            // SAFETY: `Sums` requires the instructions.
            Self(unsafe { _mm512_setzero_si512() })
        }

        #[inline(always)]
        fn add(&mut self, weights: &Group, x: [u8; DEPTH]) {
            // SAFETY: `Sums` requires the instructions, and a group is 64 bytes that are aligned.
            self.0 = unsafe {
                let weights = _mm512_load_si512((&raw const *weights).cast());
                _mm512_dpbusd_epi32(self.0, _mm512_set1_epi32(i32::from_le_bytes(x)), weights)
            };
        }

        #[inline(always)]
        fn finish(self) -> [i32; WIDTH] {
            // SAFETY: both are 64 bytes of plain numbers.
            unsafe { std::mem::transmute(self.0) }
        }
    }

    #[derive(Clone, Copy)]
    pub struct AvxVnni([__m256i; 2]);

    impl Sums for AvxVnni {
        #[inline(always)]
        fn zero() -> Self {
            // SAFETY: `Sums` requires the instructions.
            Self([unsafe { _mm256_setzero_si256() }; 2])
        }

        #[inline(always)]
        fn add(&mut self, weights: &Group, x: [u8; DEPTH]) {
            let weights = (&raw const *weights).cast::<__m256i>();
            for (half, sum) in self.0.iter_mut().enumerate() {
                // SAFETY: `Sums` requires the instructions, and a group is twice 32 bytes that are aligned.
                *sum = unsafe {
                    let weights = _mm256_load_si256(weights.add(half));
                    _mm256_dpbusd_avx_epi32(*sum, _mm256_set1_epi32(i32::from_le_bytes(x)), weights)
                };
            }
        }

        #[inline(always)]
        fn finish(self) -> [i32; WIDTH] {
            // SAFETY: both are 64 bytes of plain numbers.
            unsafe { std::mem::transmute(self.0) }
        }
    }

    /// Two sums for each output: of the first two inputs of the groups, and of the last two.
    #[derive(Clone, Copy)]
    pub struct Avx2([__m256i; 4]);

    impl Sums for Avx2 {
        #[inline(always)]
        fn zero() -> Self {
            // SAFETY: `Sums` requires the instructions.
            Self([unsafe { _mm256_setzero_si256() }; 4])
        }

        #[inline(always)]
        fn add(&mut self, weights: &Group, x: [u8; DEPTH]) {
            let weights = (&raw const *weights).cast::<__m128i>();
            // SAFETY: `Sums` requires the instructions, and a group is four times 16 bytes that are aligned.
            unsafe {
                let x = _mm_cvtepu8_epi16(_mm_cvtsi32_si128(i32::from_le_bytes(x)));
                let x = _mm256_broadcastq_epi64(x);
                for (quarter, sum) in self.0.iter_mut().enumerate() {
                    let weights = _mm256_cvtepi8_epi16(_mm_load_si128(weights.add(quarter)));
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(weights, x));
                }
            }
        }

        #[inline(always)]
        fn finish(self) -> [i32; WIDTH] {
            // SAFETY: both are 128 bytes of plain numbers.
            let sums: [[i32; 2]; WIDTH] = unsafe { std::mem::transmute(self.0) };
            sums.map(|[first, last]| first + last)
        }
    }
}

/// The outputs of a panel from the sums of the integers, the bias, and what was not rounded. Fused operations are the same with and without instructions
/// for them.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
#[allow(clippy::needless_range_loop)] // the arrays share the index
fn finish(end: &mut [f32; WIDTH], sum: &[i32; WIDTH], scale: &Scale, panel: &Panel, weights: &[Group]) {
    *end = panel.bias;
    for (x, weights) in scale.exact.iter().zip(&panel.exact) {
        for output in 0..WIDTH {
            end[output] = x.mul_add(weights[output], end[output]);
        }
    }
    // In steps of the weights.
    let mut rest = [0.0f32; WIDTH];
    for output in 0..WIDTH {
        rest[output] = scale.step * (sum[output] - scale.zero * panel.sum[output]) as f32;
    }
    for (place, x) in scale.largest {
        let group = &weights[place / DEPTH].0;
        for output in 0..WIDTH {
            let bytes = i32::from_le_bytes(group[output].map(i8::cast_unsigned));
            let weight = (bytes << (24 - 8 * (place % DEPTH))) >> 24;
            rest[output] = x.mul_add(weight as f32, rest[output]);
        }
    }
    for output in 0..WIDTH {
        end[output] = panel.step[output].mul_add(rest[output], end[output]);
    }
}

/// The product with some panels, which no other thread computes at the same time.
struct Product<'a> {
    layer: &'a Int8Linear,
    /// `[rows, inputs / 4]`.
    x: &'a [[u8; DEPTH]],
    /// `[rows]`.
    scales: &'a [Scale],
    out: &'a ColumnBlocks<'a>,
    panels: Range<usize>,
}

impl Product<'_> {
    /// The second number of `tiles` is how many panels are computed at once: as many as there are registers for six rows.
    #[allow(unsafe_code)]
    fn run(&self, instructions: Instructions) {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512vnni")]
        fn avx512_vnni(product: &Product<'_>) {
            product.tiles::<x86::Avx512Vnni, 4>();
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,avxvnni")]
        fn avx_vnni(product: &Product<'_>) {
            product.tiles::<x86::AvxVnni, 1>();
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn avx2(product: &Product<'_>) {
            product.tiles::<x86::Avx2, 1>();
        }
        match instructions {
            // SAFETY: `Instructions::all` found them.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni => unsafe { avx512_vnni(self) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::AvxVnni => unsafe { avx_vnni(self) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { avx2(self) },
            Instructions::Portable => self.tiles::<[i32; WIDTH], 1>(),
        }
    }

    /// Computes the panels, `P` at once.
    #[inline(always)]
    fn tiles<S: Sums, const P: usize>(&self) {
        let mut panel = self.panels.start;
        while panel + P <= self.panels.end {
            self.rows::<S, P>(panel);
            panel += P;
        }
        for panel in panel..self.panels.end {
            self.rows::<S, 1>(panel);
        }
    }

    /// Computes the rows of `P` panels, at most six at once.
    #[inline(always)]
    fn rows<S: Sums, const P: usize>(&self, panel: usize) {
        let rows = self.scales.len();
        let mut row = 0;
        while row < rows {
            let count = rows_at_once(rows - row);
            match count {
                1 => self.tile::<S, P, 1>(panel, row),
                2 => self.tile::<S, P, 2>(panel, row),
                3 => self.tile::<S, P, 3>(panel, row),
                4 => self.tile::<S, P, 4>(panel, row),
                5 => self.tile::<S, P, 5>(panel, row),
                _ => self.tile::<S, P, 6>(panel, row),
            }
            row += count;
        }
    }

    /// Computes the outputs of `R` rows and `P` panels.
    #[inline(always)]
    #[allow(unsafe_code)]
    #[allow(clippy::needless_range_loop)] // sums, rows and weights share the indices
    fn tile<S: Sums, const P: usize, const R: usize>(&self, panel: usize, row: usize) {
        let layer = self.layer;
        let groups = layer.inputs.div_ceil(DEPTH);
        let mut rows: [&[[u8; DEPTH]]; R] = [&[]; R];
        for (r, x) in rows.iter_mut().enumerate() {
            *x = &self.x[(row + r) * groups..][..groups];
        }
        let mut weights: [&[Group]; P] = [&[]; P];
        for (p, weight) in weights.iter_mut().enumerate() {
            *weight = &layer.weight[(panel + p) * groups..][..groups];
        }
        let mut sums = [[S::zero(); P]; R];
        for k in 0..groups {
            for p in 0..P {
                for r in 0..R {
                    sums[r][p].add(&weights[p][k], rows[r][k]);
                }
            }
        }
        for p in 0..P {
            let at = &layer.panels[panel + p];
            for r in 0..R {
                let mut end = [0.0; WIDTH];
                finish(&mut end, &sums[r][p].finish(), &self.scales[row + r], at, weights[p]);
                // SAFETY: no other thread computes this panel.
                unsafe { self.out.set(row + r, (panel + p) * WIDTH, &end) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn random(seed: u64, length: usize) -> Vec<f32> {
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        (0..length).map(|_| generator.random_range(-1.0..1.0)).collect()
    }

    /// A layer and its inputs, uniform in −1..1.
    struct Case {
        weight: Vec<f32>,
        bias: Vec<f32>,
        x: Vec<f32>,
        rows: usize,
    }

    impl Case {
        fn new(rows: usize, outputs: usize, inputs: usize) -> Self {
            Self {
                weight: random(1, outputs * inputs),
                bias: random(2, outputs),
                x: random(3, rows * inputs),
                rows,
            }
        }

        fn layer(&self, factor: f32) -> Int8Linear {
            let layer = Linear {
                weight: &self.weight,
                bias: &self.bias,
                factor,
            };
            Int8Linear::new(layer).unwrap()
        }

        /// Checks every output against the definition. The steps of both factors bound the error of each product, whose sum is no larger than theirs.
        fn check(&self, factor: f32) {
            let (layer, rows) = (self.layer(factor), self.rows);
            let (outputs, inputs) = (layer.outputs, layer.inputs);
            // One number more than is written.
            let mut y = vec![7.0; rows * outputs + 1];
            layer.multiply(Work::Pieces, &mut y, &self.x, rows);
            assert_eq!(y.pop(), Some(7.0));
            for (row, y) in self.x.chunks_exact(inputs).zip(y.chunks_exact(outputs)) {
                let bound = |values: &[f32]| values.iter().fold(0.0f64, |most, v| most.max(f64::from(v.abs())));
                let x_step = bound(row) * 2.0 / 255.0;
                for ((weight, bias), &found) in self.weight.chunks_exact(inputs).zip(&self.bias).zip(y) {
                    let w_step = bound(weight) / 127.0;
                    let (mut sum, mut allowed) = (f64::from(*bias), 1e-5);
                    for (w, x) in weight.iter().zip(row) {
                        let (w, x) = (f64::from(*w), f64::from(*x));
                        sum += f64::from(factor) * w * x;
                        allowed +=
                            f64::from(factor) * (w.abs() * x_step / 2.0 + (x.abs() + x_step / 2.0) * w_step / 2.0);
                    }
                    let difference = (f64::from(found) - sum).abs();
                    assert!(difference <= allowed, "{rows} × {outputs} × {inputs}: {found} {sum}");
                }
            }
        }
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|number| number.to_bits()).collect()
    }

    #[test]
    fn every_shape_is_the_definition_within_the_steps() {
        for rows in 1..=14 {
            for (outputs, inputs) in [(1, 1), (3, 2), (16, 4), (17, 5), (40, 9), (64, 33), (81, 40), (130, 12)] {
                Case::new(rows, outputs, inputs).check(0.5);
            }
        }
        Case::new(97, 40, 385).check(1.0);
    }

    /// Numbers that are far larger than all others, in the weights and in the inputs, do not coarsen the steps of the others.
    #[test]
    fn outliers_do_not_coarsen_the_steps() {
        let (rows, outputs, inputs) = (5, 40, 200);
        let usual = Case::new(rows, outputs, inputs);
        let error = |case: &Case| {
            let mut y = vec![0.0; rows * outputs];
            case.layer(1.0).multiply(Work::Pieces, &mut y, &case.x, rows);
            let exact = case.x.chunks_exact(inputs).flat_map(|row| {
                let outputs = case.weight.chunks_exact(inputs).zip(&case.bias);
                outputs.map(move |(weight, bias)| bias + weight.iter().zip(row).map(|(w, x)| w * x).sum::<f32>())
            });
            let squares = y.iter().zip(exact).map(|(y, exact)| (y - exact).powi(2));
            squares.sum::<f32>()
        };
        let usual = error(&usual);
        let mut large = Case::new(rows, outputs, inputs);
        for row in large.weight.chunks_exact_mut(inputs) {
            row[17] *= 50.0;
            row[101] *= 20.0;
        }
        assert!(error(&large) < 2.0 * usual, "{} {usual}", error(&large));
        let mut large = Case::new(rows, outputs, inputs);
        for (at, row) in large.x.chunks_exact_mut(inputs).enumerate() {
            row[3 + at] = 1e3;
            row[150] = -1e2;
        }
        // A large input multiplies the rounding of its weight, at most half a step of 1/127. Steps of 1,000/255 for all inputs would add five times as much.
        let weights = (1e3f32.powi(2) + 1e2f32.powi(2)) * rows as f32 * outputs as f32 / 254.0f32.powi(2);
        assert!(
            error(&large) < 2.0 * usual + weights,
            "{} {usual} {weights}",
            error(&large)
        );
    }

    /// Steps that are whole numbers are multiplied without any error.
    #[test]
    fn whole_numbers_are_exact() {
        let (rows, outputs, inputs) = (7, 33, 50);
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let mut whole = |count: usize, bound: i32| -> Vec<f32> {
            (0..count)
                .map(|_| generator.random_range(-bound..=bound) as f32)
                .collect()
        };
        let mut case = Case {
            weight: whole(outputs * inputs, 127),
            bias: whole(outputs, 9),
            x: whole(rows * inputs, 100),
            rows,
        };
        // Some that are not rounded, and the bounds of the others, which give a step of 1.
        for row in case.weight.chunks_exact_mut(inputs) {
            row[..EXACT.min(inputs / 8)].fill(500.0);
            row[10] = 127.0;
        }
        for row in case.x.chunks_exact_mut(inputs) {
            row[20..20 + LARGEST].fill(-1000.0);
            (row[30], row[31]) = (-105.0, 150.0);
        }
        let mut y = vec![0.0; rows * outputs];
        case.layer(1.0).multiply(Work::Pieces, &mut y, &case.x, rows);
        for (row, y) in case.x.chunks_exact(inputs).zip(y.chunks_exact(outputs)) {
            for ((weight, bias), y) in case.weight.chunks_exact(inputs).zip(&case.bias).zip(y) {
                let sum: f32 = weight.iter().zip(row).map(|(w, x)| w * x).sum();
                assert_eq!(*y, bias + sum);
            }
        }
    }

    #[test]
    fn all_instruction_sets_compute_the_same() {
        for (outputs, inputs) in [(70, 50), (130, 64), (16, 3)] {
            for rows in 1..=13 {
                let case = Case::new(rows, outputs, inputs);
                let mut layer = case.layer(1.0);
                let mut results = Instructions::all().map(|instructions| {
                    layer.instructions = instructions;
                    let mut y = vec![0.0; rows * outputs];
                    layer.multiply(Work::Pieces, &mut y, &case.x, rows);
                    (instructions, bits(&y))
                });
                let (_, first) = results.next().unwrap();
                for (instructions, result) in results {
                    assert_eq!(result, first, "{instructions:?}");
                }
            }
        }
    }

    /// The largest steps with one sign, and as many of them as a sum of 31 bits allows.
    #[test]
    fn sums_do_not_overflow() {
        let ones = vec![1.0; MOST_INPUTS + 1];
        let layer = |inputs| {
            Int8Linear::new(Linear {
                weight: &ones[..inputs],
                bias: &[0.0],
                factor: 1.0,
            })
        };
        let mut layer_of_most = layer(MOST_INPUTS).unwrap();
        for sign in [1.0, -1.0] {
            let x = vec![sign; MOST_INPUTS];
            for instructions in Instructions::all() {
                layer_of_most.instructions = instructions;
                let mut y = [0.0];
                layer_of_most.multiply(Work::Pieces, &mut y, &x, 1);
                let expected = sign * MOST_INPUTS as f32;
                assert!((y[0] / expected - 1.0).abs() < 1e-6, "{} {expected}", y[0]);
            }
        }
        assert!(layer(MOST_INPUTS + 1).is_none());
    }

    #[test]
    fn rows_without_steps() {
        let case = Case::new(1, 3, 20);
        let layer = case.layer(1.0);
        let result = |x: &[f32]| {
            let mut y = [0.0; 3];
            layer.multiply(Work::Pieces, &mut y, x, 1);
            y
        };
        assert_eq!(result(&[0.0; 20])[..], case.bias[..], "zeros");
        let tiny = result(&[f32::MIN_POSITIVE / 1024.0; 20]);
        assert!(tiny.iter().zip(&case.bias).all(|(y, bias)| (y - bias).abs() < 1e-6));
        for inputs in [3, 5, 20, 33] {
            let case = Case::new(1, 3, inputs);
            let mut y = [0.0; 3];
            case.layer(1.0)
                .multiply(Work::Pieces, &mut y, &vec![f32::NAN; inputs], 1);
            assert!(y.iter().all(|y| y.is_nan()), "{inputs} that are no numbers");
            let mut case = Case::new(1, 3, inputs);
            case.weight[inputs + 2] = f32::NAN;
            case.layer(1.0).multiply(Work::Pieces, &mut y, &case.x, 1);
            assert_eq!(y.map(f32::is_nan), [false, true, false], "a weight that is no number");
        }
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 7, 19] {
                let mut x = case.x.clone();
                x[at] = number;
                assert!(!result(&x).iter().any(|y| y.is_finite()), "{number} at {at}");
            }
        }
    }

    /// No rounding leaves the range of a step, also where a bound lies between two.
    #[test]
    fn bounds_of_a_row_are_its_first_and_last_step() {
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        for _ in 0..20_000 {
            let (a, b) = (generator.random_range(-1.0..1.0), generator.random_range(-1.0..1.0f32));
            let mut steps = [[0; DEPTH]; 2];
            let mut scale = [Scale::default()];
            round(&mut steps, &mut scale, &[a, b, 2.0, -3.0, 4.0, -5.0], &[]);
            assert_eq!(scale[0].largest, [(5, -5.0), (4, 4.0), (3, -3.0), (2, 2.0)]);
            let (step, zero) = (scale[0].step, scale[0].zero as f32);
            for (number, at) in [a, b, 0.0, 0.0].into_iter().zip(steps[0]) {
                let back = (f32::from(at) - zero) * step;
                assert!(
                    (back - number).abs() <= 0.5001 * step + 1e-7,
                    "{a} {b}: {number} {back}"
                );
            }
        }
    }

    #[test]
    fn neither_threads_nor_other_rows_change_a_bit() {
        let (rows, outputs, inputs) = (101, 300, 500);
        let case = Case::new(rows, outputs, inputs);
        let layer = case.layer(1.0);
        let run = |work, x: &[f32]| {
            let mut y = vec![0.0; x.len() / inputs * outputs];
            layer.multiply(work, &mut y, x, x.len() / inputs);
            bits(&y)
        };
        let all = run(Work::Pieces, &case.x);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| run(Work::ParallelPieces, &case.x)), all);
        for (start, count) in [(0, 1), (3, 2), (5, 7), (90, 11)] {
            let part = run(Work::Pieces, &case.x[start * inputs..][..count * inputs]);
            assert_eq!(part, all[start * outputs..][..count * outputs]);
        }
    }
}
