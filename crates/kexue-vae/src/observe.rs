//! Conversion of numbers in files to the observations of a model.

use crate::data::{Dataset, Numbers};
use crate::{ImageSize, Likelihood, Observations, VaeConfig};
use kexue_train::TrainError;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The binarisation of grey pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binarization {
    /// Random at every use: 1 with probability byte/255, the published recipe. Pixels of 0 and 255 do not change.
    #[default]
    Drawn,
    /// 1 for bytes from 128 on.
    Threshold,
    /// No binarisation: byte/255 is a probability, and the log-likelihood is its expectation.
    None,
}

/// The conversion of numbers to observations, and the columns of the training data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preparation {
    /// The binarisation of pixels.
    pub binarization: Binarization,
    /// The names of a table's columns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The mean of each column of real numbers, which is subtracted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub means: Vec<f32>,
    /// The standard deviation of each column, by which it is then divided. Densities are those of the original numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deviations: Vec<f32>,
}

impl Preparation {
    /// The preparation for a training set. Real numbers under a Gaussian likelihood are standardised.
    ///
    /// # Errors
    /// If the data does not fit the likelihood, or a column is constant. The error names the file or the column.
    pub fn of(data: &Dataset, likelihood: Likelihood, binarization: Binarization) -> Result<Self, TrainError> {
        check_range(data, likelihood)?;
        let mut this = Self {
            binarization,
            columns: data.columns.clone(),
            ..Self::default()
        };
        if let (Likelihood::Gaussian { .. }, Numbers::Reals(_)) = (likelihood, &data.numbers) {
            for dimension in 0..data.dimensions {
                let values = || (0..data.len()).map(|index| f64::from(data.value(index, dimension)));
                let mean = values().sum::<f64>() / data.len() as f64;
                let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / data.len() as f64;
                let deviation = variance.sqrt();
                // Zero, up to rounding.
                if deviation <= 1e-6 * mean.abs() || deviation == 0.0 {
                    let problem = format!(
                        "{} is {} in every line; a constant has no density: remove the column",
                        data.dimension_name(dimension),
                        data.value(0, dimension)
                    );
                    return Err(TrainError::task(format!("{}: {problem}", file_of(data))));
                }
                this.means.push(mean as f32);
                this.deviations.push(deviation as f32);
            }
        }
        Ok(this)
    }

    /// Checks that data is of the same kind as the training data of a model.
    ///
    /// # Errors
    /// If it differs. The error names the file and the difference.
    pub fn check(&self, data: &Dataset, config: &VaeConfig) -> Result<(), TrainError> {
        let mut expected = data.clone().first(0);
        expected.dimensions = config.dimensions;
        expected.image = config.image;
        expected.columns.clone_from(&self.columns);
        if let Some(difference) = expected.difference(data) {
            let problem = format!("{}: {difference} in the training data of the model", file_of(data));
            return Err(TrainError::task(problem));
        }
        check_range(data, config.likelihood)
    }

    /// Converts numbers to observations.
    pub fn observe(
        &self,
        data: &Dataset,
        likelihood: Likelihood,
        indices: &[usize],
        generator: &mut ChaCha8Rng,
    ) -> Observations {
        let mut all = Observations::default();
        all.targets.reserve(indices.len() * data.dimensions);
        for &index in indices {
            let bytes = data.bytes(index);
            for dimension in 0..data.dimensions {
                let target = match (likelihood, bytes) {
                    (Likelihood::Bernoulli {}, Some(bytes)) => self.binarize(bytes[dimension], generator),
                    (Likelihood::Gaussian { dequantize: true, .. }, Some(bytes)) => f32::from(bytes[dimension]) / 256.0,
                    (Likelihood::Gaussian { .. }, Some(bytes)) => f32::from(bytes[dimension]) / 255.0,
                    (Likelihood::Gaussian { .. }, None) => {
                        (data.value(index, dimension) - self.means[dimension]) / self.deviations[dimension]
                    }
                    (Likelihood::DiscretizedLogistic {}, _) => data.value(index, dimension) / 127.5 - 1.0,
                    (Likelihood::Categorical { .. } | Likelihood::Bernoulli {}, _) => data.value(index, dimension),
                };
                all.targets.push(target);
            }
        }
        all.inputs = all.targets.iter().map(|&target| likelihood.input_of(target)).collect();
        all
    }

    fn binarize(&self, byte: u8, generator: &mut ChaCha8Rng) -> f32 {
        let probability = f32::from(byte) / 255.0;
        match self.binarization {
            Binarization::Threshold => f32::from(u8::from(byte >= 128)),
            Binarization::None => probability,
            // Pixels of 0 and 255 need no random number.
            Binarization::Drawn if byte == 0 || byte == 255 => probability,
            Binarization::Drawn => f32::from(u8::from(generator.random::<f32>() < probability)),
        }
    }

