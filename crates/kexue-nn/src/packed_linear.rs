//! A linear layer whose weights lie in the order in which its product reads them, for inference.
//!
//! A general matrix product rearranges the weights at every call: they are stored output by output, and the product needs many outputs side by side.
//! For the few rows of a question, that takes longer than the product itself. [`PackedLinear`] is rearranged once. It may keep its weights in 16 bits,
//! which it widens panel by panel.

use crate::kernels::{ColumnBlocks, Linear, Work};
use half::f16;
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// Number of outputs side by side: two vector registers of AVX2, one of AVX-512.
pub(crate) const WIDTH: usize = 16;

/// Number of panels in a piece of parallel work: 128 outputs, so that even small layers occupy several cores.
pub(crate) const PIECE_PANELS: usize = 8;

/// Number of rows that are computed before the next panel. Their inputs stay in the second-level cache.
const BLOCK_ROWS: usize = 96;

/// Number of inputs that are multiplied before the next rows. This part of a panel, 24 KiB, stays in the first-level cache.
const BLOCK_INPUTS: usize = 384;

/// As [`BLOCK_ROWS`], for weights of 16 bits, which are widened once for each block.
const HALF_BLOCK_ROWS: usize = 256;

/// Number of inputs whose weights of 16 bits are widened at once; even.
const WIDENED_INPUTS: usize = 192;

/// The weights of 16 outputs for one input.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Column([f32; WIDTH]);

impl Column {
    const ZERO: Self = Self([0.0; WIDTH]);
}

/// The weights of 16 outputs for two inputs, as the bits of [`f16`]: those for the first input in the lower halves of the words.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct HalfColumns([u32; WIDTH]);

impl HalfColumns {
    /// Rounds two columns to the nearest. `None` if a number is too large, or is none.
    fn round(columns: [Column; 2]) -> Option<Self> {
        let mut words = [0; WIDTH];
        for (word, (first, second)) in words.iter_mut().zip(columns[0].0.iter().zip(columns[1].0)) {
            let halves = [f16::from_f32(*first), f16::from_f32(second)];
            if !halves.iter().all(|half| half.is_finite()) {
                return None;
            }
            *word = u32::from(halves[0].to_bits()) | u32::from(halves[1].to_bits()) << 16;
        }
        Some(Self(words))
    }

    /// Writes the same numbers in 32 bits. Exponent and fraction are moved to their places, and a product corrects the bias of the exponent, also of
    /// numbers below the least normal one.
    #[inline(always)]
    fn widen<S: Simd>(&self, simd: S, columns: &mut [Column; 2]) {
        let (sign, rest) = (simd.splat_u32s(0x8000_0000), simd.splat_u32s(0x7fff_0000));
        let (three, sixteen) = (simd.splat_u32s(3), simd.splat_u32s(16));
        let bias = simd.splat_f32s(f32::from_bits((127 + 112) << 23));
        let [first, second] = columns;
        let first = S::as_mut_simd_f32s(&mut first.0).0.iter_mut();
        let second = S::as_mut_simd_f32s(&mut second.0).0.iter_mut();
        for ((&words, first), second) in S::as_simd_u32s(&self.0).0.iter().zip(first).zip(second) {
            // The bits of a number are in the upper half of a word.
            let widen = |upper| {
                let rest = simd.wrapping_dyn_shr_u32s(simd.and_u32s(upper, rest), three);
                let bits = simd.or_u32s(simd.and_u32s(upper, sign), rest);
                simd.mul_f32s(simd.transmute_f32s_u32s(bits), bias)
            };
            *first = widen(simd.wrapping_dyn_shl_u32s(words, sixteen));
            *second = widen(words);
        }
    }
}

/// Some weights of 16 bits as numbers of 32 bits, for `P` panels.
type Widened<const P: usize> = [[[Column; 2]; WIDENED_INPUTS / 2]; P];

/// The weights in panels of 16 outputs; outputs and inputs that fill up the last ones are 0.
#[derive(Debug)]
enum Weight {
    /// `[outputs / 16, inputs]`.
    Single(Vec<Column>),
    /// `[outputs / 16, inputs / 2]`.
    Half(Vec<HalfColumns>),
}

/// A linear layer with its weights in panels of 16 outputs.
#[derive(Debug)]
pub(crate) struct PackedLinear {
    inputs: usize,
    outputs: usize,
    weight: Weight,
    /// `[outputs / 16]`.
    bias: Vec<Column>,
    /// The instruction set of this processor.
    arch: Arch,
}

