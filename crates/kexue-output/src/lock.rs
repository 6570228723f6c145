//! A lock between processes.

use crate::OutputError;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

/// The lock of a run's folder. While it exists, no other process can take it. The system releases it when the process ends, also after a crash.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks an existing folder by means of a file `.lock` in it. The file is not removed.
    ///
    /// A file system without locks, such as some network drives, gives no protection.
    ///
    /// # Errors
    /// [`OutputError::Busy`] if another process holds it, or if the file cannot be created.
    pub fn of_folder(folder: &Path) -> Result<Self, OutputError> {
        Self::of_file(&folder.join(".lock"), folder)
    }

    /// Locks a file, which is created if needed and not removed. `protected` is the path that the error message names.
    ///
    /// # Errors
    /// [`OutputError::Busy`] if another process holds it, or if the file cannot be created.
    pub fn of_file(file: &Path, protected: &Path) -> Result<Self, OutputError> {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(file)
            .map_err(OutputError::io(file))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _file: lock }),
            Err(TryLockError::WouldBlock) => Err(OutputError::Busy {
                path: protected.to_path_buf(),
            }),
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                Ok(Self { _file: lock })
            }
            Err(TryLockError::Error(error)) => Err(OutputError::io(file)(error)),
        }
    }
}
