//! `kexue ask`: one question, or a prompt for many.

mod editor;
mod greeting;
mod reasons;
mod reply;

use crate::inference_flags::InferenceFlags;
use crate::language::{self, Language};
use crate::output::{Usage, note, print, print_json};
use crate::search_flags::SearchFlags;
use anyhow::Result;
use clap::Args;
use editor::{LineEditor, Typed};
use kexue_kg::KnowledgeGraph;
use kexue_qa::{Answer, AskOptions, Trained, ask, embedded, open_run};
use reply::Reply;
use serde_json::json;
use std::io::{BufRead, IsTerminal, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Answer a question with a fact of a graph, or say "I don't know".
#[derive(Args)]
#[command(after_help = "\
Examples:
  kexue ask What is the capital of France
  kexue ask 铁的熔点是多少？ --explain
  kexue ask                                          # a prompt; one question a line where the input is no terminal
  kexue ask --kg my.idx --model runs/my --json < questions.txt")]
pub struct AskArgs {
    /// The question, with or without quotes around it; without a question, questions are read line by line.
    question: Vec<String>,
    /// A graph built by `kexue kg build`, with --model; without both, the embedded one: countries and chemical elements.
    #[arg(long, requires = "model")]
    kg: Option<PathBuf>,
    /// The folder of a model trained by `kexue qa train`.
    #[arg(long, requires = "kg")]
    model: Option<PathBuf>,
    /// Minimum probability of an answer, which includes the doubt whether the graph has it. Below it: "I don't know", and exit code 1.
    #[arg(long, default_value_t = 0.5)]
    min_confidence: f64,
    /// Number of facts to show, including the answer.
    #[arg(long, default_value_t = 3)]
    top: usize,
    /// Explain how the answer was found: the allowed choices and their probabilities.
    #[arg(long)]
    explain: bool,
    /// Print JSON, one object per question.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    inference: InferenceFlags,
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
    args.inference.check()?;
    let (graph, mut trained) = match (&args.kg, &args.model) {
        (Some(kg), Some(model)) => {
            let graph = KnowledgeGraph::open(kg)?;
            let trained = open_run(model, &graph)?;
            (graph, trained)
        }
        _ => embedded()?,
    };
    args.inference.prepare(&mut trained.model)?;
    let options = AskOptions {
        search: args.search.apply(trained.config.search.clone())?,
        min_confidence: args.min_confidence,
        top: args.top,
        explain: args.explain,
    };
    let respondent = Respondent {
        args,
        graph: &graph,
        trained: &trained,
        options,
    };
    if !args.question.is_empty() {
        let question = args.question.join(" ");
        let known = respondent.respond(question.trim_start_matches('\u{feff}'))?;
        return Ok(ExitCode::from(u8::from(!known)));
    }
    match std::io::stdin().is_terminal() {
        true => respondent.converse(),
        false => respondent.stream(),
    }
}

/// The graph, the model and the options that answer.
struct Respondent<'a> {
    args: &'a AskArgs,
    graph: &'a KnowledgeGraph,
    trained: &'a Trained,
    options: AskOptions,
}

