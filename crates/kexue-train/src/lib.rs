//! The training loop for any learner: steps, metrics, checkpoints, exact resume, reports.
//!
//! A [`Task`] defines how to make a batch and how to compute its loss. Its model is any type with [`Parameters`](kexue_optim::Parameters), which is one
//! flat vector of named values. [`train`] does the rest. Every random choice is a function of the seed and the step, so a resumed run continues exactly
//! as if it had never stopped.
//!
//! Read `task.rs` first, then `trainer.rs` (the steps of a run) and `learner.rs` (gradients and updates, without files). `group.rs` has parameter groups
//! that take turns, and `transformer.rs` has what only Transformers need.
//!
//! # A custom learner: linear regression
//!
//! ```
//! use kexue_optim::{Parameters, Place, Role, Slots};
//! use kexue_train::{Loss, Metric, Task, TrainError, TrainSettings, train};
//! use rand_chacha::ChaCha8Rng;
//! use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
//!
//! /// y = w·x + b
//! struct Line {
//!     slots: Slots,
//!     values: Vec<f32>,
//! }
//!
//! impl Line {
//!     fn new() -> Self {
//!         let mut slots = Slots::default();
//!         slots.add("weight", Role::Weight, Place::Unspecified, &[1, 1]);
//!         slots.add("bias", Role::Bias, Place::Unspecified, &[1]);
//!         Self { values: vec![0.0; slots.size()], slots }
//!     }
//! }
//!
//! impl Parameters for Line {
//!     fn slots(&self) -> &Slots {
//!         &self.slots
//!     }
//!     fn values(&self) -> &[f32] {
//!         &self.values
//!     }
//!     fn values_mut(&mut self) -> &mut [f32] {
//!         &mut self.values
//!     }
//! }
//!
//! /// Points to fit.
//! struct Points {
//!     points: Vec<(f32, f32)>,
//!     /// Interrupts the run at this validation, as Ctrl-C would.
//!     stop_at: usize,
//!     validations: AtomicUsize,
//!     interrupt: AtomicBool,
//! }
//!
//! impl Points {
//!     /// Points of y = 2x − 1.
//!     fn new(stop_at: usize) -> Self {
//!         let points = (0..100).map(|i| i as f32 / 50.0 - 1.0).map(|x| (x, 2.0 * x - 1.0)).collect();
//!         Self { points, stop_at, validations: AtomicUsize::new(0), interrupt: AtomicBool::new(false) }
//!     }
//! }
//!
//! impl Task for Points {
//!     type Model = Line;
//!     type Batch = Vec<(f32, f32)>;
//!     type Workspace = ();
//!
//!     fn examples(&self) -> usize {
//!         self.points.len()
//!     }
//!
//!     fn workspace(&self, _: &Line) {}
//!
//!     fn batch(&self, examples: &[usize], _step: u64, _: &mut ChaCha8Rng) -> Result<Self::Batch, TrainError> {
//!         Ok(examples.iter().map(|&example| self.points[example]).collect())
//!     }
//!
//!     fn loss(
//!         &self,
//!         model: &Line,
//!         batch: &Self::Batch,
//!         _: &mut ChaCha8Rng,
//!         _: &mut (),
//!         gradient: &mut [f32],
//!     ) -> Result<Loss, TrainError> {
//!         let mut loss = Loss { terms: batch.len() as f64, items: batch.len(), ..Loss::default() };
//!         for (x, y) in batch {
//!             let error = model.values[0] * x + model.values[1] - y;
//!             loss.sum += f64::from(error * error);
//!             gradient[0] += 2.0 * error * x;
//!             gradient[1] += 2.0 * error;
//!         }
//!         Ok(loss)
//!     }
//!
//!     fn validate(&self, model: &Line) -> Result<Vec<Metric>, TrainError> {
//!         if self.validations.fetch_add(1, Ordering::Relaxed) + 1 == self.stop_at {
//!             self.interrupt.store(true, Ordering::Relaxed);
//!         }
//!         let square = |(x, y): &(f32, f32)| f64::from(model.values[0] * x + model.values[1] - y).powi(2);
//!         Ok(vec![Metric::minimized("mean_square_error", self.points.iter().map(square).sum::<f64>() / 100.0)])
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = TrainSettings {
//!     steps: 400,
//!     batch_size: 10,
//!     learning_rate: 0.05,
//!     warmup: 10,
//!     average: 0.0,
//!     validate_every: 50,
//!     ..TrainSettings::default()
//! };
//! let run = |folder: &std::path::Path, task: Points| {
//!     train(&task, Line::new(), &settings, folder, "linear regression", &task.interrupt)
//! };
//! let whole = tempfile::tempdir()?;
//! let outcome = run(whole.path(), Points::new(0))?;
//! assert!(outcome.best.is_some_and(|(error, _)| error < 1e-3));
//!
//! // Interrupted and resumed: the same files, bit for bit.
//! let parts = tempfile::tempdir()?;
//! assert!(run(parts.path(), Points::new(3))?.interrupted);
//! assert!(!run(parts.path(), Points::new(0))?.interrupted);
//! for name in ["model.safetensors", "checkpoint.bin", "metrics.jsonl", "report.html"] {
//!     assert!(std::fs::read(whole.path().join(name))? == std::fs::read(parts.path().join(name))?, "{name}");
//! }
//! let report = std::fs::read_to_string(whole.path().join("report.html"))?;
//! assert!(report.contains("mean square error: last") && report.contains("smallest"));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod accelerator;
mod checkpoint;
mod differences;
mod epochs;
mod error;
mod extension;
mod group;
mod learner;
mod memory;
mod metrics;
#[cfg(feature = "mpi")]
pub mod mpi;
mod page;
mod processes;
mod ranks;
mod regularizer;
mod report;
mod run;
mod saved_model;
mod settings;
mod status;
pub mod streams;
mod task;
mod trainer;
mod transformer;

pub use accelerator::{Accelerator, ClassifierTask, NamedState, Objective, TransformerBatch};
pub use error::TrainError;
pub use group::{GroupSettings, ParameterGroup, Turn};
pub use learner::{BatchSettings, Learner};
pub use memory::machine_memory;
pub use metrics::Record;
pub use page::{Chart, Page, Series};
pub use processes::{is_first, ranks};
pub use ranks::{Alone, Ranks};
pub use regularizer::Regularizer;
pub use report::{data_of, report_page, write_report};
pub use run::{RunConfig, RunFile, check_free, prepare, settings};
pub use saved_model::SavedModel;
pub use settings::{TrainSettings, read_optimizer};
pub use streams::generator;
pub use task::{Goal, Loss, Metric, Task};
pub use trainer::{Outcome, Trainer, train, train_on};
pub use transformer::{
    Run, RunTokens, TransformerRunConfig, TransformerWorkspace, least_memory, tokenizer_file, vocabulary_file,
};
