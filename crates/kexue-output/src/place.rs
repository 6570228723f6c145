//! How an output is written, which depends on what is at its path.

use crate::path::{descriptor, real_path};
use crate::{OutputError, folder_of};
use std::fs::{FileType, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How an output is written.
pub(crate) enum Place {
    /// A regular file, which is replaced, or nothing yet. The path is the one behind all symbolic links.
    File(PathBuf, Option<Metadata>),
    /// The standard output of this process.
    StandardOutput,
    /// An open file of this process, a pipe or a device: written through.
    Stream(PathBuf),
}

impl Place {
    /// Finds out what is at a path.
    ///
    /// # Errors
    /// If nothing can be written there: it is a folder, a socket or a write-protected file, or its folder does not exist.
    pub fn of(path: &Path) -> Result<Self, OutputError> {
        let refused = |problem: String| Err(OutputError::refused(path, problem));
        if path.as_os_str().is_empty() {
            return refused("the name of the output is empty; name a file".to_owned());
        }
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.file_name().is_none() {
            return refused("this is a folder; name a file to write".to_owned());
        }
        let real = real_path(path);
        match descriptor(&real) {
            Some(1) => return Ok(Self::StandardOutput),
            Some(_) => return Ok(Self::Stream(real)),
            None => {}
        }
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => refused("this is a folder; name a file to write".to_owned()),
            Ok(found) if found.is_file() => {
                // A file that its owner has protected is not replaced either, although its folder would allow it.
                OpenOptions::new()
                    .write(true)
                    .open(path)
                    .map_err(|error| match error.kind() {
                        ErrorKind::PermissionDenied => {
                            OutputError::refused(path, "the file is write-protected; name another file")
                        }
                        _ => OutputError::io(path)(error),
                    })?;
                Ok(Self::File(real, Some(found)))
            }
            Ok(found) if is_socket(found.file_type()) => refused("this is a socket; name a file to write".to_owned()),
            Ok(_) => Ok(Self::Stream(real)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = folder_of(&real);
                if !folder.is_dir() {
                    let folder = folder.display();
                    return refused(format!("there is no folder {folder}; create it first"));
                }
                Ok(Self::File(real, None))
            }
            Err(error) => Err(OutputError::io(path)(error)),
        }
    }
}

#[cfg(unix)]
fn is_socket(kind: FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_socket()
}

#[cfg(not(unix))]
fn is_socket(_: FileType) -> bool {
    false
}
