//! The instrument: everything measured, in one value.

use crate::alternatives::{Alternative, alternatives, placement_name};
use crate::initial::{Initial, calibrate, fresh, initial};
use crate::snapshot::{Snapshot, mean};
use crate::training::{Run, train};
use crate::verdict::Verdict;
use crate::weights::{WeightStd, weight_stds};
use crate::{Architecture, Data, Ending, ProbeError};
use kexue_nn::{Model, NormPlacement};
use kexue_train::{generator, streams};
use rayon::prelude::*;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeSettings {
    /// The first seed; each decides weights, batches and directions.
    pub seed: u64,
    /// How many seeds: their means are reported, with standard errors.
    pub seeds: u64,
    /// Steps of training, with and without warm-up; 0 for none.
    pub steps: u64,
    /// How often a run is looked at.
    pub looks: u64,
    /// Other placements to train as well.
    pub compare: Vec<NormPlacement>,
    /// Scale the branches of fresh models so that their variance is this times the stream's.
    pub branch_variance: Option<f64>,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            seeds: 1,
            steps: 0,
            looks: 25,
            compare: Vec::new(),
            branch_variance: None,
        }
    }
}

impl ProbeSettings {
    fn validate(&self) -> Result<(), ProbeError> {
        if !(1..=1000).contains(&self.seeds) {
            return Err(ProbeError::setting(
                "seeds",
                format!("{} is not within 1 and 1000", self.seeds),
            ));
        }
        if self.looks == 0 {
            return Err(ProbeError::setting("looks", "there must be at least one"));
        }
        if self
            .branch_variance
            .is_some_and(|variance| !(1e-12..=1e12).contains(&variance))
        {
            // Beyond, the scaled weights leave single precision.
            let problem = "must be a positive number, within 1e-12 and 1e12";
            return Err(ProbeError::setting("branch_variance", problem));
        }
        Ok(())
    }
}

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error; 0 for a single seed.
    pub standard_error: f64,
}

impl Mean {
    /// The mean of some values.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let standard_error = match values.len() {
            0 | 1 => 0.0,
            _ => (squares / (count - 1.0) / count).sqrt(),
        };
        Self { mean, standard_error }
    }
}

/// Runs that differ in their seed alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Runs {
    /// What they have in common.
    pub name: String,
    /// The placement, where it is not that of the probed architecture.
    pub placement: Option<NormPlacement>,
    /// Steps of warm-up.
    pub warmup: u64,
    /// One for each seed.
    pub runs: Vec<Run>,
}

impl Runs {
    /// The loss at the end of the runs that came there; `None` where none did.
    pub fn final_loss(&self) -> Option<Mean> {
        self.mean_of(Run::final_loss)
    }

    /// The lowest loss on the way, of the runs that had one.
    pub fn best_loss(&self) -> Option<Mean> {
        self.mean_of(Run::best_loss)
    }

    fn mean_of(&self, loss: impl Fn(&Run) -> Option<f64>) -> Option<Mean> {
        let losses: Vec<f64> = self.runs.iter().filter_map(loss).collect();
        (!losses.is_empty()).then(|| Mean::of(&losses))
    }
}

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// What was probed.
    pub architecture: Architecture,
    /// How.
    pub settings: ProbeSettings,
    /// Number of parameters.
    pub parameters: usize,
    /// Whether the model was given, with its weights.
    pub saved: bool,
    /// Whether it was shown text: nothing can be learned from random tokens.
    pub text: bool,
    /// The deviations of the weights; of a fresh model only.
    pub weights: Vec<WeightStd>,
    /// Before the first step, a seed each: for a saved model the batches differ.
    pub initial: Vec<Initial>,
    /// Their mean.
    pub mean: Snapshot,
    /// What else could be done; for fresh models.
    pub alternatives: Vec<Alternative>,
    /// The runs: with warm-up, without, and those of other placements without.
    pub runs: Vec<Runs>,
    /// The loss of the best model that looks at no token.
    pub plateau: f64,
    /// Whether it was cut short from outside: what was measured until then is here.
    pub interrupted: bool,
    /// What follows.
    pub verdict: Verdict,
}

impl Probe {
    /// How each of some runs ended.
    pub fn endings(&self, runs: &Runs) -> Vec<Ending> {
        let ending = |run: &Run| run.ending(self.plateau, self.text);
        runs.runs.iter().map(ending).collect()
    }