impl PackedLinear {
    /// Rearranges the weights of a layer and multiplies them by its factor.
    pub fn new(layer: Linear<'_>) -> Self {
        Self::of(layer, Weight::Single(panels(layer).flatten().collect()))
    }

    /// As [`Self::new`], with weights rounded to 16 bits. `None` if a weight is too large for them, or is not a number.
    pub fn half(layer: Linear<'_>) -> Option<Self> {
        let pairs = panels(layer).flat_map(|mut panel| {
            let next = move || Some([panel.next()?, panel.next().unwrap_or(Column::ZERO)]);
            std::iter::from_fn(next)
        });
        let weight: Option<_> = pairs.map(HalfColumns::round).collect();
        Some(Self::of(layer, Weight::Half(weight?)))
    }

    fn of(layer: Linear<'_>, weight: Weight) -> Self {
        let bias = layer.bias.chunks(WIDTH).map(|values| {
            let mut column = Column::ZERO;
            column.0[..values.len()].copy_from_slice(values);
            column
        });
        Self {
            inputs: layer.inputs(),
            outputs: layer.bias.len(),
            weight,
            bias: bias.collect(),
            arch: Arch::new(),
        }
    }

    /// `y[rows, outputs] = x[rows, inputs]·weightᵀ + bias`.
    ///
    /// Each output is a sum in the order of the inputs. It is the same, bit for bit, for any number of threads and whatever the other rows are.
    ///
    /// # Panics
    /// If a matrix reaches beyond its slice.
    pub fn multiply(&self, work: Work, y: &mut [f32], x: &[f32], rows: usize) {
        let (x, out) = (&x[..rows * self.inputs], ColumnBlocks::new(y, rows, self.outputs));
        let panels = self.bias.len();
        let product = |panels| {
            let (layer, out) = (self, &out);
            self.arch.dispatch(Product { layer, x, out, panels });
        };
        // Disjoint ranges of panels, as `Product` requires.
        work.for_each_range(panels, PIECE_PANELS, product);
    }

    /// The columns of the output that a panel computes.
    #[inline(always)]
    fn columns(&self, panel: usize) -> Range<usize> {
        panel * WIDTH..((panel + 1) * WIDTH).min(self.outputs)
    }
}

/// The weights of a layer, times its factor: for each panel, the columns of its inputs.
fn panels(layer: Linear<'_>) -> impl Iterator<Item = impl Iterator<Item = Column>> {
    let inputs = layer.inputs();
    layer.weight.chunks(WIDTH * inputs).map(move |rows| {
        (0..inputs).map(move |input| {
            let mut column = Column::ZERO;
            for (value, row) in column.0.iter_mut().zip(rows.chunks_exact(inputs)) {
                *value = layer.factor * row[input];
            }
            column
        })
    })
}

/// Asks for a line of 64 bytes, without waiting for it.
#[inline(always)]
#[allow(unsafe_code)]
fn prefetch(line: &HalfColumns) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it changes nothing but what the caches hold.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// The number of rows to compute at once, when so many are left: at most six. Seven rows are four and three, rather than six and one.
#[inline(always)]
pub(crate) fn rows_at_once(left: usize) -> usize {
    match left {
        7..12 => left.div_ceil(2),
        _ => left.min(6),
    }
}

/// The product with some panels, which no other thread computes at the same time.
struct Product<'a> {
    layer: &'a PackedLinear,
    x: &'a [f32],
    out: &'a ColumnBlocks<'a>,
    panels: Range<usize>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    /// A column is `V` vectors, the first number below. With few rows, more panels are computed at once, so that there are enough sums to keep the
    /// multipliers busy and few enough to stay in registers.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.run::<S, 1, 8, 4, 4>(simd),
            8 => self.run::<S, 2, 4, 2, 1>(simd),
            4 => self.run::<S, 4, 4, 1, 1>(simd),
            1 => self.run::<S, 16, 1, 1, 1>(simd),
            lanes => unreachable!("vectors of {lanes} numbers"),
        }
    }
}

