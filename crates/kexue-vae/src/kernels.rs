//! Passes over rows of numbers, fused with their loss or draws. Matrix products are those of `kexue-nn`.

use kexue_nn::kernels::exp_inline;
use multiversion::multiversion;

const LANES: usize = 16;
/// `½·log 2π`.
pub(crate) const HALF_LOG_TAU: f32 = 0.918_938_5;

#[inline(always)]
fn sum_of(lanes: [f32; LANES]) -> f32 {
    let mut sum = 0.0;
    for lane in lanes {
        sum += lane;
    }
    sum
}

/// `tanh` of each number, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn tanh(x: &mut [f32]) {
    for x in x {
        *x = 1.0 - 2.0 / (exp_inline(2.0 * *x) + 1.0);
    }
}

/// Multiplies `dy` by the derivative of `tanh`, given its values.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn tanh_backward(dy: &mut [f32], y: &[f32]) {
    for (dy, y) in dy.iter_mut().zip(y) {
        *dy *= 1.0 - y * y;
    }
}

/// `Σ x·l − log(1 + eˡ)`: the log-likelihood of a row under independent Bernoulli distributions with logits l. With `GRADIENT`, the logits are replaced by
/// its derivatives, `x − σ(l)`.
#[inline(always)]
fn bernoulli_inline<const GRADIENT: bool>(logits: &mut [f32], x: &[f32]) -> f32 {
    // log(1 + eˡ) = max(l, 0) + log(1 + e^−|l|). The arguments 1 + e^−|l| are within 1 and 2, so products of 100 of them do not overflow, and one
    // logarithm of the product is enough.
    let (mut sum, mut logs) = (0.0, 0.0f64);
    for (logits, x) in logits.chunks_mut(100 * LANES).zip(x.chunks(100 * LANES)) {
        let (mut sums, mut products) = ([0.0; LANES], [1.0f32; LANES]);
        let (chunks, rest) = logits.as_chunks_mut::<LANES>();
        let (x_chunks, x_rest) = x.as_chunks::<LANES>();
        for (logits, x) in chunks.iter_mut().zip(x_chunks) {
            for lane in 0..LANES {
                let logit = logits[lane];
                let small = exp_inline(-logit.abs());
                sums[lane] += x[lane] * logit - logit.max(0.0);
                products[lane] *= 1.0 + small;
                if GRADIENT {
                    let upper = if logit >= 0.0 { 1.0 } else { small };
                    logits[lane] = x[lane] - upper / (1.0 + small);
                }
            }
        }
        for (logit, x) in rest.iter_mut().zip(x_rest) {
            let small = exp_inline(-logit.abs());
            sums[0] += x * *logit - logit.max(0.0);
            logs += f64::from(small).ln_1p();
            if GRADIENT {
                let upper = if *logit >= 0.0 { 1.0 } else { small };
                *logit = x - upper / (1.0 + small);
            }
        }
        for product in products {
            logs += f64::from(product).ln();
        }
        sum += sum_of(sums);
    }
    sum - logs as f32
}

/// [`bernoulli_inline`] for each row. Row r of the logits belongs to row r/`share` of x.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn bernoulli(logits: &mut [f32], x: &[f32], width: usize, share: usize, gradient: bool, out: &mut [f64]) {
    for (row, (logits, out)) in logits.chunks_exact_mut(width).zip(out).enumerate() {
        let x = &x[row / share * width..][..width];
        *out += f64::from(match gradient {
            true => bernoulli_inline::<true>(logits, x),
            false => bernoulli_inline::<false>(logits, x),
        });
    }
}

/// Draws from normal distributions: `z = μ + σ·noise`. Row r belongs to row r/`share` of the statistics `[μ | log σ]`. Subtracts `factor·log q(z)` from
/// each number of `out`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn draw_normal(
    z: &mut [f32],
    noise: &[f32],
    statistics: &[f32],
    width: usize,
    share: usize,
    factor: f64,
    out: &mut [f64],
) {
    let rows = z.chunks_exact_mut(width).zip(noise.chunks_exact(width)).zip(out);
    for (row, ((z, noise), out)) in rows.enumerate() {
        let (mean, log_deviation) = statistics[row / share * 2 * width..][..2 * width].split_at(width);
        let mut log = 0.0;
        for i in 0..width {
            z[i] = mean[i] + exp_inline(log_deviation[i]) * noise[i];
            log += 0.5 * noise[i] * noise[i] + log_deviation[i];
        }
        *out += factor * f64::from(log + HALF_LOG_TAU * width as f32);
    }
}

