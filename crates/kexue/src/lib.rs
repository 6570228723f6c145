//! One dependency for all of Kexue.
//!
//! Each module is one of its crates; [`prelude`] has what most programs need.
//!
//! ```
//! use kexue::prelude::*;
//!
//! let (graph, trained) = embedded()?;
//! let options = AskOptions { search: trained.config.search.clone(), min_confidence: 0.5, top: 1, explain: false };
//! let answers = ask(&graph, &trained.model, &options, &["法国的首都是哪里？"])?;
//! assert_eq!(answers[0].candidates[0].objects, ["巴黎"]);
//! # Ok::<(), kexue::qa::Error>(())
//! ```
#![forbid(unsafe_code)]

pub use kexue_kg as kg;
pub use kexue_nn as nn;
pub use kexue_optim as optim;
pub use kexue_probe as probe;
pub use kexue_qa as qa;
pub use kexue_rank as rank;
pub use kexue_text as text;
pub use kexue_train as train;
pub use kexue_trie as trie;

/// What most programs need.
pub mod prelude {
    pub use kexue_kg::{BuildOptions, Fact, KnowledgeGraph};
    pub use kexue_qa::{Answer, AskOptions, Candidate, SearchOptions, Trained, ask, embedded};
    pub use kexue_text::{Vocabulary, VocabularyBuilder};
    pub use kexue_trie::{Allowed, Handle, PrefixIndex};
}
