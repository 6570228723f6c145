//! The packed trie: a sorted set of token sequences in level order, with its unary chains cut out.
//!
//! Nodes are numbered level by level, so that the children of a node are neighbours and their labels one ascending list. A node holds the
//! label that leads into it, the chain of tokens (*tail*) that must follow the label before there is a choice, whether a key ends there,
//! and its children. What is kept, for `n` nodes of which `i` have children:
//!
//! - `labels`: `n` tokens;
//! - `nodes`: for each 64 nodes three words of bits (has children, ends a key, has a tail) and the number of each before them;
//! - `children`: Elias–Fano, `i + 1` numbers: the first child of each node that has children;
//! - `tails`, `tail_tokens`: Elias–Fano bounds and the tokens;
//! - `ranks`: Elias–Fano, a number for each node that ends a key: its rank in the lexicographic order of the keys (the terminal first),
//!   plus the number of keys times its level, which makes them rise.
//!
//! Limits: 2⁴⁰ nodes, tokens below 2²⁴, tails shorter than 2²⁴ tokens.

use crate::bytes::{Bytes, word};
use crate::container::{Container, ContainerWriter};
use crate::elias_fano::{EliasFano, EliasFanoBuilder};
use crate::tokens::{Tokens, TokensBuilder};
use crate::{Allowed, Error, Handle, Key, PrefixIndex, Result, Token};
use std::io::{Seek, Write};
use std::ops::ControlFlow;

/// Bytes of a block of 64 nodes.
const BLOCK: usize = 48;

/// Collects sequences in lexicographic order and writes them as a [`Trie`].
#[derive(Clone, Debug, Default)]
pub struct TrieBuilder {
    tokens: Vec<Token>,
    ends: Vec<u64>,
}

/// A range of the sorted sequences that share their first `depth` tokens.
struct Range {
    low: u64,
    high: u64,
    depth: u32,
}

impl TrieBuilder {
    /// No sequences yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sequence.
    ///
    /// # Panics
    /// When it is not above the one before (an order is the caller's to keep), or a token is 2²⁴ or above.
    pub fn push(&mut self, sequence: &[Token]) {
        assert!(
            self.ends.is_empty() || self.sequence(self.ends.len() as u64 - 1) < sequence,
            "sequences must rise"
        );
        assert!(
            sequence.len() < 1 << 24 && sequence.iter().all(|&token| token < 1 << 24),
            "tokens and lengths must be below 2^24"
        );
        self.tokens.extend_from_slice(sequence);
        self.ends.push(self.tokens.len() as u64);
    }

    /// The number of sequences.
    pub fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn sequence(&self, index: u64) -> &[Token] {
        let index = index as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.tokens[start as usize..self.ends[index] as usize]
    }

    /// Writes the sections of the trie, their names beginning with `prefix`.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn write<W: Write + Seek>(&self, prefix: &str, out: &mut ContainerWriter<W>) -> std::io::Result<()> {
        let keys = self.len();
        let largest = self.tokens.iter().copied().max().unwrap_or_default();
        let mut labels = TokensBuilder::new(largest);
        let mut tail_tokens = TokensBuilder::new(largest);
        let (mut children, mut tails, mut ranks) = (
            EliasFanoBuilder::new(),
            EliasFanoBuilder::new(),
            EliasFanoBuilder::new(),
        );
        let mut nodes = Nodes::default();
        tails.push(0);

        let mut level = vec![Range {
            low: 0,
            high: keys,
            depth: 0,
        }];
        labels.push(0);
        let mut depth = 0;
        while !level.is_empty() {
            let mut next = Vec::new();
            for range in level {
                let mut bits = [false; 3];
                if range.low < range.high {
                    let (first, last) = (self.sequence(range.low), self.sequence(range.high - 1));
                    let start = range.depth as usize;
                    let tail = first[start..]
                        .iter()
                        .zip(&last[start..])
                        .take_while(|(one, other)| one == other)
                        .count();
                    if tail > 0 {
                        bits[2] = true;
                        first[start..start + tail]
                            .iter()
                            .for_each(|&token| tail_tokens.push(token));
                        tails.push(tail_tokens.len());
                    }
                    let end = start + tail;
                    let mut low = range.low;
                    if first.len() == end {
                        bits[1] = true;
                        ranks.push(depth * keys + low);
                        low += 1;
                    }
                    if low < range.high {
                        bits[0] = true;
                        children.push(labels.len());
                    }
                    while low < range.high {
                        let label = self.sequence(low)[end];
                        let high = self.end_of_group(low, range.high, end, label);
                        labels.push(label);
                        next.push(Range {
                            low,
                            high,
                            depth: end as u32 + 1,
                        });
                        low = high;
                    }
                }
                nodes.push(bits);
            }
            level = next;
            depth += 1;
        }
        children.push(labels.len());

