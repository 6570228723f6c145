//! A model on disk: the folder of a run of any kind, or of a Hugging Face model.

use crate::transformer::pretrained_tokenizer;
use crate::{Run, RunConfig, RunTokens as _, TrainError, TransformerRunConfig};
use kexue_nn::{Model, Pretrained, TransformerConfig};
use kexue_text::Tokenizer;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A model on disk.
#[derive(Clone, Debug)]
pub struct SavedModel {
    /// The model.
    pub model: Model,
    folder: PathBuf,
    /// The tokens of a run. Those of a Hugging Face model are read on demand.
    tokenizer: Option<Tokenizer>,
}

/// The part of a configuration that runs of every kind have.
#[derive(Serialize, Deserialize)]
struct AnyConfig {
    model: TransformerConfig,
}

impl RunConfig for AnyConfig {}

impl TransformerRunConfig for AnyConfig {
    fn model(&self) -> &TransformerConfig {
        &self.model
    }
}

impl SavedModel {
    /// Opens the folder of any run, or of a Hugging Face model of BERT or RoFormer.
    ///
    /// # Errors
    /// Names the missing or damaged file; says what the folder is if it is something else.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let has = |name: &str| folder.join(name).exists();
        if folder.exists() && !has("config.toml") && !has("config.json") {
            let problem = "holds neither config.toml nor config.json: give the folder of a run, or of a Hugging Face model of BERT or RoFormer";
            return Err(TrainError::file(folder, problem));
        }
        let folder = folder.to_path_buf();
        if has("config.toml") || !has("config.json") {
            let run = Run::<AnyConfig, Tokenizer>::open(&folder)?;
            return Ok(Self {
                model: run.model,
                folder,
                tokenizer: Some(run.vocabulary),
            });
        }
        let model = Pretrained::load(&folder).map_err(TrainError::task)?.model;
        Ok(Self {
            model,
            folder,
            tokenizer: None,
        })
    }

    /// Whether its tokens are those of a pretrained tokenizer, not of a Kexue vocabulary.
    pub fn has_pretrained_tokens(&self) -> bool {
        !matches!(self.tokenizer, Some(Tokenizer::Vocabulary(_)))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its tokens.
    ///
    /// # Errors
    /// If a Hugging Face model has no readable tokenizer, or one with more tokens than the model.
    pub fn tokenizer(&self) -> Result<Tokenizer, TrainError> {
        if let Some(tokenizer) = &self.tokenizer {
            return Ok(tokenizer.clone());
        }
        let tokenizer = pretrained_tokenizer(&self.folder)?;
        match tokenizer.problem(self.model.config().vocab_size) {
            None => Ok(tokenizer),
            Some(problem) => Err(TrainError::file(&self.folder, format!("its tokenizer {problem}"))),
        }
    }
}
