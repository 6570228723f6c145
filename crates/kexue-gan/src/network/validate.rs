//! Checks of the networks' settings.

use super::settings::{Architecture, ModelSettings, Space};
use super::{cnn, resnet};
use kexue_nn::Distribution;

impl ModelSettings {
    /// Checks that the networks can be built for the data.
    ///
    /// # Errors
    /// If a setting is invalid. The error names it and its valid values.
    pub fn validate(&self, space: Space) -> Result<(), (&'static str, String)> {
        let range = |field, value: usize, most: usize| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err((field, format!("{value} must be within 1 and {most}"))),
        };
        range("latent", self.latent, 1 << 16)?;
        range("width", self.width, 1 << 13)?;
        range("layers", self.layers, 64)?;
        if let Distribution::Normal { std } | Distribution::TruncatedNormal { std, .. } = self.initial
            && !(std > 0.0 && std.is_finite())
        {
            return Err(("initial_std", format!("{std} must be a positive number")));
        }
        match (self.architecture, space) {
            (Architecture::Mlp, _) => Ok(()),
            (_, Space::Points(_)) => Err((
                "architecture",
                "convolutions need images, but the data are points; use an MLP".to_owned(),
            )),
            (Architecture::Cnn, Space::Images(shape)) => cnn::check(shape),
            (Architecture::Resnet, Space::Images(shape)) => resnet::check(shape),
        }
    }
}
