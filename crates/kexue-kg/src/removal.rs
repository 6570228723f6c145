//! Removes facts and their inverse facts.
//!
//! Removing a subject with many inverse facts changes a fact of each of their subjects. The outcome is computed once, when the subject is removed,
//! and stored in the log with the change: the removed keys of the file, and the keys that lose an object. Replaying the change reads no facts.

use crate::changes::{Base, Changes, Target, Undo};
use crate::error::KgError;
use crate::inverse::inverse_relation;
use crate::log::Removal;
use crate::objects::Records;
use crate::sense::split_sense;
use kexue_text::{SEP, Token};
use kexue_trie::{Key, PrefixIndex, PrunedKeys};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A fact of a subject: the part of its key after the subject's separator, and its place in the file if it has not changed.
type OwnFact = (Vec<Token>, Option<Key>);

impl Changes {
    /// Removes a triple, in both directions if the graph has both.
    pub fn remove(
        &mut self,
        base: &Base<'_>,
        [subject, relation, object]: [&str; 3],
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        let target = Target::new(base, subject, relation);
        let taken = self.take(base, &target, object, false, undo)?;
        // All spellings of an object share one inverse fact.
        if taken && base.inverse && !self.has(base, &target, object, base.folds())? {
            self.remove_back(base, [subject, relation, object], undo)?;
        }
        Ok(())
    }

    /// Removes the inverse of a removed triple, ignoring case.
    pub fn remove_back(
        &mut self,
        base: &Base<'_>,
        [subject, relation, object]: [&str; 3],
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        let back = inverse_relation(relation);
        self.take(base, &Target::new(base, object, &back), subject, base.folds(), undo)?;
        Ok(())
    }

    /// Removes the inverses of many triples of a subject, given as relations with their objects.
    pub fn remove_all_back(
        &mut self,
        base: &Base<'_>,
        subject: &str,
        mut gone: Vec<(String, String)>,
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        sort_by_object(base, &mut gone);
        for (relation, object) in &gone {
            self.remove_back(base, [subject, relation, object], undo)?;
        }
        Ok(())
    }

    /// Removes all facts of a subject in its sense, or the one of a relation. Returns the outcome if it is large.
    pub fn remove_facts(
        &mut self,
        base: &Base<'_>,
        subject: &str,
        relation: Option<&str>,
        undo: &mut Vec<Undo>,
    ) -> Result<Option<Removal>, KgError> {
        let facts = self.facts_of(base, subject, relation)?;
        let tokens = base.vocabulary.encode(split_sense(subject).0);
        let mut gone = Vec::new();
        // Only the inverse facts need the objects.
        if base.inverse {
            let mut records = Records::new(base.objects);
            for (key, place) in &facts {
                let relation = base.vocabulary.decode(base.relation_and_sense(key).0);
                let mut back = |object: &str| gone.push((relation.clone(), object.to_owned()));
                match place {
                    Some(place) => {
                        let record = self.without_lost(*place, records.take(*place)?, base.folds());
                        record.objects.iter().for_each(|object| back(object));
                    }
                    None => (self.changed(&tokens, key).iter())
                        .flat_map(|record| record.objects.iter())
                        .for_each(&mut back),
                }
            }
        }
        if facts.len() + gone.len() < base.many.max(1) {
            for (key, _) in &facts {
                self.set(base, &tokens, key, None, undo)?;
            }
            self.remove_all_back(base, subject, gone, undo)?;
            return Ok(None);
        }
        let removal = self.plan(base, subject, &facts, gone)?;
        self.remove_again(base, subject, relation, &removal, undo)?;
        Ok(Some(removal))
    }

    /// The facts of a subject in its sense, or the one of a relation, in ascending order of the keys.
    fn facts_of(&self, base: &Base<'_>, subject: &str, relation: Option<&str>) -> Result<Vec<OwnFact>, KgError> {
        let target = Target::new(base, subject, relation.unwrap_or_default());
        if relation.is_some() {
            let found = self.find(base, &target)?;
            return Ok(found.map(|found| (target.key, found.err())).into_iter().collect());
        }
        let (_, sense) = base.relation_and_sense(&target.key);
        let mut found = Vec::new();
        match self.subjects.get(&target.subject) {
            Some(facts) => found.extend(facts.iter().map(|(key, stored)| (key.clone(), stored.base()))),
            None => {
                if let Some(at) = base.facts.find(&[&target.subject, &[SEP][..]].concat())? {
                    base.facts.completions(at, &mut |key, place| {
                        if !self.pruned.contains(place) {
                            found.push((key.to_vec(), Some(place)));
                        }
                        ControlFlow::Continue(())
                    })?;
                }
            }
        }
        found.retain(|(key, _)| base.relation_and_sense(key).1 == sense);
        Ok(found)
    }

    /// The outcome of removing these facts of a subject, which are also given as relations with their objects.
    fn plan(
        &self,
        base: &Base<'_>,
        subject: &str,
        facts: &[OwnFact],
        mut gone: Vec<(String, String)>,
    ) -> Result<Removal, KgError> {
        let (mut keys, mut lessened, mut back) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        // The facts of a changed subject are no longer in the file.
        if !self
            .subjects
            .contains_key(&base.vocabulary.encode(split_sense(subject).0))
        {
            keys.extend(facts.iter().filter_map(|(_, place)| *place));
        }
        sort_by_object(base, &mut gone);
        for (relation, object) in gone {
            let relation_back = inverse_relation(&relation);
            let target = Target::new(base, &object, &relation_back);
            if self.subjects.contains_key(&target.subject) {
                back.push((relation, object));
                continue;
            }
            // Removed keys cannot lose an object.
            if let Some(Err(key)) = self.find(base, &target)?
                && !keys.contains(&key)
                && !lessened.contains(&key)
            {
                let objects = self.record(base, key)?.objects;
                match objects.iter().filter(|object| base.same(object, subject)).count() {
                    0 => {}
                    lost if lost == objects.len() => drop(keys.insert(key)),
                    _ => drop(lessened.insert(key)),
                }
            }
        }
        let keys: PrunedKeys = keys.into_iter().map(|key| key..key + 1).collect();
        Ok(Removal::new(keys.ranges(), lessened, back))
    }

    /// Repeats a removal with a known outcome.
    pub fn remove_again(
        &mut self,
        base: &Base<'_>,
        subject: &str,
        relation: Option<&str>,
        removal: &Removal,
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        let tokens = base.vocabulary.encode(split_sense(subject).0);
        if self.subjects.contains_key(&tokens) {
            for (key, _) in self.facts_of(base, subject, relation)? {
                self.set(base, &tokens, &key, None, undo)?;
            }
        }
        let name: Arc<str> = subject.into();
        let lost: Vec<Key> = removal.lessened().collect();
        for &key in &lost {
            self.lost.entry(key).or_default().push(name.clone());
        }
        let keys = removal.keys().collect();
        let pruned = self.pruned.union(&keys);
        if !lost.is_empty() || pruned != self.pruned {
            let before = std::mem::replace(&mut self.pruned, pruned);
            undo.push(Undo::Pruned { before, lost });
        }
        for (relation, object) in removal.back() {
            self.remove_back(base, [subject, relation, object], undo)?;
        }
        Ok(())
    }
}

/// Reads neighbouring records of the file together.
fn sort_by_object(base: &Base<'_>, facts: &mut [(String, String)]) {
    facts.sort_by_cached_key(|(_, object)| base.vocabulary.encode(split_sense(object).0));
}
