//! What a run of question answering is made of.

use crate::options::SearchOptions;
use crate::rerank::Reranker;
use crate::task::QaSettings;
use crate::{Error, Result};
use kexue_kg::KnowledgeGraph;
use kexue_nn::TransformerConfig;
use kexue_train::{Run, TrainSettings};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything that makes a run what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The version of Kexue that wrote it.
    pub version: String,
    /// Name of the graph's file.
    #[serde(default)]
    pub kg: String,
    /// Names of the question files.
    pub questions: Vec<String>,
    /// Name of the file of validation questions, where it was another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<String>,
    /// One line in so many was kept for validation; 0 for none.
    pub hold_out: usize,
    /// Validation questions decoded at each validation.
    #[serde(default)]
    pub validate_on: usize,
    /// The folder of the run whose weights it started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The model.
    pub model: TransformerConfig,
    /// The training.
    pub train: TrainSettings,
    /// How training questions were made.
    pub qa: QaSettings,
    /// How questions are answered unless said otherwise.
    pub search: SearchOptions,
}

impl kexue_train::RunConfig for RunConfig {
    const KIND: &'static str = "qa";

    fn can_be_extended(&self) -> bool {
        self.train.can_be_extended()
    }
}

impl kexue_train::TransformerRunConfig for RunConfig {
    fn model(&self) -> &TransformerConfig {
        &self.model
    }
}

/// A trained model with its vocabulary.
pub type Trained = Run<RunConfig>;

/// Opens the folder of a run that is to answer from a graph, with the weights of its learned rescoring where it has them.
///
/// # Errors
/// Names the file that is missing, damaged, or does not fit the others; or graph and model do not speak of the same tokens.
pub fn open_run(folder: &Path, graph: &KnowledgeGraph) -> Result<Trained> {
    let mut trained = open_model(folder, graph)?;
    trained.config.search.reranker = Reranker::open(folder)?.map(Into::into);
    trained.config.search.validate().map_err(|problem| Error::File {
        path: folder.join("config.toml"),
        problem: format!("search.{problem}"),
    })?;
    Ok(trained)
}

/// The same without its learned rescoring, which may be missing or damaged.
///
/// # Errors
/// As [`open_run`].
pub fn open_model(folder: &Path, graph: &KnowledgeGraph) -> Result<Trained> {
    let trained = Trained::open(folder)?;
    check_vocabulary(&trained, graph)?;
    Ok(trained)
}

/// Checks that a model can read questions of any length, and that it and the graph speak of the same tokens.
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
