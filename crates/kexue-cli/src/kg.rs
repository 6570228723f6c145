//! `kexue kg`: build, inspect and change the index of a knowledge graph.

use crate::output::{Usage, note};
use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use kexue_kg::{
    BuildOptions, Change, CsvEscape, FactOrder, Format, GraphBuilder, GraphWriter, ImportOptions, ImportReport,
    KgError, KnowledgeGraph, Remedy, check_output, escape_name, import, log_path, open_text, unreadable,
};
use kexue_output::{folder_of, real_path};
use kexue_text::Vocabulary;
use kexue_trie::PrefixIndex;
use serde_json::json;
use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Knowledge graphs: build, inspect and change an index of facts.
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build an index from triples.
    Build(Build),
    /// Show what an index contains.
    Info(Info),
    /// Check every checksum and every invariant of an index.
    Verify(Verify),
    /// List the facts whose key begins with a prefix.
    Complete(Complete),
    /// Add an object to a fact, or a new fact, without rebuilding the index.
    Add(Add),
    /// Replace the objects of a fact.
    Replace(Replace),
    /// Remove an object, a fact, or all facts of a subject.
    Remove(Remove),
    /// Give a subject another name that questions may use.
    Alias(Alias),
    /// Answer a question with a given fact, regardless of the model.
    Pin(Pin),
    /// Let the model answer a pinned question again.
    Unpin(Unpin),
    /// Merge all changes into the index.
    Compact(Compact),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kexue kg build facts.tsv --vocab vocab.txt -o my.idx")]
