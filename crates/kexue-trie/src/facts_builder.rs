//! Writing an index of facts.

use crate::container::ContainerWriter;
use crate::fact_order::FactOrder;
use crate::index::Token;
use crate::texts::{Sequences, write_texts};
use crate::trie_builder::TrieBuilder;
use crate::varint::write_varint;
use std::io::{Seek, Write};
use std::path::PathBuf;

/// Names of the sections.
pub(crate) const PREFIX: &str = "facts.";

/// Writes a [`FactIndex`](crate::FactIndex): dictionaries first, then the subjects in lexicographic order of their tokens.
#[derive(Debug)]
pub struct FactIndexBuilder {
    subjects: TrieBuilder,
}

impl FactIndexBuilder {
    /// Writes the dictionaries (entry `i` is number `i`) and starts the rows.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn new<W: Write + Seek>(
        order: FactOrder,
        separator: Token,
        relations: &Sequences<'_>,
        senses: &Sequences<'_>,
        out: &mut ContainerWriter<W>,
    ) -> std::io::Result<Self> {
        let mut header = Vec::new();
        write_varint(u64::from(order == FactOrder::SubjectSenseRelation), &mut header);
        write_varint(u64::from(separator), &mut header);
        out.section(&format!("{PREFIX}header"), &header)?;
        // Every question below a subject asks for relations: their bounds are read in one go.
        write_texts(relations, &format!("{PREFIX}relations."), true, out)?;
        write_texts(senses, &format!("{PREFIX}senses."), false, out)?;
        Ok(Self {
            subjects: TrieBuilder::new().with_payloads(),
        })
    }

    /// Keeps what does not fit a few megabytes in temporary files in this folder.
    pub fn spill_to(mut self, folder: PathBuf) -> Self {
        self.subjects = self.subjects.spill_to(folder);
        self
    }

    /// Adds a subject, above the one before, with the row that a [`RowEncoder`](crate::RowEncoder) made of its facts, and their number. The keys of the subject are
    /// numbered on from those before, in the order of the index.
    ///
    /// # Errors
    /// If a temporary file cannot be written.
    pub fn push(&mut self, subject: &[Token], row: &[u8], facts: u64) -> std::io::Result<()> {
        self.subjects.push_keys(subject, facts, row)
    }

    /// Writes the subjects with their rows.
    ///
    /// # Errors
    /// If the output or a temporary file cannot be written.
    pub fn finish<W: Write + Seek>(self, out: &mut ContainerWriter<W>) -> std::io::Result<()> {
        self.subjects.write(&format!("{PREFIX}subjects."), out)
    }
}
