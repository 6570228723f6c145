//! The configuration of a training run, and the trained model in its folder.

use crate::{Vae, VaeConfig, VaeSettings};
use kexue_optim::Parameters;
use kexue_train::{RunConfig, TrainError, TrainSettings, generator, streams};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The configuration of a run, stored in its `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeRunConfig {
    /// The version of Kexue that wrote it.
    pub version: String,
    /// Files of the training data.
    pub data: Vec<String>,
    /// The configuration of the model.
    pub model: VaeConfig,
    /// The training settings.
    pub train: TrainSettings,
    /// The objective and the data.
    pub vae: VaeSettings,
}

impl RunConfig for VaeRunConfig {
    const KIND: &'static str = "vae";

    fn validate(&self) -> Result<(), TrainError> {
        self.model.validate()?;
        self.vae.objective.validate()
    }
}

/// A trained model with its configuration.
#[derive(Clone, Debug)]
pub struct VaeRun {
    /// The configuration of the run.
    pub config: VaeRunConfig,
    /// The model of the best validation.
    pub model: Vae,
}

impl VaeRun {
    /// Opens the folder of a run.
    ///
    /// # Errors
    /// If a file is missing, damaged, or does not fit the others. The error names it.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join("config.toml");
        if !path.exists() {
            let what = if folder.is_dir() {
                "holds no config.toml"
            } else {
                "is not a folder"
            };
            return Err(TrainError::file(
                folder,
                format!("{what}: give the folder of a run of kexue vae train"),
            ));
        }
        let text = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
        let config = VaeRunConfig::from_toml(&text, &path)?;
        config.validate().map_err(|error| TrainError::file(&path, error))?;
        let mut model = Vae::new(
            config.model.clone(),
            &mut generator(config.train.seed, streams::WEIGHTS, 0),
        )?;
        let path = folder.join("model.safetensors");
        let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
        model.load(&bytes).map_err(|error| TrainError::file(&path, error))?;
        Ok(Self { config, model })
    }
}
