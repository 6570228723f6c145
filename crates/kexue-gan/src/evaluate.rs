//! Measuring a finished run.

use crate::lipschitz::{Slopes, slopes};
use crate::quality::{Features, Quality, QualityError, quality};
use crate::run::TrainedGan;
use kexue_train::generator;
use serde::Serialize;
use std::fmt::Write as _;

/// The measurements of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of modes of a toy distribution that the samples cover, and number of all modes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modes: Option<(usize, usize)>,
    /// Share of good samples of a toy distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_samples: Option<f64>,
    /// Distances between real and generated samples, on the features of a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// The slopes of the critic.
    pub slopes: Slopes,
}

/// Maximum number of points of each kind at which slopes are measured.
const SLOPE_POINTS: usize = 4096;

/// Maximum number of samples of each kind whose features are compared, pair by pair.
const FEATURE_SAMPLES: usize = 5000;

/// Computes the features of concatenated samples. Returns them and the number of features per sample.
pub type Featurizer<'a> = &'a dyn Fn(&[f32]) -> (Vec<f64>, usize);

/// Measures samples and the critic. With features, also measures how close the samples are to an equal number of examples.
///
/// # Errors
/// If there are too few samples to compare features, or the features are not finite.
pub fn evaluate(
    trained: &TrainedGan,
    samples: usize,
    seed: u64,
    featurizer: Option<Featurizer<'_>>,
) -> Result<Evaluation, QualityError> {
    let TrainedGan {
        model,
        normalizer,
        data,
        ..
    } = trained;
    let size = data.space().size();
    let mut random = generator(seed, 0, 0);
    let made = model.sample(samples, &mut random);
    let toy = data.toy().map(|toy| {
        let points: Vec<[f64; 2]> = made.chunks(2).map(|p| [f64::from(p[0]), f64::from(p[1])]).collect();
        toy.judge(&points)
    });
    let count = samples.min(SLOPE_POINTS).min((1 << 20) / size).max(1);
    let real = model.tensor(data.draw(count, &mut random), size);
    let fake = model.tensor(made[..count * size].to_vec(), size);
    let compare = |featurizer: Featurizer<'_>| {
        let count = samples.min(FEATURE_SAMPLES).min(data.len());
        let features = |values: &[f32]| {
            let (values, size) = featurizer(values);
            Features::new(values, size)
        };
        // Each example at most once, because a duplicate would be its own neighbour.
        let every = data.len() / count;
        let real = data.take((0..count).map(|sample| sample * every));
        quality(&features(&real)?, &features(&made[..count * size])?)
    };
    let compared = featurizer.map(compare).transpose()?;
    Ok(Evaluation {
        quality: compared,
        modes: toy.map(|toy| (toy.covered, toy.modes)),
        good_samples: toy.map(|toy| toy.good),
        slopes: slopes(&**normalizer, model.critic(), real, fake, &mut random),
    })
}

impl Evaluation {
    /// The numbers as text, one per line.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some((covered, all)) = self.modes {
            let _ = writeln!(text, "  modes covered        {covered} of {all}");
        }
        if let Some(good) = self.good_samples {
            let _ = writeln!(text, "  good samples         {:.1} %", 100.0 * good);
        }
        if let Some(quality) = &self.quality {
            text += &quality.to_text();
        }
        let slopes = &self.slopes;
        let (largest, mean) = (slopes.largest_gradient, slopes.mean_gradient);
        let _ = writeln!(text, "  ‖∇D̂‖                 largest {largest:.4}, mean {mean:.4}");
        for pairs in &slopes.pairs {
            let _ = writeln!(
                text,
                "  slope over pairs     largest {:.4}, mean {:.4} at a distance of {} times the data's size",
                pairs.largest, pairs.mean, pairs.distance
            );
        }
        text
    }
}
