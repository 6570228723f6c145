//! `kexue mlm`: masked language models and their accuracy by length.

use crate::device_flags::DeviceFlags;
use crate::model_flags::{
    BATCH_SIZES, ModelFlags, check_memory, check_model, fresh_model, named, shaped_like, start_from,
};
use crate::output::{Interrupt, Usage, check_page, model_files, note, print, print_json};
use crate::run_config::read_config;
use crate::setting_flags::refused;
use crate::sizes::Size;
use crate::texts::{open_vocabulary, read_corpus};
use crate::training_flags::TrainingFlags;
use anyhow::Result;
use clap::{Args, Subcommand};
use kexue_lm::{Comparison, MlmConfig, MlmSettings, MlmTask, TrainedMlm, evaluate};
use kexue_nn::{AttentionScale, Head, Mask, Positions, Precision, Pretrained, PretrainedError, TransformerConfig};
use kexue_output::check_output;
use kexue_text::{Corpus, Masking, PretrainedTokenizer, TextEncoder, Tokenizer};
use kexue_train::{SavedModel, TrainError, check_free, least_memory, prepare, tokenizer_file, train_on};
use std::path::PathBuf;
use std::process::ExitCode;

/// Train masked language models, and measure them by length.
#[derive(Args)]
pub struct MlmArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Train a model on texts, or resume an interrupted training.
    Train(Box<TrainArgs>),
    /// Measure accuracy and attention entropy at several lengths. Runs that differ only in their seed form one row.
    Eval(EvalArgs),
    /// Write the model of a run as a Hugging Face folder, which `transformers` loads.
    Export(ExportArgs),
}

