//! Question answering over a knowledge graph that can only answer with its facts (article 8802).
//!
//! A model reads a question and spells an answer `S [SEP] P [SEP] M [SEP]` along a prefix index of the graph: subject, relation, sense.
//! Every answer is a fact of the graph, or "I don't know".
//!
//! Read `answer.rs` first ([`ask`]), then `search.rs` (how facts are found), `rerank.rs` (how they are weighed and doubted) and `task.rs`
//! (how models are trained).
//!
//! ```
//! use kexue_qa::{AskOptions, ask, embedded};
//!
//! let (graph, trained) = embedded()?;
//! let options = AskOptions::new(trained.config.search.clone());
//! let answers = ask(&graph, &trained.model, &options, &["法国的首都是哪里？", "capital of France and Germany"])?;
//! assert_eq!(answers[0].candidates[0].objects, ["巴黎"]);
//! assert_eq!(answers[1].parts.len(), 2); // asked one by one
//! # Ok::<(), kexue_qa::Error>(())
//! ```
//!
//! - [`read_questions`], [`tie`]: questions, and the facts they mean
//! - [`Templates`], [`expand`], [`expand_unanswerable`], [`swap_subjects`]: making questions, with and without an answer
//! - [`QaTask`]: training, by [`kexue_train::train`]
//! - [`search`], [`ask`]: answering
//! - [`fit`]: weighing the model against spelling, and doubting what the graph may lack
//! - [`evaluate`], [`coverage`]: EM, F1, Score, Hits@1; the risk–coverage curve
//! - [`Trained`]: a model on disk
#![forbid(unsafe_code)]

mod answer;
mod beam;
mod catalog;
mod composite;
mod dataset;
mod distribution;
mod embedded;
mod error;
mod evaluate;
mod exact;
mod expand;
mod explanation;
mod fit;
mod hold_out;
mod lcs;
mod options;
mod prompt;
mod questions;
mod rerank;
mod run;
mod search;
mod state;
mod task;
mod templates;
mod wordings;
mod words;

pub use answer::{Answer, AskOptions, Candidate, Reason, ask};
pub use composite::Composite;
pub use dataset::{Example, Tied, Untied, gold_facts, tie, untied};
pub use embedded::embedded;
pub use error::{Error, Result};
pub use evaluate::{Case, Coverage, Scores, coverage, evaluate, f1, score};
pub use expand::{ExpandOptions, expand, expand_unanswerable, swap_subjects};
pub use explanation::ExplainedChoice;
pub use fit::{Calibration, Fit, FitQuestions, LEAST_QUESTIONS, fit};
pub use hold_out::{hold_out, spread};
pub use lcs::{LcsState, QuestionLcs, lcs_of_texts};
pub use options::{LookAhead, MentionUse, SearchOptions};
pub use prompt::{MAX_QUESTION_TOKENS, Reading};
pub use questions::{Gold, Question, check_lengths, kgclue_line, read_questions, read_unanswerable};
pub use rerank::{Doubt, EVIDENCE, Evidence, RERANKER_FILE, Reranker};
pub use run::{RunConfig, Trained, open_model, open_run};
pub use search::search;
pub use state::{Found, SearchResult};
pub use task::{LossOver, QaSettings, QaTask};
pub use templates::Templates;
pub use wordings::Wordings;
pub use words::{RelationWords, WordCounts};
