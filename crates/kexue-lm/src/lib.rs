//! Masked language models: training on long documents, and evaluation at lengths other than the training length.
//!
//! Read `task.rs` first ([`MlmTask`]), then `evaluate.rs`.
//!
//! - [`MlmTask`]: training with [`kexue_train::train`], with fresh masks at every step
//! - [`evaluate`]: accuracy and attention entropy at a length, on the same text for every length (article 8823)
//! - [`TrainedMlm`]: a model on disk
#![forbid(unsafe_code)]

mod comparison;
mod evaluate;
mod report;
mod run;
mod task;

pub use comparison::{Comparison, MeasuredRun, Row, Table};
pub use evaluate::{LengthScore, evaluate};
pub use run::{MlmConfig, TrainedMlm};
pub use task::{MlmSettings, MlmTask};
