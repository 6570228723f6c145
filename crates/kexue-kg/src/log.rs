//! The log of changes beside an index.
//!
//! ```text
//! header = magic "kexuelg2" · identity of the index u64
//! record = length u32 · XXH3 of the payload u64 · XXH3 of these 12 bytes u64 · payload: a change as JSON; after a large removal, its outcome
//! ```
//!
//! A change is written and synced before it is acknowledged. A record that is cut off at the end was never acknowledged and is ignored; a damaged
//! record before the end is an error. The head of a record has its own checksum, so that a damaged length is not mistaken for the end.

use crate::disk::{self, NewFile};
use crate::error::KgError;
use kexue_output::real_path;
use kexue_trie::Key;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"kexuelg2";
/// The beginning of logs of an older format, whose heads had no checksum.
const FIRST_MAGIC: &[u8; 8] = b"kexuelog";
const HEADER: usize = 16;
const RECORD: usize = 20;

/// A change to a graph. A name is written as in a triple, its sense in full-width brackets at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Adds an object at the end of the objects of a fact, which is created if it does not exist.
    Add {
        /// The subject.
        subject: String,
        /// The relation.
        relation: String,
        /// The object.
        object: String,
    },
    /// Replaces the objects of a fact.
    Replace {
        /// The subject.
        subject: String,
        /// The relation.
        relation: String,
        /// The objects.
        objects: Vec<String>,
    },
    /// Removes an object; without an object, the fact; without a relation, all facts of the subject in this sense.
    Remove {
        /// The subject.
        subject: String,
        /// The relation.
        relation: Option<String>,
        /// The object.
        object: Option<String>,
    },
    /// Adds another name of a subject, which questions may use.
    Alias {
        /// The subject, without its sense.
        subject: String,
        /// The other name.
        alias: String,
    },
    /// Removes a name that was added to a subject.
    Unalias {
        /// The subject, without its sense.
        subject: String,
        /// The other name.
        alias: String,
    },
    /// Answers a question with this fact, regardless of the model.
    Pin {
        /// The question.
        question: String,
        /// The subject.
        subject: String,
        /// The relation.
        relation: String,
    },
    /// Lets a model answer the question again.
    Unpin {
        /// The question.
        question: String,
    },
}

/// The outcome of a removal, so that it can be repeated without reading the removed facts. Ascending numbers are stored as differences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Removal {
    /// The removed ranges of keys of the file: for each, the distance from the end of the previous range, and the length.
    keys: Vec<u64>,
    /// The keys of the file whose facts lose the subject as an object.
    lessened: Vec<u64>,
    /// Relations and objects of inverse facts whose subject has changed.
    back: Vec<(String, String)>,
}

impl Removal {
    pub fn new(
        keys: impl Iterator<Item = Range<Key>>,
        lessened: impl IntoIterator<Item = Key>,
        back: Vec<(String, String)>,
    ) -> Self {
        let mut removal = Self {
            back,
            ..Self::default()
        };
        let mut end = 0;
        for range in keys {
            removal.keys.extend([range.start - end, range.end - range.start]);
            end = range.end;
        }
        let mut last = 0;
        for key in lessened {
            removal.lessened.push(key - last);
            last = key;
        }
        removal
    }

    /// The removed keys of the file, as ascending ranges.
    pub fn keys(&self) -> impl Iterator<Item = Range<Key>> {
        let mut end: Key = 0;
        self.keys.chunks_exact(2).map(move |pair| {
            let start = end.saturating_add(pair[0]);
            end = start.saturating_add(pair[1]);
            start..end
        })
    }

    /// The keys of the file whose facts lose the subject as an object.
    pub fn lessened(&self) -> impl Iterator<Item = Key> {
        self.lessened.iter().scan(0, |key: &mut Key, &distance| {
            *key = key.saturating_add(distance);
            Some(*key)
        })
    }

    pub fn back(&self) -> &[(String, String)] {
        &self.back
    }
}

/// A change as stored in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub change: Change,
    pub removal: Option<Removal>,
}

impl Logged {
    fn from_payload(payload: &[u8]) -> serde_json::Result<Self> {
        let mut values = serde_json::Deserializer::from_slice(payload).into_iter();
        let change = values
            .next()
            .transpose()?
            .ok_or_else(|| serde::de::Error::custom("nothing is there"))?;
        let rest = &payload[values.byte_offset()..];
        let removal = match rest.is_empty() {
            true => None,
            false => Some(serde_json::from_slice(rest)?),
        };
        Ok(Self { change, removal })
    }
}

/// The log file of an index. It is beside the file that the name refers to, after following symbolic links.
pub fn log_path(index: &Path) -> PathBuf {
    with_extension(index, "log")
}

fn lock_path(index: &Path) -> PathBuf {
    with_extension(index, "lock")
}

fn with_extension(index: &Path, extension: &str) -> PathBuf {
    let mut name = real_path(index).into_os_string();
    name.push(".");
    name.push(extension);
    name.into()
}

/// The changes of a log, and how many of its bytes they take.
pub(crate) struct LogContents {
    pub identity: u64,
    pub changes: Vec<Logged>,
    pub length: u64,
    /// Bytes after them, of an unfinished change.
    pub unfinished: u64,
}

/// Reads the log of an index; `None` if there is no file.
pub(crate) fn read_log(index: &Path) -> Result<Option<LogContents>, KgError> {
    let path = log_path(index);
    let mut bytes = Vec::new();
    match File::open(&path) {
        Ok(mut file) => file.read_to_end(&mut bytes).map_err(KgError::io(&path))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(KgError::io(&path)(error)),
    };
    let contents = parse_log(&bytes).map_err(|problem| KgError::Input {
        file: path.display().to_string(),
        problem,
    })?;
    Ok(Some(contents))
}

