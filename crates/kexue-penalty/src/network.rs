//! Classifiers: on Burn for training, and in double precision for checks.

use burn::tensor::Device;
use kexue_burn::FlatModule;
use kexue_grad::inequality::{self, Layer, MlpError};
use kexue_grad::{Activation, Mlp};
use kexue_nn::Distribution;
use kexue_optim::Parameters;
use kexue_train::{TrainError, generator, streams};
use serde::{Deserialize, Serialize};

/// A multilayer perceptron with an activation after every layer but the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// The activation of the hidden layers.
    pub activation: Activation,
    /// The distribution of the initial weights; biases start at 0.
    pub initial: Distribution,
}

impl NetworkSettings {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// If the text or a setting is invalid. The error names the line or the setting.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        read.validate().map_err(|error| error.to_string())?;
        Ok(read)
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// If a setting is invalid. The error names it.
    pub fn validate(&self) -> Result<(), TrainError> {
        let problem = |field, problem: String| Err(TrainError::Setting { field, problem });
        if let Some(width) = self.hidden.iter().find(|width| !(1..=1 << 13).contains(*width)) {
            return problem("hidden", format!("a width of {width} is not within 1 and 8192"));
        }
        if self.hidden.len() > 64 {
            return problem("hidden", format!("{} layers are more than 64", self.hidden.len()));
        }
        match self.initial {
            Distribution::Normal { std } | Distribution::TruncatedNormal { std, .. }
                if !(std > 0.0 && std.is_finite()) =>
            {
                problem("initial_std", format!("{std} must be a positive number"))
            }
            _ => Ok(()),
        }
    }

    /// Creates a network with random weights.
    pub fn build(&self, inputs: usize, outputs: usize, seed: u64) -> FlatModule<Mlp> {
        let widths = [&[inputs][..], &self.hidden, &[outputs]].concat();
        let mlp = Mlp::new(&widths, self.activation, &Device::flex().autodiff());
        let mut network = FlatModule::new(mlp).expect("the layers have parameters with distinct names");
        network.draw(self.initial, &mut generator(seed, streams::WEIGHTS, 0));
        network
    }
}

/// Converts the network to double precision.
///
/// # Errors
/// If a weight is not finite.
pub fn in_double(network: &FlatModule<Mlp>) -> Result<inequality::Mlp, MlpError> {
    let mut layers = Vec::new();
    let slots = network.slots();
    // Alternating weights [out, in] and biases, as in PyTorch.
    for pair in slots.iter().collect::<Vec<_>>().chunks(2) {
        let values = |slot: &kexue_optim::Slot| -> Vec<f64> {
            let values = &network.values()[slot.range.clone()];
            values.iter().map(|value| f64::from(*value)).collect()
        };
        layers.push(Layer::new(pair[0].shape[1], &values(pair[0]), values(pair[1]))?);
    }
    Ok(inequality::Mlp::new(layers, network.module().activation())?.with_linear_output())
}
