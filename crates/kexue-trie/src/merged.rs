//! An index of facts with some of its subjects changed: what a reader sees of a graph that is written to.
//!
//! A changed subject stands here with all its keys and hides the subject of the same name in the index below. Keys are numbered anew, without
//! gaps, so that the merged index is equal to one that is built of the changed graph.

use crate::facts::FactIndex;
use crate::index::{Allowed, Error, Handle, Key, PrefixIndex, Result, Token};
use crate::pruned::{PrunedIndex, PrunedKeys};
use std::ops::{ControlFlow, Range};

/// A subject that has changed, with all keys that it has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedSubject {
    /// The tokens of the subject.
    pub subject: Vec<Token>,
    /// What follows the subject's separator in each of its keys, ascending, up to and with the last separator; none where the subject is gone.
    pub keys: Vec<Vec<Token>>,
}

#[derive(Clone, Debug)]
struct Changed {
    subject: Vec<Token>,
    keys: Vec<Vec<Token>>,
    /// The keys of the index below that are hidden, or where they would be.
    hidden: Range<Key>,
    /// The number of the first key in the merged order.
    start: Key,
    /// How many keys the changed subjects before have, and how many they hide.
    before: (u64, u64),
}

impl Changed {
    /// How many keys the changed subjects have up to and with this one, and how many they hide.
    fn up_to_here(&self) -> (u64, u64) {
        let (added, hidden) = self.before;
        (
            added + self.keys.len() as u64,
            hidden + (self.hidden.end - self.hidden.start),
        )
    }
}

/// A [`FactIndex`] with changed subjects.
#[derive(Clone, Debug)]
pub struct MergedIndex {
    base: PrunedIndex,
    changed: Vec<Changed>,
    len: u64,
}

/// Third words of handles that no place of the index below has.
const ONLY_CHANGED: u64 = u64::MAX - 1;
const IN_CHANGED: u64 = u64::MAX - 2;
const NUMBER: u64 = (1 << 21) - 1;

/// Where a handle points.
enum Position {
    /// In the index below, where nothing has changed.
    Base(Handle),
    /// In front of a separator: a place in the index below, if there is one, and the changed subjects that share `depth` tokens.
    Shared {
        base: Option<Handle>,
        changed: Range<usize>,
        depth: usize,
    },
    /// Below a changed subject: some of its keys, which share `depth` tokens.
    Changed {
        subject: usize,
        keys: Range<usize>,
        depth: usize,
    },
}

fn shared(base: Option<Handle>, changed: Range<usize>, depth: usize) -> Handle {
    let words = base.map_or([0, 0, ONLY_CHANGED], |base| base.0);
    if changed.is_empty() {
        return Handle(words, 0);
    }
    Handle(
        words,
        (depth as u64) << 42 | (changed.start as u64) << 21 | changed.end as u64,
    )
}

fn in_changed(subject: usize, keys: Range<usize>, depth: usize) -> Handle {
    Handle(
        [subject as u64, (keys.start as u64) << 32 | keys.end as u64, IN_CHANGED],
        depth as u64,
    )
}

impl MergedIndex {
    /// How many subjects can have changed: a handle has 21 bits for the number of each.
    pub const MOST_CHANGED: usize = NUMBER as usize;

    /// Puts changed subjects over an index; of two with the same tokens, the later counts.
    ///
    /// # Errors
    /// If there are more than [`MOST_CHANGED`](Self::MOST_CHANGED), or the index is damaged.
    pub fn new(base: FactIndex, changed: Vec<ChangedSubject>) -> Result<Self> {
        Self::with_pruned(base, PrunedKeys::default(), changed)
    }

    /// Puts changed subjects over an index that some keys are left out of.
    ///
    /// # Errors
    /// As [`new`](Self::new), or when a key to leave out is none of the index.
    pub fn with_pruned(base: FactIndex, pruned: PrunedKeys, mut changed: Vec<ChangedSubject>) -> Result<Self> {
        let base = PrunedIndex::new(base, pruned)?;
        if changed.len() > Self::MOST_CHANGED {
            return Err(Error::Damaged(format!("more than {NUMBER} subjects have changed")));
        }
        changed.sort_by(|one, other| one.subject.cmp(&other.subject));
        changed.reverse();
        changed.dedup_by(|one, other| one.subject == other.subject);
        changed.reverse();
        let mut merged = Vec::with_capacity(changed.len());
        let (mut added, mut removed) = (0u64, 0u64);
        let mut behind = 0;
        let damaged = || Error::Damaged("the numbers of keys are out of order".into());
        for ChangedSubject { subject, keys } in changed {
            let hidden = base.keys_of(&subject)?;
            // No key is hidden twice: no more are removed than were there.
            if hidden.start < behind {
                return Err(damaged());
            }
            behind = hidden.end;
            let start = (hidden.start - removed).checked_add(added).ok_or_else(damaged)?;
            let changed = Changed {
                subject,
                keys,
                hidden,
                start,
                before: (added, removed),
            };
            (added, removed) = changed.up_to_here();
            merged.push(changed);
        }
        Ok(Self {
            len: (base.len() - removed).checked_add(added).ok_or_else(damaged)?,
            base,
            changed: merged,
        })
    }

