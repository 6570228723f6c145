//! `kexue qa`: train, evaluate and use models that answer from a graph.

use crate::device_flags::DeviceFlags;
use crate::model_flags::{
    BATCH_SIZES, ModelFlags, check_memory, check_model, fresh_model, named, shaped_like, start_from,
};
use crate::output::{Interrupt, Usage, note, print, print_json};
use crate::run_config::read_config;
use crate::search_flags::SearchFlags;
use crate::sizes::Size;
use crate::training_flags::TrainingFlags;
use anyhow::Result;
use clap::{Args, Subcommand};
use kexue_kg::KnowledgeGraph;
use kexue_nn::{Head, TransformerConfig};
use kexue_output::{check_output, write_file};
use kexue_qa::{
    Case, Coverage, ExpandOptions, Fit, FitQuestions, Gold, LEAST_QUESTIONS, LookAhead, LossOver, MentionUse,
    QaSettings, QaTask, Question, RERANKER_FILE, RunConfig, Scores, SearchOptions, SearchResult, Templates, Trained,
    Untied, Wordings, check_lengths, coverage, evaluate, expand, expand_unanswerable, fit, hold_out, kgclue_line,
    open_model, open_run, read_questions, read_unanswerable, search, spread, swap_subjects, tie, untied,
};
use kexue_train::{SavedModel, TrainError, least_memory, prepare, train_on, vocabulary_file};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Train, evaluate and use models that answer from a graph.
#[derive(Args)]
pub struct QaArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Train a model on questions about a graph, or resume a training that was interrupted.
    Train(Box<TrainArgs>),
    /// Fit how much a model and spelling can be trusted, on questions that it was not trained on; training does it at its end.
    Fit(FitArgs),
    /// Score a model's answers: EM, F1, Score, Hits@1, and what was wrong.
    Eval(EvalArgs),
    /// Write answers in KgCLUE's submission format.
    Predict(PredictArgs),
    /// Make training questions out of templates `relation<tab>template with {S}`.
    Expand(ExpandArgs),
}

#[derive(Args)]
#[command(after_help = "Example:\n  kexue qa train --kg my.idx --questions questions.tsv -o runs/my")]
struct TrainArgs {
    /// The graph, built by `kexue kg build`.
    #[arg(long, required_unless_present = "config")]
    kg: Option<PathBuf>,
    /// Questions: `question<tab>S<tab>P[<tab>O]`, KgCLUE's JSON Lines, or MetaQA's `question with [entity]<tab>answer|answer`.
    #[arg(long, required_unless_present = "config", num_args = 1..)]
    questions: Vec<PathBuf>,
    /// The folder of the run; a run that stands there is resumed.
    #[arg(long, short)]
    out: PathBuf,
    /// Train as another run was: its config.toml, with what other flags say instead.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Questions for validation; without it some lines are kept for it (see --hold-out).
    #[arg(long, conflicts_with = "hold_out")]
    valid: Option<PathBuf>,
    /// Keep one line in so many of each question file out of the training; 0 keeps none [default: 10, fewer where there are few lines, 0 with --valid]
    #[arg(long)]
    hold_out: Option<usize>,
    /// Name each question that is left out because its fact is not in the graph, or because several facts answer it.
    #[arg(long)]
    list_left_out: bool,
    /// Validation questions decoded at each validation, evenly spread [default: 500]
    #[arg(long)]
    validate_on: Option<usize>,
    /// Start from the weights of another run, such as one of `kexue mlm train`, with the same vocabulary and shape.
    #[arg(long)]
    start: Option<PathBuf>,
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    training: TrainingFlags,
    #[command(flatten)]
    device: DeviceFlags,
    #[command(flatten)]
    qa: QaFlags,
    #[command(flatten)]
    search: SearchFlags,
}

#[derive(Args)]
#[command(next_help_heading = "Training questions")]
struct QaFlags {
    /// What the softmax of the loss is taken over: the whole vocabulary at every token, what the index allows, or what it allows with
    /// subjects among those in the question [default: mentioned]
    #[arg(long, value_parser = named::<LossOver>(&["vocabulary", "allowed", "mentioned"]))]
    loss: Option<LossOver>,
    /// Probability that a training question gets another subject (and relation, where it names it) [default: 0.5]
    #[arg(long)]
    swap: Option<f32>,
    /// Relations from elsewhere added to a subject's facts as wrong choices [default: 8]
    #[arg(long)]
    negatives: Option<usize>,
    /// Added to a choice's logit for each token of look-ahead gain, in training and decoding; 0 for the article's look-ahead [default: 0]
    #[arg(long)]
    lexical_prior: Option<f32>,
}

