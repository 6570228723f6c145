//! The generalised Pareto distribution of the tail of importance weights.

/// Fits the shape k of a generalised Pareto distribution to excesses over a threshold, in ascending order: Zhang & Stephens's (2009) profile posterior
/// mean, shrunk towards 0.5 with the weight of ten observations as in Pareto-smoothed importance sampling (arXiv 1507.02646, appendix C).
/// `None` for fewer than five excesses, or if nothing exceeds the threshold.
pub(crate) fn tail_shape(excesses: &[f64]) -> Option<f64> {
    let count = excesses.len();
    let largest = *excesses.last()?;
    if count < 5 || !(largest > 0.0 && largest.is_finite()) {
        return None;
    }
    // With ties at the threshold the quartile is 0, so the smallest positive number replaces it.
    let quartile = excesses[(count as f64 / 4.0 + 0.5).floor() as usize - 1].max(largest * f64::EPSILON);
    let points = 30 + (count as f64).sqrt().floor() as usize;
    let shape_of = |theta: f64| excesses.iter().map(|x| (-theta * x).ln_1p()).sum::<f64>() / count as f64;
    let grid: Vec<(f64, f64)> = (1..=points)
        .map(|j| {
            let theta = 1.0 / largest + (1.0 - (points as f64 / (j as f64 - 0.5)).sqrt()) / (3.0 * quartile);
            let shape = shape_of(theta);
            (theta, count as f64 * ((-theta / shape).ln() - shape - 1.0))
        })
        .filter(|(_, likelihood)| likelihood.is_finite())
        .collect();
    let best = grid.iter().fold(f64::NEG_INFINITY, |best, point| best.max(point.1));
    let (mut sum, mut weights) = (0.0, 0.0);
    for (theta, likelihood) in grid {
        let weight = (likelihood - best).exp();
        (sum, weights) = (sum + weight * theta, weights + weight);
    }
    let shape = shape_of(sum / weights);
    let shrunk = (shape * count as f64 + 0.5 * 10.0) / (count as f64 + 10.0);
    shrunk.is_finite().then_some(shrunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    #[test]
    fn the_shape_of_a_known_tail_is_found() {
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for shape in [-0.3f64, 0.1, 0.5, 0.9, 1.5] {
            let estimates: Vec<f64> = (0..40)
                .map(|_| {
                    let mut draws: Vec<f64> = (0..500)
                        .map(|_| 3.0 * (generator.random::<f64>().powf(-shape) - 1.0) / shape)
                        .collect();
                    draws.sort_unstable_by(f64::total_cmp);
                    tail_shape(&draws).unwrap()
                })
                .collect();
            let mean = estimates.iter().sum::<f64>() / 40.0;
            // The prior pulls by 10 of 510 observations.
            let expected = (shape * 500.0 + 5.0) / 510.0;
            assert!((mean - expected).abs() < 0.04, "{shape}: {mean}");
        }
    }

    #[test]
    fn no_tail_has_no_shape() {
        assert_eq!(tail_shape(&[]), None);
        assert_eq!(tail_shape(&[1.0; 4]), None);
        assert_eq!(tail_shape(&[0.0; 50]), None);
        assert!(tail_shape(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]).is_none_or(f64::is_finite));
    }
}
