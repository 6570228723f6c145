//! `kexue vae`: how likely is this sample?

use crate::model_flags::{check_memory, named};
use crate::output::{Interrupt, Usage, check_distinct, check_format, check_page, model_files, note, print};
use crate::run_config::{overridden, read_config};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use kexue_optim::{AdamConfig, Decay, Parameters};
use kexue_output::{NewFile, check_output, mean_with_error, write_file};
use kexue_train::{
    Chart, Goal, Outcome, Page, Series, TrainError, TrainSettings, generator, prepare, read_optimizer, report_page,
    streams, train,
};
use kexue_vae::{
    Activation, AnnealingSettings, Auroc, Binarization, Bound, Dataset, Density, DensitySettings, Deviation,
    Likelihood, Objective, Observations, Preparation, StochasticLayer, Vae, VaeConfig, VaeDensity, VaeRun,
    VaeRunConfig, VaeSettings, VaeTask, active_units, annealed, auroc, complexity, densities, least_memory, picture,
    reconstructions, sandwich, traversals,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

/// Purpose of [`generator`]: pixels that an evaluation draws.
const PIXELS: u64 = 0x7069_7865;
/// Purpose of [`generator`]: samples of the model.
const SAMPLES: u64 = 0x7361_6d70;

/// Train variational autoencoders, and use them to measure densities.
#[derive(Args)]
#[command(after_help = "Examples:
  kexue vae train --data train-images-idx3-ubyte --out runs/mnist
  kexue vae density --model runs/mnist --data t10k-images-idx3-ubyte --limit 1000   # the least likely first
  kexue vae sample --model runs/mnist --out samples.png")]
pub struct VaeArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Train a model on images or a table of numbers, or resume a training that was interrupted.
    Train(Box<TrainArgs>),
    /// Measure the log-density of samples, with its error, and rank them: the least likely first.
    Density(DensityArgs),
    /// Draw new samples from a model: a grid of images (PNG) or rows of a table (CSV).
    Sample(SampleArgs),
}

/// `HIDDEN,…:LATENTS`.
#[derive(Clone, Debug)]
struct LayerFlag(StochasticLayer);

impl FromStr for LayerFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is not HIDDEN,…:LATENTS, such as 200,200:50");
        let (hidden, latent) = text.split_once(':').ok_or_else(expected)?;
        let widths = hidden.split(',').filter(|width| !width.is_empty());
        let hidden = widths.map(|width| width.trim().parse().map_err(|_| expected()));
        Ok(Self(StochasticLayer {
            hidden: hidden.collect::<Result<_, _>>()?,
            latent: latent.trim().parse().map_err(|_| expected())?,
        }))
    }
}

