//! Sums of powers, written so that the compiler can vectorise them.

/// `ln Σ w exp(p u)` and its derivative with respect to p.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogSum {
    pub value: f64,
    pub slope: f64,
}

/// A sum whose logarithm is a convex function of the exponent.
pub(crate) trait LogConvex {
    /// The logarithm of the sum, and its slope.
    fn log_sum(&self, exponent: f64) -> LogSum;
}

/// Logarithms in descending order, and their weights, which sum to 1.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub logs: &'a [f64],
    pub weights: &'a [f64],
}

const LANES: usize = 8;

impl LogConvex for Terms<'_> {
    fn log_sum(&self, exponent: f64) -> LogSum {
        let (Some(&top), Some(&bottom)) = (self.logs.first(), self.logs.last()) else {
            return LogSum {
                value: f64::NAN,
                slope: f64::NAN,
            };
        };
        if exponent.abs() * (top - bottom) < 1.0 {
            // Around the middle the powers are near 1, and their difference from 1 is small and exact.
            let middle = 0.5 * (top + bottom);
            let (less_one, moment) = self.sums(middle, |u| exp_m1_small(exponent * u));
            // The moment of the differences from 1, and that of the 1.
            let (_, first) = self.sums(middle, |_| 1.0);
            return LogSum {
                value: exponent * middle + less_one.ln_1p(),
                slope: middle + (moment + first) / (1.0 + less_one),
            };
        }
        // The largest power is at one end.
        let extreme = if exponent > 0.0 { top } else { bottom };
        let (sum, moment) = self.sums(extreme, |u| exp_of_negative(exponent * u));
        LogSum {
            value: exponent * extreme + sum.ln(),
            slope: extreme + moment / sum,
        }
    }
}

impl Terms<'_> {
    /// `Σ w f(u − from)` and `Σ w f(u − from) (u − from)`.
    #[inline(always)]
    fn sums(self, from: f64, f: impl Fn(f64) -> f64) -> (f64, f64) {
        let (mut sums, mut moments) = ([0.0; LANES], [0.0; LANES]);
        let mut step = |logs: &[f64; LANES], weights: &[f64; LANES]| {
            for lane in 0..LANES {
                let u = logs[lane] - from;
                let part = weights[lane] * f(u);
                sums[lane] += part;
                moments[lane] += part * u;
            }
        };
        let (logs, logs_rest) = self.logs.as_chunks::<LANES>();
        let (weights, weights_rest) = self.weights.as_chunks::<LANES>();
        for (logs, weights) in logs.iter().zip(weights) {
            step(logs, weights);
        }
        // Terms without weight add nothing.
        let (mut last_logs, mut last_weights) = ([from; LANES], [0.0; LANES]);
        last_logs[..logs_rest.len()].copy_from_slice(logs_rest);
        last_weights[..weights_rest.len()].copy_from_slice(weights_rest);
        step(&last_logs, &last_weights);
        (sums.iter().sum(), moments.iter().sum())
    }
}

/// `exp(x)` for x from −∞ to a little above 0, to one unit in the last place or so; 0 below −700.
#[inline(always)]
fn exp_of_negative(x: f64) -> f64 {
    // Adding and subtracting 1.5·2⁵² rounds to an integer, whose bits are then added to the exponent.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = if x > -700.0 { x } else { -700.0 };
    let rounded = x * std::f64::consts::LOG2_E + ROUND;
    let whole = rounded - ROUND;
    let rest = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    let sum = polynomial::<14>(&INVERSE_FACTORIALS[2..], rest);
    f64::from_bits(sum.to_bits().wrapping_add(rounded.to_bits() << 52))
}

/// `exp(x) − 1` for |x| ≤ 1/2.
#[inline(always)]
fn exp_m1_small(x: f64) -> f64 {
    polynomial::<15>(&INVERSE_FACTORIALS[..15], x) * x
}

/// 1/15!, 1/14!, …, 1/0!
const INVERSE_FACTORIALS: [f64; 16] = {
    let mut inverse = [1.0; 16];
    let (mut index, mut factorial) = (15, 1.0);
    while index > 0 {
        index -= 1;
        factorial *= (15 - index) as f64;
        inverse[index] = 1.0 / factorial;
    }
    inverse
};

/// The polynomial with the last `COUNT` coefficients, the highest degree first.
#[inline(always)]
fn polynomial<const COUNT: usize>(coefficients: &[f64], x: f64) -> f64 {
    let mut sum = coefficients[0];
    for coefficient in &coefficients[1..COUNT] {
        sum = sum * x + coefficient;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exponentials_are_those_of_the_standard_library(x in -690.0f64..0.5, small in -0.5f64..0.5) {
            prop_assert!((exp_of_negative(x) - x.exp()).abs() <= 4.0 * f64::EPSILON * x.exp());
            prop_assert!((exp_m1_small(small) - small.exp_m1()).abs() <= 4.0 * f64::EPSILON * small.exp_m1().abs());
        }

        #[test]
        fn sums_and_slopes(
            mut logs in prop::collection::vec(-3.0f64..5.0, 1..40), exponent in -200.0f64..200.0, small in -1e-3f64..1e-3,
        ) {
            logs.sort_by(|a, b| b.total_cmp(a));
            let weights = vec![1.0 / logs.len() as f64; logs.len()];
            let terms = Terms { logs: &logs, weights: &weights };
            for p in [exponent, small, 0.0] {
                let found = terms.log_sum(p);
                let expected = p * crate::mean::log_power_mean(p, logs.iter().copied().zip(weights.iter().copied()));
                prop_assert!((found.value - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{p}: {found:?} {expected}");
                let step = 1e-5;
                let slope = (terms.log_sum(p + step).value - terms.log_sum(p - step).value) / (2.0 * step);
                prop_assert!((found.slope - slope).abs() <= 1e-4 * (1.0 + slope.abs()), "{p}: {found:?} {slope}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(exp_of_negative(0.0), 1.0);
        assert!(exp_of_negative(f64::NEG_INFINITY) < 1e-300);
        assert!(
            Terms {
                logs: &[],
                weights: &[]
            }
            .log_sum(1.0)
            .value
            .is_nan()
        );
    }
}
