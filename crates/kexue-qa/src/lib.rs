//! Question answering over a knowledge graph. Every answer is a fact of the graph, or "I don't know" (article 8802).
//!
//! A model reads a question and generates an answer `S [SEP] P [SEP] M [SEP]` along a prefix index of the graph: subject, relation, sense.
//!
//! Read `answer.rs` first ([`ask`]), then `search.rs` (how facts are found), `rerank.rs` (how they are rescored, and when the answer is
//! withheld) and `task.rs` (how models are trained).
//!
//! ```
//! use kexue_qa::{AskOptions, ask, embedded};
//!
//! let (graph, trained) = embedded()?;
//! let options = AskOptions::new(trained.config.search.clone());
//! let answers = ask(&graph, &trained.model, &options, &["法国的首都是哪里？", "capital of France and Germany"])?;
//! assert_eq!(answers[0].candidates[0].objects, ["巴黎"]);
//! assert_eq!(answers[1].parts.len(), 2); // one for France, one for Germany
//! # Ok::<(), kexue_qa::Error>(())
//! ```
//!
//! - [`read_questions`], [`hold_out`], [`tie`]: questions, held-out questions, and the facts that questions ask for
//! - [`Templates`], [`expand`], [`expand_unanswerable`], [`swap_subjects`]: generating questions, with and without an answer
//! - [`QaTask`]: training with [`kexue_train::train`]
//! - [`search`], [`ask`]: answering
//! - [`fit`], [`fit_and_store`]: learning how to weigh the model's probabilities and spelling, and when the graph lacks the answer
//! - [`evaluate`], [`coverage`], [`ablation`]: EM, F1, Score, Hits@1; the risk–coverage curve; ways of decoding compared
//! - [`kgclue_predictions`]: KgCLUE's submission format
//! - [`Trained`]: a model on disk
#![forbid(unsafe_code)]

mod ablation;
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
mod fit_run;
mod kgclue;
mod lcs;
mod logits;
mod ngram_weights;
mod options;
mod phrasing;
mod postings;
mod prompt;
mod question;
mod questions;
mod rerank;
mod run;
mod search;
mod split;
mod state;
mod steps;
mod task;
mod templates;
mod wordings;
mod words;

pub use ablation::ablation;
pub use answer::{Answer, AskOptions, Candidate, Reason, ask, ask_with};
pub use composite::Composite;
pub use dataset::{Example, Tied, Untied, gold_facts, tie, untied};
pub use embedded::{embedded, write_embedded};
pub use error::{Error, Result};
pub use evaluate::{AnsweredKind, Case, Coverage, Scores, answered_by_kind, coverage, evaluate, f1, score};
pub use expand::{ExpandOptions, expand, expand_unanswerable, swap_subjects};
pub use explanation::ExplainedChoice;
pub use fit::{Calibration, Fit, FitQuestions, LEAST_QUESTIONS, fit};
pub use fit_run::{FitData, FitFiles, fit_and_store};
pub use kgclue::kgclue_predictions;
pub use lcs::{LcsState, QuestionLcs, lcs_of_texts};
pub use options::{LookAhead, MentionUse, SearchOptions};
pub use phrasing::Phrasing;
pub use prompt::{MAX_QUESTION_TOKENS, Reading};
pub use question::{Gold, Question};
pub use questions::{questions_for, read_questions, read_unanswerable};
pub use rerank::{EVIDENCE, Evidence, RERANKER_FILE, Reranker};
pub use run::{QaConfig, Trained, open_model, open_run};
pub use search::search;
pub use split::{hold_out, spread};
pub use state::{Found, SearchResult};
pub use steps::{Step, Steps};
pub use task::{LossOver, QaSettings, QaTask};
pub use templates::Templates;
pub use wordings::Wordings;
pub use words::{CountedWords, WordCounter, WordCounts};
