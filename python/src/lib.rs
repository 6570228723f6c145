//! The native half of the Python package `kexue`: functions over NumPy arrays that run without the interpreter's lock.
//!
//! What a user sees is in `kexue/*.py`, which check shapes and types, and call what is here.
#![deny(unsafe_code)]

mod ask;
mod errors;
mod graph;
mod rank;
mod trie;

use pyo3::prelude::*;

#[pymodule]
mod _kexue {
    #[pymodule_export]
    use crate::ask::Asker;
    #[pymodule_export]
    use crate::errors::KexueError;
    #[pymodule_export]
    use crate::graph::{Graph, GraphTriples};
    #[pymodule_export]
    use crate::rank::Results;
    #[pymodule_export]
    use crate::trie::{Builder, Trie};
}
