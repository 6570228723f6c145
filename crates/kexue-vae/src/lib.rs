//! Densities of samples under latent-variable models, with errors (S7, article 8791).
//!
//! `log q(x) = log E[p(x, z)/q(z|x)]` over draws z from a proposal `q(z|x)` is estimated by the mean of importance weights, with as many draws as the
//! requested precision needs. The result includes the standard error, the effective sample size, the shape of the weights' tail, and the bound as a
//! function of the number of draws. Unreliable estimates are marked as such.
//!
//! Read `latent_model.rs` first (the traits of a model), then `log_weights.rs` and `density.rs` (the estimator). `annealing.rs` has independent checks.
//! Then read `vae.rs` (the model, on one flat vector) and `objective.rs` (the training objectives).
//!
//! # Densities of your own model
//!
//! ```
//! use kexue_vae::{DensitySettings, LatentModel, densities};
//! use rand::Rng;
//! use rand_chacha::ChaCha8Rng;
//! use rand_distr::StandardNormal;
//!
//! /// z ~ N(0, 1), x ~ N(z, 1). The proposal is a normal distribution around x/2.
//! struct Sum {
//!     deviation: f64,
//! }
//!
//! fn log_normal(x: f64, mean: f64, deviation: f64) -> f64 {
//!     -0.5 * ((x - mean) / deviation).powi(2) - deviation.ln() - 0.5 * std::f64::consts::TAU.ln()
//! }
//!
//! impl LatentModel for Sum {
//!     type Sample = f64;
//!     type Latent = f64;
//!
//!     fn draw(&self, x: &f64, generator: &mut ChaCha8Rng) -> f64 {
//!         x / 2.0 + self.deviation * generator.sample::<f64, _>(StandardNormal)
//!     }
//!     fn log_joint(&self, x: &f64, z: &f64) -> f64 {
//!         log_normal(*z, 0.0, 1.0) + log_normal(*x, *z, 1.0)
//!     }
//!     fn log_proposal(&self, x: &f64, z: &f64) -> f64 {
//!         log_normal(*z, x / 2.0, self.deviation)
//!     }
//! }
//!
//! let settings = DensitySettings { precision: Some(0.01), samples: 100_000, ..DensitySettings::default() };
//! let measured = &densities(&Sum { deviation: 1.0 }, &[&3.0], &settings, &|_| ())?[0];
//! let exact = log_normal(3.0, 0.0, 2f64.sqrt());
//! assert!((measured.log_density - exact).abs() < 4.0 * measured.standard_error);
//! assert!(measured.standard_error <= 0.01 && measured.draws < 100_000 && measured.doubt.is_none());
//!
//! // With the exact posterior as the proposal, every weight equals the density.
//! let exactly = &densities(&Sum { deviation: 0.5f64.sqrt() }, &[&3.0], &settings, &|_| ())?[0];
//! assert!((exactly.log_density - exact).abs() < 1e-12 && exactly.standard_error < 1e-7);
//! # Ok::<(), kexue_train::TrainError>(())
//! ```
#![forbid(unsafe_code)]

mod annealing;
mod config;
mod data;
mod density;
mod evaluator;
mod kernels;
mod latent_model;
mod likelihood;
mod log_weights;
mod memory;
mod network;
mod objective;
mod observe;
mod pareto;
mod run;
mod scores;
mod task;
mod units;
mod vae;

pub use annealing::{AnnealedModel, AnnealingSettings, Sandwich, annealed, sandwich};
pub use config::{StochasticLayer, VaeConfig};
pub use data::{Dataset, Numbers};
pub use density::{Density, DensitySettings, Doubt, densities};
pub use evaluator::VaeDensity;
pub use latent_model::{ImportanceModel, LatentModel};
pub use likelihood::{Deviation, Likelihood};
pub use log_weights::LogWeights;
pub use memory::least_memory;
pub use network::{Activation, ImageSize};
pub use objective::{Bound, Objective, Objectives};
pub use observe::{Binarization, Preparation, picture};
pub use run::{VaeRun, VaeRunConfig};
pub use scores::{Auroc, auroc, complexity};
pub use task::{VaeBatch, VaeSettings, VaeTask};
pub use units::{active_units, reconstructions, traversals};
pub use vae::{Observations, Vae, VaeTape};
