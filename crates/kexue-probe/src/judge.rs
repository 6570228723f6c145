//! Derives the verdict, in words, from the measurements.

use crate::alternatives::{Alternative, KEPT, placement_change};
use crate::change::Change;
use crate::ending::{Ending, Quarters, TOLERANCE};
use crate::initial::{FirstUpdate, Initial};
use crate::mean::Mean;
use crate::optimizer::OptimizerKind;
use crate::result::Probe;
use crate::training::{Trial, Trials};
use crate::verdict::{GradientFlow, Verdict};
use crate::words::{short, with_error};
use kexue_nn::NormPlacement;
use std::fmt::Write as _;

/// An identity-path weight below this has vanished.
const VANISHED: f64 = 0.1;
/// A gradient that shrinks below this ratio vanishes; one that grows beyond its inverse explodes.
const EVEN: f64 = 0.25;
/// Tokens are hardly distinguishable if more than this share of their stream's square is common to all.
const ALIKE: f64 = 0.9;

/// How changes of settings are named.
type Names<'a> = &'a dyn Fn(&Change) -> String;

impl Probe {
    /// Names settings in another way in all texts, for example by flags. By default, a change is written as `norm_placement = pre`.
    pub fn name_settings(&mut self, name: &dyn Fn(&Change) -> String) {
        for alternative in &mut self.alternatives {
            alternative.change = alternative.change.clone().named(name);
        }
        self.verdict = Verdict::of(self, name);
    }
}

impl Verdict {
    pub(crate) fn of(probe: &Probe, names: Names<'_>) -> Self {
        let mut verdict = Self::default();
        if !probe.mean.is_finite() {
            let when = if probe.saved {
                "as loaded"
            } else {
                "before the first step"
            };
            verdict.sentences.push(format!(
                "The numbers are not finite {when} (loss {}, norm of the gradient {}): the weights are not finite, too large, or \
                 all 0. No other conclusions are possible.",
                short(probe.mean.loss),
                short(probe.mean.gradient)
            ));
            return verdict;
        }
        verdict.endings = probe.runs.iter().map(|runs| probe.endings(runs)).collect();
        verdict.identity(probe);
        verdict.gradients(probe);
        verdict.warmup(probe);
        verdict.suggest(probe, names);
        verdict
    }

    fn identity(&mut self, probe: &Probe) {
        let [predicted, regression, jacobian] = probe.identity();
        let sublayers = &probe.mean.sublayers;
        if !probe.architecture.model.norm_placement.after() {
            let top = probe.mean.last().map_or(f64::NAN, |last| last.rms);
            self.sentences.push(format!(
                "The input reaches the top: no norm follows the sum, so the identity path keeps all of it (measured: {} by Jacobian-vector products). \
                 The branches make the stream {} times as large.",
                with_error(jacobian),
                short(top / probe.mean.embedding_rms)
            ));
            return;
        }
        self.identity_vanishes = predicted.mean < VANISHED;
        let variance: f64 = sublayers.iter().map(|sublayer| sublayer.branch_variance).sum();
        let (start, end) = match self.identity_vanishes {
            true if probe.saved => ("The input vanishes", ""),
            true => (
                "The input vanishes",
                " The upper layers start from the output of untrained branches.",
            ),
            false => ("The input reaches the top", ""),
        };
        self.sentences.push(format!(
            "{start}: after {} sub-layers with a mean σ² of {} the identity path keeps {} of it by the formula (measured: {} by \
             regression, {} by Jacobian-vector products).{end}",
            sublayers.len(),
            short(variance / sublayers.len() as f64),
            short(predicted.mean),
            with_error(regression),
            with_error(jacobian),
        ));
    }

    fn gradients(&mut self, probe: &Probe) {
        let ratio = probe.mean.token_gradient_ratio();
        self.gradients = match probe.mean.gradient_flow() {
            ratio if ratio < EVEN => GradientFlow::Vanishes,
            ratio if ratio > EVEN.recip() => GradientFlow::Explodes,
            _ => GradientFlow::Even,
        };
        let adaptive = probe.architecture.optimizer.kind != OptimizerKind::Sgd;
        let (start, end) = match (self.gradients, adaptive) {
            (GradientFlow::Even, _) => ("Gradients reach the input", ""),
            (GradientFlow::Vanishes, true) => (
                "Gradients vanish toward the input",
                " The optimiser changes all layers by similar amounts (see Δθ/θ): the lower ones hardly learn from single tokens, and the upper \
                 ones learn first, from bad inputs.",
            ),
            (GradientFlow::Vanishes, false) => (
                "Gradients vanish toward the input",
                " The lower layers hardly learn from single tokens.",
            ),
            (GradientFlow::Explodes, _) => ("Gradients explode toward the input", ""),
        };
        self.sentences.push(format!(
            "{start}: the part that differs between tokens is {} times as large after the first sub-layer as after the last (of the parameters: {} times in \
             the first layer what it is in the last).{end}",
            short(ratio),
            short(probe.mean.gradient_ratio()),
        ));
        let common = probe.mean.last().map_or(f64::NAN, |last| last.common);
        if common > ALIKE {
            self.sentences.push(format!(
                "Tokens become similar: {} of the last stream's square is common to all tokens of a sequence.",
                short(common)
            ));
        }
    }

