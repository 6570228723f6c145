//! Weights as integer numbers of votes, so that votes are counted without rounding.

/// The maximum denominator of weights that are recognised as fractions.
const LARGEST_DENOMINATOR: u64 = 1_000_000;
/// The maximum number of votes of a task.
const MOST_UNITS: u64 = 1 << 40;

/// Integers in the proportions of the weights. Proportions that are fractions with denominators up to a million, which covers all weights that
/// people write, are exact; others are accurate to one part in 2⁴⁰.
pub(super) fn units(weights: &[f64]) -> Vec<u64> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    exact_units(weights, largest).unwrap_or_else(|| {
        let scale = MOST_UNITS as f64 / largest;
        weights.iter().map(|weight| (weight * scale).round() as u64).collect()
    })
}

fn exact_units(weights: &[f64], largest: f64) -> Option<Vec<u64>> {
    let fractions = weights
        .iter()
        .map(|weight| fraction(weight / largest))
        .collect::<Option<Vec<(u64, u64)>>>()?;
    let mut common = 1u64;
    for &(_, denominator) in &fractions {
        common = (common / gcd(common, denominator)).checked_mul(denominator)?;
        if common > MOST_UNITS {
            return None;
        }
    }
    Some(
        fractions
            .iter()
            .map(|&(numerator, denominator)| common / denominator * numerator)
            .collect(),
    )
}

/// The simplest fraction that equals a number in 0–1 to double precision, from its continued fraction.
fn fraction(value: f64) -> Option<(u64, u64)> {
    // Normalising the weights causes a few rounding errors of relative size 2⁻⁵³.
    let tolerance = 1e-14;
    let (mut numerators, mut denominators) = ([0u64, 1], [1u64, 0]);
    let mut rest = value;
    loop {
        let whole = rest.floor();
        if !(0.0..1e12).contains(&whole) {
            return None;
        }
        let next = |last: [u64; 2]| (whole as u64).checked_mul(last[1])?.checked_add(last[0]);
        numerators = [numerators[1], next(numerators)?];
        denominators = [denominators[1], next(denominators)?];
        if denominators[1] > LARGEST_DENOMINATOR {
            return None;
        }
        let found = numerators[1] as f64 / denominators[1] as f64;
        if (found - value).abs() <= tolerance * value {
            return Some((numerators[1], denominators[1]));
        }
        rest = 1.0 / (rest - whole);
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn normalised_fractions_are_found_again(
            parts in prop::collection::vec((1u64..2000, prop::sample::select(vec![1u64, 2, 3, 7, 10, 100])), 1..9),
        ) {
            let weights: Vec<f64> = parts.iter().map(|&(a, b)| a as f64 / b as f64).collect();
            let total: f64 = weights.iter().sum();
            let found = units(&weights.iter().map(|weight| weight / total).collect::<Vec<_>>());
            for (i, &(a, b)) in parts.iter().enumerate() {
                for (j, &(c, d)) in parts.iter().enumerate() {
                    // a/b : c/d, multiplied out.
                    prop_assert_eq!(
                        u128::from(found[i]) * u128::from(c * b),
                        u128::from(found[j]) * u128::from(a * d)
                    );
                }
            }
        }
    }

    #[test]
    fn other_weights_keep_their_proportions_nearly() {
        let found = units(&[std::f64::consts::PI, 1.0, 1e-30]);
        assert_eq!((found[0], found[2]), (MOST_UNITS, 0));
        assert!((found[0] as f64 / found[1] as f64 - std::f64::consts::PI).abs() < 1e-10);
    }
}
