//! `kexue vocab`: count a vocabulary from texts.

use crate::output::note;
use anyhow::Result;
use clap::Args;
use kexue_kg::{open_text, unreadable};
use kexue_output::{check_output, write_file};
use kexue_text::VocabularyBuilder;
use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;

/// Count a vocabulary from texts: triples and questions, so that the characters of both have a token.
#[derive(Args)]
#[command(after_help = "Example:\n  kexue vocab facts.tsv questions.tsv -o vocab.txt")]
pub struct VocabArgs {
    /// Text files, `.gz` and `.zst` too.
    #[arg(required = true)]
    texts: Vec<PathBuf>,
    /// The file to write, for `kexue kg build --vocab`.
    #[arg(long, short)]
    out: PathBuf,
    /// Tell capital ASCII letters from small ones. By default they are folded, so that questions need not match the case.
    #[arg(long)]
    keep_case: bool,
    /// What is the default now.
    #[arg(long, hide = true, conflicts_with = "keep_case")]
    fold_case: bool,
    /// The most characters; the others are spelt in bytes.
    #[arg(long, default_value_t = 20_000)]
    max_characters: usize,
    /// The fewest times that a character must have been seen.
    #[arg(long, default_value_t = 1)]
    min_count: u64,
}

/// Runs the command.
pub fn run(args: &VocabArgs) -> Result<ExitCode> {
    check_output(&args.out, &args.texts)?;
    let mut builder = VocabularyBuilder::new()
        .fold_case(args.fold_case || !args.keep_case)
        .max_characters(args.max_characters)
        .min_count(args.min_count);
    for path in &args.texts {
        let mut is_empty = true;
        for (index, line) in open_text(path)?.lines().enumerate() {
            let line = line.map_err(|error| kexue_qa::Error::Line {
                path: path.clone(),
                line: index + 1,
                problem: unreadable(&error),
            })?;
            is_empty &= line.trim().is_empty();
            builder.count(&line);
        }
        if is_empty {
            return Err(kexue_qa::Error::File {
                path: path.clone(),
                problem: "holds no text".to_owned(),
            }
            .into());
        }
    }
    let vocabulary = builder.build();
    write_file(&args.out, vocabulary.to_text().as_bytes())?;
    note!("{} characters", vocabulary.characters().len());
    Ok(ExitCode::SUCCESS)
}
