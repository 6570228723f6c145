//! Masked language models: training on long documents, and evaluation at lengths other than the training length.
//!
//! Read `task.rs` first ([`MlmTask`]), then `evaluate.rs`.
//!
//! - [`MlmTask`]: training with [`kexue_train::train`], with fresh masks at every step
//! - [`evaluate`]: accuracy and attention entropy at a length, on the same text for every length (article 8823)
//! - [`TrainedMlm`]: a model on disk
//!
//! ```
//! use kexue_lm::evaluate;
//! use kexue_nn::{Head, Mask, Model, TransformerConfig};
//! use kexue_text::{Corpus, Masking, TextEncoder, Vocabulary};
//!
//! let vocabulary = Vocabulary::new("甲乙丙丁".chars(), false);
//! let mut corpus = Corpus::default();
//! corpus.read("甲乙丙丁".repeat(50).as_bytes(), &vocabulary)?;
//! let config = TransformerConfig { layers: 1, d_model: 16, heads: 2, d_ffn: 32, head: Head::DenseNorm, ..TransformerConfig::new(vocabulary.len()) };
//! let model = Model::new(config, &mut kexue_train::generator(1, 0, 0))?;
//!
//! let (stretches, special) = (corpus.stretches(60, 3), vocabulary.special_tokens());
//! for length in [12, 32] {
//!     let score = evaluate(&model, &stretches, length, Mask::BIDIRECTIONAL, &Masking::default(), &special, 1);
//!     assert!(score.predictions > 0 && score.accuracy <= 1.0);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
