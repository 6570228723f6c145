//! Power means (arithmetic, geometric, harmonic and all others) and the median.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A way to average scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mean {
    /// The power mean `(Σ wᵢ xᵢᵖ)^(1/p)` with exponent p; 1 is the arithmetic, 0 the geometric, −1 the harmonic mean,
    /// ±∞ the maximum and the minimum.
    Power(f64),
    /// The weighted median. With equal weights and an even number of scores, the mean of the two middle ones.
    Median,
}

impl Mean {
    /// The arithmetic mean.
    pub const ARITHMETIC: Self = Self::Power(1.0);
    /// The geometric mean.
    pub const GEOMETRIC: Self = Self::Power(0.0);
    /// The harmonic mean.
    pub const HARMONIC: Self = Self::Power(-1.0);
    /// The minimum.
    pub const MINIMUM: Self = Self::Power(f64::NEG_INFINITY);
    /// The maximum.
    pub const MAXIMUM: Self = Self::Power(f64::INFINITY);

    /// The mean of scores with weights that sum to 1; NaN if it is not defined, see [`Mean::undefined`].
    ///
    /// ```
    /// use kexue_rank::Mean;
    /// let (scores, weights) = ([1.0, 4.0], [0.5, 0.5]);
    /// assert_eq!(Mean::ARITHMETIC.of(&scores, &weights), 2.5);
    /// assert_eq!(Mean::GEOMETRIC.of(&scores, &weights), 2.0);
    /// assert_eq!(Mean::HARMONIC.of(&scores, &weights), 1.6);
    /// ```
    pub fn of(self, scores: &[f64], weights: &[f64]) -> f64 {
        match self {
            Self::Power(exponent) => power_mean(exponent, scores, weights),
            Self::Median => median(scores, weights),
        }
    }

    /// Why the mean is not defined for a score, if it is not.
    pub fn undefined(self, score: f64) -> Option<&'static str> {
        match self {
            Self::Power(p) if p.is_infinite() || p == 1.0 => None,
            Self::Power(0.0) if score <= 0.0 => {
                Some("it is a mean of logarithms, and one score of zero would make the whole mean zero")
            }
            Self::Power(p) if p < 0.0 && score <= 0.0 => {
                Some("it is a mean of reciprocals or powers below zero, and a score of zero has none")
            }
            Self::Power(p) if p > 0.0 && score < 0.0 => Some("a power of a negative score is not a real number"),
            _ => None,
        }
    }

    /// A short name for a column heading.
    pub fn label(self) -> String {
        match self {
            Self::Power(1.0) => "AM".to_owned(),
            Self::Power(0.0) => "GM".to_owned(),
            Self::Power(-1.0) => "HM".to_owned(),
            Self::Power(p) if p == f64::INFINITY => "max".to_owned(),
            Self::Power(p) if p == f64::NEG_INFINITY => "min".to_owned(),
            Self::Power(p) => format!("M{p}"),
            Self::Median => "median".to_owned(),
        }
    }
}

impl fmt::Display for Mean {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Power(1.0) => write!(formatter, "arithmetic mean"),
            Self::Power(0.0) => write!(formatter, "geometric mean"),
            Self::Power(-1.0) => write!(formatter, "harmonic mean"),
            Self::Power(p) if *p == f64::INFINITY => write!(formatter, "maximum"),
            Self::Power(p) if *p == f64::NEG_INFINITY => write!(formatter, "minimum"),
            Self::Power(p) => write!(formatter, "power mean with exponent {p}"),
            Self::Median => write!(formatter, "median"),
        }
    }
}

impl serde::Serialize for Mean {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.label())
    }
}

impl FromStr for Mean {
    type Err = Error;

