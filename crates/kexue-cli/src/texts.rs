//! Reads the texts of training and evaluation.

use anyhow::Result;
use kexue_kg::{open_text, unreadable};
use kexue_output::read_text;
use kexue_text::{Corpus, TextEncoder, Vocabulary, VocabularyBuilder};
use kexue_train::TrainError;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// Reads text files (plain, `.gz` or `.zst`) as documents of tokens: those to train on, and the held-out ones. One document in `hold_out` of each
/// file is held out, so that the choice does not depend on the other files.
pub fn read_corpus(paths: &[PathBuf], encoder: &dyn TextEncoder, hold_out: usize) -> Result<(Corpus, Corpus)> {
    let (mut kept, mut held_out) = (Corpus::default(), Corpus::default());
    for path in paths {
        let mut corpus = Corpus::default();
        let problem = |error| TrainError::file(path, unreadable(&error));
        corpus.read(open_text(path)?, encoder).map_err(problem)?;
        if corpus.is_empty() {
            return Err(TrainError::file(path, "holds no text").into());
        }
        let (more_kept, more_held_out) = corpus.hold_out(hold_out);
        kept.append(&more_kept);
        held_out.append(&more_held_out);
    }
    Ok((kept, held_out))
}

/// Reads a vocabulary file, or counts the most frequent characters of the texts.
pub fn open_vocabulary(path: Option<&Path>, texts: &[PathBuf], max_characters: usize) -> Result<Vocabulary> {
    if let Some(path) = path {
        let text = read_text(path).map_err(TrainError::io(path))?;
        return Ok(Vocabulary::from_text(&text).map_err(|error| TrainError::file(path, error))?);
    }
    let mut builder = VocabularyBuilder::new().max_characters(max_characters);
    for path in texts {
        for (number, line) in open_text(path)?.lines().enumerate() {
            let problem = |error| {
                let text = format!("{}:{}", path.display(), number + 1);
                TrainError::file(text, unreadable(&error))
            };
            builder.count(&line.map_err(problem)?);
        }
    }
    Ok(builder.build())
}
