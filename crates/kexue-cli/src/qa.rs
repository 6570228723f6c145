//! `kexue qa`: train, evaluate and use models that answer from a graph.

use crate::device_flags::DeviceFlags;
use crate::inference_flags::InferenceFlags;
use crate::model_flags::{ModelFlags, check_memory, check_model, fresh_model, named, shaped_like, start_from};
use crate::output::{Interrupt, Usage, model_files, note, print, print_json};
use crate::run_config::read_config;
use crate::search_flags::SearchFlags;
use crate::sizes::Size;
use crate::training_flags::TrainingFlags;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use kexue_kg::KnowledgeGraph;
use kexue_nn::{Head, TransformerConfig};
use kexue_output::{check_output, write_file};
use kexue_qa::{
    AnsweredKind, Case, Coverage, ExpandOptions, Fit, FitFiles, FitQuestions, Gold, LEAST_QUESTIONS, LookAhead,
    LossOver, QaConfig, QaSettings, QaTask, Question, RERANKER_FILE, Scores, SearchOptions, Templates, Trained, Untied,
    Wordings, ablation, answered_by_kind, coverage, evaluate, expand, expand_unanswerable, fit_and_store, hold_out,
    kgclue_predictions, open_model, open_run, questions_for, read_questions, read_unanswerable, search, spread,
    swap_subjects, tie, untied,
};
use kexue_train::{SavedModel, least_memory, prepare, train_on, vocabulary_file};
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
    /// Learn how to weigh the model against spelling, on questions that the model was not trained on. `kexue qa train` does this at its end.
    Fit(FitArgs),
    /// Score a model's answers: EM, F1, Score, Hits@1, and the kinds of errors.
    Eval(EvalArgs),
    /// Write answers in KgCLUE's submission format.
    Predict(PredictArgs),
    /// Generate training questions from templates `relation<tab>template with {S}`.
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
    /// The folder of the run. If it holds an interrupted run, that run is resumed.
    #[arg(long, short)]
    out: PathBuf,
    /// Take the settings of another run, from its config.toml. Other flags override them.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Validation questions. By default, held-out lines of the question files (see --hold-out).
    #[arg(long, conflicts_with = "hold_out")]
    valid: Option<PathBuf>,
    /// Hold out one line in N of each question file for validation; 0 holds out none [default: 10, fewer if there are few lines, or 0 with --valid].
    #[arg(long)]
    hold_out: Option<usize>,
    /// List the questions that are left out because no fact of the graph, or more than one, answers them.
    #[arg(long)]
    list_left_out: bool,
    /// Number of validation questions to decode at each validation, evenly spread [default: 500]
    #[arg(long)]
    validate_on: Option<usize>,
    /// Start from the weights of another run with the same vocabulary and shape, such as one of `kexue mlm train`.
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
    /// What the softmax of the loss is taken over: the whole vocabulary, the tokens that the index allows, or those with the subject among the
    /// ones that the question mentions [default: mentioned]
    #[arg(long, value_parser = named::<LossOver>(&["vocabulary", "allowed", "mentioned"]))]
    loss: Option<LossOver>,
    /// Probability that a training question is asked of another subject (and of another relation, if it names its relation) [default: 0.5]
    #[arg(long)]
    swap: Option<f32>,
    /// Number of relations from elsewhere added to a subject's facts as wrong choices [default: 8]
    #[arg(long)]
    negatives: Option<usize>,
    /// Weight added to a choice's logit for each token of look-ahead gain, in training and decoding; 0 for the article's look-ahead [default: 0]
    #[arg(long)]
    lexical_prior: Option<f32>,
}

impl QaFlags {
    /// Overrides settings of `base` with the flags that were given.
    fn over(&self, base: QaSettings) -> QaSettings {
        QaSettings {
            loss_over: self.loss.unwrap_or(base.loss_over),
            swap: self.swap.unwrap_or(base.swap),
            negatives: self.negatives.unwrap_or(base.negatives),
            lexical_prior: self.lexical_prior.unwrap_or(base.lexical_prior),
        }
    }
}

