//! The data that a builder collects: names, triples by subject, and a sample of the objects.

use crate::interner::Interner;
use crate::parts::Parts;
use crate::sample::Sample;

/// The distinct names of one kind.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    pub names: Interner,
    /// The number of triples with each name.
    pub counts: Vec<u64>,
}

impl NameTable {
    pub fn intern(&mut self, text: &[u8], hash: u64) -> u32 {
        let number = self.names.intern(text, hash);
        match self.counts.get_mut(number as usize) {
            Some(count) => *count += 1,
            None => self.counts.push(1),
        }
        number
    }
}

/// Everything that was collected.
#[derive(Debug)]
pub(crate) struct Collected {
    pub relations: NameTable,
    pub senses: NameTable,
    pub parts: Parts,
    pub count: u64,
    pub sample: Sample,
    /// Subjects with aliases.
    pub aliases: Vec<(String, String)>,
}
