//! What a Transformer's initialisation, norms and optimiser will do to its training: measured, and said in words (article 8747).
//!
//! [`probe`] looks at a model before its first step and over some steps, with and without warm-up, sub-layer by sub-layer: how large the
//! stream is, how much each branch adds, how much of the input is left on the identity path ([`Identity`]), how large gradients and updates are, what
//! norms do. [`Verdict`] says what follows.
//!
//! ```
//! use kexue_probe::{Data, Preset, ProbeSettings, Source, probe};
//! use kexue_text::SpecialTokens;
//! use std::sync::atomic::AtomicBool;
//!
//! let mut architecture = Preset::Bert.architecture(100);
//! (architecture.model.d_model, architecture.model.heads, architecture.model.d_ffn) = (32, 2, 64);
//! let special = SpecialTokens { cls: 0, sep: 1, mask: 2, ordinary: 3..100 };
//! let data = Data::new(Source::Random { special: &special }, architecture.objective, 4, 16)?;
//! let probe = probe(&architecture, None, &data, &ProbeSettings::default(), &AtomicBool::new(false))?;
//! assert_eq!(probe.mean.sublayers.len(), 24);
//! println!("{}", probe.to_text());
//! # Ok::<(), kexue_probe::ProbeError>(())
//! ```
#![forbid(unsafe_code)]

mod alternatives;
mod architecture;
mod data;
mod ending;
mod error;
mod initial;
mod optimizer;
mod places;
mod probe;
mod report;
mod snapshot;
mod training;
mod verdict;
mod weights;

pub use alternatives::{Alternative, placement_name};
pub use architecture::{Architecture, Objective, Preset};
pub use data::{Batch, Data, Source};
pub use ending::Ending;
pub use error::ProbeError;
pub use initial::{FirstUpdate, Initial, calibrate, fresh, initial};
pub use optimizer::{OptimizerKind, OptimizerSettings};
pub use probe::{Mean, Probe, ProbeSettings, Runs, probe};
pub use snapshot::{Branch, Identity, Matrix, NormGain, Snapshot, SubLayer};
pub use training::{Run, train};
pub use verdict::{GradientFlow, Verdict};
pub use weights::{WeightStd, weight_stds};
