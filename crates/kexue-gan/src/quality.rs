//! Similarity of generated and real images on the features of a network: FID, KID, precision and recall.
//!
//! The numbers depend on the features. With the features of your own classifier, they rank models of one data set, but they cannot be compared with
//! published numbers, which use the features of Inception.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::SvdError;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;
use serde::Serialize;
use thiserror::Error;

/// Why features cannot be compared.
#[derive(Debug, Error, PartialEq)]
pub enum QualityError {
    /// There are too few samples.
    #[error("{found} samples are too few to compare features: at least {needed} are needed")]
    TooFew {
        /// Number of samples.
        found: usize,
        /// Number of samples that are needed.
        needed: usize,
    },
    /// A feature is infinite or not a number.
    #[error("a feature is not a finite number")]
    NotFinite,
    /// The singular value decomposition did not converge.
    #[error("the singular values of the features did not converge")]
    Svd,
}

/// Distances between two sets of features.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Fréchet distance between normal distributions fitted to the two sets (FID, arXiv 1706.08500).
    pub fid: f64,
    /// Unbiased estimate of the squared maximum mean discrepancy with the kernel `(x·y/d + 1)³`, which may be negative (KID, arXiv 1801.01401).
    pub kid: f64,
    /// Share of generated samples that are closer to a real sample than that sample's third neighbour (arXiv 1904.06991).
    pub precision: f64,
    /// Share of real samples that are closer to a generated sample than that sample's third neighbour.
    pub recall: f64,
}

/// The number of samples whose products with all others are computed at once.
const BLOCK: usize = 64;

/// The neighbour whose distance is the radius of a sample's ball.
const NEIGHBOURS: usize = 3;

/// Features, `[samples, size]`, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    size: usize,
    values: Vec<f64>,
}

impl Quality {
    /// The numbers as text, one per line.
    pub fn to_text(&self) -> String {
        let Self {
            fid,
            kid,
            precision,
            recall,
        } = self;
        format!(
            "  FID on its features  {fid:.3}\n  KID on its features  {kid:.5}\n  precision, recall    {precision:.3}, {recall:.3}\n"
        )
    }
}

