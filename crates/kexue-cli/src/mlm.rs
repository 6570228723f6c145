//! `kexue mlm`: masked language models, and what they know at other lengths than they were trained at.

use crate::model_flags::{BATCH_SIZES, ModelFlags, check_memory, check_model, fresh_model, named};
use crate::output::{Interrupt, Usage, note, print, print_json};
use crate::texts::{open_vocabulary, read_corpus};
use crate::training_flags::TrainingFlags;
use anyhow::Result;
use clap::{Args, Subcommand};
use kexue_lm::{LengthScore, MlmConfig, MlmSettings, MlmTask, TrainedMlm, evaluate};
use kexue_nn::{AttentionScale, Head, Mask, Positions};
use kexue_output::check_output;
use kexue_text::{Corpus, Masking, TextEncoder};
use kexue_train::{Chart, Page, Series, TrainError, least_memory, prepare, settings, train, vocabulary_file};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Train masked language models, and measure them by length.
#[derive(Args)]
pub struct MlmArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Train a model on texts, or resume a training that was interrupted.
    Train(Box<TrainArgs>),
    /// Accuracy and attention entropy at several lengths; runs that differ in their seed alone are one row.
    Eval(EvalArgs),
}

#[derive(Args)]
struct TrainArgs {
    /// Text files, `.gz` and `.zst` too; a line `== name ==` starts a document.
    #[arg(long, required = true, num_args = 1..)]
    texts: Vec<PathBuf>,
    /// The folder of the run; a run that stands there is resumed.
    #[arg(long)]
    out: PathBuf,
    /// The vocabulary, as `kexue vocab` writes it; without it the characters of the texts are counted.
    #[arg(long)]
    vocab: Option<PathBuf>,
    /// The most characters of a counted vocabulary; the others are spelt in bytes.
    #[arg(long, default_value_t = 8000)]
    max_characters: usize,
    /// Tokens of a sequence.
    #[arg(long, default_value_t = 128)]
    length: usize,
    /// Leave a random number of tokens, up to this, out of the middle of each training sequence; the others keep their positions: distances up to
    /// length + gap − 1 are trained, though a token sees no more than --length.
    #[arg(long, default_value_t = 0)]
    gap: usize,
    /// Share of the tokens that are to be predicted.
    #[arg(long, default_value_t = 0.15)]
    mask_rate: f64,
    /// Predict the tokens of a word together: a run of ASCII letters and digits, or one other character.
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    whole_words: bool,
    /// Keep one document in so many out of the training.
    #[arg(long, default_value_t = 20)]
    hold_out: usize,
    /// Held-out tokens read at each validation.
    #[arg(long, default_value_t = 20_000)]
    validate_on: usize,
    /// What stands between the last hidden state and the tied softmax.
    #[arg(long, value_parser = named::<Head>(&["none", "bias", "dense-norm"]), default_value = "dense-norm")]
    head: Head,
    /// Start from the weights of another run with the same vocabulary and shape.
    #[arg(long)]
    start: Option<PathBuf>,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    training: TrainingFlags,
}

