//! The result of a probe.

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

/// All measurements of a probe, and the verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// The probed architecture.
    pub architecture: Architecture,
    /// The settings.
    pub settings: ProbeSettings,
    /// Number of parameters.
    pub parameters: usize,
    /// Whether the model was loaded with its weights.
    pub saved: bool,
    /// Whether the data were text. Nothing can be learned from random tokens.
    pub text: bool,
    /// The standard deviations of the weights of a new model; empty for a loaded one.
    pub weights: Vec<WeightStd>,
    /// Measurements before the first step, one for each seed. For a saved model only the batches differ.
    pub initial: Vec<Initial>,
    /// The mean of these measurements.
    pub mean: Snapshot,
    /// Alternatives; empty for loaded models.
    pub alternatives: Vec<Alternative>,
    /// The training runs: without warm-up, with it, and with other norm placements without it.
    pub runs: Vec<Trials>,
    /// The loss of the best model that ignores its input.
    pub plateau: f64,
    /// Whether the probe was interrupted. It then has the measurements so far.
    pub interrupted: bool,
    /// The conclusions.
    pub verdict: Verdict,
}

impl Probe {
    /// The outcomes of training runs.
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
