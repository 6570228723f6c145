//! `kexue probe`: predict how a Transformer's initialisation, norms and optimiser will affect its training.

use crate::given_flags::given_but;
use crate::model_flags::{BATCH_SIZES, ModelFlags, PLACEMENTS, check_memory, check_model, named};
use crate::output::{Interrupt, Usage, check_page, model_files, note, print, print_json};
use crate::setting_flags::{flag_of, refused};
use crate::texts::{open_vocabulary, read_corpus};
use anyhow::Result;
use clap::Args;
use kexue_nn::{ConfigError, Head, Model, NormPlacement, Token, TransformerConfig};
use kexue_output::check_output;
use kexue_probe::{
    Architecture, Change, Data, Objective, OptimizerKind, OptimizerSettings, Preset, ProbeError, ProbeSettings, Source,
    probe,
};
use kexue_text::{Corpus, SpecialTokens, TextEncoder};
use kexue_train::{SavedModel, TrainError, least_memory};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measure a model before its first step and during training, sub-layer by sub-layer, and draw conclusions.
#[derive(Args)]
#[command(after_help = "Examples:
  kexue probe --preset bert --texts novels.txt
  kexue probe --preset roformer --layers 12 --d-model 64 --heads 2 --texts novels.txt --steps 300 --seeds 3 --compare pre,deep-norm
  kexue probe --config mine.toml --out mine.html
  kexue probe --model runs/mlm --texts novels.txt --json")]
#[command(mut_arg("d_model", |arg| arg.help("Width of the residual stream [default: as in the preset or file, or 256]")))]
#[command(mut_arg("layers", |arg| arg.help("Number of blocks [default: as in the preset or file, or 4]")))]
#[command(mut_arg("heads", |arg| arg.help("Number of attention heads [default: as in the preset or file, or 4]")))]
pub struct ProbeArgs {
    /// A known architecture at its base size; the flags under Model change it.
    #[arg(long, value_parser = named::<Preset>(&["bert", "roformer", "gpt2", "deepnet", "t5"]))]
    preset: Option<Preset>,
    /// An architecture as a TOML file: [model], objective, [optimizer]; the flags change it.
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// The folder of a trained model: a run, or a Hugging Face model.
    #[arg(long = "model", conflicts_with_all = ["preset", "config"])]
    saved: Option<PathBuf>,
    /// Text files, `.gz` and `.zst` too [default: random tokens].
    #[arg(long, num_args = 1..)]
    texts: Vec<PathBuf>,
    /// A vocabulary written by `kexue vocab`. By default, the characters of the texts are counted.
    #[arg(long, requires = "texts", conflicts_with = "saved")]
    vocab: Option<PathBuf>,
    /// Maximum number of characters in a counted vocabulary. The others are encoded as bytes.
    #[arg(long, default_value_t = 8000)]
    max_characters: usize,
    /// Size of the vocabulary, without --texts.
    #[arg(long, default_value_t = 1000, conflicts_with_all = ["texts", "saved"])]
    vocab_size: usize,
    /// Sequences per batch.
    #[arg(long, default_value_t = 16)]
    batch_size: usize,
    /// Tokens per sequence.
    #[arg(long, default_value_t = 64)]
    length: usize,
    /// What to predict: masked tokens, or the next one [default: as in the preset].
    #[arg(long, value_parser = named::<Objective>(&["masked", "causal"]))]
    objective: Option<Objective>,
    /// The layers between the last hidden state and the tied softmax [default: as in the preset, or BERT's].
    #[arg(long, value_parser = named::<Head>(&["none", "bias", "dense-norm"]))]
    head: Option<Head>,
    /// The optimiser [default: adam].
    #[arg(long, value_parser = named::<OptimizerKind>(&["adam", "sgd", "lamb"]))]
    optimizer: Option<OptimizerKind>,
    /// The learning rate, after any warm-up [default: 0.001].
    #[arg(long, allow_negative_numbers = true)]
    learning_rate: Option<f32>,
    /// Number of warm-up steps, in the runs with warm-up [default: 100].
    #[arg(long)]
    warmup: Option<u64>,
    /// Decoupled weight decay, for matrices only [default: none].
    #[arg(long)]
    weight_decay: Option<f32>,
    /// Clip gradients to this norm; 0 for no clipping [default: 0].
    #[arg(long)]
    max_gradient_norm: Option<f32>,
    /// Number of training steps, with and without warm-up.
    #[arg(long, default_value_t = 0)]
    steps: u64,
    /// Number of snapshots of each training, which measure it sub-layer by sub-layer.
    #[arg(long, default_value_t = 25)]
    snapshots: u64,
    /// Also train with these placements, without warm-up; needs --steps.
    #[arg(long, value_delimiter = ',', value_parser = named::<NormPlacement>(PLACEMENTS))]
    compare: Vec<NormPlacement>,
    /// Number of seeds, for means and standard errors.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Scale the branches of fresh models so that each adds this multiple of the stream's variance (1e-12 to 1e12).
    #[arg(long, conflicts_with = "saved")]
    branch_variance: Option<f64>,
    /// The page to write [default: probe.html, or the next free name of probe-2.html, … if that shows another probe]
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Print all measurements as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelFlags,
}

