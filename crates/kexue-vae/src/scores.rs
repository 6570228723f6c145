//! Separation of two data sets by a score.

use kexue_images::{ImageError, Images, Shape, grid_png};

/// The area under the ROC curve: the probability that an observation of one set has a higher score than one of the other. Equal scores count half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Auroc {
    /// The area, within 0 and 1; 0.5 for uninformative scores.
    pub area: f64,
    /// Its standard error (DeLong, DeLong & Clarke-Pearson, 1988).
    pub standard_error: f64,
}

impl Auroc {
    /// The 95 % confidence interval of the area.
    pub fn interval(&self) -> (f64, f64) {
        let reach = 1.96 * self.standard_error;
        ((self.area - reach).max(0.0), (self.area + reach).min(1.0))
    }
}

/// The area for scores that should be high in the first set and low in the second. `None` if a set is empty or a score is NaN.
pub fn auroc(high: &[f64], low: &[f64]) -> Option<Auroc> {
    if high.is_empty() || low.is_empty() || high.iter().chain(low).any(|score| score.is_nan()) {
        return None;
    }
    // For each score, the share of the other set that is on the correct side of it. The mean over either set is the area.
    let above = placements(high, low);
    let below: Vec<f64> = placements(low, high).into_iter().map(|share| 1.0 - share).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let area = mean(&above);
    let error = |values: &[f64]| kexue_output::standard_error(values).unwrap_or(0.5);
    Some(Auroc {
        area,
        standard_error: error(&above).hypot(error(&below)),
    })
}

/// For each score, the share of `others` that is lower. Equal scores count half.
fn placements(scores: &[f64], others: &[f64]) -> Vec<f64> {
    let mut sorted = others.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let share = |score: &f64| {
        let (lower, not_higher) = (
            sorted.partition_point(|other| other < score),
            sorted.partition_point(|other| other <= score),
        );
        (lower + not_higher) as f64 / 2.0 / sorted.len() as f64
    };
    scores.iter().map(share).collect()
}

/// The complexity of an image in nats: the length of its PNG file. The sum of log-density and complexity is a score that does not favour simple images
/// (Serrà, Álvarez, Gómez, Slizovskaia, Núñez & Luque, arXiv 1909.11480).
///
/// # Errors
/// If the image cannot be encoded.
pub fn complexity(shape: Shape, pixels: &[u8]) -> Result<f64, ImageError> {
    let png = grid_png(&Images::new(shape, pixels.to_vec(), None), 1)?;
    Ok(png.len() as f64 * 8.0 * std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    #[test]
    fn the_area_counts_pairs() {
        let area = auroc(&[3.0, 1.0, 2.0], &[0.0, 2.0]).unwrap().area;
        // Of six pairs, 3>0, 3>2, 1>0, 2>0 and half of 2=2.
        assert!((area - 4.5 / 6.0).abs() < 1e-15);
        assert_eq!(auroc(&[1.0, 2.0], &[0.0; 3]).unwrap().area, 1.0);
        assert!(auroc(&[], &[1.0]).is_none() && auroc(&[f64::NAN], &[1.0]).is_none());
    }

    #[test]
    fn its_error_is_that_of_repetition() {
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut draw = |count: usize, mean: f64| -> Vec<f64> {
            (0..count)
                .map(|_| mean + generator.sample::<f64, _>(rand_distr::StandardNormal))
                .collect()
        };
        let all: Vec<Auroc> = (0..400)
            .map(|_| auroc(&draw(60, 1.0), &draw(40, 0.0)).unwrap())
            .collect();
        let areas: Vec<f64> = all.iter().map(|auroc| auroc.area).collect();
        let deviation = kexue_output::standard_error(&areas).unwrap() * 20.0;
        let told = all.iter().map(|auroc| auroc.standard_error).sum::<f64>() / 400.0;
        assert!((told / deviation - 1.0).abs() < 0.12, "{told} {deviation}");
        // Φ(1/√2).
        assert!((areas.iter().sum::<f64>() / 400.0 - 0.7602).abs() < 0.01);
    }

    #[test]
    fn noise_is_more_complex_than_a_plain_image() {
        let shape = Shape {
            channels: 1,
            height: 28,
            width: 28,
        };
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let noise: Vec<u8> = (0..784).map(|_| generator.random()).collect();
        assert!(complexity(shape, &noise).unwrap() > 3.0 * complexity(shape, &[7; 784]).unwrap());
    }
}
