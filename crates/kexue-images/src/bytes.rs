//! The content of a file, decompressed.

use crate::ImageError;
use kexue_output::git_lfs_problem;
use std::io::Read;
use std::path::Path;

/// Reads a file, and decompresses it if it is compressed with gzip or Zstandard.
///
/// # Errors
/// If the file cannot be read, is a Git LFS pointer, or its compression is damaged.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, ImageError> {
    let bytes = std::fs::read(path).map_err(ImageError::io(path))?;
    if let Some(problem) = git_lfs_problem(&bytes) {
        return Err(ImageError::content(path, problem));
    }
    let damaged = |error: std::io::Error| ImageError::content(path, format!("cannot be decompressed: {error}"));
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut inside = Vec::new();
        flate2::bufread::MultiGzDecoder::new(&bytes[..])
            .read_to_end(&mut inside)
            .map_err(damaged)?;
        return Ok(inside);
    }
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return zstd::decode_all(&bytes[..]).map_err(damaged);
    }
    Ok(bytes)
}
