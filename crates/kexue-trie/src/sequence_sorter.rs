//! Sequences in any order, sorted in memory or, beyond a limit, in temporary files.

use crate::index::{MAX_PART, Token};
use crate::spool::{Spool, SpoolReader};
use crate::trie_builder::TrieBuilder;
use crate::varint::write_varint;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{Error, ErrorKind, Result};
use std::path::PathBuf;

/// Collects sequences in any order, and more than once, and makes a trie of them.
///
/// ```
/// use kexue_trie::{PrefixIndex, SequenceSorter};
///
/// let mut sequences = SequenceSorter::new();
/// for sequence in [[8, 1], [7, 2], [8, 1]] {
///     sequences.push(&sequence)?;
/// }
/// let trie = sequences.into_trie()?;
/// assert_eq!(trie.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SequenceSorter {
    tokens: Vec<Token>,
    /// Where each sequence ends in `tokens`.
    ends: Vec<usize>,
    largest: Token,
    /// Bytes of sequences that are kept before they go to a file, and the folder of the files.
    spill: Option<(usize, PathBuf)>,
    runs: Vec<Spool>,
}

/// What sorting takes for each sequence beside its tokens: its end, and its key with its number.
const BESIDE: usize = 24;

impl Default for SequenceSorter {
    fn default() -> Self {
        Self::new()
    }
}

impl SequenceSorter {
    /// No sequences yet; everything is kept in memory.
    pub fn new() -> Self {
        Self {
            tokens: Vec::new(),
            ends: Vec::new(),
            largest: 0,
            spill: None,
            runs: Vec::new(),
        }
    }

    /// Keeps at most about `memory` bytes of sequences in memory, the others in temporary files in `folder`.
    pub fn spill_to(mut self, folder: PathBuf, memory: usize) -> Self {
        self.spill = Some((memory, folder));
        self
    }

    /// Adds a sequence.
    ///
    /// # Errors
    /// If a token is 2²⁴ or above, the sequence has 2²¹ tokens or more, or a temporary file cannot be written.
    pub fn push(&mut self, sequence: &[Token]) -> Result<()> {
        let largest = sequence.iter().copied().max().unwrap_or_default();
        if sequence.len() > MAX_PART || largest >= 1 << 24 {
            let problem = "a sequence has a token of 2^24 or above, or 2^21 tokens or more";
            return Err(Error::new(ErrorKind::InvalidInput, problem));
        }
        self.largest = self.largest.max(largest);
        self.tokens.extend_from_slice(sequence);
        self.ends.push(self.tokens.len());
        let kept = size_of_val(self.tokens.as_slice()) + BESIDE * self.ends.len();
        let full = self.spill.as_ref().is_some_and(|&(memory, _)| kept >= memory);
        if full || self.ends.len() > u32::MAX as usize {
            self.spill()?;
        }
        Ok(())
    }

    fn sequence(&self, index: usize) -> &[Token] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.tokens[start..self.ends[index]]
    }

    /// Calls `visit` with each distinct sequence in memory, in order.
    fn sorted(&self, mut visit: impl FnMut(&[Token]) -> Result<()>) -> Result<()> {
        // The first tokens as one number, a token counting one more than it is, so that none at all is below all. Mostly they decide.
        let width = 64 - u64::from(self.largest + 1).leading_zeros();
        let first = (64 / width) as usize;
        let key = |sequence: &[Token]| {
            (0..first).fold(0u64, |key, place| {
                key << width | sequence.get(place).map_or(0, |&token| u64::from(token) + 1)
            })
        };
        let mut order: Vec<(u64, u32)> = (0..self.ends.len())
            .map(|index| (key(self.sequence(index)), index as u32))
            .collect();
        let rest = |index: u32| self.sequence(index as usize).get(first..).unwrap_or_default();
        order.sort_unstable_by(|one, other| (one.0.cmp(&other.0)).then_with(|| rest(one.1).cmp(rest(other.1))));
        let mut last = None;
        for (_, index) in order {
            let sequence = self.sequence(index as usize);
            if last != Some(sequence) {
                visit(sequence)?;
                last = Some(sequence);
            }
        }
        Ok(())
    }

    /// Writes what is in memory to a temporary file, or keeps it there sorted where there is no folder.
    fn spill(&mut self) -> Result<()> {
        let mut run = Spool::new(self.spill.as_ref().map(|(_, folder)| folder.clone()));
        let mut record = Vec::new();
        self.sorted(|sequence| {
            record.clear();
            write_varint(sequence.len() as u64, &mut record);
            sequence
                .iter()
                .for_each(|&token| write_varint(u64::from(token), &mut record));
            run.write(&record)
        })?;
        run.flush()?;
        self.runs.push(run);
        self.tokens.clear();
        self.ends.clear();
        Ok(())
    }

    /// Gives each distinct sequence to a builder, in order.
    pub(crate) fn into_builder(mut self) -> Result<TrieBuilder> {
        let mut builder = TrieBuilder::new().keep_masks();
        if let Some((_, folder)) = &self.spill {
            builder = builder.spill_to(folder.clone());
        }
        if self.runs.is_empty() {
            self.sorted(|sequence| builder.push(sequence))?;
            return Ok(builder);
        }
        if !self.ends.is_empty() {
            self.spill()?;
        }
        let mut runs = Vec::new();
        let mut heads = BinaryHeap::new();
        for (number, run) in std::mem::take(&mut self.runs).into_iter().enumerate() {
            let mut run = run.read()?;
            heads.extend(next(&mut run, Vec::new())?.map(|head| Reverse((head, number))));
            runs.push(run);
        }
        let mut last: Option<Vec<Token>> = None;
        while let Some(Reverse((head, number))) = heads.pop() {
            let mut spare = Vec::new();
            if last.as_ref() != Some(&head) {
                builder.push(&head)?;
                spare = last.replace(head).unwrap_or_default();
            }
            heads.extend(next(&mut runs[number], spare)?.map(|head| Reverse((head, number))));
        }
        Ok(builder)
    }
}

/// The next sequence of a run, in the memory of `sequence`.
fn next(run: &mut SpoolReader, mut sequence: Vec<Token>) -> Result<Option<Vec<Token>>> {
    let Some(length) = run.varint()? else {
        return Ok(None);
    };
    sequence.clear();
    for _ in 0..length {
        sequence.push(run.varint()?.ok_or_else(Spool::cut_off)? as Token);
    }
    Ok(Some(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PrefixIndex, Trie};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::ops::ControlFlow;

    fn all(trie: &Trie) -> Vec<Vec<Token>> {
        let mut all = Vec::new();
        trie.completions(trie.root(), &mut |tokens, _| {
            all.push(tokens.to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
        all
    }

    proptest! {
        #[test]
        fn any_order_and_any_memory_give_the_sorted_set(
            sequences in proptest::collection::vec(proptest::collection::vec(prop_oneof![0u32..3, Just((1 << 24) - 1)], 0..7), 0..60),
            memory in 1usize..2000,
        ) {
            let expected: Vec<Vec<Token>> = sequences.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
            let folder = tempfile::tempdir().unwrap();
            for mut sorter in [SequenceSorter::new(), SequenceSorter::new().spill_to(folder.path().into(), memory)] {
                sequences.iter().for_each(|sequence| sorter.push(sequence).unwrap());
                prop_assert_eq!(all(&sorter.into_trie().unwrap()), expected.clone());
            }
        }
    }

    #[test]
    fn a_token_too_large_is_refused() {
        assert!(SequenceSorter::new().push(&[1 << 24]).is_err());
    }
}
