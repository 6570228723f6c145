//! Prefix indexes over token sequences: build, map, query.
//!
//! [`PrefixIndex`] is what a decoder needs of a set of keys: the tokens allowed after a prefix, the terminal among them as a choice in its
//! own right, and everything below a prefix. Two indexes offer it, in memory or mapped from a file:
//!
//! - [`Trie`], for any set of token sequences;
//! - [`FactIndex`], for the keys `subject SEP relation SEP sense SEP` of a knowledge graph, many times smaller than a trie of them.
//!
//! [`MergedIndex`] is a [`FactIndex`] with some subjects changed since it was built.
//!
//! [`container`] is the file around them.
#![deny(unsafe_code)]

pub mod bytes;
pub mod container;
pub mod elias_fano;
mod fact_order;
mod facts;
mod facts_builder;
mod index;
mod layout;
mod merged;
mod pruned;
mod rows;
mod spool;
mod texts;
mod trie;
mod trie_builder;
mod trie_files;
mod varint;

pub use bytes::Bytes;
pub use container::{Container, ContainerWriter};
pub use fact_order::FactOrder;
pub use facts::FactIndex;
pub use facts_builder::FactIndexBuilder;
pub use index::{Allowed, Error, Handle, Key, MAX_PART, PrefixIndex, Result, Token};
pub use merged::{ChangedSubject, MergedIndex, Origin};
pub use pruned::PrunedKeys;
pub use rows::{FactCode, RowEncoder};
pub use texts::Sequences;
pub use trie::Trie;
pub use trie_builder::TrieBuilder;
pub use varint::{read_varint, write_varint};
