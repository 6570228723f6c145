//! The probe: measurements, training runs and the verdict.

use crate::alternatives::{alternatives, placement_name};
use crate::change::Change;
use crate::initial::{calibrate, fresh, initial};
use crate::probe_settings::ProbeSettings;
use crate::result::Probe;
use crate::snapshot::{Snapshot, mean};
use crate::training::{Trial, Trials, run_trial};
use crate::verdict::Verdict;
use crate::weights::weight_stds;
use crate::{Architecture, Data, ProbeError};
use kexue_nn::{Model, NormPlacement};
use kexue_train::{generator, streams};
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// A variant to train: its norm placement, if it differs, and its warm-up.
type Variant = (Option<NormPlacement>, u64);

/// Probes an architecture, or a given model of it. `interrupt` ends the probe early with the measurements so far.
///
/// # Errors
/// If the architecture or a setting is invalid.
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
            "the norm placement of a saved model cannot be changed",
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
        // The first seed is always measured, because the verdict needs it.
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
        // Trials run in parallel, not shards of a batch, so that each depends only on its seed and not on the number of cores.
        let runs = each
            .into_par_iter()
            .map(|((placement, warmup), seed)| {
                let other = placement.map_or_else(
                    || architecture.clone(),
                    |placement| architecture.with_placement(placement),
                );
                let model = model_of(&other, seed)?;
                let steps = (settings.steps, settings.snapshots);
                Ok(run_trial(model, &other, data, warmup, steps, seed, interrupt)?.0)
            })
            .collect::<Result<Vec<Trial>, ProbeError>>()?;
        probe.runs = variants
            .iter()
            .zip(runs.chunks(seeds.len()))
            .map(|(&(placement, warmup), runs)| {
                let norm = placement_name(placement.unwrap_or(architecture.model.norm_placement));
                let name = match warmup {
                    0 => format!("{norm}, no warm-up"),
                    _ => format!("{norm}, {warmup} steps of warm-up"),
                };
                Trials {
                    name,
                    placement,
                    warmup,
                    runs: runs.to_vec(),
                }
            })
            .collect();
    }
    probe.interrupted = interrupted();
    probe.verdict = Verdict::of(&probe, &Change::to_string);
    Ok(probe)
}
