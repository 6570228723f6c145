//! Checks of the output path of an index.

use crate::error::KgError;
use crate::log::log_path;
use crate::replay::{LogState, log_state};
use std::path::{Path, PathBuf};

/// Checks that an index can be written to a path: it must be a file, must not be an input, and must not have a log with changes that would be
/// lost. [`GraphBuilder::finish`](crate::GraphBuilder::finish) checks this too; call this function before the inputs are read.
///
/// # Errors
/// If not; the message says why, and what to do.
pub fn check_output(output: &Path, inputs: &[PathBuf]) -> Result<(), KgError> {
    let refused = |problem: &str| {
        Err(KgError::Input {
            file: output.display().to_string(),
            problem: problem.into(),
        })
    };
    if output == Path::new("-") {
        return refused("an index is not written to standard output; name a file");
    }
    kexue_output::check_output(output, inputs)?;
    // Unlike other outputs, an index cannot be a pipe or device: it is written out of order, and mapped later.
    if std::fs::metadata(output).is_ok_and(|found| !found.is_file()) {
        return refused("this is a pipe or a device; name a file to write the index to");
    }
    match log_state(output)? {
        LogState::Pending(changes) => Err(KgError::Input {
            file: log_path(output).display().to_string(),
            problem: format!(
                "this log holds {changes} changes to {} that a new index would lose; write the index to another file, or remove the log to discard them",
                output.display(),
            ),
        }),
        LogState::None | LogState::Folded => Ok(()),
    }
}
