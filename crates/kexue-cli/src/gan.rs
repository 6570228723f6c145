//! `kexue gan`: generative adversarial networks whose critics are normalised.

use crate::model_flags::{check_memory, named, positive};
use crate::output::{Interrupt, Usage, check_format, model_files, note, print, print_json};
use crate::run_config::{overridden, read_config};
use anyhow::Result;
use clap::{Args, Subcommand};
use kexue_gan::data::Data;
use kexue_gan::evaluate::{Evaluation, Featurizer, evaluate};
use kexue_gan::features_file::read_features;
use kexue_gan::loss::AdversarialLoss;
use kexue_gan::memory::least_memory;
use kexue_gan::network::{NormKind, Space};
use kexue_gan::normalizer::NormalizerSettings;
use kexue_gan::picture::{images, pixels_file};
use kexue_gan::play::GeneratorFormula;
use kexue_gan::quality::quality;
use kexue_gan::run::TrainedGan;
use kexue_gan::settings::{GanConfig, Preset, check_space};
use kexue_gan::task::GanTask;
use kexue_grad::Activation;
use kexue_images::grid_png;
use kexue_nn::Distribution;
use kexue_optim::Decay;
use kexue_output::{check_output, write_file};
use kexue_penalty::run::TrainedClassifier;
use kexue_train::{RunConfig, Trainer, generator, prepare};
use std::path::PathBuf;
use std::process::ExitCode;

/// Generative adversarial networks whose critics are normalised: train, sample, measure.
#[derive(Args)]
#[command(after_help = "Examples:
  kexue gan train --data ring --out runs/ring
  kexue gan train --data train-images-idx3-ubyte --preset cnn --width 16 --steps 2000 --normalizer gran --out runs/mnist
  kexue gan sample --model runs/mnist --out samples.png
  kexue gan eval --model runs/ring --json
  kexue gan compare --generated generated.safetensors --real real.safetensors")]
pub struct GanArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Train both players, or resume a training that was interrupted.
    Train(Box<TrainArgs>),
    /// Write samples: a PNG grid of images, the pixels of images for other programs, or a CSV file of points.
    Sample(SampleArgs),
    /// Measure the slope of the critic and the quality of the samples.
    Eval(EvalArgs),
    /// Compare generated and real images on features that another program computed, such as Inception's: FID, KID, precision and recall.
    Compare(CompareArgs),
}

/// The activations by name.
const ACTIVATIONS: &[&str] = &[
    "relu",
    "leaky-relu",
    "tanh",
    "elu",
    "silu",
    "gelu",
    "softplus",
    "sigmoid",
    "identity",
];

