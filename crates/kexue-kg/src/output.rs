//! Where an index may be written.

use crate::error::KgError;
use crate::log::log_path;
use crate::replay::{LogState, log_state};
use std::path::{Path, PathBuf};

/// Checks that an index can take the place of what has its name: a file, none of the inputs, and without changes beside it that would be lost.
/// [`GraphBuilder::finish`](crate::GraphBuilder::finish) does so too; this is for asking before the inputs are read.
///
/// # Errors
/// Says what stands in the way, and what to do.
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
    // Other outputs go through pipes and devices; an index is written out of order, and then mapped.
    if std::fs::metadata(output).is_ok_and(|found| !found.is_file()) {
        return refused("this is a pipe or a device; name a file to write the index to");
    }
    match log_state(output)? {
        LogState::Pending(changes) => Err(KgError::Input {
            file: log_path(output).display().to_string(),
            problem: format!(
                "here stand changes to {} that a new index would not have ({changes} of them); write it to another file, or remove this log to give them up",
                output.display(),
            ),
        }),
        LogState::None | LogState::Folded => Ok(()),
    }
}