    /// The identity-path weight at the top before the first step, of each kind that [`Identity`](crate::Identity) has: predicted, by regression, by Jacobian.
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

/// What is trained: where its norms stand if elsewhere, and its warm-up.
type Variant = (Option<NormPlacement>, u64);

/// Probes an architecture, or a model of it that is given. `interrupt` ends it early, with what was measured until then.
///
/// # Errors
/// When the architecture or a setting cannot be.
pub fn probe(
    architecture: &Architecture,
    saved: Option<&Model>,
    data: &Data<'_>,
    settings: &ProbeSettings,
    interrupt: &AtomicBool,
) -> Result<Probe, ProbeError> {
    architecture.validate()?;
    settings.validate()?;
    if saved.is_some() && !settings.compare.is_empty() {
        return Err(ProbeError::setting(
            "compare",
            "a saved model has its norms where it has them",
        ));
    }
    if let Some(longest) = architecture
        .model
        .longest_sequence()
        .filter(|&longest| longest < data.length())
    {
        return Err(ProbeError::setting(
            "length",
            format!("{} is more than the model's {longest} positions", data.length()),
        ));
    }
    let seeds: Vec<u64> = (settings.seed..).take(settings.seeds as usize).collect();
    let first_batch = |seed: u64| data.batch(&mut generator(seed, streams::SHARDS, 0));
    let model_of = |architecture: &Architecture, seed: u64| -> Result<Model, ProbeError> {
        if let Some(model) = saved {
            return Ok(model.clone());
        }
        let mut model = fresh(architecture, seed)?;
        if let Some(variance) = settings.branch_variance {
            calibrate(&mut model, &first_batch(seed), variance);
        }
        Ok(model)
    };
    let first = model_of(architecture, settings.seed)?;
    let interrupted = || interrupt.load(Ordering::Relaxed);
    let initial = seeds
        .iter()
        // The first is measured whatever happens: without it there is nothing to say.
        .take_while(|&&seed| seed == settings.seed || !interrupted())
        .map(|&seed| {
            let model = model_of(architecture, seed)?;
            initial(&model, architecture, &first_batch(seed), seed)
        })
        .collect::<Result<Vec<_>, ProbeError>>()?;
    let snapshots: Vec<&Snapshot> = initial.iter().map(|initial| &initial.snapshot).collect();
    let Some(mean) = mean(&snapshots) else {
        return Err(ProbeError::setting("seeds", "there must be at least one"));
    };
    let free = saved.is_none() && settings.branch_variance.is_none();
    let mut probe = Probe {
        weights: match saved {
            None => weight_stds(&first),
            Some(_) => Vec::new(),
        },
        parameters: first.values().len(),
        saved: saved.is_some(),
        text: data.is_text(),
        mean,
        initial,
        alternatives: match free {
            true => alternatives(architecture, &first_batch(settings.seed), settings.seed, interrupt)?,
            false => Vec::new(),
        },
        runs: Vec::new(),
        plateau: data.plateau(),
        interrupted: false,
        verdict: Verdict::default(),
        architecture: architecture.clone(),
        settings: settings.clone(),
    };
    if settings.steps > 0 {
        let warmup = architecture.optimizer.warmup;
        let mut variants: Vec<Variant> = vec![(None, 0)];
        if warmup > 0 {
            variants.push((None, warmup));
        }
        variants.extend(settings.compare.iter().map(|&placement| (Some(placement), 0)));
        let each: Vec<(Variant, u64)> = variants
            .iter()
            .flat_map(|&variant| seeds.iter().map(move |&seed| (variant, seed)))
            .collect();
        // Runs, not shards of a batch: each is a function of its seed, whatever the number of cores.
        let runs = each
            .into_par_iter()
            .map(|((placement, warmup), seed)| {
                let other = placement.map_or_else(
                    || architecture.clone(),
                    |placement| architecture.with_placement(placement),
                );
                let model = model_of(&other, seed)?;
                let steps = (settings.steps, settings.looks);
                Ok(train(model, &other, data, warmup, steps, seed, interrupt)?.0)
            })
            .collect::<Result<Vec<Run>, ProbeError>>()?;
        probe.runs = variants
            .iter()
            .zip(runs.chunks(seeds.len()))
            .map(|(&(placement, warmup), runs)| {
                let norm = placement_name(placement.unwrap_or(architecture.model.norm_placement));
                let name = match warmup {
                    0 => format!("{norm}, no warm-up"),
                    _ => format!("{norm}, {warmup} steps of warm-up"),
                };
                Runs {
                    name,
                    placement,
                    warmup,
                    runs: runs.to_vec(),
                }
            })
            .collect();
    }
    probe.interrupted = interrupted();
    probe.verdict = Verdict::of(&probe);
    Ok(probe)
}
