//! The file around an index: named sections, each with a checksum.
//!
//! ```text
//! header, 64 bytes: magic "kexueidx" · version u32 · sections u32 · table offset u64 · file length u64 · table checksum u64
//!                   · zeros · header checksum u64 (of the 56 bytes before)
//! sections, each starting at a multiple of 64
//! table, 64 bytes a section: name, 32 bytes padded with zeros · offset u64 · length u64 · checksum u64 · zeros u64
//! ```
//!
//! All numbers are little-endian, all checksums XXH3 of 64 bits. Opening checks the header and the table, whatever the file's size;
//! [`Container::verify`] checks every section.

use crate::bytes::{Bytes, word};
use crate::index::{Error, Result};
use std::io::{Seek, SeekFrom, Write};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const MAGIC: &[u8; 8] = b"kexueidx";
const VERSION: u32 = 3;
const HEADER: usize = 64;
const ENTRY: usize = 64;
const NAME: usize = 32;
const ALIGNMENT: u64 = 64;

/// Writes a container section by section.
#[derive(Debug)]
pub struct ContainerWriter<W> {
    out: W,
    position: u64,
    table: Vec<u8>,
    open: Option<OpenSection>,
}

struct OpenSection {
    name: [u8; NAME],
    start: u64,
    hash: Box<Xxh3>,
}

impl std::fmt::Debug for OpenSection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OpenSection")
            .field("start", &self.start)
            .finish()
    }
}

impl<W: Write + Seek> ContainerWriter<W> {
    /// Starts a container at the beginning of `out`.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn new(mut out: W) -> std::io::Result<Self> {
        out.write_all(&[0; HEADER])?;
        Ok(Self {
            out,
            position: HEADER as u64,
            table: Vec::new(),
            open: None,
        })
    }

    /// Starts a section; what is written through [`Write`] until the next one belongs to it.
    ///
    /// # Errors
    /// If `out` cannot be written.
    ///
    /// # Panics
    /// If the name is longer than 32 bytes: names are part of the program.
    pub fn begin(&mut self, name: &str) -> std::io::Result<()> {
        self.end()?;
        let padding = self.position.next_multiple_of(ALIGNMENT) - self.position;
        self.out.write_all(&[0; ALIGNMENT as usize][..padding as usize])?;
        self.position += padding;
        let mut padded = [0; NAME];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        self.open = Some(OpenSection {
            name: padded,
            start: self.position,
            hash: Box::new(Xxh3::new()),
        });
        Ok(())
    }

    fn end(&mut self) -> std::io::Result<()> {
        if let Some(section) = self.open.take() {
            self.table.extend(section.name);
            for number in [section.start, self.position - section.start, section.hash.digest(), 0] {
                self.table.extend(number.to_le_bytes());
            }
        }
        Ok(())
    }

    /// Writes a whole section.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn section(&mut self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        self.begin(name)?;
        self.write_all(bytes)
    }

    /// Writes the table and the header and gives the output back, flushed.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn finish(mut self) -> std::io::Result<W> {
        self.end()?;
        let table_offset = self.position;
        self.out.write_all(&self.table)?;
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend(((self.table.len() / ENTRY) as u32).to_le_bytes());
        header.extend(table_offset.to_le_bytes());
        header.extend((table_offset + self.table.len() as u64).to_le_bytes());
        header.extend(xxh3_64(&self.table).to_le_bytes());
        header.resize(HEADER - 8, 0);
        let checksum = xxh3_64(&header);
        header.extend(checksum.to_le_bytes());
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for ContainerWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        if let (Some(section), Some(bytes)) = (&mut self.open, bytes.get(..written)) {
            section.hash.update(bytes);
        }
        self.position += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[derive(Clone, Debug)]
struct Section {
    name: String,
    offset: usize,
    length: usize,
    checksum: u64,
}

/// An open container.
#[derive(Clone, Debug)]
pub struct Container {
    bytes: Bytes,
    sections: Vec<Section>,
}

