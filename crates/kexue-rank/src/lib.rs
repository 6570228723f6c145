//! Honest means of benchmark tables.
