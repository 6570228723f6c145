//! `kexue penalty`: gradient penalties of input and parameters, and the inequality between them.

use crate::model_flags::{named, positive};
use crate::output::{Interrupt, Usage, note, print, print_json};
use anyhow::Result;
use clap::{Args, Subcommand};
use kexue_grad::Activation;
use kexue_grad::inequality::MatrixNorm;
use kexue_nn::Distribution;
use kexue_optim::{AdamConfig, Decay};
use kexue_output::{check_output, mean_with_error, read_text, text_table};
use kexue_penalty::examples::Examples;
use kexue_penalty::network::{NetworkSettings, in_double};
use kexue_penalty::run::TrainedClassifier;
use kexue_penalty::samples::{Summary, sides};
use kexue_penalty::slack::Slack;
use kexue_penalty::survey::{SurveyRow, survey};
use kexue_penalty::task::{PenaltyConfig, PenaltySettings, PenaltyTask};
use kexue_train::{Chart, Page, Record, Regularizer, Series, TrainError, TrainSettings, prepare, train};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Gradient penalties of input and parameters, and the inequality between them.
#[derive(Args)]
#[command(after_help = "Examples:
  kexue penalty check                                              # 10,000 random networks
  kexue penalty check --data images.idx --labels labels.idx --hidden 64,64 --activation tanh
  kexue penalty train --data images.idx --labels labels.idx --test-data test.idx --test-labels test-labels.idx \\
      --regularizer none,input-gradient:0.1,parameter-gradient:0.01,fgm:0.5,sam:0.05 --seeds 5 --out runs/penalty")]
pub struct PenaltyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Check the inequality: on random networks, or for each sample and layer of one network. Exit code 1 if it is violated.
    Check(CheckArgs),
    /// Train classifiers with and without penalties, and measure both sides of the inequality.
    Train(Box<TrainArgs>),
}

/// The activations by name.
const ACTIVATIONS: &[&str] = &[
    "identity",
    "relu",
    "leaky-relu",
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "softplus",
    "elu",
];

#[derive(Args)]
struct NetworkFlags {
    /// Widths of the hidden layers.
    #[arg(long, value_delimiter = ',')]
    hidden: Option<Vec<usize>>,
    /// The activation of the hidden layers [default: relu]
    #[arg(long, value_parser = named::<Activation>(ACTIVATIONS))]
    activation: Option<Activation>,
    /// The initial distribution of the weights [default: kaiming]
    #[arg(long, value_parser = ["kaiming", "xavier", "lecun"])]
    init: Option<String>,
    /// Draw weights from a normal distribution of this standard deviation.
    #[arg(long, conflicts_with = "init", value_parser = positive)]
    initial_std: Option<f32>,
    /// The network as TOML: hidden = [64, 64], activation = "relu", initial = { kind = "kaiming" }.
    #[arg(long, conflicts_with_all = ["hidden", "activation", "init", "initial_std"])]
    config: Option<PathBuf>,
}

impl NetworkFlags {
    fn is_given(&self) -> bool {
        self.hidden.is_some() || self.config.is_some()
    }

    fn settings(&self) -> Result<NetworkSettings> {
        if let Some(path) = &self.config {
            let text = read_text(path).map_err(TrainError::io(path))?;
            return Ok(NetworkSettings::from_toml(&text).map_err(|problem| TrainError::file(path, problem))?);
        }
        let settings = NetworkSettings {
            hidden: self.hidden.clone().unwrap_or_else(|| vec![64, 64]),
            activation: self.activation.unwrap_or(Activation::Relu),
            initial: match (self.initial_std, self.init.as_deref()) {
                (Some(std), _) => Distribution::Normal { std },
                (None, Some("xavier")) => Distribution::Xavier,
                (None, Some("lecun")) => Distribution::LeCun,
                _ => Distribution::Kaiming,
            },
        };
        settings.validate()?;
        Ok(settings)
    }
}

