//! The unit of parallel work on flat vectors.

/// Numbers that one thread processes at a time: enough to be worth it, few enough to stay in a cache.
pub(crate) const CHUNK: usize = 1 << 16;
