//! Lossless vocabularies and tokenizers.
//!
//! Read `vocabulary.rs` first. A [`Vocabulary`] converts text to token ids and back: one token for each frequent character, and the UTF-8 bytes of every
//! other character, so that every string can be encoded (article 8802: an `[UNK]` would make an entity unanswerable). `pretrained.rs` has the tokenizers
//! of pretrained models, `corpus.rs` documents for training, and `spelling.rs` the normalisation of names.
//!
//! ```
//! use kexue_text::VocabularyBuilder;
//!
//! let mut builder = VocabularyBuilder::new();
//! builder.count("牛郎织女的作者是谁？");
//! let vocabulary = builder.build();
//! let tokens = vocabulary.encode("织女 𪚥");
//! assert_eq!(vocabulary.decode(&tokens), "织女 𪚥");
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod boundaries;
mod builder;
mod corpus;
mod file;
mod masking;
#[cfg(feature = "pretrained")]
mod pretrained;
mod spelling;
mod tokenizer;
mod vocabulary;

pub use boundaries::{Boundaries, words};
pub use builder::VocabularyBuilder;
pub use corpus::{Corpus, SpecialTokens, TextEncoder, Window};
pub use file::VocabularyError;
pub use masking::Masking;
#[cfg(feature = "pretrained")]
pub use pretrained::{PretrainedEncoder, PretrainedTokenizer, TokenizerError, Tokens};
pub use spelling::{Folded, fold, fold_alone};
pub use tokenizer::Tokenizer;
pub use vocabulary::{BYTES, CLS, FIRST_CHARACTER, MASK, PAD, SEP, Token, Vocabulary};