impl QaFlags {
    /// `base` with the settings of the flags.
    fn over(&self, base: QaSettings) -> QaSettings {
        QaSettings {
            loss_over: self.loss.unwrap_or(base.loss_over),
            swap: self.swap.unwrap_or(base.swap),
            negatives: self.negatives.unwrap_or(base.negatives),
            lexical_prior: self.lexical_prior.unwrap_or(base.lexical_prior),
        }
    }
}

/// What a training is made of, whether flags said it or the configuration of another run.
struct Sources {
    base: Option<RunConfig>,
    kg: PathBuf,
    questions: Vec<PathBuf>,
    valid: Option<PathBuf>,
    hold_out: Option<usize>,
    start: Option<PathBuf>,
}

/// One line in so many is held out of so many: ten, or fewer where rescoring could not be learned from those.
fn usual_hold_out(questions: usize) -> usize {
    match questions / (LEAST_QUESTIONS + LEAST_QUESTIONS / 10) {
        // Too few for it, even if half of them were held out.
        0 | 1 => 10,
        lines => lines.min(10),
    }
}

impl Sources {
    fn new(args: &TrainArgs) -> Result<Self> {
        let base: Option<RunConfig> = args.config.as_deref().map(read_config).transpose()?;
        let of_base = |paths: fn(&RunConfig) -> Vec<String>| -> Vec<PathBuf> {
            base.iter().flat_map(paths).map(PathBuf::from).collect()
        };
        let kg = args.kg.clone().or_else(|| of_base(|base| vec![base.kg.clone()]).pop());
        let questions = match args.questions.is_empty() {
            true => of_base(|base| base.questions.clone()),
            false => args.questions.clone(),
        };
        let valid = match args.hold_out {
            Some(_) => None,
            None => args
                .valid
                .clone()
                .or_else(|| of_base(|base| base.valid.clone().into_iter().collect()).pop()),
        };
        let valid_is_given = valid.is_some();
        let of_base_held_out = base.as_ref().filter(|_| args.valid.is_none()).map(|base| base.hold_out);
        let start = args
            .start
            .clone()
            .or_else(|| of_base(|base| base.start.clone().into_iter().collect()).pop());
        Ok(Self {
            kg: kg.ok_or_else(|| Usage("--kg: a graph is needed".to_owned()))?,
            questions,
            valid,
            hold_out: args.hold_out.or(of_base_held_out).or(valid_is_given.then_some(0)),
            start,
            base,
        })
    }

    /// The configuration of a run on so many questions.
    fn config(
        &self,
        args: &TrainArgs,
        vocab_size: usize,
        questions: usize,
        hold_out: usize,
        start: Option<&SavedModel>,
    ) -> Result<RunConfig> {
        let base = self.base.as_ref();
        let size = match start {
            None => Size::of_questions(questions),
            // Its shape is that of what it starts from, and not so small as few questions would have it.
            Some(_) => Size::Full,
        };
        let qa = args
            .qa
            .over(base.map_or_else(QaSettings::default, |base| base.qa.clone()));
        let search = match base {
            // What is trained otherwise is decoded otherwise.
            Some(base) if args.qa.loss.is_none() && args.qa.lexical_prior.is_none() => base.search.clone(),
            _ => SearchOptions {
                look_ahead: match qa.loss_over {
                    _ if qa.lexical_prior != 0.0 => LookAhead::Added(qa.lexical_prior),
                    LossOver::Vocabulary => LookAhead::Vocabulary,
                    _ => LookAhead::Allowed,
                },
                ..SearchOptions::default()
            },
        };
        let training = || size.training();
        let model = match base {
            Some(base) => TransformerConfig {
                vocab_size,
                ..base.model.clone()
            },
            None => size.model(vocab_size, Head::None),
        };
        let model = match start {
            Some(start) if base.is_none() => shaped_like(start.model.config(), model),
            _ => model,
        };
        let validate_on = args.validate_on.or(base.map(|base| base.validate_on));
        Ok(RunConfig {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kg: self.kg.display().to_string(),
            questions: self.questions.iter().map(|path| path.display().to_string()).collect(),
            valid: self.valid.as_ref().map(|path| path.display().to_string()),
            hold_out,
            validate_on: validate_on.unwrap_or(500),
            start: self.start.as_ref().map(|folder| folder.display().to_string()),
            model: args.model.over(model),
            train: args
                .training
                .over(base.map_or_else(training, |base| base.train.clone()))?,
            qa,
            search: args.search.apply(search)?,
        })
    }
}

