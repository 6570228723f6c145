//! The configuration of a training run.

use crate::MlmSettings;
use kexue_nn::TransformerConfig;
use kexue_text::Tokenizer;
use kexue_train::{Run, TrainError, TrainSettings};
use serde::{Deserialize, Serialize};

/// The full configuration of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlmConfig {
    /// The version of Kexue that wrote it.
    pub version: String,
    /// Names of the text files.
    pub texts: Vec<String>,
    /// The folder of the run it was warm-started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The configuration of the Transformer.
    pub model: TransformerConfig,
    /// The settings of training.
    pub train: TrainSettings,
    /// Sequences and masks.
    pub mlm: MlmSettings,
}

impl kexue_train::RunConfig for MlmConfig {
    const KIND: &'static str = "mlm";

    fn validate(&self) -> Result<(), TrainError> {
        self.mlm.validate()
    }

    fn can_be_extended(&self) -> bool {
        self.train.can_be_extended()
    }
}

impl kexue_train::TransformerRunConfig for MlmConfig {
    fn model(&self) -> &TransformerConfig {
        &self.model
    }
}

/// A trained model with its tokens.
pub type TrainedMlm = Run<MlmConfig, Tokenizer>;
