//! Writing a packed trie: sequences come in order, nodes go out level by level.
//!
//! The sequences that begin with the same token are made into nodes together; of those before, only what each level of the file will hold is kept,
//! beyond a limit in temporary files. Memory thus does not grow with the number of sequences, but for a few bytes each.

use crate::container::ContainerWriter;
use crate::elias_fano::EliasFanoBuilder;
use crate::index::{Key, MAX_PART, Token};
use crate::layout::{BITS, BLOCK_NODES, FAMILIES, LONG, Layout, SLOT, TailForm};
use crate::masks::MasksBuilder;
use crate::spool::{Spool, SpoolReader};
use crate::texts::{Encoder, TokenCounts};
use crate::varint::write_varint;
use std::collections::HashMap;
use std::io::{Read, Result, Seek, Write};
use std::path::PathBuf;

/// Collects sequences in lexicographic order and writes them as a [`Trie`](crate::Trie).
#[derive(Debug)]
pub struct TrieBuilder {
    share_tails: bool,
    keep_masks: bool,
    with_payloads: bool,
    folder: Option<PathBuf>,
    /// The sequences that begin with the same token as the last.
    group: Group,
    levels: Vec<Level>,
    keys: Key,
    sequences: u64,
    nodes: u64,
    largest: Token,
    counts: TokenCounts,
    /// Number of each distinct tail, where they are shared.
    distinct: HashMap<Vec<Token>, u64>,
    /// Whether the root has children, and whether a sequence is empty.
    root: NodeBits,
    root_degree: u64,
    root_payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct NodeBits {
    parent: bool,
    ends: bool,
    first_child: bool,
}

/// Sequences, and for each the number of the first key that it stands for, and its payload.
#[derive(Debug, Default)]
struct Group {
    tokens: Vec<Token>,
    payloads: Vec<u8>,
    /// Where tokens and payload end, and the first key.
    ends: Vec<(usize, usize, Key)>,
}

impl Group {
    fn sequence(&self, index: usize) -> &[Token] {
        let start = if index == 0 { 0 } else { self.ends[index - 1].0 };
        &self.tokens[start..self.ends[index].0]
    }

