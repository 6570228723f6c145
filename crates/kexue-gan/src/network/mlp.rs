//! Multilayer perceptrons as players.

use super::settings::ModelSettings;
use burn::tensor::Device;
use kexue_grad::{Activation, Mlp};

/// A multilayer perceptron with the hidden layers of the settings.
pub(super) fn mlp(
    settings: &ModelSettings,
    inputs: usize,
    outputs: usize,
    activation: Activation,
    device: &Device,
) -> Mlp {
    let hidden = vec![settings.width; settings.layers];
    Mlp::new(&[vec![inputs], hidden, vec![outputs]].concat(), activation, device)
}
