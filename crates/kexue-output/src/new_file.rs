//! Files that appear whole or not at all.

use crate::place::Place;
use crate::{OutputError, folder_of};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Result, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Separates the name of the output from the random end in the name of its temporary file.
const MARK: &str = ".kexue-";
/// Random letters and digits at the end of the name of a temporary file.
const RANDOM: usize = 6;
/// Longer names of outputs are not part of the temporary file's name: file systems allow 255 bytes.
const LONGEST_NAME: usize = 255 - 1 - MARK.len() - RANDOM;
/// How often to create a temporary file again after another process removed it as abandoned.
const ATTEMPTS: usize = 10;

/// Writes a file atomically: readers see either the old or the new content. See [`NewFile`] for what is kept and replaced.
///
/// # Errors
/// If the file cannot be written; the message names it. The old file is then unchanged.
pub fn write_file(path: &Path, content: &[u8]) -> std::result::Result<(), OutputError> {
    let mut file = NewFile::create(path)?;
    file.write_all(content).map_err(OutputError::io(path))?;
    file.commit()
}

/// An output that is being written.
///
/// - A regular file is written under a temporary name in the same folder, `.NAME.kexue-XXXXXX`, and replaces the old file in
///   [`commit`](Self::commit), after its bytes are on the disk. It keeps the mode of the old file, and its owner where the system allows that;
///   other hard links to the old file keep the old content. Dropped without `commit`, it leaves nothing behind.
/// - Symbolic links are followed: the file that they lead to is replaced or created.
/// - Pipes, devices and open files (`/dev/stdout`, `/dev/fd/3`) are written directly, because there is nothing to replace.
///
/// A temporary file is locked while it is written. The next writer of the same output removes unlocked ones, which killed processes left behind.
#[derive(Debug)]
pub struct NewFile {
    /// The path as the caller gave it, for messages.
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Replaced { file: NamedTempFile, real: PathBuf },
    StandardOutput(std::io::Stdout),
    Stream(File),
}

impl NewFile {
    /// Starts to write the output at a path.
    ///
    /// # Errors
    /// If nothing can be written there, as in [`check_output`](crate::check_output).
    pub fn create(path: &Path) -> std::result::Result<Self, OutputError> {
        let target = match Place::of(path)? {
            Place::StandardOutput => Target::StandardOutput(std::io::stdout()),
            // Append mode keeps what a shell has already written to a file that it holds open.
            Place::Stream(real) => Target::Stream(
                OpenOptions::new()
                    .append(true)
                    .open(real)
                    .map_err(OutputError::io(path))?,
            ),
            Place::File(real, old) => {
                let file = temporary(&real, old.as_ref()).map_err(OutputError::io(path))?;
                Target::Replaced { file, real }
            }
        };
        Ok(Self {
            path: path.to_path_buf(),
            target,
        })
    }

    /// Finishes the output: its bytes and its name are on the disk when this returns.
    ///
    /// # Errors
    /// If that fails; the message names the output. A regular file is then unchanged.
    pub fn commit(self) -> std::result::Result<(), OutputError> {
        self.commit_in_steps(|| ())
    }

    /// Like [`commit`](Self::commit), but calls a function before each change on the disk, so that tests can end the process there.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_in_steps(self, mut before: impl FnMut()) -> std::result::Result<(), OutputError> {
        let Self { path, target } = self;
        let commit = || match target {
            Target::StandardOutput(mut output) => output.flush(),
            Target::Stream(mut file) => {
                file.flush()?;
                // Pipes and most devices cannot be synced.
                let _ = file.sync_all();
                Ok(())
            }
            Target::Replaced { mut file, real } => {
                file.flush()?;
                before();
                if let Ok(old) = std::fs::metadata(&real) {
                    keep_access(file.as_file(), &old)?;
                }
                before();
                file.as_file().sync_all()?;
                before();
                file.persist(&real).map_err(|error| error.error)?;
                before();
                sync_folder(folder_of(&real))
            }
        };
        commit().map_err(OutputError::io(path))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match &mut self.target {
            Target::Replaced { file, .. } => file.write(bytes),
            Target::StandardOutput(output) => output.write(bytes),
            Target::Stream(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match &mut self.target {
            Target::Replaced { file, .. } => file.flush(),
            Target::StandardOutput(output) => output.flush(),
            Target::Stream(file) => file.flush(),
        }
    }
}

impl Seek for NewFile {
    /// Fails if the output is written directly, such as a pipe.
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        match &mut self.target {
            Target::Replaced { file, .. } => file.seek(to),
            Target::StandardOutput(_) | Target::Stream(_) => Err(ErrorKind::NotSeekable.into()),
        }
    }
}

/// Creates a locked temporary file that will replace `real`.
fn temporary(real: &Path, old: Option<&Metadata>) -> Result<NamedTempFile> {
    let prefix = temporary_prefix(real);
    remove_abandoned(folder_of(real), &prefix);
    for _ in 0..ATTEMPTS {
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).rand_bytes(RANDOM);
        // A private file must stay private while it is written; a new file gets the mode that the user's umask allows.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(
            old.map_or(0o666, |old| mode(old) & 0o700),
        ));
        #[cfg(not(unix))]
        let _ = old;
        let file = builder.tempfile_in(folder_of(real))?;
        // On a file system without locks, no other process can lock a temporary file, so none removes it.
        let _ = file.as_file().lock();
        // Another process may have removed it between creation and lock.
        if file.path().exists() {
            return Ok(file);
        }
    }
    Err(Error::other("other processes keep removing the temporary file"))
}

/// The name of a temporary file up to its random end.
fn temporary_prefix(real: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    if let Some(name) = real.file_name().filter(|name| name.len() <= LONGEST_NAME) {
        prefix.push(name);
    }
    prefix.push(MARK);
    prefix
}

/// Removes temporary files of the same output that killed processes left behind. Ignores files that cannot be removed.
fn remove_abandoned(folder: &Path, prefix: &OsStr) {
    let is_temporary = |name: &OsStr| {
        let random = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        random.is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric))
    };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !is_temporary(&entry.file_name()) || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        // The lock is held until the file is gone, so that a process that has just created it and waits for the lock sees that.
        if let Ok(file) = OpenOptions::new().write(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o7777
}

/// Gives a new file the owner and the mode of the old one.
#[cfg(unix)]
fn keep_access(file: &File, old: &Metadata) -> Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let new = file.metadata()?;
    // Only root may give files away; a changed owner clears the set-user-ID bit, so the mode comes last.
    if new.uid() != old.uid() {
        let _ = fchown(file, Some(old.uid()), None);
    }
    if new.gid() != old.gid() {
        let _ = fchown(file, None, Some(old.gid()));
    }
    file.set_permissions(Permissions::from_mode(mode(old)))
}

#[cfg(not(unix))]
fn keep_access(_: &File, _: &Metadata) -> Result<()> {
    Ok(())
}

/// Syncs a folder, so that a rename in it survives a crash.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // The folder may be writable but not readable, or on a file system that does not sync folders.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<()> {
    Ok(())
}
