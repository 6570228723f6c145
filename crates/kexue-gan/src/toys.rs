//! Distributions in the plane whose modes are known.

use crate::players::noise;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::PI;

/// A toy distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toy {
    /// Eight narrow normal distributions on a circle of radius 2.
    Ring,
    /// Twenty-five narrow normal distributions on a square grid from −4 to 4.
    Grid,
    /// A spiral of one and a half turns, with noise.
    SwissRoll,
}

/// A point of the plane.
pub type Point = [f64; 2];

impl Toy {
    /// All toys.
    pub const ALL: [Self; 3] = [Self::Ring, Self::Grid, Self::SwissRoll];

    /// The name of the toy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Grid => "grid",
            Self::SwissRoll => "swiss-roll",
        }
    }

    /// The centres of the modes. Those of the Swiss roll are 32 points along the spiral.
    pub fn modes(self) -> Vec<Point> {
        match self {
            Self::Ring => (0..8)
                .map(|mode| f64::from(mode) * PI / 4.0)
                .map(|angle| [2.0 * angle.cos(), 2.0 * angle.sin()])
                .collect(),
            Self::Grid => (0..25)
                .map(|mode| [f64::from(mode % 5) * 2.0 - 4.0, f64::from(mode / 5) * 2.0 - 4.0])
                .collect(),
            Self::SwissRoll => (0..32).map(|mode| spiral((f64::from(mode) + 0.5) / 32.0)).collect(),
        }
    }

    /// The standard deviation of each coordinate around its mode.
    pub fn spread(self) -> f64 {
        match self {
            Self::Ring => 0.02,
            Self::Grid | Self::SwissRoll => 0.05,
        }
    }

    /// Maximum distance of a good sample from the nearest mode or from the spiral: three standard deviations.
    pub fn tolerance(self) -> f64 {
        3.0 * self.spread()
    }

    /// Draws a point.
    pub fn draw(self, generator: &mut ChaCha8Rng) -> Point {
        let centre = match self {
            Self::SwissRoll => spiral(generator.random_range(0.0..1.0)),
            _ => {
                let modes = self.modes();
                modes[generator.random_range(0..modes.len())]
            }
        };
        let noise = noise(2, generator);
        [0, 1].map(|axis| centre[axis] + self.spread() * f64::from(noise[axis]))
    }

    /// Measures the quality of samples.
    pub fn judge(self, samples: &[Point]) -> ToyQuality {
        let modes = self.modes();
        let mut counts = vec![0usize; modes.len()];
        let mut good = 0;
        // The distance to the spiral is approximated by that to the nearest of many points on it.
        let line: Vec<Point> = match self {
            Self::SwissRoll => (0..1000).map(|place| spiral(f64::from(place) / 999.0)).collect(),
            _ => Vec::new(),
        };
        for &sample in samples {
            let (mode, mut distance) = nearest(&modes, sample);
            if !line.is_empty() {
                distance = nearest(&line, sample).1;
            }
            if distance <= self.tolerance() {
                good += 1;
                counts[mode] += 1;
            }
        }
        // A tenth of the mode's share, because fewer may be chance hits between two other modes.
        let enough = samples.len() as f64 / modes.len() as f64 / 10.0;
        ToyQuality {
            modes: modes.len(),
            covered: counts.iter().filter(|count| **count as f64 >= enough.max(1.0)).count(),
            good: good as f64 / samples.len().max(1) as f64,
        }
    }
}

/// The point of the spiral at a share of its angle.
fn spiral(share: f64) -> Point {
    let angle = 1.5 * PI * (1.0 + 2.0 * share);
    [angle * angle.cos() / 4.0, angle * angle.sin() / 4.0]
}

fn nearest(points: &[Point], sample: Point) -> (usize, f64) {
    let distances = points
        .iter()
        .map(|point| (point[0] - sample[0]).hypot(point[1] - sample[1]));
    distances
        .enumerate()
        .fold((0, f64::INFINITY), |best, (number, distance)| {
            if distance < best.1 { (number, distance) } else { best }
        })
}

/// The quality of samples of a toy distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ToyQuality {
    /// Number of modes of the distribution.
    pub modes: usize,
    /// Number of modes that have at least a tenth of their share of the samples within three standard deviations.
    pub covered: usize,
    /// Share of the samples within three standard deviations of a mode, or of the spiral.
    pub good: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_distribution_itself_is_nearly_all_good_and_covers_every_mode() {
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        for toy in Toy::ALL {
            let samples: Vec<Point> = (0..5000).map(|_| toy.draw(&mut generator)).collect();
            let quality = toy.judge(&samples);
            assert_eq!(quality.covered, quality.modes, "{toy:?}");
            // In two dimensions, a share of 1 − e^(−9/2) of a normal distribution is within three standard deviations.
            assert!(quality.good > 0.98, "{toy:?} {quality:?}");
            let one = vec![toy.modes()[3]; 100];
            assert_eq!((toy.judge(&one).covered, toy.judge(&one).good), (1, 1.0));
            assert_eq!(toy.judge(&[[99.0, 99.0]; 10]).good, 0.0);
        }
    }
}