#[derive(Args)]
struct TrainArgs {
    /// ring, grid or swiss-roll; an idx file (MNIST), a pack of JPEG files or a folder of .png and .jpg files; a CSV file of points without a header.
    /// Files may be .gz or .zst.
    #[arg(long, required_unless_present = "config")]
    data: Option<String>,
    /// Take the settings of another run, from its config.toml. Other flags override them.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The folder of the run. An interrupted run in it is resumed.
    #[arg(long, short)]
    out: PathBuf,
    /// The settings to start from [default: mlp for points, cnn for images]
    #[arg(long, value_parser = named::<Preset>(&["mlp", "cnn", "resnet"]))]
    preset: Option<Preset>,
    /// What bounds the critic's slope: nothing, weight clipping, a gradient penalty (two- or one-sided), spectral normalisation, D/(‖g‖+|D|),
    /// D·‖g‖/(‖g‖²+ε), D/(‖g‖+ε), ⟨g/‖g‖, x⟩.
    #[arg(long, default_value = "gn", value_parser = ["none", "clip", "gp", "gp-one-sided", "sn", "gn", "gran", "scaled", "direction"])]
    normalizer: String,
    /// Largest absolute weight under --normalizer clip.
    #[arg(long, default_value_t = 0.05)]
    clip: f32,
    /// Weight of the gradient penalty [default: 0.1 for the preset mlp, else 10]
    #[arg(long)]
    penalty_weight: Option<f64>,
    /// ε of --normalizer gran and scaled.
    #[arg(long, default_value_t = 0.1)]
    epsilon: f64,
    /// The loss of both players [default: the preset's]
    #[arg(long, value_parser = named::<AdversarialLoss>(&["hinge", "bce", "wasserstein"]))]
    loss: Option<AdversarialLoss>,
    /// Number of generator steps [default: the preset's]
    #[arg(long)]
    steps: Option<u64>,
    /// Number of critic steps per generator step [default: the preset's]
    #[arg(long)]
    critic_steps: Option<u64>,
    /// Number of real samples, and of generated samples, per critic step [default: the preset's]
    #[arg(long)]
    critic_batch: Option<usize>,
    /// Number of generated samples per generator step [default: the preset's]
    #[arg(long)]
    generator_batch: Option<usize>,
    /// Highest learning rate of the critic [default: the preset's]
    #[arg(long)]
    critic_learning_rate: Option<f32>,
    /// Highest learning rate of the generator [default: the preset's]
    #[arg(long)]
    generator_learning_rate: Option<f32>,
    /// How both learning rates decay [default: the preset's]
    #[arg(long, value_parser = named::<Decay>(&["constant", "linear", "cosine"]))]
    decay: Option<Decay>,
    /// Decay of the moving average of the generator; 0 for none [default: the preset's]
    #[arg(long)]
    average: Option<f32>,
    /// Number of latents of the generator [default: the preset's]
    #[arg(long)]
    latent: Option<usize>,
    /// Width of the hidden layers; channels after the critic's first convolution [default: the preset's]
    #[arg(long)]
    width: Option<usize>,
    /// Number of hidden layers of an MLP [default: the preset's]
    #[arg(long)]
    layers: Option<usize>,
    /// The critic's activation [default: the preset's]
    #[arg(long, value_parser = named::<Activation>(ACTIVATIONS))]
    critic_activation: Option<Activation>,
    /// The norm of the critic's hidden layers [default: none]
    #[arg(long, value_parser = named::<NormKind>(&["none", "batch", "layer"]))]
    critic_norm: Option<NormKind>,
    /// The norm of the generator's hidden layers [default: the preset's]
    #[arg(long, value_parser = named::<NormKind>(&["none", "batch", "layer"]))]
    generator_norm: Option<NormKind>,
    /// Standard deviation of the initial weights [default: the preset's initialisation]
    #[arg(long, value_parser = positive)]
    initial_std: Option<f32>,
    /// Seed of all random choices.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of generated samples per validation [default: the preset's]
    #[arg(long)]
    samples: Option<usize>,
    /// Generator steps between validations and checkpoints.
    #[arg(long, default_value_t = 500)]
    validate_every: u64,
}

#[derive(Args)]
struct SampleArgs {
    /// The folder of a run.
    #[arg(long)]
    model: PathBuf,
    /// The file to write: .png for images, .safetensors for their pixels (`images`, `[count, channels, height, width]`, bytes), .csv for points.
    #[arg(long, short)]
    out: PathBuf,
    /// Number of samples.
    #[arg(long, default_value_t = 64)]
    count: usize,
    /// Number of images per row of the grid.
    #[arg(long, default_value_t = 8)]
    columns: usize,
    /// Seed of the samples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The training data, if the files have moved.
    #[arg(long)]
    data: Option<String>,
}

#[derive(Args)]
struct EvalArgs {
    /// Folders of runs.
    #[arg(long, required = true, num_args = 1..)]
    model: Vec<PathBuf>,
    /// Number of samples of each run.
    #[arg(long, default_value_t = 10_000)]
    samples: usize,
    /// Seed of the samples and of the points where slopes are measured.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The training data, if the files have moved.
    #[arg(long)]
    data: Option<String>,
    /// Compare samples with the data on the features of this classifier of the same images, a run of `kexue penalty train`: FID, KID, precision and recall.
    /// These figures compare models of one data set. They are not the published ones, which use Inception's features.
    #[arg(long)]
    classifier: Option<PathBuf>,
    /// Print JSON, one line per run.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct CompareArgs {
    /// Features of generated images, `[samples, features]`: the only tensor of a .safetensors file, or a .csv file without a header, one sample per line.
    #[arg(long)]
    generated: PathBuf,
    /// Features of real images, from the same network.
    #[arg(long)]
    real: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: GanArgs) -> Result<ExitCode> {
    match args.verb {
        Verb::Train(args) => run_train(&args),
        Verb::Sample(args) => run_sample(&args),
        Verb::Eval(args) => run_eval(&args),
        Verb::Compare(args) => run_compare(&args),
    }
}

