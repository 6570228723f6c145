//! One dependency for all of Kexue.
//!
//! Each module is one crate; [`prelude`] has what most programs need.
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

/// The bridge to Burn: modules as named flat vectors, our optimisers and layers as parts of Burn.
#[cfg(feature = "burn")]
pub use kexue_burn as burn;
/// Training steps and forward passes on NVIDIA GPUs.
#[cfg(feature = "cuda")]
pub use kexue_cuda as cuda;
/// Generative adversarial networks with normalised critics (S6).
#[cfg(feature = "burn")]
pub use kexue_gan as gan;
/// Derivatives of gradients on Burn (S5).
#[cfg(feature = "burn")]
pub use kexue_grad as grad;
/// Sets of images in, grids of them out.
pub use kexue_images as images;
/// Knowledge graphs: import of triples, an index of facts, live changes.
pub use kexue_kg as kg;
/// Masked language models: training, accuracy and attention entropy by length (S2).
pub use kexue_lm as lm;
/// Transformers on a CPU: training, decoding, weights in and out.
pub use kexue_nn as nn;
/// Optimisers as chains of gradient transformations.
pub use kexue_optim as optim;
/// Output files that appear whole, checks before the work starts, HTML reports.
pub use kexue_output as output;
/// Penalties of gradients, and the inequality between those of input and parameters (S5).
#[cfg(feature = "burn")]
pub use kexue_penalty as penalty;
/// What initialisation, norms and warm-up will do to a training (S3).
pub use kexue_probe as probe;
/// Question answering that can only answer with facts of a graph (S1).
pub use kexue_qa as qa;
/// Means, votes, rank flips and checks of results tables (S8).
pub use kexue_rank as rank;
/// Question answering as an HTTP service, with its page.
pub use kexue_serve as serve;
/// Vocabularies, tokenizers and corpora.
pub use kexue_text as text;
/// The training loop for any learner: checkpoints, exact resume, metrics, reports.
pub use kexue_train as train;
/// Prefix indexes over token sequences.
pub use kexue_trie as trie;
/// Fine-tuning on tasks of your own, and methods of it compared: ChildTuning (S4).
pub use kexue_tune as tune;
/// How likely a sample is: densities by importance sampling, and variational autoencoders (S7).
pub use kexue_vae as vae;

/// What most programs need.
pub mod prelude {
    pub use kexue_kg::{BuildOptions, Fact, KnowledgeGraph};
    pub use kexue_qa::{Answer, AskOptions, Candidate, SearchOptions, Trained, ask, embedded};
    pub use kexue_text::{Vocabulary, VocabularyBuilder};
    pub use kexue_trie::{Allowed, Handle, PrefixIndex};
}
