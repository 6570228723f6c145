//! Eight results of Su Jianlin's blog *Scientific Spaces* (科学空间, kexue.fm): one dependency for all of them.
//!
//! A question is answered with a fact of a graph, or not at all:
//!
//! ```
//! use kexue::prelude::*;
//!
//! let (graph, trained) = embedded()?; // countries and chemical elements
//! let options = AskOptions::new(trained.config.search.clone());
//! let answers = ask(&graph, &trained.model, &options, &["法国的首都是哪里？", "Who is the president of France?"])?;
//! assert!(answers[0].known && !answers[1].known);
//! assert_eq!(answers[0].candidates[0].objects, ["巴黎"]);
//! # Ok::<(), kexue::qa::Error>(())
//! ```
//!
//! # What do you want to do?
//!
//! | you want to | begin with |
//! | --- | --- |
//! | answer questions from facts of your own (S1) | [`qa`], [`kg`]; the example `train_on_your_questions` |
//! | keep a decoder within a set of sequences | [`trie`]; the example `trie_in_your_decoder` |
//! | train masked language models whose attention is as sharp on long texts (S2) | [`lm`], [`nn`] |
//! | know what an initialisation, a norm or a warm-up will do before you train (S3) | [`probe`]; the example `probe_your_model` |
//! | fine-tune a pretrained model, and know whether a trick helps (S4) | [`tune`], [`optim`] |
//! | penalise gradients, and differentiate them (S5) | `penalty`, `grad` (feature `burn`) |
//! | train GANs with normalised critics (S6) | `gan` (feature `burn`) |
//! | know how likely a sample is (S7) | [`vae`] |
//! | average a leaderboard without fooling yourself (S8) | [`rank`]; the example `check_a_leaderboard` |
//! | train a learner of your own, with exact resuming and reports | [`train`] |
//!
//! # How it hangs together
//!
//! Whatever is trained is one flat vector of `f32` with named slots ([`optim`]): the model ([`nn`], or a Burn module through `burn`), its optimiser, its moving
//! averages and its checkpoint. One loop trains all of them ([`train`]). A run is a function of its seed: a resumed run is the uninterrupted one, bit for bit.
//!
//! # Features
//!
//! All are off by default. `burn`: what stands on Burn, a hundred crates more to build. `cuda`: training on NVIDIA GPUs; nothing of CUDA is needed to build.
//! `parquet`: import of Apache Parquet. `pretrained`: tokenizers of pretrained models. `pytorch`: weights in `.bin` files.
//!
//! The command `kexue` (crate `kexue-cli`) does all of this without a line of code.
#![cfg_attr(docsrs, feature(doc_cfg))]
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
/// Reading sets of images, and writing grids of images.
pub use kexue_images as images;
/// Knowledge graphs: import of triples, an index of facts, live changes.
pub use kexue_kg as kg;
/// Masked language models: training, accuracy and attention entropy by length (S2).
pub use kexue_lm as lm;
/// Transformers on a CPU: training, decoding, import and export of weights.
pub use kexue_nn as nn;
/// Optimisers as chains of gradient transformations.
pub use kexue_optim as optim;
/// Output files that are written atomically, checks before the work starts, HTML reports.
pub use kexue_output as output;
/// Gradient penalties, and the inequality between the gradients with respect to input and parameters (S5).
#[cfg(feature = "burn")]
pub use kexue_penalty as penalty;
/// The effects of initialisation, norms and warm-up on training (S3).
pub use kexue_probe as probe;
/// Question answering with facts of a graph only (S1).
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
/// Fine-tuning on your own tasks, and comparisons of methods: ChildTuning (S4).
pub use kexue_tune as tune;
/// Densities of samples by importance sampling, and variational autoencoders (S7).
pub use kexue_vae as vae;

/// What most programs need.
pub mod prelude {
    pub use kexue_kg::{BuildOptions, Fact, KnowledgeGraph};
    pub use kexue_qa::{Answer, AskOptions, Candidate, SearchOptions, Trained, ask, embedded};
    pub use kexue_text::{Vocabulary, VocabularyBuilder};
    pub use kexue_trie::{Allowed, Handle, PrefixIndex};
}