/// `learned`, `per-dimension` or a number.
fn deviation(text: &str) -> Result<Deviation, String> {
    match text {
        "learned" => Ok(Deviation::Learned),
        "per-dimension" => Ok(Deviation::PerDimension),
        _ => match text.parse::<f32>() {
            Ok(number) if number > 0.0 && number.is_finite() => Ok(Deviation::Fixed(number)),
            _ => Err(format!("`{text}` is not learned, per-dimension or a positive number")),
        },
    }
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Preset {
    /// 200 and 200 hidden units (tanh), 50 latents (Burda et al., 2016).
    OneLayer,
    /// 200 and 200 hidden units to 100 latents, 100 and 100 to 50 (the same).
    TwoLayers,
    /// Two convolutions of 32 and 64 channels (ReLU), 256 hidden units, 50 latents; transposed convolutions in the decoder.
    Convolutional,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum LikelihoodFlag {
    /// Binary pixels, or numbers within 0 and 1.
    Bernoulli,
    /// Real numbers; see --deviation and --dequantize.
    Gaussian,
    /// Classes 0, 1, …; see --classes.
    Categorical,
    /// Bytes as intervals of a logistic distribution.
    Logistic,
}

#[derive(Args)]
struct TrainArgs {
    /// What to train on: idx files (MNIST), .bits files of 28×28 binary pixels, packs of JPEG files, folders of .png or .jpg files, or tables of numbers (.csv,
    /// .tsv). Files may be compressed (.gz, .zst).
    #[arg(long, required_unless_present = "config", num_args = 1..)]
    data: Vec<PathBuf>,
    /// Take the settings of another run, from its config.toml. Other flags override them.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The folder of the run. An interrupted run in it is resumed.
    #[arg(long, short)]
    out: PathBuf,
    /// Train on only the first LIMIT samples.
    #[arg(long)]
    limit: Option<usize>,
    /// Hold out one sample in HOLD_OUT for validation; 0 for none. The model with the best validation is saved.
    #[arg(long, default_value_t = 20)]
    hold_out: usize,
    /// Maximum number of held-out samples per validation.
    #[arg(long, default_value_t = 1000)]
    validate_on: usize,
    /// The architecture [default: one-layer; for tables a single layer of 64,64:8]
    #[arg(long, help_heading = "Model")]
    preset: Option<Preset>,
    /// A stochastic layer instead of the preset's: the widths of its hidden layers, and its number of latents. Repeat the flag for several layers, starting at the data.
    #[arg(long, value_name = "HIDDEN,…:LATENTS", help_heading = "Model")]
    layer: Vec<LayerFlag>,
    /// Channels of the convolutions before the hidden layers. Each convolution halves both sides of the image.
    #[arg(long, value_delimiter = ',', help_heading = "Model")]
    convolutions: Vec<usize>,
    /// The activation of the hidden layers [default: tanh; relu for the convolutional preset]
    #[arg(long, value_parser = named::<Activation>(&["tanh", "relu", "linear"]), help_heading = "Model")]
    activation: Option<Activation>,
    /// The distribution of a sample given its latents [default: bernoulli for images, gaussian for tables]
    #[arg(long, help_heading = "Model")]
    likelihood: Option<LikelihoodFlag>,
    /// The standard deviation of the gaussian likelihood: learned, per-dimension (learned for each), or a number.
    #[arg(long, value_parser = deviation, default_value = "per-dimension", help_heading = "Model")]
    deviation: Deviation,
    /// Add uniform noise to bytes, so that the gaussian likelihood applies to them.
    #[arg(long, help_heading = "Model")]
    dequantize: bool,
    /// Number of classes of the categorical likelihood.
    #[arg(long, default_value_t = 256, help_heading = "Model")]
    classes: usize,
    /// How grey pixels become binary: drawn again for each batch, by a threshold, or not at all.
    #[arg(long, value_parser = named::<Binarization>(&["drawn", "threshold", "none"]), default_value = "drawn", help_heading = "Model")]
    binarize: Binarization,
    /// The bound to maximise: the mean of log w over the draws (VAE), the logarithm of the mean w (IWAE), or the latter with a gradient of smaller variance (DReG).
    #[arg(long, value_parser = named::<Bound>(&["vae", "iwae", "dreg"]), default_value = "vae", help_heading = "Objective")]
    bound: Bound,
    /// Number of draws of the latents per sample, k.
    #[arg(long, default_value_t = 1, help_heading = "Objective")]
    draws: usize,
    /// Compute the Kullback–Leibler divergence of the last stochastic layer in closed form.
    #[arg(long, help_heading = "Objective")]
    closed_form_kl: bool,
    /// Factor of the divergence (β-VAE).
    #[arg(
        long,
        default_value_t = 1.0,
        allow_negative_numbers = true,
        help_heading = "Objective"
    )]
    beta: f32,
    /// Number of steps over which the factor rises from 0 to --beta.
    #[arg(long, default_value_t = 0, help_heading = "Objective")]
    kl_warmup: u64,
    /// Seed of all random choices.
    #[arg(long, default_value_t = 0, help_heading = "Training")]
    seed: u64,
    /// Passes over the data. The published schedule has 3280.
    #[arg(long, default_value_t = 80.0, help_heading = "Training")]
    epochs: f64,
    /// Number of optimiser steps, instead of --epochs.
    #[arg(long, conflicts_with = "epochs", help_heading = "Training")]
    steps: Option<u64>,
    /// Samples per step.
    #[arg(long, default_value_t = 20, help_heading = "Training")]
    batch_size: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-3, help_heading = "Training")]
    learning_rate: f32,
    /// Number of warm-up steps.
    #[arg(long, default_value_t = 0, help_heading = "Training")]
    warmup: u64,
    /// How the learning rate decays: in the published phases, each three times as long as the previous one, or otherwise.
    #[arg(long, value_parser = named::<Decay>(&["phases", "constant", "linear", "cosine"]), default_value = "phases", help_heading = "Training")]
    decay: Decay,
    /// Adam's ε.
    #[arg(long, default_value_t = 1e-4, help_heading = "Training")]
    adam_epsilon: f32,
    /// The optimiser as a TOML file: [[optimizer]] tables, in the order in which to apply them.
    #[arg(long, conflicts_with_all = ["learning_rate", "warmup", "decay", "adam_epsilon"], help_heading = "Training")]
    optimizer: Option<PathBuf>,
    /// Decay of the moving average of the weights; 0 for none.
    #[arg(long, default_value_t = 0.0, help_heading = "Training")]
    average: f32,
    /// Number of parts of a batch that are computed in parallel. The result depends on it.
    #[arg(long, default_value_t = 1, help_heading = "Training")]
    shards: usize,
    /// Steps between validations and checkpoints [default: one epoch]
    #[arg(long, help_heading = "Training")]
    validate_every: Option<u64>,
    /// Stop after this many validations without improvement; 0 for never.
    #[arg(long, default_value_t = 0, help_heading = "Training")]
    patience: u64,
}

