//! Opens an input: a file or standard input, compressed or not.

use crate::error::KgError;
use kexue_output::git_lfs_problem;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Error, ErrorKind, Read};
use std::path::Path;

const BUFFER: usize = 1 << 20;
/// The number of bytes that identify a file format.
pub(super) const BEGINNING: usize = 48;

struct Counted<'a, R> {
    inner: R,
    progress: &'a (dyn Fn(u64) + Sync + 'a),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        (self.progress)(read as u64);
        Ok(read)
    }
}

/// The name of a path in errors.
pub(super) fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "<stdin>".into()
    } else {
        path.display().to_string()
    }
}

/// Opens a file, or standard input for `-`. Gzip and Zstandard are recognised by their first bytes and decompressed.
pub(super) fn open<'a>(
    path: &Path,
    progress: &'a (dyn Fn(u64) + Sync + 'a),
) -> Result<Box<dyn BufRead + Send + 'a>, KgError> {
    let failed = |source| KgError::Io {
        path: name(path).into(),
        source,
    };
    let inner: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            let problem = "is a folder; expected a file";
            return Err(failed(Error::new(ErrorKind::IsADirectory, problem)));
        }
        Box::new(file)
    };
    unpacked(Counted { inner, progress }).map_err(failed)
}

/// The content of a source, decompressed if its first bytes show that it is compressed.
fn unpacked<'a>(mut source: impl Read + Send + 'a) -> std::io::Result<Box<dyn BufRead + Send + 'a>> {
    // A pipe may return fewer bytes at first.
    let mut start = Vec::new();
    source.by_ref().take(BEGINNING as u64).read_to_end(&mut start)?;
    if let Some(problem) = git_lfs_problem(&start) {
        return Err(Error::new(ErrorKind::InvalidData, problem));
    }
    let reader = BufReader::with_capacity(BUFFER, Cursor::new(start.clone()).chain(source));
    Ok(match start.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(
            BUFFER,
            flate2::bufread::MultiGzDecoder::new(reader),
        )),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(BufReader::with_capacity(
            BUFFER,
            zstd::stream::Decoder::with_buffer(reader)?,
        )),
        _ => Box::new(reader),
    })
}

/// Opens a text file (or standard input for `-`) for reading line by line. Gzip and Zstandard are decompressed, and a byte order mark is skipped.
///
/// # Errors
/// If the file cannot be read, or is a Git LFS pointer.
pub fn open_text(path: &Path) -> Result<Box<dyn BufRead + Send>, KgError> {
    let text = kexue_output::text_input(open(path, &|_| {})?).map_err(|error| KgError::Input {
        file: name(path),
        problem: unreadable(&error),
    })?;
    Ok(Box::new(text))
}

/// What to say of text that [`open_text`] opened and that cannot be read on.
pub fn unreadable(error: &Error) -> String {
    let remedy = match error.kind() {
        ErrorKind::InvalidData if error.to_string().contains("UTF-8") => "; the text must be UTF-8",
        ErrorKind::UnexpectedEof => "; the packed file was cut short: fetch it or pack it again",
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other => {
            "; the packed file is damaged: fetch it or pack it again"
        }
        _ => "",
    };
    format!("cannot be read: {error}{remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A pipe that gives one byte at a time.
    struct Dripping(Cursor<Vec<u8>>);

    impl Read for Dripping {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let wanted = buffer.len().min(1);
            self.0.read(&mut buffer[..wanted])
        }
    }

    #[test]
    fn packings_are_known_however_slowly_the_bytes_come() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let text = "甲\t乙\t丙\n".repeat(100);
        gzip.write_all(text.as_bytes()).unwrap();
        let inputs = [
            (gzip.finish().unwrap(), text.as_str()),
            (zstd::encode_all(text.as_bytes(), 1).unwrap(), &text),
            (text.clone().into_bytes(), &text),
            (b"(".to_vec(), "("),
            (Vec::new(), ""),
        ];
        for (bytes, expected) in inputs {
            let mut found = String::new();
            let mut reader = unpacked(Dripping(Cursor::new(bytes))).unwrap();
            reader.read_to_string(&mut found).unwrap();
            assert_eq!(found, expected);
        }
    }
}
