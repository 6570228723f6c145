//! Files that appear whole or not at all.

use crate::TrainError;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes a file beside its place, syncs it and renames it into place: a reader sees the old content or the new, never a part.
///
/// # Errors
/// When the file cannot be written.
pub fn write_by_rename(path: &Path, content: &[u8]) -> Result<(), TrainError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let write = || {
        let mut file = File::create(&partial)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&partial);
        TrainError::Io {
            path: path.to_path_buf(),
            source,
        }
    })
}
