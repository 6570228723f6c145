//! Checks before the work starts, so that hours of work do not end at a file that cannot be written.

use crate::place::Place;
use crate::{OutputError, folder_of};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Checks that an output can be written and does not overwrite an input. Call it before the work starts.
///
/// Symbolic links are followed. Pipes and devices are accepted, because [`NewFile`](crate::NewFile) writes through them.
///
/// # Errors
/// If the output is a folder, a socket, a write-protected file or one of the inputs, or if its folder does not exist or no file can be created
/// in it. The message says what to do.
pub fn check_output(output: &Path, inputs: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<(), OutputError> {
    let place = Place::of(output)?;
    if let Ok(written) = output.canonicalize()
        && (inputs.into_iter()).any(|input| input.as_ref().canonicalize().is_ok_and(|input| input == written))
    {
        return Err(OutputError::refused(
            output,
            "this would overwrite an input; name another file",
        ));
    }
    match place {
        Place::File(path, _) => check_writable(folder_of(&path), output),
        Place::StandardOutput | Place::Stream(_) => Ok(()),
    }
}

/// Checks that a folder exists or can be created, and that files can be created in it. Leaves nothing behind.
///
/// # Errors
/// If the path is a file, or the folder cannot be created or written. The message says what to do.
pub fn check_folder(folder: &Path) -> Result<(), OutputError> {
    if folder.as_os_str().is_empty() {
        return Err(OutputError::refused(
            folder,
            "the name of the folder is empty; name a folder",
        ));
    }
    let mut existing: PathBuf = folder.to_path_buf();
    // A dangling link exists, so no folder can be created there.
    let is_missing = |error: std::io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    while std::fs::symlink_metadata(&existing).is_err_and(is_missing) {
        existing = folder_of(&existing).to_path_buf();
    }
    if !existing.is_dir() {
        let problem = match existing == folder {
            true => "this is not a folder; name a folder (it is created if it does not exist)".to_owned(),
            false => format!(
                "no folder can be created here, because {} is not a folder",
                existing.display()
            ),
        };
        return Err(OutputError::refused(folder, problem));
    }
    check_writable(&existing, folder)
}

fn check_writable(folder: &Path, output: &Path) -> Result<(), OutputError> {
    // Access rights alone do not tell whether the file system is read-only or full.
    tempfile::tempfile_in(folder).map(drop).map_err(|error| {
        let folder = folder.display();
        OutputError::refused(
            output,
            format!("no file can be created in the folder {folder} ({error}); use another one"),
        )
    })
}
