//! Triples found in a block of input.

use super::{Format, jsonl, ntriples, tsv};
use crate::interner::hash;
use crate::split_sense;

/// Something that is not in the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line number in the file, from 1.
    pub line: u64,
    /// The field, what was found, what was expected.
    pub problem: String,
}

/// A piece of a batch's text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Piece {
    start: u32,
    end: u32,
}

/// A triple, as pieces of a batch's text with the hashes of its names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub subject: Piece,
    /// Whether the subject is that of the entry before.
    pub same_subject: bool,
    pub subject_hash: u64,
    pub sense: Option<(Piece, u64)>,
    pub relation: Piece,
    pub relation_hash: u64,
    pub object: Piece,
}

/// The triples found in a block of input, in their order, and what was not in the format.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) text: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
    /// The subject of the last entry, with its sense.
    name: Piece,
    /// What was not in the format.
    pub problems: Vec<Problem>,
}

impl Batch {
    /// The number of triples.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no triples.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Empties the batch and gives its text away, to be used again.
    pub(super) fn take_text(&mut self) -> Vec<u8> {
        self.entries.clear();
        self.problems.clear();
        self.name = Piece::default();
        std::mem::take(&mut self.text)
    }

    pub(crate) fn get(&self, piece: Piece) -> &[u8] {
        &self.text[piece.start as usize..piece.end as usize]
    }

    pub(super) fn problem(&mut self, line: u64, problem: impl Into<String>) {
        self.problems.push(Problem {
            line,
            problem: problem.into(),
        });
    }

    /// Adds a triple of strings that are copied.
    pub(super) fn add(&mut self, line: u64, triple: [&str; 3]) {
        let same = self
            .entries
            .last()
            .is_some_and(|_| self.get(self.name) == triple[0].as_bytes());
        let pieces = triple.map(|text| {
            let start = self.text.len() as u32;
            self.text.extend_from_slice(text.as_bytes());
            Piece {
                start,
                end: self.text.len() as u32,
            }
        });
        self.add_pieces(line, triple, pieces, same);
    }

    /// Adds a triple whose strings stand in the text already, at these bytes; `same` where its subject is that of the triple added before.
    pub(super) fn add_at(&mut self, line: u64, triple: [&str; 3], starts: [usize; 3], same: bool) {
        let mut pieces = [Piece { start: 0, end: 0 }; 3];
        for ((piece, text), start) in pieces.iter_mut().zip(triple).zip(starts) {
            *piece = Piece {
                start: start as u32,
                end: (start + text.len()) as u32,
            };
        }
        self.add_pieces(line, triple, pieces, same);
    }

    fn add_pieces(&mut self, line: u64, triple: [&str; 3], [name, relation, object]: [Piece; 3], same: bool) {
        for (text, field) in triple.iter().zip(["subject", "relation", "object"]) {
            if text.is_empty() {
                return self.problem(line, format!("the {field} is empty"));
            }
            if text.len() > LONGEST {
                return self.problem(
                    line,
                    format!("the {field} has {} bytes; expected at most {LONGEST}", text.len()),
                );
            }
        }
        self.name = name;
        // Triples of a subject mostly follow each other: its name is split and hashed once.
        if let Some(&before) = self.entries.last().filter(|_| same) {
            self.entries.push(Entry {
                same_subject: true,
                relation,
                object,
                relation_hash: hash(triple[1].as_bytes()),
                ..before
            });
            return;
        }
        let (subject, sense) = split_sense(triple[0]);
        self.entries.push(Entry {
            subject: Piece {
                start: name.start,
                end: name.start + subject.len() as u32,
            },
            subject_hash: hash(subject.as_bytes()),
            same_subject: false,
            // Between them stands an opening bracket of three bytes, behind them a closing one.
            sense: sense.map(|sense| {
                let piece = Piece {
                    start: name.end - 3 - sense.len() as u32,
                    end: name.end - 3,
                };
                (piece, hash(sense.as_bytes()))
            }),
            relation,
            object,
            relation_hash: hash(triple[1].as_bytes()),
        });
    }
}

/// Longest subject, relation or object, in bytes.
pub(crate) const LONGEST: usize = 1 << 20;

/// Parses a block of whole lines of a format that has one record a line (any other is read as TSV); `line` is the number of the first.
pub fn parse_block(format: Format, columns: Option<&[String; 3]>, block: Vec<u8>, line: u64) -> Batch {
    let mut batch = Batch::default();
    parse_into(format, columns, block, line, &mut batch);
    batch
}

/// Does so into an empty batch.
pub(super) fn parse_into(format: Format, columns: Option<&[String; 3]>, block: Vec<u8>, line: u64, batch: &mut Batch) {
    if block.len() > u32::MAX as usize / 2 {
        batch.problem(line, "the line has more than two thousand million bytes");
        return;
    }
    match format {
        Format::Tsv | Format::Csv | Format::Parquet => tsv::parse(block, line, batch),
        Format::JsonLines => jsonl::parse(&block, line, columns, batch),
        Format::NTriples => ntriples::parse(&block, line, batch),
    }
}

/// The lines of a block that are not empty, with their numbers; the end of a Windows line is not part of it.
pub(super) fn lines(block: &[u8], first: u64) -> impl Iterator<Item = (u64, Result<&str, String>)> {
    block
        .split(|&byte| byte == b'\n')
        .enumerate()
        .filter_map(move |(index, line)| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            (!line.is_empty()).then(|| (first + index as u64, utf8(line)))
        })
}

pub(super) fn utf8(line: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(line).map_err(|error| {
        format!(
            "byte {} of the line is not UTF-8; expected text in UTF-8",
            error.valid_up_to() + 1
        )
    })
}