    fn warmup(&mut self, probe: &Probe) {
        if let Some(first) = probe.initial.first() {
            let rate = |update: &FirstUpdate| short(update.learning_rate.into());
            // NaN if the update makes the hidden state non-finite.
            let change = |update: fn(&Initial) -> &FirstUpdate| {
                let changes: Vec<f64> = probe
                    .initial
                    .iter()
                    .map(|initial| update(initial).output_change)
                    .collect();
                match Mean::of(&changes) {
                    change if change.mean.is_finite() => {
                        format!("changes the last hidden state by {} of its norm", with_error(change))
                    }
                    _ => "makes the last hidden state non-finite".to_owned(),
                }
            };
            let mut sentence = format!(
                "The first update at the full learning rate ({}) {}",
                rate(&first.full_rate),
                change(|initial| &initial.full_rate),
            );
            if probe.architecture.optimizer.warmup > 1 {
                let _ = write!(
                    sentence,
                    "; the first of the warm-up ({}) {}",
                    rate(&first.warmed_up),
                    change(|initial| &initial.warmed_up)
                );
            }
            let finite = |initial: &Initial| initial.full_rate.output_change.is_finite();
            self.sentences.push(match probe.initial.iter().all(finite) {
                true => sentence + ".",
                false => sentence + ". Use a lower learning rate.",
            });
        }
        for runs in &probe.runs {
            self.sentences.push(describe(runs, probe));
        }
        let own = |warm: bool| {
            let mut own = probe.runs.iter().filter(|runs| runs.placement.is_none());
            own.find(|runs| (runs.warmup > 0) == warm)
        };
        let cut = probe.runs.iter().flat_map(|runs| &runs.runs).any(|run| run.interrupted);
        let sentence = match (own(true), own(false)) {
            _ if cut => "Whether it needs warm-up is unknown: the runs were cut short.".to_owned(),
            (Some(with), Some(without)) => self.compare(probe, with, without),
            (None, Some(_)) => "Whether it needs warm-up was not tested: no run had warm-up.".to_owned(),
            _ if probe.text => "Whether it needs warm-up was not tested: there were no training steps.".to_owned(),
            _ => "Whether it needs warm-up was not tested: this takes texts and training steps.".to_owned(),
        };
        self.sentences.push(sentence);
    }

