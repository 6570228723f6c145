//! The configuration of a variational autoencoder.

use crate::{Activation, Deviation, ImageSize, Likelihood};
use kexue_train::TrainError;
use serde::{Deserialize, Serialize};

/// A stochastic layer: its latents, and the hidden layers between it and the layer below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StochasticLayer {
    /// Widths of the hidden layers from the observation, or from the latents of the layer below, to these latents. The generative network has them in reverse.
    pub hidden: Vec<usize>,
    /// Number of latents.
    pub latent: usize,
}

/// A variational autoencoder with the inference model `q(z₁|x) q(z₂|z₁) …` and the generative model `p(x|z₁) p(z₁|z₂) … N(z_L; 0, I)`. All distributions
/// except the likelihood are normal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// Number of values of an observation.
    pub dimensions: usize,
    /// The size of an observation, if observations are images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSize>,
    /// Channels of the convolutions before the hidden layers of the first stochastic layer. Each halves both sides of the image. The generative network ends
    /// with the transposed convolutions in reverse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub convolutions: Vec<usize>,
    /// The function after each hidden layer.
    pub activation: Activation,
    /// The distribution of an observation given z₁.
    pub likelihood: Likelihood,
    /// The stochastic layers, from the observation up.
    pub layers: Vec<StochasticLayer>,
}

impl VaeConfig {
    /// The published architecture with one stochastic layer for binary images (Burda, Grosse & Salakhutdinov, arXiv 1509.00519): 200 and 200 hidden units
    /// (tanh), 50 latents.
    pub fn one_layer(image: ImageSize) -> Self {
        Self::of_layers(image, &[(&[200, 200], 50)])
    }

    /// The published architecture with two stochastic layers: 200 and 200 hidden units to 100 latents, then 100 and 100 to 50.
    pub fn two_layers(image: ImageSize) -> Self {
        Self::of_layers(image, &[(&[200, 200], 100), (&[100, 100], 50)])
    }

    fn of_layers(image: ImageSize, layers: &[(&[usize], usize)]) -> Self {
        let layer = |(hidden, latent): &(&[usize], usize)| StochasticLayer {
            hidden: hidden.to_vec(),
            latent: *latent,
        };
        Self {
            dimensions: image.numbers(),
            image: Some(image),
            convolutions: Vec::new(),
            activation: Activation::Tanh,
            likelihood: Likelihood::Bernoulli {},
            layers: layers.iter().map(layer).collect(),
        }
    }

    /// Checks the configuration.
    ///
    /// # Errors
    /// If a setting is invalid. The error names the first one.
    pub fn validate(&self) -> Result<(), TrainError> {
        let problem = |field, problem: String| Err(TrainError::Setting { field, problem });
        let within = |size: usize| (1..=1 << 20).contains(&size);
        if !within(self.dimensions) {
            return problem(
                "dimensions",
                format!("{} must be within 1 and 1048576", self.dimensions),
            );
        }
        if self.image.is_some_and(|image| image.numbers() != self.dimensions) {
            return problem("image", format!("does not have {} numbers", self.dimensions));
        }
        if self.layers.is_empty() {
            return problem("layer", "there must be at least one stochastic layer".to_owned());
        }
        for layer in &self.layers {
            if !within(layer.latent) || !layer.hidden.iter().all(|&width| within(width)) {
                return problem("layer", "widths must be within 1 and 1048576".to_owned());
            }
        }
        if !self.convolutions.iter().all(|&channels| within(channels)) {
            return problem("convolutions", "channels must be within 1 and 1048576".to_owned());
        }
        if !self.convolutions.is_empty() {
            let Some(image) = self.image else {
                return problem("convolutions", "convolutions need images".to_owned());
            };
            let halves = |side: usize| side.trailing_zeros() as usize >= self.convolutions.len();
            if !halves(image.height) || !halves(image.width) {
                let (count, height, width) = (self.convolutions.len(), image.height, image.width);
                return problem(
                    "convolutions",
                    format!(
                        "images of {height} × {width} pixels cannot be halved {count} times; use fewer convolutions"
                    ),
                );
            }
        }
        match self.likelihood {
            Likelihood::Categorical { classes } if !(2..=65536).contains(&classes) => {
                problem("classes", format!("{classes} must be within 2 and 65536"))
            }
            Likelihood::Gaussian {
                deviation: Deviation::Fixed(value),
                ..
            } if !(value > 0.0 && value.is_finite()) => {
                problem("deviation", format!("{value} must be a positive number"))
            }
            _ => Ok(()),
        }
    }

    /// The image after the convolutions, if there are any.
    pub(crate) fn smallest_image(&self) -> Option<ImageSize> {
        let (image, channels) = (self.image?, *self.convolutions.last()?);
        let halvings = self.convolutions.len();
        Some(ImageSize {
            channels,
            height: image.height >> halvings,
            width: image.width >> halvings,
        })
    }
}
