//! `kexue finetune`: pretrained models on a task of one's own, by methods that are compared.

use crate::device_flags::DeviceFlags;
use crate::given_flags::is_given;
use crate::inference_flags::InferenceFlags;
use crate::model_flags::{check_memory, named};
use crate::output::{Interrupt, Usage, model_files, note, print, print_json};
use crate::run_config::{overridden, read_config};
use crate::setting_flags::refused;
use crate::training_flags::rate_factor;
use anyhow::Result;
use clap::{Args, Subcommand};
use kexue_kg::open_text;
use kexue_nn::{Classifier, Model};
use kexue_optim::{AdamConfig, Decay, Parameters, Pattern, SlotGroup};
use kexue_output::{check_folder, check_output, write_file};
use kexue_train::{RunConfig, TrainError, TrainSettings, generator, least_memory, streams};
use kexue_tune::{
    Columns, Comparison, Dataset, Examples, FisherKind, Format, Labels, Measure, Method, PRESETS, Prediction, Preset,
    Row, Start, TuneConfig, TuneResult, TuneSettings, Tuned, logits, measure, read_examples, tune,
};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Fine-tune pretrained models on classification or regression, and compare ways to do it.
#[derive(Args)]
pub struct FinetuneArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Fine-tune a model, by one method or by several from several seeds, or resume an interrupted comparison.
    #[command(after_help = EXAMPLES)]
    Train(Box<TrainArgs>),
    /// Predict the labels of a file.
    Predict(PredictArgs),
    /// Measure a fine-tuned model on a file with labels.
    Eval(EvalArgs),
}

const EXAMPLES: &str = "Examples:
  kexue finetune train --model bert/ --preset rte --train rte_train.tsv --dev rte_dev.tsv --out rte
  kexue finetune train --model bert/ --preset cola --train train.tsv --dev dev.tsv --out cola \\
      --seeds 5 --compare none,child-f:0.3,child-d:0.3,update-dropout:0.3
  kexue finetune train --model mlm-run/ --train reviews.csv --text review --label label --hold-out 10 --out reviews";

#[derive(Args, Clone)]
#[command(next_help_heading = "Columns")]
struct ColumnFlags {
    /// A known task: its columns and metrics.
    #[arg(long, value_parser = PRESETS)]
    preset: Option<String>,
    /// The column of the text, or of the first text of a pair: its name in the header, its number from 1 in a file without one, its path in JSON (a.b), or several
    /// in braces: '{title}. {body}'.
    #[arg(long)]
    text: Option<String>,
    /// The column of the second text of a pair.
    #[arg(long)]
    second: Option<String>,
    /// The column of the label.
    #[arg(long)]
    label: Option<String>,
    /// Format of the files [default: determined from their names]
    #[arg(long, value_parser = named::<Format>(&["tsv", "csv", "json-lines"]))]
    format: Option<Format>,
    /// The files have no header. Columns are given by number.
    #[arg(long)]
    no_header: bool,
}

impl ColumnFlags {
    /// The columns, and the metrics that a preset names.
    fn columns(&self, base: Option<&Columns>) -> Result<(Columns, Vec<Measure>)> {
        let preset = self.preset.as_deref().and_then(Preset::named);
        let measures = preset
            .as_ref()
            .map(|preset| preset.measures.clone())
            .unwrap_or_default();
        let base = preset.as_ref().map(|preset| &preset.columns).or(base);
        let missing = |flag: &str| {
            Usage(format!(
                "name the columns by --preset, or by --text and --label: {flag} is missing"
            ))
        };
        let columns = Columns {
            format: self.format.or(base.and_then(|base| base.format)),
            header: !self.no_header && base.is_none_or(|base| base.header),
            text: match (&self.text, base) {
                (Some(text), _) => text.clone(),
                (None, Some(base)) => base.text.clone(),
                (None, None) => return Err(missing("--text").into()),
            },
            second: self.second.clone().or_else(|| base?.second.clone()),
            label: match (&self.label, base) {
                (Some(label), _) => label.clone(),
                (None, Some(base)) => base.label.clone(),
                (None, None) => return Err(missing("--label").into()),
            },
            unlabelled: base.and_then(|base| base.unlabelled.clone()),
        };
        Ok((columns, measures))
    }
}

