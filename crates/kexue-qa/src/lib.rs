//! Question answering over a knowledge graph that can only answer with its facts (article 8802).
//!
//! A model reads a question and spells an answer `S [SEP] P [SEP] M [SEP]` along a prefix index of the graph: subject, relation, sense.
//! Whatever it says is a fact of the graph.
//!
//! - [`read_questions`], [`tie`]: questions, and the facts they mean
//! - [`QaTask`]: training them, by [`kexue_train::train`]
//! - [`search`], [`ask`]: answering
//! - [`fit`]: weighing the model against spelling, on questions it was not trained on
//! - [`evaluate`]: EM, F1, Score, Hits@1
//! - [`Trained`]: a model on disk
#![forbid(unsafe_code)]

mod answer;
mod beam;
mod catalog;
mod dataset;
mod distribution;
mod embedded;
mod error;
mod evaluate;
mod exact;
mod explanation;
mod fit;
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
mod words;

pub use answer::{Answer, AskOptions, Candidate, Reason, ask};
pub use dataset::{Example, Tied, Untied, gold_facts, tie, untied};
pub use embedded::embedded;
pub use error::{Error, Result};
pub use evaluate::{Case, Scores, evaluate, f1, score};
pub use explanation::ExplainedChoice;
pub use fit::{Fit, Foretelling, LEAST_QUESTIONS, fit};
pub use lcs::{LcsState, QuestionLcs, lcs_of_texts};
pub use options::{LookAhead, MentionUse, SearchOptions};
pub use prompt::{MAX_QUESTION_TOKENS, Reading};
pub use questions::{Gold, Question, check_lengths, read_questions};
pub use rerank::{Doubt, EVIDENCE, Evidence, RERANKER_FILE, Reranker};
pub use run::{RunConfig, Trained, open_model, open_run};
pub use search::search;
pub use state::{Found, SearchResult};
pub use task::{LossOver, QaSettings, QaTask};
pub use templates::{expand, read_templates};
pub use words::WordCounts;
