//! What the numbers mean, in words.

use crate::alternatives::{Alternative, KEPT, placement_name};
use crate::probe::{Mean, Probe, Runs};
use kexue_nn::NormPlacement;
use serde::Serialize;

/// An identity-path weight below this has vanished.
const VANISHED: f64 = 0.1;
/// A gradient that shrinks to less than this on its way vanishes; one that grows by more than its inverse explodes.
const EVEN: f64 = 0.25;
/// A loss within so many nats of the plateau has learned nothing from the tokens around.
const STALLED: f64 = 0.05;

/// What happens to gradients between the last layer and the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientFlow {
    /// They stay within a factor of four.
    #[default]
    Even,
    /// They shrink toward the input.
    Vanishes,
    /// They grow toward the input.
    Explodes,
}

/// What follows from the measurements.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether less than a tenth of the input is left at the top of the identity path.
    pub identity_vanishes: bool,
    /// What happens to gradients between the last layer and the first.
    pub gradients: GradientFlow,
    /// Whether training was better with warm-up; `None` when it was not tried.
    pub needs_warmup: Option<bool>,
    /// What to take instead, the best first, as flags.
    pub suggestions: Vec<String>,
    /// All of it in words, with the numbers.
    pub sentences: Vec<String>,
}

/// A number in as many digits as it deserves.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !size.is_finite() => format!("{value}"),
        size if size < 1e-3 => format!("{value:.2e}"),
        size if size < 1.0 => format!("{value:.4}"),
        size if size < 100.0 => format!("{value:.3}"),
        size if size < 1e5 => format!("{value:.0}"),
        _ => format!("{value:.2e}"),
    }
}

impl Verdict {
    pub(crate) fn of(probe: &Probe) -> Self {
        let mut verdict = Self::default();
        verdict.identity(probe);
        verdict.gradients(probe);
        verdict.warmup(probe);
        verdict.suggest(probe);
        verdict
    }

    fn identity(&mut self, probe: &Probe) {
        let [predicted, regression, jacobian] = probe.identity();
        let count = probe.mean.sublayers.len();
        let variance = probe
            .mean
            .sublayers
            .iter()
            .map(|sublayer| sublayer.branch_variance)
            .sum::<f64>()
            / count as f64;
        let share = probe.mean.last().map_or(f64::NAN, |sublayer| sublayer.identity.share);
        self.identity_vanishes = predicted.mean < VANISHED;
        let measured = format!(
            "measured {} ± {} by regression, {} ± {} by Jacobian-vector products",
            short(regression.mean),
            short(regression.standard_error),
            short(jacobian.mean),
            short(jacobian.standard_error)
        );
        self.sentences.push(if probe.architecture.model.norm_placement.after() {
            format!(
                "After {count} sub-layers whose branches have σ² = {} of the stream's variance on average, the identity path keeps {} of the \
                 input by the formula; {measured}. {}",
                short(variance),
                short(predicted.mean),
                match self.identity_vanishes {
                    true => "The input vanishes on its way: the upper layers start from what untrained branches made of it.",
                    false => "The input reaches the top.",
                }
            )
        } else {
            format!(
                "No norm follows the sum, so that the identity path keeps all of the input ({measured}); the branches add to it until its share of the \
                 last stream is {}, as the root of a sum falls and not as a product.",
                short(share)
            )
        });
    }

    fn gradients(&mut self, probe: &Probe) {
        let ratio = probe.mean.token_gradient_ratio();
        self.gradients = match ratio {
            ratio if ratio < EVEN => GradientFlow::Vanishes,
            ratio if ratio > EVEN.recip() => GradientFlow::Explodes,
            _ => GradientFlow::Even,
        };
        let meaning = match self.gradients {
            GradientFlow::Even => "it neither vanishes nor explodes on its way to the input",
            GradientFlow::Vanishes => {
                "it vanishes on its way to the input. Adam moves all layers alike (see Δθ/θ), so the lower ones move a long way without being told \
                 which token wants what, and the upper ones learn first, from bad inputs"
            }
            GradientFlow::Explodes => "it explodes on its way to the input",
        };
        let common = probe.mean.last().map_or(f64::NAN, |sublayer| sublayer.common);
        self.sentences.push(format!(
            "The gradient that tells one token from another is {} times as large after the first sub-layer as after the last: {meaning}. The gradient of the first \
             layer's parameters is {} times that of the last layer's. At the top, {} of the stream's square is common to all tokens of a sequence.",
            short(ratio),
            short(probe.mean.gradient_ratio()),
            short(common)
        ));
    }