/// The data and settings of a training: from flags, or from the configuration of another run.
struct Sources {
    base: Option<QaConfig>,
    kg: PathBuf,
    questions: Vec<PathBuf>,
    valid: Option<PathBuf>,
    hold_out: Option<usize>,
    start: Option<PathBuf>,
}

/// The default of --hold-out for this number of questions: 10, or less if rescoring could not be learned from a tenth of them.
fn usual_hold_out(questions: usize) -> usize {
    match questions / (LEAST_QUESTIONS + LEAST_QUESTIONS / 10) {
        // Too few for it, even if half of them were held out.
        0 | 1 => 10,
        lines => lines.min(10),
    }
}

impl Sources {
    fn new(args: &TrainArgs) -> Result<Self> {
        let base: Option<QaConfig> = args.config.as_deref().map(read_config).transpose()?;
        let of_base = |paths: fn(&QaConfig) -> Vec<String>| -> Vec<PathBuf> {
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

    /// The configuration of a run on this number of questions.
    fn config(
        &self,
        args: &TrainArgs,
        vocab_size: usize,
        questions: usize,
        hold_out: usize,
        start: Option<&SavedModel>,
    ) -> Result<QaConfig> {
        let base = self.base.as_ref();
        let size = match start {
            None => Size::of_questions(questions),
            // The model has the shape of its start, however few the questions.
            Some(_) => Size::Full,
        };
        let qa = args
            .qa
            .over(base.map_or_else(QaSettings::default, |base| base.qa.clone()));
        if qa.lexical_prior != 0.0 && qa.loss_over != LossOver::Mentioned {
            return Err(Usage("--lexical-prior needs --loss mentioned".to_owned()).into());
        }
        qa.validate()?;
        let search = match base {
            // A model that is trained differently is decoded differently.
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
        Ok(QaConfig {
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

/// Lists the questions that are not linked to exactly one fact.
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
        .map(|path| questions_for(&graph, path, false))
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
        validation = questions_for(&graph, path, false)?;
    }
    let (examples, tied) = tie(&graph, &training)?;
    note!(
        "{} questions to train on, {} to validate on; left out: {} whose fact is not in the graph, {} that several facts answer",
        tied.used,
        validation.len(),
        tied.missing,
        tied.ambiguous,
    );
    if training.is_empty() {
        return Err(Usage("--hold-out 1 holds out every line".to_owned()).into());
    }
    if examples.is_empty() {
        return Err(kexue_qa::Error::File {
            path: sources.questions[0].clone(),
            problem: "none of its questions has its fact in the graph; check that the graph belongs to the questions"
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
    check_memory(
        least_memory(&config.model, config.train.batch_size, mean),
        "--batch-size, --layers, --heads or --d-model",
    )?;
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
            "interrupted after {} steps and saved; run the same command to continue",
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
            "no validation questions: the weights of step {} are kept",
            outcome.steps
        ),
    }
    if outcome.resumed == outcome.steps && args.out.join(RERANKER_FILE).exists() {
        note!(
            "the training was already complete, and its rescoring is kept; `kexue qa fit` learns the rescoring again"
        );
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
    match fit_and_store(&graph, &trained, &args.out, questions, interrupt.flag()) {
        Ok(Some(fitted)) => {
            note_discarded(&fitted);
            note!("{}", fit_table(&fitted).trim_end());
        }
        Ok(None) => return Ok(fit_interrupted()),
        // The model can be used without it.
        Err(error @ kexue_qa::Error::TooFew { .. }) => note!("rescoring was not learned: {error}"),
        Err(error) => return Err(error.into()),
    }
    print(&format!("{}\n", args.out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Says so if the fitted weights were not stored.
fn note_discarded(fit: &Fit) {
    if !fit.is_better() {
        note!(
            "the learned weights predict held-out questions no better than the model alone: {RERANKER_FILE} is not written, and an earlier one is deleted"
        );
    }
}

fn fit_interrupted() -> ExitCode {
    note!("interrupted before the rescoring was learned; run `kexue qa fit` to learn it");
    ExitCode::from(130)
}

/// A fit's calibration as a table.
fn fit_table(fit: &Fit) -> String {
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
    /// Questions with their right answers: the question files of the training, of which only the held-out lines are used, or other files.
    #[arg(long, required = true, num_args = 1..)]
    questions: Vec<PathBuf>,
    /// Use one line in N of each question file; 0 uses all [default: the lines that the training held out]. Required if the training held out
    /// none; the questions must then be new to the model.
    #[arg(long)]
    hold_out: Option<usize>,
    /// Questions that the model was trained on, whose words are counted [default: the other lines of --questions].
    #[arg(long, num_args = 1..)]
    known: Vec<PathBuf>,
    /// Questions that the graph cannot answer, one a line, grouped by kind. They help to learn when to withhold an answer.
    #[arg(long, num_args = 1..)]
    unanswerable: Vec<PathBuf>,
    /// Questions of other kinds that the graph cannot answer, whose words are counted.
    #[arg(long, num_args = 1..)]
    known_unanswerable: Vec<PathBuf>,
}

fn run_fit(args: &FitArgs) -> Result<ExitCode> {
    let graph = KnowledgeGraph::open(&args.kg)?;
    let trained = open_model(&args.model, &graph)?;
    let files = FitFiles {
        questions: &args.questions,
        hold_out: args.hold_out,
        known: &args.known,
        unanswerable: &args.unanswerable,
        known_unanswerable: &args.known_unanswerable,
    };
    let data = files.read(&graph, &trained.config)?;
    let interrupt = Interrupt::install();
    match fit_and_store(&graph, &trained, &args.model, data.questions(), interrupt.flag())? {
        Some(fitted) => {
            note_discarded(&fitted);
            print(&fit_table(&fitted))?;
        }
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
    /// Questions that the graph cannot answer, one a line, each with a tab and its kind. Reports how many are answered, at several
    /// confidences and for each kind.
    #[arg(long, num_args = 1..)]
    unanswerable: Vec<PathBuf>,
    /// Score only the lines that the training held out: one in N; 0 scores all.
    #[arg(long, default_value_t = 0)]
    hold_out: usize,
    /// List the questions that no fact of the graph, or more than one, answers.
    #[arg(long)]
    list_left_out: bool,
    /// Compare several ways of decoding, one row each.
    #[arg(long)]
    ablation: bool,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    inference: InferenceFlags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn open(kg: &Path, model: &Path, inference: &InferenceFlags) -> Result<(KnowledgeGraph, Trained)> {
    inference.check()?;
    let graph = KnowledgeGraph::open(kg)?;
    let mut trained = open_run(model, &graph)?;
    inference.prepare(&mut trained.model)?;
    Ok((graph, trained))
}

fn run_eval(args: &EvalArgs) -> Result<ExitCode> {
    let (graph, trained) = open(&args.kg, &args.model, &args.inference)?;
    let mut questions = questions_for(&graph, &args.questions, false)?;
    if args.hold_out > 0 {
        questions = hold_out(questions, args.hold_out).1;
    }
    if questions.is_empty() {
        return Err(Usage(format!(
            "--hold-out {}: the file has too few lines, none is held out",
            args.hold_out
        ))
        .into());
    }
    if questions.iter().any(|question| question.gold == Gold::Unknown) {
        return Err(kexue_qa::Error::File {
            path: args.questions.clone(),
            problem: "has questions without answers, which cannot be scored; `kexue qa predict` answers them"
                .to_owned(),
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
        let (questions, their_kinds) = read_unanswerable(&graph, path)?;
        unanswerable.extend(questions);
        kinds.extend(their_kinds);
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
                "unanswerable_answered_by_kind": of_kinds.iter().map(|of| (of.kind, of.answered)).collect::<BTreeMap<_, _>>(),
            }))?;
        } else {
            match args.ablation {
                true => print_row(name, &scores, speed)?,
                false => print(&explained_scores(&scores, speed))?,
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

/// Confidences at which the risk–coverage curve is printed.
const CONFIDENCES: [f64; 9] = [0.0, 0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

fn print_coverage(curve: &[Coverage], kinds: &[AnsweredKind<'_>]) -> Result<()> {
    let mut text =
        "confidence   answered, %   right of these, %   lost to doubt, %   answered without an answer, %\n".to_owned();
    for point in curve {
        text += &format!(
            "{:>10.2} {:>13.2} {:>19.2} {:>18.2} {:>31.2}\n",
            point.min_confidence, point.answered, point.right, point.lost, point.unanswerable_answered
        );
    }
    text += "answered without an answer by kind, %:";
    for of in kinds {
        text += &format!(" {} {:.1} (of {});", of.kind, of.answered, of.questions);
    }
    print(&(text + "\n"))
}

/// The scores, each with its explanation.
fn explained_scores(s: &Scores, speed: f64) -> String {
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

/// Explains the columns of that table.
const ROW_NOTE: &str = "\
EM, F1, Hits@1: % of the questions with the right answer, with credit for shared characters, with one of the right answers.
wrong: questions answered with another subject, relation, sense. q/s: questions per second. Each row adds one thing to the one above.
";

/// The header of the table that compares ways of decoding.
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
    /// Questions: any format that training reads, JSON Lines without answers, or one question a line.
    #[arg(long)]
    questions: PathBuf,
    /// The file to write, one JSON object a line [default: standard output].
    #[arg(long, short)]
    out: Option<PathBuf>,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    inference: InferenceFlags,
}

fn run_predict(args: &PredictArgs) -> Result<ExitCode> {
    if let Some(out) = &args.out {
        check_output(out, model_files(&args.model).iter().chain([&args.kg, &args.questions]))?;
    }
    let (graph, trained) = open(&args.kg, &args.model, &args.inference)?;
    let questions = questions_for(&graph, &args.questions, true)?;
    let texts: Vec<&str> = questions.iter().map(|question| question.text.as_str()).collect();
    let results = search(
        &graph,
        &trained.model,
        &args.search.apply(trained.config.search.clone())?,
        &texts,
        false,
    )?;
    let lines = kgclue_predictions(&graph, &questions, &results)?;
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
    /// Files of templates with shared rules: `relation<tab>template`, or `kind<tab>relation<tab>template` for questions without an answer.
    /// In a template, `{S}` is the subject, `(a|b)` a choice, `[a]` optional; `<name>` and `<name:a>` are rules.
    #[arg(long, num_args = 1..)]
    templates: Vec<PathBuf>,
    /// With --unanswerable: questions with their answers; each subject is replaced with one that lacks the relation asked for.
    #[arg(long, num_args = 1.., requires = "unanswerable")]
    questions: Vec<PathBuf>,
    /// Generate questions that the graph cannot answer, as `question<tab>kind`.
    #[arg(long)]
    unanswerable: bool,
    /// Number of subjects to fill each template with.
    #[arg(long, default_value_t = 10)]
    each: usize,
    /// Probability of a typing error in each English word of four letters or more.
    #[arg(long, default_value_t = 0.0)]
    typos: f64,
    /// Files of wordings with {S}, each in the last field of a line. No question gets one of them (ignoring case, spaces and punctuation).
    #[arg(long, num_args = 1..)]
    except: Vec<PathBuf>,
    /// Seed of the random draws.
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
    if args.each == 0 {
        return Err(Usage("--each must be 1 or more".to_owned()).into());
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
    if lines.is_empty() {
        bail!(
            "no questions: templates with a kind need --unanswerable, and questions need the names of their subjects"
        );
    }
    write_file(&args.out, (lines.join("\n") + "\n").as_bytes())?;
    note!("{} questions", lines.len());
    Ok(ExitCode::SUCCESS)
}
