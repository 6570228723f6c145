//! The two players, in three architectures.
//!
//! Both networks take and return vectors, `[batch, size]`. An image is a vector of its numbers, channel by channel, and the convolutional networks
//! reshape it. So code that normalises, measures or draws a critic does not depend on the kind of its inputs.

mod cnn;
mod critic;
mod generator;
mod mlp;
mod norm;
mod resnet;
mod settings;
mod validate;
mod variant;

pub use cnn::{CnnCritic, CnnGenerator};
pub use critic::{Critic, score};
pub use generator::Generator;
pub use norm::{ChannelNorm, NormKind};
pub use resnet::{ResNetCritic, ResNetGenerator};
pub use settings::{Architecture, ModelSettings, Space};