#[derive(Args, Clone)]
struct TrainArgs {
    /// The pretrained model: a Hugging Face folder of BERT or RoFormer, or the folder of a run of `kexue mlm train`.
    #[arg(long, required_unless_present = "config")]
    model: Option<PathBuf>,
    /// The training examples: TSV, CSV or JSON Lines, plain, .gz or .zst.
    #[arg(long, required_unless_present = "config")]
    train: Option<PathBuf>,
    /// Take the settings of another run, from its config.toml. Other flags override them.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Validation examples. Without this flag, one training example in HOLD_OUT is held out.
    #[arg(long)]
    dev: Option<PathBuf>,
    /// Without --dev, hold out every HOLD_OUT-th training example for validation.
    #[arg(long, default_value_t = 10, conflicts_with = "dev")]
    hold_out: usize,
    /// The folder of the run. With several methods or seeds, it holds a folder for each and their comparison. Interrupted runs are resumed.
    #[arg(long, short)]
    out: PathBuf,
    #[command(flatten)]
    columns: ColumnFlags,
    /// Predict a number instead of a class.
    #[arg(long)]
    regression: bool,
    /// The metrics. The first one decides which step is kept [default: that of the preset, else accuracy, or pearson,spearman with --regression]
    #[arg(long, value_delimiter = ',', value_parser = named::<Measure>(&["accuracy", "f1", "matthews", "pearson", "spearman"]))]
    metrics: Vec<Measure>,
    /// Cut examples to this many tokens, including special tokens. In a pair, the longer text is cut first [default: 128, or the positions of the model]
    #[arg(long)]
    max_length: Option<usize>,
    /// The methods to compare. All others are compared with the first. A method is `none`, or parts joined by +: child-f:P, child-d:P and update-dropout:P train
    /// the share P of the parameters; lr:F multiplies the learning rate; r-drop:W, fgm:E and layer-lr:F add R-Drop, FGM and layer-wise learning rates.
    #[arg(long, value_delimiter = ',', default_value = "none", help_heading = "Methods")]
    compare: Vec<Method>,
    /// Number of seeds per method.
    #[arg(long, default_value_t = 1, help_heading = "Methods")]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0, help_heading = "Methods")]
    seed: u64,
    /// Omit the control for child-f:P, which is plain training with √P times the learning rate.
    #[arg(long, help_heading = "Methods")]
    no_control: bool,
    /// How child-d measures the Fisher information: from the gradient of each sample, or as in the authors' code.
    #[arg(long, value_parser = named::<FisherKind>(&["samples", "authors"]), default_value = "samples", help_heading = "Methods")]
    fisher: FisherKind,
    /// Maximum number of training examples for the Fisher information, from the first.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true, help_heading = "Methods")]
    fisher_samples: usize,
    /// Also mask the weight decay.
    #[arg(long, help_heading = "Methods")]
    masked_decay: bool,
    /// Keep the weights of every run, not only of the best.
    #[arg(long, help_heading = "Methods")]
    keep_models: bool,
    #[command(flatten)]
    training: TuneFlags,
    #[command(flatten)]
    device: DeviceFlags,
}

