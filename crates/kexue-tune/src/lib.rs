//! Fine-tuning of pretrained Transformers for classification and regression of texts and pairs, and fair comparisons of methods: ChildTuning (S4, article
//! 8764) and its control, R-Drop, FGM and layer-wise learning rates.
//!
//! - [`Start`]: the model to fine-tune, a Hugging Face folder or a run of masked-language-model training
//! - [`read_examples`], [`Dataset`]: TSV, CSV and JSON Lines as tokens and targets; [`Preset`] knows GLUE's and FewCLUE's tasks
//! - [`Method`]: a way to fine-tune, written `child-f:0.3+fgm:1`
//! - [`tune`]: a training run in a folder, resumed if it was interrupted; `transformers` can load its model
//! - [`Comparison`]: comparison of methods, paired by seed
//!
//! Read `method.rs` and `task.rs` first, then `run.rs`.
//!
//! ```
//! use kexue_text::{PretrainedTokenizer, Vocabulary};
//! use kexue_tune::{Dataset, Labels, Masking, Method, Preset, read_examples};
//!
//! let file = "index\tsentence1\tsentence2\tlabel\n\
//!             0\tIt rains.\tIt is wet.\tentailment\n\
//!             1\tIt rains.\tIt is dry.\tnot_entailment\n";
//! let preset = Preset::named("rte").ok_or("a preset")?;
//! let examples = read_examples(file.as_bytes(), "train.tsv", &preset.columns, true)?;
//! let labels = Labels::classes_of(&examples)?;
//! assert_eq!(labels.names(), ["entailment", "not_entailment"]);
//!
//! let tokenizer = PretrainedTokenizer::try_from(&Vocabulary::new("It rainswedy.".chars(), false))?;
//! let data = Dataset::encode(&examples, &labels, &tokenizer, 64)?;
//! assert_eq!(data.examples[1].target, Some(1.0));
//!
//! let method: Method = "child-d:0.3+fgm:1".parse()?;
//! assert_eq!(method.masking, Masking::TaskDriven(0.3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod columns;
mod comparison;
mod compute;
mod dataset;
mod fisher;
mod forest;
mod method;
mod metrics;
mod objective;
mod predict;
mod reader;
mod run;
mod start;
mod task;

pub use columns::{Columns, Format, PRESETS, Preset};
pub use comparison::{Comparison, Row};
pub use compute::{Compute, Cpu, TuneAccelerator};
pub use dataset::{Dataset, Encoded, Labels};
pub use fisher::{FisherKind, KeptShare, child, fisher, kept_shares};
pub use forest::{Estimate, forest_plot};
pub use method::{ChildSettings, Masking, Method};
pub use metrics::Measure;
pub use predict::{Prediction, logits, measure};
pub use reader::{Example, Examples, read_examples};
pub use run::{TuneConfig, TuneResult, TuneSettings, Tuned, tune};
pub use start::Start;
pub use task::{TuneBatch, TuneTask, TuneWorkspace};
