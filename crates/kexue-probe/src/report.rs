//! A probe as text and as a page.

use crate::alternatives::placement_name;
use crate::ending::Ending;
use crate::mean::Mean;
use crate::result::Probe;
use crate::snapshot::{Snapshot, SubLayer};
use crate::training::Trials;
use crate::words::short;
use kexue_optim::Branch;
use kexue_output::{text_table, with_error};
use kexue_train::{Chart, Page, Series};
use std::fmt::Write as _;

const SUBLAYER_HEAD: [&str; 14] = [
    "sub-layer",
    "RMS",
    "σ²",
    "weight: formula",
    "regression",
    "JVP",
    "share",
    "alike",
    "|∂L/∂x|",
    "of tokens",
    "|∂L/∂θ|",
    "Δθ/θ",
    "γ mean",
    "γ max",
];

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), short)
}

fn name(sublayer: &SubLayer) -> String {
    let branch = match sublayer.branch {
        Branch::Attention => "attention",
        Branch::FeedForward => "feed-forward",
    };
    format!("{} {branch}", sublayer.layer)
}

fn sublayer_rows(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let first = [
        "embedding",
        &short(snapshot.embedding_rms),
        "–",
        "1",
        "1",
        "1",
        "1",
        "–",
        &short(snapshot.embedding_stream_gradient),
        &short(snapshot.embedding_token_gradient),
    ]
    .into_iter()
    .chain(["–"; 4])
    .map(str::to_owned)
    .collect();
    let rows = snapshot.sublayers.iter().map(|sublayer| {
        let identity = sublayer.identity;
        vec![
            name(sublayer),
            short(sublayer.rms),
            short(sublayer.branch_variance),
            short(identity.predicted),
            short(identity.regression),
            optional(identity.jacobian),
            short(identity.share),
            short(sublayer.common),
            short(sublayer.stream_gradient),
            short(sublayer.token_gradient),
            short(sublayer.gradient),
            optional(sublayer.update_ratio),
            optional(sublayer.gamma.map(|gamma| gamma.0)),
            optional(sublayer.gamma.map(|gamma| gamma.1)),
        ]
    });
    std::iter::once(first).chain(rows).collect()
}

/// The outcomes of runs, with counts.
fn endings(endings: &[Ending]) -> String {
    let mut counts: Vec<(Ending, usize)> = Vec::new();
    for &ending in endings {
        match counts.iter_mut().find(|(other, _)| *other == ending) {
            Some((_, count)) => *count += 1,
            None => counts.push((ending, 1)),
        }
    }
    let words: Vec<String> = counts
        .into_iter()
        .map(|(ending, count)| match endings.len() {
            1 => ending.name().to_owned(),
            _ => format!("{count} {}", ending.name()),
        })
        .collect();
    words.join(", ")
}

/// Curves before the first step that are shown at once: what is left of the input, and the gradient of single tokens.
const TELLING: usize = 2;
/// Curves along the steps that are shown at once: the same and the loss.
const TELLING_STEPS: usize = 3;

impl Probe {
    fn title(&self) -> String {
        let model = &self.architecture.model;
        format!(
            "{} {} of width {}, norms: {}, {} parameters",
            model.layers,
            if model.layers == 1 { "layer" } else { "layers" },
            model.d_model,
            placement_name(model.norm_placement),
            self.parameters
        )
    }