    /// `am`, `gm`, `hm`, `median`, `min`, `max`, or an exponent such as `0.5` or `-inf`.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.to_ascii_lowercase().as_str() {
            "am" | "arithmetic" | "mean" => Ok(Self::ARITHMETIC),
            "gm" | "geometric" => Ok(Self::GEOMETRIC),
            "hm" | "harmonic" => Ok(Self::HARMONIC),
            "median" => Ok(Self::Median),
            "min" | "minimum" => Ok(Self::MINIMUM),
            "max" | "maximum" => Ok(Self::MAXIMUM),
            other => match other.parse::<f64>() {
                // −0 and 0 are one exponent.
                Ok(exponent) if !exponent.is_nan() => Ok(Self::Power(exponent + 0.0)),
                _ => Err(Error::refused(
                    format!("`{text}` is not a mean"),
                    "give am, gm, hm, median, min, max or an exponent such as 0.5",
                )),
            },
        }
    }
}

fn power_mean(exponent: f64, scores: &[f64], weights: &[f64]) -> f64 {
    let pairs = || scores.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
    if exponent == 1.0 {
        return pairs().map(|(score, weight)| score * weight).sum();
    }
    if exponent.is_infinite() {
        let extreme = if exponent > 0.0 { f64::max } else { f64::min };
        return pairs().map(|(score, _)| *score).reduce(extreme).unwrap_or(f64::NAN);
    }
    if pairs().any(|(score, _)| Mean::Power(exponent).undefined(*score).is_some()) {
        return f64::NAN;
    }
    if exponent == -1.0 {
        return 1.0 / pairs().map(|(score, weight)| weight / score).sum::<f64>();
    }
    if exponent > 0.0 && pairs().any(|(score, _)| *score == 0.0) {
        // A zero contributes nothing. The others are scaled by the largest, so that no power overflows.
        let largest = pairs().map(|(score, _)| *score).fold(0.0, f64::max);
        if largest == 0.0 {
            return 0.0;
        }
        let sum: f64 = pairs()
            .map(|(score, weight)| weight * (score / largest).powf(exponent))
            .sum();
        return largest * sum.powf(1.0 / exponent);
    }
    log_power_mean(exponent, pairs().map(|(score, weight)| (score.ln(), *weight))).exp()
}

/// The logarithm of the power mean of scores given as `(logarithm, weight)`, weights summing to 1; exact in the limit p → 0.
pub(crate) fn log_power_mean(exponent: f64, logs: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let centre: f64 = logs.clone().map(|(log, weight)| log * weight).sum();
    if exponent == 0.0 {
        return centre;
    }
    let spread = logs
        .clone()
        .map(|(log, _)| (exponent * (log - centre)).abs())
        .fold(0.0, f64::max);
    if spread < 1.0 {
        // Around the geometric mean the first-order term is zero, and the rest is small and exact.
        let sum: f64 = logs
            .map(|(log, weight)| weight * (exponent * (log - centre)).exp_m1())
            .sum();
        return centre + sum.ln_1p() / exponent;
    }
    let shift = logs
        .clone()
        .map(|(log, _)| exponent * log)
        .fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.map(|(log, weight)| weight * (exponent * log - shift).exp()).sum();
    (shift + sum.ln()) / exponent
}

