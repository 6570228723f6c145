//! Integrals of exponentials over intervals, which compare systems with close scores; see [`crate::swap`].

use crate::power_sum::{LogConvex, LogSum};

/// An interval of logarithms and its weight.
#[derive(Clone, Copy, Debug)]
struct Interval {
    middle: f64,
    half_width: f64,
    /// The logarithm of weight times width.
    log_area: f64,
}

/// Weighted intervals of logarithms in descending order. Represents `∫ F(u) exp(pu) du`, whose logarithm is convex in p.
#[derive(Clone, Debug, Default)]
pub(crate) struct Area {
    intervals: Vec<Interval>,
}

/// Running sums smaller than this are rounding errors.
const NOTHING: f64 = 1e-13;

impl Area {
    /// Splits the running sum F of coefficients into its positive and its negative part. The terms are `(logarithm, coefficient)`, in
    /// descending order of the logarithm.
    pub fn of_running_sums(terms: &[(f64, f64)]) -> (Self, Self) {
        let (mut positive, mut negative) = (Self::default(), Self::default());
        let mut sum = 0.0f64;
        for pair in terms.windows(2) {
            let [(high, coefficient), (low, _)] = [pair[0], pair[1]];
            sum += coefficient;
            if sum.abs() < NOTHING {
                continue;
            }
            let side = if sum > 0.0 { &mut positive } else { &mut negative };
            side.intervals.push(Interval {
                middle: 0.5 * (high + low),
                half_width: 0.5 * (high - low),
                log_area: (sum.abs() * (high - low)).ln(),
            });
        }
        (positive, negative)
    }

    /// The highest and the lowest logarithm; `None` if there are no intervals.
    pub fn ends(&self) -> Option<(f64, f64)> {
        let (first, last) = (self.intervals.first()?, self.intervals.last()?);
        Some((first.middle + first.half_width, last.middle - last.half_width))
    }
}

impl LogConvex for Area {
    /// `ln Σ ∫ F exp(pu) du` over the intervals, and its derivative by p.
    fn log_sum(&self, exponent: f64) -> LogSum {
        let log_part = |interval: &Interval| {
            interval.log_area + exponent * interval.middle + log_sinhc(exponent * interval.half_width)
        };
        let largest = self.intervals.iter().map(log_part).fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut moment) = (0.0, 0.0);
        for interval in &self.intervals {
            let part = (log_part(interval) - largest).exp();
            sum += part;
            moment += part * (interval.middle + interval.half_width * langevin(exponent * interval.half_width));
        }
        LogSum {
            value: largest + sum.ln(),
            slope: moment / sum,
        }
    }
}

/// `ln(sinh(x) / x)`
fn log_sinhc(x: f64) -> f64 {
    let x = x.abs();
    if x < 0.02 {
        let square = x * x;
        return square * (1.0 / 6.0 - square * (1.0 / 180.0 - square / 2835.0));
    }
    x + (-(-2.0 * x).exp_m1() / (2.0 * x)).ln()
}

/// The Langevin function `coth(x) − 1/x`, the derivative of [`log_sinhc`].
fn langevin(x: f64) -> f64 {
    if x.abs() < 0.02 {
        let square = x * x;
        return x * (1.0 / 3.0 - square * (1.0 / 45.0 - square * 2.0 / 945.0));
    }
    1.0 / x.tanh() - 1.0 / x
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integrals_of_running_sums_are_quotients_of_power_sums(
            mut logs in prop::collection::vec(-3.0f64..5.0, 2..12), p in prop_oneof![-20.0f64..-0.05, 0.05f64..20.0],
        ) {
            logs.sort_by(|a, b| b.total_cmp(a));
            let coefficient = |index: usize| if index.is_multiple_of(2) { 0.5 } else { -0.5 };
            let mut terms: Vec<(f64, f64)> = logs.iter().enumerate().map(|(index, u)| (*u, coefficient(index))).collect();
            if terms.len() % 2 == 1 {
                terms.pop();
            }
            // Every other interval weighs 1/2 and the others nothing: ∫ F exp(pu) du = Σ c exp(pu) / p.
            let (positive, negative) = Area::of_running_sums(&terms);
            prop_assert!(negative.ends().is_none());
            let expected = terms.iter().map(|(u, c)| c * (p * u).exp()).sum::<f64>() / p;
            let size = terms.iter().map(|(u, c)| c.abs() * (p * u).exp()).sum::<f64>() / p.abs();
            let found = positive.log_sum(p);
            prop_assert!((found.value.exp() - expected).abs() <= 1e-11 * size, "{found:?} {expected}");
            let step = 1e-5;
            let slope = (positive.log_sum(p + step).value - positive.log_sum(p - step).value) / (2.0 * step);
            prop_assert!((found.slope - slope).abs() <= 1e-4 * (1.0 + slope.abs()), "{found:?} {slope}");
        }

        #[test]
        fn the_series_around_zero_continue_the_functions(x in 0.0199f64..0.0201) {
            prop_assert!((log_sinhc(x) - (x.sinh() / x).ln()).abs() < 1e-14);
            prop_assert!((langevin(x) - (1.0 / x.tanh() - 1.0 / x)).abs() < 1e-12);
            prop_assert_eq!(langevin(-x), -langevin(x));
        }
    }
}
