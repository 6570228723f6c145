//! Putting what was found into a builder, in the order of the file.

use super::options::{ImportOptions, ImportReport};
use super::source::unreadable;
use crate::batch::{Batch, Problem};
use crate::build::GraphBuilder;
use crate::error::KgError;
use crate::remedy::Remedy;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::Receiver;

/// Why an input is not read on.
pub(super) enum Stop {
    /// The system, or what unpacks the input, says so.
    Io(std::io::Error),
    /// Without this line the others cannot be understood: it names the columns.
    Line(Problem),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why an input cannot be read on: packed files that end early need more words than the system has; formats say themselves what is wrong.
pub(super) fn broken_off(file: &str, error: std::io::Error) -> KgError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => KgError::Input {
            file: file.into(),
            problem: unreadable(&error),
        },
        _ => KgError::Io {
            path: file.into(),
            source: error,
        },
    }
}

/// Puts the batches into the builder in the order of the file.
pub(super) fn take_batches(
    batches: Receiver<(u64, Result<Batch, Stop>)>,
    used: &Mutex<Vec<Batch>>,
    file: &str,
    options: &ImportOptions,
    builder: &mut GraphBuilder,
    report: &mut ImportReport,
) -> Result<(), KgError> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (number, batch) in batches {
        early.insert(number, batch);
        while let Some(batch) = early.remove(&next) {
            next += 1;
            let batch = batch.map_err(|stop| match stop {
                Stop::Io(error) => broken_off(file, error),
                Stop::Line(Problem { line, problem, remedy }) => KgError::Line {
                    file: file.into(),
                    line,
                    problem,
                    remedies: remedy.into_iter().collect(),
                },
            })?;
            for Problem { line, problem, remedy } in &batch.problems {
                if !options.skip_bad {
                    return Err(KgError::Line {
                        file: file.into(),
                        line: *line,
                        problem: problem.clone(),
                        remedies: remedy.iter().copied().chain([Remedy::SkipBad]).collect(),
                    });
                }
                report
                    .first_skipped
                    .get_or_insert_with(|| format!("{file}:{line}: {problem}"));
            }
            if let Some(header) = &batch.likely_header {
                report.likely_headers.push(format!("{file}:{header}"));
            }
            report.skipped += batch.problems.len() as u64;
            report.read += batch.len() as u64;
            builder.add_batch(&batch)?;
            if let Ok(mut used) = used.lock() {
                used.push(batch);
            }
        }
    }
    Ok(())
}
