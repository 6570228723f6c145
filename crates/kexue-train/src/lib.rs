//! The one training loop: batches, progress, metrics, checkpoint and resume, reports.
//!
//! A [`Task`] says what the examples of a step are and what they cost; [`train`] does the rest. Every random choice is a function of the
//! seed and the step, so that a resumed run continues exactly as if it had never stopped.
#![forbid(unsafe_code)]

mod checkpoint;
mod differences;
mod error;
mod memory;
mod metrics;
mod order;
mod page;
mod report;
mod run;
mod settings;
mod train;

pub use differences::settings;
pub use error::TrainError;
pub use memory::{least_memory, machine_memory};
pub use metrics::Record;
pub use order::{Order, generator};
pub use page::{Chart, Page, Series};
pub use report::write_report;
pub use run::{Run, RunConfig, prepare};
pub use settings::TrainSettings;
pub use train::{Loss, Outcome, Scratch, Task, train};
