//! Bit masks of the children of dense nodes, kept ready made.
//!
//! A node is dense where the mask of its children is no longer than their labels, so that all masks together take at most what the labels
//! do. A decoder copies such a mask instead of setting thousands of bits, and finds a child by counting the bits before its own.
//!
//! ```text
//! masks = words of a mask u64 · dense nodes u64 · the number of each dense node u64, ascending
//!         · masks, `words` u64 each: bit t of a mask is set where a child has the label t
//!         · ranks, a u32 for every 8 words of each mask: the bits of that mask before them
//! ```

use crate::bytes::{Bytes, prefetch, word};
use crate::index::{Error, Result, Token};
use crate::spool::Spool;
use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;

/// Words whose bits are counted together.
const GROUP: usize = 8;
/// Bytes that the processor reads together.
const LINE: usize = 64;

/// The masks of a trie, or none.
#[derive(Clone, Debug)]
pub(crate) struct Masks {
    words: usize,
    /// Dense nodes come before this one.
    end: u64,
    /// The nodes 0 to this one, without, are all dense.
    dense_from_root: u64,
    nodes: Bytes,
    masks: Bytes,
    ranks: Bytes,
}

impl Masks {
    /// No node has a mask.
    pub fn none() -> Self {
        let empty = Bytes::from(Vec::new());
        Self {
            words: 0,
            end: 0,
            dense_from_root: 0,
            nodes: empty.clone(),
            masks: empty.clone(),
            ranks: empty,
        }
    }

    pub fn open(section: &Bytes) -> Result<Self> {
        let open = || {
            let words = usize::try_from(word(section, 0)?).ok()?;
            let count = usize::try_from(word(section, 8)?).ok()?;
            let nodes = 16..count.checked_mul(8)?.checked_add(16)?;
            let masks = nodes.end..count.checked_mul(words)?.checked_mul(8)?.checked_add(nodes.end)?;
            let ranks = count.checked_mul(words.div_ceil(GROUP))?.checked_mul(4)?;
            let ranks = masks.end..ranks.checked_add(masks.end)?;
            if ranks.end != section.len() || words == 0 || words > 1 << 18 {
                return None;
            }
            let nodes = section.slice(nodes)?;
            let node = |index: usize| word(&nodes, 8 * index);
            // The numbers rise: those that are their own place stand in front of those that are not.
            let (mut low, mut high) = (0, count);
            while low < high {
                let middle = low + (high - low) / 2;
                match node(middle) == Some(middle as u64) {
                    true => low = middle + 1,
                    false => high = middle,
                }
            }
            Some(Self {
                words,
                end: count
                    .checked_sub(1)
                    .and_then(node)
                    .map_or(0, |last| last.saturating_add(1)),
                dense_from_root: low as u64,
                masks: section.slice(masks)?,
                ranks: section.slice(ranks)?,
                nodes,
            })
        };
        open().ok_or_else(|| Error::Damaged("the masks of a trie and their number do not fit together".into()))
    }

    /// The number of the node's mask, none where it is not dense.
    #[inline(always)]
    pub fn find(&self, node: u64) -> Option<usize> {
        if node < self.dense_from_root {
            return Some(node as usize);
        }
        if node >= self.end {
            return None;
        }
        let nodes = self.nodes.as_chunks::<8>().0;
        nodes
            .binary_search_by_key(&node, |&bytes| u64::from_le_bytes(bytes))
            .ok()
    }

    /// The bytes of a mask, a multiple of eight; bit `t % 8` of byte `t / 8` is token `t`.
    #[inline(always)]
    pub fn mask(&self, mask: usize) -> &[u8] {
        let start = 8 * self.words * mask;
        self.masks.get(start..start + 8 * self.words).unwrap_or_default()
    }

