//! `kexue vocab`: make a vocabulary of the characters of texts.

use crate::output::note;
use anyhow::Result;
use clap::Args;
use kexue_kg::{open_text, unreadable};
use kexue_output::{check_output, write_file};
use kexue_text::VocabularyBuilder;
use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;

/// Make a vocabulary of the characters of texts. Give both triples and questions, so that the characters of both have tokens.
#[derive(Args)]
#[command(after_help = "Example:\n  kexue vocab facts.tsv questions.tsv -o vocab.txt")]
pub struct VocabArgs {
    /// Text files, `.gz` and `.zst` too.
    #[arg(required = true)]
    texts: Vec<PathBuf>,
    /// The file to write, for `kexue kg build --vocab`.
    #[arg(long, short)]
    out: PathBuf,
    /// Distinguish upper and lower case of ASCII letters. By default case is ignored, so that questions need not match it.
    #[arg(long)]
    keep_case: bool,
    /// The default.
    #[arg(long, hide = true, conflicts_with = "keep_case")]
    fold_case: bool,
    /// Maximum number of characters. The others are encoded as bytes.
    #[arg(long, default_value_t = 20_000)]
    max_characters: usize,
    /// Minimum number of occurrences of a character.
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
