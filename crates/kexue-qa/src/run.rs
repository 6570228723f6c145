//! The folder of a trained model: `config.toml`, `vocab.txt`, `model.safetensors`.

use crate::search::SearchOptions;
use crate::task::QaSettings;
use crate::{Error, Result};
use kexue_kg::KnowledgeGraph;
use kexue_nn::{Model, TransformerConfig};
use kexue_text::Vocabulary;
use kexue_train::TrainSettings;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything that makes a run what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The version of Kexue that wrote it.
    pub version: String,
    /// Names of the question files.
    pub questions: Vec<String>,
    /// One line in so many was kept for validation; 0 for none.
    pub hold_out: usize,
    /// The model.
    pub model: TransformerConfig,
    /// The training.
    pub train: TrainSettings,
    /// How training questions were made.
    pub qa: QaSettings,
    /// How questions are answered unless said otherwise.
    pub search: SearchOptions,
}

impl RunConfig {
    /// The text of `config.toml`.
    ///
    /// # Errors
    /// When a value cannot be written in TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|error| Error::File {
            path: "config.toml".into(),
            problem: error.to_string(),
        })
    }

    /// Reads the text of `config.toml`; `path` is for messages.
    ///
    /// # Errors
    /// Names the field that is missing or not as expected.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| Error::File {
            path: path.to_path_buf(),
            problem: error.to_string(),
        })
    }
}

/// A trained model with its vocabulary.
#[derive(Clone, Debug)]
pub struct Trained {
    /// How it was made.
    pub config: RunConfig,
    /// Its tokens.
    pub vocabulary: Vocabulary,
    /// Its parameters.
    pub model: Model,
}

impl Trained {
    /// Opens a run's folder.
    ///
    /// # Errors
    /// Names the file that is missing, damaged, or does not fit the others.
    pub fn open(folder: &Path) -> Result<Self> {
        let at = |name: &str| folder.join(name);
        let read = |name: &str| std::fs::read(at(name)).map_err(|source| Error::Io { path: at(name), source });
        let text = |name: &str| {
            String::from_utf8(read(name)?).map_err(|_| Error::File {
                path: at(name),
                problem: "is not UTF-8 text".to_owned(),
            })
        };
        Self::from_parts(
            &text("config.toml")?,
            &text("vocab.txt")?,
            &read("model.safetensors")?,
            folder,
        )
    }

    /// A model from the contents of its three files; `folder` is for messages.
    ///
    /// # Errors
    /// As [`Trained::open`].
    pub fn from_parts(config: &str, vocabulary: &str, weights: &[u8], folder: &Path) -> Result<Self> {
        let problem = |name: &str, problem: String| Error::File {
            path: folder.join(name),
            problem,
        };
        let config = RunConfig::from_toml(config, &folder.join("config.toml"))?;
        let vocabulary = Vocabulary::from_text(vocabulary).map_err(|error| problem("vocab.txt", error.to_string()))?;
        if vocabulary.len() != config.model.vocab_size {
            let found = format!(
                "has {} tokens, but config.toml says {}",
                vocabulary.len(),
                config.model.vocab_size
            );
            return Err(problem("vocab.txt", found));
        }
        let model = Model::from_safetensors(config.model.clone(), weights)
            .map_err(|error| problem("model.safetensors", error.to_string()))?;
        Ok(Self {
            config,
            vocabulary,
            model,
        })
    }

    /// Checks that graph and model speak of the same tokens.
    ///
    /// # Errors
    /// When they do not.
    pub fn check(&self, graph: &KnowledgeGraph) -> Result<()> {
        let (mine, its) = (&self.vocabulary, graph.vocabulary());
        let alike = mine.folds_case() == its.folds_case() && mine.characters() == its.characters();
        if alike { Ok(()) } else { Err(Error::Vocabulary) }
    }
}