/// The tokens: how many there are, which ones are special, and the encoder of texts, if there are any.
struct Tokens {
    size: usize,
    special: SpecialTokens,
    encoder: Option<Box<dyn TextEncoder>>,
}

impl Tokens {
    fn of(encoder: impl TextEncoder + 'static, size: usize) -> Self {
        Self {
            size,
            special: encoder.special_tokens(),
            encoder: Some(Box::new(encoder)),
        }
    }

    /// A vocabulary without texts: the special tokens come first.
    fn random(size: usize) -> Result<Self> {
        let end = Token::try_from(size).ok().filter(|&size| size > 4);
        let end = end.ok_or_else(|| Usage(format!("vocab_size: {size} is not within 5 and 4294967295")))?;
        let special = SpecialTokens {
            cls: 1,
            sep: 2,
            mask: 3,
            ordinary: 4..end,
        };
        Ok(Self {
            size,
            special,
            encoder: None,
        })
    }

    /// The tokens of a fresh model: those of the texts.
    fn fresh(args: &ProbeArgs) -> Result<Self> {
        if args.texts.is_empty() {
            return Self::random(args.vocab_size);
        }
        let vocabulary = open_vocabulary(args.vocab.as_deref(), &args.texts, args.max_characters)?;
        let size = vocabulary.len();
        Ok(Self::of(vocabulary, size))
    }

    /// Opens the folder of a run, or of a Hugging Face model. The latter's tokenizer is needed for texts only.
    fn saved(folder: &Path, texts: bool) -> Result<(Model, Self)> {
        let saved = SavedModel::open(folder)?;
        let size = saved.model.config().vocab_size;
        let tokens = match texts || !saved.has_pretrained_tokens() {
            true => Self::of(saved.tokenizer()?, size),
            false => Self::random(size)?,
        };
        Ok((saved.model, tokens))
    }

    /// Reads texts as these tokens.
    fn read(&self, texts: &[PathBuf]) -> Result<Corpus> {
        match &self.encoder {
            Some(encoder) => Ok(read_corpus(texts, &**encoder, 0)?.0),
            None => Ok(Corpus::default()),
        }
    }
}

/// Runs the command.
pub fn run(args: &ProbeArgs) -> Result<ExitCode> {
    // Checked before the work starts.
    let page = place_of_page(args)?;
    let model = args.saved.iter().flat_map(|folder| model_files(folder));
    let files = args.texts.iter().chain(&args.config).chain(&args.vocab);
    check_output(&page, files.cloned().chain(model))?;
    args.model.check()?;
    if args.steps == 0 && !args.compare.is_empty() {
        let problem =
            "--compare needs --steps: it trains with other placements; the table of alternatives needs neither";
        return Err(Usage(problem.to_owned()).into());
    }
    let (saved, tokens) = match &args.saved {
        Some(folder) => {
            let (model, tokens) = Tokens::saved(folder, !args.texts.is_empty())?;
            (Some(model), tokens)
        }
        None => (None, Tokens::fresh(args)?),
    };
    let corpus = tokens.read(&args.texts)?;
    let special = &tokens.special;
    let source = match corpus.is_empty() {
        true => Source::Random { special },
        false => Source::Text {
            corpus: &corpus,
            special,
        },
    };
    let architecture = architecture(args, saved.as_ref().map(Model::config), tokens.size)?;
    let settings = ProbeSettings {
        seed: args.seed,
        seeds: args.seeds,
        steps: args.steps,
        snapshots: args.snapshots,
        compare: args.compare.clone(),
        branch_variance: args.branch_variance,
    };
    // A saved model is already in memory.
    if saved.is_none() {
        check_model(&architecture.model)?;
    }
    // No sequence is longer than its document.
    let length = match corpus.longest_document() {
        0 => args.length,
        longest => args.length.min(longest + 2),
    };
    let data = Data::new(source, architecture.objective, args.batch_size, args.length).map_err(usage)?;
    check_memory(least_memory(&architecture.model, args.batch_size, length), BATCH_SIZES)?;
    let interrupt = Interrupt::install();
    if args.steps > 0 {
        note!("training; Ctrl-C stops it and keeps what was measured");
    }
    let mut result = probe(&architecture, saved.as_ref(), &data, &settings, interrupt.flag()).map_err(usage)?;
    result.name_settings(&flag);
    result.to_page(&title(args)).write(&page)?;
    match args.json {
        true => print_json(&result)?,
        false => print(&result.to_text())?,
    }
    note!("{}", page.display());
    if result.interrupted {
        note!("interrupted; the measurements so far are printed above and on the page");
        return Ok(ExitCode::from(130));
    }
    Ok(ExitCode::SUCCESS)
}