impl Respondent<'_> {
    fn language(&self) -> Language {
        language::of_environment()
    }

    /// Prints the answer to a question, and returns whether there is one. A greeting gets a list of what can be asked.
    fn respond(&self, question: &str) -> Result<bool> {
        if !self.args.json && greeting::is_greeting(self.graph, question)? {
            print(&self.welcome()?)?;
            return Ok(true);
        }
        let answer = self.answer(question)?;
        let reply = Reply {
            graph: self.graph,
            language: self.language(),
            explain: self.args.explain,
        };
        match self.args.json {
            true => print_json(&answer)?,
            false => print(&reply.text(&answer)?)?,
        }
        Ok(answer.is_answered())
    }

    fn answer(&self, question: &str) -> Result<Answer> {
        let mut answers = ask(self.graph, &self.trained.model, &self.options, &[question])?;
        answers
            .pop()
            .ok_or_else(|| anyhow::anyhow!("no answer to one question"))
    }

    /// A list of what can be asked.
    fn welcome(&self) -> Result<String> {
        let is_embedded = self.args.kg.is_none();
        let examples = match is_embedded {
            true => greeting::EMBEDDED_EXAMPLES.map(str::to_owned).to_vec(),
            false => {
                let options = AskOptions {
                    explain: false,
                    ..self.options.clone()
                };
                greeting::examples(self.graph, &self.trained.model, &options)?
            }
        };
        Ok(greeting::welcome(is_embedded, &examples, self.language()))
    }

    /// Answers questions typed on a terminal.
    fn converse(&self) -> Result<ExitCode> {
        let mut editor = LineEditor::new(self.graph).map_err(std::io::Error::other)?;
        let (welcome, help) = (self.welcome()?, greeting::prompt_help(self.language()));
        note!("{welcome}{}", help.trim_end());
        let mut unknown = 0u64;
        loop {
            let line = match editor.read()? {
                Typed::Line(line) => line,
                Typed::Garbage => {
                    note!("the question is not UTF-8");
                    continue;
                }
                Typed::End => break,
                Typed::Interrupt => return Ok(ExitCode::from(130)),
            };
            let question = line.trim();
            match question.to_lowercase().as_str() {
                "" | "quit" | "exit" | ":q" | "退出" => break,
                "help" | "?" | "帮助" => {
                    print(&format!("{welcome}{help}"))?;
                    continue;
                }
                _ => {}
            }
            match self.respond(question).map_err(Failed::of) {
                Ok(known) => unknown += u64::from(!known),
                // One bad question does not end a conversation.
                Err(Failed::Question(error)) if self.args.json => print_json(&json!({ "error": error }))?,
                Err(Failed::Question(error)) => note!("{error}"),
                Err(Failed::Command(error)) => return Err(error),
            }
        }
        Ok(ExitCode::from(u8::from(unknown > 0)))
    }

    /// Answers one question per line of standard input.
    fn stream(&self) -> Result<ExitCode> {
        let mut input = std::io::stdin().lock();
        let (mut unknown, mut bad, mut number) = (0u64, 0u64, 0u64);
        while let Some(line) = read_line(&mut input)? {
            number += 1;
            let question = line.as_deref().map(|line| match number {
                // Some editors put a byte order mark before the first line.
                1 => line.trim_start_matches('\u{feff}').trim(),
                _ => line.trim(),
            });
            let known = match question {
                Ok("") => continue,
                Ok(question) => self.respond(question).map_err(Failed::of),
                Err(problem) => Err(Failed::Question(format!("the question {problem}"))),
            };
            match known {
                Ok(known) => unknown += u64::from(!known),
                // One bad question does not end a stream.
                Err(Failed::Question(error)) => {
                    bad += 1;
                    match self.args.json {
                        true => print_json(&json!({ "line": number, "error": error }))?,
                        false => print(&format!("error: line {number}: {error}\n"))?,
                    }
                }
                Err(Failed::Command(error)) => return Err(error.context(format!("line {number} of standard input"))),
            }
        }
        if bad > 0 {
            note!("kexue: {bad} of {number} lines of standard input are no questions; see their errors");
            return Ok(ExitCode::from(3));
        }
        Ok(ExitCode::from(u8::from(unknown > 0)))
    }
}

/// Why there is no answer.
enum Failed {
    /// The question is invalid; others may be valid.
    Question(String),
    /// No question can be answered.
    Command(anyhow::Error),
}

impl Failed {
    fn of(error: anyhow::Error) -> Self {
        match error.downcast_ref() {
            Some(kexue_qa::Error::Question(_)) => Self::Question(error.to_string()),
            _ => Self::Command(error),
        }
    }
}

/// Maximum number of bytes of a line of standard input. Every model refuses far shorter questions.
const LONGEST_LINE: u64 = 1 << 20;

/// The next line of a stream, or what is wrong with it; `None` at the end. Of a longer line than a question may be, only the beginning is kept.
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