    /// Whether training was better with warm-up, and by how much.
    fn compare(&mut self, probe: &Probe, with: &Trials, without: &Trials) -> String {
        let (with_ended, without_ended) = (probe.endings(with), probe.endings(without));
        let (with_diverged, without_diverged) = (diverged(&with_ended), diverged(&without_ended));
        if with_diverged != without_diverged {
            let needs = with_diverged < without_diverged;
            self.needs_warmup = Some(needs);
            return format!(
                "{}: {with_diverged} of {} runs diverge with it, {without_diverged} without.",
                if needs {
                    "It needs warm-up"
                } else {
                    "Warm-up is harmful"
                },
                with.runs.len(),
            );
        }
        let (Some(warm), Some(cold), true) = (with.final_loss(), without.final_loss(), with_diverged < with.runs.len())
        else {
            self.needs_warmup = Some(false);
            return format!(
                "Warm-up does not help: all runs diverge, with and without it. Use a learning rate lower than {}.",
                short(probe.architecture.optimizer.learning_rate.into())
            );
        };
        if !probe.text {
            return "Whether it needs warm-up is unknown: nothing can be learned from random tokens. Use texts."
                .to_owned();
        }
        let ended = || with_ended.iter().chain(&without_ended);
        if ended().all(|ending| *ending == Ending::Inconclusive) {
            return format!(
                "Whether it needs warm-up is unknown: {} steps are too few.",
                probe.settings.steps
            );
        }
        if ended().all(|ending| matches!(ending, Ending::Falling | Ending::Level)) {
            return format!(
                "Whether it needs warm-up is not yet clear: with and without it, the loss is not below the plateau of {} after {} steps. \
                 Use more steps, or a higher learning rate.",
                short(probe.plateau),
                probe.settings.steps
            );
        }
        let stalled = |endings: &[Ending]| endings.iter().all(|ending| *ending == Ending::Stalled);
        let (warm_stalled, cold_stalled) = (stalled(&with_ended), stalled(&without_ended));
        let gain = cold.mean - warm.mean;
        let error = (warm.standard_error.powi(2) + cold.standard_error.powi(2)).sqrt();
        // A single seed has no standard error.
        let noise = if with.runs.len() > 1 { 2.0 * error } else { TOLERANCE };
        let difference = with_error(Mean {
            mean: gain.abs(),
            standard_error: error,
        });
        self.needs_warmup = Some(gain > noise);
        if warm_stalled && cold_stalled {
            self.needs_warmup = Some(false);
            return "Warm-up does not help: with and without it, only the frequencies of tokens are learned."
                .to_owned();
        }
        if gain > noise {
            let start = if cold_stalled {
                "It needs warm-up"
            } else {
                "Warm-up helps"
            };
            format!("{start}: the loss ends {difference} lower with it.")
        } else if gain < -noise {
            format!("Warm-up is not needed: the loss ends {difference} higher with it.")
        } else {
            format!(
                "Warm-up is not needed: with and without it, the final losses differ by less than the noise ({difference})."
            )
        }
    }

    fn suggest(&mut self, probe: &Probe, names: Names<'_>) {
        if self.needs_warmup == Some(true) {
            self.suggest_runs(probe, names);
        }
        if probe.alternatives.is_empty() {
            return;
        }
        if !self.identity_vanishes && self.gradients == GradientFlow::Even {
            let alike = probe.mean.last().is_some_and(|last| last.common > ALIKE);
            let trouble = |ending: &Ending| matches!(ending, Ending::Diverged | Ending::Rose | Ending::Stalled);
            let own = probe.runs.iter().zip(&self.endings);
            let mut own = own.filter(|(runs, _)| runs.placement.is_none());
            // Not if runs failed, or if the first update makes the hidden state non-finite.
            let calm = probe
                .initial
                .iter()
                .all(|initial| initial.full_rate.output_change.is_finite())
                && !own.any(|(_, endings)| endings.iter().any(trouble));
            if self.suggestions.is_empty() && !alike && calm {
                self.sentences.push("The first step needs no changes.".to_owned());
            }
            return;
        }
        // The alternatives that keep the input and let gradients through, those with the most even gradients first.
        let even = |alternative: &Alternative| alternative.token_gradient_ratio.ln().abs();
        let mut better: Vec<&Alternative> = probe
            .alternatives
            .iter()
            .filter(|other| {
                other.identity.predicted >= KEPT * 0.9 && other.gradient_flow.ln().abs() < EVEN.recip().ln()
            })
            .collect();
        better.sort_by(|a, b| even(a).total_cmp(&even(b)));
        if better.is_empty() {
            self.sentences
                .push("None of the alternatives in the table keeps both input and gradients.".to_owned());
        }
        for other in &better {
            if !self.suggestions.contains(&other.change) {
                self.suggestions.push(other.change.clone());
            }
            self.sentences.push(format!(
                "Instead: {} keeps {} of the input, and its gradient is {} times as large after the first sub-layer as after the last.",
                other.change,
                short(other.identity.predicted),
                short(other.token_gradient_ratio)
            ));
        }
    }

    /// Suggests warm-up, and the placements that learned without it; if none was trained, the alternative that changes least with the first
    /// update.
    fn suggest_runs(&mut self, probe: &Probe, names: Names<'_>) {
        let warmup = Change::new("warmup", probe.architecture.optimizer.warmup);
        self.suggestions.push(warmup.named(names));
        let learned = |endings: &&Vec<Ending>| endings.iter().all(|ending| *ending == Ending::Learned);
        let mut others: Vec<(f64, NormPlacement)> = probe
            .runs
            .iter()
            .zip(&self.endings)
            .filter(|(_, endings)| learned(endings))
            .filter_map(|(runs, _)| Some((runs.final_loss()?.mean, runs.placement?)))
            .collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (loss, placement) in others {
            let change = placement_change(placement).named(names);
            self.sentences.push(format!(
                "Instead of the warm-up: {change} ends at {} without one.",
                short(loss)
            ));
            self.suggestions.push(change);
        }
        let calmest = probe
            .alternatives
            .iter()
            .min_by(|a, b| a.output_change.total_cmp(&b.output_change));
        let (Some(first), Some(other)) = (probe.initial.first(), calmest) else {
            return;
        };
        let own = first.full_rate.output_change;
        if probe.settings.compare.is_empty() && other.output_change < 0.5 * own {
            self.sentences.push(format!(
                "Or else {}: its first update changes the last hidden state by {} instead of {} (not trained here).",
                other.change,
                short(other.output_change),
                short(own)
            ));
            self.suggestions.push(other.change.clone());
        }
    }
}

