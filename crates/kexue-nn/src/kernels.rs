//! The arithmetic of the layers, forward and backward, on slices of `f32` in row-major order.
//!
//! Functions marked `multiversion` are compiled for several instruction sets, and the best one is chosen at run time. Their sums have sixteen
//! lanes, so that the compiler can keep them in vector registers.

use crate::{Activation, TransformerConfig};
use multiversion::multiversion;
use rayon::prelude::*;
use std::ops::Range;

const LANES: usize = 16;

/// A matrix in a slice: `rows × columns`, element `(i, j)` at `i·row_stride + j·column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// Distance between rows, in elements.
    pub row_stride: usize,
    /// Distance between columns, in elements.
    pub column_stride: usize,
}

impl Shape {
    /// Row-major and dense.
    pub fn dense(rows: usize, columns: usize) -> Self {
        Self::strided(rows, columns, columns)
    }

    /// Row-major, with rows `row_stride` elements apart.
    pub fn strided(rows: usize, columns: usize, row_stride: usize) -> Self {
        Self {
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The same elements, transposed.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    fn fits(&self, length: usize) -> bool {
        self.rows == 0
            || self.columns == 0
            || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride < length
    }
}

/// How a product is written: `out = keep·out + factor·a·b`, where `keep` is 1 or 0.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    keep: bool,
    factor: f32,
}

/// `out = a·b`.
pub const SET: Write = Write {
    keep: false,
    factor: 1.0,
};

/// `out += a·b`.
pub const ADD: Write = Write {
    keep: true,
    factor: 1.0,
};

impl Write {
    /// Multiplies the product by a factor.
    pub fn times(self, factor: f32) -> Self {
        Self { factor, ..self }
    }
}

/// The product of two matrices. `write` determines whether it is set or added.
///
/// # Panics
/// If the shapes do not match, or one reaches beyond its slice.
#[allow(unsafe_code)]
pub fn matmul(out: &mut [f32], out_shape: Shape, a: &[f32], a_shape: Shape, b: &[f32], b_shape: Shape, write: Write) {
    let (m, n, k) = (out_shape.rows, out_shape.columns, a_shape.columns);
    assert!(
        a_shape.rows == m && b_shape.rows == k && b_shape.columns == n,
        "matmul: shapes do not match"
    );
    assert!(
        out_shape.fits(out.len()) && a_shape.fits(a.len()) && b_shape.fits(b.len()),
        "matmul: a matrix reaches beyond its slice"
    );
    // SAFETY: the asserts above ensure that every element of the three shapes is within its slice. `out` is borrowed mutably, so it overlaps
    // neither `a` nor `b`.
    unsafe { product(out.as_mut_ptr(), out_shape, a, a_shape, b, b_shape, write) }
}

/// [`matmul`] without its checks.
///
/// # Safety
/// The shapes must match. Every element of `a` and `b` must be within its slice, and every element of `out` must be valid for writes. No other
/// thread may access the elements of `out`.
#[allow(unsafe_code)]
unsafe fn product(out: *mut f32, out_shape: Shape, a: &[f32], a_shape: Shape, b: &[f32], b_shape: Shape, write: Write) {
    // SAFETY: by the function's own conditions.
    unsafe {
        gemm::gemm(
            out_shape.rows,
            out_shape.columns,
            a_shape.columns,
            out,
            out_shape.column_stride as isize,
            out_shape.row_stride as isize,
            write.keep,
            a.as_ptr(),
            a_shape.column_stride as isize,
            a_shape.row_stride as isize,
            b.as_ptr(),
            b_shape.column_stride as isize,
            b_shape.row_stride as isize,
            1.0,
            write.factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// A row-major matrix `[rows, width]` whose blocks of columns may be written by different threads.
pub(crate) struct ColumnBlocks<'a> {
    start: *mut f32,
    rows: usize,
    width: usize,
    matrix: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: the only accesses through a shared reference are `row` and `multiply`, whose conditions keep threads apart.
#[allow(unsafe_code)]
unsafe impl Sync for ColumnBlocks<'_> {}

impl<'a> ColumnBlocks<'a> {
    /// Views the start of `matrix` as `rows` rows of `width` numbers.
    pub fn new(matrix: &'a mut [f32], rows: usize, width: usize) -> Self {
        assert!(rows * width <= matrix.len(), "a matrix reaches beyond its slice");
        Self {
            start: matrix.as_mut_ptr(),
            rows,
            width,
            matrix: std::marker::PhantomData,
        }
    }

    /// The columns `at` of a row.
    ///
    /// # Safety
    /// Nothing else may access these columns of the row while the result lives.
    #[allow(unsafe_code)]
    #[inline(always)]
    #[allow(clippy::mut_from_ref)] // the condition above
    pub unsafe fn row(&self, row: usize, at: Range<usize>) -> &mut [f32] {
        assert!(
            row < self.rows && at.start <= at.end && at.end <= self.width,
            "columns out of range"
        );
        // SAFETY: `new` checked that all rows are within the matrix, and the columns are within its width. The caller excludes other accesses.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.width + at.start), at.len()) }
    }

    /// Sets the columns of a row from `start` on to `values`, as far as there are columns.
    ///
    /// # Safety
    /// Nothing else may access these columns of the row at the same time.
    #[allow(unsafe_code)]
    #[inline(always)]
    pub unsafe fn set<const N: usize>(&self, row: usize, start: usize, values: &[f32; N]) {
        // SAFETY: the caller excludes other accesses, and the reference ends here.
        let columns = unsafe { self.row(row, start..(start + N).min(self.width)) };
        match <&mut [f32; N]>::try_from(&mut *columns) {
            // A copy of a length known at compile time is not a call.
            Ok(columns) => *columns = *values,
            Err(_) => columns.copy_from_slice(&values[..columns.len()]),
        }
    }

    /// Sets the columns `at` to `bias` (0 if it is empty) `+ factor·a·b`.
    ///
    /// # Safety
    /// No other thread may write the same columns at the same time.
    #[allow(unsafe_code)]
    pub unsafe fn multiply(
        &self,
        at: Range<usize>,
        (a, a_shape): (&[f32], Shape),
        (b, b_shape): (&[f32], Shape),
        (bias, factor): (&[f32], f32),
    ) {
        assert!(
            at.start <= at.end && at.end <= self.width && (bias.is_empty() || bias.len() == at.len()),
            "columns out of range"
        );
        assert!(
            a_shape.rows == self.rows && b_shape.rows == a_shape.columns && b_shape.columns == at.len(),
            "matmul: shapes do not match"
        );
        assert!(
            a_shape.fits(a.len()) && b_shape.fits(b.len()),
            "matmul: a matrix reaches beyond its slice"
        );
        let write = if bias.is_empty() { SET } else { ADD }.times(factor);
        // SAFETY: `new` checked that all rows are within the matrix, and the columns are within its width. The caller excludes other threads.
        unsafe {
            let first = self.start.add(at.start);
            for row in 0..if bias.is_empty() { 0 } else { self.rows } {
                std::ptr::copy_nonoverlapping(bias.as_ptr(), first.add(row * self.width), bias.len());
            }
            let shape = Shape::strided(self.rows, at.len(), self.width);
            product(first, shape, a, a_shape, b, b_shape, write);
        }
    }
}

/// How the operations of a forward pass are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Work {
    /// As training does, on the calling thread, with the weights as they are stored.
    #[default]
    Whole,
    /// With packed weights, on the calling thread.
    Pieces,
    /// With packed weights, in pieces on all threads of the current `rayon` pool. No sum crosses pieces, so the results equal those of `Pieces`.
    ParallelPieces,
}

impl Work {
    /// Calls `piece` for every index below `count`.
    pub fn for_each(self, count: usize, piece: impl Fn(usize) + Sync + Send) {
        match self {
            Self::ParallelPieces => (0..count).into_par_iter().with_max_len(1).for_each(piece),
            Self::Whole | Self::Pieces => (0..count).for_each(piece),
        }
    }

    /// Calls `piece` for disjoint ranges that make up `0..count`: those of `size` numbers if they run on several threads, else one.
    pub fn for_each_range(self, count: usize, size: usize, piece: impl Fn(Range<usize>) + Sync + Send) {
        match self {
            Self::ParallelPieces => self.for_each(count.div_ceil(size), |at| {
                let start = at * size;
                piece(start..(start + size).min(count));
            }),
            Self::Whole | Self::Pieces => piece(0..count),
        }
    }
}

/// Number of elements of an activation per piece.
const PIECE_NUMBERS: usize = 8192;

/// The parameters of a linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// `[out, in]`.
    pub weight: &'a [f32],
    /// `[out]`.
    pub bias: &'a [f32],
    /// The factor of the weight.
    pub factor: f32,
}

impl<'a> Linear<'a> {
    /// A layer of a model, with the factor of its parametrization.
    pub(crate) fn new(config: &TransformerConfig, weight: &'a [f32], bias: &'a [f32]) -> Self {
        Self {
            weight,
            bias,
            factor: config.linear_factor(weight.len() / bias.len()),
        }
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }
}

/// `y[rows, out] = factor·x[rows, in]·weightᵀ + bias`.
pub fn linear(y: &mut [f32], x: &[f32], layer: Linear<'_>, rows: usize) {
    let (outputs, inputs) = (layer.bias.len(), layer.inputs());
    for row in y[..rows * outputs].chunks_exact_mut(outputs) {
        row.copy_from_slice(layer.bias);
    }
    matmul(
        y,
        Shape::dense(rows, outputs),
        x,
        Shape::dense(rows, inputs),
        layer.weight,
        Shape::dense(outputs, inputs).t(),
        ADD.times(layer.factor),
    );
}

/// The gradients of [`linear`]: sets `dx`, and adds to the gradients of the weight and the bias.
pub(crate) fn linear_backward(
    dx: &mut [f32],
    (dw, db): (&mut [f32], &mut [f32]),
    dy: &[f32],
    x: &[f32],
    layer: Linear<'_>,
    rows: usize,
) {
    let (outputs, inputs) = (layer.bias.len(), layer.inputs());
    matmul(
        dx,
        Shape::dense(rows, inputs),
        dy,
        Shape::dense(rows, outputs),
        layer.weight,
        Shape::dense(outputs, inputs),
        SET.times(layer.factor),
    );
    matmul(
        dw,
        Shape::dense(outputs, inputs),
        dy,
        Shape::dense(rows, outputs).t(),
        x,
        Shape::dense(rows, inputs),
        ADD.times(layer.factor),
    );
    for row in dy[..rows * outputs].chunks_exact(outputs) {
        add(db, row);
    }
}

/// The first `length` elements of a buffer that never shrinks.
pub(crate) fn resize(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.resize(length.max(buffer.len()), 0.0);
    &mut buffer[..length]
}

/// Some rows of a matrix, one after another in a buffer, whose content they replace.
pub(crate) fn gather<'b>(
    buffer: &'b mut Vec<f32>,
    x: &[f32],
    width: usize,
    rows: impl Iterator<Item = usize>,
) -> &'b [f32] {
    buffer.clear();
    rows.for_each(|row| buffer.extend_from_slice(&x[row * width..][..width]));
    buffer
}