    /// The mean observation, for [`Vae::start_at_mean`](crate::Vae::start_at_mean).
    pub fn mean(&self, data: &Dataset, likelihood: Likelihood) -> Vec<f32> {
        let mut sums = vec![0.0f64; data.dimensions];
        for index in 0..data.len() {
            for (dimension, sum) in sums.iter_mut().enumerate() {
                *sum += f64::from(data.value(index, dimension));
            }
        }
        let scale = |(dimension, sum): (usize, f64)| {
            let mean = (sum / data.len() as f64) as f32;
            match (likelihood, &data.numbers) {
                (Likelihood::Bernoulli {} | Likelihood::Gaussian { .. }, Numbers::Bytes(_)) => mean / 255.0,
                (Likelihood::Gaussian { .. }, Numbers::Reals(_)) => {
                    (mean - self.means[dimension]) / self.deviations[dimension]
                }
                _ => mean,
            }
        };
        sums.into_iter().enumerate().map(scale).collect()
    }

    /// The term to add to a log-density of the model to get that of the numbers in the file.
    pub fn log_volume(&self) -> f64 {
        -self
            .deviations
            .iter()
            .map(|deviation| f64::from(*deviation).ln())
            .sum::<f64>()
    }

    /// Converts a target to the byte of a pixel.
    pub fn pixel(likelihood: Likelihood, target: f32) -> u8 {
        let share = match likelihood {
            Likelihood::Bernoulli {} | Likelihood::Gaussian { .. } => target,
            Likelihood::DiscretizedLogistic {} => (target + 1.0) / 2.0,
            Likelihood::Categorical { classes } => target / (classes - 1) as f32,
        };
        (share.clamp(0.0, 1.0) * 255.0).round() as u8
    }

    /// Converts a target to the number in a table.
    pub fn number(&self, likelihood: Likelihood, dimension: usize, target: f32) -> f32 {
        match (likelihood, self.means.get(dimension), self.deviations.get(dimension)) {
            (Likelihood::Gaussian { .. }, Some(mean), Some(deviation)) => mean + deviation * target,
            (Likelihood::DiscretizedLogistic {}, ..) => ((target + 1.0) * 127.5).round(),
            _ => target,
        }
    }
}

fn file_of(data: &Dataset) -> String {
    let name = data.name(0);
    name.rsplit_once([':', '#', '/'])
        .map_or(name.clone(), |(file, _)| file.to_owned())
}

/// Checks that every number is in the support of the likelihood.
fn check_range(data: &Dataset, likelihood: Likelihood) -> Result<(), TrainError> {
    let refused = |index: usize, dimension: usize, expected: &str| {
        let (name, what) = (data.name(index), data.dimension_name(dimension));
        let value = data.value(index, dimension);
        Err(TrainError::task(format!("{name}: {what} is {value}; {expected}")))
    };
    let dequantizes = likelihood.dequantizes();
    match (&data.numbers, likelihood) {
        (Numbers::Bytes(_), Likelihood::Categorical { classes }) if classes < 256 => {
            for index in 0..data.len() {
                let bytes = data.bytes(index).unwrap_or(&[]);
                if let Some(dimension) = bytes.iter().position(|&byte| usize::from(byte) >= classes) {
                    let expected = format!(
                        "with {classes} classes, values must be within 0 and {}: use more classes, or another likelihood",
                        classes - 1
                    );
                    return refused(index, dimension, &expected);
                }
            }
            Ok(())
        }
        (Numbers::Bytes(_), _) => Ok(()),
        (Numbers::Reals(_), Likelihood::Gaussian { .. }) if !dequantizes => Ok(()),
        (Numbers::Reals(_), _) => {
            let (largest, whole, expected) = match likelihood {
                Likelihood::Bernoulli {} => (
                    1.0,
                    false,
                    "expected a probability within 0 and 1: use the gaussian likelihood".to_owned(),
                ),
                Likelihood::Categorical { classes } => (
                    (classes - 1) as f32,
                    true,
                    format!("expected a class, a whole number within 0 and {}", classes - 1),
                ),
                _ => (
                    255.0,
                    true,
                    "expected a byte, a whole number within 0 and 255".to_owned(),
                ),
            };
            for index in 0..data.len() {
                for dimension in 0..data.dimensions {
                    let value = data.value(index, dimension);
                    if !(0.0..=largest).contains(&value) || (whole && value.fract() != 0.0) {
                        return refused(index, dimension, &expected);
                    }
                }
            }
            if dequantizes {
                let problem = "dequantisation is only for images of bytes; remove it for a table";
                return Err(TrainError::task(format!("{}: {problem}", file_of(data))));
            }
            Ok(())
        }
    }
}

/// A picture of observations, in units of the targets, side by side.
///
/// # Errors
/// If there are no observations.
pub fn picture(
    likelihood: Likelihood,
    size: ImageSize,
    targets: &[Vec<f32>],
    columns: usize,
) -> Result<Vec<u8>, kexue_images::ImageError> {
    let pixels = targets
        .iter()
        .flatten()
        .map(|&target| Preparation::pixel(likelihood, target));
    let shape = kexue_images::Shape {
        channels: size.channels,
        height: size.height,
        width: size.width,
    };
    kexue_images::grid_png(&kexue_images::Images::new(shape, pixels.collect(), None), columns)
}