fn diverged(endings: &[Ending]) -> usize {
    endings.iter().filter(|ending| **ending == Ending::Diverged).count()
}

/// Describes the outcomes of runs with their numbers.
fn describe(runs: &Trials, probe: &Probe) -> String {
    let count = runs.runs.len();
    let mut parts = Vec::new();
    if let Some(loss) = runs.final_loss() {
        parts.push(format!("the loss ends at {}", with_error(loss)));
    }
    let plateau = short(probe.plateau);
    let endings = probe.endings(runs);
    let of = |wanted: Ending| -> Vec<&Trial> {
        let ended = runs.runs.iter().zip(&endings);
        ended
            .filter(|(_, ending)| **ending == wanted)
            .map(|(run, _)| run)
            .collect()
    };
    let list = |runs: &[&Trial], what: &dyn Fn(&Trial) -> String| {
        let each: Vec<String> = runs.iter().map(|run| what(run)).collect();
        each.join(", ")
    };
    // The mean losses of the quarters of each run.
    let quarters = |runs: &[&Trial], what: &dyn Fn(Quarters) -> Mean| {
        list(runs, &|run| {
            run.quarters()
                .map_or_else(String::new, |quarters| with_error(what(quarters)))
        })
    };
    for ending in [
        Ending::Diverged,
        Ending::Interrupted,
        Ending::Rose,
        Ending::Stalled,
        Ending::Falling,
        Ending::Level,
    ] {
        let here = of(ending);
        let (broken, whole): (Vec<&Trial>, Vec<&Trial>) = here.iter().partition(|run| run.diverged.is_some());
        if !broken.is_empty() {
            let steps = list(&broken, &|run| run.diverged.unwrap_or_default().to_string());
            parts.push(format!(
                "{} of {count} diverged, at step {steps}: the loss or its gradient was no longer a number",
                broken.len()
            ));
        }
        if whole.is_empty() {
            continue;
        }
        let last = |quarters: Quarters| quarters.last();
        parts.push(format!(
            "{} of {count} {}",
            whole.len(),
            match ending {
                Ending::Diverged => format!(
                    "diverged: the loss rose from {} at first to {} in the last quarter of the steps",
                    list(&whole, &|run| short(run.losses.first().copied().unwrap_or(f64::NAN))),
                    quarters(&whole, &last)
                ),
                Ending::Interrupted => format!(
                    "cut short, after {} steps",
                    list(&whole, &|run| run.losses.len().to_string())
                ),
                Ending::Rose => format!(
                    "rose again, from {} to {} in the last quarter of the steps",
                    quarters(&whole, &|quarters| quarters.lowest()),
                    quarters(&whole, &last)
                ),
                Ending::Falling => format!(
                    "not below the plateau of {plateau} yet, but still falling: by {} from the third quarter of the steps to the last",
                    quarters(&whole, &|quarters| quarters.drop())
                ),
                Ending::Level => format!(
                    "level above the plateau of {plateau}: it fell by {} from the third quarter of the steps to the last",
                    quarters(&whole, &|quarters| quarters.drop())
                ),
                _ => format!("stalled at the plateau of {plateau}, having learned only the frequencies of tokens"),
            }
        ));
    }
    format!("Trained with {}: {}.", runs.name, parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, Preset, ProbeSettings, Source, probe};
    use kexue_text::SpecialTokens;
    use std::sync::atomic::AtomicBool;

    /// A probe whose runs ended with these losses; `None` for diverged runs.
    fn ended(cold: &[Option<f64>], warm: &[Option<f64>], text: bool) -> Probe {
        let special = SpecialTokens {
            cls: 1,
            sep: 2,
            mask: 3,
            ordinary: 4..30,
        };
        let mut architecture = Preset::Roformer.architecture(30);
        let model = &mut architecture.model;
        (model.layers, model.d_model, model.heads, model.d_ffn) = (1, 8, 2, 16);
        let data = Data::new(Source::Random { special: &special }, architecture.objective, 2, 8).unwrap();
        let settings = ProbeSettings::default();
        let mut probe = probe(&architecture, None, &data, &settings, &AtomicBool::new(false)).unwrap();
        let runs = |losses: &[Option<f64>], warmup: u64| Trials {
            name: format!("{warmup} steps of warm-up"),
            placement: None,
            warmup,
            runs: losses
                .iter()
                .map(|loss| Trial {
                    seed: 0,
                    warmup,
                    losses: vec![loss.unwrap_or(f64::NAN); 40],
                    snapshots: Vec::new(),
                    diverged: loss.is_none().then_some(3),
                    interrupted: false,
                })
                .collect(),
        };
        probe.runs = vec![runs(cold, 0), runs(warm, 100)];
        (probe.plateau, probe.text) = (5.0, text);
        probe
    }

    #[test]
    fn says_whether_it_needs_warm_up() {
        let (low, stalled) = ([Some(3.0), Some(3.1)], [Some(5.0), Some(4.99)]);
        let high = [Some(4.0), Some(4.1)];
        for (cold, warm, needs, words) in [
            (
                stalled,
                low,
                Some(true),
                "It needs warm-up: the loss ends 1.945 ± 0.0502 lower",
            ),
            (
                high,
                low,
                Some(true),
                "Warm-up helps: the loss ends 1.000 ± 0.0707 lower",
            ),
            (low, low, Some(false), "Warm-up is not needed: with and without it"),
            (
                low,
                high,
                Some(false),
                "Warm-up is not needed: the loss ends 1.000 ± 0.0707 higher",
            ),
            (
                stalled,
                stalled,
                Some(false),
                "Warm-up does not help: with and without it, only the frequencies",
            ),
            (
                [None; 2],
                low,
                Some(true),
                "It needs warm-up: 0 of 2 runs diverge with it, 2 without",
            ),
            (
                low,
                [None, Some(3.0)],
                Some(false),
                "Warm-up is harmful: 1 of 2 runs diverge with it, 0 without",
            ),
            (
                [None; 2],
                [None; 2],
                Some(false),
                "Warm-up does not help: all runs diverge",
            ),
        ] {
            let verdict = Verdict::of(&ended(&cold, &warm, true), &Change::to_string);
            assert_eq!(verdict.needs_warmup, needs, "{words}");
            let said = verdict.sentences.iter().any(|sentence| sentence.starts_with(words));
            assert!(said, "{words}: {:#?}", verdict.sentences);
            assert_eq!(
                verdict.suggestions.contains(&Change::new("warmup", 100)),
                needs == Some(true)
            );
        }
        let mut cut = ended(&stalled, &low, true);
        let last = &mut cut.runs[1].runs[1];
        (last.interrupted, last.losses) = (true, Vec::new());
        let verdict = Verdict::of(&cut, &Change::to_string);
        assert_eq!(verdict.needs_warmup, None, "cut short");
        let said = verdict.sentences.join("\n");
        assert!(
            said.contains("1 of 2 cut short, after 0 steps") && said.contains("the runs were cut short."),
            "{said}"
        );
        let text = cut.to_text();
        assert!(!text.contains("inf ") && !text.contains("NaN ±"), "{text}");
        // Far above the plateau of 5: level, or falling from step to step.
        let mut above = ended(&[Some(8.0)], &[Some(8.0)], true);
        for run in &mut above.runs[1].runs {
            run.losses = (0..40).map(|step| 9.0 - 0.02 * f64::from(step)).collect();
        }
        let verdict = Verdict::of(&above, &Change::to_string);
        let said = verdict.sentences.join("\n");
        assert_eq!(verdict.needs_warmup, None, "{said}");
        assert_eq!(verdict.endings, [[Ending::Level], [Ending::Falling]]);
        for words in [
            "1 of 1 level above the plateau of 5.000: it fell by 0 from",
            "1 of 1 not below the plateau of 5.000 yet, but still falling: by 0.2000 ± 0.0271 from",
            "Whether it needs warm-up is not yet clear",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(!said.contains("stalled"), "{said}");
        let verdict = Verdict::of(&ended(&stalled, &low, false), &Change::to_string);
        assert_eq!(verdict.needs_warmup, None, "random tokens");
        assert!(!verdict.sentences.iter().any(|sentence| sentence.contains("stalled")));
    }
}