#[derive(Args)]
struct DensityArgs {
    /// The folder of a run of kexue vae train.
    #[arg(long)]
    model: PathBuf,
    /// The samples, in the same kind of files as the training data.
    #[arg(long, required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Samples of another kind. Measures how well the density tells them from those of --data.
    #[arg(long, num_args = 1..)]
    against: Vec<PathBuf>,
    /// Use only the first LIMIT samples of each set.
    #[arg(long)]
    limit: Option<usize>,
    /// Maximum number of draws per sample.
    #[arg(long, default_value_t = 5000)]
    samples: u64,
    /// Stop drawing for a sample once the standard error of its log-density is this small, in nats.
    #[arg(long)]
    precision: Option<f64>,
    /// Number of draws to compute at once.
    #[arg(long, default_value_t = 250)]
    block: usize,
    /// Number of samples to process at the same time. The result does not depend on it.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Seed of the draws and of drawn pixels.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Check the estimator: annealed importance sampling on CHECK samples of --data, and bounds from both sides on as many samples drawn from the model. Slow.
    #[arg(long, value_name = "CHECK", default_value_t = 0)]
    check: usize,
    /// Number of temperatures of the chains of --check.
    #[arg(long, default_value_t = 1000)]
    temperatures: usize,
    /// Write the ranking to this file instead of standard output.
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Write the ranking as JSON Lines instead of CSV.
    #[arg(long)]
    json: bool,
    /// Write an HTML page with the histogram of the scores and the bound by the number of draws to this file.
    #[arg(long)]
    report: Option<PathBuf>,
}

#[derive(Args)]
struct SampleArgs {
    /// The folder of a run of kexue vae train.
    #[arg(long)]
    model: PathBuf,
    /// Number of samples to draw.
    #[arg(long, default_value_t = 64)]
    count: usize,
    /// Number of images per row of the grid.
    #[arg(long, default_value_t = 8)]
    columns: usize,
    /// Seed of the samples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw every pixel or number from its distribution, instead of taking its mean given the latents.
    #[arg(long)]
    draw: bool,
    /// The file to write: .png for images, .csv for tables.
    #[arg(long, short)]
    out: PathBuf,
}

/// Runs the command.
pub fn run(args: VaeArgs) -> Result<ExitCode> {
    match args.verb {
        Verb::Train(args) => run_train(&args),
        Verb::Density(args) => run_density(&args),
        Verb::Sample(args) => run_sample(&args),
    }
}

impl TrainArgs {
    fn model(&self, data: &Dataset) -> Result<VaeConfig> {
        let likelihood = match self.likelihood {
            None if data.image.is_some() => Likelihood::Bernoulli {},
            None | Some(LikelihoodFlag::Gaussian) => Likelihood::Gaussian {
                deviation: self.deviation,
                dequantize: self.dequantize,
            },
            Some(LikelihoodFlag::Bernoulli) => Likelihood::Bernoulli {},
            Some(LikelihoodFlag::Categorical) => Likelihood::Categorical { classes: self.classes },
            Some(LikelihoodFlag::Logistic) => Likelihood::DiscretizedLogistic {},
        };
        if self.dequantize && !likelihood.dequantizes() {
            return Err(Usage("--dequantize belongs to --likelihood gaussian".to_owned()).into());
        }
        let layer = |hidden: &[usize], latent| StochasticLayer {
            hidden: hidden.to_vec(),
            latent,
        };
        let (layers, convolutions, activation) = match (self.preset, data.image) {
            (Some(Preset::OneLayer), _) | (None, Some(_)) => (vec![layer(&[200, 200], 50)], vec![], Activation::Tanh),
            (Some(Preset::TwoLayers), _) => (
                vec![layer(&[200, 200], 100), layer(&[100, 100], 50)],
                vec![],
                Activation::Tanh,
            ),
            (Some(Preset::Convolutional), _) => (vec![layer(&[256], 50)], vec![32, 64], Activation::Relu),
            (None, None) => (vec![layer(&[64, 64], 8)], vec![], Activation::Tanh),
        };
        let config = VaeConfig {
            dimensions: data.dimensions,
            image: data.image,
            convolutions: if self.convolutions.is_empty() {
                convolutions
            } else {
                self.convolutions.clone()
            },
            activation: self.activation.unwrap_or(activation),
            likelihood,
            layers: match self.layer.is_empty() {
                true => layers,
                false => self.layer.iter().map(|layer| layer.0.clone()).collect(),
            },
        };
        config.validate()?;
        Ok(config)
    }

    /// The settings, for this number of training samples.
    fn training(&self, samples: usize) -> Result<TrainSettings> {
        if self.batch_size == 0 {
            return Err(Usage("--batch-size must be at least 1".to_owned()).into());
        }
        let epoch = samples.div_ceil(self.batch_size).max(1) as u64;
        let steps = match self.steps {
            Some(steps) => steps,
            None if self.epochs > 0.0 && self.epochs < 1e9 => {
                ((self.epochs * samples as f64 / self.batch_size as f64).ceil() as u64).max(1)
            }
            None => return Err(Usage("--epochs must be a positive number".to_owned()).into()),
        };
        let settings = TrainSettings {
            seed: self.seed,
            steps,
            batch_size: self.batch_size,
            shards: self.shards,
            optimizer: match &self.optimizer {
                None => Vec::new(),
                Some(path) => read_optimizer(path)?.links,
            },
            learning_rate: self.learning_rate,
            warmup: self.warmup,
            decay: self.decay,
            weight_decay: 0.0,
            max_gradient_norm: f32::INFINITY,
            adam: AdamConfig {
                epsilon: self.adam_epsilon,
                ..AdamConfig::default()
            },
            average: self.average,
            validate_every: self.validate_every.unwrap_or(epoch),
            patience: self.patience,
            ..TrainSettings::default()
        };
        settings.validate()?;
        Ok(settings)
    }
}