#[derive(Args)]
#[command(after_help = "Example:\n  kexue mlm train --texts novels.txt -o runs/lm")]
struct TrainArgs {
    /// Text files, plain, .gz or .zst. A line `== name ==` starts a document.
    #[arg(long, required_unless_present = "config", num_args = 1..)]
    texts: Vec<PathBuf>,
    /// The folder of the run. An interrupted run in it is resumed.
    #[arg(long, short)]
    out: PathBuf,
    /// Take the settings of another run, from its config.toml. Other flags override them.
    #[arg(long)]
    config: Option<PathBuf>,
    /// A vocabulary written by `kexue vocab`. By default, the characters of the texts are counted.
    #[arg(long)]
    vocab: Option<PathBuf>,
    /// Maximum number of characters in a counted vocabulary. The others are encoded as bytes.
    #[arg(long, default_value_t = 8000)]
    max_characters: usize,
    /// Tokens of a sequence [default: 128]
    #[arg(long)]
    length: Option<usize>,
    /// Leave a random number of tokens, up to GAP, out of the middle of each training sequence [default: 0]. The others keep their positions, so
    /// distances up to length + gap − 1 are trained, while a token sees at most --length keys.
    #[arg(long)]
    gap: Option<usize>,
    /// Probability that a token is to be predicted [default: 0.15]
    #[arg(long)]
    mask_rate: Option<f64>,
    /// Mask whole words [default: true]. A word is a run of ASCII letters and digits, or one other character.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    whole_words: Option<bool>,
    /// Keep one document in HOLD_OUT out of the training, for validation [default: 20]
    #[arg(long)]
    hold_out: Option<usize>,
    /// Number of held-out tokens used at each validation [default: 20000]
    #[arg(long)]
    validate_on: Option<usize>,
    /// The layers between the last hidden state and the tied softmax [default: dense-norm]
    #[arg(long, value_parser = named::<Head>(&["none", "bias", "dense-norm"]))]
    head: Option<Head>,
    /// Start from the weights of another run with the same vocabulary and shape, or of a Hugging Face model (BERT or RoFormer), whose tokenizer
    /// and shape are then used.
    #[arg(long)]
    start: Option<PathBuf>,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    training: TrainingFlags,
    #[command(flatten)]
    device: DeviceFlags,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  kexue mlm eval --model runs/lm --texts novels.txt --lengths 64,512 --report lengths.html"
)]
struct EvalArgs {
    /// Folders of runs.
    #[arg(long, required = true, num_args = 1..)]
    model: Vec<PathBuf>,
    /// Text files, plain, .gz or .zst. Only the documents that each model's training would hold out are read. Of its own training files, these are
    /// documents that the model has not seen.
    #[arg(long, required = true, num_args = 1..)]
    texts: Vec<PathBuf>,
    /// Sequence lengths to measure, in tokens.
    #[arg(long, value_delimiter = ',', default_value = "64,128,256,512,1024")]
    lengths: Vec<usize>,
    /// Tokens to read at each length.
    #[arg(long, default_value_t = 200_000)]
    tokens: usize,
    /// Limit attention to tokens less than WINDOW tokens away, at every length.
    #[arg(long)]
    window: Option<usize>,
    /// Treat rotary distances above MAX_DISTANCE as MAX_DISTANCE (ReRoPE), so that no distance is longer than in training.
    #[arg(long)]
    max_distance: Option<usize>,
    /// Read all documents, not only the held-out ones.
    #[arg(long)]
    all_documents: bool,
    /// Write an HTML page with curves and tables to this file.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(after_help = "Examples:
  kexue mlm train --texts novels.txt --norm post -o runs/lm   # the placement that `transformers` has
  kexue mlm export --model runs/lm -o huggingface/lm")]
struct ExportArgs {
    /// The folder of a run.
    #[arg(long)]
    model: PathBuf,
    /// The folder to write config.json, model.safetensors and tokenizer.json to.
    #[arg(long, short)]
    out: PathBuf,
    /// Write 16-bit weights: half the size, three significant digits.
    #[arg(long)]
    half: bool,
}

impl TrainArgs {
    /// Overrides settings of `base` with the flags that were given.
    fn settings(&self, base: MlmSettings) -> MlmSettings {
        MlmSettings {
            length: self.length.unwrap_or(base.length),
            gap: self.gap.unwrap_or(base.gap),
            masking: Masking {
                rate: self.mask_rate.unwrap_or(base.masking.rate),
                whole_words: self.whole_words.unwrap_or(base.masking.whole_words),
                ..base.masking
            },
            hold_out: self.hold_out.unwrap_or(base.hold_out),
            validate_on: self.validate_on.unwrap_or(base.validate_on),
        }
    }
}

/// Runs the command.
pub fn run(args: MlmArgs) -> Result<ExitCode> {
    match args.verb {
        Verb::Train(args) => run_train(&args),
        Verb::Eval(args) => run_eval(&args),
        Verb::Export(args) => run_export(&args),
    }
}

fn run_export(args: &ExportArgs) -> Result<ExitCode> {
    let saved = SavedModel::open(&args.model)?;
    let tokenizer = saved.tokenizer()?;
    let precision = if args.half { Precision::Half } else { Precision::Single };
    if let Some(name) = ["config.json", "config.toml"]
        .into_iter()
        .find(|name| args.out.join(name).exists())
    {
        let problem = "is already there; name a folder without a model";
        return Err(TrainError::file(args.out.join(name), problem).into());
    }
    let exported = Pretrained::new(saved.model).save(&args.out, precision);
    exported.map_err(|error| match error {
        PretrainedError::Config { field, problem, .. } => {
            let problem = format!("{problem}; train with {}", exportable(&field));
            anyhow::Error::from(TrainError::file(&args.model, problem))
        }
        error => error.into(),
    })?;
    match tokenizer {
        Tokenizer::Vocabulary(vocabulary) => PretrainedTokenizer::try_from(&vocabulary)?.save(&args.out)?,
        Tokenizer::Pretrained(encoder) => encoder.tokenizer().save(&args.out)?,
    }
    print(&format!("{}\n", args.out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The flags that set a field as `transformers` has it.
fn exportable(field: &str) -> &str {
    match field {
        "norm_placement" => "--norm post",
        "norm" => "--norm-kind layer-norm",
        "attention_scale" => "--attention-scale ordinary and an --init other than t5",
        "head" => "--head dense-norm or --head none",
        "gate" => "an --init other than rezero, skipinit and fixup",
        "logit_scale" => "an --init other than t5",
        "parametrization" => "an --init other than ntk",
        other => other,
    }
}

fn run_train(args: &TrainArgs) -> Result<ExitCode> {
    let base: Option<MlmConfig> = args.config.as_deref().map(read_config).transpose()?;
    let settings = args.settings(base.as_ref().map_or_else(MlmSettings::default, |base| base.mlm.clone()));
    settings.validate().map_err(|error| match error {
        TrainError::Setting { field: "rate", problem } => refused("mask_rate", &problem).into(),
        error => anyhow::Error::from(error),
    })?;
    args.model.check()?;
    args.device.check()?;
    check_free(&args.out)?;
    let texts: Vec<PathBuf> = match (&base, args.texts.is_empty()) {
        (Some(base), true) => base.texts.iter().map(PathBuf::from).collect(),
        _ => args.texts.clone(),
    };
    let of_base = base.as_ref().and_then(|base| base.start.as_ref()).map(PathBuf::from);
    let start_folder = args.start.clone().or(of_base);
    let start = start_folder.as_deref().map(SavedModel::open).transpose()?;
    let tokens = match &start {
        Some(start) if start.has_pretrained_tokens() => {
            if args.vocab.is_some() {
                let problem = "--vocab cannot be used with this --start, whose tokenizer defines the tokens";
                return Err(Usage(problem.to_owned()).into());
            }
            start.tokenizer()?
        }
        _ => open_vocabulary(args.vocab.as_deref(), &texts, args.max_characters)?.into(),
    };
    let (training, held_out) = read_corpus(&texts, &tokens, settings.hold_out)?;
    let size = match &start {
        None => Size::of_text(training.len()),
        // The model has the shape of its start, however short the text.
        Some(_) => Size::Full,
    };
    let head = args.head.unwrap_or(Head::DenseNorm);
    let model = match (&base, &start) {
        (Some(base), _) => TransformerConfig {
            vocab_size: tokens.len(),
            head: args.head.unwrap_or(base.model.head),
            ..base.model.clone()
        },
        // Settings without a flag are taken from there.
        (None, Some(start)) if start.has_pretrained_tokens() => {
            let config = start.model.config().clone();
            let head = match config.head {
                Head::None => head,
                head => head,
            };
            TransformerConfig { head, ..config }
        }
        (None, Some(start)) => shaped_like(start.model.config(), size.model(tokens.len(), head)),
        (None, None) => size.model(tokens.len(), head),
    };
    let model = args.model.over(model);
    if let Some(most) = model
        .longest_sequence()
        .filter(|most| settings.length + settings.gap > *most)
    {
        let problem = format!(
            "--length {} plus --gap {} exceed the model's {most} positions",
            settings.length, settings.gap
        );
        return Err(Usage(problem).into());
    }
    let usual = || size.training();
    let config = MlmConfig {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        texts: texts.iter().map(|path| path.display().to_string()).collect(),
        start: start_folder.as_ref().map(|folder| folder.display().to_string()),
        model,
        train: args.training.over(base.map_or_else(usual, |base| base.train))?,
        mlm: settings.clone(),
    };
    config.train.validate()?;
    check_model(&config.model)?;
    note!(
        "{} tokens in {} documents to train on, {} in {} held out; a vocabulary of {} tokens",
        training.len(),
        training.documents(),
        held_out.len(),
        held_out.documents(),
        tokens.len()
    );
    if settings.validate_on == 0 || held_out.stretches(settings.length - 2, 1).is_empty() {
        note!("no validation: {}", why_unmeasured(&settings, &held_out));
    }
    if config.train.warmup >= config.train.steps {
        note!(
            "--warmup {} is not shorter than --steps {}: the learning rate will not reach --learning-rate",
            config.train.warmup,
            config.train.steps
        );
    }
    // No sequence is longer than its document.
    let length = settings.length.min(training.longest_document() + 2);
    check_memory(
        least_memory(&config.model, config.train.batch_size, length),
        BATCH_SIZES,
    )?;
    let task = MlmTask::new(settings.clone(), tokens.special_tokens(), &training, &held_out)?;
    let mut model = fresh_model(&config.model, config.train.seed)?;
    if let Some(start) = &start {
        start_from(&mut model, start, &tokens)?;
    }
    args.training.check(&config.train, model.layout().slots())?;
    let accelerator = args.device.accelerator(&model, &config.train)?;
    let description = prepare(&args.out, &config, &[tokenizer_file(&tokens)])?;
    let interrupt = Interrupt::install();
    let outcome = train_on(
        accelerator,
        &task,
        model,
        &config.train,
        &args.out,
        &description,
        interrupt.flag(),
    )?;
    if outcome.interrupted {
        note!(
            "interrupted after {} steps and saved; run the same command to continue",
            outcome.steps
        );
        return Ok(ExitCode::from(130));
    }
    if !kexue_train::is_first() {
        return Ok(ExitCode::SUCCESS);
    }
    let best = match outcome.best {
        Some((accuracy, step)) => format!("best accuracy {accuracy:.2} % at step {step} of {}", outcome.steps),
        None => format!(
            "{}: the weights of step {} are kept",
            why_unmeasured(&settings, &held_out),
            outcome.steps
        ),
    };
    print(&format!("{best}; {}\n", args.out.join("report.html").display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Why nothing was validated.
fn why_unmeasured(settings: &MlmSettings, held_out: &Corpus) -> String {
    match (settings.hold_out, settings.validate_on, settings.length) {
        (0, ..) => "--hold-out 0 holds nothing out".to_owned(),
        (_, 0, _) => "--validate-on 0 reads no held-out tokens".to_owned(),
        _ if held_out.is_empty() => "the texts are too short to hold anything out".to_owned(),
        (.., length) => format!("no held-out document is as long as a sequence, {length} tokens"),
    }
}

/// The title of the page of an evaluation.
fn title(args: &EvalArgs) -> String {
    let names: Vec<String> = args.model.iter().map(|folder| folder.display().to_string()).collect();
    format!("Accuracy and attention entropy by length: {}", names.join(", "))
}

fn run_eval(args: &EvalArgs) -> Result<ExitCode> {
    let longest = args.lengths.iter().copied().max().unwrap_or(0);
    if args.window == Some(0) {
        return Err(Usage("--window must be 1 or more: the token itself".to_owned()).into());
    }
    if args.lengths.iter().any(|&length| length < 3) {
        return Err(Usage("--lengths must be 3 or more: [CLS], a token, [SEP]".to_owned()).into());
    }
    if args.tokens == 0 {
        return Err(Usage("--tokens must be 1 or more".to_owned()).into());
    }
    // Checked before the work starts.
    if let Some(report) = &args.report {
        check_page(report, &title(args))?;
        let models = args.model.iter().flat_map(|folder| model_files(folder));
        check_output(report, args.texts.iter().cloned().chain(models))?;
    }
    let mask = Mask::BIDIRECTIONAL
        .within(args.window.unwrap_or(usize::MAX))
        .with_max_distance(args.max_distance.unwrap_or(usize::MAX));
    let mut comparison = Comparison::new(args.lengths.clone());
    for (index, folder) in args.model.iter().enumerate() {
        if args.model[..index].contains(folder) {
            return Err(Usage(format!("--model {} is given twice", folder.display())).into());
        }
        let run = TrainedMlm::open(folder)?;
        if let Some(most) = run.config.model.longest_sequence().filter(|most| longest > *most) {
            let problem = format!(
                "--lengths {longest} exceeds the {most} positions of {}",
                folder.display()
            );
            return Err(Usage(problem).into());
        }
        if args.max_distance.is_some() && run.config.model.positions != Positions::Rotary {
            let problem = format!(
                "--max-distance applies to rotary positions, but {} has learned positions",
                folder.display()
            );
            return Err(Usage(problem).into());
        }
        let mlm = &run.config.mlm;
        let hold_out = if args.all_documents { 1 } else { mlm.hold_out };
        let held_out = read_corpus(&args.texts, &run.vocabulary, hold_out)?.1;
        let stretches = held_out.stretches(longest - 2, args.tokens.div_ceil(longest));
        if stretches.is_empty() {
            let problem = format!(
                "{} held-out documents (or ends of documents), none of {longest} tokens",
                held_out.documents()
            );
            return Err(Usage(format!(
                "{problem}: give longer texts, shorter --lengths, or --all-documents"
            ))
            .into());
        }
        let one = least_memory(&run.config.model, 1, longest) - least_memory(&run.config.model, 0, 0);
        check_memory(one, "--lengths")?;
        let special = run.vocabulary.special_tokens();
        let trained = run.config.model.attention_scale;
        let mut scales = vec![trained];
        if trained == AttentionScale::Ordinary {
            scales.push(AttentionScale::InferenceClip {
                trained_length: mlm.length,
            });
        }
        for scale in scales {
            let problem = |error| TrainError::file(folder.join("config.toml"), error);
            let model = run.model.clone().with_attention_scale(scale).map_err(problem)?;
            let scores = args
                .lengths
                .iter()
                .map(|&length| evaluate(&model, &stretches, length, mask, &mlm.masking, &special, 0))
                .collect();
            comparison.add(&run.config, &folder.display().to_string(), scale, scores)?;
        }
        note!("{}: {} sequences of {longest}", folder.display(), stretches.len());
    }
    if args.json {
        print_json(&comparison.to_json())?;
    } else {
        print(&comparison.to_text())?;
    }
    if let Some(path) = &args.report {
        comparison.to_page(&title(args)).write(path)?;
    }
    Ok(ExitCode::SUCCESS)
}