/// The preset, file, saved model or default, changed by the flags.
fn architecture(args: &ProbeArgs, saved: Option<&TransformerConfig>, vocab_size: usize) -> Result<Architecture> {
    let base = match (&args.config, args.preset, saved) {
        (Some(path), ..) => {
            let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
            let read = Architecture::from_toml(&text, vocab_size).map_err(|error| TrainError::file(path, error))?;
            read.validate().map_err(|error| TrainError::file(path, error))?;
            if read.model.vocab_size < vocab_size {
                let size = read.model.vocab_size;
                let what = match args.texts.is_empty() {
                    true => format!("random tokens: give --vocab-size {size}, or omit vocab_size"),
                    false => "tokens of the texts: increase it, or omit it".to_owned(),
                };
                let problem = format!("vocab_size: {size} is fewer than the {vocab_size} {what}");
                return Err(TrainError::file(path, problem).into());
            }
            read
        }
        (None, Some(preset), _) => preset.architecture(vocab_size),
        (None, None, saved) => Architecture {
            model: saved.cloned().unwrap_or_else(|| TransformerConfig {
                head: Head::DenseNorm,
                ..TransformerConfig::new(vocab_size)
            }),
            objective: Objective::Masked,
            optimizer: OptimizerSettings::default(),
        },
    };
    let model = args.model.over(TransformerConfig {
        head: args.head.unwrap_or(base.model.head),
        ..base.model.clone()
    });
    if saved.is_some() && model != base.model {
        return Err(Usage("a saved model cannot be changed: omit the flags under Model".to_owned()).into());
    }
    let optimizer = base.optimizer;
    let architecture = Architecture {
        model,
        objective: args.objective.unwrap_or(base.objective),
        optimizer: OptimizerSettings {
            kind: args.optimizer.unwrap_or(optimizer.kind),
            learning_rate: args.learning_rate.unwrap_or(optimizer.learning_rate),
            warmup: args.warmup.unwrap_or(optimizer.warmup),
            weight_decay: args.weight_decay.unwrap_or(optimizer.weight_decay),
            max_gradient_norm: args.max_gradient_norm.unwrap_or(optimizer.max_gradient_norm),
            ..optimizer
        },
    };
    architecture.validate().map_err(usage)?;
    Ok(architecture)
}

/// A change of a setting as a flag with its value.
fn flag(change: &Change) -> String {
    format!("{} {}", flag_of(change.setting), change.value.replace('_', "-"))
}

/// An error of the probe as a usage error, naming flags.
fn usage(error: ProbeError) -> Usage {
    match error {
        ProbeError::Model(ConfigError { field, problem })
        | ProbeError::Setting { field, problem }
        | ProbeError::Train(TrainError::Setting { field, problem }) => refused(field, &problem),
        other => Usage(other.to_string()),
    }
}

/// The page to write: the given one, or the first that does not hold another probe.
fn place_of_page(args: &ProbeArgs) -> Result<PathBuf> {
    let title = title(args);
    if let Some(out) = &args.out {
        check_page(out, &title)?;
        return Ok(out.clone());
    }
    let numbered = (2..100).map(|number| PathBuf::from(format!("probe-{number}.html")));
    let mut places = std::iter::once(PathBuf::from("probe.html")).chain(numbered);
    let free = places.find(|place| check_page(place, &title).is_ok());
    Ok(free.ok_or_else(|| Usage("this folder has a hundred probe pages; name another file with --out".to_owned()))?)
}

fn title(args: &ProbeArgs) -> String {
    let of = args.saved.as_ref().or(args.config.as_ref());
    let of = of.map(|path| path.display().to_string());
    let preset = args.preset.map(|preset| format!("{preset:?}"));
    let of = of.or(preset).unwrap_or_else(|| "a model".to_owned());
    let flags = given_but(&["preset", "saved", "config", "out", "json", "threads"]);
    match flags.is_empty() {
        true => format!("Probe of {of}"),
        false => format!("Probe of {of} ({})", flags.join(" ")),
    }
}