#[derive(Args)]
struct CheckArgs {
    /// Number of random networks, spread over depths from 1 to 6 and all activations. A quarter of them are trained for some steps.
    #[arg(long, default_value_t = 10_000)]
    networks: usize,
    /// Check one network on these examples instead: an idx file of images, a pack of JPEG, or a CSV file with the class in the last column.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The labels of an idx file.
    #[arg(long, requires = "data")]
    labels: Option<PathBuf>,
    /// Check the network of this run of `kexue penalty train`.
    #[arg(long, requires = "data", conflicts_with_all = ["hidden", "activation", "init", "initial_std", "config"])]
    model: Option<PathBuf>,
    /// Length of a random input, without --data.
    #[arg(long, default_value_t = 32, conflicts_with = "data")]
    inputs: usize,
    /// Number of samples for the one network.
    #[arg(long, default_value_t = 100)]
    samples: usize,
    /// The norm of weights and Jacobians: spectral, by a converged singular value decomposition, or the looser Frobenius.
    #[arg(long, value_parser = named::<MatrixNorm>(&["spectral", "frobenius"]), default_value = "spectral")]
    norm: MatrixNorm,
    /// Seed of weights and random inputs.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON; for one network, one line per sample.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: NetworkFlags,
}

#[derive(Args)]
struct TrainArgs {
    /// Training examples: an idx file of images, a pack of JPEG, or a CSV file with the class in the last column.
    #[arg(long)]
    data: PathBuf,
    /// The labels of an idx file.
    #[arg(long)]
    labels: Option<PathBuf>,
    /// Test examples, in the same formats.
    #[arg(long)]
    test_data: PathBuf,
    /// Their labels.
    #[arg(long)]
    test_labels: Option<PathBuf>,
    /// Number of training examples to use, from the first.
    #[arg(long, default_value_t = 1000)]
    train_examples: usize,
    /// The regularisers to compare: none, or KIND:NUMBER with the kinds input-gradient, parameter-gradient (NUMBER is a weight), fgm, pgd, sam
    /// (a radius).
    #[arg(long, value_delimiter = ',', default_value = "none", value_parser = regularizer)]
    regularizer: Vec<Method>,
    /// Differentiate gradient penalties by finite differences instead of exactly.
    #[arg(long)]
    by_differences: bool,
    /// Number of seeds, for means and standard errors.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Number of optimiser steps.
    #[arg(long, default_value_t = 600)]
    steps: u64,
    /// Examples per step.
    #[arg(long, default_value_t = 50)]
    batch_size: usize,
    /// Initial learning rate of Adam, with cosine decay.
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f32,
    /// Steps between measurements.
    #[arg(long, default_value_t = 50)]
    validate_every: u64,
    /// Number of training examples on which to measure both sides of the inequality.
    #[arg(long, default_value_t = 50)]
    samples: usize,
    /// A folder: each training is a run in a subfolder. Interrupted runs are resumed. The comparison is report.html.
    #[arg(long, short)]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: NetworkFlags,
}

/// A regulariser, or none.
#[derive(Clone, Copy, Debug)]
struct Method(Option<Regularizer>);

fn regularizer(text: &str) -> std::result::Result<Method, String> {
    match text {
        "none" => Ok(Method(None)),
        _ => text.parse().map(|regularizer| Method(Some(regularizer))),
    }
}

impl Method {
    fn name(self) -> String {
        self.0
            .map_or_else(|| "none".to_owned(), |regularizer| regularizer.to_string())
    }
}

/// Runs the command.
pub fn run(args: PenaltyArgs) -> Result<ExitCode> {
    match args.verb {
        Verb::Check(args) if args.data.is_none() && !args.network.is_given() => run_survey(&args),
        Verb::Check(args) => run_check(&args),
        Verb::Train(args) => run_train(&args),
    }
}

