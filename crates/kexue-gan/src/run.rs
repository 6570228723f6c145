//! Trained players.

use crate::data::Data;
use crate::network::{ModelSettings, Space};
use crate::normalizer::Normalizer;
use crate::players::GanModel;
use crate::settings::{GanConfig, check_space};
use kexue_optim::Parameters;
use kexue_train::{RunConfig, TrainError};
use std::path::Path;

/// The players of a finished or interrupted run. The generator is the moving average, if the run has one.
pub struct TrainedGan {
    /// The configuration of the run.
    pub config: GanConfig,
    /// The players.
    pub model: GanModel,
    /// The critic's normaliser.
    pub normalizer: Box<dyn Normalizer>,
    /// The training data.
    pub data: Data,
}

impl TrainedGan {
    /// Opens the folder of a run. `data` is the place of the training data, if they have moved.
    ///
    /// # Errors
    /// If a file is missing, damaged, or does not fit the others. The error names it.
    pub fn open(folder: &Path, data: Option<&str>) -> Result<Self, TrainError> {
        let path = folder.join("config.toml");
        let text = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
        let config = GanConfig::from_toml(&text, &path)?;
        config.validate().map_err(|error| TrainError::file(&path, error))?;
        let data = Data::open(data.unwrap_or(&config.gan.data)).map_err(TrainError::task)?;
        let normalizer = config.gan.normalizer.build();
        let model = load(folder, &config.model, data.space(), &*normalizer)?;
        Ok(Self {
            config,
            model,
            normalizer,
            data,
        })
    }
}

fn load(
    folder: &Path,
    settings: &ModelSettings,
    space: Space,
    normalizer: &dyn Normalizer,
) -> Result<GanModel, TrainError> {
    check_space(settings, space)?;
    let mut model = GanModel::new(settings, space, normalizer, 0);
    let path = folder.join("model.safetensors");
    let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
    model.load(&bytes).map_err(|error| TrainError::file(path, error))?;
    Ok(model)
}