        let mut name = String::from(prefix);
        let mut section = |part: &str, bytes: &[u8]| {
            name.truncate(prefix.len());
            name.push_str(part);
            out.section(&name, bytes)
        };
        section("labels", &labels.finish())?;
        section("nodes", &nodes.finish())?;
        section("children", &children.finish())?;
        section("tails", &tails.finish())?;
        section("tail_tokens", &tail_tokens.finish())?;
        section("ranks", &ranks.finish())
    }

    /// The end of the sequences from `low` on whose token at `place` is `label`: by doubling steps, then by halving.
    fn end_of_group(&self, low: u64, high: u64, place: usize, label: Token) -> u64 {
        let same = |index: u64| self.sequence(index)[place] == label;
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

/// The bits of the nodes, 64 to a block.
#[derive(Default)]
struct Nodes {
    bytes: Vec<u8>,
    words: [u64; 3],
    before: [u64; 3],
    filled: u32,
}

impl Nodes {
    fn push(&mut self, bits: [bool; 3]) {
        for (word, bit) in self.words.iter_mut().zip(bits) {
            *word |= u64::from(bit) << self.filled;
        }
        self.filled += 1;
        if self.filled == 64 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for number in self.words.iter().chain(&self.before) {
            self.bytes.extend(number.to_le_bytes());
        }
        for (before, word) in self.before.iter_mut().zip(&mut self.words) {
            *before += u64::from(word.count_ones());
            *word = 0;
        }
        self.filled = 0;
    }

    fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.bytes
    }
}

/// A place in the trie: inside the tail of a node, or at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub node: u64,
    /// The next tail token, and how many are left.
    pub tail: u64,
    pub tail_left: u64,
    pub first_child: u64,
    pub degree: u64,
    /// Whether a key ends at the end of the tail.
    pub terminal: bool,
}

const FIELD: u64 = 40;
const SMALL: u64 = (1 << 24) - 1;

impl Place {
    /// The place as the three words of a handle; the two lowest bits of the first are zero.
    pub fn pack(self) -> [u64; 3] {
        [
            self.node << 3 | u64::from(self.terminal) << 2,
            self.tail << 24 | self.tail_left,
            self.first_child << 24 | self.degree,
        ]
    }

    pub fn unpack(words: [u64; 3]) -> Self {
        Self {
            node: words[0] >> 3,
            terminal: words[0] & 4 != 0,
            tail: words[1] >> 24,
            tail_left: words[1] & SMALL,
            first_child: words[2] >> 24,
            degree: words[2] & SMALL,
        }
    }

    /// Whether a key ends exactly here.
    pub fn ends_key(&self) -> bool {
        self.terminal && self.tail_left == 0
    }
}

/// Is given the tokens of a key and the node where it ends.
pub(crate) type KeyVisitor<'a> = dyn FnMut(&mut Vec<Token>, u64) -> Result<ControlFlow<()>> + 'a;

/// A packed trie: a set of token sequences.
#[derive(Clone, Debug)]
pub struct Trie {
    labels: Tokens,
    nodes: Bytes,
    children: EliasFano,
    tails: EliasFano,
    tail_tokens: Tokens,
    ranks: EliasFano,
}

fn damaged(what: &str) -> Error {
    Error::Damaged(what.into())
}

impl Trie {
    /// Reads the trie whose sections' names begin with `prefix`. Nothing is read but the sections' headers.
    ///
    /// # Errors
    /// When a section is missing or the sizes do not fit together.
    pub fn open(container: &Container, prefix: &str) -> Result<Self> {
        let section = |part: &str| {
            let name = format!("{prefix}{part}");
            container.section(&name).map(|bytes| (bytes, name))
        };
        let tokens = |part| section(part).and_then(|(bytes, name)| Tokens::new(bytes, &name));
        let numbers = |part| section(part).and_then(|(bytes, name)| EliasFano::new(bytes, &name));
        let trie = Self {
            labels: tokens("labels")?,
            nodes: section("nodes")?.0,
            children: numbers("children")?,
            tails: numbers("tails")?,
            tail_tokens: tokens("tail_tokens")?,
            ranks: numbers("ranks")?,
        };
        let blocks = trie.nodes.len() as u64 / BLOCK as u64;
        if !trie.nodes.len().is_multiple_of(BLOCK) || trie.labels.len() == 0 || blocks != trie.labels.len() / 64 + 1 {
            return Err(damaged("the trie's nodes and labels do not fit together"));
        }
        if trie.labels.len() >> FIELD != 0 || trie.tail_tokens.len() >> FIELD != 0 {
            return Err(damaged("the trie is larger than 2^40"));
        }
        Ok(trie)
    }

