//! Bytes that are written once and then read once, in memory up to a limit and beyond it in a temporary file.

use std::fs::File;
use std::io::{Error, Read, Result, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// Bytes kept in memory, where there is a folder for files.
const LIMIT: usize = 4 << 20;
/// Bytes read from a file at a time.
const READ: usize = 256 << 10;

#[derive(Debug)]
pub(crate) struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    folder: Option<PathBuf>,
    length: u64,
}

impl Spool {
    /// Without a folder, everything stays in memory.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self {
            memory: Vec::new(),
            file: None,
            folder,
            length: 0,
        }
    }

    pub fn cut_off() -> Error {
        Error::other("a temporary file does not hold what was written to it")
    }

    pub fn len(&self) -> u64 {
        self.length
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.memory.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
        if self.memory.len() > LIMIT {
            self.flush()?;
        }
        Ok(())
    }

    /// Moves what is in memory to the file, where there is a folder for one.
    pub fn flush(&mut self) -> Result<()> {
        if let Some(folder) = &self.folder {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile_in(folder)?),
            };
            file.write_all(&self.memory)?;
            self.memory.clear();
        }
        Ok(())
    }

    /// Reads what was written, from the start.
    pub fn read(mut self) -> Result<SpoolReader> {
        let mut left = 0;
        if let Some(file) = &mut self.file {
            left = file.stream_position()?;
            file.seek(SeekFrom::Start(0))?;
        }
        Ok(SpoolReader {
            bytes: if left > 0 {
                Vec::new()
            } else {
                std::mem::take(&mut self.memory)
            },
            at: 0,
            left,
            spool: self,
        })
    }

    /// Copies what was written, from the start.
    pub fn copy(self, out: &mut impl Write) -> Result<()> {
        let mut reader = self.read()?;
        while reader.fill()? {
            out.write_all(&reader.bytes[reader.at..])?;
            reader.at = reader.bytes.len();
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct SpoolReader {
    bytes: Vec<u8>,
    at: usize,
    /// Bytes of the file that have not been read.
    left: u64,
    spool: Spool,
}

impl SpoolReader {
    /// Sees to it that there are bytes at `at`; false at the end.
    fn fill(&mut self) -> Result<bool> {
        while self.at == self.bytes.len() {
            self.at = 0;
            if self.left > 0
                && let Some(file) = &mut self.spool.file
            {
                let length = self.left.min(READ as u64);
                self.bytes.resize(length as usize, 0);
                file.read_exact(&mut self.bytes)?;
                self.left -= length;
            } else if self.spool.memory.is_empty() {
                self.bytes.clear();
                return Ok(false);
            } else {
                self.bytes = std::mem::take(&mut self.spool.memory);
            }
        }
        Ok(true)
    }

    /// The next number that was written as a varint, none at the end.
    pub fn varint(&mut self) -> Result<Option<u64>> {
        let (mut value, mut shift) = (0, 0);
        while self.fill()? {
            let byte = self.bytes[self.at];
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(Some(value));
            }
            shift += 7;
            if shift > 63 {
                return Err(Spool::cut_off());
            }
        }
        match shift {
            0 => Ok(None),
            _ => Err(Spool::cut_off()),
        }
    }
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() || !self.fill()? {
            return Ok(0);
        }
        let length = buffer.len().min(self.bytes.len() - self.at);
        buffer[..length].copy_from_slice(&self.bytes[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