/// The logarithm of a probability, bounded from below in case of underflow. NaN stays NaN, so that a diverged model is visible in its loss.
pub(crate) fn log_of(probability: f32) -> f64 {
    match probability.is_nan() {
        true => f64::NAN,
        false => f64::from(probability.max(1e-37)).ln(),
    }
}

/// `out += x`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn add(out: &mut [f32], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += x;
    }
}

/// `out += factor·x`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn add_scaled(out: &mut [f32], x: &[f32], factor: f32) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += factor * x;
    }
}

#[inline(always)]
fn lanes_sum(lanes: [f32; LANES]) -> f32 {
    // Adds halves to halves: four dependent additions instead of fifteen.
    let (mut eight, mut four) = ([0.0; 8], [0.0; 4]);
    for lane in 0..8 {
        eight[lane] = lanes[lane] + lanes[lane + 8];
    }
    for lane in 0..4 {
        four[lane] = eight[lane] + eight[lane + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

#[inline(always)]
fn sum_inline(x: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for chunk in x.chunks(LANES) {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    lanes_sum(lanes)
}

#[inline(always)]
fn dot_inline(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((a_chunks, a_rest), (b_chunks, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut rest = 0.0;
    for (a, b) in a_rest.iter().zip(b_rest) {
        rest += a * b;
    }
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes_sum(lanes) + rest
}

/// `Σ a·b`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_inline(a, b)
}

/// The norm of each row of `x`: `normal` gets `(x − mean)/std`, `y` gets `γ·normal + β`, and `inverse_std` one number per row.
///
/// Without β, it is an RMS norm, which subtracts no mean and adds no β.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn norm(
    y: &mut [f32],
    normal: &mut [f32],
    inverse_std: &mut [f32],
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
) {
    let width = gamma.len();
    let centred = !beta.is_empty();
    let rows = x
        .chunks_exact(width)
        .zip(y.chunks_exact_mut(width))
        .zip(normal.chunks_exact_mut(width))
        .zip(inverse_std);
    for (((x, y), normal), inverse_std) in rows {
        let mean = if centred { sum_inline(x) / width as f32 } else { 0.0 };
        for (normal, x) in normal.iter_mut().zip(x) {
            *normal = x - mean;
        }
        let variance = dot_inline(normal, normal) / width as f32;
        *inverse_std = 1.0 / (variance + epsilon).sqrt();
        for i in 0..width {
            normal[i] *= *inverse_std;
            y[i] = normal[i] * gamma[i];
        }
        for (y, beta) in y.iter_mut().zip(beta) {
            *y += beta;
        }
    }
}

/// The gradients of [`norm`]: adds to the gradients of `γ` and `β`, and to `dx`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn norm_backward(
    dx: &mut [f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
    dy: &[f32],
    normal: &[f32],
    inverse_std: &[f32],
    gamma: &[f32],
) {
    let width = gamma.len();
    let rows = dx
        .chunks_exact_mut(width)
        .zip(dy.chunks_exact(width))
        .zip(normal.chunks_exact(width))
        .zip(inverse_std);
    for (((dx, dy), normal), inverse_std) in rows {
        let (mut sum, mut sum_normal) = ([0.0; LANES], [0.0; LANES]);
        for start in (0..width).step_by(LANES) {
            for lane in 0..LANES.min(width - start) {
                let i = start + lane;
                let scaled = dy[i] * gamma[i];
                sum[lane] += scaled;
                sum_normal[lane] += scaled * normal[i];
                dgamma[i] += dy[i] * normal[i];
            }
        }
        for (dbeta, dy) in dbeta.iter_mut().zip(dy) {
            *dbeta += dy;
        }
        let mean = if dbeta.is_empty() {
            0.0
        } else {
            lanes_sum(sum) / width as f32
        };
        let mean_normal = lanes_sum(sum_normal) / width as f32;
        for i in 0..width {
            dx[i] += inverse_std * (dy[i] * gamma[i] - mean - normal[i] * mean_normal);
        }
    }
}

/// `eˣ` to about 2 units in the last place, without branches. Clamps x to −87.3 and 88.
#[inline(always)]
pub fn exp_inline(x: f32) -> f32 {
    let x = x.clamp(-87.3, 88.0);
    // x = n·ln 2 + r with |r| ≤ ln 2 / 2; the magic number rounds to an integer.
    let shifted = x * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let mut polynomial = 1.987_569_1e-4;
    polynomial = polynomial * r + 1.398_199_9e-3;
    polynomial = polynomial * r + 8.333_452e-3;
    polynomial = polynomial * r + 4.166_579_6e-2;
    polynomial = polynomial * r + 1.666_666_5e-1;
    polynomial = polynomial * r + 5e-1;
    let fraction = polynomial * r * r + r + 1.0;
    let power = f32::from_bits(((shifted.to_bits() as i32).wrapping_sub(0x4b40_0000).wrapping_add(127) << 23) as u32);
    fraction * power
}

/// Softmax of a row in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn softmax(row: &mut [f32]) {
    softmax_inline(row);
}

#[inline(always)]
fn softmax_inline(row: &mut [f32]) {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in row.chunks(LANES) {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = lane.max(*x);
        }
    }
    let largest = lanes.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let mut sums = [0.0; LANES];
    for chunk in row.chunks_mut(LANES) {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *x = exp_inline(*x - largest);
            *sum += *x;
        }
    }
    let inverse = 1.0 / lanes_sum(sums);
    for x in row {
        *x *= inverse;
    }
}

/// Attention of one query `[heads · head_dim]`, already scaled, over the rows of `keys` and `values` that it sees.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn attend(
    out: &mut [f32],
    query: &[f32],
    keys: &[f32],
    values: &[f32],
    visible: &[u32],
    heads: usize,
    scores: &mut Vec<f32>,
) {
    // A head of a width known at compile time stays in registers.
    match query.len() / heads {
        16 => attend_inline::<16>(out, query, keys, values, visible, 16, scores),
        32 => attend_inline::<32>(out, query, keys, values, visible, 32, scores),
        64 => attend_inline::<64>(out, query, keys, values, visible, 64, scores),
        head_dim => attend_inline::<0>(out, query, keys, values, visible, head_dim, scores),
    }
}

