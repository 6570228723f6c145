//! Transformer parts: attention with a choice of scale, norm placement, weights in and out, fast training and decoding on CPUs.
#![deny(unsafe_code)]

mod attention_scale;
mod choices;
mod config;
mod decoding;
mod kernels;
mod model;
mod parameters;
mod training;
mod weights;

pub use attention_scale::AttentionScale;
pub use choices::Choice;
pub use config::{ConfigError, NormPlacement, TransformerConfig};
pub use decoding::{Decoder, Node, Steps};
pub use model::{Model, Token};
pub use parameters::{Layout, Slot};
pub use training::{PackedBatch, Tape};
pub use weights::{Precision, WeightsError};
