//! A training run: what its folder says of it, and the trained model in it.

use crate::{Vae, VaeConfig, VaeSettings};
use kexue_optim::Parameters;
use kexue_train::{RunConfig, TrainError, TrainSettings, generator, streams};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything about a run: the content of its `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeRunConfig {
    /// The version that made it.
    pub version: String,
    /// Files that it was trained on.
    pub data: Vec<String>,
    /// The model.
    pub model: VaeConfig,
    /// The optimiser and the steps.
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

/// A trained model with how it was made.
#[derive(Clone, Debug)]
pub struct VaeRun {
    /// How it was made.
    pub config: VaeRunConfig,
    /// The model.
    pub model: Vae,
}

impl VaeRun {
    /// Opens the folder of a run.
    ///
    /// # Errors
    /// Names the file that is missing or damaged, or does not fit the others.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join("config.toml");
        if !path.exists() {
            let what = if folder.is_dir() {
                "holds no config.toml"
            } else {
                "is no folder"
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
