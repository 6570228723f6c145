//! The inequality between the gradients with respect to input and parameters (S5, article 8796), checked on random networks and measured during training.
//!
//! Read [`survey`] first, which checks the inequality on thousands of random networks. [`samples`] computes both sides on the samples of one network,
//! layer by layer. [`task`] trains a classifier with either penalty and measures both sides.
//!
//! ```
//! use kexue_grad::inequality::MatrixNorm;
//! use kexue_penalty::survey::survey;
//!
//! let rows = survey(200, 1, MatrixNorm::Spectral)?;
//! assert!(rows.iter().all(|row| row.violations == 0));
//! assert!(rows.iter().all(|row| row.slack.is_none_or(|slack| slack.least >= 1.0 - 1e-9)));
//! # Ok::<(), kexue_grad::inequality::MlpError>(())
//! ```
#![forbid(unsafe_code)]

pub mod examples;
pub mod network;
pub mod run;
pub mod samples;
pub mod slack;
pub mod survey;
pub mod task;