fn quantiles(slack: Option<Slack>) -> String {
    match slack {
        Some(Slack {
            least,
            low,
            median,
            high,
        }) => format!("{least:>8.3} {low:>9.3} {median:>9.3} {high:>11.3e}"),
        None => format!("{:>8} {:>9} {:>9} {:>11}", "-", "-", "-", "-"),
    }
}

/// The name of a value in configurations.
fn name_of(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_value(value)?
        .as_str()
        .unwrap_or_default()
        .replace('_', "-"))
}

fn run_survey(args: &CheckArgs) -> Result<ExitCode> {
    if args.networks == 0 {
        return Err(Usage("--networks must be 1 or more".to_owned()).into());
    }
    let rows = survey(args.networks, args.seed, args.norm)?;
    let networks: usize = rows.iter().map(|row| row.networks).sum();
    let violations: usize = rows.iter().map(|row| row.violations).sum();
    if args.json {
        print_json(&rows)?;
    } else {
        let mut text = format!(
            "{:5} {:<11} {:>8} {:>10} {:>8} {:>9} {:>9} {:>11}\n",
            "depth", "activation", "networks", "violations", "slack ≥", "10 %", "median", "90 %"
        );
        for row in &rows {
            let SurveyRow {
                depth,
                networks,
                violations,
                ..
            } = row;
            let activation = name_of(&row.activation)?;
            text += &format!(
                "{depth:5} {activation:<11} {networks:>8} {violations:>10} {}\n",
                quantiles(row.slack)
            );
        }
        text += &format!("{violations} violations over {networks} networks and inputs\n");
        print(&text)?;
    }
    Ok(ExitCode::from(u8::from(violations > 0)))
}

fn run_check(args: &CheckArgs) -> Result<ExitCode> {
    if args.samples == 0 || args.inputs == 0 {
        return Err(Usage("--samples and --inputs must be 1 or more".to_owned()).into());
    }
    let examples = match &args.data {
        Some(path) => Examples::read(path, args.labels.as_deref())?,
        None => Examples::random(args.samples, args.inputs, 10, args.seed),
    };
    let network = match &args.model {
        None => args
            .network
            .settings()?
            .build(examples.size(), examples.classes(), args.seed),
        Some(folder) => TrainedClassifier::open(folder, examples.size())?.network,
    };
    let all = sides(&in_double(&network)?, &examples, args.samples, args.norm)?;
    let summary = Summary::of(&all);
    if args.json {
        for sides in &all {
            print_json(sides)?;
        }
    } else {
        print(&summary_text(&summary))?;
    }
    Ok(ExitCode::from(u8::from(summary.violations > 0)))
}

fn summary_text(summary: &Summary) -> String {
    let mut text = format!(
        "{} samples: mean ‖∇ₓf‖² {:.4e}, mean ‖∇_θf‖² {:.4e}, median bracket {:.4e}\n",
        summary.samples, summary.input_gradient_square, summary.parameter_gradient_square, summary.bracket
    );
    text += &format!(
        "{:5} {:>8} {:>9} {:>9} {:>8} {:>9} {:>9} {:>11}\n",
        "layer", "‖W‖", "‖∂h/∂x‖", "‖h‖²", "slack ≥", "10 %", "median", "90 %"
    );
    for (number, layer) in summary.layers.iter().enumerate() {
        text += &format!(
            "{number:5} {:>8.3} {:>9.3} {:>9.2} {}\n",
            layer.weight_norm,
            layer.jacobian_norm,
            layer.input_square,
            quantiles(layer.slack)
        );
    }
    text += &format!(
        "{:5} {:>8} {:>9} {:>9} {}\n",
        "all",
        "",
        "",
        "",
        quantiles(summary.slack)
    );
    text + &format!("{} violations\n", summary.violations)
}

