//! Tries in one step: from sequences in any order, in memory or as a file of their own.

use crate::bytes::Bytes;
use crate::container::{Container, ContainerWriter};
use crate::index::{Result, Token};
use crate::sequence_sorter::SequenceSorter;
use crate::trie::Trie;
use kexue_output::{NewFile, OutputError};
use std::fs::File;
use std::io::{BufWriter, Cursor, Error, Seek, Write};
use std::path::Path;

/// The names of the sections in a file of one trie begin so.
const PREFIX: &str = "trie.";

impl Trie {
    /// Builds a trie in memory. The sequences may come in any order, and more than once.
    ///
    /// Keys are numbered in lexicographic order, not in the order of the input. Everything is held in memory while the trie is built; for
    /// more than that, use a [`SequenceSorter`] with a limit, or sort the sequences and use a [`TrieBuilder`](crate::TrieBuilder).
    ///
    /// ```
    /// use kexue_trie::{PrefixIndex, Trie};
    ///
    /// let trie = Trie::from_sequences([vec![7, 1], vec![7, 2, 3], vec![8]])?;
    /// let at = trie.find(&[7])?.expect("two sequences begin with 7");
    /// assert_eq!(trie.count(at)?, 2);
    /// assert_eq!(trie.get(&[8])?, Some(2));
    /// # Ok::<(), kexue_trie::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a token is 2²⁴ or above, or a sequence has 2²¹ tokens or more.
    pub fn from_sequences<S: AsRef<[Token]>>(sequences: impl IntoIterator<Item = S>) -> Result<Self> {
        collect(sequences)?.into_trie()
    }

    /// Builds a trie as [`from_sequences`](Self::from_sequences) does, writes it to a file and opens that.
    ///
    /// # Errors
    /// If a sequence is too long, or the file cannot be written. A file that was there is then unchanged.
    pub fn build<S: AsRef<[Token]>>(path: &Path, sequences: impl IntoIterator<Item = S>) -> Result<Self> {
        collect(sequences)?.build(path)
    }

    /// Opens a file that [`build`](Self::build) has written. It is mapped into memory; the time does not depend on its size.
    ///
    /// # Errors
    /// If the file cannot be read, is no trie, or its header is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::from_bytes(Bytes::map(&File::open(path)?)?)
    }

    /// Reads such a file into memory of the process's own, in large pages where the system has them: steps of many beams at random places are
    /// faster than in a mapped file, opening is not, and processes do not share the memory.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_bytes(Bytes::load(&mut File::open(path)?)?)
    }

    /// The trie in the bytes of such a file.
    ///
    /// # Errors
    /// If they are no trie, or their header is damaged.
    pub fn from_bytes(bytes: Bytes) -> Result<Self> {
        Self::read(&Container::open(bytes)?, PREFIX)
    }
}

impl SequenceSorter {
    /// Makes the trie in memory.
    ///
    /// # Errors
    /// If a temporary file cannot be read.
    pub fn into_trie(self) -> Result<Trie> {
        Trie::from_bytes(self.into_bytes()?)
    }

    /// Makes the trie's file in memory: what [`Trie::from_bytes`] reads.
    ///
    /// # Errors
    /// If a temporary file cannot be read.
    pub fn into_bytes(self) -> Result<Bytes> {
        Ok(Bytes::owned(write(self, Cursor::new(Vec::new()))?.into_inner()))
    }

    /// Writes the trie to a file and opens that.
    ///
    /// # Errors
    /// If the file cannot be written, or a temporary file not be read. A file that was there is then unchanged.
    pub fn build(self, path: &Path) -> Result<Trie> {
        let output = |error: OutputError| crate::Error::Io(Error::other(error));
        let out = BufWriter::new(NewFile::create(path).map_err(output)?);
        let file = write(self, out)?.into_inner().map_err(|error| error.into_error())?;
        file.commit().map_err(output)?;
        Trie::open(path)
    }
}

fn collect<S: AsRef<[Token]>>(sequences: impl IntoIterator<Item = S>) -> std::io::Result<SequenceSorter> {
    let mut sorter = SequenceSorter::new();
    for sequence in sequences {
        sorter.push(sequence.as_ref())?;
    }
    Ok(sorter)
}

fn write<W: Write + Seek>(sequences: SequenceSorter, out: W) -> std::io::Result<W> {
    let builder = sequences.into_builder()?;
    let mut container = ContainerWriter::new(out)?;
    builder.write(PREFIX, &mut container)?;
    container.finish()
}
