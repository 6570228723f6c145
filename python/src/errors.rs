//! Errors as Python exceptions, with the messages that the Rust crates give.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::Path;

pyo3::create_exception!(
    _kexue,
    KexueError,
    PyValueError,
    "Input that Kexue cannot use: the message says where, what was expected, and what to do."
);

/// An error of any crate as a [`KexueError`], and one of the system as an `OSError`.
pub(crate) fn raise(error: kexue_trie::Error) -> PyErr {
    match error {
        kexue_trie::Error::Io(error) => raise_io(None, error),
        other => KexueError::new_err(other.to_string()),
    }
}

/// As [`raise`], with the file that it is about.
pub(crate) fn raise_at(path: &Path, error: kexue_trie::Error) -> PyErr {
    match error {
        kexue_trie::Error::Io(error) => raise_io(Some(path), error),
        other => KexueError::new_err(format!("{}: {other}", path.display())),
    }
}

fn raise_io(path: Option<&Path>, error: std::io::Error) -> PyErr {
    let message = match path {
        Some(path) => format!("{}: {error}", path.display()),
        None => error.to_string(),
    };
    match error.kind() {
        std::io::ErrorKind::InvalidInput => KexueError::new_err(message),
        kind => std::io::Error::new(kind, message).into(),
    }
}
