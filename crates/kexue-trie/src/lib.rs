//! Prefix indexes over token sequences: build, map, query.
//!
//! [`PrefixIndex`] is what a decoder needs of a set of keys: the tokens allowed after a prefix, the terminal among them as a choice in its
//! own right, and everything below a prefix.
#![deny(unsafe_code)]

mod index;

pub use index::{Allowed, Error, Handle, Key, PrefixIndex, Result, Token};
