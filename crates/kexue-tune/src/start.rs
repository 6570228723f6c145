//! The model to fine-tune: a Hugging Face folder, or a run of `kexue mlm train`.

use kexue_nn::Pretrained;
use kexue_text::{PretrainedTokenizer, Tokenizer};
use kexue_train::{SavedModel, TrainError};
use std::path::Path;

/// A pretrained model and its tokenizer.
#[derive(Clone, Debug)]
pub struct Start {
    /// The model, and BERT's pooler if there is one.
    pub pretrained: Pretrained,
    /// Its tokenizer.
    pub tokenizer: PretrainedTokenizer,
}

impl Start {
    /// Opens a Hugging Face folder of BERT or RoFormer (with a `config.json`, such as that of a fine-tuned model), or the folder of a run.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another model. The error names it.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        if folder.join("config.json").exists() {
            return Ok(Self {
                pretrained: Pretrained::load(folder).map_err(TrainError::task)?,
                tokenizer: PretrainedTokenizer::load(folder).map_err(TrainError::task)?,
            });
        }
        let saved = SavedModel::open(folder)?;
        let tokenizer = match saved.tokenizer()? {
            Tokenizer::Vocabulary(vocabulary) => {
                PretrainedTokenizer::try_from(&vocabulary).map_err(TrainError::task)?
            }
            Tokenizer::Pretrained(encoder) => encoder.tokenizer(),
        };
        Ok(Self {
            pretrained: Pretrained::new(saved.model),
            tokenizer,
        })
    }
}