/// The results of the trainings with one method.
#[derive(Serialize)]
struct Row {
    regularizer: String,
    /// A number for each seed.
    accuracy: Vec<f64>,
    test_loss: Vec<f64>,
    input_gradient_square: Vec<f64>,
    parameter_gradient_square: Vec<f64>,
    bracket: Vec<f64>,
    slack: Vec<f64>,
}

impl Row {
    /// The accuracy with its error, in percent.
    fn shown_accuracy(&self) -> String {
        mean_with_error(&self.accuracy, |value| format!("{value:.2}"))
    }
}

fn run_train(args: &TrainArgs) -> Result<ExitCode> {
    if args.seeds == 0 || args.train_examples == 0 || args.samples == 0 {
        return Err(Usage("--seeds, --train-examples and --samples must be 1 or more".to_owned()).into());
    }
    let model = args.network.settings()?;
    let training = Examples::read(&args.data, args.labels.as_deref())?.first(args.train_examples);
    let test = Examples::read(&args.test_data, args.test_labels.as_deref())?;
    let classes = training.classes().max(test.classes());
    std::fs::create_dir_all(&args.out).map_err(TrainError::io(&args.out))?;
    let report = args.out.join("report.html");
    check_output(&report, [&args.data, &args.test_data])?;
    let interrupt = Interrupt::install();
    let (mut rows, mut curves): (Vec<Row>, Vec<(String, Vec<Record>)>) = (Vec::new(), Vec::new());
    for method in &args.regularizer {
        let mut row = Row {
            regularizer: method.name(),
            accuracy: Vec::new(),
            test_loss: Vec::new(),
            input_gradient_square: Vec::new(),
            parameter_gradient_square: Vec::new(),
            bracket: Vec::new(),
            slack: Vec::new(),
        };
        for seed in 0..args.seeds {
            let config = args.config(&model, [training.size(), classes], *method, seed);
            config.train.validate()?;
            let network = model.build(training.size(), classes, seed);
            let task = PenaltyTask::new(&config.penalty, &training, &test, &network)?;
            let folder = args
                .out
                .join(format!("{}-seed-{seed}", method.name().replace(':', "-")));
            let description = prepare(&folder, &config, &[])?;
            note!("{}", folder.display());
            let outcome = train(&task, network, &config.train, &folder, &description, interrupt.flag())?;
            if outcome.interrupted {
                note!("interrupted and saved; run the same command to continue");
                return Ok(ExitCode::from(130));
            }
            let last = |name: &str| {
                let values = outcome.records.iter().rev().find_map(|record| record.values.get(name));
                values.copied().unwrap_or(f64::NAN)
            };
            row.accuracy.push(last("test.accuracy"));
            row.test_loss.push(last("test.loss"));
            row.input_gradient_square.push(last("gradient.input_square"));
            row.parameter_gradient_square.push(last("gradient.parameter_square"));
            row.bracket.push(last("inequality.bracket"));
            row.slack.push(last("inequality.slack"));
            if seed == 0 {
                curves.push((method.name(), outcome.records));
            }
        }
        rows.push(row);
    }
    let (head, cells) = table(&rows);
    let verdict = verdict(&rows);
    match args.json {
        true => print_json(&rows)?,
        false => print(&text_table(&head, &cells))?,
    }
    let title = title(args);
    write_page(&report, &title, &verdict, &head, &cells, &curves)?;
    Ok(ExitCode::SUCCESS)
}

impl TrainArgs {
    fn config(
        &self,
        model: &NetworkSettings,
        [inputs, classes]: [usize; 2],
        method: Method,
        seed: u64,
    ) -> PenaltyConfig {
        PenaltyConfig {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: model.clone(),
            train: TrainSettings {
                seed,
                steps: self.steps,
                batch_size: self.batch_size,
                shards: 1,
                learning_rate: self.learning_rate,
                warmup: 0,
                decay: Decay::Cosine,
                weight_decay: 0.0,
                max_gradient_norm: f32::INFINITY,
                adam: AdamConfig {
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                },
                average: 0.0,
                validate_every: self.validate_every,
                ..TrainSettings::default()
            },
            penalty: PenaltySettings {
                data: self.data.display().to_string(),
                train_examples: self.train_examples,
                inputs,
                classes,
                measured: self.samples,
                regularizer: method.0,
                by_differences: self.by_differences,
            },
        }
    }
}