    /// The index below.
    pub fn base(&self) -> &FactIndex {
        self.base.base()
    }

    /// Where a key comes from: its number in the index below, or the tokens of the key of a changed subject.
    pub fn origin(&self, key: Key) -> Origin<'_> {
        let after = self.changed.partition_point(|changed| changed.start <= key);
        let Some(changed) = after.checked_sub(1).and_then(|last| self.changed.get(last)) else {
            return Origin::Base(self.base.base_key(key));
        };
        let place = key - changed.start;
        match changed.keys.get(place as usize) {
            Some(rest) => Origin::Changed {
                subject: &changed.subject,
                rest,
            },
            None => {
                let behind = place - changed.keys.len() as u64;
                Origin::Base(self.base.base_key(changed.hidden.end.saturating_add(behind)))
            }
        }
    }

    /// The merged number of a key of the index below that is not hidden.
    fn number(&self, key: Key) -> Key {
        let after = self.changed.partition_point(|changed| changed.hidden.start <= key);
        match after.checked_sub(1).and_then(|last| self.changed.get(last)) {
            Some(changed) => {
                (changed.start + changed.keys.len() as u64).saturating_add(key.saturating_sub(changed.hidden.end))
            }
            None => key,
        }
    }

    fn position(&self, at: Handle) -> Result<Position> {
        let words = at.0;
        if words[2] == IN_CHANGED {
            let subject = words[0] as usize;
            let keys = (words[1] >> 32) as usize..(words[1] & u64::from(u32::MAX)) as usize;
            let sound = self
                .changed
                .get(subject)
                .is_some_and(|changed| keys.end <= changed.keys.len() && keys.start < keys.end);
            return match sound {
                true => Ok(Position::Changed {
                    subject,
                    keys,
                    depth: at.1 as usize,
                }),
                false => Err(Error::ForeignHandle),
            };
        }
        if at.1 == 0 {
            return match words[2] {
                ONLY_CHANGED => Err(Error::ForeignHandle),
                _ => Ok(Position::Base(Handle(words, 0))),
            };
        }
        let changed = (at.1 >> 21 & NUMBER) as usize..(at.1 & NUMBER) as usize;
        if changed.is_empty() || changed.end > self.changed.len() {
            return Err(Error::ForeignHandle);
        }
        Ok(Position::Shared {
            base: (words[2] != ONLY_CHANGED).then_some(Handle(words, 0)),
            changed,
            depth: (at.1 >> 42) as usize,
        })
    }

    /// The changed subjects among these whose token at `depth` is `token`.
    fn narrow(&self, changed: &Range<usize>, depth: usize, token: Token) -> Range<usize> {
        let subjects = &self.changed[changed.clone()];
        let at = |subject: &Changed| subject.subject.get(depth).copied();
        let start = subjects.partition_point(|subject| at(subject) < Some(token));
        let end = subjects.partition_point(|subject| at(subject) <= Some(token));
        changed.start + start..changed.start + end
    }

    /// The changed subject that ends exactly here: the first of the range, if one does.
    fn ends_here(&self, changed: &Range<usize>, depth: usize) -> Option<usize> {
        let first = self.changed.get(changed.start)?;
        (!changed.is_empty() && first.subject.len() == depth).then_some(changed.start)
    }

    fn count_shared(&self, base: Option<Handle>, changed: &Range<usize>) -> Result<u64> {
        let count = match base {
            Some(base) => self.base.count(base)?,
            None => 0,
        };
        let Some((first, last)) = self.changed[changed.clone()]
            .first()
            .zip(self.changed[changed.clone()].last())
        else {
            return Ok(count);
        };
        let (added, hidden) = last.up_to_here();
        count
            .checked_sub(hidden - first.before.1)
            .and_then(|kept| kept.checked_add(added - first.before.0))
            .ok_or_else(|| Error::Damaged("a subject has more keys than its prefix".into()))
    }

    fn step_shared(
        &self,
        base: Option<Handle>,
        changed: &Range<usize>,
        depth: usize,
        token: Token,
    ) -> Result<Option<Handle>> {
        if token == self.base.separator() {
            if let Some(subject) = self.ends_here(changed, depth) {
                let keys = self.changed[subject].keys.len();
                return Ok((keys > 0).then(|| in_changed(subject, 0..keys, 0)));
            }
            return match base {
                Some(base) => self.base.step(base, token),
                None => Ok(None),
            };
        }
        let base = match base {
            Some(base) => self.base.step(base, token)?,
            None => None,
        };
        let changed = self.narrow(changed, depth, token);
        if changed.is_empty() {
            return Ok(base);
        }
        // Everything below may be gone.
        Ok((self.count_shared(base, &changed)? > 0).then(|| shared(base, changed, depth + 1)))
    }

    /// The keys of a changed subject among `keys` whose token at `depth` is the one of the first.
    fn same_token(&self, subject: usize, keys: &Range<usize>, depth: usize) -> Option<(Token, Range<usize>)> {
        let list = self.changed[subject].keys.get(keys.clone())?;
        let token = *list.first()?.get(depth)?;
        let end = list.partition_point(|key| key.get(depth).copied() <= Some(token));
        Some((token, keys.start..keys.start + end))
    }

    /// Visits every subject in lexicographic order: its tokens, and the handle after its separator.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn visit_subjects(&self, visit: &mut dyn FnMut(&[Token], Handle) -> ControlFlow<()>) -> Result<()> {
        let mut next = self.changed.iter().enumerate().peekable();
        let mut stopped = false;
        self.base.visit_subjects(&mut |subject, handle| {
            while let Some((number, changed)) = next.next_if(|(_, changed)| changed.subject.as_slice() < subject) {
                if !changed.keys.is_empty()
                    && visit(&changed.subject, in_changed(number, 0..changed.keys.len(), 0)).is_break()
                {
                    stopped = true;
                    return ControlFlow::Break(());
                }
            }
            if next.peek().is_some_and(|(_, changed)| changed.subject == subject) {
                // It comes with the changed ones, before the next.
                return ControlFlow::Continue(());
            }
            let flow = visit(subject, handle);
            stopped = flow.is_break();
            flow
        })?;
        for (number, changed) in next {
            if stopped {
                break;
            }
            if !changed.keys.is_empty() {
                stopped = visit(&changed.subject, in_changed(number, 0..changed.keys.len(), 0)).is_break();
            }
        }
        Ok(())
    }

    /// Visits every subject that occurs in `text`: where, and the handle after its separator. By rising start, then by rising end.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn mentions(&self, text: &[Token], visit: &mut dyn FnMut(Range<usize>, Handle)) -> Result<()> {
        if self.changed.is_empty() {
            return self.base.mentions(text, visit);
        }
        let mut found = Vec::new();
        self.base.mentions(text, &mut |range, handle| {
            let hidden = self
                .changed
                .binary_search_by(|changed| changed.subject.as_slice().cmp(&text[range.clone()]));
            if hidden.is_err() {
                found.push((range, handle));
            }
        })?;
        for start in 0..text.len() {
            let mut changed = 0..self.changed.len();
            for (depth, &token) in text[start..].iter().enumerate() {
                changed = self.narrow(&changed, depth, token);
                if changed.is_empty() {
                    break;
                }
                if let Some(subject) = self.ends_here(&changed, depth + 1) {
                    let keys = self.changed[subject].keys.len();
                    if keys > 0 {
                        found.push((start..start + depth + 1, in_changed(subject, 0..keys, 0)));
                    }
                }
            }
        }
        found.sort_by_key(|(range, _)| (range.start, range.end));
        found.into_iter().for_each(|(range, handle)| visit(range, handle));
        Ok(())
    }

    /// Visits the keys of a changed subject behind `prefix`.
    fn visit_changed(
        &self,
        subject: usize,
        keys: Range<usize>,
        depth: usize,
        tokens: &mut Vec<Token>,
        visit: &mut dyn FnMut(&[Token], Key) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let changed = &self.changed[subject];
        let length = tokens.len();
        for number in keys {
            tokens.truncate(length);
            tokens.extend_from_slice(changed.keys[number].get(depth..).unwrap_or_default());
            visit(tokens, changed.start + number as u64)?;
        }
        tokens.truncate(length);
        ControlFlow::Continue(())
    }
}