    fn payload(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1].1 };
        &self.payloads[start..self.ends[index].1]
    }

    /// The end of the sequences from `low` on whose token at `place` is that of the first: by doubling steps, then by halving.
    fn end_of_branch(&self, low: usize, high: usize, place: usize) -> usize {
        let label = self.sequence(low)[place];
        let same = |index: usize| self.sequence(index)[place] == label;
        let mut step = 1;
        let mut inside = low;
        while inside + step < high && same(inside + step) {
            inside += step;
            step *= 2;
        }
        let mut outside = (inside + step).min(high);
        while outside - inside > 1 {
            let middle = inside + (outside - inside) / 2;
            if same(middle) {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        outside
    }
}

/// The nodes of a level, one record each:
///
/// ```text
/// record = varint(label << 4 | first child << 3 | tail << 2 | ends << 1 | parent)
///          · parent: varint(children) · ends: varint(key - the one before on the level) · varint(bytes of payload)
///          · tail: varint(tokens) · varint(token)…
/// ```
#[derive(Debug)]
struct Level {
    records: Spool,
    payloads: Spool,
    last_key: Key,
}

/// A range of the sequences of a group that share their first `depth` tokens.
struct Branch {
    low: usize,
    high: usize,
    depth: usize,
    first_child: bool,
}

impl Default for TrieBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl TrieBuilder {
    /// No sequences yet; everything is kept in memory.
    pub fn new() -> Self {
        Self {
            share_tails: false,
            keep_masks: false,
            with_payloads: false,
            folder: None,
            group: Group::default(),
            levels: Vec::new(),
            keys: 0,
            sequences: 0,
            nodes: 1,
            largest: 0,
            counts: TokenCounts::default(),
            distinct: HashMap::new(),
            root: NodeBits::default(),
            root_degree: 0,
            root_payload: Vec::new(),
        }
    }

    /// Whether chains without a choice that are equal, or the end of another, are kept once: smaller where keys end alike (titles in
    /// brackets), larger where hardly any do, and a little slower to build. The distinct ones stay in memory until the trie is written.
    pub fn share_tails(mut self, share_tails: bool) -> Self {
        self.share_tails = share_tails;
        self
    }

    /// Whether nodes with many children keep the bit mask of them ready made, for decoders that mask logits. All masks together take at most
    /// what the labels of these children do.
    pub fn keep_masks(mut self) -> Self {
        self.keep_masks = true;
        self
    }

    /// Keeps what does not fit a few megabytes in temporary files in this folder.
    pub fn spill_to(mut self, folder: PathBuf) -> Self {
        self.folder = Some(folder);
        self
    }

    /// For sequences that stand for several keys and have payloads.
    pub(crate) fn with_payloads(mut self) -> Self {
        self.with_payloads = true;
        self
    }

    /// Adds a sequence.
    ///
    /// # Errors
    /// If a temporary file cannot be written.
    ///
    /// # Panics
    /// If it is not above the one before (an order is the caller's to keep), a token is 2²⁴ or above, or it has 2²¹ or more.
    pub fn push(&mut self, sequence: &[Token]) -> Result<()> {
        self.push_keys(sequence, 1, &[])
    }

    /// Adds a sequence that stands for so many keys.
    pub(crate) fn push_keys(&mut self, sequence: &[Token], keys: u64, payload: &[u8]) -> Result<()> {
        assert!(
            sequence.len() <= MAX_PART && sequence.iter().all(|&token| token < 1 << 24),
            "tokens must be below 2^24, and lengths below 2^21"
        );
        match self.group.ends.len().checked_sub(1) {
            None => assert!(self.sequences == 0, "sequences must rise"),
            Some(last) => {
                let last = self.group.sequence(last);
                assert!(last < sequence, "sequences must rise");
                if last.first() != sequence.first() {
                    self.flush()?;
                }
            }
        }
        for &token in sequence {
            self.largest = self.largest.max(token);
        }
        self.group.tokens.extend_from_slice(sequence);
        self.group.payloads.extend_from_slice(payload);
        let ends = (self.group.tokens.len(), self.group.payloads.len(), self.keys);
        self.group.ends.push(ends);
        self.keys += keys;
        self.sequences += 1;
        Ok(())
    }

    /// The number of sequences.
    pub fn len(&self) -> u64 {
        self.sequences
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sequences == 0
    }

    /// Makes the group into nodes.
    fn flush(&mut self) -> Result<()> {
        let group = std::mem::take(&mut self.group);
        if group.ends.is_empty() {
            return Ok(());
        }
        if group.sequence(0).is_empty() {
            self.root.ends = true;
            self.root_payload = group.payload(0).to_vec();
            return Ok(());
        }
        let mut branches = vec![Branch {
            low: 0,
            high: group.ends.len(),
            depth: 1,
            first_child: !self.root.parent,
        }];
        self.root.parent = true;
        self.root_degree += 1;
        let mut record = Vec::new();
        let mut depth = 0;
        while !branches.is_empty() {
            if self.levels.len() == depth {
                self.levels.push(Level {
                    records: Spool::new(self.folder.clone()),
                    payloads: Spool::new(self.folder.clone()),
                    last_key: 0,
                });
            }
            let level = &mut self.levels[depth];
            let mut next = Vec::new();
            for Branch {
                mut low,
                high,
                depth,
                first_child,
            } in branches
            {
                let (first, last) = (group.sequence(low), group.sequence(high - 1));
                let tail = (first[depth..].iter().zip(&last[depth..]))
                    .take_while(|(one, other)| one == other)
                    .count();
                let end = depth + tail;
                let tail = &first[depth..end];
                let label = first[depth - 1];
                let ends = first.len() == end;
                let first_key = low;
                if ends {
                    low += 1;
                }
                let degree_at = next.len();
                let mut first_of_next = true;
                while low < high {
                    let branch = group.end_of_branch(low, high, end);
                    next.push(Branch {
                        low,
                        high: branch,
                        depth: end + 1,
                        first_child: first_of_next,
                    });
                    first_of_next = false;
                    low = branch;
                }
                let degree = (next.len() - degree_at) as u64;
                record.clear();
                let flags = u64::from(first_child) << 3
                    | u64::from(!tail.is_empty()) << 2
                    | u64::from(ends) << 1
                    | u64::from(degree > 0);
                write_varint(u64::from(label) << 4 | flags, &mut record);
                if degree > 0 {
                    write_varint(degree, &mut record);
                }
                if ends {
                    let key = group.ends[first_key].2;
                    write_varint(key - level.last_key, &mut record);
                    level.last_key = key;
                    let payload = group.payload(first_key);
                    write_varint(payload.len() as u64, &mut record);
                    level.payloads.write(payload)?;
                }
                if self.share_tails && !tail.is_empty() {
                    let number = self.distinct.len() as u64;
                    let number = *self.distinct.entry(tail.to_vec()).or_insert_with(|| {
                        self.counts.add(tail);
                        number
                    });
                    write_varint(number, &mut record);
                } else if !tail.is_empty() {
                    self.counts.add(tail);
                    write_varint(tail.len() as u64, &mut record);
                    tail.iter()
                        .for_each(|&token| write_varint(u64::from(token), &mut record));
                }
                level.records.write(&record)?;
                self.nodes += 1;
            }
            branches = next;
            depth += 1;
        }
        Ok(())
    }

    /// Writes the sections of the trie, their names beginning with `prefix`.
    ///
    /// # Errors
    /// If the output or a temporary file cannot be written.
    pub fn write<W: Write + Seek>(mut self, prefix: &str, out: &mut ContainerWriter<W>) -> Result<()> {
        self.flush()?;
        let encoder = Encoder::new(&self.counts);
        let pool = self.share_tails.then(|| TailPool::new(&self.distinct, &encoder));
        self.distinct = HashMap::new();
        let layout = Layout {
            wide: self.largest > Token::from(u16::MAX),
            payloads: self.with_payloads,
            tails: match &pool {
                None => TailForm::Lengths,
                Some(pool) => pool.form(),
            },
        };
        out.begin(&format!("{prefix}nodes"))?;
        let mut blocks = Blocks::new(layout, self.keys, self.folder.clone());
        if self.keep_masks {
            let label_bits = 8 * layout.label_width() as u64;
            blocks.masks = Some(MasksBuilder::new(self.largest, label_bits, self.folder.clone()));
        }
        // The root's label is not read, and it has no tail: where all sequences begin alike it has one child.
        blocks.node(
            Node {
                label: 0,
                bits: self.root,
                degree: self.root_degree,
                key: 0,
                level: 0,
            },
            &self.root_payload,
            Tail::None,
            out,
        )?;
        if self.root.ends {
            blocks.payload(&self.root_payload)?;
        }
        let (mut codes, mut payload) = (Vec::new(), Vec::new());
        for (level, spools) in (1..).zip(std::mem::take(&mut self.levels)) {
            let mut records = spools.records.read()?;
            let mut payloads = spools.payloads.read()?;
            let mut key = 0;
            while let Some(head) = records.varint()? {
                let next = |records: &mut SpoolReader| records.varint()?.ok_or_else(Spool::cut_off);
                let bit = |place: u32| head >> place & 1 == 1;
                let mut node = Node {
                    label: (head >> 4) as Token,
                    bits: NodeBits {
                        parent: bit(0),
                        ends: bit(1),
                        first_child: bit(3),
                    },
                    degree: 0,
                    key: 0,
                    level,
                };
                if bit(0) {
                    node.degree = next(&mut records)?;
                }
                payload.clear();
                if bit(1) {
                    key += next(&mut records)?;
                    node.key = key;
                    payload.resize(next(&mut records)? as usize, 0);
                    payloads.read_exact(&mut payload)?;
                }
                let mut tail = Tail::None;
                if bit(2) {
                    let number = next(&mut records)?;
                    tail = match &pool {
                        Some(pool) => Tail::Shared(pool.refs[number as usize]),
                        None => {
                            codes.clear();
                            for _ in 0..number {
                                encoder.encode(&[next(&mut records)? as Token], &mut codes);
                            }
                            Tail::Own(&codes)
                        }
                    };
                }
                blocks.node(node, &payload, tail, out)?;
                if bit(1) {
                    blocks.payload(&payload)?;
                }
            }
        }
        blocks.finish(prefix, [self.nodes, self.sequences], pool, &encoder, out)
    }
}

/// The distinct tails, each kept once, and not at all where another ends so.
struct TailPool {
    codes: Vec<u8>,
    /// Where each tail's codes start, and how many bytes they take.
    refs: Vec<(u64, u64)>,
}

impl TailPool {
    fn new(distinct: &HashMap<Vec<Token>, u64>, encoder: &Encoder) -> Self {
        let mut tails: Vec<(Vec<u8>, u64)> = distinct
            .iter()
            .map(|(tail, &number)| {
                let mut codes = Vec::new();
                encoder.encode(tail, &mut codes);
                (codes, number)
            })
            .collect();
        // By the codes read backwards, the longer of two that end alike first: what another ends with comes behind one that does.
        tails.sort_unstable_by(|one, other| other.0.iter().rev().cmp(one.0.iter().rev()));
        let mut pool = Self {
            codes: Vec::new(),
            refs: vec![(0, 0); tails.len()],
        };
        for (codes, number) in tails {
            if !pool.codes.ends_with(&codes) {
                pool.codes.extend_from_slice(&codes);
            }
            pool.refs[number as usize] = ((pool.codes.len() - codes.len()) as u64, codes.len() as u64);
        }
        pool
    }

    fn form(&self) -> TailForm {
        let width = |number: u64| 64 - number.leading_zeros();
        TailForm::Shared {
            start: width(self.codes.len() as u64),
            length: width(self.refs.iter().map(|&(_, length)| length).max().unwrap_or_default()),
        }
    }
}

struct Node {
    label: Token,
    bits: NodeBits,
    degree: u64,
    key: Key,
    level: u64,
}

enum Tail<'a> {
    None,
    Own(&'a [u8]),
    Shared((u64, u64)),
}

/// Fills blocks of nodes and what stands beside them.
struct Blocks {
    layout: Layout,
    block: Vec<u8>,
    first_labels: Vec<u8>,
    families: Vec<u8>,
    filled: usize,
    words: [u64; BITS],
    keys: Key,
    values: EliasFanoBuilder,
    /// The first child of the next node that has children, and how many first children stand before it in its block.
    next_child: u64,
    before_child: u64,
    ends: u64,
    tails: Lengths,
    payloads: Lengths,
    refs: BitWriter,
    ref_count: u64,
    masks: Option<MasksBuilder>,
}

/// Strings that are found by the sum of the lengths before them, the long ones elsewhere.
struct Lengths {
    short: Spool,
    long: Spool,
}

impl Lengths {
    /// Adds a string; returns the byte that stands for its length.
    fn push(&mut self, bytes: &[u8], with_length: bool) -> Result<u8> {
        if bytes.len() < usize::from(LONG) {
            self.short.write(bytes)?;
            return Ok(bytes.len() as u8);
        }
        let length = if with_length { bytes.len() as u64 } else { 0 };
        self.short.write(&(self.long.len() << 24 | length).to_le_bytes())?;
        self.long.write(bytes)?;
        Ok(LONG)
    }
}

impl Blocks {
    fn new(layout: Layout, keys: Key, folder: Option<PathBuf>) -> Self {
        let lengths = || Lengths {
            short: Spool::new(folder.clone()),
            long: Spool::new(folder.clone()),
        };
        Self {
            block: vec![0; layout.block()],
            first_labels: Vec::new(),
            families: Vec::new(),
            layout,
            filled: 0,
            words: [0; BITS],
            keys,
            values: EliasFanoBuilder::new(),
            next_child: 1,
            before_child: 0,
            ends: 0,
            tails: lengths(),
            payloads: lengths(),
            refs: BitWriter::default(),
            ref_count: 0,
            masks: None,
        }
    }

    fn node<W: Write + Seek>(
        &mut self,
        node: Node,
        payload: &[u8],
        tail: Tail<'_>,
        out: &mut ContainerWriter<W>,
    ) -> Result<()> {
        let place = self.filled;
        if place == 0 {
            let child = self.next_child | self.before_child << FAMILIES;
            self.words = [0, 0, 0, 0, child, self.ends, 0, self.payloads.short.len()];
            self.words[6] = match self.layout.tails {
                TailForm::Lengths => self.tails.short.len(),
                TailForm::Shared { .. } => self.ref_count,
            };
        }
        let tailed = !matches!(tail, Tail::None);
        for (word, bit) in [node.bits.parent, node.bits.ends, tailed, node.bits.first_child]
            .into_iter()
            .enumerate()
        {
            self.words[word] |= u64::from(bit) << place;
        }
        if let Some(masks) = &mut self.masks {
            masks.node(node.label, self.next_child, node.degree)?;
        }
        if node.degree > 0 {
            let block = self.next_child / BLOCK_NODES as u64;
            self.next_child += node.degree;
            self.before_child = match self.next_child / BLOCK_NODES as u64 == block {
                true => self.before_child + 1,
                false => 0,
            };
        }
        let (at, width) = (self.layout.label(place), self.layout.label_width());
        let label = &node.label.to_le_bytes()[..width];
        self.block[at..at + width].copy_from_slice(label);
        if place == 0 {
            self.first_labels.extend_from_slice(label);
        }
        match tail {
            Tail::None => {}
            Tail::Own(codes) => self.block[self.layout.tail_length(place)] = self.tails.push(codes, true)?,
            Tail::Shared((start, length)) => {
                if let TailForm::Shared {
                    start: start_width,
                    length: length_width,
                } = self.layout.tails
                {
                    self.refs.write(start, start_width);
                    self.refs.write(length, length_width);
                    self.ref_count += 1;
                }
            }
        }
        if node.bits.ends {
            self.values.push(node.level * self.keys + node.key);
            self.ends += 1;
            if self.layout.payloads {
                self.block[self.layout.payload_length(place)] = payload.len().min(usize::from(LONG)) as u8;
            }
        }
        self.filled += 1;
        if self.filled == BLOCK_NODES {
            self.close(out)?;
        }
        Ok(())
    }

    fn payload(&mut self, payload: &[u8]) -> Result<()> {
        self.payloads.push(payload, false).map(drop)
    }

    fn close<W: Write + Seek>(&mut self, out: &mut ContainerWriter<W>) -> Result<()> {
        if self.filled > 0 {
            for (bytes, word) in self.block.chunks_exact_mut(8).zip(self.words) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            out.write_all(&self.block)?;
            self.families.push(self.words[3].count_ones() as u8);
            self.block.fill(0);
            self.filled = 0;
        }
        Ok(())
    }

    fn finish<W: Write + Seek>(
        mut self,
        prefix: &str,
        [nodes, sequences]: [u64; 2],
        pool: Option<TailPool>,
        encoder: &Encoder,
        out: &mut ContainerWriter<W>,
    ) -> Result<()> {
        self.close(out)?;
        let header = [
            self.layout.to_word(),
            nodes,
            sequences,
            self.keys,
            self.tails.short.len(),
            self.payloads.short.len(),
        ];
        let header: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        out.section(&format!("{prefix}header"), &header)?;
        out.section(&format!("{prefix}labels"), &self.first_labels)?;
        out.section(&format!("{prefix}families"), &self.families)?;
        out.section(&format!("{prefix}keys"), &self.values.finish())?;
        out.begin(&format!("{prefix}tails"))?;
        out.write_all(&encoder.head())?;
        match pool {
            Some(pool) => {
                out.write_all(&pool.codes)?;
                out.section(&format!("{prefix}tail_refs"), &self.refs.finish())?;
            }
            None => {
                self.tails.short.copy(out)?;
                self.tails.long.copy(out)?;
            }
        }
        if self.layout.payloads {
            out.begin(&format!("{prefix}payloads"))?;
            self.payloads.short.copy(out)?;
            self.payloads.long.copy(out)?;
        }
        if let Some(masks) = self.masks.filter(|masks| !masks.is_empty()) {
            out.begin(&format!("{prefix}masks"))?;
            masks.write(out)?;
        }
        Ok(())
    }
}

/// Numbers of a few bits each, one behind another.
#[derive(Default)]
struct BitWriter {
    words: Vec<u64>,
    bits: u64,
}

impl BitWriter {
    fn write(&mut self, value: u64, width: u32) {
        let shift = self.bits % 64;
        if shift == 0 {
            self.words.push(value);
        } else if let Some(last) = self.words.last_mut() {
            *last |= value << shift;
            if shift + u64::from(width) > 64 {
                self.words.push(value >> (64 - shift));
            }
        }
        self.bits += u64::from(width);
    }

    fn finish(&self) -> Vec<u8> {
        // One more, so that any number can be read with two words.
        self.words
            .iter()
            .chain(&[0])
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }
}

const _: () = assert!(SLOT == 8, "a long string's place is one word");