/// How to train. Fine-tuning counts in epochs.
#[derive(Args, Clone)]
#[command(next_help_heading = "Training")]
struct TuneFlags {
    /// Number of passes over the training examples.
    #[arg(long, default_value_t = 3.0)]
    epochs: f64,
    /// Examples per step.
    #[arg(long, default_value_t = 16)]
    batch_size: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 5e-5)]
    learning_rate: f32,
    /// Fraction of the steps during which the learning rate warms up.
    #[arg(long, default_value_t = 0.1)]
    warmup: f64,
    /// How the learning rate decays afterwards.
    #[arg(long, value_parser = named::<Decay>(&["constant", "linear", "cosine"]), default_value = "linear")]
    decay: Decay,
    /// Decoupled weight decay, for matrices only.
    #[arg(long, default_value_t = 0.01)]
    weight_decay: f32,
    /// Clip gradients to this norm.
    #[arg(long, default_value_t = 1.0)]
    max_gradient_norm: f32,
    /// Dropout probability [default: that of the model]
    #[arg(long)]
    dropout: Option<f32>,
    /// Decay of the moving average of the weights; 0 for none.
    #[arg(long, default_value_t = 0.0)]
    average: f32,
    /// Number of parts of a batch that are computed in parallel. The result depends on this number, but not on the number of threads.
    #[arg(long, default_value_t = 2)]
    shards: usize,
    /// Steps between validations and checkpoints [default: an epoch]
    #[arg(long)]
    validate_every: Option<u64>,
    /// Stop after this many validations without improvement; 0 for never.
    #[arg(long, default_value_t = 0)]
    patience: u64,
    /// Do not train the parameters whose names match this pattern; `*` stands for any characters: 'embeddings.*'.
    #[arg(long, value_name = "PATTERN")]
    freeze: Vec<Pattern>,
    /// Multiply the learning rate of the parameters whose names match: 'encoder.layer.0.*=0.5'. The first matching pattern counts.
    #[arg(long, value_name = "PATTERN=FACTOR", value_parser = rate_factor)]
    lr_factor: Vec<SlotGroup>,
}

impl TuneFlags {
    fn settings(&self, seed: u64, examples: usize) -> Result<TrainSettings> {
        if !(self.epochs > 0.0 && self.epochs <= 1e6) {
            return Err(Usage("--epochs must be more than 0 and at most 1e6".to_owned()).into());
        }
        if !(0.0..=1.0).contains(&self.warmup) {
            return Err(Usage("--warmup must be a share of the steps, 0 to 1".to_owned()).into());
        }
        let epoch = examples as f64 / self.batch_size.max(1) as f64;
        let steps = (epoch * self.epochs).ceil().max(1.0) as u64;
        let frozen = self.freeze.iter().cloned().map(SlotGroup::frozen);
        let settings = TrainSettings {
            seed,
            steps,
            batch_size: self.batch_size,
            shards: self.shards,
            groups: frozen.chain(self.lr_factor.iter().cloned()).collect(),
            learning_rate: self.learning_rate,
            warmup: (steps as f64 * self.warmup).round() as u64,
            decay: self.decay,
            weight_decay: self.weight_decay,
            max_gradient_norm: self.max_gradient_norm,
            adam: AdamConfig::default(),
            average: self.average,
            validate_every: self.validate_every.unwrap_or((epoch.ceil() as u64).max(1)),
            patience: self.patience,
            ..TrainSettings::default()
        };
        settings.validate()?;
        Ok(settings)
    }
}

