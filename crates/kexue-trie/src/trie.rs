//! The packed trie: a sorted set of token sequences in level order, with its unary chains cut out.
//!
//! Nodes are numbered level by level, so that the children of a node are neighbours and their labels one ascending list. A node holds the
//! label that leads into it, the chain of tokens (*tail*) that must follow the label before there is a choice, whether a key ends there,
//! and its children. Everything that is read of a node stands together, in a block of 64 nodes:
//!
//! ```text
//! header   = layout · nodes · sequences · keys · bytes of short tails · bytes of short payloads, u64 each
//! block    = has children u64 · ends a key u64 · has a tail u64 · is a first child u64, a bit for each node
//!            · first child of the first node that has children, and << 48 the first children before it in its block u64
//!            · nodes before that end a key u64
//!            · where the first tail stands u64 · where the first payload stands u64
//!            · length of each tail in bytes, 64 u8, unless tails are shared · length of each payload, 64 u8, where there are payloads
//!            · labels, 64 u16 or u32
//! labels   = the first label of each block, u16 or u32
//! families = the number of first children in each block, u8
//! keys     = Elias–Fano, a number for each node that ends a key: the number of its first key in the lexicographic order (the terminal first),
//!            plus the number of keys times its level, which makes them rise
//! tails    = codes of the tails, in the order of the nodes, then the long ones: a tail of 255 bytes or more is a u64 among the short ones,
//!            its place among the long ones << 24 | its length
//! payloads = the same, but that long payloads know their lengths
//! ```
//!
//! Nodes with many children may have the mask of these ready made, in the section `masks` (`masks.rs`); files without it are
//! as good, and slower there.
//!
//! Where tails are shared, they stand in any order, each once; then `tail_refs` holds the start and the length of each node's, in few bits each.
//!
//! Limits: 2⁴⁰ nodes, tokens below 2²⁴, sequences shorter than 2²¹ tokens.

use crate::bytes::{Bytes, prefetch, word};
use crate::container::Container;
use crate::elias_fano::{EliasFano, select_in_word};
use crate::index::{Allowed, Error, Handle, Key, PrefixIndex, Result, Token};
use crate::layout::{BLOCK_NODES, FAMILIES, LONG, Layout, SLOT, TailForm};
use crate::masks::Masks;
use crate::texts::Codes;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, OnceLock};

/// A place in the trie: inside the tail of a node, or at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    #[inline(always)]
    pub fn pack(self) -> [u64; 3] {
        [
            self.node << 3 | u64::from(self.terminal) << 2,
            self.tail << 24 | self.tail_left,
            self.first_child << 24 | self.degree,
        ]
    }

    #[inline(always)]
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
    layout: Layout,
    block: usize,
    labels_at: usize,
    nodes: Bytes,
    first_labels: Bytes,
    families: Bytes,
    node_count: u64,
    sequences: u64,
    keys: Key,
    numbers: EliasFano,
    tails: Codes,
    short_tails: u64,
    tail_refs: Bytes,
    payloads: Bytes,
    short_payloads: u64,
    pub(crate) masks: Masks,
    /// The root, read once.
    root: Place,
    fan: Arc<OnceLock<Fan>>,
}

/// The root's children, unpacked when they are first asked for: there are thousands, and every key begins with one.
#[derive(Debug, Default)]
struct Fan {
    labels: Vec<Token>,
    /// Of each token the number of its child + 1, or 0.
    children: Vec<u32>,
    /// The place after each label. Their children are so many that finding those of one means passing dozens of blocks.
    places: Vec<OnceLock<Place>>,
}

/// Tokens that the root's children are found by at most.
const FAN: Token = 1 << 18;

fn damaged(what: &str) -> Error {
    Error::Damaged(what.into())
}

fn outside() -> Error {
    damaged("a node lies outside the trie")
}

fn children_damaged() -> Error {
    damaged("a node's children are out of order")
}

/// What the words of its block say of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    node: u64,
    terminal: bool,
    tailed: bool,
    /// Where the search for its first child begins, where it has children.
    family: Option<Family>,
}

/// The first child of a node: of the first children from the start of a block on, number `skipped`.
#[derive(Clone, Copy, Debug)]
struct Family {
    block: usize,
    skipped: u32,
    /// How many first children are in that block, where it is known to be among them.
    inside: u32,
}

