//! Measuring a finished run.

use crate::lipschitz::{Slopes, slopes};
use crate::run::TrainedGan;
use kexue_train::generator;
use serde::Serialize;
use std::fmt::Write as _;

/// What was measured of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Modes of a toy distribution that the samples cover, and how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modes: Option<(usize, usize)>,
    /// Share of good samples of a toy distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_samples: Option<f64>,
    /// How steep the critic is.
    pub slopes: Slopes,
}

/// The most points of each kind at which slopes are measured.
const SLOPE_POINTS: usize = 4096;

/// Measures samples and the critic.
pub fn evaluate(trained: &TrainedGan, samples: usize, seed: u64) -> Evaluation {
    let TrainedGan {
        model,
        normalizer,
        data,
        ..
    } = trained;
    let size = data.space().size();
    let mut random = generator(seed, 0, 0);
    let made = model.sample(samples, &mut random);
    let quality = data.toy().map(|toy| {
        let points: Vec<[f64; 2]> = made.chunks(2).map(|p| [f64::from(p[0]), f64::from(p[1])]).collect();
        toy.judge(&points)
    });
    let count = samples.min(SLOPE_POINTS).min((1 << 20) / size).max(1);
    let real = model.tensor(data.draw(count, &mut random), size);
    let fake = model.tensor(made[..count * size].to_vec(), size);
    Evaluation {
        modes: quality.map(|quality| (quality.covered, quality.modes)),
        good_samples: quality.map(|quality| quality.good),
        slopes: slopes(&**normalizer, model.critic(), real, fake, &mut random),
    }
}

impl Evaluation {
    /// The numbers, a line each.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some((covered, all)) = self.modes {
            let _ = writeln!(text, "  modes covered        {covered} of {all}");
        }
        if let Some(good) = self.good_samples {
            let _ = writeln!(text, "  good samples         {:.1} %", 100.0 * good);
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
