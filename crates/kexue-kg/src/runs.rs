//! Parts sorted by the tokens of their subjects, and merged in that order.
//!
//! ```text
//! run     = piece…
//! piece   = subject…, ascending by tokens
//! subject = varint(tokens) · varint(token)… · varint(triples) · varint(bytes) · triple…, in the order of the input
//! triple  = as in a part; its head is 0 unless the subject's spelling is stored and changes
//! ```

use crate::interner::{Interner, hash};
use crate::parts::{Part, Piece, Pool, Spill, read_triple};
use crate::sorted::Sorted;
use kexue_text::{Token, Vocabulary, VocabularyBuilder};
use kexue_trie::{read_varint, write_varint};
use std::io::Result;
use std::ops::Range;

fn cut_off() -> std::io::Error {
    std::io::Error::other("a temporary file does not hold what was written to it")
}

/// Consecutive triples of one subject in a segment.
struct Group {
    subject: u32,
    segment: u32,
    /// Their bytes, without the head of the first one.
    bytes: Range<usize>,
    triples: u32,
}

/// The distinct subjects of segments, with their triples.
fn groups(segments: &[impl AsRef<[u8]>]) -> Option<(Interner, Vec<Group>)> {
    let (mut subjects, mut groups) = (Interner::default(), Vec::new());
    for (number, segment) in (0..).zip(segments) {
        let segment = segment.as_ref();
        let mut at = 0;
        while at < segment.len() {
            let mut start = at;
            let head = read_varint(segment, &mut start)? as usize;
            let triple = read_triple(segment, &mut at)?;
            if let Some(subject) = triple.subject {
                groups.push(Group {
                    subject: subjects.intern(subject, hash(subject)),
                    segment: number,
                    bytes: start + head..at,
                    triples: 1,
                });
            } else {
                let group = groups.last_mut()?;
                group.bytes.end = at;
                group.triples += 1;
            }
        }
    }
    Some((subjects, groups))
}

/// Counts the characters of the distinct subjects of a part.
pub(crate) fn count_subjects(part: &Part, spill: Option<&Spill>, counts: &mut VocabularyBuilder) -> Result<()> {
    let (subjects, _) = groups(&part.segments(spill)?).ok_or_else(cut_off)?;
    subjects.iter().for_each(|subject| counts.count(subject));
    Ok(())
}

/// Makes the run of a part and passes it to `give` piece by piece. Spellings are stored if the tokens do not determine them.
pub(crate) fn sort(
    part: Part,
    spill: Option<&Spill>,
    vocabulary: &Vocabulary,
    pool: &Pool,
    give: &mut dyn FnMut(Vec<u8>) -> Result<()>,
) -> Result<()> {
    let segments = part.segments(spill)?;
    let (subjects, groups) = groups(&segments).ok_or_else(cut_off)?;
    let spelt = vocabulary.folds_case();
    let names = Sorted::new(&subjects, vocabulary);
    let rank = |group: &Group| names.rank[group.subject as usize] as usize;
    // A counting sort keeps the order of the input.
    let mut places = vec![0; names.len() + 1];
    for group in &groups {
        places[rank(group) + 1] += 1;
    }
    for rank in 0..names.len() {
        places[rank + 1] += places[rank];
    }
    let mut sorted = vec![0; groups.len()];
    for (number, group) in groups.iter().enumerate() {
        let place = &mut places[rank(group)];
        sorted[*place] = number;
        *place += 1;
    }
    let mut piece = pool.get(0);
    let (mut subject, mut data, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    let mut start = 0;
    for (rank, &end) in (0..names.len() as u32).zip(&places) {
        data.clear();
        let mut triples = 0;
        let mut spelling = None;
        for group in sorted[start..end].iter().map(|&number| &groups[number]) {
            if spelt && spelling != Some(group.subject) {
                spelling = Some(group.subject);
                let name = subjects.get(group.subject);
                write_varint(name.len() as u64, &mut data);
                data.extend_from_slice(name.as_bytes());
            } else {
                data.push(0);
            }
            data.extend_from_slice(&segments[group.segment as usize][group.bytes.clone()]);
            triples += u64::from(group.triples);
        }
        start = end;
        subject.clear();
        names.tokens(rank, &mut tokens);
        for number in [tokens.len() as u64]
            .into_iter()
            .chain(tokens.iter().map(|&token| u64::from(token)))
            .chain([triples, data.len() as u64])
        {
            write_varint(number, &mut subject);
        }
        let length = subject.len() + data.len();
        if piece.len() + length > piece.capacity() {
            give(std::mem::replace(&mut piece, pool.get(length)))?;
        }
        piece.extend_from_slice(&subject);
        piece.extend_from_slice(&data);
    }
    give(piece)?;
    drop(segments);
    part.give_up(pool);
    Ok(())
}

/// The first three tokens as a number with the order of the tokens. A missing token counts as 0, which is not a token of text.
fn head(tokens: &[Token]) -> u64 {
    (0..3).fold(0, |head, place| {
        head << 21 | u64::from(tokens.get(place).copied().unwrap_or(0))
    })
}

/// Consecutive subjects in the order of their tokens, with their triples.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    tokens: Vec<Token>,
    triples: Vec<u8>,
    /// The ends of each subject's tokens and triples.
    ends: Vec<(usize, usize)>,
}

