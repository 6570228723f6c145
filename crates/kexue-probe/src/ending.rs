//! The outcome of a training run, judged by the last quarter of its losses.

use crate::mean::Mean;
use crate::training::Trial;
use serde::Serialize;

/// Minimum difference that counts, in nats; larger if the noise of the batches is larger.
pub(crate) const TOLERANCE: f64 = 0.05;
/// Minimum number of steps that shows a trend.
const FEWEST_STEPS: usize = 20;

/// The outcome of a run. Means are over quarters of the steps. Two means differ if they are more than two standard errors of the difference apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It was interrupted.
    Interrupted,
    /// A loss or a gradient was not finite, or the last quarter is above both the first loss and the plateau.
    Diverged,
    /// The last quarter is more than 0.05 nats above an earlier one.
    Rose,
    /// The last quarter is within 0.05 nats (or two standard errors) of the plateau, and not further than that below the previous quarter.
    Stalled,
    /// Not below the plateau yet, and still falling from quarter to quarter.
    Falling,
    /// Above the plateau, and level.
    Level,
    /// Below the plateau.
    Learned,
    /// There were fewer than 20 steps, or the tokens were random, so that nothing could be learned.
    Inconclusive,
}

impl Ending {
    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupted => "cut short",
            Self::Diverged => "diverged",
            Self::Rose => "rose again",
            Self::Stalled => "stalled",
            Self::Falling => "still falling",
            Self::Level => "level above the plateau",
            Self::Learned => "learned",
            Self::Inconclusive => "–",
        }
    }
}

/// The means of the quarters of a run's losses, with their standard errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quarters([Mean; 4]);

impl Quarters {
    fn of(losses: &[f64]) -> Option<Self> {
        let at = |quarter: usize| quarter * losses.len() / 4;
        let mean = |quarter: usize| Mean::of(&losses[at(quarter)..at(quarter + 1)]);
        (losses.len() >= FEWEST_STEPS).then(|| Self([0, 1, 2, 3].map(mean)))
    }

    pub fn last(&self) -> Mean {
        self.0[3]
    }

    /// The decrease from the third quarter to the last.
    pub fn drop(&self) -> Mean {
        difference(self.0[2], self.last())
    }

    /// The lowest mean of the quarters before the last.
    pub fn lowest(&self) -> Mean {
        let [first, second, third, _] = self.0;
        let lower = |a: Mean, b: Mean| if b.mean < a.mean { b } else { a };
        lower(lower(first, second), third)
    }
}

/// The first mean minus the second.
fn difference(from: Mean, to: Mean) -> Mean {
    Mean {
        mean: from.mean - to.mean,
        standard_error: from.standard_error.hypot(to.standard_error),
    }
}

impl Trial {
    /// The quarters of the losses; `None` if there are too few steps, the run was interrupted, or a loss is not finite.
    pub(crate) fn quarters(&self) -> Option<Quarters> {
        let whole = self.diverged.is_none() && !self.interrupted;
        Quarters::of(&self.losses).filter(|_| whole)
    }

    /// The outcome. `plateau` is the loss of the best model that ignores its input; `learnable` is false for random tokens.
    pub fn ending(&self, plateau: f64, learnable: bool) -> Ending {
        if self.diverged.is_some() {
            return Ending::Diverged;
        }
        if self.interrupted {
            return Ending::Interrupted;
        }
        let (Some(quarters), Some(&first)) = (self.quarters(), self.losses.first()) else {
            return Ending::Inconclusive;
        };
        let (last, drop) = (quarters.last(), quarters.drop());
        let tolerance = TOLERANCE.max(2.0 * last.standard_error);
        if last.mean > first.max(plateau) + tolerance {
            return Ending::Diverged;
        }
        if !learnable {
            return Ending::Inconclusive;
        }
        let rise = difference(last, quarters.lowest());
        if rise.mean > TOLERANCE.max(2.0 * rise.standard_error) {
            return Ending::Rose;
        }
        let falls = drop.mean > 2.0 * drop.standard_error;
        match last.mean - plateau {
            above if above < -tolerance => Ending::Learned,
            above if above > tolerance && falls => Ending::Falling,
            above if above > tolerance => Ending::Level,
            _ if falls && drop.mean > TOLERANCE => Ending::Falling,
            _ => Ending::Stalled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred steps whose quarters have these means, with noise of ±0.1 that averages out.
    fn run(quarters: [f64; 4]) -> Trial {
        let loss = |step: usize| quarters[step / 25] + [0.1, -0.1, 0.05, -0.05, 0.0][step % 5];
        Trial {
            seed: 0,
            warmup: 0,
            losses: (0..100).map(loss).collect(),
            snapshots: Vec::new(),
            diverged: None,
            interrupted: false,
        }
    }

    #[test]
    fn the_last_quarter_decides() {
        for (quarters, ending) in [
            ([6.3, 5.4, 5.39, 5.41], Ending::Stalled),
            // Has just reached the plateau.
            ([6.9, 6.4, 5.8, 5.4], Ending::Falling),
            // Far above the plateau, so not stalled.
            ([6.9, 6.8, 6.7, 6.6], Ending::Falling),
            ([6.9, 6.7, 6.69, 6.7], Ending::Level),
            ([6.0, 5.0, 4.6, 4.5], Ending::Learned),
            // Back at the plateau after it had been below.
            ([6.0, 4.6, 5.1, 5.4], Ending::Rose),
            ([6.0, 4.6, 4.5, 4.7], Ending::Rose),
            ([6.0, 7.0, 9.0, 1e9], Ending::Diverged),
        ] {
            assert_eq!(run(quarters).ending(5.4, true), ending, "{quarters:?}");
        }
        assert_eq!(
            run([6.9, 6.7, 6.7, 6.7]).ending(6.6, false),
            Ending::Inconclusive,
            "random tokens"
        );
        assert_eq!(run([6.9, 9.0, 9.0, 9.0]).ending(6.6, false), Ending::Diverged);
    }

    #[test]
    fn runs_that_did_not_come_to_their_end() {
        let whole = run([6.9, 6.4, 5.8, 5.4]);
        let short = Trial {
            losses: whole.losses[..19].to_vec(),
            ..whole.clone()
        };
        assert_eq!(short.ending(5.4, true), Ending::Inconclusive);
        let cut = Trial {
            interrupted: true,
            ..whole.clone()
        };
        assert_eq!(cut.ending(5.4, true), Ending::Interrupted);
        let diverged = Trial {
            diverged: Some(3),
            ..whole
        };
        assert_eq!(diverged.ending(5.4, true), Ending::Diverged);
    }
}
