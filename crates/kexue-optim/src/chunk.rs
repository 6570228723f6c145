//! The units of work on flat vectors.

/// Numbers that one thread processes at a time: enough to be worth it, few enough to stay in a cache.
pub(crate) const CHUNK: usize = 1 << 16;

/// Numbers that all transformations of a chain go over before the next: a block, its moments and its mask fit the first-level cache, so that they read and
/// write memory once, side by side.
pub(crate) const BLOCK: usize = 1 << 9;