/// Reads data, or only the first samples.
fn read(paths: &[PathBuf], limit: Option<usize>) -> Result<Dataset> {
    let data = Dataset::read(paths)?;
    Ok(match limit {
        Some(0) => return Err(Usage("--limit must be at least 1".to_owned()).into()),
        Some(limit) => data.first(limit),
        None => data,
    })
}

/// Flags whose settings have a different name.
const SETTINGS: &[(&str, &str)] = &[
    ("preset", "layers"),
    ("preset", "convolutions"),
    ("preset", "activation"),
    ("layer", "layers"),
    ("likelihood", "likelihood"),
    ("deviation", "likelihood"),
    ("dequantize", "likelihood"),
    ("classes", "likelihood"),
    ("binarize", "binarization"),
    ("epochs", "steps"),
    ("adam_epsilon", "epsilon"),
];

/// The configuration that the flags make.
fn config_of_flags(args: &TrainArgs, paths: &[PathBuf], data: &Dataset) -> Result<VaeRunConfig> {
    let model = args.model(data)?;
    let vae = VaeSettings {
        objective: Objective {
            bound: args.bound,
            draws: args.draws,
            closed_form_kl: args.closed_form_kl,
            beta: args.beta,
            kl_warmup: args.kl_warmup,
        },
        // What follows from the data is filled in when the likelihood is decided.
        preparation: Preparation {
            binarization: args.binarize,
            ..Preparation::default()
        },
        hold_out: args.hold_out,
        validate_on: args.validate_on,
    };
    let held_out = data.len().checked_div(args.hold_out).unwrap_or(0);
    Ok(VaeRunConfig {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data: paths.iter().map(|path| path.display().to_string()).collect(),
        model,
        train: args.training(data.len() - held_out)?,
        vae,
    })
}