impl TrainArgs {
    fn normalizer(&self, preset: Preset) -> NormalizerSettings {
        let penalty = |one_sided| NormalizerSettings::GradientPenalty {
            weight: self.penalty_weight.unwrap_or(preset.penalty_weight()),
            one_sided,
        };
        match self.normalizer.as_str() {
            "clip" => NormalizerSettings::Clip { bound: self.clip },
            "gp" => penalty(false),
            "gp-one-sided" => penalty(true),
            "sn" => NormalizerSettings::Spectral {},
            "gn" => NormalizerSettings::Gradient {},
            "gran" => NormalizerSettings::Gran { epsilon: self.epsilon },
            "scaled" => NormalizerSettings::Scaled { epsilon: self.epsilon },
            "direction" => NormalizerSettings::Direction {},
            _ => NormalizerSettings::None {},
        }
    }

    /// The configuration: that of another run, overridden by the flags, or that of the flags.
    fn config(&self, base: Option<&GanConfig>, data: &str, space: Space) -> Result<GanConfig> {
        let flags = self.config_of_flags(data, space);
        Ok(match base {
            Some(base) => overridden(base, &flags, SETTINGS, &["version", "data"])?,
            None => flags,
        })
    }

    fn config_of_flags(&self, data: &str, space: Space) -> GanConfig {
        let preset = self.preset.unwrap_or(match space {
            Space::Points(_) => Preset::Mlp,
            Space::Images(_) => Preset::Cnn,
        });
        let (mut model, mut gan) = (preset.model(), preset.gan());
        gan.data = data.to_owned();
        gan.normalizer = self.normalizer(preset);
        set(&mut gan.loss, self.loss);
        set(&mut gan.critic_steps, self.critic_steps);
        set(&mut gan.critic_batch, self.critic_batch);
        set(&mut gan.generator_batch, self.generator_batch);
        set(&mut gan.critic_learning_rate, self.critic_learning_rate);
        set(&mut gan.generator_learning_rate, self.generator_learning_rate);
        set(&mut gan.decay, self.decay);
        set(&mut gan.average, self.average);
        set(&mut gan.samples, self.samples);
        set(&mut model.latent, self.latent);
        set(&mut model.width, self.width);
        set(&mut model.layers, self.layers);
        set(&mut model.critic_activation, self.critic_activation);
        set(&mut model.critic_norm, self.critic_norm);
        set(&mut model.generator_norm, self.generator_norm);
        set(
            &mut model.initial,
            self.initial_std.map(|std| Distribution::Normal { std }),
        );
        let train = gan.train(self.seed, self.steps.unwrap_or(preset.steps()), self.validate_every);
        GanConfig {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model,
            train,
            gan,
        }
    }
}

fn set<T>(setting: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *setting = value;
    }
}

/// Flags whose settings have a different name.
const SETTINGS: &[(&str, &str)] = &[
    ("normalizer", "normalizer"),
    ("clip", "normalizer"),
    ("penalty_weight", "normalizer"),
    ("epsilon", "normalizer"),
    ("initial_std", "initial"),
    ("critic_learning_rate", "learning_rate"),
    ("preset", "model"),
    ("preset", "gan"),
    ("preset", "train"),
];