#[derive(Args)]
struct EvalArgs {
    /// Folders of runs.
    #[arg(long, required = true, num_args = 1..)]
    model: Vec<PathBuf>,
    /// Text files, `.gz` and `.zst` too; of each one document in so many is read, as each model's training held them out: of the files it was trained on,
    /// those that it has not seen.
    #[arg(long, required = true, num_args = 1..)]
    texts: Vec<PathBuf>,
    /// Lengths to measure, in tokens.
    #[arg(long, value_delimiter = ',', default_value = "64,128,256,512,1024")]
    lengths: Vec<usize>,
    /// Tokens to read at each length.
    #[arg(long, default_value_t = 200_000)]
    tokens: usize,
    /// Let a token see only those less than so many tokens away, whatever the length: what far tokens do to a prediction.
    #[arg(long)]
    window: Option<usize>,
    /// Let rotary positions farther apart than so many tokens count as so far apart (ReRoPE): distances that training never saw do not occur.
    #[arg(long)]
    max_distance: Option<usize>,
    /// Read the texts whole, not only one document in so many as training did.
    #[arg(long)]
    all_documents: bool,
    /// Write a page with the curves here.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: MlmArgs) -> Result<ExitCode> {
    match args.verb {
        Verb::Train(args) => run_train(&args),
        Verb::Eval(args) => run_eval(&args),
    }
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
    let vocabulary = open_vocabulary(args.vocab.as_deref(), &args.texts, args.max_characters)?;
    let config = MlmConfig {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        texts: args.texts.iter().map(|path| path.display().to_string()).collect(),
        start: args.start.as_ref().map(|folder| folder.display().to_string()),
        model: args.model.config(vocabulary.len(), args.head),
        train: args.training.settings()?,
        mlm: settings.clone(),
    };
    config.train.validate()?;
    check_model(&config.model)?;
    let (training, held_out) = read_corpus(&args.texts, &vocabulary, args.hold_out)?;
    note!(
        "{} tokens in {} documents to train on, {} in {} held out; {} kinds of tokens",
        training.len(),
        training.documents(),
        held_out.len(),
        held_out.documents(),
        vocabulary.len()
    );
    // No sequence is longer than its document.
    let length = settings.length.min(training.longest_document() + 2);
    check_memory(
        least_memory(&config.model, config.train.batch_size, length),
        BATCH_SIZES,
    )?;
    let task = MlmTask::new(settings, vocabulary.special_tokens(), &training, &held_out)?;
    let model = fresh_model(&config.model, config.train.seed, args.start.as_deref(), &vocabulary)?;
    args.training.check(&config.train, model.layout().slots())?;
    let description = prepare(&args.out, &config, &[vocabulary_file(&vocabulary)])?;
    let interrupt = Interrupt::install();
    let outcome = train(&task, model, &config.train, &args.out, &description, interrupt.flag())?;
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

/// Why a training had nothing to be measured on.
fn why_unmeasured(args: &TrainArgs, held_out: &Corpus) -> String {
    match (args.hold_out, args.validate_on, args.length) {
        (0, ..) => "--hold-out 0 holds nothing out".to_owned(),
        (_, 0, _) => "--validate-on 0 reads nothing that was held out".to_owned(),
        _ if held_out.is_empty() => "the texts are too short for anything to be held out".to_owned(),
        (.., length) => format!("no held-out document is as long as a sequence, {length} tokens"),
    }
}

/// Runs that differ in their seed alone, at every length.
struct Row {
    name: String,
    /// The attention scale, in training or at inference.
    scale: String,
    /// All settings but the seed.
    settings: Vec<(String, String)>,
    runs: Vec<Measured>,
}

/// A run at every length.
struct Measured {
    seed: u64,
    folder: String,
    scores: Vec<LengthScore>,
}

impl Row {
    /// Mean and standard error over the runs, at each length; no error of a single run.
    fn statistics(&self, value: impl Fn(&LengthScore) -> f64) -> Vec<(f64, f64)> {
        let lengths = self.runs.first().map_or(0, |run| run.scores.len());
        let at = |index: usize| self.runs.iter().map(|run| value(&run.scores[index])).collect();
        (0..lengths).map(|index| mean_and_error(at(index))).collect()
    }

