//! An index of facts without some of its keys.
//!
//! Many keys go at once where a subject that many others lead to is removed. They are left out by their numbers alone: those below a prefix
//! follow each other, so that the ones that are left are counted, and the subjects that lost a key need not be read.

use crate::facts::FactIndex;
use crate::index::{Allowed, Error, Handle, Key, PrefixIndex, Result, Token};
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, OnceLock};

/// Keys of an index that are left out: ranges that rise and do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedKeys {
    /// Start and end of each range, and how many keys the ranges before it have.
    runs: Vec<(Key, Key, u64)>,
}

impl PrunedKeys {
    /// Whether no key is left out.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The number of keys left out.
    pub fn len(&self) -> u64 {
        self.runs
            .last()
            .map_or(0, |&(start, end, before)| before + (end - start))
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = Range<Key>> {
        self.runs.iter().map(|&(start, end, _)| start..end)
    }

    /// How many keys below this one are left out.
    #[inline]
    fn below(&self, key: Key) -> u64 {
        match self.runs.partition_point(|&(start, _, _)| start < key).checked_sub(1) {
            None => 0,
            Some(last) => {
                let (start, end, before) = self.runs[last];
                before + (key.min(end) - start)
            }
        }
    }

    /// Whether a key is left out.
    #[inline]
    pub fn contains(&self, key: Key) -> bool {
        let after = self.runs.partition_point(|&(start, _, _)| start <= key);
        after.checked_sub(1).is_some_and(|last| key < self.runs[last].1)
    }

    /// The keys left out here and those left out there.
    pub fn union(&self, other: &Self) -> Self {
        let mut ranges: Vec<Range<Key>> = self.ranges().chain(other.ranges()).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.into_iter().collect()
    }

    /// The number of a key among those that are left.
    fn number(&self, key: Key) -> Key {
        key - self.below(key)
    }

    /// The key that has this number among those that are left.
    fn key(&self, number: Key) -> Key {
        // The last range in front of which no more than `number` keys are left.
        let after = self
            .runs
            .partition_point(|&(start, _, before)| start - before <= number);
        match after.checked_sub(1) {
            None => number,
            Some(last) => {
                let (start, end, before) = self.runs[last];
                number.saturating_add(before + (end - start))
            }
        }
    }
}

/// Of ranges that rise by their starts; empty ones are passed over.
impl FromIterator<Range<Key>> for PrunedKeys {
    fn from_iter<T: IntoIterator<Item = Range<Key>>>(ranges: T) -> Self {
        let mut runs: Vec<(Key, Key, u64)> = Vec::new();
        for range in ranges.into_iter().filter(|range| range.start < range.end) {
            match runs.last_mut() {
                Some((_, end, _)) if range.start <= *end => *end = range.end.max(*end),
                _ => runs.push((range.start, range.end, 0)),
            }
        }
        let mut total = 0;
        for (start, end, before) in &mut runs {
            *before = total;
            total += *end - *start;
        }
        Self { runs }
    }
}

/// A [`FactIndex`] without some of its keys; those that are left are numbered without gaps.
#[derive(Clone, Debug)]
pub(crate) struct PrunedIndex {
    base: FactIndex,
    gone: Arc<PrunedKeys>,
    /// What may follow at the root, found when it is first asked for: all its thousands of branches must be counted.
    root: Arc<OnceLock<Vec<Token>>>,
}

impl PrunedIndex {
    /// # Errors
    /// If a key to leave out is none of the index.
    pub fn new(base: FactIndex, gone: PrunedKeys) -> Result<Self> {
        if gone.ranges().last().is_some_and(|last| last.end > base.len()) {
            return Err(Error::Damaged("more keys are removed than there are".into()));
        }
        Ok(Self {
            base,
            gone: Arc::new(gone),
            root: Arc::default(),
        })
    }

    pub fn base(&self) -> &FactIndex {
        &self.base
    }

    /// The key of the index below that has this number here.
    pub fn base_key(&self, key: Key) -> Key {
        self.gone.key(key)
    }

    pub fn separator(&self) -> Token {
        self.base.separator()
    }

    /// How many keys are left of a range of keys of the index below.
    fn left(&self, keys: &Range<Key>) -> u64 {
        (keys.end - keys.start) - (self.gone.below(keys.end) - self.gone.below(keys.start))
    }

    /// Whether a key is left below a place.
    #[inline]
    fn is_left(&self, at: Handle) -> Result<bool> {
        Ok(self.gone.is_empty() || self.left(&self.base.keys_at(at)?) > 0)
    }

    /// As [`FactIndex::keys_of`], by the numbers here.
    pub fn keys_of(&self, subject: &[Token]) -> Result<Range<Key>> {
        let keys = self.base.keys_of(subject)?;
        Ok(self.gone.number(keys.start)..self.gone.number(keys.end))
    }