fn median(scores: &[f64], weights: &[f64]) -> f64 {
    let mut pairs: Vec<(f64, f64)> = scores
        .iter()
        .copied()
        .zip(weights.iter().copied())
        .filter(|(_, weight)| *weight > 0.0)
        .collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = pairs.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    for (index, (score, weight)) in pairs.iter().enumerate() {
        below += weight;
        if below > 0.5 * total * (1.0 + 1e-12) {
            return *score;
        }
        if below >= 0.5 * total * (1.0 - 1e-12) {
            return pairs.get(index + 1).map_or(*score, |(next, _)| 0.5 * (score + next));
        }
    }
    f64::NAN
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn equal(count: usize) -> Vec<f64> {
        vec![1.0 / count as f64; count]
    }

    #[test]
    fn known_values() {
        let scores = [92.4, 97.45, 99.2, 77.7, 94.75, 93.5, 77.7, 96.6];
        let weights = equal(8);
        for (mean, expected) in [
            (Mean::ARITHMETIC, 91.16),
            (Mean::GEOMETRIC, 90.79),
            (Mean::HARMONIC, 90.39),
        ] {
            assert!((mean.of(&scores, &weights) - expected).abs() < 0.005, "{mean}");
        }
        assert_eq!(Mean::Median.of(&scores, &weights), 0.5 * (93.5 + 94.75));
        assert_eq!(Mean::Median.of(&[3.0, 1.0, 2.0], &equal(3)), 2.0);
        assert_eq!(Mean::MINIMUM.of(&scores, &weights), 77.7);
        assert_eq!(Mean::Power(2.0).of(&[3.0, 4.0], &equal(2)), 12.5f64.sqrt());
        assert!(Mean::HARMONIC.of(&[0.0, 1.0], &equal(2)).is_nan());
        assert_eq!(Mean::Power(0.5).of(&[0.0, 4.0], &equal(2)), 1.0);
    }

    #[test]
    fn names_are_read() {
        assert_eq!("am".parse::<Mean>().unwrap(), Mean::ARITHMETIC);
        assert_eq!("-1".parse::<Mean>().unwrap(), Mean::HARMONIC);
        assert_eq!("-0".parse::<Mean>().unwrap(), Mean::GEOMETRIC);
        assert_eq!("-inf".parse::<Mean>().unwrap(), Mean::MINIMUM);
        assert!("mode".parse::<Mean>().is_err());
    }

    proptest! {
        #[test]
        fn power_means_rise_with_the_exponent(
            scores in prop::collection::vec(0.01f64..100.0, 1..12),
            p in -30.0f64..30.0,
            step in 0.0f64..5.0,
        ) {
            let weights = equal(scores.len());
            let (low, high) = (Mean::Power(p).of(&scores, &weights), Mean::Power(p + step).of(&scores, &weights));
            prop_assert!(low <= high * (1.0 + 1e-12), "{low} {high}");
            let (min, max) = (Mean::MINIMUM.of(&scores, &weights), Mean::MAXIMUM.of(&scores, &weights));
            prop_assert!(min <= low * (1.0 + 1e-12) && low <= max * (1.0 + 1e-12));
        }

        #[test]
        fn arithmetic_geometric_harmonic(scores in prop::collection::vec(0.01f64..100.0, 1..12)) {
            let weights = equal(scores.len());
            let [am, gm, hm] = [Mean::ARITHMETIC, Mean::GEOMETRIC, Mean::HARMONIC].map(|mean| mean.of(&scores, &weights));
            prop_assert!(am >= gm * (1.0 - 1e-12) && gm >= hm * (1.0 - 1e-12), "{am} {gm} {hm}");
        }

        #[test]
        fn scaling_scores_scales_the_mean(
            scores in prop::collection::vec(0.01f64..100.0, 1..12),
            factor in 0.001f64..1000.0,
            p in -20.0f64..20.0,
        ) {
            let weights = equal(scores.len());
            let scaled: Vec<f64> = scores.iter().map(|score| score * factor).collect();
            for mean in [Mean::Power(p), Mean::ARITHMETIC, Mean::GEOMETRIC, Mean::HARMONIC, Mean::Median] {
                let (plain, scaled) = (mean.of(&scores, &weights), mean.of(&scaled, &weights));
                prop_assert!((scaled - factor * plain).abs() <= 1e-10 * scaled, "{mean}");
            }
        }

        #[test]
        fn equal_scores_are_their_own_mean(score in 0.01f64..100.0, count in 1usize..10, p in -50.0f64..50.0) {
            let mean = Mean::Power(p).of(&vec![score; count], &equal(count));
            prop_assert!((mean - score).abs() <= 1e-12 * score);
        }

        #[test]
        fn the_exponent_is_continuous_at_zero(scores in prop::collection::vec(0.01f64..100.0, 2..12)) {
            let weights = equal(scores.len());
            let gm = Mean::GEOMETRIC.of(&scores, &weights);
            for p in [1e-9, -1e-9, 1e-14, -1e-300] {
                prop_assert!((Mean::Power(p).of(&scores, &weights) - gm).abs() <= 1e-6 * gm);
            }
        }
    }
}