/// [`attend`] for heads of width `WIDTH`, or of `head_dim` where `WIDTH` is 0.
#[inline(always)]
fn attend_inline<const WIDTH: usize>(
    out: &mut [f32],
    query: &[f32],
    keys: &[f32],
    values: &[f32],
    visible: &[u32],
    head_dim: usize,
    scores: &mut Vec<f32>,
) {
    let head_dim = if WIDTH == 0 { head_dim } else { WIDTH };
    let width = query.len();
    let heads = query.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim));
    for (head, (query, out)) in heads.enumerate() {
        scores.resize(visible.len(), 0.0);
        // A loop, because a closure would be compiled for the baseline processor.
        for (score, &row) in scores.iter_mut().zip(visible) {
            *score = dot_inline(query, &keys[row as usize * width + head * head_dim..][..head_dim]);
        }
        softmax_inline(scores);
        let weighted = visible.iter().zip(scores.iter());
        if WIDTH == 0 {
            out.fill(0.0);
            for (&row, &weight) in weighted {
                for (out, value) in out
                    .iter_mut()
                    .zip(&values[row as usize * width + head * head_dim..][..head_dim])
                {
                    *out += weight * value;
                }
            }
        } else {
            let mut sums = [0.0; WIDTH];
            for (&row, &weight) in weighted {
                let value = &values[row as usize * width + head * head_dim..][..head_dim];
                for lane in 0..WIDTH {
                    sums[lane] += weight * value[lane];
                }
            }
            out.copy_from_slice(&sums);
        }
    }
}

