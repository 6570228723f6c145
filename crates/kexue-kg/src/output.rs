//! Where an index may be written.

use crate::disk::{self, real_path};
use crate::error::KgError;
use crate::log::log_path;
use crate::replay::{LogState, log_state};
use std::fs::FileType;
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
    match std::fs::metadata(output) {
        Ok(metadata) if !metadata.is_file() => {
            let problem = format!(
                "this is {}; name a file to write the index to",
                kind(metadata.file_type())
            );
            return refused(&problem);
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let place = real_path(output);
            let folder = disk::folder(&place);
            if !folder.is_dir() {
                return refused(&format!("there is no folder {}; make it first", folder.display()));
            }
        }
        Err(error) => return Err(KgError::io(output)(error)),
    }
    if let Ok(place) = output.canonicalize()
        && (inputs.iter()).any(|input| input.canonicalize().is_ok_and(|input| input == place))
    {
        return refused("the index would take the place of this input; name another file with -o");
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

fn kind(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    match kind.is_dir() {
        true => "a folder",
        false => "no file",
    }
}