impl Chunk {
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.triples.clear();
        self.ends.clear();
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The tokens and the triples of each subject.
    pub fn subjects(&self) -> impl Iterator<Item = (&[Token], &[u8])> {
        let mut start = (0, 0);
        self.ends.iter().map(move |&end| {
            let subject = (&self.tokens[start.0..end.0], &self.triples[start.1..end.1]);
            start = end;
            subject
        })
    }
}

/// Reads one run.
struct Cursor {
    pieces: std::vec::IntoIter<Piece>,
    /// The current piece, and the place of the next triples in it.
    bytes: Vec<u8>,
    at: usize,
    /// The next subject, its first tokens as a number, the number of its triples and their bytes.
    tokens: Vec<Token>,
    head: u64,
    triples: u64,
    length: usize,
}

impl Cursor {
    /// Advances to the next subject. Returns false at the end.
    fn next(&mut self, spill: Option<&Spill>) -> Result<bool> {
        while self.at == self.bytes.len() {
            self.at = 0;
            self.bytes = match self.pieces.next() {
                None => return Ok(false),
                Some(Piece::Memory(bytes)) => bytes,
                Some(piece) => piece.read(spill, std::mem::take(&mut self.bytes))?,
            };
        }
        let mut read = || {
            self.tokens.clear();
            for _ in 0..read_varint(&self.bytes, &mut self.at)? {
                self.tokens.push(read_varint(&self.bytes, &mut self.at)? as Token);
            }
            self.triples = read_varint(&self.bytes, &mut self.at)?;
            self.length = read_varint(&self.bytes, &mut self.at)? as usize;
            Some(())
        };
        read().ok_or_else(cut_off)?;
        self.head = head(&self.tokens);
        Ok(true)
    }

    /// Moves the subject to the end of a chunk.
    fn take(&mut self, chunk: &mut Chunk) -> Result<()> {
        let end = self.at + self.length;
        chunk.tokens.extend_from_slice(&self.tokens);
        chunk
            .triples
            .extend_from_slice(self.bytes.get(self.at..end).ok_or_else(cut_off)?);
        chunk.ends.push((chunk.tokens.len(), chunk.triples.len()));
        self.at = end;
        Ok(())
    }

    fn before(&self, other: &Self) -> bool {
        match self.head.cmp(&other.head) {
            std::cmp::Ordering::Equal => self.tokens < other.tokens,
            order => order.is_lt(),
        }
    }
}

/// Merges runs in the order of the tokens, with a heap of their next subjects.
pub(crate) struct Merge<'a> {
    cursors: Vec<Cursor>,
    heap: Vec<usize>,
    spill: Option<&'a Spill>,
}

impl<'a> Merge<'a> {
    pub fn new(runs: Vec<Vec<Piece>>, spill: Option<&'a Spill>) -> Result<Self> {
        let cursor = |run: Vec<Piece>| Cursor {
            pieces: run.into_iter(),
            bytes: Vec::new(),
            at: 0,
            tokens: Vec::new(),
            head: 0,
            triples: 0,
            length: 0,
        };
        let mut merge = Self {
            cursors: runs.into_iter().map(cursor).collect(),
            heap: Vec::new(),
            spill,
        };
        for number in 0..merge.cursors.len() {
            if merge.cursors[number].next(spill)? {
                merge.heap.push(number);
            }
        }
        for place in (0..merge.heap.len() / 2).rev() {
            merge.sift(place);
        }
        Ok(merge)
    }

    fn sift(&mut self, mut place: usize) {
        let before = |one: usize, other: usize| self.cursors[one].before(&self.cursors[other]);
        loop {
            let mut first = 2 * place + 1;
            if first >= self.heap.len() {
                return;
            }
            if first + 1 < self.heap.len() && before(self.heap[first + 1], self.heap[first]) {
                first += 1;
            }
            if !before(self.heap[first], self.heap[place]) {
                return;
            }
            self.heap.swap(first, place);
            place = first;
        }
    }

    /// Fills an empty chunk with the next subjects, up to a number of subjects or of triples. Returns false at the end.
    pub fn fill(&mut self, chunk: &mut Chunk, subjects: usize, triples: u64) -> Result<bool> {
        let mut taken = 0;
        while let Some(&first) = self.heap.first()
            && chunk.len() < subjects
            && taken < triples
        {
            let cursor = &mut self.cursors[first];
            taken += cursor.triples;
            cursor.take(chunk)?;
            if !cursor.next(self.spill)? {
                self.heap.swap_remove(0);
            }
            self.sift(0);
        }
        Ok(chunk.len() > 0)
    }
}
