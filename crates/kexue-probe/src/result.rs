//! Everything that a probe measured, in one value.

use crate::alternatives::Alternative;
use crate::initial::Initial;
use crate::mean::Mean;
use crate::probe_settings::ProbeSettings;
use crate::snapshot::Snapshot;
use crate::training::{Trial, Trials};
use crate::verdict::Verdict;
use crate::weights::WeightStd;
use crate::{Architecture, Ending};
use serde::Serialize;

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// What was probed.
    pub architecture: Architecture,
    /// The settings.
    pub settings: ProbeSettings,
    /// Number of parameters.
    pub parameters: usize,
    /// Whether the model was a saved one, with its weights.
    pub saved: bool,
    /// Whether the data were text; nothing can be learned from random tokens.
    pub text: bool,
    /// The standard deviations of the weights of a fresh model; empty for a saved one.
    pub weights: Vec<WeightStd>,
    /// Measurements before the first step, one for each seed. For a saved model only the batches differ.
    pub initial: Vec<Initial>,
    /// Their mean.
    pub mean: Snapshot,
    /// Alternatives; for fresh models.
    pub alternatives: Vec<Alternative>,
    /// The trainings: without warm-up, with it, and with other norm placements without it.
    pub runs: Vec<Trials>,
    /// The loss of the best model that ignores its input.
    pub plateau: f64,
    /// Whether it was interrupted; then it holds what was measured until then.
    pub interrupted: bool,
    /// What follows from all that.
    pub verdict: Verdict,
}

impl Probe {
    /// How each of some trainings ended.
    pub fn endings(&self, runs: &Trials) -> Vec<Ending> {
        let ending = |run: &Trial| run.ending(self.plateau, self.text);
        runs.runs.iter().map(ending).collect()
    }

    /// The identity-path weight at the top before the first step: predicted, by regression, by Jacobian.
    pub fn identity(&self) -> [Mean; 3] {
        let of = |kind: &dyn Fn(&Snapshot) -> Option<f64>| {
            let values: Vec<f64> = self
                .initial
                .iter()
                .filter_map(|initial| kind(&initial.snapshot))
                .collect();
            Mean::of(&values)
        };
        [
            of(&|snapshot| Some(snapshot.last()?.identity.predicted)),
            of(&|snapshot| Some(snapshot.last()?.identity.regression)),
            of(&|snapshot| snapshot.last()?.identity.jacobian),
        ]
    }
}
