//! The packed trie: a sorted set of token sequences in level order, with its unary chains cut out.
//!
//! Nodes are numbered level by level, so that the children of a node are neighbours and their labels one ascending list. A node holds the
//! label that leads into it, the chain of tokens (*tail*) that must follow the label before there is a choice, whether a key ends there,
//! and its children. What is kept, for `n` nodes of which `i` have children:
//!
//! - `labels`: `n` tokens;
//! - `nodes`: for each 64 nodes 64 bytes, one line of a cache: four words of bits (has children, ends a key, has a tail, is a first child),
//!   the number of nodes before them that have children and that end a key, where the first of their tails stands, and a word of zeros;
//! - `children`: the first child of every eighth node that has children; those of the others follow by the bits of the first children;
//! - `tails`: the tokens of the tails in the order of their nodes, each with its length before it;
//! - `ranks`: Elias–Fano, a number for each node that ends a key: its rank in the lexicographic order of the keys (the terminal first),
//!   plus the number of keys times its level, which makes them rise.
//!
//! Limits: 2⁴⁰ nodes, tokens below 2²⁴, tails shorter than 2²⁴ tokens.

use crate::bytes::{Bytes, word};
use crate::container::{Container, ContainerWriter};
use crate::elias_fano::{EliasFano, EliasFanoBuilder};
use crate::texts::{Codes, TextsBuilder};
use crate::tokens::{Tokens, TokensBuilder};
use crate::{Allowed, Error, Handle, Key, PrefixIndex, Result, Token};
use std::io::{Seek, Write};
use std::ops::ControlFlow;

/// Bytes of a block of 64 nodes.
const BLOCK: usize = 64;
/// Nodes with children between two whose first child is written down.
const STRIDE: u64 = 8;
/// Bytes of a block before the tails' place.
const TAILS: usize = 48;

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
    first_child: bool,
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
        let mut tails = TextsBuilder::default();
        let mut ranks = EliasFanoBuilder::new();
        let mut children: Vec<u8> = Vec::new();
        let mut parents = 0u64;
        let mut nodes = Nodes::default();

        let mut level = vec![Range {
            low: 0,
            high: keys,
            depth: 0,
            first_child: false,
        }];
        labels.push(0);
        let mut depth = 0;
        while !level.is_empty() {
            let mut next = Vec::new();
            for range in level {
                let mut bits = [false, false, false, range.first_child];
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
                        tails.push(&first[start..start + tail]);
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
                        if parents.is_multiple_of(STRIDE) {
                            children.extend(labels.len().to_le_bytes());
                        }
                        parents += 1;
                    }
                    let mut first_child = true;
                    while low < range.high {
                        let label = self.sequence(low)[end];
                        let high = self.end_of_group(low, range.high, end, label);
                        labels.push(label);
                        next.push(Range {
                            low,
                            high,
                            depth: end as u32 + 1,
                            first_child,
                        });
                        first_child = false;
                        low = high;
                    }
                }
                nodes.push(bits);
            }
            level = next;
            depth += 1;
        }
        let (tail_text, tail_starts) = tails.encode(true);

        let mut name = String::from(prefix);
        let mut section = |part: &str, bytes: &[u8]| {
            name.truncate(prefix.len());
            name.push_str(part);
            out.section(&name, bytes)
        };
        section("labels", &labels.finish())?;
        section("nodes", &nodes.finish(&tail_starts))?;
        section("children", &children)?;
        section("ranks", &ranks.finish())?;
        section("tails", &tail_text)
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
    blocks: Vec<[u64; 4]>,
    filled: u32,
}

impl Nodes {
    fn push(&mut self, bits: [bool; 4]) {
        if self.filled.is_multiple_of(64) {
            self.blocks.push([0; 4]);
        }
        if let Some(words) = self.blocks.last_mut() {
            for (word, bit) in words.iter_mut().zip(bits) {
                *word |= u64::from(bit) << (self.filled % 64);
            }
        }
        self.filled = (self.filled + 1) % 64;
    }