fn run_train(args: &TrainArgs) -> Result<ExitCode> {
    let base: Option<VaeRunConfig> = args.config.as_deref().map(read_config).transpose()?;
    let paths = match (&base, args.data.is_empty()) {
        (Some(base), true) => base.data.iter().map(PathBuf::from).collect(),
        _ => args.data.clone(),
    };
    let data = read(&paths, args.limit)?;
    let run = config_of_flags(args, &paths, &data)?;
    let mut run = match base {
        Some(base) => overridden(&base, &run, SETTINGS, &["version", "data", "dimensions", "image"])?,
        None => run,
    };
    run.model.validate()?;
    run.train.validate()?;
    run.vae.preparation = Preparation::of(&data, run.model.likelihood, run.vae.preparation.binarization)?;
    let (config, settings, seed) = (run.model.clone(), run.vae.clone(), run.train.seed);
    let likelihood = config.likelihood;
    let held_out = data.len().checked_div(settings.hold_out).unwrap_or(0);
    let task = VaeTask::new(&data, settings.clone(), likelihood, seed)?;
    check_memory(
        least_memory(&config, &settings.objective, &run.train, task.held_out().len())?,
        "--batch-size, --draws or the widths of --layer and --convolutions",
    )?;
    let mut model = Vae::new(config, &mut generator(seed, streams::WEIGHTS, 0))?;
    model.start_at_mean(&settings.preparation.mean(&data, likelihood));
    let built = run.train.chain().build(model.slots(), run.train.steps);
    built.map_err(|error| match &args.optimizer {
        Some(path) => anyhow::Error::from(TrainError::file(path, error)),
        None => Usage(error.to_string()).into(),
    })?;
    note!(
        "{} samples of {} numbers to train on, {} held out; {} parameters; {:.2} epochs (the published schedule has 3280)",
        data.len() - held_out,
        data.dimensions,
        held_out,
        model.values().len(),
        run.train.steps as f64 * run.train.batch_size as f64 / (data.len() - held_out) as f64
    );
    let description = prepare(&args.out, &run, &[])?;
    let interrupt = Interrupt::install();
    let outcome = train(&task, model, &run.train, &args.out, &description, interrupt.flag())?;
    if outcome.interrupted {
        note!(
            "interrupted after {} steps and saved; the same command goes on from there",
            outcome.steps
        );
        return Ok(ExitCode::from(130));
    }
    if !kexue_train::is_first() {
        return Ok(ExitCode::SUCCESS);
    }
    let shown = shown(&data, &settings);
    let mut random = generator(seed, PIXELS, 0);
    let units = active_units(&outcome.model, &data, &settings.preparation, &shown, &mut random);
    finish_report(&args.out, &description, &outcome, &data, &settings, &shown, &units)?;
    let best = match outcome.best {
        Some((bound, step)) => format!(
            "best held-out bound {bound:.3} nats at step {step} of {}",
            outcome.steps
        ),
        None => format!("nothing was held out: the weights of step {} are kept", outcome.steps),
    };
    let layers = units.iter().zip(&outcome.model.config().layers);
    let units: Vec<String> = layers
        .map(|(active, layer)| format!("{active} of {}", layer.latent))
        .collect();
    print(&format!(
        "{best}; active units: {}; {}\n",
        units.join(", "),
        args.out.join("report.html").display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The samples to show and to count active units on: held-out ones, if there are any.
fn shown(data: &Dataset, settings: &VaeSettings) -> Vec<usize> {
    let held_out = (0..data.len()).filter(|&index| settings.holds_out(index));
    let held_out: Vec<usize> = held_out.take(2000).collect();
    match held_out.is_empty() {
        true => (0..data.len().min(2000)).collect(),
        false => held_out,
    }
}

/// Writes the report again, with active units and, for images, pictures.
fn finish_report(
    folder: &Path,
    description: &str,
    outcome: &Outcome<Vae>,
    data: &Dataset,
    settings: &VaeSettings,
    shown: &[usize],
    units: &[usize],
) -> Result<()> {
    let model = &outcome.model;
    let goals = BTreeMap::from([
        ("loss".to_owned(), Goal::Minimize),
        ("held_out_bound".to_owned(), Goal::Maximize),
    ]);
    let mut page = report_page("Training", description, &outcome.records, &goals, |_| ());
    page.heading("Active units");
    page.paragraph("Units whose posterior mean varies over the data by more than 0.01.");
    let rows: Vec<Vec<String>> = units
        .iter()
        .zip(&model.config().layers)
        .enumerate()
        .map(|(layer, (active, config))| vec![format!("{}", layer + 1), active.to_string(), config.latent.to_string()])
        .collect();
    page.table(&["stochastic layer", "active", "of"], &rows);
    if let Some(size) = data.image {
        let likelihood = model.config().likelihood;
        let mut random = generator(0, PIXELS, 1);
        let indices = &shown[..shown.len().min(40)];
        let observations = settings.preparation.observe(data, likelihood, indices, &mut random);
        let scale = (56 / size.width.max(size.height)).max(1);
        let mut show = |name: &str, targets: &[Vec<f32>], columns: usize, caption: &str| -> Result<()> {
            let png = picture(likelihood, size, targets, columns)?;
            write_file(&folder.join(name), &png)?;
            page.picture(&png, scale, caption);
            Ok(())
        };
        let pairs = reconstructions(model, &observations);
        show(
            "reconstructions.png",
            &pairs,
            16,
            "Samples, and to the right of each its reconstruction",
        )?;
        let samples = model.sample(64, true, &mut generator(0, SAMPLES, 0));
        show("samples.png", &samples, 16, "Means of samples of the model")?;
        let paths = traversals(model, &observations, 10, 13);
        show(
            "traversals.png",
            &paths,
            13,
            "The ten units that vary most, a row each, from −3 to 3",
        )?;
    }
    page.write(&folder.join("report.html"))?;
    Ok(())
}

/// One sample of a ranking.
struct Ranked {
    name: String,
    against: bool,
    density: Density,
    /// Nats of its PNG file, for images.
    complexity: Option<f64>,
}

impl Ranked {
    fn corrected(&self) -> Option<f64> {
        Some(self.density.log_density + self.complexity?)
    }
}

fn run_density(args: &DensityArgs) -> Result<ExitCode> {
    let settings = DensitySettings {
        samples: args.samples,
        precision: args.precision,
        block: args.block,
        batch: args.batch,
        seed: args.seed,
    };
    settings.validate()?;
    let annealing = AnnealingSettings {
        temperatures: args.temperatures,
        seed: args.seed,
        ..AnnealingSettings::default()
    };
    annealing.validate()?;
    let mut inputs = model_files(&args.model);
    inputs.extend(args.data.iter().chain(&args.against).cloned());
    for output in args.out.iter().chain(&args.report) {
        check_output(output, &inputs)?;
    }
    check_distinct(("--out", args.out.as_deref()), ("--report", args.report.as_deref()))?;
    if let Some(report) = &args.report {
        check_page(report, &density_title(args))?;
    }
    let run = VaeRun::open(&args.model)?;
    if args.check > 0 && run.config.model.likelihood.dequantizes() {
        let problem = "--check cannot be used with a dequantised likelihood: its chains have no noise for the pixels";
        return Err(Usage(problem.to_owned()).into());
    }
    let mut sets = vec![(read(&args.data, args.limit)?, false)];
    if !args.against.is_empty() {
        sets.push((read(&args.against, args.limit)?, true));
    }
    for (data, _) in &sets {
        run.config.vae.preparation.check(data, &run.config.model)?;
    }
    let mut ranked = Vec::new();
    for (data, against) in &sets {
        ranked.extend(measure(&run, data, *against, &settings)?);
    }
    let dimensions = run.config.model.dimensions;
    for against in [false, true].into_iter().take(sets.len()) {
        summarise(&ranked, against, dimensions);
    }
    let telling = if sets.len() == 2 {
        tell_apart(&ranked)
    } else {
        Vec::new()
    };
    for (name, auroc) in &telling {
        let (low, high) = auroc.interval();
        note!(
            "AUROC by {name}: {:.4} (95 % interval {low:.4} to {high:.4})",
            auroc.area
        );
    }
    if !telling.is_empty() && run.config.model.image.is_some() {
        note!(
            "Simple images get a high density whatever they show; the corrected score adds the length of an image's PNG file, in nats."
        );
    }
    if args.check > 0 {
        check_estimator(&run, &sets[0].0, &ranked, args, &annealing)?;
    }
    if let Some(path) = &args.report {
        report(&ranked, &telling, dimensions, &density_title(args)).write(path)?;
    }
    ranked.sort_by(|a, b| a.density.log_density.total_cmp(&b.density.log_density));
    write_ranking(&ranked, args, dimensions, sets.len() == 2)?;
    Ok(ExitCode::SUCCESS)
}

/// The samples of a data set as the model reads them. Drawn pixels depend only on the seed and their position.
fn observe(run: &VaeRun, data: &Dataset, seed: u64) -> Vec<Observations> {
    let (preparation, likelihood) = (&run.config.vae.preparation, run.config.model.likelihood);
    let one = |index: usize| {
        let mut random = generator(seed, PIXELS, index as u64);
        preparation.observe(data, likelihood, &[index], &mut random)
    };
    (0..data.len()).map(one).collect()
}

fn measure(run: &VaeRun, data: &Dataset, against: bool, settings: &DensitySettings) -> Result<Vec<Ranked>> {
    let observations = observe(run, data, settings.seed);
    let samples: Vec<&Observations> = observations.iter().collect();
    let bar = ProgressBar::new(data.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} samples · {elapsed} done · {eta} left") {
        bar.set_style(style);
    }
    let found = densities(&VaeDensity::new(&run.model), &samples, settings, &|done| {
        bar.inc(done as u64)
    })?;
    bar.finish_and_clear();
    let volume = run.config.vae.preparation.log_volume();
    let ranked = found.into_iter().enumerate().map(|(index, mut density)| {
        density.log_density += volume;
        density.elbo += volume;
        density.curve.iter_mut().for_each(|point| point.1 += volume);
        let complexity = match (data.image, data.bytes(index)) {
            (Some(size), Some(_)) => Some(complexity_of(run, size, &observations[index])?),
            _ => None,
        };
        Ok(Ranked {
            name: data.name(index),
            against,
            density,
            complexity,
        })
    });
    ranked.collect()
}

/// The complexity of an image as the model reads it.
fn complexity_of(run: &VaeRun, size: kexue_vae::ImageSize, observation: &Observations) -> Result<f64> {
    let likelihood = run.config.model.likelihood;
    let pixels: Vec<u8> = observation
        .targets
        .iter()
        .map(|&target| Preparation::pixel(likelihood, target))
        .collect();
    let shape = kexue_images::Shape {
        channels: size.channels,
        height: size.height,
        width: size.width,
    };
    Ok(complexity(shape, &pixels)?)
}

fn of_set(ranked: &[Ranked], against: bool) -> impl Iterator<Item = &Ranked> + Clone {
    ranked.iter().filter(move |ranked| ranked.against == against)
}

/// Prints the mean densities of a set.
fn summarise(ranked: &[Ranked], against: bool, dimensions: usize) {
    let values = |of: fn(&Ranked) -> f64| -> Vec<f64> { of_set(ranked, against).map(of).collect() };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let shown = |values: &[f64]| mean_with_error(values, |value| format!("{value:.3}"));
    let nll = values(|ranked| -ranked.density.log_density);
    let elbo = values(|ranked| -ranked.density.elbo);
    let draws = mean(&values(|ranked| ranked.density.draws as f64));
    // The estimates' own errors are independent of each other.
    let squares = values(|ranked| ranked.density.standard_error.powi(2));
    let own = mean(&squares).sqrt() / (nll.len() as f64).sqrt();
    // A single draw has no error.
    let own = match own.is_finite() {
        true => format!(" (of which {own:.3} from the draws)"),
        false => String::new(),
    };
    note!(
        "{}: {} samples; negative log-density {} nats over the samples{own}, {:.4} bits a dimension; negative ELBO {}; {draws:.0} draws each",
        if against { "--against" } else { "--data" },
        nll.len(),
        shown(&nll),
        mean(&nll) / std::f64::consts::LN_2 / dimensions as f64,
        shown(&elbo),
    );
    let mut doubts: BTreeMap<String, usize> = BTreeMap::new();
    for doubt in of_set(ranked, against).filter_map(|ranked| ranked.density.doubt) {
        *doubts.entry(doubt.to_string()).or_default() += 1;
    }
    if !doubts.is_empty() {
        let all: Vec<String> = doubts.iter().map(|(doubt, count)| format!("{count} {doubt}")).collect();
        note!(
            "not to be trusted one by one: {} (column `doubt`); more --samples may help",
            all.join(", ")
        );
    }
}

/// The AUROC of the log-density and, for images, of the corrected score.
fn tell_apart(ranked: &[Ranked]) -> Vec<(&'static str, Auroc)> {
    let scores = |against: bool, of: &dyn Fn(&Ranked) -> Option<f64>| -> Vec<f64> {
        of_set(ranked, against)
            .map(|ranked| of(ranked).unwrap_or(f64::NAN))
            .collect()
    };
    let by = |name, of: &dyn Fn(&Ranked) -> Option<f64>| Some((name, auroc(&scores(false, of), &scores(true, of))?));
    [
        by("log-density", &|ranked| Some(ranked.density.log_density)),
        by("corrected score", &Ranked::corrected),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn check_estimator(
    run: &VaeRun,
    data: &Dataset,
    ranked: &[Ranked],
    args: &DensityArgs,
    annealing: &AnnealingSettings,
) -> Result<()> {
    let model = VaeDensity::new(&run.model);
    let volume = run.config.vae.preparation.log_volume();
    let observations = observe(run, &data.clone().first(args.check), args.seed);
    for (observation, ranked) in observations.iter().zip(ranked) {
        let weights = annealed(&model, observation, annealing)?;
        note!(
            "{}: {:.2} ± {:.2} nats by importance sampling, {:.2} ± {:.2} by annealing",
            ranked.name,
            ranked.density.log_density,
            ranked.density.standard_error,
            weights.log_mean() + volume,
            weights.standard_error(),
        );
    }
    let settings = DensitySettings {
        samples: args.samples,
        seed: args.seed,
        ..DensitySettings::default()
    };
    for number in 0..args.check as u64 {
        let (sample, bounds) = sandwich(&model, number, annealing)?;
        let density = &densities(&model, &[&sample], &settings, &|_| ())?[0];
        note!(
            "sample {number} of the model: {:.2} ± {:.2} by importance sampling; between {:.2} and {:.2} by annealing in both directions",
            density.log_density + volume,
            density.standard_error,
            bounds.lower + volume,
            bounds.upper + volume,
        );
    }
    Ok(())
}

/// The title of the page of densities.
fn density_title(args: &DensityArgs) -> String {
    let data: Vec<String> = args.data.iter().map(|path| path.display().to_string()).collect();
    format!("Density of {} by {}", data.join(", "), args.model.display())
}

/// A page with the histogram of the scores, and the bound by the number of draws.
fn report(ranked: &[Ranked], telling: &[(&'static str, Auroc)], dimensions: usize, title: &str) -> Page {
    let mut page = Page::new(title);
    for (name, auroc) in telling.iter().take(1) {
        let (low, high) = auroc.interval();
        page.verdict(&format!(
            "A sample of --data has a higher {name} than one of --against with a probability of {:.3} (95 % interval {low:.3} to {high:.3}; 0.5 is chance).",
            auroc.area
        ));
    }
    page.paragraph("Log-densities by importance sampling, in nats: lower bounds in expectation, which rise with the number of draws.");
    if !telling.is_empty() {
        let row = |(name, auroc): &(&str, Auroc)| {
            let (low, high) = auroc.interval();
            vec![
                (*name).to_owned(),
                format!("{:.4}", auroc.area),
                format!("{low:.4} to {high:.4}"),
            ]
        };
        page.table(
            &["score", "AUROC", "95 % interval"],
            &telling.iter().map(row).collect::<Vec<_>>(),
        );
    }
    let both = ranked.iter().any(|ranked| ranked.against);
    let histogram = |title: &str, of: &dyn Fn(&Ranked) -> Option<f64>| {
        let all: Vec<f64> = ranked.iter().filter_map(of).filter(|score| score.is_finite()).collect();
        let (low, high) = all
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &score| {
                (low.min(score), high.max(score))
            });
        const BINS: usize = 40;
        let width = ((high - low) / BINS as f64).max(1e-9);
        let series = [false, true].into_iter().take(1 + usize::from(both)).map(|against| {
            let mut counts = [0usize; BINS];
            let scores = of_set(ranked, against).filter_map(of).filter(|score| score.is_finite());
            scores.for_each(|score| counts[(((score - low) / width) as usize).min(BINS - 1)] += 1);
            let total = counts.iter().sum::<usize>().max(1) as f64;
            let points = counts.iter().enumerate();
            Series {
                name: if against { "--against" } else { "--data" }.to_owned(),
                points: points
                    .map(|(bin, &count)| (low + (bin as f64 + 0.5) * width, 100.0 * count as f64 / total))
                    .collect(),
                ..Series::default()
            }
        });
        Chart {
            title: title.to_owned(),
            x: "nats".to_owned(),
            y: "% of the samples".to_owned(),
            series: series.collect(),
            caption: format!("{} samples, {dimensions} numbers each", all.len()),
            ..Chart::default()
        }
    };
    let mut charts = vec![histogram("log-density", &|ranked| Some(ranked.density.log_density))];
    if ranked.iter().any(|ranked| ranked.complexity.is_some()) {
        charts.push(histogram("corrected score", &Ranked::corrected));
    }
    charts.push(Chart {
        title: "bound by draws".to_owned(),
        x: "draws".to_owned(),
        y: "nats".to_owned(),
        log_x: true,
        series: mean_curve(ranked),
        caption: "Mean over the samples of the bound with so many draws. With a single draw it is the ELBO.".to_owned(),
        ..Chart::default()
    });
    page.charts(&charts);
    page
}

/// The mean bound over the samples, up to the number of draws that all of them have.
fn mean_curve(ranked: &[Ranked]) -> Vec<Series> {
    let sets = [false, true]
        .into_iter()
        .filter(|&against| of_set(ranked, against).next().is_some());
    sets.map(|against| {
        let all = of_set(ranked, against);
        let count = all.clone().count() as f64;
        let length = all.clone().map(|ranked| ranked.density.curve.len()).min().unwrap_or(0);
        let point = |at: usize| {
            let sum: f64 = all.clone().map(|ranked| ranked.density.curve[at].1).sum();
            (f64::from(1u32 << at), sum / count)
        };
        Series {
            name: if against { "--against" } else { "--data" }.to_owned(),
            points: (0..length).map(point).collect(),
            ..Series::default()
        }
    })
    .collect()
}

fn write_ranking(ranked: &[Ranked], args: &DensityArgs, dimensions: usize, two: bool) -> Result<()> {
    let rows = ranked.iter().enumerate().map(|(at, ranked)| {
        let density = &ranked.density;
        let mut row = Map::new();
        row.insert("rank".to_owned(), json!(at + 1));
        row.insert("sample".to_owned(), json!(ranked.name));
        if two {
            row.insert("set".to_owned(), json!(if ranked.against { "against" } else { "data" }));
        }
        for (name, value) in [
            ("log_density", density.log_density),
            ("standard_error", density.standard_error),
            ("bits_per_dimension", density.bits_per_dimension(dimensions)),
            ("elbo", density.elbo),
        ] {
            row.insert(name.to_owned(), json!(value));
        }
        row.insert("draws".to_owned(), json!(density.draws));
        row.insert("effective_samples".to_owned(), json!(density.effective_samples));
        row.insert("k_hat".to_owned(), json!(density.k_hat));
        row.insert("doubt".to_owned(), json!(density.doubt));
        if let Some(complexity) = ranked.complexity {
            row.insert("complexity".to_owned(), json!(complexity));
            row.insert("corrected".to_owned(), json!(ranked.corrected()));
        }
        row
    });
    let mut text = String::new();
    let mut header = false;
    for row in rows {
        if args.json {
            text += &serde_json::to_string(&row)?;
        } else {
            if !header {
                text += &row.keys().cloned().collect::<Vec<_>>().join(",");
                text.push('\n');
                header = true;
            }
            text += &row.values().map(cell).collect::<Vec<_>>().join(",");
        }
        text.push('\n');
    }
    match &args.out {
        None => print(&text),
        Some(path) => {
            let mut file = NewFile::create(path)?;
            file.write_all(text.as_bytes())
                .with_context(|| path.display().to_string())?;
            Ok(file.commit()?)
        }
    }
}

/// A value as a cell of a CSV file.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains([',', '"', '\n']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn run_sample(args: &SampleArgs) -> Result<ExitCode> {
    check_output(&args.out, model_files(&args.model))?;
    if args.count == 0 || args.count > 1 << 20 || args.columns == 0 {
        return Err(Usage("--count must be within 1 and 1048576, --columns at least 1".to_owned()).into());
    }
    let run = VaeRun::open(&args.model)?;
    let (model, likelihood) = (&run.config.model, run.config.model.likelihood);
    match model.image {
        Some(_) => check_format(&args.out, "images", &["png"])?,
        None => check_format(&args.out, "rows of a table", &["csv"])?,
    }
    let samples = run
        .model
        .sample(args.count, !args.draw, &mut generator(args.seed, SAMPLES, 0));
    let bytes = match model.image {
        Some(size) => picture(likelihood, size, &samples, args.columns)?,
        None => {
            let preparation = &run.config.vae.preparation;
            let mut text = preparation
                .columns
                .iter()
                .map(|column| cell(&json!(column)))
                .collect::<Vec<_>>()
                .join(",")
                + "\n";
            for sample in &samples {
                let numbers = sample
                    .iter()
                    .enumerate()
                    .map(|(at, &target)| preparation.number(likelihood, at, target).to_string());
                text += &numbers.collect::<Vec<_>>().join(",");
                text.push('\n');
            }
            text.into_bytes()
        }
    };
    write_file(&args.out, &bytes)?;
    note!("{} samples in {}", args.count, args.out.display());
    Ok(ExitCode::SUCCESS)
}