    /// As [`FactIndex::visit_subjects`], of the subjects that have a key left.
    pub fn visit_subjects(&self, visit: &mut dyn FnMut(&[Token], Handle) -> ControlFlow<()>) -> Result<()> {
        let mut failed = Ok(());
        self.base.visit_subjects(&mut |subject, at| match self.is_left(at) {
            Ok(true) => visit(subject, at),
            Ok(false) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Err(error);
                ControlFlow::Break(())
            }
        })?;
        failed
    }

    /// As [`FactIndex::mentions`], of the subjects that have a key left.
    pub fn mentions(&self, text: &[Token], visit: &mut dyn FnMut(Range<usize>, Handle)) -> Result<()> {
        let mut failed = Ok(());
        self.base.mentions(text, &mut |range, at| match self.is_left(at) {
            Ok(true) => visit(range, at),
            Ok(false) => {}
            Err(error) => failed = Err(error),
        })?;
        failed
    }
}

impl PrefixIndex for PrunedIndex {
    fn len(&self) -> u64 {
        self.base.len() - self.gone.len()
    }

    fn root(&self) -> Handle {
        self.base.root()
    }

    fn allowed(&self, at: Handle, allowed: &mut Allowed) -> Result<()> {
        self.base.allowed(at, allowed)?;
        if self.gone.is_empty() {
            return Ok(());
        }
        if at == self.base.root()
            && let Some(tokens) = self.root.get()
        {
            allowed.tokens.clone_from(tokens);
            return Ok(());
        }
        if let Some(key) = &mut allowed.terminal {
            match self.gone.contains(*key) {
                true => allowed.terminal = None,
                false => *key = self.gone.number(*key),
            }
        }
        let keys = self.base.keys_at(at)?;
        if self.left(&keys) == keys.end - keys.start {
            return Ok(());
        }
        let mut left = Vec::with_capacity(allowed.tokens.len());
        for &token in &allowed.tokens {
            if self.step(at, token)?.is_some() {
                left.push(token);
            }
        }
        allowed.tokens = left;
        if at == self.base.root() {
            // Another thread may have found the same.
            let _ = self.root.set(allowed.tokens.clone());
        }
        Ok(())
    }

    #[inline]
    fn step(&self, at: Handle, token: Token) -> Result<Option<Handle>> {
        match self.base.step(at, token)? {
            Some(next) if self.is_left(next)? => Ok(Some(next)),
            _ => Ok(None),
        }
    }

    fn count(&self, at: Handle) -> Result<u64> {
        match self.gone.is_empty() {
            true => self.base.count(at),
            false => Ok(self.left(&self.base.keys_at(at)?)),
        }
    }

    fn completions(&self, at: Handle, visit: &mut dyn FnMut(&[Token], Key) -> ControlFlow<()>) -> Result<()> {
        if self.gone.is_empty() {
            return self.base.completions(at, visit);
        }
        self.base
            .completions(at, &mut |tokens, key| match self.gone.contains(key) {
                true => ControlFlow::Continue(()),
                false => visit(tokens, self.gone.number(key)),
            })
    }

    fn find(&self, prefix: &[Token]) -> Result<Option<Handle>> {
        match self.base.find(prefix)? {
            Some(at) if self.is_left(at)? => Ok(Some(at)),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn is_equal_to_the_set_of_keys(ranges in proptest::collection::vec((0u64..40, 0u64..6), 0..8), more in proptest::collection::vec((0u64..40, 0u64..6), 0..4)) {
            let pruned = |ranges: &[(u64, u64)]| {
                let mut ranges: Vec<Range<u64>> = ranges.iter().map(|&(start, length)| start..start + length).collect();
                ranges.sort_by_key(|range| range.start);
                ranges.into_iter().collect::<PrunedKeys>()
            };
            let set = |ranges: &[(u64, u64)]| ranges.iter().flat_map(|&(start, length)| start..start + length).collect::<BTreeSet<u64>>();
            let (one, gone) = (pruned(&ranges), set(&ranges));
            prop_assert_eq!(one.len(), gone.len() as u64);
            prop_assert!(one.ranges().zip(one.ranges().skip(1)).all(|(one, next)| one.end < next.start));
            let left: Vec<u64> = (0..60).filter(|key| !gone.contains(key)).collect();
            for (number, &key) in (0..).zip(&left) {
                prop_assert_eq!((one.number(key), one.key(number)), (number, key));
            }
            for key in 0..60 {
                prop_assert_eq!(one.contains(key), gone.contains(&key));
                prop_assert_eq!(one.below(key), gone.range(..key).count() as u64);
            }
            prop_assert_eq!(one.union(&pruned(&more)), pruned(&[ranges, more].concat()));
        }
    }
}