/// Runs the command.
pub fn run(args: QaArgs) -> Result<ExitCode> {
    match args.verb {
        Verb::Train(args) => run_train(&args),
        Verb::Fit(args) => run_fit(&args),
        Verb::Eval(args) => run_eval(&args),
        Verb::Predict(args) => run_predict(&args),
        Verb::Expand(args) => run_expand(&args),
    }
}

/// Reads questions that are to be asked of a graph.
fn read(graph: &KnowledgeGraph, path: &Path, plain: bool) -> kexue_qa::Result<Vec<Question>> {
    let questions = read_questions(path, plain)?;
    check_lengths(path, &questions, graph.vocabulary())?;
    Ok(questions)
}

/// Names the questions that cannot be tied to one fact.
fn list_left_out(graph: &KnowledgeGraph, path: &Path, questions: &[Question]) -> Result<()> {
    for Untied { line, text, facts } in untied(graph, questions)? {
        let why = match facts {
            0 => "its fact is not in the graph".to_owned(),
            _ => format!("{facts} facts answer it"),
        };
        note!("{}:{line}: `{text}`: {why}", path.display());
    }
    Ok(())
}

fn run_train(args: &TrainArgs) -> Result<ExitCode> {
    args.model.check()?;
    args.device.check()?;
    kexue_train::check_free(&args.out)?;
    let sources = Sources::new(args)?;
    let graph = KnowledgeGraph::open(&sources.kg)?;
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    let files: Vec<Vec<Question>> = (sources.questions.iter())
        .map(|path| read(&graph, path, false))
        .collect::<kexue_qa::Result<_>>()?;
    let lines = files.iter().map(Vec::len).sum();
    let every = sources.hold_out.unwrap_or_else(|| usual_hold_out(lines));
    for (path, questions) in sources.questions.iter().zip(files) {
        let (kept, held_out) = hold_out(questions, every);
        if args.list_left_out {
            list_left_out(&graph, path, &kept)?;
        }
        training.extend(kept);
        validation.extend(held_out);
    }
    if let Some(path) = &sources.valid {
        validation = read(&graph, path, false)?;
    }
    let (examples, tied) = tie(&graph, &training)?;
    note!(
        "{} questions to train on ({} whose fact is not in the graph and {} that several facts answer are left out), {} to validate on",
        tied.used,
        tied.missing,
        tied.ambiguous,
        validation.len()
    );
    if training.is_empty() {
        return Err(Usage("--hold-out 1 holds out every line".to_owned()).into());
    }
    if examples.is_empty() {
        return Err(kexue_qa::Error::File {
            path: sources.questions[0].clone(),
            problem: "none of its questions has its fact in the graph; check that graph and questions belong together"
                .to_owned(),
        }
        .into());
    }
    let start = sources.start.as_deref().map(SavedModel::open).transpose()?;
    let config = sources.config(args, graph.vocabulary().len(), examples.len(), every, start.as_ref())?;
    config.train.validate()?;
    config.qa.validate()?;
    let lengths = examples
        .iter()
        .map(|example| example.question.len() + example.path.len());
    let mean = lengths.sum::<usize>() / examples.len();
    check_model(&config.model)?;
    check_memory(least_memory(&config.model, config.train.batch_size, mean), BATCH_SIZES)?;
    let held_out = Case::prepare(&graph, validation)?;
    let validation = spread(held_out.clone(), config.validate_on);
    let task = QaTask::new(&graph, config.qa.clone(), examples, validation, config.search.clone())?;
    let mut model = fresh_model(&config.model, config.train.seed)?;
    if let Some(start) = &start {
        start_from(&mut model, start, &graph.vocabulary().clone().into())?;
    }
    args.training.check(&config.train, model.layout().slots())?;
    let accelerator = args.device.accelerator(&model, &config.train)?;
    let description = prepare(&args.out, &config, &[vocabulary_file(graph.vocabulary())])?;
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
            "interrupted after {} steps and saved; the same command goes on from there",
            outcome.steps
        );
        return Ok(ExitCode::from(130));
    }
    if !kexue_train::is_first() {
        return Ok(ExitCode::SUCCESS);
    }
    match outcome.best {
        Some((score, step)) => note!("best validation {score:.2} at step {step}"),
        None => note!(
            "there was nothing to validate on: the weights of step {} are kept",
            outcome.steps
        ),
    }
    if outcome.resumed == outcome.steps && args.out.join(RERANKER_FILE).exists() {
        note!("nothing was left to train, and its rescoring is kept; `kexue qa fit` learns it anew");
        print(&format!("{}\n", args.out.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let trained = Trained::open(&args.out)?;
    let known = Case::prepare(&graph, training)?;
    let questions = FitQuestions {
        known: &known,
        known_unanswerable: &[],
        cases: &held_out,
        unanswerable: &[],
    };
    match learn_rescoring(&graph, &trained, &args.out, questions, &interrupt) {
        Ok(Some(fitted)) => note!("{}", told(&fitted).trim_end()),
        Ok(None) => return Ok(fit_interrupted()),
        // The model is good without it.
        Err(error @ kexue_qa::Error::TooFew { .. }) => note!("rescoring is not learned: {error}"),
        Err(error) => return Err(error.into()),
    }
    print(&format!("{}\n", args.out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Fits the weights of rescoring and puts them into the run's folder; `None` when interrupted.
fn learn_rescoring(
    graph: &KnowledgeGraph,
    trained: &Trained,
    folder: &Path,
    questions: FitQuestions<'_>,
    interrupt: &Interrupt,
) -> kexue_qa::Result<Option<Fit>> {
    let search = &trained.config.search;
    let fitted = fit(graph, &trained.model, search, questions, interrupt.flag())?;
    let path = folder.join(RERANKER_FILE);
    match &fitted {
        Some(fitted) if fitted.is_better() => {
            write_file(&path, fitted.reranker.to_toml().as_bytes()).map_err(TrainError::from)?;
        }
        // Weights of an earlier fit are not kept either: nothing says that they are better.
        Some(_) => match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(kexue_qa::Error::Io { path, source });
            }
            _ => note!(
                "the learned weights predict held-out questions no better than the model alone: there is now no {RERANKER_FILE}"
            ),
        },
        None => {}
    }
    Ok(fitted)
}

fn fit_interrupted() -> ExitCode {
    note!("interrupted before its rescoring was learned; `kexue qa fit` learns it");
    ExitCode::from(130)
}

/// What a fit found, for people.
fn told(fit: &Fit) -> String {
    let line = |name: &str, right: &str, f: kexue_qa::Calibration| {
        format!(
            "{name:<34} {right:>8} {:>11.2} {:>31.4}\n",
            f.answered, f.negative_log_likelihood
        )
    };
    let answerable = |name: &str, f: kexue_qa::Calibration| line(name, &format!("{:.2}", f.right), f);
    format!(
        "rescoring learned on {} held-out questions ({} without their fact among the candidates)\n{:<34} {:>8} {:>11} {:>31}\n{}{}{}{}",
        fit.questions,
        fit.out_of_reach,
        "",
        "right, %",
        "answered, %",
        "negative log-likelihood, nats",
        answerable("the model alone", fit.before),
        answerable("learned (5-fold cross-validated)", fit.after),
        line("the same with their fact hidden", "", fit.hidden),
        fit.unanswerable.map_or_else(String::new, |unanswerable| line(
            "questions without an answer",
            "",
            unanswerable
        )),
    ) + "answered: given an answer at the default confidence; right: the best fact is the right one. Negative log-likelihood: the smaller, the better the stated \
         probabilities fit; 0.69 is a coin's\n"
}

#[derive(Args)]
#[command(after_help = "Example:\n  kexue qa fit --kg my.idx --model runs/my --questions questions.tsv")]
struct FitArgs {
    /// The graph.
    #[arg(long)]
    kg: PathBuf,
    /// The model's folder.
    #[arg(long)]
    model: PathBuf,
    /// Questions with their right answers: the training's question files, of which the lines that were held out are taken, or others.
    #[arg(long, required = true, num_args = 1..)]
    questions: Vec<PathBuf>,
    /// Take one line in so many of each file, 0 all. The default is what the training held out; where that is none, the questions must be others
    /// than it had, and this must be given.
    #[arg(long)]
    hold_out: Option<usize>,
    /// The questions that the model was trained on, whose words are counted. The default is the lines of --questions that are not taken.
    #[arg(long, num_args = 1..)]
    known: Vec<PathBuf>,
    /// Questions that the graph cannot answer, one a line, those of a kind one after another: doubt is fitted on them too.
    #[arg(long, num_args = 1..)]
    unanswerable: Vec<PathBuf>,
    /// Questions that the graph cannot answer, of other kinds than --unanswerable, whose words are counted.
    #[arg(long, num_args = 1..)]
    known_unanswerable: Vec<PathBuf>,
}

fn run_fit(args: &FitArgs) -> Result<ExitCode> {
    let graph = KnowledgeGraph::open(&args.kg)?;
    let trained = open_model(&args.model, &graph)?;
    let lines = match (args.hold_out, trained.config.hold_out) {
        (Some(lines), _) => lines,
        (None, 0) => {
            let problem = "the training held no lines out: give questions that it did not have, and --hold-out 0 to take all of them";
            return Err(Usage(problem.to_owned()).into());
        }
        (None, lines) => lines,
    };
    let (mut questions, mut known) = (Vec::new(), Vec::new());
    for path in &args.questions {
        let all = read(&graph, path, false)?;
        let (others, taken) = if lines > 0 {
            hold_out(all, lines)
        } else {
            (Vec::new(), all)
        };
        questions.extend(taken);
        known.extend(others);
    }
    if !args.known.is_empty() {
        known.clear();
        for path in &args.known {
            known.extend(read(&graph, path, false)?);
        }
    }
    if known.is_empty() {
        let problem = "all lines are taken: give the questions that the model was trained on with --known";
        return Err(Usage(problem.to_owned()).into());
    }
    let (known, cases) = (Case::prepare(&graph, known)?, Case::prepare(&graph, questions)?);
    let read_all = |paths: &[PathBuf]| -> kexue_qa::Result<Vec<Question>> {
        let mut all = Vec::new();
        for path in paths {
            let questions = read_unanswerable(path)?.0;
            check_lengths(path, &questions, graph.vocabulary())?;
            all.extend(questions);
        }
        Ok(all)
    };
    let questions = FitQuestions {
        known: &known,
        known_unanswerable: &read_all(&args.known_unanswerable)?,
        cases: &cases,
        unanswerable: &read_all(&args.unanswerable)?,
    };
    let interrupt = Interrupt::install();
    match learn_rescoring(&graph, &trained, &args.model, questions, &interrupt)? {
        Some(fitted) => print(&told(&fitted))?,
        None => return Ok(fit_interrupted()),
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Args)]
#[command(after_help = "Example:\n  kexue qa eval --kg my.idx --model runs/my --questions test.tsv")]
struct EvalArgs {
    /// The graph.
    #[arg(long)]
    kg: PathBuf,
    /// The model's folder.
    #[arg(long)]
    model: PathBuf,
    /// Questions with their right answers.
    #[arg(long)]
    questions: PathBuf,
    /// Questions that the graph cannot answer, one a line, with their kind after a tab: adds how many are answered, at several confidences and
    /// of each kind.
    #[arg(long, num_args = 1..)]
    unanswerable: Vec<PathBuf>,
    /// Score only the lines that training held out: one in so many.
    #[arg(long, default_value_t = 0)]
    hold_out: usize,
    /// Name each question whose fact is not in the graph, or that several facts answer.
    #[arg(long)]
    list_left_out: bool,
    /// Score several ways of decoding, one row each.
    #[arg(long)]
    ablation: bool,
    #[command(flatten)]
    search: SearchFlags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn open(kg: &Path, model: &Path) -> Result<(KnowledgeGraph, Trained)> {
    let graph = KnowledgeGraph::open(kg)?;
    let trained = open_run(model, &graph)?;
    Ok((graph, trained))
}

fn run_eval(args: &EvalArgs) -> Result<ExitCode> {
    let (graph, trained) = open(&args.kg, &args.model)?;
    let mut questions = read(&graph, &args.questions, false)?;
    if args.hold_out > 0 {
        questions = hold_out(questions, args.hold_out).1;
    }
    if questions.is_empty() {
        return Err(Usage(format!("--hold-out {}: no line of so few is held out", args.hold_out)).into());
    }
    if questions.iter().any(|question| question.gold == Gold::Unknown) {
        return Err(kexue_qa::Error::File {
            path: args.questions.clone(),
            problem: "has questions without their answers; `kexue qa predict` answers such".to_owned(),
        }
        .into());
    }
    if args.list_left_out {
        list_left_out(&graph, &args.questions, &questions)?;
    }
    let cases = Case::prepare(&graph, questions)?;
    let chosen = args.search.apply(trained.config.search.clone())?;
    let ways = if args.ablation {
        ablation(&chosen)
    } else {
        vec![("", chosen)]
    };
    if !args.json && args.ablation {
        print(ROW_HEAD)?;
    }
    let (mut unanswerable, mut kinds) = (Vec::new(), Vec::new());
    for path in &args.unanswerable {
        let read = read_unanswerable(path)?;
        check_lengths(path, &read.0, graph.vocabulary())?;
        unanswerable.extend(read.0);
        kinds.extend(read.1);
    }
    for (name, options) in ways {
        let start = std::time::Instant::now();
        let (scores, results) = evaluate(&graph, &trained.model, &options, &cases)?;
        let speed = cases.len() as f64 / start.elapsed().as_secs_f64();
        let texts: Vec<&str> = unanswerable.iter().map(|question| question.text.as_str()).collect();
        let others = search(&graph, &trained.model, &options, &texts, false)?;
        let curve = coverage(&graph, &options, &cases, &results, &others, &CONFIDENCES)?;
        let of_kinds = answered_by_kind(&options, &kinds, &others);
        if args.json {
            print_json(&json!({
                "decoding": name, "options": options, "scores": scores, "questions_per_second": speed, "coverage": curve,
                "unanswerable_answered_by_kind": of_kinds.iter().map(|(kind, share, _)| (*kind, *share)).collect::<BTreeMap<_, _>>(),
            }))?;
        } else {
            match args.ablation {
                true => print_row(name, &scores, speed)?,
                false => print(&told_scores(&scores, speed))?,
            }
            if !others.is_empty() {
                print_coverage(&curve, &of_kinds)?;
            }
        }
    }
    if !args.json && args.ablation {
        print(ROW_NOTE)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Confidences at which the risk–coverage curve is told.
const CONFIDENCES: [f64; 9] = [0.0, 0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

/// The share of the questions of each kind that are answered although they have no answer, in percent, and their number; the worst kind first.
fn answered_by_kind<'k>(
    options: &SearchOptions,
    kinds: &'k [String],
    results: &[SearchResult],
) -> Vec<(&'k str, f64, usize)> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (kind, result) in kinds.iter().zip(results) {
        let (answered, all) = counts.entry(kind).or_default();
        *answered += usize::from(result.confidence(options).is_some_and(|confidence| confidence >= 0.5));
        *all += 1;
    }
    let share = |(kind, (answered, all))| (kind, 100.0 * answered as f64 / all as f64, all);
    let mut shares: Vec<(&str, f64, usize)> = counts.into_iter().map(share).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

fn print_coverage(curve: &[Coverage], kinds: &[(&str, f64, usize)]) -> Result<()> {
    let mut text =
        "confidence   answered, %   right of these, %   lost to doubt, %   answered without an answer, %\n".to_owned();
    for point in curve {
        text += &format!(
            "{:>10.2} {:>13.2} {:>19.2} {:>18.2} {:>31.2}\n",
            point.min_confidence, point.answered, point.right, point.lost, point.unanswerable_answered
        );
    }
    text += "answered without an answer by kind, %:";
    for (kind, share, all) in kinds {
        text += &format!(" {kind} {share:.1} (of {all});");
    }
    print(&(text + "\n"))
}

/// The scores, each with what it is.
fn told_scores(s: &Scores, speed: f64) -> String {
    let mut text = format!("{} questions\n", s.questions);
    for (name, value, what) in [
        ("EM", s.exact_match, "% answered with exactly the right object"),
        ("F1", s.f1, "%: the same, with credit for shared characters"),
        ("Score", s.score, "the mean of both, as KgCLUE ranks by"),
        ("Hits@1", s.hits_at_1, "% answered with one of the right objects"),
        ("fact", s.fact, "% answered from the very fact that is meant"),
        (
            "ECE",
            s.calibration_error,
            "%: how far stated probabilities are from the share of right answers",
        ),
    ] {
        text += &format!("  {name:<8} {value:>7.2}  {what}\n");
    }
    for (name, count, what) in [
        ("wrong S", s.wrong_subject, "questions answered about another subject"),
        (
            "wrong P",
            s.wrong_relation,
            "about the right subject, with another relation",
        ),
        ("wrong M", s.wrong_sense, "with another sense of the name"),
        (
            "not in KG",
            s.not_in_graph,
            "questions whose fact the graph does not have",
        ),
    ] {
        text += &format!("  {name:<9} {count:>6}  {what}\n");
    }
    text + &format!("  {:<9} {speed:>6.0}  questions a second\n", "speed")
}

/// The head of the table of several ways of decoding.
const ROW_HEAD: &str = "\
decoding                          EM     F1  Score Hits@1  wrong S / P / M  q/s
";

fn print_row(name: &str, s: &Scores, speed: f64) -> Result<()> {
    let wrong = format!("{} / {} / {}", s.wrong_subject, s.wrong_relation, s.wrong_sense);
    print(&format!(
        "{name:<29} {:>6.2} {:>6.2} {:>6.2} {:>6.2} {wrong:>16} {speed:>4.0}\n",
        s.exact_match, s.f1, s.score, s.hits_at_1
    ))
}

/// What the columns are.
const ROW_NOTE: &str = "\
EM, F1, Hits@1: % of the questions whose answer is right, right by characters, one of the right ones. wrong: questions with
another subject, relation, sense. q/s: questions a second. Each row adds one thing to the one above.
";

/// The ways of decoding, each adding one thing to the one before.
fn ablation(chosen: &SearchOptions) -> Vec<(&'static str, SearchOptions)> {
    let plain = SearchOptions {
        look_ahead: LookAhead::Off,
        rescore: false,
        reranker: None,
        mentions: MentionUse::Off,
        ..chosen.clone()
    };
    let look_ahead = match chosen.look_ahead {
        LookAhead::Off => LookAhead::Allowed,
        chosen => chosen,
    };
    let looking = SearchOptions {
        look_ahead,
        ..plain.clone()
    };
    let rescored = SearchOptions {
        rescore: true,
        ..looking.clone()
    };
    let mentioned = SearchOptions {
        mentions: MentionUse::Only,
        ..rescored.clone()
    };
    let without_look_ahead = SearchOptions {
        look_ahead: LookAhead::Off,
        ..mentioned.clone()
    };
    let learned = chosen.reranker.is_some().then(|| SearchOptions {
        rescore: true,
        ..chosen.clone()
    });
    let rows = [
        ("beam", plain),
        ("+ look-ahead", looking),
        ("+ exact rescoring", rescored),
        ("+ mentions", mentioned),
        ("the last without look-ahead", without_look_ahead),
    ];
    let learned = learned.map(|options| ("learned rescoring", options));
    rows.into_iter().chain(learned).collect()
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  kexue qa predict --kg my.idx --model runs/my --questions test.jsonl -o answers.jsonl"
)]
struct PredictArgs {
    /// The graph.
    #[arg(long)]
    kg: PathBuf,
    /// The model's folder.
    #[arg(long)]
    model: PathBuf,
    /// Questions: any form that training reads, JSON Lines without answers, or one question a line.
    #[arg(long)]
    questions: PathBuf,
    /// The file to write, one JSON object a line; standard output by default.
    #[arg(long, short)]
    out: Option<PathBuf>,
    #[command(flatten)]
    search: SearchFlags,
}

fn run_predict(args: &PredictArgs) -> Result<ExitCode> {
    let (graph, trained) = open(&args.kg, &args.model)?;
    if let Some(out) = &args.out {
        check_output(out, [&args.questions])?;
    }
    let questions = read(&graph, &args.questions, true)?;
    let texts: Vec<&str> = questions.iter().map(|question| question.text.as_str()).collect();
    let results = search(
        &graph,
        &trained.model,
        &args.search.apply(trained.config.search.clone())?,
        &texts,
        false,
    )?;
    let mut lines = String::new();
    for (question, result) in questions.iter().zip(results) {
        let Some(best) = result.found.first() else { continue };
        lines += &kgclue_line(question.id, &graph.fact(best.key)?);
        lines.push('\n');
    }
    match &args.out {
        Some(path) => write_file(path, lines.as_bytes())?,
        None => print(&lines)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Args)]
#[command(after_help = "\
Example:
  printf 'phone\\tphone of {S}\\nphone\\t(how|where) can I reach {S}?\\n' > templates.tsv
  kexue qa expand --kg my.idx --templates templates.tsv --each 20 -o questions.tsv

Each template is filled with --each subjects of the graph that have the relation. What comes out is `question<tab>subject<tab>relation`, for `kexue qa train`; with --unanswerable, \
questions that the graph cannot answer, for `kexue qa fit`.")]
#[command(group = clap::ArgGroup::new("source").required(true).args(["templates", "questions"]))]
struct ExpandArgs {
    /// The graph.
    #[arg(long)]
    kg: PathBuf,
    /// Files of templates, which share their rules: `relation<tab>template`, or `kind<tab>relation<tab>template` for questions without an
    /// answer. In a template `{S}` is the subject, `(a|b)` a choice, `[a]` may be missing, `<name>` and `<name:a>` are rules.
    #[arg(long, num_args = 1..)]
    templates: Vec<PathBuf>,
    /// With --unanswerable: questions with their answers, whose subject is replaced by one that lacks what is asked for.
    #[arg(long, num_args = 1.., requires = "unanswerable")]
    questions: Vec<PathBuf>,
    /// Make questions that the graph cannot answer, `question<tab>kind`.
    #[arg(long)]
    unanswerable: bool,
    /// Subjects put into each template.
    #[arg(long, default_value_t = 10)]
    each: usize,
    /// Probability of a typing error in each English word of four letters or more.
    #[arg(long, default_value_t = 0.0)]
    typos: f64,
    /// Files of wordings, the last field of each line, with {S}: no question with one of them is made (case, blanks and punctuation aside).
    #[arg(long, num_args = 1..)]
    except: Vec<PathBuf>,
    /// Seed of the draw.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The file to write.
    #[arg(long, short)]
    out: PathBuf,
}

fn run_expand(args: &ExpandArgs) -> Result<ExitCode> {
    if !(0.0..=1.0).contains(&args.typos) {
        return Err(Usage(format!("--typos {} is not within 0 and 1", args.typos)).into());
    }
    let graph = KnowledgeGraph::open(&args.kg)?;
    check_output(
        &args.out,
        args.templates
            .iter()
            .chain(&args.questions)
            .chain(&args.except)
            .chain([&args.kg]),
    )?;
    let mut except = Wordings::none();
    for path in &args.except {
        except.read(path)?;
    }
    let options = ExpandOptions {
        except,
        each: args.each,
        typos: args.typos,
        seed: args.seed,
    };
    let lines = if args.questions.is_empty() {
        let templates = Templates::read(&args.templates)?;
        if args.unanswerable {
            expand_unanswerable(&graph, &templates, &options)?
        } else {
            expand(&graph, &templates, &options)?
        }
    } else {
        let mut questions = Vec::new();
        for path in &args.questions {
            questions.extend(read_questions(path, false)?);
        }
        swap_subjects(&graph, &questions, &options)?
    };
    write_file(&args.out, (lines.join("\n") + "\n").as_bytes())?;
    note!("{} questions", lines.len());
    Ok(ExitCode::SUCCESS)
}