    /// The state of the model in the first measurements.
    fn when(&self) -> &'static str {
        match self.saved {
            true => "As loaded",
            false => "Before the first step",
        }
    }

    fn weight_rows(&self) -> Vec<Vec<String>> {
        let row = |weights: &crate::WeightStd| {
            vec![
                weights.role.clone(),
                format!("{:?}", weights.shape),
                weights
                    .nominal
                    .map_or_else(|| "–".to_owned(), |std| format!("{std:.6}")),
                format!("{:.6}", weights.effective),
                with_error(weights.measured, Some(weights.standard_error), |std| {
                    format!("{std:.6}")
                }),
                weights.xavier.map_or_else(|| "–".to_owned(), |std| format!("{std:.6}")),
            ]
        };
        self.weights.iter().map(row).collect()
    }

    fn alternative_rows(&self) -> Vec<Vec<String>> {
        let row = |name: &str, identity: crate::Identity, (token, ratio): (f64, f64), change: f64| {
            vec![
                name.to_owned(),
                short(identity.predicted),
                short(identity.regression),
                short(identity.share),
                short(token),
                short(ratio),
                short(change),
            ]
        };
        let others = self.alternatives.iter().map(|other| {
            row(
                &other.change.to_string(),
                other.identity,
                (other.token_gradient_ratio, other.gradient_ratio),
                other.output_change,
            )
        });
        // Of the first seed, as the alternatives are.
        let own = self.initial.first().map(|initial| {
            let snapshot = &initial.snapshot;
            row(
                "as given",
                snapshot.last().map(|sublayer| sublayer.identity).unwrap_or_default(),
                (snapshot.token_gradient_ratio(), snapshot.gradient_ratio()),
                initial.full_rate.output_change,
            )
        });
        own.into_iter().chain(others).collect()
    }

    fn run_rows(&self) -> Vec<Vec<String>> {
        let loss = |loss: Option<Mean>| {
            loss.map_or_else(
                || "–".to_owned(),
                |loss| with_error(loss.mean, loss.shown_error(), |value| format!("{value:.3}")),
            )
        };
        let row = |runs: &Trials| {
            vec![
                runs.name.clone(),
                loss(runs.final_loss()),
                loss(runs.best_loss()),
                endings(&self.endings(runs)),
            ]
        };
        self.runs.iter().map(row).collect()
    }

    fn norm_rows(&self) -> Vec<Vec<String>> {
        // The run with the given settings: with warm-up, if there is one.
        let own = self
            .runs
            .iter()
            .filter(|runs| runs.placement.is_none())
            .max_by_key(|runs| runs.warmup);
        let ends: Vec<&Snapshot> = own
            .iter()
            .flat_map(|runs| &runs.runs)
            .filter_map(|run| run.snapshots.last())
            .collect();
        let row = |(at, norm): (usize, &crate::NormGain)| {
            let end = |of: &dyn Fn(&crate::NormGain) -> f64| {
                let values: Vec<f64> = ends.iter().filter_map(|end| end.norms.get(at)).map(of).collect();
                match values.is_empty() {
                    true => "–".to_owned(),
                    false => {
                        let mean = Mean::of(&values);
                        with_error(mean.mean, mean.shown_error(), |value| format!("{value:.4}"))
                    }
                }
            };
            vec![
                norm.name.clone(),
                short(norm.mean),
                short(norm.max),
                end(&|norm| norm.mean),
                end(&|norm| norm.max),
            ]
        };
        self.mean.norms.iter().enumerate().map(row).collect()
    }

    /// The tables and the verdict as text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n\n", self.title());
        if !self.weights.is_empty() {
            text.push_str(&text_table(&WEIGHT_HEAD, &self.weight_rows()));
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "{}, loss {} (plateau {}):",
            self.when(),
            short(self.mean.loss),
            short(self.plateau)
        );
        text.push_str(&text_table(&SUBLAYER_HEAD, &sublayer_rows(&self.mean)));
        text.push('\n');
        if !self.alternatives.is_empty() {
            text.push_str(&text_table(&ALTERNATIVE_HEAD, &self.alternative_rows()));
            text.push('\n');
        }
        if !self.runs.is_empty() {
            text.push_str(&text_table(&RUN_HEAD, &self.run_rows()));
            text.push('\n');
            text.push_str(&text_table(&NORM_HEAD, &self.norm_rows()));
            text.push('\n');
        }
        for sentence in &self.verdict.sentences {
            let _ = writeln!(text, "{sentence}");
        }
        text
    }

    /// The tables, the verdict and plots as a page.
    pub fn to_page(&self, title: &str) -> Page {
        let mut page = Page::new(title);
        page.verdict(&self.verdict.headline());
        page.paragraph(&self.title());
        page.heading(self.when());
        let initial = self.initial_charts();
        let (telling, others) = initial.split_at(initial.len().min(TELLING));
        page.charts(telling);
        let runs = self.run_charts();
        let (telling_steps, other_steps) = runs.split_at(runs.len().min(TELLING_STEPS));
        if !self.runs.is_empty() {
            page.heading("Along the steps");
            page.table(&RUN_HEAD, &self.run_rows());
            page.charts(telling_steps);
        }
        page.fold("In sentences");
        for sentence in &self.verdict.sentences {
            page.paragraph(sentence);
        }
        page.fold(&format!("More curves {}", self.when().to_lowercase()));
        page.charts(others);
        if !self.runs.is_empty() {
            page.fold("More curves along the steps");
            page.charts(other_steps);
            page.fold("Sub-layers along the steps");
            page.paragraph(
                "The first, the middle and the last sub-layer, with and without warm-up. The measured weight is by regression, because Jacobian-vector \
                 products are computed before the first step only.",
            );
            page.charts(&self.sublayer_charts());
            page.fold("Norms: γ before and after the run with the longest warm-up");
            page.table(&NORM_HEAD, &self.norm_rows());
        }
        page.fold("Sub-layers");
        page.paragraph(
            "RMS: of the stream after the sub-layer. σ²: variance of the branch's output divided by that of the stream before it. Weight: the share of the first \
             stream that is left: by the formula Π(1 + σ²/α²)^(−1/2) if norms follow the sum, else 1; by regression, the product of the slopes of each stream on \
             the previous stream; by Jacobian-vector products, the same for a small random change of the embeddings (central differences). Share: the product of \
             the correlations of successive streams. Alike: share of the stream's square that all tokens of a sequence have in common. Gradients are norms of the \
             gradient of the mean loss with respect to the stream, of this gradient without its mean over the tokens of each sequence, and of the gradient with \
             respect to the sub-layer's parameters. Δθ/θ: RMS of the first update at the full learning rate divided by that of the matrices.",
        );
        page.table(&SUBLAYER_HEAD, &sublayer_rows(&self.mean));
        if !self.alternatives.is_empty() {
            page.fold("Alternatives before the first step");
            page.table(&ALTERNATIVE_HEAD, &self.alternative_rows());
        }
        if !self.weights.is_empty() {
            page.fold("Weights as drawn");
            page.table(&WEIGHT_HEAD, &self.weight_rows());
        }
        page.fold("Matrices: RMS, and the first update at the full learning rate");
        let matrices: Vec<Vec<String>> = self
            .mean
            .matrices
            .iter()
            .map(|matrix| vec![matrix.name.clone(), short(matrix.rms), optional(matrix.update_ratio)])
            .collect();
        page.table(&["matrix", "RMS", "Δθ/θ"], &matrices);
        page
    }

    /// The curves before the first step, the most telling first.
    fn initial_charts(&self) -> Vec<Chart> {
        let along = |of: &dyn Fn(&SubLayer) -> Option<f64>| -> Vec<(f64, f64)> {
            let points = self.mean.sublayers.iter().enumerate();
            points
                .filter_map(|(at, sublayer)| Some(((at + 1) as f64, of(sublayer)?)))
                .collect()
        };
        let series = |name: &str, points: Vec<(f64, f64)>| Series {
            name: name.to_owned(),
            points,
            ..Series::default()
        };
        let chart = |title: &str, log_y: bool, series: Vec<Series>, caption: &str| Chart {
            title: title.to_owned(),
            x: "sub-layer".to_owned(),
            log_y,
            series,
            caption: caption.to_owned(),
            ..Chart::default()
        };
        let numbered = |name: &str, gradients: &mut dyn Iterator<Item = f64>| {
            let points = gradients.enumerate().map(|(at, gradient)| ((at + 1) as f64, gradient));
            series(name, points.collect())
        };
        // Of the first seed, as the alternatives are.
        let own = self.initial.first().into_iter();
        let own = own.flat_map(|initial| &initial.snapshot.sublayers);
        let mut gradients = vec![numbered("as given", &mut own.map(|sublayer| sublayer.token_gradient))];
        let others = self.alternatives.iter();
        gradients.extend(
            others.map(|other| numbered(&other.change.to_string(), &mut other.token_gradients.iter().copied())),
        );
        vec![
            chart(
                "what is left of the input",
                true,
                vec![
                    series("formula", along(&|sublayer| Some(sublayer.identity.predicted))),
                    series("regression", along(&|sublayer| Some(sublayer.identity.regression))),
                    series("Jacobian-vector product", along(&|sublayer| sublayer.identity.jacobian)),
                    series("share of the stream", along(&|sublayer| Some(sublayer.identity.share))),
                ],
                "Weight of the identity path after each sub-layer.",
            ),
            chart(
                "gradient of single tokens",
                true,
                gradients,
                "Gradient of the stream after each sub-layer without its mean over the tokens of a sequence, for this architecture and the alternatives, with the first seed.",
            ),
            chart(
                "gradients",
                true,
                vec![
                    series("of the stream", along(&|sublayer| Some(sublayer.stream_gradient))),
                    series(
                        "of the stream, of single tokens",
                        along(&|sublayer| Some(sublayer.token_gradient)),
                    ),
                    series("of the parameters", along(&|sublayer| Some(sublayer.gradient))),
                ],
                "Norms of the gradients of the mean loss.",
            ),
            chart(
                "what tokens have in common",
                false,
                vec![series("", along(&|sublayer| Some(sublayer.common)))],
                "Share of the stream's square that all tokens of a sequence have in common; at 1, they cannot be distinguished.",
            ),
            chart(
                "σ² of the branches",
                false,
                vec![series("", along(&|sublayer| Some(sublayer.branch_variance)))],
                "Variance of each branch's output, divided by that of the stream.",
            ),
            chart(
                "RMS of the stream",
                false,
                vec![series("", along(&|sublayer| Some(sublayer.rms)))],
                "After each sub-layer.",
            ),
            chart(
                "first update divided by weights",
                true,
                vec![series("", along(&|sublayer| sublayer.update_ratio))],
                "RMS of the first update at the full learning rate divided by that of the matrices.",
            ),
            Chart {
                x: "norm, in the order of the stream".to_owned(),
                ..chart(
                    "γ of the norms",
                    false,
                    vec![
                        numbered("mean", &mut self.mean.norms.iter().map(|norm| norm.mean)),
                        numbered("largest", &mut self.mean.norms.iter().map(|norm| norm.max)),
                    ],
                    "In this order, as far as they exist: the norm of the embeddings, those of the sub-layers, the final norm, that of the head.",
                )
            },
        ]
    }

    /// Charts of the measurements along the steps, for the first, the middle and the last sub-layer, in the runs of the probed architecture.
    fn sublayer_charts(&self) -> Vec<Chart> {
        let count = self.mean.sublayers.len();
        let mut chosen = vec![0, count / 2, count.saturating_sub(1)];
        chosen.dedup();
        let chart = |title: &str, log_y: bool, caption: &str, of: &dyn Fn(&SubLayer) -> Option<f64>| {
            let own = self.runs.iter().filter(|runs| runs.placement.is_none());
            let series = own.flat_map(|runs| {
                chosen.iter().filter_map(move |&at| {
                    let points = snapshots_over_steps(runs, &|snapshot| of(snapshot.sublayers.get(at)?));
                    Some(Series {
                        name: format!("{}: {}", name(self.mean.sublayers.get(at)?), runs.name),
                        errors: points.iter().map(|(_, mean)| mean.standard_error).collect(),
                        points: points.into_iter().map(|(x, mean)| (x, mean.mean)).collect(),
                    })
                })
            });
            Chart {
                title: title.to_owned(),
                x: "step".to_owned(),
                log_y,
                series: series.collect(),
                caption: caption.to_owned(),
                ..Chart::default()
            }
        };
        vec![
            chart(
                "RMS of the stream after a sub-layer",
                true,
                "Root mean square.",
                &|sublayer| Some(sublayer.rms),
            ),
            chart(
                "σ² of a branch",
                true,
                "Variance of the branch's output, divided by that of the stream before it.",
                &|sublayer| Some(sublayer.branch_variance),
            ),
            chart(
                "what is left of the input, predicted",
                true,
                "Weight of the identity path after the sub-layer, by the formula.",
                &|sublayer| Some(sublayer.identity.predicted),
            ),
            chart(
                "what is left of the input, measured",
                true,
                "The same by regression; values that are not positive are omitted.",
                &|sublayer| Some(sublayer.identity.regression),
            ),
            chart(
                "gradient of the parameters of a sub-layer",
                true,
                "Norm of the gradient of the mean loss.",
                &|sublayer| Some(sublayer.gradient),
            ),
            chart(
                "update divided by weights",
                true,
                "RMS of a step's update of the sub-layer's matrices divided by that of the matrices.",
                &|sublayer| sublayer.update_ratio,
            ),
            chart(
                "γ of the norm of a sub-layer",
                false,
                "Mean over the features.",
                &|sublayer| sublayer.gamma.map(|gamma| gamma.0),
            ),
        ]
    }

    fn run_charts(&self) -> Vec<Chart> {
        let series = |of: &dyn Fn(&Trials) -> Vec<(f64, Mean)>| -> Vec<Series> {
            let one = |runs: &Trials| {
                let points = of(runs);
                Series {
                    name: runs.name.clone(),
                    errors: points.iter().map(|(_, mean)| mean.standard_error).collect(),
                    points: points.into_iter().map(|(x, mean)| (x, mean.mean)).collect(),
                }
            };
            self.runs.iter().map(one).collect()
        };
        let looked = |of: &dyn Fn(&Snapshot) -> Option<f64>| series(&|runs| snapshots_over_steps(runs, of));
        let chart = |title: &str, log_y: bool, series: Vec<Series>, caption: &str| Chart {
            title: title.to_owned(),
            x: "step".to_owned(),
            log_y,
            series,
            caption: caption.to_owned(),
            ..Chart::default()
        };
        let mut losses = series(&losses_over_steps);
        losses.push(Series {
            name: "plateau".to_owned(),
            points: vec![(0.0, self.plateau), (self.settings.steps as f64, self.plateau)],
            ..Series::default()
        });
        let last_norm = |snapshot: &Snapshot| {
            let encoder = snapshot.norms.iter().rfind(|norm| !norm.name.starts_with("cls."));
            encoder.map(|norm| norm.mean)
        };
        let layers = self.architecture.model.layers;
        let top = move |snapshot: &Snapshot, of: &dyn Fn(&SubLayer) -> Option<f64>| {
            snapshot.sublayers.get(2 * layers - 1).and_then(of)
        };
        vec![
            chart(
                "loss",
                false,
                losses,
                "Mean over seeds of the batch loss, averaged over fortieths of the run; bars are standard errors. A line ends where every run diverged. The plateau is \
                 the loss of token frequencies.",
            ),
            chart(
                "gradient of single tokens, first divided by last",
                true,
                looked(&|snapshot| Some(snapshot.token_gradient_ratio())),
                "The norm after the first sub-layer divided by that after the last.",
            ),
            chart(
                "what is left of the input at the top",
                true,
                looked(&|snapshot| top(snapshot, &|sublayer| Some(sublayer.identity.predicted))),
                "Weight of the identity path, from the branch variances.",
            ),
            chart(
                "gradient",
                true,
                looked(&|snapshot| Some(snapshot.gradient)),
                "Norm of the whole gradient.",
            ),
            chart(
                "update divided by weights, first layer",
                true,
                looked(&|snapshot| snapshot.sublayers.first().and_then(|sublayer| sublayer.update_ratio)),
                "RMS of a step's update of the first attention's matrices divided by that of the matrices.",
            ),
            chart(
                "update divided by weights, last layer",
                true,
                looked(&|snapshot| top(snapshot, &|sublayer| sublayer.update_ratio)),
                "The same for the last feed-forward layer.",
            ),
            chart(
                "σ² of the last branch",
                true,
                looked(&|snapshot| top(snapshot, &|sublayer| Some(sublayer.branch_variance))),
                "Variance of the last feed-forward layer's output, divided by that of the stream.",
            ),
            chart(
                "γ of the encoder's last norm",
                false,
                looked(&last_norm),
                "Mean over the features.",
            ),
        ]
    }
}

