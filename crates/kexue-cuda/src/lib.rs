//! Training steps and forward passes of Kexue's Transformers on NVIDIA GPUs.
//!
//! All of [`kexue_nn`]'s configuration is supported: masks, scales, norms, heads, dropout from the same random stream, losses over the vocabulary and over
//! choices. The driver, NVRTC and cuBLAS are loaded at run time, so a program with this crate also runs without them, and reports what is missing.
//!
//! Read `engine.rs` first: the passes, kernel by kernel. `plan.rs` lays out a batch, `kernels/` has the CUDA C++ code, `optimizer.rs` updates the
//! parameters, and `run.rs` has the [`Accelerator`](kexue_train::Accelerator) of a
//! training run, `classifier_run.rs` that of fine-tuning, and `inference.rs` encodes and decodes.
//!
//! ```
//! use kexue_cuda::{Device, Engine, Precision, Shard};
//! use kexue_nn::{Head, Mask, Model, PackedBatch, Prediction, TransformerConfig};
//! use kexue_train::Objective;
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//!
//! let config = TransformerConfig { head: Head::DenseNorm, ..TransformerConfig::new(8000) };
//! let model = Model::new(config, &mut ChaCha8Rng::seed_from_u64(0))?;
//! let device: Device = "cuda:0".parse()?;
//! match Engine::new(device, &model, Precision::F32) {
//!     Ok(mut engine) => {
//!         let mut batch = PackedBatch::default();
//!         batch.push(&[1, 3, 42, 2], Mask::BIDIRECTIONAL);
//!         let masked = [Prediction { row: 1, token: 17 }];
//!         let shard = Shard { packed: &batch, objective: Some(Objective::Predictions(&masked)), generator: None };
//!         let (loss, _right) = engine.loss(&[shard])?;
//!         assert!(loss > 0.0 && engine.gradient()?.len() == model.layout().len());
//!     }
//!     // For example: libcuda was not found.
//!     Err(problem) => eprintln!("{problem}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

#[cfg(test)]
mod checks;
mod classifier_run;
mod compile;
mod cuda;
mod device;
#[cfg(test)]
mod emulator;
mod engine;
mod error;
mod inference;
mod machine;
mod memory;
mod optimizer;
mod plan;
mod precision;
mod program;
mod run;
mod shard;
mod states;

pub use classifier_run::{ClassifierRun, fisher};
pub use device::Device;
pub use engine::Engine;
pub use error::CudaError;
pub use inference::DeviceModel;
pub use optimizer::DeviceOptimizer;
pub use precision::Precision;
pub use run::DeviceRun;
pub use shard::Shard;
