//! The folder of a run: `config.toml`, `vocab.txt`, `model.safetensors`, beside what training writes.

use crate::{TrainError, write_by_rename};
use kexue_nn::{Model, TransformerConfig};
use kexue_text::Vocabulary;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Everything that makes a run what it is: the content of `config.toml`.
pub trait RunConfig: Serialize + DeserializeOwned {
    /// The model.
    fn model(&self) -> &TransformerConfig;

    /// The text of `config.toml`.
    ///
    /// # Errors
    /// When a value cannot be written in TOML.
    fn to_toml(&self) -> Result<String, TrainError> {
        toml::to_string_pretty(self).map_err(|error| TrainError::file("config.toml", error))
    }

    /// Reads the text of `config.toml`; `path` is for messages.
    ///
    /// # Errors
    /// Names the field that is missing or not as expected.
    fn from_toml(text: &str, path: &Path) -> Result<Self, TrainError> {
        toml::from_str(text).map_err(|error| TrainError::file(path, error))
    }
}

/// A trained model with its vocabulary and how it was made.
#[derive(Clone, Debug)]
pub struct Run<C> {
    /// How it was made.
    pub config: C,
    /// Its tokens.
    pub vocabulary: Vocabulary,
    /// Its parameters.
    pub model: Model,
}

impl<C: RunConfig> Run<C> {
    /// Opens a run's folder.
    ///
    /// # Errors
    /// Names the file that is missing, damaged, or does not fit the others.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let read = |name: &str| std::fs::read(folder.join(name)).map_err(TrainError::io(folder.join(name)));
        let text = |name: &str| {
            let problem = |_| TrainError::file(folder.join(name), "is not UTF-8 text");
            String::from_utf8(read(name)?).map_err(problem)
        };
        let (config, vocabulary) = (text("config.toml")?, text("vocab.txt")?);
        Self::from_parts(&config, &vocabulary, &read("model.safetensors")?, folder)
    }

    /// A model from the contents of its three files; `folder` is for messages.
    ///
    /// # Errors
    /// As [`Run::open`].
    pub fn from_parts(config: &str, vocabulary: &str, weights: &[u8], folder: &Path) -> Result<Self, TrainError> {
        let config = C::from_toml(config, &folder.join("config.toml"))?;
        let at = folder.join("vocab.txt");
        let vocabulary = Vocabulary::from_text(vocabulary).map_err(|error| TrainError::file(&at, error))?;
        let expected = config.model().vocab_size;
        if vocabulary.len() != expected {
            let problem = format!("has {} tokens, but config.toml says {expected}", vocabulary.len());
            return Err(TrainError::file(at, problem));
        }
        let model = Model::from_safetensors(config.model().clone(), weights)
            .map_err(|error| TrainError::file(folder.join("model.safetensors"), error))?;
        Ok(Self {
            config,
            vocabulary,
            model,
        })
    }
}

/// Makes the folder of a run that is to start or to be resumed; returns the text of its `config.toml`.
///
/// # Errors
/// When the folder holds a run with other settings, or cannot be written.
pub fn prepare(folder: &Path, config: &impl RunConfig, vocabulary: &Vocabulary) -> Result<String, TrainError> {
    let description = config.to_toml()?;
    std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    // Nothing of another run is overwritten.
    let tokens = vocabulary.to_text();
    for (name, text, what) in [
        ("config.toml", &description, "settings"),
        ("vocab.txt", &tokens, "tokens"),
    ] {
        let path = folder.join(name);
        match std::fs::read(&path) {
            Ok(bytes) if bytes == text.as_bytes() => {}
            Ok(_) => {
                let problem =
                    format!("the folder holds a run with other {what}; use another --out, or delete the folder");
                return Err(TrainError::file(path, problem));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => write_by_rename(&path, text.as_bytes())?,
            Err(error) => return Err(TrainError::io(path)(error)),
        }
    }
    Ok(description)
}