/// Adds `factor·log N(z; μ, σ)` of each row to `out`. The statistics `[μ | log σ]` have one row for each row of z.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn normal(z: &[f32], statistics: &[f32], width: usize, factor: f64, out: &mut [f64]) {
    let rows = z.chunks_exact(width).zip(statistics.chunks_exact(2 * width)).zip(out);
    for ((z, statistics), out) in rows {
        let (mean, log_deviation) = statistics.split_at(width);
        let mut log = 0.0;
        for i in 0..width {
            let u = (z[i] - mean[i]) * exp_inline(-log_deviation[i]);
            log -= 0.5 * u * u + log_deviation[i];
        }
        *out += factor * f64::from(log - HALF_LOG_TAU * width as f32);
    }
}

/// Adds the derivatives of [`normal`] times `scale[row]` to `dz`, and replaces the statistics by those with respect to them.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn normal_backward(dz: &mut [f32], z: &[f32], statistics: &mut [f32], width: usize, scale: &[f32]) {
    let rows = dz.chunks_exact_mut(width).zip(z.chunks_exact(width));
    for ((dz, z), (statistics, scale)) in rows.zip(statistics.chunks_exact_mut(2 * width).zip(scale)) {
        if *scale == 0.0 {
            // The weight has underflowed. Its derivatives may be infinite, and are ignored.
            statistics.fill(0.0);
            continue;
        }
        let (mean, log_deviation) = statistics.split_at_mut(width);
        for i in 0..width {
            let inverse = exp_inline(-log_deviation[i]);
            let u = (z[i] - mean[i]) * inverse;
            let slope = scale * u * inverse;
            dz[i] -= slope;
            mean[i] = slope;
            log_deviation[i] = scale * (u * u - 1.0);
        }
    }
}

/// Adds `factor·log N(z; 0, 1)` of each row to `out`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn standard_normal(z: &[f32], width: usize, factor: f64, out: &mut [f64]) {
    for (z, out) in z.chunks_exact(width).zip(out) {
        let mut squares = 0.0;
        for z in z {
            squares += z * z;
        }
        *out -= factor * f64::from(0.5 * squares + HALF_LOG_TAU * width as f32);
    }
}

/// The standard logistic function.
#[inline(always)]
pub(crate) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp_inline(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bernoulli_is_its_definition_at_every_width_and_size() {
        for width in [1, 15, 16, 17, 100, 1700] {
            let x: Vec<f32> = (0..width).map(|i| (i % 3) as f32 / 2.0).collect();
            let logits: Vec<f32> = (0..width).map(|i| ((i as f32 * 1.7).sin() * 30.0).trunc()).collect();
            let (mut gradient, mut out) = (logits.clone(), [0.0]);
            bernoulli(&mut gradient, &x, width, 1, true, &mut out);
            let exact = |l: f64, x: f64| x * l - l.max(0.0) - (-l.abs()).exp().ln_1p();
            let pairs = || logits.iter().zip(&x).map(|(l, x)| (f64::from(*l), f64::from(*x)));
            let expected: f64 = pairs().map(|(l, x)| exact(l, x)).sum();
            assert!(
                (out[0] - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                "{width}: {} {expected}",
                out[0]
            );
            for ((l, x), found) in pairs().zip(gradient) {
                assert!((f64::from(found) - (x - 1.0 / (1.0 + (-l).exp()))).abs() < 1e-6);
            }
            let (mut same, mut alone) = (logits.clone(), [0.0]);
            bernoulli(&mut same, &x, width, 1, false, &mut alone);
            assert!(same == logits && alone == out);
        }
    }

    #[test]
    fn tanh_is_accurate() {
        for i in -2000..2000 {
            let (x, mut y) = (i as f32 * 0.01, [i as f32 * 0.01]);
            tanh(&mut y);
            assert!((y[0] - x.tanh()).abs() < 3e-7, "{x}");
        }
    }
}
