//! The inequality between the gradients of input and parameters (S5, article 8796), checked, and followed along trainings.
//!
//! Read [`survey`] first: the inequality on thousands of random networks. [`samples`] has both sides on the samples of one network, layer by layer,
//! [`task`] a classifier that is trained with either penalty while both sides are measured.
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