/// Reads the bytes of a log. An incomplete header belongs to no index, since nothing was acknowledged yet.
fn parse_log(bytes: &[u8]) -> Result<LogContents, String> {
    let Some(header) = bytes.get(..HEADER) else {
        return Ok(LogContents {
            identity: 0,
            changes: Vec::new(),
            length: 0,
            unfinished: bytes.len() as u64,
        });
    };
    if header.starts_with(FIRST_MAGIC) {
        return Err(
            "the log was written by an earlier version; fold it in with that version's `kexue kg compact`, or move it away".into(),
        );
    }
    if !header.starts_with(MAGIC) {
        return Err("the file does not begin like a log of changes; move it away".into());
    }
    let mut contents = LogContents {
        identity: number(&header[8..]),
        changes: Vec::new(),
        length: HEADER as u64,
        unfinished: 0,
    };
    let mut at = HEADER;
    while let Some(record) = bytes.get(at..).filter(|rest| rest.len() >= RECORD) {
        let damaged = || {
            format!(
                "the change at byte {at} is damaged; restore the file, or cut it off there to keep the changes before"
            )
        };
        let Some((length, checksum)) = parse_head(record) else {
            // The system may have put the pages of a last write on disk in any order. What follows a record was written after it was synced:
            // where another follows, this one was whole.
            match record.windows(RECORD).any(|bytes| parse_head(bytes).is_some()) {
                true => return Err(damaged()),
                false => break,
            }
        };
        let Some(payload) = record[RECORD..].get(..length) else {
            break;
        };
        if xxh3_64(payload) != checksum {
            match record.len() == RECORD + length {
                true => break,
                false => return Err(damaged()),
            }
        }
        let change = Logged::from_payload(payload).map_err(|error| {
            format!("the change at byte {at} cannot be read ({error}); was it written by a newer program?")
        })?;
        contents.changes.push(change);
        at += RECORD + length;
        contents.length = at as u64;
    }
    contents.unfinished = (bytes.len() - at) as u64;
    Ok(contents)
}

/// Length and checksum of the payload, from the head of a record; `None` if the head is damaged.
fn parse_head(record: &[u8]) -> Option<(usize, u64)> {
    let (head, checksum) = (record.get(..12)?, record.get(12..RECORD)?);
    (xxh3_64(head) == number(checksum)).then(|| (number(&head[..4]) as usize, number(&head[4..])))
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The one writer of an index's log.
#[derive(Debug)]
pub(crate) struct LogWriter {
    file: File,
    path: PathBuf,
    /// The number of acknowledged bytes, and whether a change that could not be written may have left more bytes after them.
    length: u64,
    failed: bool,
    /// Held during the lifetime of the writer.
    _lock: File,
}

/// How long to wait for another writer by default: long enough for a single change, and for a program that is being started to close inherited
/// files.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// Takes the lock of an index, waiting up to `patience` for another writer.
pub(crate) fn lock(index: &Path, patience: Duration) -> Result<File, KgError> {
    let path = lock_path(index);
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(KgError::io(&path))?;
    let start = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => std::thread::sleep(patience / 50),
            Err(TryLockError::WouldBlock) => {
                return Err(KgError::Busy {
                    path: index.to_path_buf(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(KgError::io(&path)(error)),
        }
    }
}

impl LogWriter {
    /// Opens the log of the index with this identity for writing. The lock must already be taken. An unfinished change at the end is removed.
    pub fn open(index: &Path, identity: u64, lock: File) -> Result<Self, KgError> {
        let path = log_path(index);
        let length = match read_log(index)? {
            Some(contents) if contents.identity == identity => contents.length,
            _ => {
                // A new log appears with its header or not at all.
                let mut file = NewFile::create(&path)?;
                let mut header = MAGIC.to_vec();
                header.extend(identity.to_le_bytes());
                file.write_all(&header).map_err(KgError::io(&path))?;
                file.commit()?;
                HEADER as u64
            }
        };
        let file = OpenOptions::new().write(true).open(&path).map_err(KgError::io(&path))?;
        Ok(Self {
            file,
            path,
            length,
            // What is cut off at the end was not acknowledged.
            failed: true,
            _lock: lock,
        })
    }

    /// Writes a change. It is on disk when this returns.
    pub fn append(&mut self, change: &Change, removal: Option<&Removal>) -> Result<(), KgError> {
        let mut payload = Vec::new();
        let written = serde_json::to_writer(&mut payload, change)
            .and_then(|()| removal.map_or(Ok(()), |removal| serde_json::to_writer(&mut payload, removal)));
        written.map_err(|error| KgError::io(&self.path)(error.into()))?;
        let length =
            u32::try_from(payload.len()).map_err(|_| KgError::TooLarge("four thousand million bytes in a change"))?;
        let mut record = Vec::with_capacity(RECORD + payload.len());
        record.extend(length.to_le_bytes());
        record.extend(xxh3_64(&payload).to_le_bytes());
        record.extend(xxh3_64(&record).to_le_bytes());
        record.extend(payload);
        let mut write = || {
            if self.failed {
                disk::cut(&self.file, self.length)?;
                self.file.seek(SeekFrom::Start(self.length))?;
            }
            self.failed = true;
            disk::write_synced(&mut self.file, &record)
        };
        write().map_err(KgError::io(&self.path))?;
        self.failed = false;
        self.length += record.len() as u64;
        Ok(())
    }
}
