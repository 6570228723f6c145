//! Triples parsed from a block of input.

use crate::interner::hash;
use crate::limits::misfit_of;
use crate::remedy::Remedy;
use crate::sense::split_sense;

/// A malformed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line number in the file, from 1.
    pub line: u64,
    /// The field, what was found, what was expected.
    pub problem: String,
    /// Remedies other than correcting or skipping the line.
    pub remedy: Option<Remedy>,
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
    /// Whether the subject is that of the previous entry.
    pub same_subject: bool,
    pub subject_hash: u64,
    pub sense: Option<(Piece, u64)>,
    pub relation: Piece,
    pub relation_hash: u64,
    pub object: Piece,
}

/// The triples parsed from a block of input, in order, and the malformed lines.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) text: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
    /// The subject of the last entry, with its sense.
    name: Piece,
    /// Malformed lines.
    pub problems: Vec<Problem>,
    /// The first line of the file, if it was read as a triple but looks like a header.
    pub(crate) likely_header: Option<String>,
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

    /// Empties the batch and returns its text for reuse.
    pub(crate) fn take_text(&mut self) -> Vec<u8> {
        self.entries.clear();
        self.problems.clear();
        self.name = Piece::default();
        self.likely_header = None;
        std::mem::take(&mut self.text)
    }

    pub(crate) fn get(&self, piece: Piece) -> &[u8] {
        &self.text[piece.start as usize..piece.end as usize]
    }

    pub(crate) fn problem(&mut self, line: u64, problem: impl Into<String>) {
        self.problems.push(Problem {
            line,
            problem: problem.into(),
            remedy: None,
        });
    }

    /// Whether it holds the content of about `size` bytes of input.
    pub(crate) fn is_full(&self, size: usize) -> bool {
        // Repeated names add entries but little text.
        self.text.len() >= size || self.entries.len() >= size / 16
    }

    /// Adds a triple and copies its strings. A subject or relation that equals that of the previous triple is stored only once.
    pub(crate) fn add(&mut self, line: u64, triple: [&str; 3]) {
        if let Some(problem) = misfit_of(triple) {
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

    /// Adds a triple whose strings are already in the text, at these bytes. `same` says that its subject is that of the previous triple.
    pub(crate) fn add_at(&mut self, line: u64, triple: [&str; 3], starts: [usize; 3], same: bool) {
        if let Some(problem) = misfit_of(triple) {
            return self.problem(line, problem);
        }
        let mut pieces = [Piece { start: 0, end: 0 }; 3];
        for ((piece, text), start) in pieces.iter_mut().zip(triple).zip(starts) {
            // A block has at most half of the bytes that the numbers can address.
            *piece = Piece {
                start: start as u32,
                end: (start + text.len()) as u32,
            };
        }
        self.add_pieces(triple, pieces, same);
    }

    fn add_pieces(&mut self, triple: [&str; 3], [name, relation, object]: [Piece; 3], same: bool) {
        self.name = name;
        // Triples of a subject mostly follow each other, so its name is split and hashed only once.
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