/// Where a key of a [`MergedIndex`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// This key of the index below.
    Base(Key),
    /// A changed subject.
    Changed {
        /// Its tokens.
        subject: &'a [Token],
        /// What follows its separator in the key.
        rest: &'a [Token],
    },
}

impl PrefixIndex for MergedIndex {
    fn len(&self) -> u64 {
        self.len
    }

    fn root(&self) -> Handle {
        shared(Some(self.base.root()), 0..self.changed.len(), 0)
    }

    fn allowed(&self, at: Handle, allowed: &mut Allowed) -> Result<()> {
        match self.position(at)? {
            Position::Base(base) => {
                self.base.allowed(base, allowed)?;
                allowed.terminal = allowed.terminal.map(|key| self.number(key));
                Ok(())
            }
            Position::Changed { subject, keys, depth } => {
                allowed.tokens.clear();
                let changed = &self.changed[subject];
                allowed.terminal = (changed.keys[keys.start].len() == depth).then(|| changed.start + keys.start as u64);
                let mut rest = keys;
                while let Some((token, same)) = self.same_token(subject, &rest, depth) {
                    allowed.tokens.push(token);
                    rest.start = same.end;
                }
                Ok(())
            }
            Position::Shared { base, changed, depth } => {
                match base {
                    Some(base) => self.base.allowed(base, allowed)?,
                    None => *allowed = Allowed::default(),
                }
                // Only tokens of changed subjects can have come or gone.
                let mut touched = vec![];
                let mut rest = changed.clone();
                while let Some(subject) = self.changed[rest.clone()].first() {
                    match subject.subject.get(depth) {
                        // The subject that ends here is one, the first.
                        None => {
                            touched.push(self.base.separator());
                            rest.start += 1;
                        }
                        Some(&token) => {
                            touched.push(token);
                            // By one at least, also where a handle from elsewhere makes them out of order.
                            rest.start = self.narrow(&rest, depth, token).end.max(rest.start + 1);
                        }
                    }
                }
                for token in touched {
                    let there = self.step_shared(base, &changed, depth, token)?.is_some();
                    match (allowed.tokens.binary_search(&token), there) {
                        (Ok(place), false) => {
                            allowed.tokens.remove(place);
                        }
                        (Err(place), true) => allowed.tokens.insert(place, token),
                        _ => {}
                    }
                }
                Ok(())
            }
        }
    }

