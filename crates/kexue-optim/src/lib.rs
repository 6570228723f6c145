//! Gradient transformations, chained in a stated order, over one flat vector with named slots.
//!
//! A model is its [`Parameters`]: one flat vector of values, and the [`Slots`] that name its parts. An optimiser is a [`Chain`] of
//! [`Transformation`]s of the gradient; the output of the last one is subtracted from the parameters. Transformations are applied in the order of the
//! list: clip → mask → moments → weight decay → learning rate. [`ChainSettings`] builds a chain from a configuration file.
//!
//! Read `chain.rs` first: it has the trait, and an example of a custom transformation. Then read `settings.rs` for configuration files, and
//! `child_tuning.rs` for masked steps.
//!
//! ```
//! use kexue_optim::{Adam, AdamConfig, Chain, ChainSettings, ClipGlobalNorm, LearningRate, Schedule, Slots};
//!
//! // In code. Minimises (x − 3)².
//! let mut chain = Chain::new()
//!     .then(ClipGlobalNorm { max_norm: 1.0 })
//!     .then(Adam::new(AdamConfig::default(), 1))
//!     .then(LearningRate(Schedule::constant(0.1)));
//! let mut x = [0.0];
//! for step in 0..300 {
//!     let mut gradient = [2.0 * (x[0] - 3.0)];
//!     chain.step(&mut x, &mut gradient, step);
//! }
//! assert!((x[0] - 3.0).abs() < 1e-2);
//!
//! // From a file.
//! let settings: ChainSettings = toml::from_str(r#"
//!     [[optimizer]]
//!     kind = "lion"
//!     [[optimizer]]
//!     kind = "rate"
//!     peak = 1e-4
//!     warmup = 300
//! "#)?;
//! assert_eq!(settings.build(&Slots::flat(1), 1000)?.to_string(), "lion → rate 0.0001, warmup 300, cosine");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod accumulate;
mod adafactor;
mod adam;
mod average;
mod bit_mask;
mod chain;
mod child_tuning;
mod chunk;
mod clip;
mod decay;
mod fisher;
mod mask;
mod masked;
mod momentum;
mod named;
mod parameters;
mod pattern;
mod schedule;
mod settings;
mod slots;
mod trust_ratio;
mod vectors;
mod weights;

pub use accumulate::Accumulate;
pub use adafactor::{Adafactor, AdafactorConfig};
pub use adam::{Adam, AdamConfig};
pub use average::MovingAverage;
pub use bit_mask::BitMask;
pub use chain::{Chain, Piece, Transformation};
pub use child_tuning::{ChildTuning, UpdateDropout};
pub use clip::{ClipEachNorm, ClipGlobalNorm, ClipValue};
pub use decay::{Scale, WeightDecay};
pub use fisher::Fisher;
pub use mask::{Mask, StepMask};
pub use masked::{Group, Masked, Partition};
pub use momentum::{Lion, LionConfig, Momentum, MomentumConfig};
pub use named::NamedVectors;
pub use parameters::Parameters;
pub use pattern::Pattern;
pub use schedule::{Decay, LearningRate, Schedule};
pub use settings::{ChainError, ChainSettings, Link, PartitionGroup, SlotGroup};
pub use slots::{Branch, Place, Role, Slot, Slots, Subset};
pub use trust_ratio::TrustRatio;
pub use weights::WeightsError;