/// Means over the seeds with their standard errors.
fn table(rows: &[Row]) -> ([&'static str; 7], Vec<Vec<String>>) {
    let short = |values: &[f64]| mean_with_error(values, short);
    let cells = rows.iter().map(|row| {
        vec![
            row.regularizer.clone(),
            row.shown_accuracy(),
            mean_with_error(&row.test_loss, |value| format!("{value:.3}")),
            short(&row.input_gradient_square),
            short(&row.parameter_gradient_square),
            short(&row.bracket),
            short(&row.slack),
        ]
    });
    let head = [
        "regulariser",
        "test accuracy, %",
        "test loss",
        "‖∇ₓf‖²",
        "‖∇_θf‖²",
        "bracket",
        "slack",
    ];
    (head, cells.collect())
}

/// A number with two decimals, or with an exponent if it is small or large.
fn short(value: f64) -> String {
    match value.abs() {
        size if value == 0.0 || (0.1..1e4).contains(&size) => format!("{value:.2}"),
        _ => format!("{value:.1e}"),
    }
}

/// The title of the page of a comparison.
fn title(args: &TrainArgs) -> String {
    let methods: Vec<String> = args.regularizer.iter().map(|method| method.name()).collect();
    let data = args.data.file_name().unwrap_or_default().to_string_lossy();
    format!("Gradient penalties on {data}: {}", methods.join(", "))
}

/// The method with the highest test accuracy, in a sentence.
fn verdict(rows: &[Row]) -> String {
    // Each method has as many seeds, so that the sums are ordered as the means.
    let total = |row: &Row| row.accuracy.iter().sum::<f64>();
    let best = rows.iter().max_by(|a, b| total(a).total_cmp(&total(b)));
    best.map_or_else(String::new, |row| {
        format!(
            "Highest test accuracy: {}, {} %.",
            row.regularizer,
            row.shown_accuracy()
        )
    })
}

fn write_page(
    path: &Path,
    title: &str,
    verdict: &str,
    head: &[&str],
    cells: &[Vec<String>],
    curves: &[(String, Vec<Record>)],
) -> Result<()> {
    let mut page = Page::new(title);
    page.verdict(verdict);
    page.paragraph(
        "Means over the seeds with their standard errors, at the end of training. Gradients are of the cross-entropy of single training examples; the \
         bracket and the slack (right side over left side) are medians over them.",
    );
    page.table(head, cells);
    let shown = [
        ("test.accuracy", "test accuracy", "%"),
        ("gradient.input_square", "mean square of the input's gradient", "‖∇ₓf‖²"),
        (
            "gradient.parameter_square",
            "mean square of the parameters' gradient",
            "‖∇_θf‖²",
        ),
        ("inequality.bracket", "bracket of the inequality", ""),
        ("inequality.slack", "slack of the inequality", "right side / left side"),
    ];
    let charts = shown.map(|(name, title, y)| Chart {
        title: title.to_owned(),
        x: "step".to_owned(),
        y: y.to_owned(),
        log_y: name != "test.accuracy",
        caption: "The first seed.".to_owned(),
        series: curves
            .iter()
            .map(|(method, records)| Series {
                name: method.clone(),
                points: records
                    .iter()
                    .filter_map(|record| Some((record.step as f64, *record.values.get(name)?)))
                    .collect(),
                ..Series::default()
            })
            .collect(),
        ..Chart::default()
    });
    page.charts(&charts);
    page.write(path)?;
    Ok(())
}
