//! Predicts how a Transformer's initialisation, norms and optimiser affect its training: measurements, and a verdict in words (article 8747).
//!
//! [`probe`] measures a model before its first step and during some steps of training, with and without warm-up, sub-layer by sub-layer: the size of the
//! stream, how much each branch adds to it, how much of the input is left on the identity path ([`Identity`]), the size of gradients and updates, and
//! the norms' gains. [`Verdict`] states the conclusions.
//!
//! Read `snapshot.rs` first (the measurements on a batch), then `training.rs` (the probe's [`Task`](kexue_train::Task)) and `judge.rs` (the rules of the verdict).
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
mod change;
mod data;
mod ending;
mod error;
mod initial;
mod judge;
mod mean;
mod optimizer;
mod places;
mod probe;
mod probe_settings;
mod report;
mod result;
mod snapshot;
mod training;
mod verdict;
mod weights;
mod words;

pub use alternatives::{Alternative, placement_name};
pub use architecture::{Architecture, Objective, Preset};
pub use change::Change;
pub use data::{Batch, Data, Source};
pub use ending::Ending;
pub use error::ProbeError;
pub use initial::{FirstUpdate, Initial, calibrate, fresh, initial};
pub use kexue_optim::Branch;
pub use mean::Mean;
pub use optimizer::{OptimizerKind, OptimizerSettings};
pub use probe::probe;
pub use probe_settings::ProbeSettings;
pub use result::Probe;
pub use snapshot::{Identity, Matrix, NormGain, Snapshot, SubLayer};
pub use training::{Trial, Trials, run_trial};
pub use verdict::{GradientFlow, Verdict};
pub use weights::{WeightStd, weight_stds};