struct Build {
    /// Files of triples, `.gz` and `.zst` too; `-` is standard input.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// The index to write.
    #[arg(short, long, alias = "output")]
    out: PathBuf,
    /// The format of the inputs [default: determined from each file's name].
    #[arg(long)]
    format: Option<Format>,
    /// Names of the columns of subject, relation and object, separated by commas: columns of a CSV header or of Parquet, or fields of JSON.
    #[arg(long, value_delimiter = ',', num_args = 1)]
    columns: Vec<String>,
    /// Skip the first line of TSV and CSV files, which names the columns.
    #[arg(long)]
    header: bool,
    /// Skip and count malformed lines instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
    /// How CSV escapes a quote inside a quoted field: `quote` for two quotes (RFC 4180), `backslash` for `\"` as well.
    #[arg(long, default_value = "quote")]
    csv_escape: CsvEscape,
    /// Add the inverse of each triple, `object ~relation subject`. Changes are then made in both directions.
    #[arg(long)]
    inverse: bool,
    /// Order of the parts of a key: `spm` (subject, relation, sense) or `smp`.
    #[arg(long, default_value_t)]
    order: FactOrder,
    /// Use this vocabulary instead of one counted from the names.
    #[arg(long, conflicts_with_all = ["keep_case", "fold_case", "max_characters"])]
    vocab: Option<PathBuf>,
    /// Distinguish upper and lower case of ASCII letters. By default case is ignored, so that questions need not match it.
    #[arg(long)]
    keep_case: bool,
    /// The default.
    #[arg(long, hide = true, conflicts_with = "keep_case")]
    fold_case: bool,
    /// Maximum number of characters in the vocabulary. The others are encoded as bytes.
    #[arg(long, default_value_t = 20_000)]
    max_characters: usize,
    /// A file of other names for subjects, which questions may use: lines `name<tab>alias[<tab>alias…]`.
    #[arg(long)]
    aliases: Option<PathBuf>,
    /// Limit the memory, as `512M` or `2G`: triples beyond it go to temporary files beside the index.
    #[arg(long, value_parser = bytes)]
    memory: Option<u64>,
    /// Print the counts as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kexue kg info my.idx")]
struct Info {
    /// The index.
    index: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kexue kg verify my.idx")]
struct Verify {
    /// The index.
    index: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kexue kg complete my.idx 水")]
struct Complete {
    /// The index, and the beginning of a fact: a subject or its start, with or without its sense in full-width brackets; then optionally a relation,
    /// and a sense or the objects, separated by tabs. Lines that this command prints are accepted.
    #[arg(required = true, num_args = 1..=2, value_names = ["INDEX", "PREFIX"])]
    index_and_prefix: Vec<String>,
    /// The index, if it is not given before the prefix.
    #[arg(long, hide = true)]
    kg: Option<PathBuf>,
    /// Maximum number of facts to list.
    #[arg(long, default_value_t = 20)]
    limit: u64,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kexue kg add my.idx 水 沸点 '99.97 °C'")]
struct Add {
    /// The index.
    index: PathBuf,
    /// The subject, its sense in full-width brackets at the end.
    subject: String,
    /// The relation.
    relation: String,
    /// The object.
    object: String,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kexue kg replace my.idx 水 沸点 '100 °C'")]
struct Replace {
    /// The index.
    index: PathBuf,
    /// The subject, its sense in full-width brackets at the end.
    subject: String,
    /// The relation.
    relation: String,
    /// The objects.
    #[arg(required = true)]
    objects: Vec<String>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kexue kg remove my.idx 水 沸点")]
struct Remove {
    /// The index.
    index: PathBuf,
    /// The subject, its sense in full-width brackets at the end.
    subject: String,
    /// The relation; without it, all facts of the subject are removed.
    relation: Option<String>,
    /// The object; without it, the whole fact is removed.
    object: Option<String>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kexue kg alias my.idx 水 water")]
struct Alias {
    /// The index.
    index: PathBuf,
    /// The subject, without its sense.
    subject: String,
    /// The other name.
    alias: String,
    /// Remove the alias.
    #[arg(long)]
    remove: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kexue kg pin my.idx 'how hot is boiling water?' 水 沸点")]
struct Pin {
    /// The index.
    index: PathBuf,
    /// The question.
    question: String,
    /// The subject, its sense in full-width brackets at the end.
    subject: String,
    /// The relation.
    relation: String,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kexue kg unpin my.idx 'how hot is boiling water?'")]
struct Unpin {
    /// The index.
    index: PathBuf,
    /// The question.
    question: String,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kexue kg compact my.idx")]
struct Compact {
    /// The index.
    index: PathBuf,
    /// Limit the memory, as `512M` or `2G`: triples beyond it go to temporary files beside the index.
    #[arg(long, value_parser = bytes)]
    memory: Option<u64>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(command: Command) -> Result<ExitCode> {
    match command.verb {
        Verb::Build(build) => build.run(),
        Verb::Info(info) => info.run(),
        Verb::Verify(verify) => verify.run(),
        Verb::Complete(complete) => complete.run(),
        Verb::Add(add) => change(
            &add.index,
            &Change::Add {
                subject: add.subject,
                relation: add.relation,
                object: add.object,
            },
            add.json,
        ),
        Verb::Replace(replace) => change(
            &replace.index,
            &Change::Replace {
                subject: replace.subject,
                relation: replace.relation,
                objects: replace.objects,
            },
            replace.json,
        ),
        Verb::Remove(remove) => change(
            &remove.index,
            &Change::Remove {
                subject: remove.subject,
                relation: remove.relation,
                object: remove.object,
            },
            remove.json,
        ),
        Verb::Alias(alias) => {
            let Alias {
                subject, alias: name, ..
            } = alias;
            let made = match alias.remove {
                false => Change::Alias { subject, alias: name },
                true => Change::Unalias { subject, alias: name },
            };
            change(&alias.index, &made, alias.json)
        }
        Verb::Pin(pin) => pin.run(),
        Verb::Unpin(unpin) => change(
            &unpin.index,
            &Change::Unpin {
                question: unpin.question,
            },
            unpin.json,
        ),
        Verb::Compact(compact) => compact.run(),
    }
}

/// Makes a change and reports it. Exit code 1 if there is nothing to change.
fn change(index: &Path, change: &Change, json: bool) -> Result<ExitCode> {
    let changed = GraphWriter::open(index)?.apply(change)?;
    if json {
        writeln!(std::io::stdout(), "{}", json!({ "changed": changed }))?;
    } else if changed {
        writeln!(std::io::stdout(), "{}: {}", log_path(index).display(), said(change))?;
    } else {
        note!("nothing to change");
    }
    Ok(ExitCode::from(u8::from(!changed)))
}

/// Names as `kexue kg complete` prints them: escaped, and separated by tabs.
fn line<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<_> = names.iter().map(|name| escape_name(name.as_ref())).collect();
    names.join("\t")
}

/// A change in words.
fn said(change: &Change) -> String {
    match change {
        Change::Add {
            subject,
            relation,
            object,
        } => format!("added {}", line(&[subject, relation, object])),
        Change::Replace {
            subject,
            relation,
            objects,
        } => format!("replaced with {}", line(&[subject, relation, &objects.join(" | ")])),
        Change::Remove {
            subject,
            relation,
            object,
        } => {
            let names: Vec<&String> = [Some(subject), relation.as_ref(), object.as_ref()]
                .into_iter()
                .flatten()
                .collect();
            format!("removed {}", line(&names))
        }
        Change::Alias { subject, alias } => {
            format!("{} is now an alias of {}", escape_name(alias), escape_name(subject))
        }
        Change::Unalias { subject, alias } => {
            format!(
                "{} is no longer an alias of {}",
                escape_name(alias),
                escape_name(subject)
            )
        }
        Change::Pin {
            question,
            subject,
            relation,
        } => format!("pinned {} to {}", escape_name(question), line(&[subject, relation])),
        Change::Unpin { question } => format!("unpinned {}", escape_name(question)),
    }
}

impl Pin {
    fn run(self) -> Result<ExitCode> {
        let graph = KnowledgeGraph::open(&self.index)?;
        if graph.key_of(&self.subject, &self.relation)?.is_none() {
            bail!(
                "{}: the graph has no fact `{}` `{}` to pin the question to; add it first with `kexue kg add`",
                self.index.display(),
                self.subject,
                self.relation
            );
        }
        let pin = Change::Pin {
            question: self.question,
            subject: self.subject,
            relation: self.relation,
        };
        change(&self.index, &pin, self.json)
    }
}

impl Compact {
    fn run(self) -> Result<ExitCode> {
        let report = GraphWriter::open(&self.index)?.compact(self.memory)?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", json!({ "report": report }))?;
        } else {
            writeln!(
                out,
                "{}: {} keys; all changes are merged",
                self.index.display(),
                report.keys
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A number of bytes with a unit: `800`, `64K`, `512M`, `2G`.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected a number of bytes such as `512M` or `2G`, found `{text}`");
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Advice on an error of a graph, in terms of commands and flags.
pub fn advice(error: &anyhow::Error) -> Option<String> {
    let error = match error.downcast_ref() {
        Some(kexue_qa::Error::Graph(error)) => error,
        _ => error.downcast_ref::<KgError>()?,
    };
    let advice: Vec<&str> = (error.remedies().into_iter())
        .filter_map(|remedy| match remedy {
            Remedy::Format => Some("state the format with --format"),
            Remedy::Columns => Some("name the three columns with --columns"),
            Remedy::NoColumns => Some("omit --columns, and skip a header with --header"),
            Remedy::SkipBad => Some("correct the line, or skip such lines with --skip-bad"),
            Remedy::CsvEscape => Some("if \\\" stands for a quote in this file, use --csv-escape backslash"),
            Remedy::Build => Some("build an index with `kexue kg build`"),
            Remedy::Compact => Some("merge the changes with `kexue kg compact`"),
            _ => None,
        })
        .collect();
    (!advice.is_empty()).then(|| advice.join("; "))
}

/// The error if the inputs have no facts.
fn nothing(imported: &ImportReport) -> KgError {
    let lines = match &imported.first_skipped {
        Some(first) => format!("; {} lines were skipped, the first: {first}", imported.skipped),
        None => String::new(),
    };
    KgError::Input {
        file: imported.empty.join(", "),
        problem: format!("no facts found; expected lines of subject, relation and object{lines}"),
    }
}

impl Build {
    fn run(self) -> Result<ExitCode> {
        let started = Instant::now();
        let columns = match <[String; 3]>::try_from(self.columns) {
            Ok(columns) => Some(columns),
            Err(columns) if columns.is_empty() => None,
            Err(columns) => {
                return Err(Usage(format!("--columns: expected three names, found {}", columns.len())).into());
            }
        };
        let read: Vec<PathBuf> = (self.inputs.iter().chain(&self.vocab).chain(&self.aliases))
            .cloned()
            .collect();
        check_output(&self.out, &read)?;
        let vocabulary = self.vocab.as_deref().map(Vocabulary::load).transpose()?;
        let mut builder = GraphBuilder::new(BuildOptions {
            order: self.order,
            inverse: self.inverse,
            vocabulary,
            fold_case: self.fold_case || !self.keep_case,
            max_characters: self.max_characters,
            memory: self.memory,
            temporary: Some(folder_of(&real_path(&self.out)).to_path_buf()),
        });
        let aliases = self
            .aliases
            .as_deref()
            .map(read_aliases)
            .transpose()?
            .unwrap_or_default();
        for (_, subject, alias) in &aliases {
            builder.alias(subject, alias)?;
        }
        // The length of a pipe is unknown.
        let total: Option<u64> = self
            .inputs
            .iter()
            .map(|path| std::fs::metadata(path).ok().map(|metadata| metadata.len()))
            .sum();
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(ProgressStyle::with_template(
                "reading {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
            )?),
            None => ProgressBar::new_spinner().with_style(ProgressStyle::with_template(
                "reading {bytes} {bytes_per_sec} {elapsed}",
            )?),
        };
        let options = ImportOptions {
            format: self.format,
            columns,
            header: self.header,
            skip_bad: self.skip_bad,
            csv_escape: self.csv_escape,
            workers: None,
        };
        let imported = import(&self.inputs, &options, &mut builder, &|bytes| bar.inc(bytes));
        bar.finish_and_clear();
        let imported = imported?;
        if builder.is_empty() {
            return Err(nothing(&imported).into());
        }
        for input in &imported.empty {
            note!("{input}: no facts found");
        }
        if let Some(first) = &imported.first_skipped {
            note!("skipped {} lines, the first: {first}", imported.skipped);
        }
        for header in &imported.likely_headers {
            note!("{header} looks like a header but was read as a fact; skip it with --header");
        }
        let spinner = ProgressBar::new_spinner().with_message("writing the index");
        spinner.enable_steady_tick(std::time::Duration::from_millis(100));
        let built = builder.finish(&self.out);
        spinner.finish_and_clear();
        let report = built?;
        if let Some(path) = &self.aliases {
            note_unknown(path, &aliases, &KnowledgeGraph::open(&self.out)?)?;
        }
        let bytes = std::fs::metadata(&self.out)?.len();
        let mut out = std::io::stdout().lock();
        if self.json {
            let line = json!({
                "read": imported.read, "skipped": imported.skipped, "report": report,
                "empty": imported.empty, "bytes": bytes, "seconds": started.elapsed().as_secs_f64(),
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(
                out,
                "read {} triples, skipped {} lines, dropped {} repeated, merged {} into keys of others",
                imported.read, imported.skipped, report.duplicates, report.merged
            )?;
            writeln!(
                out,
                "{} keys · {} subjects · {} relations · {} senses · {} tokens",
                report.keys, report.subjects, report.relations, report.senses, report.vocabulary
            )?;
            writeln!(
                out,
                "{}: {:.1} MB in {:.1} s",
                self.out.display(),
                bytes as f64 / 1e6,
                started.elapsed().as_secs_f64()
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The aliases of a file, each with its line and the subject before it.
fn read_aliases(path: &Path) -> Result<Vec<(usize, String, String)>> {
    let mut aliases = Vec::new();
    for (index, line) in open_text(path)?.lines().enumerate() {
        let line = line.map_err(|error| anyhow!("{}:{}: {}", path.display(), index + 1, unreadable(&error)))?;
        let mut names = line.split('\t').map(str::trim);
        let subject = names.next().unwrap_or_default();
        let names: Vec<&str> = names.collect();
        if line.trim().is_empty() {
            continue;
        }
        if subject.is_empty() || names.is_empty() || names.contains(&"") {
            let problem = "expected `name<tab>alias[<tab>alias…]` without empty fields";
            bail!("{}:{}: {problem}; found `{line}`", path.display(), index + 1);
        }
        aliases.extend(
            names
                .iter()
                .map(|alias| (index + 1, subject.to_owned(), (*alias).to_owned())),
        );
    }
    Ok(aliases)
}

/// Reports aliases whose subject is not in the graph.
fn note_unknown(path: &Path, aliases: &[(usize, String, String)], graph: &KnowledgeGraph) -> Result<()> {
    let mut unknown = Vec::new();
    for (line, subject, _) in aliases {
        if !graph.has_subject(subject)? {
            unknown.push((line, subject));
        }
    }
    if let Some((line, subject)) = unknown.first() {
        note!(
            "{} aliases have no subject in the graph, the first at {}:{line}: `{subject}`",
            unknown.len(),
            path.display()
        );
    }
    Ok(())
}

/// Reports bytes at the end of an index's log that are not a complete change.
fn note_unfinished(out: &mut impl Write, index: &Path, graph: &KnowledgeGraph) -> std::io::Result<()> {
    match graph.unfinished() {
        0 => Ok(()),
        bytes => writeln!(
            out,
            "{}: the last {bytes} bytes are ignored, since they are an incomplete change",
            log_path(index).display()
        ),
    }
}

impl Info {
    fn run(self) -> Result<ExitCode> {
        let graph = KnowledgeGraph::open(&self.index)?;
        let report = graph.report()?;
        let (changes, subjects) = graph.changes();
        let (keys, pins) = (graph.index().len(), graph.pins().count());
        let mut out = std::io::stdout().lock();
        let sections: Vec<(&str, u64)> = graph.container().sections().collect();
        if self.json {
            let sections: serde_json::Map<String, serde_json::Value> = sections
                .iter()
                .map(|&(name, length)| (name.to_owned(), length.into()))
                .collect();
            let line = json!({
                "order": graph.order().to_string(), "folds_case": graph.vocabulary().folds_case(),
                "inverse": graph.has_inverse(), "bytes": graph.container().len(), "report": report, "sections": sections,
                "changes": { "log": changes, "subjects": subjects, "pruned_keys": graph.pruned(), "unfinished_bytes": graph.unfinished() }, "keys": keys, "pins": pins,
            });
            writeln!(out, "{line}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let case = if graph.vocabulary().folds_case() {
            "folds case"
        } else {
            "keeps case"
        };
        let directions = if graph.has_inverse() { "both" } else { "as written" };
        writeln!(out, "{}", self.index.display())?;
        for (name, value) in [
            ("keys", report.keys.to_string()),
            ("subjects", report.subjects.to_string()),
            ("relations", report.relations.to_string()),
            ("senses", report.senses.to_string()),
            ("triples", report.triples.to_string()),
            ("order", graph.order().to_string()),
            ("directions", directions.to_owned()),
            ("vocabulary", format!("{} tokens, {case}", graph.vocabulary().len())),
            ("bytes", graph.container().len().to_string()),
        ] {
            writeln!(out, "{name:<12}{value}")?;
        }
        for (name, length) in sections {
            writeln!(out, "  {name:<28}{length:>14}")?;
        }
        writeln!(
            out,
            "{}\n{:<12}{changes}, of {subjects} subjects\nwith them\n{:<12}{keys}\n{:<12}{pins}",
            log_path(&self.index).display(),
            "changes",
            "keys",
            "pins"
        )?;
        if graph.pruned() > 0 {
            writeln!(out, "{:<12}{} keys, of large removals", "gone", graph.pruned())?;
        }
        note_unfinished(&mut out, &self.index, &graph)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Verify {
    fn run(self) -> Result<ExitCode> {
        let graph = KnowledgeGraph::open(&self.index)?;
        let bar = ProgressBar::new(graph.facts().len())
            .with_style(ProgressStyle::with_template("checking {bar:30} {pos}/{len} keys")?);
        let verified = graph.verify(&|keys| bar.inc(keys));
        bar.finish_and_clear();
        let keys = verified.with_context(|| self.index.display().to_string())?;
        let ((changes, _), merged) = (graph.changes(), graph.index().len());
        let mut out = std::io::stdout().lock();
        if self.json {
            let line = json!({ "keys": keys, "sound": true, "changes": changes, "keys_with_changes": merged, "unfinished_bytes": graph.unfinished() });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}: sound, {keys} keys", self.index.display())?;
            if changes > 0 {
                let log = log_path(&self.index);
                writeln!(
                    out,
                    "{}: sound, {changes} changes; {merged} keys with them",
                    log.display()
                )?;
            }
            note_unfinished(&mut out, &self.index, &graph)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Complete {
    fn run(self) -> Result<ExitCode> {
        let (index, prefix) = match (&self.index_and_prefix[..], &self.kg) {
            ([prefix], Some(index)) => (index.clone(), prefix),
            ([index, prefix], None) => (PathBuf::from(index), prefix),
            _ => {
                return Err(Usage(
                    "give the index and the beginning of a fact: kexue kg complete my.idx 水".to_owned(),
                )
                .into());
            }
        };
        let graph = KnowledgeGraph::open(&index)?;
        let (keys, total) = graph.complete(prefix, self.limit)?;
        let mut out = std::io::stdout().lock();
        let mut printed = Ok(());
        graph.visit_keys(&keys, &mut |_, fact| {
            printed = if self.json {
                let object = json!({
                    "subject": fact.subject, "sense": fact.sense, "relation": fact.relation, "objects": fact.objects,
                });
                writeln!(out, "{object}")
            } else {
                let names = [fact.full_subject(), fact.relation, fact.objects.join(" | ")];
                writeln!(out, "{}", line(&names))
            };
            match printed {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        printed?;
        if total > keys.len() as u64 {
            note!("{} of {total} facts; --limit shows more", keys.len());
        }
        Ok(if total == 0 {
            note!("no fact has this beginning");
            ExitCode::from(1)
        } else {
            ExitCode::SUCCESS
        })
    }
}