impl Features {
    /// Creates features from numbers, `size` for each sample.
    ///
    /// # Errors
    /// If there are fewer than five samples, or a number is not finite.
    pub fn new(values: Vec<f64>, size: usize) -> Result<Self, QualityError> {
        let (found, needed) = (values.len() / size.max(1), NEIGHBOURS + 2);
        if found < needed {
            return Err(QualityError::TooFew { found, needed });
        }
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(Self { size, values }),
            false => Err(QualityError::NotFinite),
        }
    }

    /// The number of features of a sample.
    pub fn size(&self) -> usize {
        self.size
    }

    fn len(&self) -> usize {
        self.values.len() / self.size
    }

    fn row(&self, sample: usize) -> &[f64] {
        &self.values[sample * self.size..(sample + 1) * self.size]
    }

    fn mean(&self) -> Vec<f64> {
        let count = self.len() as f64;
        (0..self.size)
            .map(|at| self.values.iter().skip(at).step_by(self.size).sum::<f64>() / count)
            .collect()
    }

    /// R such that RᵀR is the covariance with the denominator `samples − 1`.
    fn root_of_covariance(&self) -> Mat<f64> {
        let (mean, factor) = (self.mean(), ((self.len() - 1) as f64).sqrt().recip());
        let centred = Mat::from_fn(self.len(), self.size, |row, column| {
            (self.row(row)[column] - mean[column]) * factor
        });
        centred.qr().thin_R().to_owned()
    }

    /// Calls `of` with each sample and its products with all samples of `other`, and returns the results in order.
    fn with_products<T: Send>(&self, other: &Self, of: impl Fn(usize, &[f64]) -> T + Sync) -> Vec<T> {
        let all = MatRef::from_row_major_slice(&other.values, other.len(), other.size);
        let blocks = self.values.par_chunks(BLOCK * self.size).enumerate();
        let blocks = blocks.map(|(block, values)| {
            let rows = MatRef::from_row_major_slice(values, values.len() / self.size, self.size);
            // Column by column, so one for each sample of this set.
            let mut products = Mat::zeros(other.len(), rows.nrows());
            matmul(&mut products, Accum::Replace, all, rows.transpose(), 1.0, Par::Seq);
            let samples = (0..rows.nrows()).map(|at| of(block * BLOCK + at, products.col_as_slice(at)));
            samples.collect::<Vec<T>>()
        });
        blocks.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// The squared length of each sample.
    fn squares(&self) -> Vec<f64> {
        let samples = self.values.par_chunks(self.size);
        samples.map(|row| row.iter().map(|x| x * x).sum()).collect()
    }

    /// Calls `of` with each sample and its squared distances from all samples of `other`, and returns the results in order.
    fn with_distances<T: Send>(&self, other: &Self, of: impl Fn(usize, &mut [f64]) -> T + Sync) -> Vec<T> {
        let (own, others) = (self.squares(), other.squares());
        self.with_products(other, |sample, products| {
            let distance = |(at, product): (usize, &f64)| {
                let sum = own[sample] + others[at];
                let distance = sum - 2.0 * product;
                // The difference of close samples has lost its digits.
                match distance < 1e-9 * sum {
                    true => square(self.row(sample), other.row(at)),
                    false => distance,
                }
            };
            let mut distances: Vec<f64> = products.iter().enumerate().map(distance).collect();
            of(sample, &mut distances)
        })
    }

    /// The squared distance of each sample's third neighbour.
    fn radii(&self) -> Vec<f64> {
        self.with_distances(self, |sample, distances| {
            // A sample is no neighbour of itself.
            distances[sample] = f64::INFINITY;
            *distances.select_nth_unstable_by(NEIGHBOURS - 1, f64::total_cmp).1
        })
    }

    /// Share of the samples of `other` that are in the ball of a sample of this set.
    fn coverage(&self, other: &Self) -> f64 {
        let radii = self.radii();
        let within = other.with_distances(self, |_, distances| {
            let mut balls = distances.iter().zip(&radii);
            balls.any(|(distance, radius)| distance <= radius)
        });
        within.into_iter().filter(|&within| within).count() as f64 / other.len() as f64
    }

    /// The mean of the kernel over pairs of a sample of this set and one of `other`, or over pairs of different samples of this set.
    fn mean_kernel(&self, other: Option<&Self>) -> f64 {
        let kernel = |product: &f64| (product / self.size as f64 + 1.0).powi(3);
        let columns = other.unwrap_or(self);
        let sums = self.with_products(columns, |sample, products| {
            let own = other.is_none().then(|| kernel(&products[sample]));
            products.iter().map(kernel).sum::<f64>() - own.unwrap_or_default()
        });
        let pairs = self.len() * (columns.len() - usize::from(other.is_none()));
        sums.iter().sum::<f64>() / pairs as f64
    }
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Compares the features of generated samples with those of real samples.
///
/// ```
/// use kexue_gan::quality::{Features, quality};
///
/// let real: Vec<f64> = (0..60).map(|i| f64::from(i * 7 % 11)).collect();
/// let moved: Vec<f64> = real.iter().map(|x| x + 2.0).collect();
/// let features = |values| Features::new(values, 3);
/// let same = quality(&features(real.clone())?, &features(real.clone())?)?;
/// assert!(same.fid.abs() < 1e-9 && same.precision == 1.0);
/// // Only the means differ: by 2 in three features.
/// assert!((quality(&features(real)?, &features(moved)?)?.fid - 12.0).abs() < 1e-9);
/// # Ok::<(), kexue_gan::quality::QualityError>(())
/// ```
///
/// # Errors
/// If a singular value decomposition does not converge.
///
/// # Panics
/// If the two sets have features of different sizes.
pub fn quality(real: &Features, fake: &Features) -> Result<Quality, QualityError> {
    assert_eq!(real.size, fake.size, "the features must have the same size");
    let means = square(&real.mean(), &fake.mean());
    let (a, b) = (real.root_of_covariance(), fake.root_of_covariance());
    let trace = |root: &Mat<f64>| root.norm_l2().powi(2);
    // Tr (Σ₁Σ₂)^½ is the sum of the singular values of R₁R₂ᵀ, so the square root of a non-symmetric product is not needed.
    let product = &a * b.transpose();
    let largest = product.norm_max();
    let between = if largest == 0.0 {
        0.0
    } else {
        let scaled = Mat::from_fn(product.nrows(), product.ncols(), |row, column| {
            product[(row, column)] / largest
        });
        let values = scaled
            .singular_values()
            .map_err(|SvdError::NoConvergence| QualityError::Svd)?;
        values.iter().sum::<f64>() * largest
    };
    Ok(Quality {
        fid: means + trace(&a) + trace(&b) - 2.0 * between,
        kid: real.mean_kernel(None) + fake.mean_kernel(None) - 2.0 * real.mean_kernel(Some(fake)),
        precision: real.coverage(fake),
        recall: fake.coverage(real),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_nn::Distribution;
    use kexue_train::generator;

    fn normal(samples: usize, size: usize, seed: u64) -> Vec<f64> {
        let mut random = generator(seed, 0, 0);
        let normal = Distribution::Normal { std: 1.0 };
        (0..samples * size)
            .map(|_| f64::from(normal.draw(&mut random)))
            .collect()
    }

    fn features(values: &[f64]) -> Features {
        Features::new(values.to_vec(), 6).unwrap()
    }

    #[test]
    fn known_changes_have_known_distances() {
        let real = normal(400, 6, 1);
        let trace = features(&real).root_of_covariance().norm_l2().powi(2);
        let of = |fake: Vec<f64>| quality(&features(&real), &features(&fake)).unwrap();
        let same = of(real.clone());
        assert!(same.fid.abs() < 1e-9 * trace);
        assert_eq!((same.precision, same.recall), (1.0, 1.0));
        // s·x has the covariance s²Σ, which contributes (1 − s)²·Tr Σ; the means move as well.
        let mean = square(&features(&real).mean(), &[0.0; 6]);
        let scaled = of(real.iter().map(|x| 1.5 * x).collect());
        assert!((scaled.fid - 0.25 * (trace + mean)).abs() < 1e-9 * trace, "{scaled:?}");
        let far = of(real.iter().map(|x| x + 100.0).collect());
        assert!((far.fid - 6e4).abs() < 1e-6 * 6e4);
        assert_eq!((far.precision, far.recall), (0.0, 0.0));
        assert!(far.kid > 1.0);
        // One mode of two: all generated samples are like real ones, but half of the real samples are not generated.
        let two: Vec<f64> = real.iter().chain(&far_of(&real)).copied().collect();
        let half = quality(&features(&two), &features(&normal(400, 6, 2))).unwrap();
        assert!(half.precision > 0.9 && (half.recall - 0.5).abs() < 0.05, "{half:?}");
    }

    fn far_of(values: &[f64]) -> Vec<f64> {
        values.iter().map(|x| x + 100.0).collect()
    }

    /// `count` numbers within −1 and 1: SplitMix64's finisher applied to a counter, as in `benches/peers/gan/quality.py`.
    fn uniform(stream: u64, count: u64) -> impl Iterator<Item = f64> {
        (0..count).map(move |i| {
            let mut z = ((stream << 32) + i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            (z >> 44) as f64 / f64::from(1 << 19) - 1.0
        })
    }

    #[test]
    fn figures_are_those_of_torch_fidelity() {
        let features = |values: Vec<f64>| Features::new(values, 8).unwrap();
        let real = features(uniform(1, 400).collect());
        let fake = features(uniform(2, 400).map(|x| 0.7 * x + 0.2).collect());
        let found = quality(&real, &fake).unwrap();
        assert_eq!((found.precision, found.recall), (1.0, 0.36));
        assert!((found.fid - 0.827_357_174_562).abs() < 1e-9, "{found:?}");
        assert!((found.kid - 0.149_945_605_996).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn kid_has_no_bias() {
        let kids: Vec<f64> = (0..40)
            .map(|seed| {
                quality(
                    &features(&normal(30, 6, 2 * seed + 10)),
                    &features(&normal(30, 6, 2 * seed + 11)),
                )
                .unwrap()
                .kid
            })
            .collect();
        let mean = kids.iter().sum::<f64>() / 40.0;
        let error = kexue_output::standard_error(&kids).unwrap();
        assert!(mean.abs() < 3.0 * error, "{mean} ± {error}");
    }

    #[test]
    fn features_that_cannot_be_compared_are_refused() {
        assert_eq!(
            Features::new(vec![0.0; 8], 2).unwrap_err(),
            QualityError::TooFew { found: 4, needed: 5 }
        );
        assert_eq!(
            Features::new(vec![f64::NAN; 10], 2).unwrap_err(),
            QualityError::NotFinite
        );
    }
}