/// Where a sequence that is sought stands.
pub(crate) enum Bound {
    /// It is there, and ends at this node.
    At(u64),
    /// In front of everything at and below this place, or behind it.
    Before(Place),
    After(Place),
}

impl Trie {
    /// Reads the trie whose sections' names begin with `prefix`. Nothing is read but the sections' headers and the root.
    ///
    /// # Errors
    /// If a section is missing or the sizes do not fit together.
    pub fn read(container: &Container, prefix: &str) -> Result<Self> {
        let section = |part: &str| container.section(&format!("{prefix}{part}"));
        let header = section("header")?;
        let field = |index: usize| word(&header, 8 * index).ok_or_else(|| damaged("the header of a trie is cut off"));
        let layout = Layout::from_word(field(0)?).ok_or_else(|| damaged("the header of a trie is not known"))?;
        let shared = matches!(layout.tails, TailForm::Shared { .. });
        let empty = Bytes::from(Vec::new());
        let mut trie = Self {
            layout,
            block: layout.block(),
            labels_at: layout.label(0),
            nodes: section("nodes")?,
            first_labels: section("labels")?,
            families: section("families")?,
            node_count: field(1)?,
            sequences: field(2)?,
            keys: field(3)?,
            numbers: EliasFano::new(section("keys")?, &format!("{prefix}keys"))?,
            tails: Codes::open(container, &format!("{prefix}tails"))?,
            short_tails: field(4)?,
            tail_refs: if shared { section("tail_refs")? } else { empty.clone() },
            payloads: if layout.payloads { section("payloads")? } else { empty },
            short_payloads: field(5)?,
            masks: match container.find(&format!("{prefix}masks")) {
                Some(section) => Masks::open(&section)?,
                None => Masks::none(),
            },
            root: Place::default(),
            fan: Arc::default(),
        };
        let blocks = trie.nodes.len() / trie.block;
        if trie.node_count >> FIELD != 0
            || trie.tails.len() >> FIELD != 0
            || !trie.nodes.len().is_multiple_of(trie.block)
            || blocks as u64 != trie.node_count.div_ceil(BLOCK_NODES as u64)
            || trie.numbers.len() != trie.sequences
            || trie.keys < trie.sequences
        {
            return Err(damaged("the nodes of a trie and their number do not fit together"));
        }
        trie.root = trie.place(0)?;
        Ok(trie)
    }

    /// The number of nodes, the root among them.
    pub fn nodes(&self) -> u64 {
        self.node_count
    }

    /// The number of sequences.
    pub(crate) fn sequences(&self) -> u64 {
        self.sequences
    }

    /// The number of keys that the sequences stand for.
    pub(crate) fn keys(&self) -> Key {
        self.keys
    }

