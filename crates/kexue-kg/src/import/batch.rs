//! Triples found in a block of input.

use super::{Format, header, jsonl, ntriples, tsv};
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
    /// The first line of the file, where it was taken for a triple and reads like a header.
    pub(super) likely_header: Option<String>,
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
        self.likely_header = None;
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

    /// Notes the first triple of a file whose format may have a header.
    pub(super) fn note_header(&mut self, line: u64, triple: [&str; 3]) {
        if header::is_likely(triple) {
            self.likely_header = Some(format!("{line}: `{}`", triple.join("`, `")));
        }
    }

    /// Whether it holds as much as `size` bytes of input do.
    pub(super) fn is_full(&self, size: usize) -> bool {
        // What is not copied again adds entries and little text.
        self.text.len() >= size || self.entries.len() >= size / 16
    }

    /// Adds a triple of strings that are copied; a subject and a relation that are those of the triple before stand in the text once.
    pub(super) fn add(&mut self, line: u64, triple: [&str; 3]) {
        if let Some(problem) = misfit(triple) {
            return self.problem(line, problem);
        }
        let last = self.entries.last().map(|last| [self.name, last.relation]);
        let before = |field: usize| Some(last?[field]).filter(|&piece| self.get(piece) == triple[field].as_bytes());
        let (name, relation) = (before(0), before(1));
        let pieces = (|| {
            Some([
                name.or_else(|| self.copy(triple[0]))?,
                relation.or_else(|| self.copy(triple[1]))?,
                self.copy(triple[2])?,
            ])
        })();
        match pieces {
            Some(pieces) => self.add_pieces(triple, pieces, name.is_some()),
            None => self.problem(
                line,
                "the line stands behind four thousand million bytes of others; break it up",
            ),
        }
    }

    fn copy(&mut self, text: &str) -> Option<Piece> {
        let start = u32::try_from(self.text.len()).ok()?;
        let end = start.checked_add(u32::try_from(text.len()).ok()?)?;
        self.text.extend_from_slice(text.as_bytes());
        Some(Piece { start, end })
    }

    /// Adds a triple whose strings stand in the text already, at these bytes; `same` where its subject is that of the triple added before.
    pub(super) fn add_at(&mut self, line: u64, triple: [&str; 3], starts: [usize; 3], same: bool) {
        if let Some(problem) = misfit(triple) {
            return self.problem(line, problem);
        }
        let mut pieces = [Piece { start: 0, end: 0 }; 3];
        for ((piece, text), start) in pieces.iter_mut().zip(triple).zip(starts) {
            // A block has no more than half of the bytes that can be numbered.
            *piece = Piece {
                start: start as u32,
                end: (start + text.len()) as u32,
            };
        }
        self.add_pieces(triple, pieces, same);
    }

    fn add_pieces(&mut self, triple: [&str; 3], [name, relation, object]: [Piece; 3], same: bool) {
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

/// What is wrong with the length of a field, if anything is.
fn misfit(triple: [&str; 3]) -> Option<String> {
    for (text, field) in triple.iter().zip(["subject", "relation", "object"]) {
        if text.is_empty() {
            return Some(format!("the {field} is empty"));
        }
        if text.len() > LONGEST {
            return Some(format!(
                "the {field} has {} bytes; expected at most {LONGEST}",
                text.len()
            ));
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_many_objects_takes_the_memory_of_the_line() {
        let subject = "名".repeat(LONGEST / 3);
        let objects: Vec<String> = (0..4_200).map(|number| number.to_string()).collect();
        let line = serde_json::to_vec(&(&subject, "关系", &objects)).unwrap();
        let length = line.len();
        let batch = parse_block(Format::JsonLines, None, line, 1);
        assert!(
            batch.problems.is_empty() && batch.text.len() < length,
            "{} bytes",
            batch.text.len()
        );
        assert_eq!(batch.len(), objects.len());
        for (entry, object) in batch.entries.iter().zip(&objects) {
            assert_eq!(batch.get(entry.subject), subject.as_bytes());
            assert_eq!(batch.get(entry.relation), "关系".as_bytes());
            assert_eq!(batch.get(entry.object), object.as_bytes());
        }
        let line = serde_json::to_vec(&(format!("{subject}太长"), "关系", &objects)).unwrap();
        let batch = parse_block(Format::JsonLines, None, line, 1);
        assert_eq!((batch.len(), batch.text.len()), (0, 0));
    }
}
