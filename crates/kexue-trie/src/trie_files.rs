//! Tries in one step: from sequences in any order, in memory or as a file of their own.

use crate::bytes::Bytes;
use crate::container::{Container, ContainerWriter};
use crate::index::{MAX_PART, Result, Token};
use crate::trie::Trie;
use crate::trie_builder::TrieBuilder;
use kexue_output::{NewFile, OutputError};
use std::fs::File;
use std::io::{BufWriter, Cursor, Error, ErrorKind, Seek, Write};
use std::path::Path;

/// The names of the sections in a file of one trie begin so.
const PREFIX: &str = "trie.";

impl Trie {
    /// Builds a trie in memory. The sequences may come in any order, and more than once.
    ///
    /// Keys are numbered in lexicographic order, not in the order of the input. Everything is held in memory while the trie is built; for
    /// more than that, sort the sequences and use a [`TrieBuilder`].
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
        let bytes = write(sequences, Cursor::new(Vec::new()))?.into_inner();
        Self::read(&Container::open(bytes.into())?, PREFIX)
    }

    /// Builds a trie as [`from_sequences`](Self::from_sequences) does, writes it to a file and opens that.
    ///
    /// # Errors
    /// If a sequence is too long, or the file cannot be written. A file that was there is then unchanged.
    pub fn build<S: AsRef<[Token]>>(path: &Path, sequences: impl IntoIterator<Item = S>) -> Result<Self> {
        let output = |error: OutputError| crate::Error::Io(Error::other(error));
        let out = BufWriter::new(NewFile::create(path).map_err(output)?);
        let file = write(sequences, out)?
            .into_inner()
            .map_err(|error| error.into_error())?;
        file.commit().map_err(output)?;
        Self::open(path)
    }

    /// Opens a file that [`build`](Self::build) has written. It is mapped into memory; the time does not depend on its size.
    ///
    /// # Errors
    /// If the file cannot be read, is no trie, or its header is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(&Container::open(Bytes::map(&File::open(path)?)?)?, PREFIX)
    }
}

fn write<S: AsRef<[Token]>, W: Write + Seek>(sequences: impl IntoIterator<Item = S>, out: W) -> std::io::Result<W> {
    let mut sequences: Vec<S> = sequences.into_iter().collect();
    sequences.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
    sequences.dedup_by(|one, other| one.as_ref() == other.as_ref());
    let mut builder = TrieBuilder::new();
    for sequence in &sequences {
        let sequence = sequence.as_ref();
        if sequence.len() > MAX_PART || sequence.iter().any(|&token| token >= 1 << 24) {
            let problem = "a sequence has a token of 2^24 or above, or 2^21 tokens or more";
            return Err(Error::new(ErrorKind::InvalidInput, problem));
        }
        builder.push(sequence)?;
    }
    let mut container = ContainerWriter::new(out)?;
    builder.write(PREFIX, &mut container)?;
    container.finish()
}
