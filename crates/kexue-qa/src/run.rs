//! The configuration of a question-answering run, and trained models on disk.

use crate::options::SearchOptions;
use crate::rerank::Reranker;
use crate::task::QaSettings;
use crate::{Error, Result};
use kexue_kg::KnowledgeGraph;
use kexue_nn::TransformerConfig;
use kexue_train::{Run, TrainSettings};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The configuration of a run: together with the input files it determines the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QaConfig {
    /// The version of Kexue that wrote the file.
    pub version: String,
    /// The graph's file.
    #[serde(default)]
    pub kg: String,
    /// The question files.
    pub questions: Vec<String>,
    /// The file of validation questions, if it is a separate one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<String>,
    /// One line in so many of each question file is held out for validation; 0 for none.
    pub hold_out: usize,
    /// How many questions are decoded at each validation.
    #[serde(default)]
    pub validate_on: usize,
    /// The folder of the run whose weights the training starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The model.
    pub model: TransformerConfig,
    /// The training.
    pub train: TrainSettings,
    /// How training questions are made.
    pub qa: QaSettings,
    /// How questions are answered by default.
    pub search: SearchOptions,
}

impl kexue_train::RunConfig for QaConfig {
    const KIND: &'static str = "qa";

    fn can_be_extended(&self) -> bool {
        self.train.can_be_extended()
    }
}

impl kexue_train::TransformerRunConfig for QaConfig {
    fn model(&self) -> &TransformerConfig {
        &self.model
    }
}

/// A trained model with its vocabulary.
pub type Trained = Run<QaConfig>;

/// Opens the folder of a run to answer questions from a graph. Includes the weights of learned rescoring if the run has them.
///
/// # Errors
/// If a file is missing, damaged, or does not fit the others; if model and graph have different vocabularies.
pub fn open_run(folder: &Path, graph: &KnowledgeGraph) -> Result<Trained> {
    let mut trained = open_model(folder, graph)?;
    trained.config.search.reranker = Reranker::open(folder)?.map(Into::into);
    trained.config.search.validate().map_err(|error| Error::File {
        path: folder.join("config.toml"),
        problem: format!("search.{error}"),
    })?;
    Ok(trained)
}

/// As [`open_run`], but without learned rescoring: its file may be missing or damaged.
///
/// # Errors
/// As [`open_run`].
pub fn open_model(folder: &Path, graph: &KnowledgeGraph) -> Result<Trained> {
    let trained = Trained::open(folder)?;
    check_vocabulary(&trained, graph)?;
    Ok(trained)
}

/// Checks that a model reads questions of any length, and that it has the graph's vocabulary.
pub(crate) fn check_vocabulary(trained: &Trained, graph: &KnowledgeGraph) -> Result<()> {
    if trained.config.model.longest_sequence().is_some() {
        return Err(Error::Positions);
    }
    if trained.vocabulary.same_tokens(graph.vocabulary()) {
        Ok(())
    } else {
        Err(Error::Vocabulary)
    }
}