    /// Asks for the memory of a mask, or of its beginning: what follows a few lines is asked for by the processor.
    #[inline(always)]
    pub fn expect(&self, mask: usize) {
        let start = 8 * self.words * mask;
        for line in (0..8 * self.words).step_by(LINE).take(4) {
            prefetch(&self.masks, start + line);
        }
    }

    /// Asks for the memory that [`rank`](Self::rank) reads.
    #[inline(always)]
    pub fn expect_rank(&self, mask: usize, token: Token) {
        let group = token as usize / (64 * GROUP);
        prefetch(&self.masks, 8 * (self.words * mask + GROUP * group));
        prefetch(&self.ranks, 4 * (mask * self.words.div_ceil(GROUP) + group));
    }

    /// How many children come before the one with this label, none where no child has it.
    #[inline(always)]
    pub fn rank(&self, mask: usize, token: Token) -> Option<u64> {
        let (place, bit) = (token as usize / 64, token % 64);
        let words = self.mask(mask);
        let own = word(words, 8 * place)?;
        if own >> bit & 1 == 0 {
            return None;
        }
        let group = place / GROUP;
        let at = 4 * (mask * self.words.div_ceil(GROUP) + group);
        let before = u32::from_le_bytes(*self.ranks.get(at..)?.first_chunk()?);
        let near = words.as_chunks::<8>().0.get(group * GROUP..place)?;
        let near: u32 = near.iter().map(|&bytes| u64::from_le_bytes(bytes).count_ones()).sum();
        Some(u64::from(before) + u64::from(near) + u64::from((own & ((1 << bit) - 1)).count_ones()))
    }
}

/// Makes the masks while the nodes go by, level after level.
#[derive(Debug)]
pub(crate) struct MasksBuilder {
    words: usize,
    label_bits: u64,
    /// The dense nodes whose children are still to come: the number of the node, its first child, and the one behind its last.
    pending: VecDeque<(u64, u64, u64)>,
    /// The next node.
    node: u64,
    current: Vec<u64>,
    nodes: Spool,
    masks: Spool,
    ranks: Spool,
}

impl MasksBuilder {
    /// For labels up to `largest`, which take so many bits each.
    pub fn new(largest: Token, label_bits: u64, folder: Option<PathBuf>) -> Self {
        let words = (largest as usize + 1).div_ceil(64);
        let spool = || Spool::new(folder.clone());
        Self {
            words,
            label_bits,
            pending: VecDeque::new(),
            node: 0,
            current: vec![0; words],
            nodes: spool(),
            masks: spool(),
            ranks: spool(),
        }
    }

    /// Takes note of the next node, which has so many children from `first_child` on.
    pub fn node(&mut self, label: Token, first_child: u64, degree: u64) -> std::io::Result<()> {
        let node = self.node;
        self.node += 1;
        if degree * self.label_bits >= 64 * self.words as u64 {
            self.pending.push_back((node, first_child, first_child + degree));
        }
        match self.pending.front() {
            Some(&(parent, first, end)) if node >= first => {
                self.current[label as usize / 64] |= 1 << (label % 64);
                match node + 1 == end {
                    true => self.close(parent),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self, parent: u64) -> std::io::Result<()> {
        self.nodes.write(&parent.to_le_bytes())?;
        let mut before = 0u32;
        for group in self.current.chunks(GROUP) {
            self.ranks.write(&before.to_le_bytes())?;
            before += group.iter().map(|word| word.count_ones()).sum::<u32>();
        }
        for word in &mut self.current {
            self.masks.write(&word.to_le_bytes())?;
            *word = 0;
        }
        self.pending.pop_front();
        Ok(())
    }

    /// Whether there are no masks.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 0
    }

    /// Writes the section.
    pub fn write(self, out: &mut impl Write) -> std::io::Result<()> {
        out.write_all(&(self.words as u64).to_le_bytes())?;
        out.write_all(&(self.nodes.len() / 8).to_le_bytes())?;
        self.nodes.copy(out)?;
        self.masks.copy(out)?;
        self.ranks.copy(out)
    }
}
