//! Triples before sorting, distributed by the hashes of their subjects.
//!
//! ```text
//! triple = head · varint(relation) · varint(sense) · varint(bytes) · object
//! head   = 0 if the subject is that of the previous triple, otherwise varint(bytes) · subject
//! ```
//!
//! All triples of a subject are in one part, in the order of the input. A part is small enough to be sorted in a core's cache, or in bounded memory.
//! Segments of parts are kept in memory, and beyond a limit in one temporary file.

use kexue_trie::{read_varint, write_varint};
use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of parts.
pub(crate) const PARTS: usize = 256;
/// The usual size of a segment, in bytes.
const SEGMENT: usize = 64 << 10;

/// Bytes in memory or in a temporary file.
#[derive(Debug)]
pub(crate) enum Piece {
    Memory(Vec<u8>),
    File { start: u64, length: usize },
}

/// A temporary file without a name, which is written sequentially and read at any place.
#[derive(Debug)]
pub(crate) struct Spill {
    file: Mutex<File>,
    length: u64,
}

impl Spill {
    pub fn new(folder: &Path) -> Result<Self> {
        Ok(Self {
            file: Mutex::new(tempfile::tempfile_in(folder)?),
            length: 0,
        })
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<Piece> {
        let start = self.length;
        let mut file = lock(&self.file);
        file.seek(SeekFrom::Start(start))?;
        file.write_all(bytes)?;
        drop(file);
        self.length += bytes.len() as u64;
        Ok(Piece::File {
            start,
            length: bytes.len(),
        })
    }

    /// Reads `bytes` at `start`.
    pub fn read(&self, start: u64, bytes: &mut [u8]) -> Result<()> {
        let mut file = lock(&self.file);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(bytes)
    }
}

/// The segments of a part.
#[derive(Debug, Default)]
pub(crate) struct Part {
    full: Vec<Piece>,
    open: Vec<u8>,
}

/// Triples by the parts of their subjects.
#[derive(Debug)]
pub(crate) struct Parts {
    parts: Vec<Part>,
    /// The part of the previous triple; `None` if its segment has been closed since.
    last: Option<usize>,
    /// The number of bytes of segments in memory, and its maximum.
    bytes: u64,
    limit: u64,
    folder: PathBuf,
    spill: Option<Spill>,
}

/// A triple as stored in a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Triple<'a> {
    /// `None` if it is that of the previous triple.
    pub subject: Option<&'a [u8]>,
    pub relation: u32,
    /// 0 for no sense, else the sense's number + 1.
    pub sense: u32,
    pub object: &'a [u8],
}

impl Parts {
    /// Parts without triples. Beyond `limit` bytes (and two segments per part), segments go to a temporary file in `folder`.
    pub fn new(limit: Option<u64>, folder: PathBuf) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Part::default()).collect(),
            last: None,
            bytes: 0,
            limit: limit.map_or(u64::MAX, |limit| limit.max((2 * PARTS * SEGMENT) as u64)),
            folder,
            spill: None,
        }
    }

    /// Adds a triple of the subject with this hash. `same` says that the subject is that of the previous triple.
    pub fn push(
        &mut self,
        hash: u64,
        same: bool,
        subject: &[u8],
        [relation, sense]: [u32; 2],
        object: &[u8],
    ) -> Result<()> {
        let number = (hash % PARTS as u64) as usize;
        let part = &mut self.parts[number];
        // At most five varints of at most five bytes each.
        let most = subject.len() + object.len() + 25;
        let mut same = same && self.last == Some(number);
        if part.open.len() + most > part.open.capacity() {
            same = false;
            let full = std::mem::replace(&mut part.open, Vec::with_capacity(most.max(SEGMENT)));
            self.bytes += part.open.capacity() as u64;
            if !full.is_empty() {
                part.full.push(Piece::Memory(full));
            }
        }
        let open = &mut part.open;
        if same {
            open.push(0);
        } else {
            write_varint(subject.len() as u64, open);
            open.extend_from_slice(subject);
        }
        write_varint(u64::from(relation), open);
        write_varint(u64::from(sense), open);
        write_varint(object.len() as u64, open);
        open.extend_from_slice(object);
        self.last = Some(number);
        if self.bytes > self.limit {
            self.spill()?;
        }
        Ok(())
    }

    /// Moves the segments in memory to the temporary file.
    fn spill(&mut self) -> Result<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::new(&self.folder)?),
        };
        for part in &mut self.parts {
            if !part.open.is_empty() {
                part.full.push(Piece::Memory(std::mem::take(&mut part.open)));
            }
            for piece in &mut part.full {
                if let Piece::Memory(bytes) = piece {
                    *piece = spill.append(bytes)?;
                }
            }
        }
        self.last = None;
        self.bytes = 0;
        Ok(())
    }

    /// The parts, and the file with some of their segments.
    pub fn finish(self) -> (Vec<Part>, Option<Spill>) {
        (self.parts, self.spill)
    }
}

impl Part {
    /// The segments. Those in the file are read.
    pub fn segments<'a>(&'a self, spill: Option<&Spill>) -> Result<Vec<Cow<'a, [u8]>>> {
        let mut segments = Vec::with_capacity(self.full.len() + 1);
        for piece in &self.full {
            segments.push(match piece {
                Piece::Memory(bytes) => Cow::from(bytes.as_slice()),
                Piece::File { .. } => piece.read(spill, Vec::new())?.into(),
            });
        }
        segments.push(self.open.as_slice().into());
        Ok(segments)
    }

    /// Releases the memory of the segments for reuse.
    pub fn give_up(self, pool: &Pool) {
        for piece in self.full {
            if let Piece::Memory(bytes) = piece {
                pool.put(bytes);
            }
        }
        pool.put(self.open);
    }
}

impl Piece {
    /// The bytes. Those in the file are read into `memory`.
    pub fn read(&self, spill: Option<&Spill>, mut memory: Vec<u8>) -> Result<Vec<u8>> {
        match (self, spill) {
            (&Self::File { start, length }, Some(spill)) => {
                memory.resize(length, 0);
                spill.read(start, &mut memory)?;
                Ok(memory)
            }
            _ => Err(std::io::Error::other("a temporary file is gone")),
        }
    }
}

/// Used memory of segments for reuse, which is cheaper than allocating new memory.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    /// Empty memory for a segment of `length` bytes.
    pub fn get(&self, length: usize) -> Vec<u8> {
        match lock(&self.0).pop() {
            Some(bytes) if bytes.capacity() >= length => bytes,
            _ => Vec::with_capacity(length.max(SEGMENT)),
        }
    }

    pub fn put(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        if bytes.capacity() == SEGMENT {
            lock(&self.0).push(bytes);
        }
    }
}

/// Locks a mutex. A panic elsewhere cannot leave the data half changed, so poisoning is ignored.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the next triple at `*at` and moves `*at` after it; `None` at the end.
#[inline]
pub(crate) fn read_triple<'a>(bytes: &'a [u8], at: &mut usize) -> Option<Triple<'a>> {
    fn text<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
        let length = read_varint(bytes, at)? as usize;
        let text = bytes.get(*at..*at + length)?;
        *at += length;
        Some(text)
    }
    let subject = text(bytes, at)?;
    Some(Triple {
        subject: (!subject.is_empty()).then_some(subject),
        relation: read_varint(bytes, at)? as u32,
        sense: read_varint(bytes, at)? as u32,
        object: text(bytes, at)?,
    })
}
