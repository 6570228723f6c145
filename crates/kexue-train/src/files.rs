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

/// Checks that a file can be written where it is to be, and that it takes the place of none that is read: to be said before the work whose
/// results it holds.
///
/// # Errors
/// Says what stands in the way.
pub fn check_output(out: &Path, inputs: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<(), TrainError> {
    let refused = |problem: String| Err(TrainError::file(out, problem));
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if out.is_dir() {
        return refused("this is a folder; name a file to write".to_owned());
    }
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return refused(format!("there is no folder {}; make it first", folder.display()));
    }
    // Where nothing stands yet, it takes no place.
    let Ok(place) = out.canonicalize() else { return Ok(()) };
    let is_here = |input: &Path| input.canonicalize().is_ok_and(|input| input == place);
    if inputs.into_iter().any(|input| is_here(input.as_ref())) {
        return refused("what is written would take the place of this input; name another file".to_owned());
    }
    Ok(())
}
