//! Trained classifiers.

use crate::network::NetworkSettings;
use crate::task::PenaltyConfig;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use kexue_burn::FlatModule;
use kexue_grad::Mlp;
use kexue_optim::Parameters;
use kexue_train::{RunConfig, TrainError};
use std::path::Path;

/// The classifier of a run of `kexue penalty train`.
pub struct TrainedClassifier {
    /// The configuration of the run.
    pub config: PenaltyConfig,
    /// The trained network.
    pub network: FlatModule<Mlp>,
}

/// Number of inputs per forward pass.
const AT_ONCE: usize = 1000;

impl TrainedClassifier {
    /// Opens the folder of a run whose classifier has inputs of this size.
    ///
    /// # Errors
    /// If a file is missing or damaged, which the error names, or the inputs have another size.
    pub fn open(folder: &Path, size: usize) -> Result<Self, TrainError> {
        let path = folder.join("config.toml");
        let text = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
        let config = PenaltyConfig::from_toml(&text, &path)?;
        config.validate().map_err(|error| TrainError::file(&path, error))?;
        let PenaltyConfig { model, penalty, .. } = &config;
        if penalty.inputs != size {
            let problem = format!("has inputs of {} numbers, not of {size}", penalty.inputs);
            return Err(TrainError::file(path, problem));
        }
        let network = load(folder, model, size, penalty.classes)?;
        Ok(Self { config, network })
    }

    /// The outputs of the last hidden layer for concatenated inputs, and its width.
    pub fn features(&self, inputs: &[f32]) -> (Vec<f64>, usize) {
        let size = self.config.penalty.inputs;
        let frozen = self.network.module().clone().no_grad();
        let device = frozen.layers()[0].weight.val().device();
        let (mut all, mut width) = (Vec::new(), 1);
        for some in inputs.chunks(AT_ONCE * size) {
            let data = TensorData::new(some.to_vec(), [some.len() / size, size]);
            let features = frozen.features(Tensor::<2>::from_data(data, &device));
            width = features.dims()[1];
            let values: Vec<f64> = features.into_data_as::<f64>().try_to_vec().expect("just converted");
            all.extend(values);
        }
        (all, width)
    }
}

fn load(folder: &Path, model: &NetworkSettings, inputs: usize, outputs: usize) -> Result<FlatModule<Mlp>, TrainError> {
    let mut network = model.build(inputs, outputs, 0);
    let path = folder.join("model.safetensors");
    let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
    network.load(&bytes).map_err(|error| TrainError::file(path, error))?;
    Ok(network)
}
