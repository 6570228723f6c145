//! `kexue mlm`: masked language models and their accuracy by length.

use crate::device_flags::DeviceFlags;
use crate::model_flags::{BATCH_SIZES, ModelFlags, check_memory, check_model, fresh_model, named, start_from};
use crate::output::{Interrupt, Usage, note, print, print_json};
use crate::texts::{open_vocabulary, read_corpus};
use crate::training_flags::TrainingFlags;
use anyhow::Result;
use clap::{Args, Subcommand};
use kexue_lm::{Comparison, MlmConfig, MlmSettings, MlmTask, TrainedMlm, evaluate};
use kexue_nn::{AttentionScale, Head, Mask, Positions, Precision, Pretrained, TransformerConfig};
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
struct TrainArgs {
    /// Text files, plain, .gz or .zst. A line `== name ==` starts a document.
    #[arg(long, required = true, num_args = 1..)]
    texts: Vec<PathBuf>,
    /// The folder of the run. An interrupted run in it is resumed.
    #[arg(long)]
    out: PathBuf,
    /// A vocabulary written by `kexue vocab`. By default, the characters of the texts are counted.
    #[arg(long)]
    vocab: Option<PathBuf>,
    /// Maximum number of characters in a counted vocabulary. The others are encoded as bytes.
    #[arg(long, default_value_t = 8000)]
    max_characters: usize,
    /// Tokens of a sequence.
    #[arg(long, default_value_t = 128)]
    length: usize,
    /// Leave a random number of tokens, up to GAP, out of the middle of each training sequence. The others keep their positions, so distances up to
    /// length + gap − 1 are trained, while a token sees at most --length keys.
    #[arg(long, default_value_t = 0)]
    gap: usize,
    /// Probability that a token is to be predicted.
    #[arg(long, default_value_t = 0.15)]
    mask_rate: f64,
    /// Mask whole words. A word is a run of ASCII letters and digits, or one other character.
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    whole_words: bool,
    /// Keep one document in HOLD_OUT out of the training, for validation.
    #[arg(long, default_value_t = 20)]
    hold_out: usize,
    /// Number of held-out tokens used at each validation.
    #[arg(long, default_value_t = 20_000)]
    validate_on: usize,
    /// The layers between the last hidden state and the tied softmax.
    #[arg(long, value_parser = named::<Head>(&["none", "bias", "dense-norm"]), default_value = "dense-norm")]
    head: Head,
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
struct ExportArgs {
    /// The folder of a run.
    #[arg(long)]
    model: PathBuf,
    /// The folder to write config.json, model.safetensors and tokenizer.json to.
    #[arg(long)]
    out: PathBuf,
    /// Write 16-bit weights: half the size, three significant digits.
    #[arg(long)]
    half: bool,
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
    Pretrained::new(saved.model).save(&args.out, precision)?;
    match tokenizer {
        Tokenizer::Vocabulary(vocabulary) => PretrainedTokenizer::try_from(&vocabulary)?.save(&args.out)?,
        Tokenizer::Pretrained(encoder) => encoder.tokenizer().save(&args.out)?,
    }
    print(&format!("{}\n", args.out.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn run_train(args: &TrainArgs) -> Result<ExitCode> {
    let settings = MlmSettings {
        length: args.length,
        gap: args.gap,
        masking: Masking {
            rate: args.mask_rate,
            whole_words: args.whole_words,
            ..Masking::default()
        },
        hold_out: args.hold_out,
        validate_on: args.validate_on,
    };
    settings.validate()?;
    args.model.check()?;
    args.device.check()?;
    check_free(&args.out)?;
    let start = args.start.as_deref().map(SavedModel::open).transpose()?;
    let tokens = match &start {
        Some(start) if start.has_pretrained_tokens() => {
            if args.vocab.is_some() {
                let problem = "--vocab cannot be used with this --start, whose tokenizer defines the tokens";
                return Err(Usage(problem.to_owned()).into());
            }
            start.tokenizer()?
        }
        _ => open_vocabulary(args.vocab.as_deref(), &args.texts, args.max_characters)?.into(),
    };
    let model = match &start {
        // Settings without a flag are taken from there.
        Some(start) if start.has_pretrained_tokens() => {
            let config = start.model.config().clone();
            let head = match config.head {
                Head::None => args.head,
                head => head,
            };
            args.model.over(TransformerConfig { head, ..config })
        }
        _ => args.model.config(tokens.len(), args.head),
    };
    if let Some(most) = model.longest_sequence().filter(|most| args.length + args.gap > *most) {
        let problem = format!(
            "--length {} plus --gap {} exceed the model's {most} positions",
            args.length, args.gap
        );
        return Err(Usage(problem).into());
    }
    let config = MlmConfig {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        texts: args.texts.iter().map(|path| path.display().to_string()).collect(),
        start: args.start.as_ref().map(|folder| folder.display().to_string()),
        model,
        train: args.training.settings()?,
        mlm: settings.clone(),
    };
    config.train.validate()?;
    check_model(&config.model)?;
    let (training, held_out) = read_corpus(&args.texts, &tokens, args.hold_out)?;
    note!(
        "{} tokens in {} documents to train on, {} in {} held out; a vocabulary of {} tokens",
        training.len(),
        training.documents(),
        held_out.len(),
        held_out.documents(),
        tokens.len()
    );
    if args.validate_on == 0 || held_out.stretches(args.length - 2, 1).is_empty() {
        note!("no validation: {}", why_unmeasured(args, &held_out));
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
    let task = MlmTask::new(settings, tokens.special_tokens(), &training, &held_out)?;
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
            why_unmeasured(args, &held_out),
            outcome.steps
        ),
    };
    print(&format!("{best}; {}\n", args.out.join("report.html").display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Why nothing was validated.
fn why_unmeasured(args: &TrainArgs, held_out: &Corpus) -> String {
    match (args.hold_out, args.validate_on, args.length) {
        (0, ..) => "--hold-out 0 holds nothing out".to_owned(),
        (_, 0, _) => "--validate-on 0 reads no held-out tokens".to_owned(),
        _ if held_out.is_empty() => "the texts are too short to hold anything out".to_owned(),
        (.., length) => format!("no held-out document is as long as a sequence, {length} tokens"),
    }
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
        check_output(report, &args.texts)?;
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
        comparison.to_page().write(path)?;
    }
    Ok(ExitCode::SUCCESS)
}
