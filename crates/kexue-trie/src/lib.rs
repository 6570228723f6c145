//! Prefix indexes over token sequences: which tokens may follow a prefix, and which keys begin with it.
//!
//! Read [`PrefixIndex`] first: it is what a constrained decoder asks of a set of keys. [`Trie`] is the index for any set of token sequences,
//! in memory or mapped from a file:
//!
//! ```
//! use kexue_trie::{Allowed, PrefixIndex, Trie};
//!
//! let trie = Trie::from_sequences([vec![7, 1], vec![7, 2, 3], vec![7]])?;
//! let mut allowed = Allowed::default();
//! let at = trie.find(&[7])?.expect("sequences begin with 7");
//! trie.allowed(at, &mut allowed)?;
//! assert_eq!(allowed.tokens, [1, 2]); // what may follow
//! assert_eq!(allowed.terminal, Some(0)); // `[7]` ends here: it is key 0
//! # Ok::<(), kexue_trie::Error>(())
//! ```
//!
//! [`Trie::build`] writes one to a file and [`Trie::open`] maps it. [`SequenceSorter`] takes sequences in any order, [`TrieBuilder`] sequences
//! that come in order, both in bounded memory. [`Batch`] steps and masks many beams in one call;
//! [`Trie::flatten`] is for devices that do so.
//!
//! [`FactIndex`] is the index for the keys `subject SEP relation SEP sense SEP` of a knowledge graph, many times smaller than a trie of them;
//! [`MergedIndex`] is one with changes since it was built. The crate `kexue-kg` builds and changes them. [`container`] is the file format.
#![deny(unsafe_code)]

mod batch;
pub mod bytes;
pub mod container;
pub mod elias_fano;
mod fact_order;
mod facts;
mod facts_builder;
mod flat;
mod index;
mod layout;
mod masks;
mod merged;
mod pruned;
mod rows;
mod sequence_sorter;
mod spool;
mod texts;
mod trie;
mod trie_builder;
mod trie_files;
mod varint;

pub use batch::{Batch, BeamState, DEAD};
pub use bytes::Bytes;
pub use container::{Container, ContainerWriter};
pub use fact_order::FactOrder;
pub use facts::FactIndex;
pub use facts_builder::FactIndexBuilder;
pub use flat::FlatTrie;
pub use index::{Allowed, Error, Handle, Key, MAX_PART, PrefixIndex, Result, Token};
pub use merged::{ChangedSubject, MergedIndex, Origin};
pub use pruned::PrunedKeys;
pub use rows::{FactCode, RowEncoder};
pub use sequence_sorter::SequenceSorter;
pub use texts::Sequences;
pub use trie::Trie;
pub use trie_builder::TrieBuilder;
pub use varint::{read_varint, write_varint};
