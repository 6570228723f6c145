//! The rows of a [`FactIndex`](crate::FactIndex): the facts of each subject.
//!
//! ```text
//! row    = varint(relations << 2 | kind) · senses · relation…
//! kind   0: the one sense is none          senses: nothing
//!        1: one sense                      senses: varint(code)
//!        2, 3: several                     senses: varint(facts) · varint(count) · varint(code)…, ascending by tokens
//! relation = number, ascending by tokens: n below 192 as a byte, n below 16,320 as 192 + ((n - 192) >> 8) and the low byte, any other as
//!            255 and varint(n); then, which of the senses have it:
//!        2: a bit mask of ceil(count / 8) bytes
//!        3: varint(how many) · varint(distance to the one before, the first from -1, less 1)…
//! code   = 0 for no sense, else the number in the dictionary of senses + 1
//! ```

use crate::varint::{read_varint, write_varint};

/// A fact of a subject, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactCode {
    /// The relation's number in its dictionary.
    pub relation: u32,
    /// 0 for no sense, else the sense's number in its dictionary + 1.
    pub sense: u32,
}

/// Codes the rows of subjects. Rows do not depend on each other: those of different subjects can be coded at the same time.
#[derive(Clone, Debug, Default)]
pub struct RowEncoder {
    row: Vec<u8>,
    sparse: Vec<u8>,
}

impl RowEncoder {
    /// The row of a subject's facts.
    ///
    /// `facts` are distinct and in the order relation, sense, each by its tokens (no sense first), whatever the order of the index;
    /// `senses` are the distinct sense codes among them, by tokens.
    pub fn encode(&mut self, facts: &[FactCode], senses: &[u32]) -> &[u8] {
        self.row.clear();
        let groups = facts.chunk_by(|one, other| one.relation == other.relation);
        let relations = groups.clone().count() as u64;
        match senses {
            [0] => write_varint(relations << 2, &mut self.row),
            [code] => {
                write_varint(relations << 2 | 1, &mut self.row);
                write_varint(u64::from(*code), &mut self.row);
            }
            _ => {
                write_varint(relations << 2 | 2, &mut self.row);
                write_varint(facts.len() as u64, &mut self.row);
                write_varint(senses.len() as u64, &mut self.row);
                senses
                    .iter()
                    .for_each(|&code| write_varint(u64::from(code), &mut self.row));
            }
        }
        if senses.len() == 1 {
            groups.for_each(|group| write_relation(group[0].relation, &mut self.row));
        } else {
            // Both forms are written and the shorter one kept.
            let start = self.row.len();
            self.sparse.clear();
            let width = senses.len().div_ceil(8);
            for group in groups {
                write_relation(group[0].relation, &mut self.row);
                write_relation(group[0].relation, &mut self.sparse);
                write_varint(group.len() as u64, &mut self.sparse);
                let mask = self.row.len();
                self.row.resize(mask + width, 0);
                let mut place = 0;
                let mut next = 0;
                for fact in group {
                    while senses[place] != fact.sense {
                        place += 1;
                    }
                    self.row[mask + place / 8] |= 1 << (place % 8);
                    write_varint((place - next) as u64, &mut self.sparse);
                    next = place + 1;
                }
            }
            if self.sparse.len() < self.row.len() - start {
                self.row.truncate(start);
                self.row.extend_from_slice(&self.sparse);
                // The kind is in the two lowest bits of the first byte: 2 becomes 3.
                self.row[0] |= 1;
            }
        }
        &self.row
    }
}

/// Relations that take one byte, and those that take one or two.
const ONE_BYTE: u32 = 192;
const TWO_BYTES: u32 = ONE_BYTE + (63 << 8);

fn write_relation(number: u32, bytes: &mut Vec<u8>) {
    match number {
        0..ONE_BYTE => bytes.push(number as u8),
        ONE_BYTE..TWO_BYTES => {
            let rest = number - ONE_BYTE;
            bytes.extend([(ONE_BYTE + (rest >> 8)) as u8, rest as u8]);
        }
        _ => {
            bytes.push(255);
            write_varint(u64::from(number), bytes);
        }
    }
}

#[inline]
pub(crate) fn read_relation(bytes: &[u8], at: &mut usize) -> Option<u32> {
    let first = u32::from(*bytes.get(*at)?);
    *at += 1;
    if first < ONE_BYTE {
        return Some(first);
    }
    if first < 255 {
        let second = u32::from(*bytes.get(*at)?);
        *at += 1;
        return Some(ONE_BYTE + ((first - ONE_BYTE) << 8 | second));
    }
    u32::try_from(read_varint(bytes, at)?).ok()
}
