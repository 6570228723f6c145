//! Errors as Python exceptions, with the messages that the Rust crates give.

use kexue_kg::{KgError, Remedy};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::fmt::Display;
use std::io;
use std::path::Path;

pyo3::create_exception!(
    _kexue,
    KexueError,
    PyValueError,
    "Input that Kexue cannot use: the message says where, what was expected, and what to do."
);

/// Errors whose message is all there is to them.
pub(crate) trait Raise<T> {
    /// The value, or a [`KexueError`].
    fn raise(self) -> PyResult<T>;
}

impl<T, E: Display> Raise<T> for Result<T, E> {
    fn raise(self) -> PyResult<T> {
        self.map_err(|error| KexueError::new_err(error.to_string()))
    }
}

/// An error of an index: a [`KexueError`], or one of the system as an `OSError`.
pub(crate) fn raise(error: kexue_trie::Error) -> PyErr {
    match error {
        kexue_trie::Error::Io(error) => raise_io(error.to_string(), &error),
        other => KexueError::new_err(other.to_string()),
    }
}

/// As [`raise`], with the file that it is about.
pub(crate) fn raise_at(path: &Path, error: kexue_trie::Error) -> PyErr {
    let message = format!("{}: {error}", path.display());
    match error {
        kexue_trie::Error::Io(error) => raise_io(message, &error),
        _ => KexueError::new_err(message),
    }
}

/// An error of a graph, with the argument or the method that helps.
pub(crate) fn raise_kg(error: KgError) -> PyErr {
    let mut message = error.to_string();
    if let KgError::Io { source, .. } = &error {
        return raise_io(message, source);
    }
    for remedy in error.remedies() {
        let advice = match remedy {
            Remedy::Format => "state the `format`",
            Remedy::Columns => "name the three `columns`",
            Remedy::NoColumns => "leave `columns` out, and pass over a header with header=True",
            Remedy::SkipBad => "correct the line, or leave such lines out with skip_bad=True",
            Remedy::CsvEscape => "if \\\" stands for a quote in this file, give csv_escape=\"backslash\"",
            Remedy::Build => "build an index with KnowledgeGraph.build",
            Remedy::Compact => "fold the changes in with KnowledgeGraph.compact",
            _ => continue,
        };
        message.push_str("; ");
        message.push_str(advice);
    }
    KexueError::new_err(message)
}

/// An error of question answering.
pub(crate) fn raise_qa(error: kexue_qa::Error) -> PyErr {
    match error {
        kexue_qa::Error::Graph(error) => raise_kg(error),
        kexue_qa::Error::Io { ref source, .. } => raise_io(error.to_string(), source),
        other => KexueError::new_err(other.to_string()),
    }
}

/// An error of a results table.
pub(crate) fn raise_rank(error: kexue_rank::Error) -> PyErr {
    match &error {
        kexue_rank::Error::Io { source, .. } => raise_io(error.to_string(), source),
        _ => KexueError::new_err(error.to_string()),
    }
}

fn raise_io(message: String, error: &io::Error) -> PyErr {
    match error.kind() {
        io::ErrorKind::InvalidInput => KexueError::new_err(message),
        kind => io::Error::new(kind, message).into(),
    }
}