#[derive(Args)]
struct PredictArgs {
    /// The folder of a run of `kexue finetune train`.
    #[arg(long)]
    model: PathBuf,
    /// The examples: TSV, CSV or JSON Lines, plain, .gz or .zst. They need no labels.
    #[arg(long)]
    input: PathBuf,
    #[command(flatten)]
    columns: ColumnFlags,
    #[command(flatten)]
    inference: InferenceFlags,
    /// Write the predictions to this file instead of standard output.
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Write JSON Lines instead of TSV.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct EvalArgs {
    /// Folders of runs of `kexue finetune train`.
    #[arg(long, required = true, num_args = 1..)]
    model: Vec<PathBuf>,
    /// The examples with labels: TSV, CSV or JSON Lines, plain, .gz or .zst.
    #[arg(long)]
    input: PathBuf,
    #[command(flatten)]
    columns: ColumnFlags,
    #[command(flatten)]
    inference: InferenceFlags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: FinetuneArgs) -> Result<ExitCode> {
    match args.verb {
        Verb::Train(args) => run_train(&args),
        Verb::Predict(args) => run_predict(&args),
        Verb::Eval(args) => run_eval(&args),
    }
}

fn read(path: &Path, columns: &Columns, labelled: bool) -> Result<Examples> {
    Ok(read_examples(
        open_text(path)?,
        &path.display().to_string(),
        columns,
        labelled,
    )?)
}

/// The data of a training.
struct Data {
    labels: Labels,
    training: Dataset,
    held_out: Dataset,
}

fn read_data(args: &TrainArgs, columns: &Columns, start: &Start, length: usize, is_of_numbers: bool) -> Result<Data> {
    let path = needed(args.train.as_ref(), "--train")?;
    let mut training = read(path, columns, true)?;
    let labels = match is_of_numbers {
        true => Labels::Number,
        false => Labels::classes_of(&training)?,
    };
    let held_out = match &args.dev {
        Some(path) => read(path, columns, true)?,
        None => {
            if args.hold_out < 2 {
                return Err(Usage("--hold-out must be 2 or more, or give --dev".to_owned()).into());
            }
            let examples = std::mem::take(&mut training.examples).into_iter().enumerate();
            let (held_out, kept): (Vec<_>, Vec<_>) = examples.partition(|(at, _)| at % args.hold_out == 0);
            let plain = |pairs: Vec<(usize, _)>| pairs.into_iter().map(|(_, example)| example).collect();
            training.examples = plain(kept);
            if training.examples.is_empty() {
                return Err(TrainError::file(path, "holds too few examples for some to be held out").into());
            }
            Examples {
                examples: plain(held_out),
                ..training.clone()
            }
        }
    };
    let encode = |examples: &Examples| -> Result<Dataset> {
        let encoded = Dataset::encode(examples, &labels, &start.tokenizer, length)?;
        if encoded.cut > 0 {
            let (file, all) = (&examples.file, encoded.examples.len());
            note!(
                "{file}: {} of {all} examples are longer than {length} tokens and were cut",
                encoded.cut
            );
        }
        Ok(encoded)
    };
    let (training, held_out) = (encode(&training)?, encode(&held_out)?);
    let what = match &labels {
        Labels::Classes(names) => format!("{} labels", names.len()),
        Labels::Number => "numbers to predict".to_owned(),
    };
    note!(
        "{} examples to train on, {} to validate on, {what}",
        training.examples.len(),
        held_out.examples.len()
    );
    Ok(Data {
        labels,
        training,
        held_out,
    })
}

/// The methods and their controls, without duplicates.
fn methods(args: &TrainArgs) -> Vec<Method> {
    let mut methods: Vec<Method> = Vec::new();
    let is_compared = args.compare.len() > 1;
    let controls = args
        .compare
        .iter()
        .filter_map(Method::control)
        .filter(|_| is_compared && !args.no_control);
    for method in args.compare.iter().copied().chain(controls) {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    methods
}

/// The folder of a method's run, inside that of the comparison.
fn folder_of(out: &Path, method: &Method, seed: u64) -> PathBuf {
    let name = method.to_string().replace(':', "-").replace('+', "_");
    out.join(name).join(format!("seed-{seed}"))
}

/// Flags whose settings have a different name.
const SETTINGS: &[(&str, &str)] = &[
    ("epochs", "steps"),
    ("epochs", "warmup"),
    ("epochs", "validate_every"),
    ("freeze", "groups"),
    ("lr_factor", "groups"),
];

/// Settings that [`filled`] takes from the other run, or that follow from the data.
const OF_DATA: &[&str] = &[
    "version", "model", "seed", "start", "training", "held_out", "hold_out", "columns", "labels", "measures", "length",
    "method",
];

/// The flags. Those not given are taken from the configuration of another run.
fn filled(args: &TrainArgs, base: &TuneConfig) -> TrainArgs {
    let (mut args, tune) = (args.clone(), &base.finetune);
    let path = |text: &String| PathBuf::from(text);
    args.model = args.model.or_else(|| Some(path(&tune.start)));
    args.train = args.train.or_else(|| Some(path(&tune.training)));
    if args.dev.is_none() && !is_given("hold_out") {
        args.dev = tune.held_out.as_ref().map(path);
        args.hold_out = tune.hold_out;
    }
    if args.metrics.is_empty() && args.columns.preset.is_none() && !args.regression {
        args.metrics.clone_from(&tune.measures);
    }
    args.max_length = args.max_length.or(Some(tune.length));
    args.training.dropout = args.training.dropout.or(Some(base.model.dropout));
    if !is_given("compare") {
        args.compare = vec![tune.method];
    }
    if !is_given("seed") {
        args.seed = base.train.seed;
    }
    args
}

fn needed<'p>(path: Option<&'p PathBuf>, flag: &str) -> Result<&'p PathBuf> {
    Ok(path.ok_or_else(|| Usage(format!("{flag} is missing")))?)
}

