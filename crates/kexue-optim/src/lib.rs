//! Gradient transformations, chained in a stated order.
//!
//! An optimiser is a [`Chain`] of [`Transformation`]s of one flat gradient vector: what the last one leaves is subtracted from the
//! parameters. The order is the order of the list, so that it can be read off the code: clip → moments → weight decay → learning rate.
#![forbid(unsafe_code)]

mod adam;
mod average;
mod chain;
mod clip;
mod decay;
mod schedule;
mod trust_ratio;

pub use adam::{Adam, AdamConfig};
pub use average::MovingAverage;
pub use chain::{Chain, Transformation};
pub use clip::ClipGlobalNorm;
pub use decay::WeightDecay;
pub use schedule::{Decay, LearningRate, Schedule};
pub use trust_ratio::TrustRatio;

/// Elements that one thread works on at a time: large enough to be worth it, small enough to stay in a cache.
const CHUNK: usize = 1 << 16;
