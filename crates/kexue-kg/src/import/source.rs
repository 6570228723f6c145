//! Opening an input: a file or standard input, packed or not.

use super::{Progress, name};
use crate::KgError;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

const BUFFER: usize = 1 << 20;

struct Counted<'a, R> {
    inner: R,
    progress: &'a Progress<'a>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        (self.progress)(read as u64);
        Ok(read)
    }
}

/// Opens a file, or standard input for `-`; gzip and Zstandard are known by their first bytes and unpacked.
pub(super) fn open<'a>(path: &Path, progress: &'a Progress<'a>) -> Result<Box<dyn BufRead + Send + 'a>, KgError> {
    let failed = |source| KgError::Io {
        path: name(path).into(),
        source,
    };
    let inner: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut reader = BufReader::with_capacity(BUFFER, Counted { inner, progress });
    // A pipe may give fewer bytes than a magic number at first.
    let start = reader.fill_buf().map_err(failed)?;
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(
            BUFFER,
            flate2::bufread::MultiGzDecoder::new(reader),
        )),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(BufReader::with_capacity(
            BUFFER,
            zstd::stream::Decoder::with_buffer(reader).map_err(failed)?,
        )),
        _ => Box::new(reader),
    })
}

/// Opens a text file (or standard input for `-`) for reading line by line; gzip and Zstandard are unpacked.
///
/// # Errors
/// When the file cannot be read.
pub fn open_text(path: &Path) -> Result<Box<dyn BufRead + Send>, KgError> {
    open(path, &|_| {})
}