/// `Φ(x)`, the normal distribution function, and `e^(−x²/2)`; Abramowitz & Stegun 7.1.26, within 1.5e-7.
#[inline(always)]
fn normal_distribution(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let bell = exp_inline(-z * z);
    let tail =
        0.5 * t * (0.254_829_6 + t * (-0.284_496_73 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4)))) * bell;
    let distribution = if x < 0.0 { tail } else { 1.0 - tail };
    (distribution, bell)
}

/// The exact GELU, `x·Φ(x)`, of Hendrycks & Gimpel (arXiv 1606.08415).
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn gelu(y: &mut [f32], x: &[f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x * normal_distribution(x).0;
    }
}

/// Multiplies `dy` by the derivative of [`gelu`] at `x`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn gelu_backward(dy: &mut [f32], x: &[f32]) {
    for (dy, &x) in dy.iter_mut().zip(x) {
        let (distribution, bell) = normal_distribution(x);
        *dy *= distribution + x * bell * 0.398_942_3;
    }
}

/// GPT-2's approximation of `Φ(x)`, `(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2`, which is a logistic function, and its derivative.
#[inline(always)]
fn tanh_distribution(x: f32) -> (f32, f32) {
    const TWICE_ROOT: f32 = 1.595_769_2;
    let z = TWICE_ROOT * (x + 0.044_715 * x * x * x);
    let distribution = 1.0 / (1.0 + exp_inline(-z));
    let slope = distribution * (1.0 - distribution) * TWICE_ROOT * (1.0 + 0.134_145 * x * x);
    (distribution, slope)
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn gelu_tanh(y: &mut [f32], x: &[f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x * tanh_distribution(x).0;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn gelu_tanh_backward(dy: &mut [f32], x: &[f32]) {
    for (dy, &x) in dy.iter_mut().zip(x) {
        let (distribution, slope) = tanh_distribution(x);
        *dy *= distribution + x * slope;
    }
}

/// The activation of each element.
pub(crate) fn activate(activation: Activation, y: &mut [f32], x: &[f32]) {
    match activation {
        Activation::Gelu => gelu(y, x),
        Activation::GeluTanh => gelu_tanh(y, x),
        Activation::Relu => y.iter_mut().zip(x).for_each(|(y, x)| *y = x.max(0.0)),
    }
}

/// [`activate`], computed with `work`.
pub(crate) fn activate_with(work: Work, activation: Activation, y: &mut [f32], x: &[f32]) {
    match work {
        Work::ParallelPieces => y
            .par_chunks_mut(PIECE_NUMBERS)
            .zip(x.par_chunks(PIECE_NUMBERS))
            .for_each(|(y, x)| activate(activation, y, x)),
        Work::Whole | Work::Pieces => activate(activation, y, x),
    }
}

/// Multiplies `dy` by the derivative of [`activate`] at `x`.
pub(crate) fn activate_backward(activation: Activation, dy: &mut [f32], x: &[f32]) {
    match activation {
        Activation::Gelu => gelu_backward(dy, x),
        Activation::GeluTanh => gelu_tanh_backward(dy, x),
        Activation::Relu => dy.iter_mut().zip(x).for_each(|(dy, &x)| {
            if x <= 0.0 {
                *dy = 0.0;
            }
        }),
    }
}

/// Cosines and sines of rotary positions (RoFormer, arXiv 2104.09864): pair `i` of a head is rotated by `position / 10000^(2i/head_dim)`.
#[derive(Clone, Debug, Default)]
pub struct Rotary {
    half: usize,
    /// `[position, head_dim / 2]` of (cosine, sine).
    table: Vec<(f32, f32)>,
}

impl Rotary {
    /// Creates the table of all positions below `length`, for heads of this width.
    pub fn new(head_dim: usize, length: usize) -> Self {
        let mut rotary = Self::default();
        rotary.for_heads(head_dim);
        rotary.reserve(length);
        rotary
    }

    /// (cosine, sine), `[position, head_dim / 2]`.
    pub fn table(&self) -> &[(f32, f32)] {
        &self.table
    }

    /// Clears the table if the head width has changed.
    pub(crate) fn for_heads(&mut self, head_dim: usize) {
        if self.half != head_dim / 2 {
            *self = Self {
                half: head_dim / 2,
                table: Vec::new(),
            };
        }
    }

    /// Computes the table for all positions below `length`.
    pub(crate) fn reserve(&mut self, length: usize) {
        let half = self.half;
        if half == 0 {
            // Heads of width 1 occur only with learned positions, so there is nothing to rotate.
            return;
        }
        for position in self.table.len() / half..length {
            self.table.extend((0..half).map(|i| {
                let angle = position as f64 * 10_000f64.powf(-(i as f64) / half as f64);
                (angle.cos() as f32, angle.sin() as f32)
            }));
        }
    }

    /// Rotates every head of a row `[heads · head_dim]` to its position, or back from it.
    pub(crate) fn rotate(&self, row: &mut [f32], position: usize, back: bool) {
        let table = &self.table[position * self.half..][..self.half];
        let sign = if back { -1.0 } else { 1.0 };
        for head in row.chunks_exact_mut(2 * self.half) {
            for (pair, &(cosine, sine)) in head.chunks_exact_mut(2).zip(table) {
                let (a, b, sine) = (pair[0], pair[1], sign * sine);
                pair[0] = a * cosine - b * sine;
                pair[1] = b * cosine + a * sine;
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
        (0..length).map(|_| generator.random_range(-2.0..2.0)).collect()
    }

    #[test]
    fn exponential_is_accurate() {
        for i in -8700..8800 {
            let x = i as f32 * 0.01;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp_inline(x)) - exact).abs() <= exact * 4e-7, "exp({x})");
        }
        assert!(exp_inline(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn softmax_sums_to_one() {
        let mut row = random(1, 37);
        row[3] = f32::NEG_INFINITY;
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(row[3] < 1e-30);
    }

    #[test]
    fn attention_of_every_width_is_that_of_the_definition() {
        for head_dim in [1, 8, 16, 24, 32, 64] {
            let (heads, rows) = (3, 21);
            let width = heads * head_dim;
            let (query, keys, values) = (random(3, width), random(4, rows * width), random(5, rows * width));
            let visible = [0, 3, 4, 5, 11, 20];
            let (mut out, mut scores) = (vec![f32::NAN; width], vec![f32::NAN; 40]);
            attend(&mut out, &query, &keys, &values, &visible, heads, &mut scores);
            for (at, &found) in out.iter().enumerate() {
                let head = at / head_dim * head_dim;
                let score = |row: u32| -> f64 {
                    let key = &keys[row as usize * width..][..width];
                    (head..head + head_dim)
                        .map(|i| f64::from(query[i]) * f64::from(key[i]))
                        .sum()
                };
                let weights: Vec<f64> = visible.iter().map(|&row| score(row).exp()).collect();
                let sum: f64 = weights.iter().sum();
                let weighed = visible.iter().zip(&weights);
                let expected: f64 = weighed
                    .map(|(&row, w)| w * f64::from(values[row as usize * width + at]))
                    .sum();
                assert!(
                    (f64::from(found) - expected / sum).abs() < 1e-4,
                    "{head_dim}: {found} {}",
                    expected / sum
                );
            }
        }
    }

    #[test]
    fn gelu_matches_its_table_and_its_derivative() {
        // x·Φ(x) to ten digits.
        let exact = [
            (-3.0, -0.004_049_694),
            (-1.0, -0.158_655_25),
            (0.0, 0.0),
            (0.5, 0.345_731_23),
            (2.0, 1.954_499_7),
        ];
        for (x, expected) in exact {
            let mut y = [0.0];
            gelu(&mut y, &[x]);
            assert!((y[0] - expected).abs() < 1e-6, "gelu({x}) = {}", y[0]);
        }
        // PyTorch's gelu(x, approximate='tanh').
        for (x, expected) in [(-1.0, -0.158_808_01), (0.5, 0.345_714), (2.0, 1.954_597_7)] {
            let mut y = [0.0];
            gelu_tanh(&mut y, &[x]);
            assert!((y[0] - expected).abs() < 1e-6, "gelu_tanh({x}) = {}", y[0]);
        }
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
            for x in random(2, 100) {
                let (mut up, mut down, mut slope) = ([0.0], [0.0], [1.0]);
                activate(activation, &mut up, &[x + 1e-2]);
                activate(activation, &mut down, &[x - 1e-2]);
                activate_backward(activation, &mut slope, &[x]);
                let kink = activation == Activation::Relu && x.abs() < 1e-2;
                assert!(
                    kink || ((up[0] - down[0]) / 2e-2 - slope[0]).abs() < 1e-4,
                    "{activation:?}({x})"
                );
            }
        }
    }

    #[test]
    fn matmul_matches_the_definition() {
        let (m, k, n) = (5, 7, 3);
        let (a, b) = (random(3, m * k), random(4, n * k));
        let mut out = vec![1.0; m * n];
        matmul(
            &mut out,
            Shape::dense(m, n),
            &a,
            Shape::dense(m, k),
            &b,
            Shape::dense(n, k).t(),
            ADD.times(2.0),
        );
        for i in 0..m {
            for j in 0..n {
                let expected = 1.0 + 2.0 * (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum::<f32>();
                assert!((out[i * n + j] - expected).abs() < 1e-4);
            }
        }
    }

    #[test]
    #[should_panic(expected = "reaches beyond")]
    fn matmul_refuses_a_short_slice() {
        let shape = Shape::dense(2, 2);
        matmul(&mut [0.0; 3], shape, &[0.0; 4], shape, &[0.0; 4], shape, SET);
    }

    #[test]
    fn turning_back_undoes_turning() {
        let mut rotary = Rotary::default();
        rotary.for_heads(8);
        rotary.reserve(20);
        let row = random(5, 16);
        let mut turned = row.clone();
        rotary.rotate(&mut turned, 19, false);
        assert!(row.iter().zip(&turned).any(|(a, b)| (a - b).abs() > 0.1));
        rotary.rotate(&mut turned, 19, true);
        assert!(row.iter().zip(&turned).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn odd_widths_are_summed_whole() {
        let (a, b) = (random(6, 35), random(7, 35));
        let exact: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
        assert!((dot(&a, &b) - exact).abs() < 1e-4);
    }
}