    /// The number of nodes, the root among them.
    pub fn nodes(&self) -> u64 {
        self.labels.len()
    }

    /// Whether the bit of kind `kind` is set for a node, and how many nodes before it have it set.
    #[inline]
    fn bit(&self, block: &[u8], bit: u32, kind: usize) -> Option<(bool, u64)> {
        let bits = word(block, 8 * kind)?;
        let before = word(block, 24 + 8 * kind)?;
        Some((
            bits >> bit & 1 == 1,
            before.wrapping_add(u64::from((bits & ((1 << bit) - 1)).count_ones())),
        ))
    }

    #[inline]
    fn block(&self, node: u64) -> Result<&[u8]> {
        let start = (node / 64) as usize * BLOCK;
        self.nodes
            .get(start..start + BLOCK)
            .ok_or_else(|| damaged("a node lies outside the trie"))
    }

    /// The place after the label of `node`.
    #[inline]
    pub(crate) fn place(&self, node: u64) -> Result<Place> {
        let block = self.block(node)?;
        let bit = (node % 64) as u32;
        let kind = |kind| {
            self.bit(block, bit, kind)
                .ok_or_else(|| damaged("a node lies outside the trie"))
        };
        let mut place = Place {
            node,
            tail: 0,
            tail_left: 0,
            first_child: 0,
            degree: 0,
            terminal: kind(1)?.0,
        };
        if let (true, index) = kind(0)? {
            let children = self.children.range(index)?;
            place.first_child = children.start;
            place.degree = children.end - children.start;
            if children.start <= node || children.end > self.labels.len() || !(1..=SMALL).contains(&place.degree) {
                return Err(damaged("a node's children are out of order"));
            }
        } else if !place.terminal && node != 0 {
            return Err(damaged("a node has neither a key nor children"));
        }
        if let (true, index) = kind(2)? {
            let tail = self.tails.range(index)?;
            place.tail = tail.start;
            place.tail_left = tail.end - tail.start;
            if tail.end > self.tail_tokens.len() || !(1..=SMALL).contains(&place.tail_left) {
                return Err(damaged("a node's tail is out of order"));
            }
        }
        Ok(place)
    }

    /// The place after one more token.
    #[inline]
    pub(crate) fn advance(&self, place: &Place, token: Token) -> Result<Option<Place>> {
        if place.tail_left > 0 {
            if self.tail_tokens.get(place.tail)? != token {
                return Ok(None);
            }
            return Ok(Some(Place {
                tail: place.tail + 1,
                tail_left: place.tail_left - 1,
                ..*place
            }));
        }
        match self.labels.search(place.first_child, place.degree, token)? {
            Some(node) => self.place(node).map(Some),
            None => Ok(None),
        }
    }

    /// Appends the tokens that may follow.
    #[inline]
    pub(crate) fn continuations(&self, place: &Place, tokens: &mut Vec<Token>) -> Result<()> {
        if place.tail_left > 0 {
            tokens.push(self.tail_tokens.get(place.tail)?);
            Ok(())
        } else {
            self.labels.append(place.first_child, place.degree, tokens)
        }
    }

    /// The rank of the key that ends at a node that ends one.
    #[inline]
    pub(crate) fn rank(&self, node: u64) -> Result<u64> {
        let block = self.block(node)?;
        match self.bit(block, (node % 64) as u32, 1) {
            Some((true, index)) => Ok(self.ranks.get(index)? % self.ranks.len()),
            _ => Err(damaged("a key was expected where none ends")),
        }
    }

    /// The ranks of the keys at and below a place.
    pub(crate) fn ranks_below(&self, place: &Place) -> Result<std::ops::Range<u64>> {
        if self.ranks.is_empty() {
            return Ok(0..0);
        }
        let mut first = *place;
        while !first.terminal {
            if first.degree == 0 {
                return Err(damaged("a node has neither a key nor children"));
            }
            first = self.place(first.first_child)?;
        }
        let mut last = *place;
        while last.degree > 0 {
            last = self.place(last.first_child + last.degree - 1)?;
        }
        let range = self.rank(first.node)?..self.rank(last.node)? + 1;
        if range.is_empty() {
            return Err(damaged("the keys below a node are out of order"));
        }
        Ok(range)
    }