fn run_train(args: &TrainArgs) -> Result<ExitCode> {
    let base: Option<TuneConfig> = args.config.as_deref().map(read_config).transpose()?;
    let args = &base.as_ref().map_or_else(|| args.clone(), |base| filled(args, base));
    let (columns, preset_measures) = args.columns.columns(base.as_ref().map(|base| &base.finetune.columns))?;
    args.device.check()?;
    check_folder(&args.out)?;
    if args.seeds == 0 {
        return Err(Usage("--seeds must be 1 or more".to_owned()).into());
    }
    let (model_folder, train_file) = (
        needed(args.model.as_ref(), "--model")?,
        needed(args.train.as_ref(), "--train")?,
    );
    let mut start = Start::open(model_folder)?;
    if let Some(dropout) = args.training.dropout {
        let mut config = start.pretrained.model.config().clone();
        config.dropout = dropout;
        let values = start.pretrained.model.values().to_vec();
        let model = Model::with_values(config, values).map_err(|error| refused(error.field, &error.problem))?;
        start.pretrained.model = model.unwrap_or(start.pretrained.model);
    }
    let measures = match (args.metrics.is_empty(), preset_measures.is_empty(), args.regression) {
        (false, ..) => args.metrics.clone(),
        (true, false, _) => preset_measures,
        (true, true, true) => vec![Measure::Pearson, Measure::Spearman],
        (true, true, false) => vec![Measure::Accuracy],
    };
    let positions = start.pretrained.model.config().longest_sequence().unwrap_or(usize::MAX);
    let length = args.max_length.unwrap_or(positions.min(128));
    if length < 3 {
        return Err(refused("max_length", "must be at least 3: [CLS], a token, [SEP]").into());
    }
    if length > positions {
        return Err(refused("max_length", "is more than the model's positions").into());
    }
    let data = read_data(
        args,
        &columns,
        &start,
        length,
        args.regression || measures[0].is_of_numbers(),
    )?;
    let mut model = start.pretrained.model.config().clone();
    model.head = kexue_nn::Head::None;
    let config = |method: Method, seed: u64| -> Result<TuneConfig> {
        let config = TuneConfig {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: model.clone(),
            train: args.training.settings(seed, data.training.examples.len())?,
            finetune: TuneSettings {
                start: model_folder.display().to_string(),
                training: train_file.display().to_string(),
                held_out: args.dev.as_ref().map(|path| path.display().to_string()),
                hold_out: args.hold_out,
                columns: columns.clone(),
                labels: data.labels.names().to_vec(),
                measures: measures.clone(),
                length,
                method,
                fisher: args.fisher,
                fisher_samples: args.fisher_samples.min(i64::MAX as usize),
                masked_decay: args.masked_decay,
            },
        };
        let config = match &base {
            Some(base) => overridden(base, &config, SETTINGS, OF_DATA)?,
            None => config,
        };
        config.validate()?;
        Ok(config)
    };
    let methods = methods(args);
    // Patterns of names, before anything is written.
    let settings = config(methods[0], args.seed)?.train;
    let fresh = Classifier::new(
        &start.pretrained,
        data.labels.logits(),
        &mut generator(0, streams::WEIGHTS, 0),
    );
    let built = settings.chain().build(fresh.slots(), settings.steps);
    built.map_err(|error| Usage(error.to_string()))?;
    drop(fresh);
    // The examples of a step, twice with R-Drop.
    let passes = if methods.iter().any(|method| method.r_drop > 0.0) {
        2
    } else {
        1
    };
    check_memory(
        least_memory(&model, passes * settings.batch_size, data.training.longest()),
        "--batch-size or --max-length",
    )?;
    let interrupt = Interrupt::install();
    if let ([method], 1) = (&methods[..], args.seeds) {
        let config = config(*method, args.seed)?;
        let result = tune(
            &start,
            &config,
            &data.training,
            &data.held_out,
            &args.out,
            &args.device,
            interrupt.flag(),
        )?;
        let Some(result) = result else {
            return Ok(interrupted());
        };
        remove(&args.out.join("checkpoint.bin"))?;
        print(&format!(
            "{}; {}\n",
            best(&result),
            args.out.join("report.html").display()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut comparison = Comparison {
        measures: measures.clone(),
        rows: methods
            .iter()
            .map(|&method| Row {
                method,
                results: Vec::new(),
            })
            .collect(),
    };
    let mut kept: Option<(f64, PathBuf)> = None;
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        for (index, &method) in methods.iter().enumerate() {
            let folder = folder_of(&args.out, &method, seed);
            note!("{method}, seed {seed}:");
            let config = config(method, seed)?;
            let Some(result) = tune(
                &start,
                &config,
                &data.training,
                &data.held_out,
                &folder,
                &args.device,
                interrupt.flag(),
            )?
            else {
                return Ok(interrupted());
            };
            note!("{method}, seed {seed}: {}", best(&result));
            remove(&folder.join("checkpoint.bin"))?;
            let value = result.best.get(measures[0].name()).copied().unwrap_or(f64::NAN);
            if !args.keep_models {
                let is_better = kept.as_ref().is_none_or(|(best, _)| value > *best);
                let out = if is_better {
                    kept.replace((value, folder.clone())).map(|(_, old)| old)
                } else {
                    Some(folder)
                };
                out.map_or(Ok(()), |folder| remove(&folder.join("model.safetensors")))?;
            }
            comparison.rows[index].results.push(result);
            write_comparison(args, &comparison, &config)?;
        }
    }
    print(&comparison.to_text())?;
    let model = kept.map_or_else(String::new, |(_, folder)| format!("best model {}; ", folder.display()));
    print(&format!("{model}{}\n", args.out.join("report.html").display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the results so far, so that a comparison can be read before it is finished.
fn write_comparison(args: &TrainArgs, comparison: &Comparison, config: &TuneConfig) -> Result<()> {
    if !kexue_train::is_first() {
        return Ok(());
    }
    let known = Comparison {
        measures: comparison.measures.clone(),
        rows: comparison
            .rows
            .iter()
            .filter(|row| !row.results.is_empty())
            .cloned()
            .collect(),
    };
    let json = serde_json::to_string_pretty(&known.to_json())? + "\n";
    write_file(&args.out.join("comparison.json"), json.as_bytes())?;
    let title = args.columns.preset.as_deref().unwrap_or("Fine-tuning");
    known
        .to_page(title, &config.to_toml()?)
        .write(&args.out.join("report.html"))?;
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(TrainError::io(path)(error).into()),
        _ => Ok(()),
    }
}

fn interrupted() -> ExitCode {
    note!("interrupted and saved; the same command goes on from there");
    ExitCode::from(130)
}

fn best(result: &TuneResult) -> String {
    let values = result.best.iter().map(|(name, value)| format!("{name} {value:.2}"));
    let values = values.collect::<Vec<String>>().join(", ");
    format!("best at step {} of {}: {values}", result.best_step, result.steps)
}

/// A model and the examples for it.
fn encode(tuned: &Tuned, input: &Path, flags: &ColumnFlags, labelled: bool) -> Result<(Examples, Dataset)> {
    let (columns, _) = flags.columns(Some(&tuned.config.finetune.columns))?;
    let mut examples = read(input, &columns, labelled)?;
    if !labelled {
        // Labels that happen to be there need not be those of the training.
        examples.examples.iter_mut().for_each(|example| example.label = None);
    }
    let length = tuned.config.finetune.length;
    let encoded = Dataset::encode(&examples, &tuned.labels(), &tuned.tokenizer, length)?;
    if encoded.cut > 0 {
        let all = encoded.examples.len();
        note!(
            "{}: {} of {all} examples are longer than {length} tokens and were cut",
            examples.file,
            encoded.cut
        );
    }
    Ok((examples, encoded))
}

fn run_predict(args: &PredictArgs) -> Result<ExitCode> {
    if let Some(out) = &args.out {
        check_output(out, model_files(&args.model).iter().chain([&args.input]))?;
    }
    let tuned = args.inference.open_tuned(&args.model)?;
    let (_, encoded) = encode(&tuned, &args.input, &args.columns, false)?;
    let labels = tuned.labels();
    let mut text = String::new();
    if !args.json {
        let names = labels.names().iter().map(|name| format!("\t{name}"));
        text += &format!("index\tprediction{}\n", names.collect::<String>());
    }
    for (index, logits) in logits(&tuned.model, &encoded.examples)?.iter().enumerate() {
        text += &match (Prediction::of(logits, &labels), args.json) {
            (Prediction::Number(number), true) => json!({"index": index, "prediction": number}).to_string(),
            (Prediction::Number(number), false) => format!("{index}\t{number}"),
            (Prediction::Class(class, shares), true) => {
                let shares = labels.names().iter().cloned().zip(shares.into_iter().map(Value::from));
                let shares: Map<String, Value> = shares.collect();
                json!({"index": index, "prediction": labels.names()[class], "probabilities": shares}).to_string()
            }
            (Prediction::Class(class, shares), false) => {
                let shares: String = shares.iter().map(|share| format!("\t{share:.6}")).collect();
                format!("{index}\t{}{shares}", labels.names()[class])
            }
        };
        text.push('\n');
    }
    match &args.out {
        Some(path) => write_file(path, text.as_bytes())?,
        None => print(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn run_eval(args: &EvalArgs) -> Result<ExitCode> {
    for folder in &args.model {
        let tuned = args.inference.open_tuned(folder)?;
        let (_, encoded) = encode(&tuned, &args.input, &args.columns, true)?;
        let logits = logits(&tuned.model, &encoded.examples)?;
        let metrics = measure(
            &logits,
            &encoded.examples,
            &tuned.labels(),
            &tuned.config.finetune.measures,
        );
        if args.json {
            let mut object = Map::from_iter([("model".to_owned(), json!(folder))]);
            object.insert("examples".to_owned(), json!(encoded.examples.len()));
            object.extend(metrics.iter().map(|metric| (metric.name.clone(), json!(metric.value))));
            print_json(&Value::Object(object))?;
        } else {
            let values = metrics
                .iter()
                .map(|metric| format!("{} {:.4}", metric.name, metric.value));
            let values = values.collect::<Vec<String>>().join(", ");
            print(&format!(
                "{}: {values} on {} examples\n",
                folder.display(),
                encoded.examples.len()
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