    fn warmup(&mut self, probe: &Probe) {
        if let Some(first) = probe.initial.first() {
            self.sentences.push(format!(
                "The first update at the full rate ({}) changes the last hidden state of its batch by {} of its norm, and its loss from {} to {}; the first of the \
                 warm-up ({}) by {}, and its loss to {}.",
                short(first.full_rate.learning_rate.into()),
                short(first.full_rate.output_change),
                short(first.snapshot.loss),
                short(first.full_rate.loss),
                short(first.warmed_up.learning_rate.into()),
                short(first.warmed_up.output_change),
                short(first.warmed_up.loss),
            ));
        }
        for runs in &probe.runs {
            self.sentences.push(describe(runs, probe.plateau));
        }
        let own = |warm: bool| {
            probe
                .runs
                .iter()
                .find(|runs| runs.placement.is_none() && (runs.warmup > 0) == warm)
        };
        let (Some(with), Some(without)) = (own(true), own(false)) else {
            self.sentences.push(match probe.runs.is_empty() {
                true => "Whether it needs warm-up was not tried: give --steps.".to_owned(),
                false => "Whether it needs warm-up was not tried: give --warmup.".to_owned(),
            });
            return;
        };
        let (needs, why) = match (with.final_loss(), without.final_loss()) {
            (None, None) => (false, "it diverges with and without".to_owned()),
            _ if with.diverged() != without.diverged() => (
                with.diverged() < without.diverged(),
                format!(
                    "{} runs diverge with it, {} without",
                    with.diverged(),
                    without.diverged()
                ),
            ),
            (Some(warm), Some(cold)) => {
                let gain = cold.mean - warm.mean;
                let error = (warm.standard_error.powi(2) + cold.standard_error.powi(2)).sqrt();
                // A single seed has no error of its own.
                let noise = if with.runs.len() > 1 { 2.0 * error } else { STALLED };
                (
                    gain > noise,
                    format!("the loss is {} ± {} nats lower with it", short(gain), short(error)),
                )
            }
            _ => (false, "not all runs ended".to_owned()),
        };
        self.needs_warmup = Some(needs);
        self.sentences.push(format!(
            "{}: {why}.",
            if needs {
                "It needs warm-up"
            } else {
                "Warm-up is not needed"
            }
        ));
    }

    fn suggest(&mut self, probe: &Probe) {
        let settled = !self.identity_vanishes && self.gradients == GradientFlow::Even;
        if self.needs_warmup == Some(true) {
            self.suggest_runs(probe);
        }
        // What keeps the input and lets gradients through, the most even first.
        let even = |alternative: &Alternative| alternative.token_gradient_ratio.ln().abs();
        let mut better: Vec<&Alternative> = probe
            .alternatives
            .iter()
            .filter(|other| other.identity.predicted >= KEPT * 0.9 && even(other) < EVEN.recip().ln())
            .collect();
        better.sort_by(|a, b| even(a).total_cmp(&even(b)));
        if probe.alternatives.is_empty() {
            return;
        }
        if settled {
            self.sentences.push(
                "Neither input nor gradients vanish before the first step: see the table for alternatives.".to_owned(),
            );
            return;
        }
        if better.is_empty() {
            self.sentences
                .push("None of the alternatives that were measured keeps both input and gradients.".to_owned());
        }
        for other in &better {
            if !self.suggestions.contains(&other.change) {
                self.suggestions.push(other.change.clone());
            }
            self.sentences.push(format!(
                "Instead: {} keeps {} of the input, and {} times the token gradient of the last sub-layer arrives at the first.",
                other.change,
                short(other.identity.predicted),
                short(other.token_gradient_ratio)
            ));
        }
    }

    /// What was trained and does not need what the architecture needs: warm-up.
    fn suggest_runs(&mut self, probe: &Probe) {
        let warmup = probe.architecture.optimizer.warmup;
        self.suggestions.push(format!("--warmup {warmup}"));
        let loss = |runs: &Runs| runs.final_loss().filter(|_| runs.diverged() == 0).map(|loss| loss.mean);
        let mut others: Vec<(f64, NormPlacement)> = probe
            .runs
            .iter()
            .filter_map(|runs| Some((loss(runs)?, runs.placement?)))
            .filter(|&(loss, _)| loss < probe.plateau - STALLED)
            .collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (loss, placement) in others {
            let flags = format!("--norm {}", placement_name(placement));
            self.sentences.push(format!(
                "Instead of the warm-up: {flags} ends at {} without one.",
                short(loss)
            ));
            self.suggestions.push(flags);
        }
    }
}

/// How runs ended.
fn describe(runs: &Runs, plateau: f64) -> String {
    let count = runs.runs.len();
    let mut parts = Vec::new();
    if let Some(loss) = runs.final_loss() {
        parts.push(format!(
            "a loss of {} ± {} at the end (plateau {})",
            short(loss.mean),
            short(loss.standard_error),
            short(plateau)
        ));
    }
    let steps: Vec<String> = runs
        .runs
        .iter()
        .filter_map(|run| run.diverged)
        .map(|step| step.to_string())
        .collect();
    if !steps.is_empty() {
        parts.push(format!(
            "{} of {count} diverged, at step {}",
            steps.len(),
            steps.join(", ")
        ));
    }
    let stalled = |loss: f64| loss.is_finite() && loss > plateau - STALLED;
    let stalls = runs.runs.iter().filter(|run| stalled(run.final_loss())).count();
    if stalls > 0 {
        parts.push(format!(
            "{stalls} of {count} stalled there: no better than the frequencies of tokens"
        ));
    }
    let ratios: Vec<f64> = runs
        .runs
        .iter()
        .filter_map(|run| Some(run.snapshots.last()?.token_gradient_ratio()))
        .collect();
    if !ratios.is_empty() {
        parts.push(format!(
            "at its end {} times the last sub-layer's token gradient arrives at the first",
            short(Mean::of(&ratios).mean)
        ));
    }
    format!("Trained with {}: {}.", runs.name, parts.join("; "))
}
