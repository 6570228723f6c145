//! Transformer parts: attention with a choice of scale, norm placement, weights in and out, fast training and decoding on CPUs.
#![deny(unsafe_code)]

mod attention;
mod attention_scale;
mod batch;
mod choices;
mod config;
mod decoding;
mod dropout;
mod head;
mod initializer;
mod kernels;
mod model;
mod parameters;
mod training;
mod weights;

pub use attention_scale::AttentionScale;
pub use batch::{Mask, PackedBatch, PaddingError};
pub use choices::Choice;
pub use config::{
    Activation, ConfigError, Head, LogitScale, NormKind, NormPlacement, Parametrization, Positions, TransformerConfig,
};
pub use decoding::{Decoder, Node, Steps};
pub use head::{HeadTape, Prediction};
pub use initializer::{BranchScaling, Distribution, Initializer, InitializerPreset, StdMeans, TRUNCATED_STD};
pub use model::{Model, Token};
pub use parameters::{Layout, Role, Slot};
pub use training::{Tape, Trace};
pub use weights::{Precision, WeightsError};