    #[inline(always)]
    fn block<'a>(&self, nodes: &'a [u8], node: u64) -> Option<&'a [u8]> {
        let start = (node / BLOCK_NODES as u64) as usize * self.block;
        nodes.get(start..start + self.block)
    }

    #[inline]
    pub(crate) fn root_place(&self) -> Place {
        self.root
    }

    #[inline]
    fn fan(&self) -> &Fan {
        self.fan.get_or_init(|| {
            let mut fan = Fan::default();
            // Where it is damaged, each question finds that out by itself.
            if self.labels(&self.root, &mut fan.labels).is_err() {
                fan.labels.clear();
            } else {
                for (child, &label) in (1..).zip(fan.labels.iter().filter(|&&label| label < FAN)) {
                    if fan.children.len() <= label as usize {
                        fan.children.resize(label as usize + 1, 0);
                    }
                    fan.children[label as usize] = child;
                }
                fan.places.resize_with(fan.labels.len(), OnceLock::new);
            }
            fan
        })
    }

    /// The first child of a node and the node behind its last.
    #[inline(always)]
    fn children(&self, nodes: &[u8], family: &Family) -> Option<Range<u64>> {
        let families = self.families.as_slice();
        let Family { block, skipped, inside } = *family;
        // Where the next family begins is known before the bits are: they can be read side by side.
        let next = match skipped + 1 < inside {
            true => Some(block),
            false => {
                let between = families.get(block + 1..)?.iter().position(|&inside| inside > 0);
                between.map(|between| block + 1 + between)
            }
        };
        let firsts = |block: usize| word(nodes, block.checked_mul(self.block)?.checked_add(24)?);
        let bits = firsts(block)?;
        if bits.count_ones() != inside {
            return None;
        }
        let place = select_in_word(bits, skipped);
        let end = match next {
            Some(next) if next == block => {
                next * BLOCK_NODES + ((bits >> place) & !1).trailing_zeros() as usize + place as usize
            }
            Some(next) => next * BLOCK_NODES + firsts(next)?.trailing_zeros() as usize,
            None => usize::try_from(self.node_count).ok()?,
        };
        Some((block * BLOCK_NODES + place as usize) as u64..end as u64)
    }

    /// Asks for the memory of the block that a node is in, about.
    #[inline]
    fn expect(&self, nodes: &[u8], node: u64) {
        let block = self.block_start(node);
        for line in (0..self.block).step_by(64) {
            prefetch(nodes, block.saturating_add(line));
        }
    }

    /// The place after the label of `node`, whose children are asked for.
    #[inline]
    pub(crate) fn place(&self, node: u64) -> Result<Place> {
        let place = self.read_place(node)?;
        if place.degree > 0 {
            self.expect(&self.nodes, place.first_child);
        }
        Ok(place)
    }

    /// The place after the label of `node`.
    #[inline(always)]
    pub(crate) fn read_place(&self, node: u64) -> Result<Place> {
        let mut head = self.head(node)?;
        self.seek_family(&mut head)?;
        self.place_of(&head)
    }

    /// The first part of [`read_place`](Self::read_place): what the words of its block say of a node.
    #[inline(always)]
    pub(crate) fn head(&self, node: u64) -> Result<Head> {
        let block = self
            .block(&self.nodes, node)
            .filter(|_| node < self.node_count)
            .ok_or_else(outside)?;
        let bit = (node % BLOCK_NODES as u64) as u32;
        let field = |index: usize| word(block, 8 * index).ok_or_else(outside);
        let (parents, first) = (field(0)?, field(4)?);
        let before = (parents & ((1u64 << bit) - 1)).count_ones();
        Ok(Head {
            node,
            terminal: field(1)? >> bit & 1 == 1,
            tailed: field(2)? >> bit & 1 == 1,
            family: (parents >> bit & 1 == 1).then_some(Family {
                block: ((first & ((1 << FAMILIES) - 1)) / BLOCK_NODES as u64) as usize,
                skipped: (first >> FAMILIES) as u32 + before,
                inside: 0,
            }),
        })
    }

    /// The second part: goes on to the block of the first child. The blocks between are passed by their numbers of first children, which stand
    /// together.
    #[inline(always)]
    pub(crate) fn seek_family(&self, head: &mut Head) -> Result<()> {
        let families = self.families.as_slice();
        let inside = |block: usize| families.get(block).copied().map(u32::from).ok_or_else(children_damaged);
        if let Some(family) = &mut head.family {
            family.inside = inside(family.block)?;
            while family.skipped >= family.inside {
                family.skipped -= family.inside;
                family.block += 1;
                family.inside = inside(family.block)?;
            }
        }
        Ok(())
    }

    /// The last part.
    #[inline(always)]
    pub(crate) fn place_of(&self, head: &Head) -> Result<Place> {
        let nodes = self.nodes.as_slice();
        let node = head.node;
        let block = self.block(nodes, node).ok_or_else(outside)?;
        let bit = (node % BLOCK_NODES as u64) as u32;
        let mut place = Place {
            node,
            terminal: head.terminal,
            ..Place::default()
        };
        if let Some(family) = &head.family {
            let children = self.children(nodes, family).ok_or_else(children_damaged)?;
            place.first_child = children.start;
            place.degree = children.end.saturating_sub(children.start);
            if children.start <= node || children.end > self.node_count || !(1..=SMALL).contains(&place.degree) {
                return Err(children_damaged());
            }
        } else if !place.terminal && node != 0 {
            return Err(damaged("a node has neither a key nor children"));
        }
        if head.tailed {
            let field = |index: usize| word(block, 8 * index).ok_or_else(outside);
            let tail = match self.layout.tails {
                TailForm::Lengths => self.tail(block, bit, field(6)?),
                TailForm::Shared { start, length } => {
                    let before = (field(2)? & ((1u64 << bit) - 1)).count_ones();
                    let number = field(6)?.checked_add(u64::from(before));
                    number.and_then(|number| self.shared_tail(number, start, length))
                }
            };
            let (start, length) = tail.ok_or_else(|| damaged("a node's tail is out of order"))?;
            if !(1..=SMALL).contains(&length) || start.checked_add(length).is_none_or(|end| end > self.tails.len()) {
                return Err(damaged("a node's tail is out of order"));
            }
            place.tail = start;
            place.tail_left = length;
        }
        if place.terminal
            && self.layout.payloads
            && let Some(start) = self.short_payload(block, bit)
        {
            // What comes next is mostly the separator; the payload is on its way while the tail is compared.
            prefetch(&self.payloads, start as usize);
        }
        Ok(place)
    }

    /// Where the tail of a node stands and how long it is, where tails are found by their lengths.
    #[inline(always)]
    fn tail(&self, block: &[u8], bit: u32, first: u64) -> Option<(u64, u64)> {
        let lengths = block.get(self.layout.tail_length(0)..self.layout.tail_length(BLOCK_NODES))?;
        let start = first.checked_add(sum_before(lengths, bit)?)?;
        let length = *lengths.get(bit as usize)?;
        if length < LONG {
            return Some((start, u64::from(length)));
        }
        let slot = self.tails.word(start)?;
        Some((self.short_tails.checked_add(slot >> 24)?, slot & SMALL))
    }

    fn shared_tail(&self, number: u64, start: u32, length: u32) -> Option<(u64, u64)> {
        let at = number.checked_mul(u64::from(start + length))?;
        Some((
            bits(&self.tail_refs, at, start)?,
            bits(&self.tail_refs, at + u64::from(start), length)?,
        ))
    }

    /// Where the payload of a node that ends a key stands.
    #[inline]
    pub(crate) fn payload(&self, node: u64) -> Result<u64> {
        let read = || {
            let block = self.block(&self.nodes, node)?;
            let bit = (node % BLOCK_NODES as u64) as u32;
            let start = self.short_payload(block, bit)?;
            if *block.get(self.layout.payload_length(bit as usize))? < LONG {
                return Some(start);
            }
            self.short_payloads
                .checked_add(word(&self.payloads, usize::try_from(start).ok()?)? >> 24)
        };
        read().ok_or_else(|| damaged("what belongs to a key lies outside the file"))
    }

    /// Where the payload of a node stands, or its place among the long ones.
    #[inline(always)]
    fn short_payload(&self, block: &[u8], bit: u32) -> Option<u64> {
        let lengths = block.get(self.layout.payload_length(0)..self.layout.payload_length(BLOCK_NODES))?;
        word(block, 56)?.checked_add(sum_before(lengths, bit)?)
    }

    /// The payloads.
    #[inline]
    pub(crate) fn payloads(&self) -> &[u8] {
        &self.payloads
    }

    /// The label that leads into a node.
    #[inline(always)]
    fn label(&self, nodes: &[u8], node: u64) -> Option<Token> {
        let block = (node / BLOCK_NODES as u64) as usize * self.block;
        let place = (node % BLOCK_NODES as u64) as usize;
        Some(if self.layout.wide {
            let at = block + self.labels_at + 4 * place;
            Token::from_le_bytes(nodes.get(at..at + 4)?.try_into().ok()?)
        } else {
            let at = block + self.labels_at + 2 * place;
            Token::from(u16::from_le_bytes(nodes.get(at..at + 2)?.try_into().ok()?))
        })
    }

    /// The number of the nodes from `start` on, of `count` whose labels rise, whose label is below `token`, and whether that of the next is it.
    #[inline(always)]
    fn search(&self, start: u64, count: u64, token: Token) -> Result<(u64, bool)> {
        if count == 0 {
            return Ok((0, false));
        }
        let nodes = self.nodes.as_slice();
        let (mut low, end) = (start, start + count);
        // Among the blocks, whose first labels stand together, then in one: what is compared is then in a line or two.
        let (first, last) = (start / BLOCK_NODES as u64, (end - 1) / BLOCK_NODES as u64);
        let mut block = first;
        let mut size = last - first;
        while size > 0 {
            let half = size.div_ceil(2);
            if self.first_label(block + half).ok_or_else(outside)? <= token {
                block += half;
                size -= half;
            } else {
                size = half - 1;
            }
        }
        if first < last {
            self.expect(nodes, block * BLOCK_NODES as u64);
        }
        low = low.max(block * BLOCK_NODES as u64);
        let mut size = end.min((block + 1) * BLOCK_NODES as u64) - low;
        // Without a branch on what is found.
        while size > 1 {
            let half = size / 2;
            if self.label(nodes, low + half).ok_or_else(outside)? <= token {
                low += half;
            }
            size -= half;
        }
        let label = self.label(nodes, low).ok_or_else(outside)?;
        Ok((low - start + u64::from(label < token), label == token))
    }

    /// The label of the first node of a block.
    #[inline(always)]
    fn first_label(&self, block: u64) -> Option<Token> {
        let at = usize::try_from(block).ok()?.checked_mul(self.layout.label_width())?;
        let rest = self.first_labels.get(at..)?;
        Some(if self.layout.wide {
            Token::from_le_bytes(*rest.first_chunk()?)
        } else {
            Token::from(u16::from_le_bytes(*rest.first_chunk()?))
        })
    }

    /// The place after the label of a child of the root.
    #[inline]
    fn place_below_root(&self, child: u32) -> Result<Place> {
        let known = self.fan().places.get(child as usize).ok_or_else(outside)?;
        if let Some(place) = known.get() {
            return Ok(*place);
        }
        let place = self.place(self.root.first_child + u64::from(child))?;
        Ok(*known.get_or_init(|| place))
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
        if place.node == 0 && token < FAN && !self.fan().labels.is_empty() {
            return match self.fan().children.get(token as usize) {
                Some(&child) if child > 0 => self.place_below_root(child - 1).map(Some),
                _ => Ok(None),
            };
        }
        match self.child(place, token)? {
            Some(child) => self.place(child).map(Some),
            None => Ok(None),
        }
    }

    /// The child of a place without a tail that has this label.
    #[inline(always)]
    pub(crate) fn child(&self, place: &Place, token: Token) -> Result<Option<u64>> {
        if let Some(mask) = self.masks.find(place.node) {
            let before = self.masks.rank(mask, token).filter(|&before| before < place.degree);
            return Ok(before.map(|before| place.first_child + before));
        }
        let (before, found) = self.search(place.first_child, place.degree, token)?;
        Ok(found.then_some(place.first_child + before))
    }

    /// Appends the tokens that may follow.
    #[inline]
    pub(crate) fn continuations(&self, place: &Place, tokens: &mut Vec<Token>) -> Result<()> {
        if place.tail_left > 0 {
            tokens.push(self.next_of_tail(place)?);
            return Ok(());
        }
        if place.node == 0 && !self.fan().labels.is_empty() {
            tokens.extend_from_slice(&self.fan().labels);
            return Ok(());
        }
        self.labels(place, tokens)
    }

    /// Appends the labels of a node's children.
    #[inline]
    fn labels(&self, place: &Place, tokens: &mut Vec<Token>) -> Result<()> {
        tokens.reserve(place.degree.min(self.node_count) as usize);
        self.each_label(place, |token| tokens.push(token))
    }

    /// Calls `visit` with the labels of a node's children, in order.
    #[inline(always)]
    pub(crate) fn each_label(&self, place: &Place, mut visit: impl FnMut(Token)) -> Result<()> {
        let nodes = self.nodes.as_slice();
        let (mut node, end) = (place.first_child, place.first_child + place.degree);
        while node < end {
            let first = (node % BLOCK_NODES as u64) as usize;
            let count = (BLOCK_NODES - first).min((end - node) as usize);
            let width = self.layout.label_width();
            let start = self.labels_at + first * width;
            let labels = self
                .block(nodes, node)
                .and_then(|block| block.get(start..start + count * width))
                .ok_or_else(outside)?;
            if self.layout.wide {
                (labels.as_chunks().0.iter()).for_each(|&label| visit(Token::from_le_bytes(label)));
            } else {
                (labels.as_chunks().0.iter()).for_each(|&label| visit(Token::from(u16::from_le_bytes(label))));
            }
            node += count as u64;
        }
        Ok(())
    }

    /// The only token that may follow inside a tail.
    #[inline(always)]
    pub(crate) fn next_of_tail(&self, place: &Place) -> Result<Token> {
        self.tails.next(&mut { place.tail })
    }

    /// Appends the tokens that must follow.
    pub(crate) fn append_tail(&self, place: &Place, tokens: &mut Vec<Token>) -> Result<()> {
        self.tails.append(place.tail..place.tail + place.tail_left, tokens)
    }

    /// The label that leads into a node.
    pub(crate) fn label_of(&self, node: u64) -> Result<Token> {
        self.label(&self.nodes, node).ok_or_else(outside)
    }

    /// Asks for the memory that says what may follow a place: the next code of its tail, the mask of its children, or the labels of the first.
    #[inline(always)]
    pub(crate) fn expect_following(&self, place: &Place) {
        if place.tail_left > 0 {
            self.tails.expect(place.tail);
        } else if place.degree > 0 {
            match self.masks.find(place.node) {
                Some(mask) => self.masks.expect(mask),
                None => self.expect_labels(place),
            }
        }
    }

    /// Asks for the memory that [`child`](Self::child) reads.
    #[inline(always)]
    pub(crate) fn expect_child(&self, place: &Place, token: Token) {
        if place.tail_left > 0 {
            return self.tails.expect(place.tail);
        }
        if place.node == 0 {
            let fan = self.fan();
            let child = fan.children.get(token as usize).copied().unwrap_or_default();
            return prefetch(&fan.places, (child as usize).wrapping_sub(1));
        }
        match self.masks.find(place.node) {
            Some(mask) => self.masks.expect_rank(mask, token),
            None => self.expect_labels(place),
        }
    }

    #[inline(always)]
    fn expect_labels(&self, place: &Place) {
        let node = place.first_child;
        let label = self.layout.label((node % BLOCK_NODES as u64) as usize);
        prefetch(&self.nodes, self.block_start(node).saturating_add(label));
    }

    /// Asks for the memory that [`head`](Self::head) reads.
    #[inline(always)]
    pub(crate) fn expect_head(&self, node: u64) {
        prefetch(&self.nodes, self.block_start(node));
    }

    /// Asks for the memory that [`seek_family`](Self::seek_family) reads, and for the lengths of the tails.
    #[inline(always)]
    pub(crate) fn expect_family(&self, head: &Head) {
        if let Some(family) = head.family {
            prefetch(&self.families, family.block);
        }
        if head.tailed && self.layout.tails == TailForm::Lengths {
            let lengths = self.layout.tail_length(0);
            prefetch(&self.nodes, self.block_start(head.node).saturating_add(lengths));
        }
    }

    /// Asks for the memory that [`place_of`](Self::place_of) reads: the block of the first child, and the next where the last may end there.
    #[inline(always)]
    pub(crate) fn expect_children(&self, head: &Head) {
        if let Some(family) = &head.family {
            let start = family.block.saturating_mul(self.block);
            prefetch(&self.nodes, start);
            if family.skipped + 1 >= family.inside {
                prefetch(&self.nodes, start.saturating_add(self.block));
            }
        }
    }

    /// The byte at which the block of a node begins.
    #[inline(always)]
    fn block_start(&self, node: u64) -> usize {
        ((node / BLOCK_NODES as u64) as usize).saturating_mul(self.block)
    }

    /// How many keys begin as a place does.
    pub(crate) fn count_at(&self, place: &Place) -> Result<u64> {
        if self.keys == 0 {
            return Ok(0);
        }
        let outermost = self.outermost(place)?;
        let (first, last) = (self.first_key(outermost.start)?, self.first_key(outermost.end)?);
        last.checked_sub(first)
            .map(|between| between + 1)
            .ok_or_else(|| damaged("the keys below a node are out of order"))
    }

    /// The number of the first key that a node stands for at which one ends.
    #[inline]
    pub(crate) fn first_key(&self, node: u64) -> Result<Key> {
        let read = || {
            let block = self.block(&self.nodes, node)?;
            let bit = (node % BLOCK_NODES as u64) as u32;
            let (ends, before) = (word(block, 8)?, word(block, 40)?);
            let index = before.checked_add(u64::from((ends & ((1 << bit) - 1)).count_ones()))?;
            (ends >> bit & 1 == 1).then_some(index)
        };
        let index = read().ok_or_else(|| damaged("a key was expected where none ends"))?;
        // There are keys: one ends here.
        Ok(self.numbers.get(index)? % self.keys.max(1))
    }

    /// The node where the first key at or below a place ends, and that of the last.
    pub(crate) fn outermost(&self, place: &Place) -> Result<Range<u64>> {
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
        Ok(first.node..last.node)
    }

    /// Where a sequence is or would be; there are some.
    pub(crate) fn bound(&self, tokens: &[Token]) -> Result<Bound> {
        let mut place = self.root;
        for &token in tokens {
            if let Some(next) = self.advance(&place, token)? {
                place = next;
                continue;
            }
            if place.tail_left > 0 {
                let before = token < self.tails.next(&mut { place.tail })?;
                return Ok(if before {
                    Bound::Before(place)
                } else {
                    Bound::After(place)
                });
            }
            let (before, _) = self.search(place.first_child, place.degree, token)?;
            return Ok(if before == place.degree {
                Bound::After(place)
            } else {
                Bound::Before(self.place(place.first_child + before)?)
            });
        }
        Ok(if place.ends_key() {
            Bound::At(place.node)
        } else {
            Bound::Before(place)
        })
    }

    /// The node that a key number belongs to, with its first key; the tokens of its sequence are appended.
    pub(crate) fn node_of_key(&self, key: Key, tokens: &mut Vec<Token>) -> Result<(u64, Key)> {
        if key >= self.keys {
            return Err(damaged("there is no key of this number"));
        }
        let mut place = self.root;
        loop {
            self.append_tail(&place, tokens)?;
            // The last child whose first key is not above.
            let (mut low, mut high) = (place.first_child, place.first_child + place.degree);
            let mut found = None;
            while low < high {
                let middle = low + (high - low) / 2;
                let child = self.place(middle)?;
                let mut first = child;
                while !first.terminal {
                    first = self.place(first.first_child)?;
                }
                if self.first_key(first.node)? <= key {
                    found = Some(child);
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            match found {
                Some(child) => {
                    tokens.push(self.label_of(child.node)?);
                    place = child;
                }
                None if place.terminal => {
                    let first = self.first_key(place.node)?;
                    return match first <= key {
                        true => Ok((place.node, first)),
                        false => Err(damaged("a key's number leads nowhere")),
                    };
                }
                None => return Err(damaged("a key's number leads nowhere")),
            }
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
        self.append_tail(place, prefix)?;
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
            prefix.push(self.label_of(node)?);
            let place = self.place(node)?;
            self.append_tail(&place, prefix)?;
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
    #[inline(always)]
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
        self.keys
    }

    fn root(&self) -> Handle {
        Handle(self.root.pack(), 0)
    }

    fn allowed(&self, at: Handle, allowed: &mut Allowed) -> Result<()> {
        let place = self.checked(at.0)?;
        allowed.tokens.clear();
        allowed.terminal = match place.ends_key() {
            true => Some(self.first_key(place.node)?),
            false => None,
        };
        self.continuations(&place, &mut allowed.tokens)
    }

    fn step(&self, at: Handle, token: Token) -> Result<Option<Handle>> {
        let next = self.advance(&self.checked(at.0)?, token)?;
        Ok(next.map(|place| Handle(place.pack(), 0)))
    }

    fn find(&self, prefix: &[Token]) -> Result<Option<Handle>> {
        let mut place = self.root;
        for &token in prefix {
            match self.advance(&place, token)? {
                Some(next) => place = next,
                None => return Ok(None),
            }
        }
        Ok(Some(Handle(place.pack(), 0)))
    }

    fn count(&self, at: Handle) -> Result<u64> {
        self.count_at(&self.checked(at.0)?)
    }

    fn allowed_mask(&self, at: Handle, mask: &mut [u64]) -> Result<Option<Key>> {
        let place = self.checked(at.0)?;
        mask.fill(0);
        match self.masks.find(place.node) {
            Some(number) if place.tail_left == 0 => {
                let words = self.masks.mask(number).as_chunks::<8>().0;
                for (word, &bytes) in mask.iter_mut().zip(words) {
                    *word = u64::from_le_bytes(bytes);
                }
            }
            _ => {
                let mut set = |token: Token| {
                    if let Some(word) = mask.get_mut(token as usize / 64) {
                        *word |= 1 << (token % 64);
                    }
                };
                match place.tail_left {
                    0 => self.each_label(&place, set)?,
                    _ => set(self.next_of_tail(&place)?),
                }
            }
        }
        match place.ends_key() {
            true => self.first_key(place.node).map(Some),
            false => Ok(None),
        }
    }

    fn completions(&self, at: Handle, visit: &mut dyn FnMut(&[Token], Key) -> ControlFlow<()>) -> Result<()> {
        let place = self.checked(at.0)?;
        let mut tokens = Vec::new();
        self.visit(&place, &mut tokens, &mut |tokens, node| {
            Ok(visit(tokens, self.first_key(node)?))
        })
        .map(drop)
    }
}

/// The sum of the lengths before number `bit` of 64, a long one counting as its slot; none where there are not 64.
#[inline(always)]
fn sum_before(lengths: &[u8], bit: u32) -> Option<u64> {
    const LOW: u64 = 0x00ff_00ff_00ff_00ff;
    const ONES: u64 = 0x0001_0001_0001_0001;
    const TOP: u64 = 0x8080_8080_8080_8080;
    let lengths: &[u8; BLOCK_NODES] = lengths.try_into().ok()?;
    let (mut sums, mut long) = (0, 0);
    let (words, _) = lengths.as_chunks::<8>();
    for (index, &bytes) in words.iter().enumerate() {
        let left = (bit as usize).saturating_sub(8 * index);
        let kept = if left >= 8 { !0 } else { (1 << (8 * left)) - 1 };
        let word = u64::from_le_bytes(bytes) & kept;
        sums += (word & LOW) + (word >> 8 & LOW);
        // The bytes that are 255: adding one to the low bits carries into the highest, which must be set too.
        long += (((word & !TOP) + (!TOP / 127)) & word & TOP).count_ones();
    }
    let sum = sums.wrapping_mul(ONES) >> 48;
    Some(sum - u64::from(long) * (u64::from(LONG) - SLOT as u64))
}

/// A number of `width` bits at bit `at`.
#[inline]
fn bits(bytes: &[u8], at: u64, width: u32) -> Option<u64> {
    let byte = usize::try_from(at / 8).ok()?;
    // Widths are at most 40: with the seven bits before, a word holds them.
    Some(word(bytes, byte)? >> (at % 8) & ((1 << width) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContainerWriter, TrieBuilder};
    use std::io::Cursor;

    #[test]
    fn numbers_beyond_32_bits_are_kept() {
        const MANY: u64 = 1 << 36;
        let sequences: [&[Token]; 3] = [&[1], &[1, 2, 3], &[70_000]];
        let mut builder = TrieBuilder::new();
        for sequence in sequences {
            builder.push_keys(sequence, MANY, &[]).unwrap();
        }
        let mut out = ContainerWriter::new(Cursor::new(Vec::new())).unwrap();
        builder.write("t.", &mut out).unwrap();
        let container = Container::open(out.finish().unwrap().into_inner().into()).unwrap();
        let trie = Trie::read(&container, "t.").unwrap();
        assert_eq!(trie.keys(), 3 * MANY);
        for (first, sequence) in (0..).step_by(MANY as usize).zip(sequences) {
            for key in [first, first + 5, first + MANY - 1] {
                let mut tokens = Vec::new();
                let (node, found) = trie.node_of_key(key, &mut tokens).unwrap();
                assert_eq!((found, tokens.as_slice()), (first, sequence));
                assert_eq!(trie.first_key(node).unwrap(), first);
            }
        }
        let far = Place {
            node: (1 << FIELD) - 1,
            tail: (1 << FIELD) - 2,
            tail_left: SMALL,
            first_child: (1 << FIELD) - 3,
            degree: SMALL - 1,
            terminal: true,
        };
        assert_eq!(Place::unpack(far.pack()), far);
    }
    #[test]
    fn the_empty_sequence_has_a_payload_as_others_do() {
        let entries: [(&[Token], &[u8]); 4] = [(&[], b"root"), (&[1], b"one"), (&[1, 2], b""), (&[3], &[7; 300])];
        let mut builder = TrieBuilder::new().with_payloads();
        for (sequence, payload) in entries {
            builder.push_keys(sequence, 1, payload).unwrap();
        }
        let mut out = ContainerWriter::new(Cursor::new(Vec::new())).unwrap();
        builder.write("t.", &mut out).unwrap();
        let container = Container::open(out.finish().unwrap().into_inner().into()).unwrap();
        let trie = Trie::read(&container, "t.").unwrap();
        for (key, (sequence, payload)) in (0..).zip(entries) {
            let mut tokens = Vec::new();
            let (node, _) = trie.node_of_key(key, &mut tokens).unwrap();
            let start = trie.payload(node).unwrap() as usize;
            assert_eq!(
                (tokens.as_slice(), &trie.payloads()[start..start + payload.len()]),
                (sequence, payload)
            );
        }
    }
}
