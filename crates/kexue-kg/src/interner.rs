//! Strings to small numbers and back.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// The hash that [`Interner::intern`] takes, so that it can be computed elsewhere.
pub(crate) fn hash(text: &[u8]) -> u64 {
    xxh3_64(text)
}

/// Distinct strings, numbered in the order of their first appearance.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    table: HashTable<(u32, u32)>,
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

impl Interner {
    /// The number of a string with this [`hash`].
    pub fn intern(&mut self, text: &[u8], hash: u64) -> u32 {
        let (bytes, ends) = (&self.bytes, &self.ends);
        let check = (hash >> 32) as u32;
        if let Some(&(number, _)) = self
            .table
            .find(u64::from(hash as u32).wrapping_mul(SPREAD), |&(number, other)| {
                other == check && slice(bytes, ends, number) == text
            })
        {
            return number;
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u64);
        let ends = &self.ends;
        let bytes = &self.bytes;
        self.table.insert_unique(
            u64::from(hash as u32).wrapping_mul(SPREAD),
            (number, check),
            |&(number, _)| u64::from(xxh3_64(slice(bytes, ends, number)) as u32).wrapping_mul(SPREAD),
        );
        number
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string of a number. Only strings go in, so that the bytes are always UTF-8.
    pub fn get(&self, number: u32) -> &str {
        std::str::from_utf8(slice(&self.bytes, &self.ends, number)).unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len() as u32).map(|number| self.get(number))
    }
}

/// An odd constant that spreads 32 bits of hash over 64.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

fn slice<'a>(bytes: &'a [u8], ends: &[u64], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &bytes[start as usize..ends[number] as usize]
}