    fn setting(&self, name: &str) -> Option<&str> {
        let found = self.settings.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the two differ in the attention scale alone.
    fn is_comparable(&self, other: &Self) -> bool {
        let others = |row: &Self| -> Vec<(String, String)> {
            let settings = row.settings.iter();
            settings
                .filter(|(name, _)| !name.starts_with("model.attention_scale"))
                .cloned()
                .collect()
        };
        others(self) == others(other)
    }
}

/// The most differing settings that stand in a name.
const NAMED: usize = 4;

/// Names each row by its scale, and where others have the same one, by the settings in which they differ.
fn name_rows(rows: &mut [Row]) {
    let names: Vec<String> = rows
        .iter()
        .map(|row| {
            let rivals: Vec<&Row> = rows.iter().filter(|other| other.scale == row.scale).collect();
            let mut names: Vec<&String> = Vec::new();
            for (name, _) in rivals.iter().flat_map(|rival| &rival.settings) {
                if !names.contains(&name) && rivals.iter().any(|rival| rival.setting(name) != row.setting(name)) {
                    names.push(name);
                }
            }
            if names.len() > NAMED {
                return format!("{}, as {}", row.scale, row.runs.first().map_or("", |run| &run.folder));
            }
            let differing = names.into_iter().map(|name| {
                let short = name.split_once('.').map_or(name.as_str(), |(_, rest)| rest);
                match row.setting(name) {
                    Some(value) => format!(", {short} {value}"),
                    None => format!(", no {short}"),
                }
            });
            std::iter::once(row.scale.clone()).chain(differing).collect()
        })
        .collect();
    rows.iter_mut().zip(names).for_each(|(row, name)| row.name = name);
}

fn mean_and_error(values: Vec<f64>) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

fn with_error((mean, error): (f64, f64)) -> String {
    if error.is_finite() {
        format!("{mean:.2} ± {error:.2}")
    } else {
        format!("{mean:.2}")
    }
}

fn name_of(scale: AttentionScale) -> String {
    match scale {
        AttentionScale::Ordinary => "ordinary".to_owned(),
        AttentionScale::EntropyInvariant { base } => format!("entropy-invariant, base {base}"),
        AttentionScale::EntropyInvariantKappa { kappa } => format!("entropy-invariant, κ = {kappa}"),
        AttentionScale::InferenceClip { trained_length } => format!("ordinary, clip {trained_length} at inference"),
        AttentionScale::Fixed { factor } => format!("fixed to {factor}"),
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
        return Err(Usage("--tokens must be 1 or more: what is to be read".to_owned()).into());
    }
    // Said before the work rather than after it.
    if let Some(report) = &args.report {
        check_output(report, &args.texts)?;
    }
    let mask = Mask::BIDIRECTIONAL
        .within(args.window.unwrap_or(usize::MAX))
        .with_max_distance(args.max_distance.unwrap_or(usize::MAX));
    let mut rows: Vec<Row> = Vec::new();
    for (index, folder) in args.model.iter().enumerate() {
        if args.model[..index].contains(folder) {
            return Err(Usage(format!("--model {} is given twice", folder.display())).into());
        }
        let run = TrainedMlm::open(folder)?;
        if let Some(most) = run.config.model.longest_sequence().filter(|most| longest > *most) {
            let problem = format!(
                "--lengths {longest} is more than the {most} positions of {}",
                folder.display()
            );
            return Err(Usage(problem).into());
        }
        if args.max_distance.is_some() && run.config.model.positions != Positions::Rotary {
            let problem = format!(
                "--max-distance is of rotary positions, those of {} are learned",
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
        // What the program was does not matter.
        let kind: Vec<(String, String)> = settings(&run.config)?
            .into_iter()
            .filter(|(name, _)| name != "train.seed" && name != "version")
            .collect();
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
            let measured = Measured {
                seed: run.config.train.seed,
                folder: folder.display().to_string(),
                scores,
            };
            let scale = name_of(scale);
            match rows.iter_mut().find(|row| row.scale == scale && row.settings == kind) {
                Some(row) => row.runs.push(measured),
                None => rows.push(Row {
                    name: String::new(),
                    scale,
                    settings: kind.clone(),
                    runs: vec![measured],
                }),
            }
        }
        note!("{}: {} sequences of {longest}", folder.display(), stretches.len());
    }
    name_rows(&mut rows);
    if args.json {
        print_json(&as_json(&rows))?;
    } else {
        print(&text_tables(&args.lengths, &rows))?;
    }
    if let Some(path) = &args.report {
        write_report(path, &args.lengths, &rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn accuracy(score: &LengthScore) -> f64 {
    100.0 * score.accuracy
}

fn as_json(rows: &[Row]) -> serde_json::Value {
    let score = |score: &LengthScore| {
        json!({
            "length": score.length,
            "accuracy": accuracy(score),
            "loss": score.loss,
            "predictions": score.predictions,
            "entropy": score.mean_entropy(),
            "entropy_by_layer_and_head": score.entropy,
        })
    };
    let run = |run: &Measured| {
        let lengths: Vec<_> = run.scores.iter().map(score).collect();
        json!({"seed": run.seed, "folder": run.folder, "lengths": lengths})
    };
    let row = |row: &Row| {
        let runs: Vec<_> = row.runs.iter().map(run).collect();
        json!({"name": row.name, "attention_scale": row.scale, "runs": runs})
    };
    rows.iter().map(row).collect()
}

/// Accuracy, entropy, and the differences of each row to the first of those that differ from it in the attention scale alone, paired by seed; each a title and
/// rows of cells.
fn tables(rows: &[Row]) -> Vec<(&'static str, Vec<Vec<String>>)> {
    let cells = |value: fn(&LengthScore) -> f64| {
        let line = |row: &Row| {
            let name = format!("{} ({} runs)", row.name, row.runs.len());
            std::iter::once(name)
                .chain(row.statistics(value).into_iter().map(with_error))
                .collect()
        };
        rows.iter().map(line).collect::<Vec<Vec<String>>>()
    };
    let mut tables = vec![
        ("accuracy, %", cells(accuracy)),
        ("attention entropy, nats", cells(LengthScore::mean_entropy)),
    ];
    let paired = |(at, row): (usize, &Row)| -> Option<Vec<String>> {
        let first = rows[..at].iter().find(|first| first.is_comparable(row))?;
        let pairs: Vec<_> = row
            .runs
            .iter()
            .enumerate()
            .filter_map(|(index, run)| {
                // The first run of a seed belongs to the other row's first of that seed, and so on.
                let before = row.runs[..index].iter().filter(|other| other.seed == run.seed).count();
                let mut others = first.runs.iter().filter(|other| other.seed == run.seed);
                Some((&run.scores, &others.nth(before)?.scores))
            })
            .collect();
        let lengths = pairs.first()?.0.len();
        let difference = |index: usize| {
            pairs
                .iter()
                .map(|(scores, base)| accuracy(&scores[index]) - accuracy(&base[index]))
                .collect()
        };
        let name = format!("{} ({} pairs)", row.name, pairs.len());
        let differences = (0..lengths).map(|index| with_error(mean_and_error(difference(index))));
        Some(std::iter::once(name).chain(differences).collect())
    };
    let differences: Vec<_> = rows.iter().enumerate().filter_map(paired).collect();
    if !differences.is_empty() {
        tables.push((
            "accuracy less that of the first row with the same other settings, paired by seed",
            differences,
        ));
    }
    tables
}

fn text_tables(lengths: &[usize], rows: &[Row]) -> String {
    let mut text = String::new();
    for (title, rows) in tables(rows) {
        let width = rows
            .iter()
            .map(|row| row[0].chars().count())
            .chain([title.chars().count()])
            .max()
            .unwrap_or(0);
        let mut line = |name: &str, cells: &mut dyn Iterator<Item = String>| {
            text.push_str(name);
            text.extend(std::iter::repeat_n(' ', width - name.chars().count()));
            cells.for_each(|cell| text.push_str(&format!(" {cell:>14}")));
            text.push('\n');
        };
        line(title, &mut lengths.iter().map(ToString::to_string));
        for row in &rows {
            line(&row[0], &mut row[1..].iter().cloned());
        }
        text.push('\n');
    }
    text.pop();
    text
}

fn write_report(path: &Path, lengths: &[usize], rows: &[Row]) -> Result<()> {
    let chart = |title: &str, caption: &str, value: fn(&LengthScore) -> f64| Chart {
        title: title.to_owned(),
        x: "tokens of a sequence".to_owned(),
        log_x: true,
        caption: caption.to_owned(),
        series: rows
            .iter()
            .map(|row| {
                let statistics = row.statistics(value);
                Series {
                    name: row.name.clone(),
                    points: lengths
                        .iter()
                        .zip(&statistics)
                        .map(|(&length, &(mean, _))| (length as f64, mean))
                        .collect(),
                    errors: statistics
                        .iter()
                        .map(|&(_, error)| if error.is_finite() { error } else { 0.0 })
                        .collect(),
                }
            })
            .collect(),
        ..Chart::default()
    };
    let mut page = Page::new("Masked language models by length");
    page.charts(&[
        chart(
            "accuracy, %",
            "Masked tokens predicted rightly, in held-out documents; bars are standard errors over seeds.",
            accuracy,
        ),
        chart(
            "attention entropy, nats",
            "Mean entropy of the attention rows, over all layers and heads.",
            LengthScore::mean_entropy,
        ),
    ]);
    let names: Vec<String> = lengths.iter().map(ToString::to_string).collect();
    for (title, rows) in tables(rows) {
        page.heading(title);
        let head: Vec<&str> = std::iter::once("").chain(names.iter().map(String::as_str)).collect();
        page.table(&head, &rows);
    }
    page.heading("Entropy by layer");
    page.charts(&layers(lengths, rows));
    page.write(path)?;
    Ok(())
}

/// For each row a chart with a line for each layer.
fn layers(lengths: &[usize], rows: &[Row]) -> Vec<Chart> {
    let layer_mean = |score: &LengthScore, layer: usize| {
        let heads = &score.entropy[layer];
        heads.iter().sum::<f64>() / heads.len().max(1) as f64
    };
    rows.iter()
        .map(|row| {
            let count = row.runs.first().and_then(|run| run.scores.first());
            let series = (0..count.map_or(0, |score| score.entropy.len())).map(|layer| {
                let means = row.statistics(|score| layer_mean(score, layer));
                Series {
                    name: format!("layer {}", layer + 1),
                    points: lengths
                        .iter()
                        .zip(means)
                        .map(|(&length, (mean, _))| (length as f64, mean))
                        .collect(),
                    errors: Vec::new(),
                }
            });
            Chart {
                title: row.name.clone(),
                x: "tokens of a sequence".to_owned(),
                y: "nats".to_owned(),
                log_x: true,
                series: series.collect(),
                ..Chart::default()
            }
        })
        .collect()
}
