//! `kexue ask`: one question, or a prompt for many.

use crate::output::{Usage, note, print, print_json};
use crate::search_flags::SearchFlags;
use anyhow::Result;
use clap::Args;
use kexue_kg::KnowledgeGraph;
use kexue_qa::{Answer, AskOptions, Candidate, Composite, ask, embedded, open_run};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Answer a question with a fact of a graph, or say "I don't know".
#[derive(Args)]
pub struct AskArgs {
    /// The question; without it, questions are read line by line.
    question: Option<String>,
    /// A graph built by `kexue kg build`, with --model; without both, the embedded one: countries and chemical elements.
    #[arg(long, requires = "model")]
    kg: Option<PathBuf>,
    /// The folder of a model trained by `kexue qa train`.
    #[arg(long, requires = "kg")]
    model: Option<PathBuf>,
    /// The least probability of an answer that is given, doubts included that the graph has it; below it, "I don't know" and exit code 1.
    #[arg(long, default_value_t = 0.5)]
    min_confidence: f64,
    /// Facts shown, the answer included.
    #[arg(long, default_value_t = 3)]
    top: usize,
    /// Show the choices on the way: what was allowed, and how probable.
    #[arg(long)]
    explain: bool,
    /// Print JSON, one object a question.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    search: SearchFlags,
}

/// Runs the command.
pub fn run(args: &AskArgs) -> Result<ExitCode> {
    if !(0.0..=1.0).contains(&args.min_confidence) {
        return Err(Usage(format!(
            "--min-confidence {} is not within 0 and 1",
            args.min_confidence
        ))
        .into());
    }
    let (graph, trained) = match (&args.kg, &args.model) {
        (Some(kg), Some(model)) => {
            let graph = KnowledgeGraph::open(kg)?;
            let trained = open_run(model, &graph)?;
            (graph, trained)
        }
        _ => embedded()?,
    };
    let options = AskOptions {
        search: args.search.apply(trained.config.search.clone())?,
        min_confidence: args.min_confidence,
        top: args.top,
        explain: args.explain,
    };
    let answer = |question: &str| -> Result<Answer> {
        let mut answers = ask(&graph, &trained.model, &options, &[question])?;
        answers
            .pop()
            .ok_or_else(|| anyhow::anyhow!("no answer to one question"))
    };
    if let Some(question) = &args.question {
        let answer = answer(question.trim_start_matches('\u{feff}'))?;
        show(&answer, args)?;
        return Ok(ExitCode::from(u8::from(!answer.is_answered())));
    }
    let terminal = std::io::stdin().is_terminal();
    if terminal {
        let about = if args.kg.is_some() {
            ""
        } else {
            " about countries and chemical elements, in Chinese or English"
        };
        note!("Ask{about}; an empty line ends.");
    }
    let mut input = std::io::stdin().lock();
    let (mut unknown, mut bad, mut number) = (0u64, 0u64, 0u64);
    loop {
        if terminal {
            std::io::stderr().write_all(b"> ")?;
        }
        let Some(line) = read_line(&mut input)? else { break };
        number += 1;
        let question = line.as_deref().map(|line| match number {
            // Some editors put a byte order mark before the first line.
            1 => line.trim_start_matches('\u{feff}').trim(),
            _ => line.trim(),
        });
        if question == Ok("") {
            if terminal {
                break;
            }
            continue;
        }
        let answered = match question {
            Ok(question) => answer(question).map_err(|error| match error.downcast_ref() {
                Some(kexue_qa::Error::Question(_)) => Failed::Question(error.to_string()),
                _ => Failed::Command(error),
            }),
            Err(problem) => Err(Failed::Question(format!("the question {problem}"))),
        };
        match answered {
            Ok(answer) => {
                unknown += u64::from(!answer.is_answered());
                show(&answer, args)?;
            }
            // One bad question ends neither a conversation nor a stream.
            Err(Failed::Question(error)) => {
                bad += 1;
                match (args.json, terminal) {
                    (true, _) => print_json(&json!({ "line": number, "error": error }))?,
                    (false, true) => note!("{error}"),
                    (false, false) => print(&format!("error: line {number}: {error}\n"))?,
                }
            }
            Err(Failed::Command(error)) => return Err(error.context(format!("line {number} of standard input"))),
        }
    }
    if bad > 0 && !terminal {
        note!("kexue: {bad} of {number} lines of standard input are no questions; see their errors");
        return Ok(ExitCode::from(3));
    }
    Ok(ExitCode::from(u8::from(unknown > 0)))
}

/// Why there is no answer.
enum Failed {
    /// The question is bad; others may be good.
    Question(String),
    /// No question can be answered.
    Command(anyhow::Error),
}

/// The most bytes of a line of standard input. Far shorter questions are too long for every model.
const LONGEST_LINE: u64 = 1 << 20;

