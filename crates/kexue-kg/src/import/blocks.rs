//! Splits an input into blocks of whole lines.

use std::io::{BufRead, Read};

/// The size of a block of lines, in bytes.
pub(super) const BLOCK: usize = 1 << 20;

/// The byte order mark that some programs write before UTF-8.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";

/// Skips the first line that is not empty, and returns the number of the next one.
pub(super) fn skip_header(mut source: &mut dyn BufRead) -> std::io::Result<u64> {
    for line in 1.. {
        // This many bytes show whether the line is empty: a byte order mark and a Windows line end.
        let mut start = Vec::new();
        (&mut source)
            .take(MARK.len() as u64 + 2)
            .read_until(b'\n', &mut start)?;
        let text = match line {
            1 => start.strip_prefix(MARK).unwrap_or(&start),
            _ => &start,
        };
        if !start.is_empty() && matches!(text, b"\n" | b"\r\n") {
            continue;
        }
        if !start.ends_with(b"\n") {
            source.skip_until(b'\n')?;
        }
        return Ok(line + 1);
    }
    Ok(1)
}

/// An input that is split into blocks of whole lines.
pub(super) struct Blocks<'a> {
    pub source: Box<dyn BufRead + Send + 'a>,
    /// Number of the next block, and of its first line.
    pub number: u64,
    pub line: u64,
    pub done: bool,
}

impl Blocks<'_> {
    /// Reads the next block into `block`. Returns its number and that of its first line; `None` at the end.
    pub fn next(&mut self, block: &mut Vec<u8>) -> std::io::Result<Option<(u64, u64)>> {
        block.clear();
        block.reserve(BLOCK + BLOCK / 8);
        while !self.done {
            let taken = match self.source.fill_buf() {
                Ok([]) => {
                    self.done = true;
                    0
                }
                Ok(buffer) => {
                    let end = match memchr::memrchr(b'\n', buffer) {
                        Some(newline) if block.len() + buffer.len() >= BLOCK => newline + 1,
                        _ => buffer.len(),
                    };
                    block.extend_from_slice(&buffer[..end]);
                    end
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
                Err(error) => {
                    self.done = true;
                    return Err(error);
                }
            };
            self.source.consume(taken);
            if block.len() >= BLOCK && block.ends_with(b"\n") {
                break;
            }
        }
        // It is not part of the first name.
        if self.number == 0 && self.line == 1 && block.starts_with(MARK) {
            block.drain(..MARK.len());
        }
        if block.is_empty() {
            return Ok(None);
        }
        let found = (self.number, self.line);
        self.number += 1;
        self.line += memchr::memchr_iter(b'\n', block).count() as u64;
        Ok(Some(found))
    }
}
