//! A linear layer whose weights lie in the order in which its product reads them, for inference.
//!
//! A general matrix product rearranges the weights at every call: they are stored output by output, and the product needs many outputs side by side.
//! For the few rows of a question, that takes longer than the product itself. [`PackedLinear`] is rearranged once.

use crate::kernels::{ColumnBlocks, Linear, Work};
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

/// The weights of 16 outputs for one input.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Column([f32; WIDTH]);

/// A linear layer with its weights in panels of 16 outputs.
#[derive(Debug)]
pub(crate) struct PackedLinear {
    inputs: usize,
    outputs: usize,
    /// `[outputs / 16, inputs]`; outputs that fill up the last panel are 0.
    weight: Vec<Column>,
    /// `[outputs / 16]`.
    bias: Vec<Column>,
    /// The instruction set of this processor.
    arch: Arch,
}

impl PackedLinear {
    /// Rearranges the weights of a layer and multiplies them by its factor.
    pub fn new(layer: Linear<'_>) -> Self {
        let (outputs, inputs) = (layer.bias.len(), layer.inputs());
        let panels = outputs.div_ceil(WIDTH);
        let (mut weight, mut bias) = (Vec::with_capacity(panels * inputs), Vec::with_capacity(panels));
        for (rows, values) in layer.weight.chunks(WIDTH * inputs).zip(layer.bias.chunks(WIDTH)) {
            let mut column = Column([0.0; WIDTH]);
            column.0[..values.len()].copy_from_slice(values);
            bias.push(column);
            for input in 0..inputs {
                let mut column = Column([0.0; WIDTH]);
                for (value, row) in column.0.iter_mut().zip(rows.chunks_exact(inputs)) {
                    *value = layer.factor * row[input];
                }
                weight.push(column);
            }
        }
        Self {
            inputs,
            outputs,
            weight,
            bias,
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
        for start in (0..rows).step_by(BLOCK_ROWS) {
            let rows = start..(start + BLOCK_ROWS).min(rows);
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
        let mut panel = self.panels.start;
        while panel + P <= self.panels.end {
            self.rows::<S, V, P>(simd, panel, rows.clone());
            panel += P;
        }
        for panel in panel..self.panels.end {
            self.rows::<S, V, 1>(simd, panel, rows.clone());
        }
    }

    /// Computes rows of `P` panels, at most six at once.
    #[inline(always)]
    fn rows<S: Simd, const V: usize, const P: usize>(&self, simd: S, panel: usize, rows: Range<usize>) {
        for start in (0..self.layer.inputs).step_by(BLOCK_INPUTS) {
            let inputs = start..(start + BLOCK_INPUTS).min(self.layer.inputs);
            let mut row = rows.start;
            while row < rows.end {
                let count = rows_at_once(rows.end - row);
                match count {
                    1 => self.tile::<S, V, P, 1>(simd, panel, row, inputs.clone()),
                    2 => self.tile::<S, V, P, 2>(simd, panel, row, inputs.clone()),
                    3 => self.tile::<S, V, P, 3>(simd, panel, row, inputs.clone()),
                    4 => self.tile::<S, V, P, 4>(simd, panel, row, inputs.clone()),
                    5 => self.tile::<S, V, P, 5>(simd, panel, row, inputs.clone()),
                    _ => self.tile::<S, V, P, 6>(simd, panel, row, inputs.clone()),
                }
                row += count;
            }
        }
    }

    /// Adds the products with some inputs to the outputs of `R` rows and `P` panels; the products with the first inputs are added to the bias.
    #[inline(always)]
    #[allow(unsafe_code)]
    #[allow(clippy::needless_range_loop)] // sums, rows and weights share the indices
    fn tile<S: Simd, const V: usize, const P: usize, const R: usize>(
        &self,
        simd: S,
        panel: usize,
        row: usize,
        inputs: Range<usize>,
    ) {
        let (layer, count) = (self.layer, inputs.len());
        let mut rows: [&[f32]; R] = [&[]; R];
        for (r, x) in rows.iter_mut().enumerate() {
            *x = &self.x[(row + r) * layer.inputs + inputs.start..][..count];
        }
        let mut weights: [&[Column]; P] = [&[]; P];
        for (p, weight) in weights.iter_mut().enumerate() {
            *weight = &layer.weight[(panel + p) * layer.inputs + inputs.start..][..count];
        }
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

    #[test]
    fn neither_threads_nor_other_rows_change_a_bit() {
        let (rows, outputs, inputs) = (101, 300, 500);
        let [weight, bias, x] = product(rows, outputs, inputs);
        let layer = Linear {
            weight: &weight,
            bias: &bias,
            factor: 1.0,
        };
        let packed = PackedLinear::new(layer);
        let run = |work, x: &[f32]| {
            let mut y = vec![0.0; x.len() / inputs * outputs];
            packed.multiply(work, &mut y, x, x.len() / inputs);
            y.iter().map(|y| y.to_bits()).collect::<Vec<_>>()
        };
        let all = run(Work::Pieces, &x);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| run(Work::ParallelPieces, &x)), all);
        for (start, count) in [(0, 1), (3, 2), (5, 7), (90, 11)] {
            let part = run(Work::Pieces, &x[start * inputs..][..count * inputs]);
            assert_eq!(part, all[start * outputs..][..count * outputs]);
        }
    }
}
