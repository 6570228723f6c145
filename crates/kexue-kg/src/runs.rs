//! Parts sorted by the tokens of their subjects, and read together in that order.
//!
//! ```text
//! run     = subject…, ascending by tokens
//! subject = varint(tokens) · varint(token)… · varint(triples) · varint(bytes) · triple…, in the order of the input
//! triple  = as in a part, its head 0 but where the subject's spelling is kept and changes
//! ```

use crate::interner::{Interner, hash};
use crate::parts::{Part, Piece, Spill, read_triple};
use crate::sorted::{Sorted, head};
use kexue_text::{Token, Vocabulary, VocabularyBuilder};
use kexue_trie::{read_varint, write_varint};
use std::io::Result;
use std::ops::Range;

/// Bytes of a run in a file that are read at a time.
const READ: usize = 128 << 10;

fn cut_off() -> std::io::Error {
    std::io::Error::other("a temporary file does not hold what was written to it")
}

/// Triples of one subject that follow each other in a segment.
struct Group {
    subject: u32,
    segment: u32,
    /// Their bytes, without the head of the first.
    bytes: Range<usize>,
    triples: u32,
}

/// The distinct subjects of segments, and what belongs to each.
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

/// The run of a part. Spellings are kept where the tokens do not say them.
pub(crate) fn sort(part: &Part, spill: Option<&Spill>, vocabulary: &Vocabulary) -> Result<Vec<u8>> {
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
    let mut run = Vec::with_capacity(segments.iter().map(|segment| segment.as_ref().len()).sum());
    let mut data = Vec::new();
    let mut start = 0;
    for (rank, &end) in (0..names.len() as u32).zip(&places) {
        let tokens = names.tokens(rank);
        write_varint(tokens.len() as u64, &mut run);
        tokens.iter().for_each(|&token| write_varint(u64::from(token), &mut run));
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
            data.extend_from_slice(&segments[group.segment as usize].as_ref()[group.bytes.clone()]);
            triples += u64::from(group.triples);
        }
        start = end;
        write_varint(triples, &mut run);
        write_varint(data.len() as u64, &mut run);
        run.extend_from_slice(&data);
    }
    Ok(run)
}

/// Subjects that follow each other in the order of their tokens, with their triples.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    tokens: Vec<Token>,
    triples: Vec<u8>,
    /// Where the tokens and the triples of each end.
    ends: Vec<(usize, usize)>,
}

impl Chunk {
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
    /// What is in memory of it, and where in that the next triples stand.
    bytes: Vec<u8>,
    at: usize,
    /// What is still in the file.
    rest: Range<u64>,
    /// The subject that is next, the first tokens of it as a number, the number of its triples and their bytes.
    tokens: Vec<Token>,
    head: u64,
    triples: u64,
    length: usize,
}

impl Cursor {
    fn new(run: Piece) -> Self {
        let (bytes, rest) = match run {
            Piece::Memory(bytes) => (bytes, 0..0),
            Piece::File { start, length } => (Vec::new(), start..start + length as u64),
        };
        Self {
            bytes,
            at: 0,
            rest,
            tokens: Vec::new(),
            head: 0,
            triples: 0,
            length: 0,
        }
    }

    /// Sees to it that `length` bytes from the next on are in memory, or all that there are.
    fn fill(&mut self, length: usize, spill: Option<&Spill>) -> Result<()> {
        let (left, rest) = (self.bytes.len() - self.at, self.rest.end - self.rest.start);
        if left >= length || rest == 0 {
            return Ok(());
        }
        self.bytes.drain(..self.at);
        self.at = 0;
        let more = (length.max(READ) - left).min(usize::try_from(rest).unwrap_or(usize::MAX));
        self.bytes.resize(left + more, 0);
        let spill = spill.ok_or_else(cut_off)?;
        spill.read(self.rest.start, &mut self.bytes[left..])?;
        self.rest.start += more as u64;
        Ok(())
    }

    /// Moves on to the next subject, false at the end.
    fn next(&mut self, spill: Option<&Spill>) -> Result<bool> {
        const VARINT: usize = 10;
        self.fill(VARINT, spill)?;
        if self.at == self.bytes.len() {
            self.bytes = Vec::new();
            self.at = 0;
            return Ok(false);
        }
        let count = read_varint(&self.bytes, &mut { self.at }).ok_or_else(cut_off)? as usize;
        self.fill((count + 3) * VARINT, spill)?;
        let mut read = || {
            read_varint(&self.bytes, &mut self.at)?;
            self.tokens.clear();
            for _ in 0..count {
                self.tokens.push(read_varint(&self.bytes, &mut self.at)? as Token);
            }
            self.triples = read_varint(&self.bytes, &mut self.at)?;
            self.length = read_varint(&self.bytes, &mut self.at)? as usize;
            Some(())
        };
        read().ok_or_else(cut_off)?;
        self.head = head(&self.tokens);
        self.fill(self.length, spill)?;
        Ok(true)
    }

    /// Moves the subject to the end of a chunk.
    fn take(&mut self, chunk: &mut Chunk) -> Result<()> {
        let end = self.at + self.length;
        chunk.tokens.extend_from_slice(&self.tokens);
        chunk.triples.extend_from_slice(self.bytes.get(self.at..end).ok_or_else(cut_off)?);
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

/// Runs, read together in the order of the tokens: a heap of their next subjects.
pub(crate) struct Merge<'a> {
    cursors: Vec<Cursor>,
    heap: Vec<usize>,
    spill: Option<&'a Spill>,
}

impl<'a> Merge<'a> {
    pub fn new(runs: Vec<Piece>, spill: Option<&'a Spill>) -> Result<Self> {
        let mut merge = Self {
            cursors: runs.into_iter().map(Cursor::new).collect(),
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

    /// The next subjects, so many of them or as many as have so many triples together; none at the end.
    pub fn chunk(&mut self, subjects: usize, triples: u64) -> Result<Option<Chunk>> {
        let mut chunk = Chunk::default();
        let mut taken = 0;
        while let Some(&first) = self.heap.first()
            && chunk.len() < subjects
            && taken < triples
        {
            let cursor = &mut self.cursors[first];
            taken += cursor.triples;
            cursor.take(&mut chunk)?;
            if !cursor.next(self.spill)? {
                self.heap.swap_remove(0);
            }
            self.sift(0);
        }
        Ok((chunk.len() > 0).then_some(chunk))
    }
}