/// A mean over the seeds that reached each snapshot.
fn snapshots_over_steps(runs: &Trials, of: &dyn Fn(&Snapshot) -> Option<f64>) -> Vec<(f64, Mean)> {
    let longest = runs.runs.iter().map(|run| run.snapshots.len()).max().unwrap_or(0);
    (0..longest)
        .filter_map(|at| {
            let here: Vec<&Snapshot> = runs.runs.iter().filter_map(|run| run.snapshots.get(at)).collect();
            let values: Vec<f64> = here.iter().filter_map(|snapshot| of(snapshot)).collect();
            (!values.is_empty()).then(|| (here[0].step as f64, Mean::of(&values)))
        })
        .collect()
}

/// The loss in fortieths of the run, as a mean over the seeds that reached them.
fn losses_over_steps(runs: &Trials) -> Vec<(f64, Mean)> {
    let longest = runs.runs.iter().map(|run| run.losses.len()).max().unwrap_or(0);
    let part = longest.div_ceil(40).max(1);
    (0..longest.div_ceil(part))
        .filter_map(|at| {
            let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
            let values: Vec<f64> = runs
                .runs
                .iter()
                .filter_map(|run| run.losses.chunks(part).nth(at))
                .map(mean)
                .filter(|loss| loss.is_finite())
                .collect();
            (!values.is_empty()).then(|| (at as f64 * part as f64 + (part - 1) as f64 / 2.0, Mean::of(&values)))
        })
        .collect()
}

const WEIGHT_HEAD: [&str; 6] = ["weights", "shape", "nominal std", "effective std", "measured", "Xavier"];
const ALTERNATIVE_HEAD: [&str; 7] = [
    "before the first step",
    "weight: formula",
    "regression",
    "share",
    "token gradient first/last",
    "parameters'",
    "change by update",
];
const RUN_HEAD: [&str; 4] = ["trained with", "loss at the end", "lowest", "ended"];
const NORM_HEAD: [&str; 5] = ["norm", "γ mean at first", "max", "mean at the end", "max"];