fn run_train(args: &TrainArgs) -> Result<ExitCode> {
    let base: Option<GanConfig> = args.config.as_deref().map(read_config).transpose()?;
    let place = args.data.as_ref().or(base.as_ref().map(|base| &base.gan.data));
    let place = place.ok_or_else(|| Usage("--data: is needed".to_owned()))?;
    let data = Data::open(place)?;
    let config = args.config(base.as_ref(), place, data.space())?;
    config.validate()?;
    config.train.validate()?;
    check_space(&config.model, data.space())?;
    check_memory(
        least_memory(&config, data.space()),
        "--critic-batch, --generator-batch, --width, --layers or --samples",
    )?;
    let task = GanTask::new(&config, &data);
    match data.space() {
        Space::Points(size) => note!("{} points with {size} coordinates", data.len()),
        Space::Images(shape) => note!("{} images of {shape} (channels×height×width)", data.len()),
    }
    if config.gan.normalizer.build().needs_gradient() {
        note!(
            "{}",
            match task.formula() {
                GeneratorFormula::FirstOrder => {
                    "the generator's step is first order: this critic is piecewise linear, so the norm of its gradient is constant between the kinks"
                }
                GeneratorFormula::Exact =>
                    "the generator's step differentiates the norm of the gradient: this critic is not piecewise linear",
            }
        );
    }
    let model = task.model();
    let description = prepare(&args.out, &config, &[])?;
    let interrupt = Interrupt::install();
    let groups = config.gan.groups();
    let trainer = Trainer::new(&task, model, &config.train, &groups, &args.out, &description)?;
    let outcome = trainer.run(interrupt.flag())?;
    if outcome.interrupted {
        note!(
            "interrupted after {} steps of both players and saved; the same command goes on from there",
            outcome.steps
        );
        return Ok(ExitCode::from(130));
    }
    let last = outcome.records.iter().rev();
    let value = |name: &str| last.clone().find_map(|record| record.values.get(name)).copied();
    let mut said = Vec::new();
    if let (Some(toy), Some(covered), Some(good)) = (data.toy(), value("modes_covered"), value("good_samples")) {
        said.push(format!(
            "{covered} of {} modes, {:.1} % good samples",
            toy.modes().len(),
            100.0 * good
        ));
    }
    said.extend(value("slope.largest_of_pairs").map(|slope| format!("largest slope of the critic {slope:.3}")));
    print(&format!(
        "{}; {}\n",
        said.join("; "),
        args.out.join("report.html").display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn run_sample(args: &SampleArgs) -> Result<ExitCode> {
    if args.count == 0 || args.columns == 0 {
        return Err(Usage("--count and --columns must be 1 or more".to_owned()).into());
    }
    let trained = TrainedGan::open(&args.model, args.data.as_deref())?;
    let mut inputs = model_files(&args.model);
    inputs.push(args.data.as_ref().unwrap_or(&trained.config.gan.data).into());
    check_output(&args.out, inputs)?;
    match trained.data.space() {
        Space::Points(_) => check_format(&args.out, "points", &["csv"])?,
        Space::Images(_) => check_format(&args.out, "images", &["png", "safetensors"])?,
    }
    let samples = trained.model.sample(args.count, &mut generator(args.seed, 0, 0));
    let bytes = match trained.data.space() {
        Space::Images(shape) => {
            let images = images(shape, &samples);
            match args
                .out
                .extension()
                .is_some_and(|found| found.eq_ignore_ascii_case("safetensors"))
            {
                true => pixels_file(&images)?,
                false => grid_png(&images, args.columns)?,
            }
        }
        Space::Points(size) => {
            let lines = samples.chunks(size).map(|point| {
                let numbers: Vec<String> = point.iter().map(f32::to_string).collect();
                numbers.join(",") + "\n"
            });
            lines.collect::<String>().into_bytes()
        }
    };
    write_file(&args.out, &bytes)?;
    Ok(ExitCode::SUCCESS)
}

fn run_compare(args: &CompareArgs) -> Result<ExitCode> {
    let [generated, real] = [&args.generated, &args.real].map(|path| read_features(path));
    let (generated, real) = (generated?, real?);
    if generated.size() != real.size() {
        return Err(Usage(format!(
            "{} has {} features of each sample, but {} has {}: both must come from the same network",
            args.generated.display(),
            generated.size(),
            args.real.display(),
            real.size()
        ))
        .into());
    }
    let quality = quality(&real, &generated)?;
    match args.json {
        true => print_json(&quality)?,
        false => print(&quality.to_text())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn run_eval(args: &EvalArgs) -> Result<ExitCode> {
    if args.samples < 2 {
        return Err(Usage("--samples must be 2 or more".to_owned()).into());
    }
    for folder in &args.model {
        let trained = TrainedGan::open(folder, args.data.as_deref())?;
        let size = trained.data.space().size();
        let classifier = args
            .classifier
            .as_deref()
            .map(|folder| TrainedClassifier::open(folder, size))
            .transpose()?;
        // Classifiers read pixels within 0 and 1.
        let features = |samples: &[f32]| {
            let inputs: Vec<f32> = samples.iter().map(|value| (value + 1.0) / 2.0).collect();
            classifier
                .as_ref()
                .map_or((Vec::new(), 1), |classifier| classifier.features(&inputs))
        };
        let featurizer = classifier.is_some().then_some(&features as Featurizer<'_>);
        let evaluation: Evaluation = evaluate(&trained, args.samples, args.seed, featurizer)?;
        if args.json {
            let mut line = serde_json::to_value(&evaluation)?;
            line["model"] = folder.display().to_string().into();
            print_json(&line)?;
        } else {
            print(&format!("{}\n{}", folder.display(), evaluation.to_text()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