    fn step(&self, at: Handle, token: Token) -> Result<Option<Handle>> {
        match self.position(at)? {
            Position::Base(base) => self.base.step(base, token),
            Position::Shared { base, changed, depth } => self.step_shared(base, &changed, depth, token),
            Position::Changed { subject, keys, depth } => {
                let list = &self.changed[subject].keys[keys.clone()];
                let start = list.partition_point(|key| key.get(depth).copied() < Some(token));
                let end = list.partition_point(|key| key.get(depth).copied() <= Some(token));
                Ok((start < end).then(|| in_changed(subject, keys.start + start..keys.start + end, depth + 1)))
            }
        }
    }

    fn find(&self, prefix: &[Token]) -> Result<Option<Handle>> {
        if self.changed.is_empty() {
            return self.base.find(prefix);
        }
        let mut at = self.root();
        for &token in prefix {
            match self.step(at, token)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    fn count(&self, at: Handle) -> Result<u64> {
        match self.position(at)? {
            Position::Base(base) => self.base.count(base),
            Position::Shared { base, changed, .. } => self.count_shared(base, &changed),
            Position::Changed { keys, .. } => Ok(keys.len() as u64),
        }
    }

    fn completions(&self, at: Handle, visit: &mut dyn FnMut(&[Token], Key) -> ControlFlow<()>) -> Result<()> {
        let mut tokens = Vec::new();
        match self.position(at)? {
            Position::Base(base) => self
                .base
                .completions(base, &mut |tokens, key| visit(tokens, self.number(key))),
            Position::Changed { subject, keys, depth } => {
                let _ = self.visit_changed(subject, keys, depth, &mut tokens, visit);
                Ok(())
            }
            Position::Shared { base, changed, depth } => {
                if (self.changed[changed.clone()].iter()).any(|changed| changed.subject.len() < depth) {
                    return Err(Error::ForeignHandle);
                }
                let separator = self.base.separator();
                let mut next = changed.peekable();
                let mut stopped = false;
                let mut all_keys = |subject: usize, visit: &mut dyn FnMut(&[Token], Key) -> ControlFlow<()>| {
                    let changed = &self.changed[subject];
                    tokens.clear();
                    tokens.extend_from_slice(changed.subject.get(depth..).unwrap_or_default());
                    tokens.push(separator);
                    self.visit_changed(subject, 0..changed.keys.len(), 0, &mut tokens, visit)
                };
                if let Some(base) = base {
                    self.base.completions(base, &mut |rest, key| {
                        let end = rest.iter().position(|&token| token == separator).unwrap_or(rest.len());
                        let subject = &rest[..end];
                        let order = |changed: &usize| self.changed[*changed].subject[depth..].cmp(subject);
                        while let Some(changed) = next.next_if(|changed| order(changed).is_lt()) {
                            if all_keys(changed, visit).is_break() {
                                stopped = true;
                                return ControlFlow::Break(());
                            }
                        }
                        if next.peek().is_some_and(|changed| order(changed).is_eq()) {
                            return ControlFlow::Continue(());
                        }
                        let flow = visit(rest, self.number(key));
                        stopped = flow.is_break();
                        flow
                    })?;
                }
                for changed in next {
                    if stopped || all_keys(changed, visit).is_break() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}