impl Container {
    /// Reads the header and the table.
    ///
    /// # Errors
    /// If the bytes are not a container of this version, or header and table are damaged or cut off.
    pub fn open(bytes: Bytes) -> Result<Self> {
        let damaged = |what: &str| Error::Damaged(what.into());
        if bytes.is_empty() || !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) {
            return Err(Error::NotAnIndex);
        }
        let header = bytes
            .get(..HEADER)
            .ok_or_else(|| damaged("the file is shorter than the header of an index"))?;
        if word(header, HEADER - 8) != Some(xxh3_64(&header[..HEADER - 8])) {
            return Err(damaged("the header's checksum does not fit"));
        }
        let number = |at| word(header, at).unwrap_or_default();
        let (version, count) = (number(8) as u32, number(8) >> 32);
        if version != VERSION {
            return Err(Error::Version {
                found: version,
                expected: VERSION,
            });
        }
        if number(24) != bytes.len() as u64 {
            return Err(Error::Damaged(format!(
                "the file has {} bytes where its header promises {}",
                bytes.len(),
                number(24)
            )));
        }
        let table_offset = usize::try_from(number(16)).unwrap_or(usize::MAX);
        let table = bytes
            .get(table_offset..)
            .filter(|table| table.len() as u64 == count * ENTRY as u64)
            .ok_or_else(|| damaged("the section table is cut off"))?;
        if number(32) != xxh3_64(table) {
            return Err(damaged("the section table's checksum does not fit"));
        }
        let mut sections = Vec::new();
        for entry in table.chunks_exact(ENTRY) {
            let name = String::from_utf8_lossy(&entry[..NAME])
                .trim_end_matches('\0')
                .to_owned();
            let field = |index: usize| word(entry, NAME + 8 * index).unwrap_or(u64::MAX);
            let (offset, length) = (field(0), field(1));
            if offset.checked_add(length).is_none_or(|end| end > table_offset as u64) {
                return Err(Error::Damaged(format!("section `{name}` lies outside the file")));
            }
            sections.push(Section {
                name,
                offset: offset as usize,
                length: length as usize,
                checksum: field(2),
            });
        }
        Ok(Self { bytes, sections })
    }

    /// The checksum of the header, which tells this file from any other.
    pub fn identity(&self) -> u64 {
        word(&self.bytes, HEADER - 8).unwrap_or_default()
    }

    /// The bytes of a section, `None` where there is none of this name.
    pub fn find(&self, name: &str) -> Option<Bytes> {
        let section = self.sections.iter().find(|section| section.name == name)?;
        self.bytes.slice(section.offset..section.offset + section.length)
    }

    /// The bytes of a section.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn section(&self, name: &str) -> Result<Bytes> {
        self.find(name)
            .ok_or_else(|| Error::Damaged(format!("section `{name}` is missing")))
    }

    /// Names and lengths in bytes of the sections, in the file's order.
    pub fn sections(&self) -> impl Iterator<Item = (&str, u64)> {
        self.sections
            .iter()
            .map(|section| (section.name.as_str(), section.length as u64))
    }

    /// The length of the whole file in bytes.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Never: there is a header at least.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Checks the checksum of every section.
    ///
    /// # Errors
    /// Names the first section whose bytes have changed.
    pub fn verify(&self) -> Result<()> {
        for section in &self.sections {
            let bytes = self
                .bytes
                .get(section.offset..section.offset + section.length)
                .unwrap_or_default();
            if xxh3_64(bytes) != section.checksum {
                return Err(Error::Damaged(format!(
                    "the checksum of section `{}` does not fit",
                    section.name
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn written() -> Vec<u8> {
        let mut writer = ContainerWriter::new(Cursor::new(Vec::new())).unwrap();
        writer.section("one", b"first").unwrap();
        writer.section("empty", b"").unwrap();
        writer.section("two", &[7; 100]).unwrap();
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn reads_back_its_sections() {
        let container = Container::open(written().into()).unwrap();
        assert_eq!(&container.section("one").unwrap()[..], b"first");
        assert_eq!(&container.section("two").unwrap()[..], [7; 100]);
        assert_eq!(container.find("three").map(|bytes| bytes.len()), None);
        assert_eq!(
            container.section("three").unwrap_err().to_string(),
            "the index is damaged: section `three` is missing; build it again"
        );
        container.verify().unwrap();
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = written();
        bytes[8] = 1;
        let checksum = xxh3_64(&bytes[..HEADER - 8]);
        bytes[HEADER - 8..HEADER].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(
            Container::open(bytes.into()).unwrap_err().to_string(),
            "the index has version 1 of the format, and this program reads version 3; build it again from its triples"
        );
    }

    #[test]
    fn every_truncation_and_every_flip_is_noticed() {
        let bytes = written();
        for length in 0..bytes.len() {
            assert!(Container::open(bytes[..length].to_vec().into()).is_err());
        }
        let inside: Vec<usize> = {
            let container = Container::open(bytes.clone().into()).unwrap();
            let gaps: Vec<_> = container
                .sections
                .iter()
                .map(|section| section.offset..section.offset + section.length)
                .collect();
            let table = bytes.len() - 3 * ENTRY;
            (0..bytes.len())
                .filter(|at| *at < HEADER || *at >= table || gaps.iter().any(|gap| gap.contains(at)))
                .collect()
        };
        for at in inside {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let noticed = Container::open(damaged.into()).and_then(|container| container.verify());
            assert!(noticed.is_err(), "flip at {at}");
        }
    }
}
