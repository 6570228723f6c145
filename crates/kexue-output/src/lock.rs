//! A lock between processes.

use crate::OutputError;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

/// The lock of a run's folder: as long as it lives, no other process gets it. The system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of an existing folder, which is its file `.lock`. The file stays there.
    ///
    /// A file system without locks, such as some network drives, gives no protection.
    ///
    /// # Errors
    /// [`OutputError::Busy`] if another process holds it, or if the file cannot be created.
    pub fn of_folder(folder: &Path) -> Result<Self, OutputError> {
        Self::of_file(&folder.join(".lock"), folder)
    }

    /// Takes the lock that a file stands for; the file is created if need be and stays. `protected` is what the message names.
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