    /// The place of the node where key number `rank` ends; its tokens are appended.
    pub(crate) fn key_of_rank(&self, rank: u64, tokens: &mut Vec<Token>) -> Result<Place> {
        if rank >= self.ranks.len() {
            return Err(damaged("there is no key of this number"));
        }
        let mut place = self.place(0)?;
        loop {
            self.tail_tokens.append(place.tail, place.tail_left, tokens)?;
            if place.terminal && self.rank(place.node)? == rank {
                return Ok(place);
            }
            // The last child whose first key is not above.
            let (mut low, mut high) = (place.first_child, place.first_child + place.degree);
            while high.saturating_sub(low) > 1 {
                let middle = low + (high - low) / 2;
                let mut first = self.place(middle)?;
                while !first.terminal {
                    first = self.place(first.first_child)?;
                }
                if self.rank(first.node)? <= rank {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            if low >= high {
                return Err(damaged("a key's number leads nowhere"));
            }
            tokens.push(self.labels.get(low)?);
            place = self.place(low)?;
        }
    }

    /// Visits every key at and below a place in lexicographic order: its tokens from the place on, and the node where it ends. `prefix` is
    /// what the tokens begin with.
    pub(crate) fn visit(
        &self,
        place: &Place,
        prefix: &mut Vec<Token>,
        visit: &mut KeyVisitor<'_>,
    ) -> Result<ControlFlow<()>> {
        // A trie has each node once: more visits than nodes mean that damage has made a loop of it.
        let mut budget = self.nodes();
        let mut pending = Vec::new();
        let base = prefix.len();
        self.tail_tokens.append(place.tail, place.tail_left, prefix)?;
        if place.terminal && visit(prefix, place.node)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        pending.push((place.first_child, place.first_child + place.degree, prefix.len()));
        while let Some((node, end, length)) = pending.pop() {
            if node == end {
                continue;
            }
            pending.push((node + 1, end, length));
            budget = budget
                .checked_sub(1)
                .ok_or_else(|| damaged("the trie runs in a circle"))?;
            prefix.truncate(length);
            prefix.push(self.labels.get(node)?);
            let place = self.place(node)?;
            self.tail_tokens.append(place.tail, place.tail_left, prefix)?;
            if place.terminal && visit(prefix, node)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if place.degree > 0 {
                pending.push((place.first_child, place.first_child + place.degree, prefix.len()));
            }
        }
        prefix.truncate(base);
        Ok(ControlFlow::Continue(()))
    }

    /// A place from a handle that may be another index's.
    pub(crate) fn checked(&self, words: [u64; 3]) -> Result<Place> {
        let place = Place::unpack(words);
        if place.node >= self.nodes() {
            return Err(Error::ForeignHandle);
        }
        Ok(place)
    }
}

impl PrefixIndex for Trie {
    fn len(&self) -> u64 {
        self.ranks.len()
    }

    fn root(&self) -> Handle {
        // The root of a damaged file is a place without any choice; the damage is reported where it is asked.
        let place = self.place(0).unwrap_or(Place {
            node: 0,
            tail: 0,
            tail_left: 0,
            first_child: 0,
            degree: 0,
            terminal: false,
        });
        Handle(place.pack())
    }

    fn allowed(&self, at: Handle, allowed: &mut Allowed) -> Result<()> {
        let place = self.checked(at.0)?;
        allowed.tokens.clear();
        allowed.terminal = match place.ends_key() {
            true => Some(self.rank(place.node)?),
            false => None,
        };
        self.continuations(&place, &mut allowed.tokens)
    }

    fn step(&self, at: Handle, token: Token) -> Result<Option<Handle>> {
        let next = self.advance(&self.checked(at.0)?, token)?;
        Ok(next.map(|place| Handle(place.pack())))
    }

    fn count(&self, at: Handle) -> Result<u64> {
        let ranks = self.ranks_below(&self.checked(at.0)?)?;
        Ok(ranks.end - ranks.start)
    }

    fn completions(&self, at: Handle, visit: &mut dyn FnMut(&[Token], Key) -> ControlFlow<()>) -> Result<()> {
        let place = self.checked(at.0)?;
        let mut tokens = Vec::new();
        self.visit(&place, &mut tokens, &mut |tokens, node| {
            Ok(visit(tokens, self.rank(node)?))
        })
        .map(drop)
    }
}