    /// The blocks; `tails` is where each tail starts.
    fn finish(self, tails: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.blocks.len() * BLOCK);
        let mut before = [0u64; 3];
        for words in self.blocks {
            let tail = tails.get(before[2] as usize).copied().unwrap_or_default();
            for number in words.into_iter().chain([before[0], before[1], tail, 0]) {
                bytes.extend(number.to_le_bytes());
            }
            for (before, word) in before.iter_mut().zip(words) {
                *before += u64::from(word.count_ones());
            }
        }
        bytes
    }
}

/// A place in the trie: inside the tail of a node, or at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub node: u64,
    /// Where the code of the next tail token stands, and how many bytes of codes are left.
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
    children: Bytes,
    tails: Codes,
    /// The root, read once.
    root: Option<Place>,
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
        let mut trie = Self {
            labels: tokens("labels")?,
            nodes: section("nodes")?.0,
            children: section("children")?.0,
            tails: Codes::open(container, &format!("{prefix}tails"))?,
            root: None,
            ranks: numbers("ranks")?,
        };
        let blocks = trie.nodes.len() as u64 / BLOCK as u64;
        if !trie.nodes.len().is_multiple_of(BLOCK) || trie.labels.len() == 0 || blocks != trie.labels.len().div_ceil(64)
        {
            return Err(damaged("the trie's nodes and labels do not fit together"));
        }
        if trie.labels.len() >> FIELD != 0 || trie.tails.len() >> FIELD != 0 {
            return Err(damaged("the trie is larger than 2^40"));
        }
        trie.root = trie.place(0).ok();
        Ok(trie)
    }

    /// The number of nodes, the root among them.
    pub fn nodes(&self) -> u64 {
        self.labels.len()
    }

    #[inline]
    fn block(&self, node: u64) -> Result<&[u8]> {
        let start = (node / 64) as usize * BLOCK;
        self.nodes
            .get(start..start + BLOCK)
            .ok_or_else(|| damaged("a node lies outside the trie"))
    }

    /// The root.
    #[inline]
    pub(crate) fn root_place(&self) -> Result<Place> {
        match self.root {
            Some(root) => Ok(root),
            None => self.place(0),
        }
    }

    /// The children of the node that is number `index` among those that have some.
    #[inline]
    fn children(&self, index: u64) -> Option<std::ops::Range<u64>> {
        let start = word(&self.children, usize::try_from(index / STRIDE).ok()?.checked_mul(8)?)?;
        let nodes = self.nodes.as_slice();
        let firsts = |number: u64| {
            word(
                nodes,
                usize::try_from(number).ok()?.checked_mul(BLOCK)?.checked_add(24)?,
            )
        };
        let mut number = start / 64;
        let mut bits = firsts(number)? & (!0 << (start % 64));
        let mut left = index % STRIDE;
        while left > 0 || bits == 0 {
            if bits == 0 {
                number += 1;
                bits = firsts(number)?;
            } else {
                bits &= bits - 1;
                left -= 1;
            }
        }
        let start = number * 64 + u64::from(bits.trailing_zeros());
        bits &= bits - 1;
        while bits == 0 {
            number += 1;
            match firsts(number) {
                Some(next) => bits = next,
                None => return Some(start..self.labels.len()),
            }
        }
        Some(start..number * 64 + u64::from(bits.trailing_zeros()))
    }

    /// The place after the label of `node`.
    #[inline]
    pub(crate) fn place(&self, node: u64) -> Result<Place> {
        let outside = || damaged("a node lies outside the trie");
        let block = self.block(node)?;
        let bit = (node % 64) as u32;
        let below = (1u64 << bit) - 1;
        let bits = |kind: usize| word(block, 8 * kind).ok_or_else(outside);
        let mut place = Place {
            node,
            tail: 0,
            tail_left: 0,
            first_child: 0,
            degree: 0,
            terminal: bits(1)? >> bit & 1 == 1,
        };
        let parents = bits(0)?;
        if parents >> bit & 1 == 1 {
            let index = word(block, 32)
                .and_then(|before| before.checked_add(u64::from((parents & below).count_ones())))
                .ok_or_else(outside)?;
            let children = self
                .children(index)
                .ok_or_else(|| damaged("a node's children are out of order"))?;
            place.first_child = children.start;
            place.degree = children.end.saturating_sub(children.start);
            if children.start <= node || children.end > self.labels.len() || !(1..=SMALL).contains(&place.degree) {
                return Err(damaged("a node's children are out of order"));
            }
        } else if !place.terminal && node != 0 {
            return Err(damaged("a node has neither a key nor children"));
        }
        let tailed = bits(2)?;
        if tailed >> bit & 1 == 1 {
            let start = word(block, TAILS).ok_or_else(outside)?;
            let tail = self.tails.with_length(start, (tailed & below).count_ones())?;
            place.tail = tail.start;
            place.tail_left = tail.end - tail.start;
            if !(1..=SMALL).contains(&place.tail_left) {
                return Err(damaged("a node's tail is out of order"));
            }
        }
        Ok(place)
    }

    /// The place after one more token.
    #[inline]
    pub(crate) fn advance(&self, place: &Place, token: Token) -> Result<Option<Place>> {
        if place.tail_left > 0 {
            let mut tail = place.tail;
            if self.tails.next(&mut tail)? != token {
                return Ok(None);
            }
            let tail_left = (place.tail + place.tail_left)
                .checked_sub(tail)
                .ok_or_else(|| damaged("a node's tail is cut off"))?;
            return Ok(Some(Place {
                tail,
                tail_left,
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
            tokens.push(self.tails.next(&mut { place.tail })?);
            Ok(())
        } else {
            self.labels.append(place.first_child, place.degree, tokens)
        }
    }

    /// The rank of the key that ends at a node that ends one.
    #[inline]
    pub(crate) fn rank(&self, node: u64) -> Result<u64> {
        let block = self.block(node)?;
        let bit = (node % 64) as u32;
        match (word(block, 8), word(block, 40)) {
            (Some(terminals), Some(before)) if terminals >> bit & 1 == 1 => {
                let index = before.wrapping_add(u64::from((terminals & ((1 << bit) - 1)).count_ones()));
                Ok(self.ranks.get(index)? % self.ranks.len())
            }
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

    /// How many keys are below `tokens` in the order, and whether `tokens` is a key.
    pub(crate) fn lower_bound(&self, tokens: &[Token]) -> Result<(u64, bool)> {
        if self.ranks.is_empty() {
            return Ok((0, false));
        }
        let mut place = self.root_place()?;
        for &token in tokens {
            if let Some(next) = self.advance(&place, token)? {
                place = next;
                continue;
            }
            let below = self.ranks_below(&place)?;
            if place.tail_left > 0 {
                let before = token < self.tails.next(&mut { place.tail })?;
                return Ok((if before { below.start } else { below.end }, false));
            }
            let (mut low, mut high) = (place.first_child, place.first_child + place.degree);
            while low < high {
                let middle = low + (high - low) / 2;
                if self.labels.get(middle)? < token {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            if low == place.first_child + place.degree {
                return Ok((below.end, false));
            }
            return Ok((self.ranks_below(&self.place(low)?)?.start, false));
        }
        Ok((self.ranks_below(&place)?.start, place.ends_key()))
    }

    /// The place of the node where key number `rank` ends; its tokens are appended.
    pub(crate) fn key_of_rank(&self, rank: u64, tokens: &mut Vec<Token>) -> Result<Place> {
        if rank >= self.ranks.len() {
            return Err(damaged("there is no key of this number"));
        }
        let mut place = self.root_place()?;
        loop {
            self.tails.append(place.tail..place.tail + place.tail_left, tokens)?;
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
        self.tails.append(place.tail..place.tail + place.tail_left, prefix)?;
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
            self.tails.append(place.tail..place.tail + place.tail_left, prefix)?;
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
        let place = self.root_place().unwrap_or(Place {
            node: 0,
            tail: 0,
            tail_left: 0,
            first_child: 0,
            degree: 0,
            terminal: false,
        });
        Handle(place.pack(), 0)
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
        Ok(next.map(|place| Handle(place.pack(), 0)))
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
