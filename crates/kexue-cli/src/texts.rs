//! Texts that models are trained on or shown.

use anyhow::Result;
use kexue_kg::open_text;
use kexue_text::{Corpus, TextEncoder, Vocabulary, VocabularyBuilder};
use kexue_train::TrainError;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// The documents of text files, `.gz` and `.zst` too, as tokens.
pub fn read_corpus(paths: &[PathBuf], encoder: &dyn TextEncoder) -> Result<Corpus> {
    let mut corpus = Corpus::default();
    for path in paths {
        let problem = |error| TrainError::file(path, format!("cannot be read: {error}; the text must be UTF-8"));
        let before = corpus.len();
        corpus.read(open_text(path)?, encoder).map_err(problem)?;
        if corpus.len() == before {
            return Err(TrainError::file(path, "holds no text").into());
        }
    }
    Ok(corpus)
}

/// A vocabulary file, or without one the most frequent characters of the texts.
pub fn open_vocabulary(path: Option<&Path>, texts: &[PathBuf], max_characters: usize) -> Result<Vocabulary> {
    if let Some(path) = path {
        let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
        return Ok(Vocabulary::from_text(&text).map_err(|error| TrainError::file(path, error))?);
    }
    let mut builder = VocabularyBuilder::new().max_characters(max_characters);
    for path in texts {
        for (number, line) in open_text(path)?.lines().enumerate() {
            let problem = |error| {
                let text = format!("line {} cannot be read: {error}; the text must be UTF-8", number + 1);
                TrainError::file(path, text)
            };
            builder.count(&line.map_err(problem)?);
        }
    }
    Ok(builder.build())
}
