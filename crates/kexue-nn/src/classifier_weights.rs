//! Reading and writing classifiers in the format of `transformers`.

use crate::pretrained::{ConfigFile, PretrainedError, implied_tensors};
use crate::tensors::SafetensorsFile;
use crate::weights::{check_shapes, read_range, stored};
use crate::{Classifier, Precision, WeightsError};
use kexue_optim::Parameters;
use kexue_output::git_lfs_problem;
use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

impl Classifier {
    /// The `config.json` with which `transformers` loads the saved weights as `…ForSequenceClassification`. `labels` are the names of the logits, or
    /// empty for regression. `path` is used in messages.
    ///
    /// # Errors
    /// If `transformers` cannot compute the model. The error names the field.
    pub fn huggingface_config(&self, labels: &[String], path: &Path) -> Result<String, PretrainedError> {
        let config = self.model().config();
        let file = ConfigFile {
            family: self.family(),
            config: config.clone(),
            positions: self.positions(),
            tied: true,
        };
        file.classifier_json(labels).map_err(|error| error.at(path))
    }

    /// The parameters under their names in `transformers`.
    pub(crate) fn to_safetensors(&self, metadata: HashMap<String, String>) -> Result<Vec<u8>, WeightsError> {
        let mut tensors = self.model().tensors();
        tensors.extend(implied_tensors(self.model().config(), self.positions()));
        for (name, ..) in &mut tensors {
            *name = self.saved_name(name);
        }
        safetensors::serialize(stored(tensors, Precision::Single), Some(metadata))
            .map_err(|error| WeightsError::Write(error.to_string()))
    }

    /// Reads the parameters by those names. They stay unchanged if it fails.
    pub(crate) fn load_safetensors(&mut self, bytes: &[u8]) -> Result<(), WeightsError> {
        if let Some(problem) = git_lfs_problem(bytes) {
            return Err(WeightsError::Format(problem.to_owned()));
        }
        let mut file = SafetensorsFile::open(Cursor::new(bytes))?;
        let saved = self.saved_slots();
        check_shapes(&file, &saved)?;
        let values = read_range(&mut file, &saved, 0..saved.size())?;
        self.values_mut().copy_from_slice(&values);
        Ok(())
    }
}