impl Product<'_> {
    /// Computes `ONE` panels at once for one row, `FEW` for two or three, and `MANY` for more.
    #[inline(always)]
    fn run<S: Simd, const V: usize, const ONE: usize, const FEW: usize, const MANY: usize>(&self, simd: S) {
        let rows = self.x.len() / self.layer.inputs;
        let block = match self.layer.weight {
            Weight::Single(_) => BLOCK_ROWS,
            Weight::Half(_) => HALF_BLOCK_ROWS,
        };
        for start in (0..rows).step_by(block) {
            let rows = start..(start + block).min(rows);
            match rows.len() {
                1 => self.panels::<S, V, ONE>(simd, rows),
                2 | 3 => self.panels::<S, V, FEW>(simd, rows),
                _ => self.panels::<S, V, MANY>(simd, rows),
            }
        }
    }

    /// Computes the panels, `P` at once.
    #[inline(always)]
    fn panels<S: Simd, const V: usize, const P: usize>(&self, simd: S, rows: Range<usize>) {
        let is_half = matches!(self.layer.weight, Weight::Half(_));
        let mut widened: Option<Widened<P>> = is_half.then_some([[[Column::ZERO; 2]; WIDENED_INPUTS / 2]; P]);
        let mut panel = self.panels.start;
        while panel + P <= self.panels.end {
            self.rows::<S, V, P>(simd, widened.as_mut(), panel, rows.clone());
            panel += P;
        }
        for panel in panel..self.panels.end {
            let widened = widened.as_mut().and_then(|widened| widened.first_chunk_mut());
            self.rows::<S, V, 1>(simd, widened, panel, rows.clone());
        }
    }

    /// Computes rows of `P` panels.
    #[inline(always)]
    fn rows<S: Simd, const V: usize, const P: usize>(
        &self,
        simd: S,
        mut widened: Option<&mut Widened<P>>,
        panel: usize,
        rows: Range<usize>,
    ) {
        let all = self.layer.inputs;
        let step = if widened.is_some() {
            WIDENED_INPUTS
        } else {
            BLOCK_INPUTS
        };
        for start in (0..all).step_by(step) {
            let inputs = start..(start + step).min(all);
            let mut next: [&[HalfColumns]; P] = [&[]; P];
            let weights: [&[Column]; P] = match (&self.layer.weight, &mut widened) {
                (Weight::Single(weight), _) => std::array::from_fn(|p| &weight[(panel + p) * all..][inputs.clone()]),
                (Weight::Half(weight), Some(widened)) => {
                    let all = all.div_ceil(2);
                    let pairs = inputs.start / 2..inputs.end.div_ceil(2);
                    let (after, first) = if pairs.end < all {
                        (panel, pairs.end)
                    } else {
                        (panel + P, 0)
                    };
                    for (p, next) in next.iter_mut().enumerate() {
                        let rest = weight.get((after + p) * all + first..).unwrap_or_default();
                        *next = &rest[..rest.len().min(WIDENED_INPUTS / 2)];
                    }
                    for (p, widened) in widened.iter_mut().enumerate() {
                        let halves = &weight[(panel + p) * all..][pairs.clone()];
                        // A loop, because a closure would be compiled without this instruction set.
                        for (columns, halves) in widened.iter_mut().zip(halves) {
                            halves.widen(simd, columns);
                        }
                    }
                    widened
                        .each_ref()
                        .map(|widened| &widened.as_flattened()[..inputs.len()])
                }
                (Weight::Half(_), None) => unreachable!("weights of 16 bits are widened"),
            };
            self.tiles::<S, V, P>(simd, weights, next, panel, rows.clone(), inputs);
        }
    }

    /// Computes some inputs' part of rows of `P` panels, at most six rows at once. Meanwhile the weights that are widened next come from memory.
    #[inline(always)]
    fn tiles<S: Simd, const V: usize, const P: usize>(
        &self,
        simd: S,
        weights: [&[Column]; P],
        next: [&[HalfColumns]; P],
        panel: usize,
        rows: Range<usize>,
        inputs: Range<usize>,
    ) {
        let mut row = rows.start;
        while row < rows.end {
            let count = rows_at_once(rows.end - row);
            for next in next {
                let place = |row: usize| next.len() * (row - rows.start) / rows.len();
                for line in &next[place(row)..place(row + count)] {
                    prefetch(line);
                }
            }
            match count {
                1 => self.tile::<S, V, P, 1>(simd, weights, panel, row, inputs.clone()),
                2 => self.tile::<S, V, P, 2>(simd, weights, panel, row, inputs.clone()),
                3 => self.tile::<S, V, P, 3>(simd, weights, panel, row, inputs.clone()),
                4 => self.tile::<S, V, P, 4>(simd, weights, panel, row, inputs.clone()),
                5 => self.tile::<S, V, P, 5>(simd, weights, panel, row, inputs.clone()),
                _ => self.tile::<S, V, P, 6>(simd, weights, panel, row, inputs.clone()),
            }
            row += count;
        }
    }

    /// Adds the products with some inputs to the outputs of `R` rows and `P` panels; the products with the first inputs are added to the bias.
    #[inline(always)]
    #[allow(unsafe_code)]
    #[allow(clippy::needless_range_loop)] // sums, rows and weights share the indices
    fn tile<S: Simd, const V: usize, const P: usize, const R: usize>(
        &self,
        simd: S,
        weights: [&[Column]; P],
        panel: usize,
        row: usize,
        inputs: Range<usize>,
    ) {
        let (layer, count) = (self.layer, inputs.len());
        let mut rows: [&[f32]; R] = [&[]; R];
        for (r, x) in rows.iter_mut().enumerate() {
            *x = &self.x[(row + r) * layer.inputs + inputs.start..][..count];
        }
        let weights = weights.map(|weights| &weights[..count]);
        let mut sums = [[[simd.splat_f32s(0.0); V]; P]; R];
        for r in 0..R {
            for p in 0..P {
                let mut start = layer.bias[panel + p];
                if inputs.start > 0 {
                    // SAFETY: no other thread computes this panel, and the reference ends here.
                    let kept = unsafe { self.out.row(row + r, layer.columns(panel + p)) };
                    match <&[f32; WIDTH]>::try_from(&*kept) {
                        Ok(kept) => start.0 = *kept,
                        Err(_) => start.0[..kept.len()].copy_from_slice(kept),
                    }
                }
                sums[r][p].copy_from_slice(S::as_simd_f32s(&start.0).0);
            }
        }
        for k in 0..count {
            for p in 0..P {
                let weight = S::as_simd_f32s(&weights[p][k].0).0;
                for r in 0..R {
                    let x = simd.splat_f32s(rows[r][k]);
                    for v in 0..V {
                        sums[r][p][v] = simd.mul_add_e_f32s(x, weight[v], sums[r][p][v]);
                    }
                }
            }
        }
        for r in 0..R {
            for p in 0..P {
                let mut end = Column([0.0; WIDTH]);
                S::as_mut_simd_f32s(&mut end.0).0.copy_from_slice(&sums[r][p]);
                // SAFETY: as above.
                unsafe { self.out.set(row + r, (panel + p) * WIDTH, &end.0) };
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

    /// Weights, biases and inputs of a product.
    fn product(rows: usize, outputs: usize, inputs: usize) -> [Vec<f32>; 3] {
        [
            random(1, outputs * inputs),
            random(2, outputs),
            random(3, rows * inputs),
        ]
    }

    /// The largest difference from the definition, relative to the sum of the absolute terms.
    fn check(rows: usize, outputs: usize, inputs: usize, factor: f32) {
        let [weight, bias, x] = product(rows, outputs, inputs);
        let layer = Linear {
            weight: &weight,
            bias: &bias,
            factor,
        };
        let packed = PackedLinear::new(layer);
        // One number more than is written.
        let mut y = vec![7.0; rows * outputs + 1];
        packed.multiply(Work::Pieces, &mut y, &x, rows);
        assert_eq!(y.pop(), Some(7.0));
        for (row, y) in x.chunks_exact(inputs).zip(y.chunks_exact(outputs)) {
            for ((weight, bias), &found) in weight.chunks_exact(inputs).zip(&bias).zip(y) {
                let (mut sum, mut size) = (f64::from(*bias), f64::from(bias.abs()));
                for (w, x) in weight.iter().zip(row) {
                    let term = f64::from(factor) * f64::from(*w) * f64::from(*x);
                    sum += term;
                    size += term.abs();
                }
                let difference = (f64::from(found) - sum).abs();
                assert!(
                    difference <= 1e-6 * size,
                    "{rows} × {outputs} × {inputs}: {found} {sum}"
                );
            }
        }
    }

    #[test]
    fn every_small_shape_is_the_definition() {
        for rows in 1..=14 {
            for outputs in 1..=40 {
                for inputs in 1..=9 {
                    check(rows, outputs, inputs, 1.0);
                }
            }
        }
        for rows in 1..=40 {
            for (outputs, inputs) in [(1, 40), (16, 33), (17, 32), (40, 40), (130, 12)] {
                check(rows, outputs, inputs, 0.5);
            }
        }
    }

    #[test]
    fn shapes_beyond_a_block_are_the_definition() {
        for (rows, outputs, inputs) in [(1, 300, 1000), (5, 70, 769), (97, 40, 385), (200, 33, 800)] {
            check(rows, outputs, inputs, 1.0);
        }
    }

    /// `multiply` with some vectors only, so that all instruction sets of this processor are tested.
    #[test]
    fn every_instruction_set_computes_the_same() {
        let (rows, outputs, inputs) = (9, 70, 50);
        let [weight, bias, x] = product(rows, outputs, inputs);
        let layer = Linear {
            weight: &weight,
            bias: &bias,
            factor: 1.0,
        };
        let packed = PackedLinear::new(layer);
        for rows in 1..=rows {
            let run = |scalar: bool| {
                let mut y = vec![0.0; rows * outputs];
                let product = Product {
                    layer: &packed,
                    x: &x[..rows * inputs],
                    out: &ColumnBlocks::new(&mut y, rows, outputs),
                    panels: 0..packed.bias.len(),
                };
                match scalar {
                    true => product.with_simd(pulp::Scalar),
                    false => packed.arch.dispatch(product),
                }
                y
            };
            for (a, b) in run(true).iter().zip(run(false)) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }

    struct Widening<'a>(HalfColumns, &'a mut [Column; 2]);

    impl WithSimd for Widening<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            self.0.widen(simd, self.1);
        }
    }

    #[test]
    fn all_finite_halves_are_widened_exactly() {
        let all = (0..=u16::MAX).map(f16::from_bits).filter(|half| half.is_finite());
        for half in all {
            let wide = half.to_f32();
            let halves = HalfColumns::round([Column([wide; WIDTH]), Column([-wide; WIDTH])]).unwrap();
            let found = |scalar: bool| {
                let mut columns = [Column::ZERO; 2];
                let widening = Widening(halves, &mut columns);
                match scalar {
                    true => widening.with_simd(pulp::Scalar),
                    false => Arch::new().dispatch(widening),
                }
                columns.map(|column| column.0.map(f32::to_bits))
            };
            let expected = [[wide.to_bits(); WIDTH], [(-wide).to_bits(); WIDTH]];
            assert_eq!((found(true), found(false)), (expected, expected), "{half}");
        }
    }

    #[test]
    fn weights_that_16_bits_can_hold_give_the_same_bits() {
        for (rows, outputs, inputs) in [
            (1, 300, 1000),
            (2, 130, 193),
            (9, 70, 385),
            (97, 40, 200),
            (7, 128, 192),
        ] {
            let [mut weight, bias, x] = product(rows, outputs, inputs);
            weight.iter_mut().for_each(|w| *w = f16::from_f32(*w).to_f32());
            let layer = Linear {
                weight: &weight,
                bias: &bias,
                factor: 1.0,
            };
            let run = |packed: PackedLinear, work| {
                let mut y = vec![0.0; rows * outputs];
                packed.multiply(work, &mut y, &x, rows);
                y
            };
            let expected = run(PackedLinear::new(layer), Work::Pieces);
            for work in [Work::Pieces, Work::ParallelPieces] {
                assert_eq!(run(PackedLinear::half(layer).unwrap(), work), expected);
            }
        }
    }

    #[test]
    fn weights_beyond_16_bits_are_refused() {
        for weight in [1e5, -1e5, f32::NAN, f32::INFINITY] {
            let weight = [0.5, weight];
            let layer = Linear {
                weight: &weight,
                bias: &[1.0],
                factor: 1.0,
            };
            assert!(PackedLinear::half(layer).is_none());
        }
    }

    #[test]
    fn neither_threads_nor_other_rows_change_a_bit() {
        let (rows, outputs, inputs) = (101, 300, 500);
        let [weight, bias, x] = product(rows, outputs, inputs);
        let layer = Linear {
            weight: &weight,
            bias: &bias,
            factor: 1.0,
        };
        for packed in [PackedLinear::new(layer), PackedLinear::half(layer).unwrap()] {
            rows_are_independent(&packed, &x, outputs, inputs);
        }
    }

    fn rows_are_independent(packed: &PackedLinear, x: &[f32], outputs: usize, inputs: usize) {
        let run = |work, x: &[f32]| {
            let mut y = vec![0.0; x.len() / inputs * outputs];
            packed.multiply(work, &mut y, x, x.len() / inputs);
            y.iter().map(|y| y.to_bits()).collect::<Vec<_>>()
        };
        let all = run(Work::Pieces, x);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| run(Work::ParallelPieces, x)), all);
        for (start, count) in [(0, 1), (3, 2), (5, 7), (90, 11)] {
            let part = run(Work::Pieces, &x[start * inputs..][..count * inputs]);
            assert_eq!(part, all[start * outputs..][..count * outputs]);
        }
    }
}