/// The next line of a stream, or what is wrong with it; nothing at the end. No more of a line is kept than a question may have.
fn read_line(input: &mut impl BufRead) -> std::io::Result<Option<Result<String, &'static str>>> {
    let mut bytes = Vec::new();
    if input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.len() as u64 == LONGEST_LINE && !bytes.ends_with(b"\n") {
        input.skip_until(b'\n')?;
        return Ok(Some(Err("is longer than 1 MiB")));
    }
    Ok(Some(String::from_utf8(bytes).map_err(|_| "is not UTF-8 text")))
}

fn show(answer: &Answer, args: &AskArgs) -> Result<()> {
    if args.json {
        return print_json(answer);
    }
    let mut text = String::new();
    if answer.parts.is_empty() {
        describe(answer, args, &mut text)?;
    } else {
        writeln!(text, "{} questions in one:", answer.parts.len())?;
        for part in &answer.parts {
            writeln!(text, "{}", part.question)?;
            describe(part, args, &mut text)?;
        }
    }
    print(&text)
}

/// The answer by one fact.
fn describe(answer: &Answer, args: &AskArgs, text: &mut String) -> Result<()> {
    if args.explain {
        explain(answer, text)?;
    }
    let composite = answer.composite.map(Composite::reason);
    match answer.candidates.first() {
        Some(best) if answer.known => {
            writeln!(text, "{}", best.objects.join("; "))?;
            if let Some(reason) = composite {
                writeln!(text, "the question {reason}: this fact alone may not answer it")?;
            }
        }
        _ if composite.is_some() => {
            let reason = composite.unwrap_or_default();
            writeln!(text, "I don't know: the question {reason}; one fact cannot answer it")?;
        }
        _ if answer.lacking >= DOUBTFUL => {
            let lacking = 100.0 * answer.lacking;
            writeln!(
                text,
                "I don't know: the graph lacks the answer with a probability of {lacking:.1} %"
            )?;
        }
        _ => writeln!(text, "I don't know")?,
    }
    let best = answer.candidates.first();
    for reading in &answer.readings {
        if best.is_some_and(|best| best.subject == reading.subject) {
            writeln!(text, "  (took “{}” for {})", reading.words, reading.subject)?;
        }
    }
    for (rank, candidate) in answer.candidates.iter().enumerate() {
        let how = if answer.pinned && rank == 0 { " (pinned)" } else { "" };
        let objects = candidate.objects.join("; ");
        let subject = candidate.full_subject();
        writeln!(
            text,
            "  {subject} · {} · {objects}  {:.1} %{how}",
            candidate.relation,
            100.0 * candidate.probability
        )?;
        because(candidate, text)?;
    }
    Ok(())
}

/// From this probability on that the graph lacks the answer, it is said why nothing is known.
const DOUBTFUL: f64 = 0.25;

/// What speaks for a candidate and against it, the weightiest first.
fn because(candidate: &Candidate, text: &mut String) -> Result<()> {
    let mut reasons: Vec<_> = candidate.evidence.iter().filter(|reason| reason.logit != 0.0).collect();
    reasons.sort_by(|a, b| b.logit.abs().total_cmp(&a.logit.abs()));
    for (index, reason) in reasons.iter().take(SHOWN).enumerate() {
        let before = if index == 0 { "    because" } else { "," };
        write!(text, "{before} {} {:+.2}", reason.name.replace('_', " "), reason.logit)?;
    }
    if !reasons.is_empty() {
        writeln!(text)?;
    }
    Ok(())
}

/// Choices (and reasons) listed at most.
const SHOWN: usize = 8;

/// Choices after prefixes less probable than this are only counted.
const TOLD: f64 = 0.01;

fn explain(answer: &Answer, text: &mut String) -> Result<()> {
    let (told, untold): (Vec<_>, Vec<_>) = answer
        .choices
        .iter()
        .partition(|choice| choice.prefix_probability >= TOLD);
    for choice in told {
        let prefix = if choice.prefix.is_empty() {
            "(start)"
        } else {
            &choice.prefix
        };
        write!(
            text,
            "after {prefix} ({:.1} %), {} allowed:",
            100.0 * choice.prefix_probability,
            choice.allowed.len()
        )?;
        for (name, probability, gain) in choice.allowed.iter().take(SHOWN) {
            write!(text, "  {name} {:.1} %", 100.0 * probability)?;
            if *gain > 0 {
                write!(text, " (look-ahead +{gain})")?;
            }
        }
        if choice.allowed.len() > SHOWN {
            write!(text, "  …")?;
        }
        writeln!(text)?;
    }
    if !untold.is_empty() {
        writeln!(
            text,
            "and {} choices after less than {:.0} %",
            untold.len(),
            100.0 * TOLD
        )?;
    }
    Ok(())
}
