//! The accumulated changes of a log, and the steps of a change.

use crate::error::KgError;
use crate::objects::{LastBlock, Objects, Record};
use crate::ordered::OrderedSet;
use crate::sense::split_sense;
use crate::spellings::{Spellings, compared};
use kexue_text::{SEP, Token, Vocabulary};
use kexue_trie::{ChangedSubject, Error, FactIndex, FactOrder, Key, MergedIndex, PrefixIndex, PrunedKeys};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The facts of a subject: the part of the key after the subject's separator, and the record.
pub(crate) type Facts = BTreeMap<Vec<Token>, Stored>;

/// The record of a changed fact, or its place in the file.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    Base(Key),
    Changed(ChangedRecord),
}

impl Stored {
    /// Its place in the file, if it has not changed.
    pub fn base(&self) -> Option<Key> {
        match self {
            Self::Base(key) => Some(*key),
            Self::Changed(_) => None,
        }
    }
}

/// The record of a fact that has changed.
#[derive(Clone, Debug)]
pub(crate) struct ChangedRecord {
    /// Subject, relation and sense as written, if the tokens do not determine the spelling.
    pub spelling: Option<[String; 3]>,
    pub objects: OrderedSet,
}

impl ChangedRecord {
    pub fn to_record(&self) -> Record {
        Record {
            spelling: self.spelling.clone(),
            objects: self.objects.iter().map(str::to_owned).collect(),
        }
    }
}

/// The changes of a graph. Each is applied by itself, so the cost grows with their number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    pub subjects: BTreeMap<Vec<Token>, Facts>,
    /// Removed keys of the file whose subjects have not changed otherwise.
    pub pruned: PrunedKeys,
    /// The removed objects of facts of the file that have not changed otherwise.
    pub lost: HashMap<Key, Vec<Arc<str>>>,
    /// Pinned facts by normalised question: subject with its sense, and relation.
    pub pins: BTreeMap<String, (String, String)>,
    /// Normalised aliases with their subjects: whether they were added or removed.
    pub aliases: BTreeMap<(Vec<Token>, Vec<Token>), bool>,
    /// The number of changes read from the log, and the bytes of an unfinished one after them.
    pub count: u64,
    pub unfinished: u64,
}

/// The graph that the changes are applied to.
pub(crate) struct Base<'a> {
    pub facts: &'a FactIndex,
    pub objects: &'a Objects,
    pub vocabulary: &'a Vocabulary,
    pub spellings: Option<&'a Spellings>,
    /// Many changes read neighbouring records.
    pub last_block: RefCell<LastBlock>,
    /// Whether the graph has facts in both directions, and changes both.
    pub inverse: bool,
    /// The maximum number of changed subjects.
    pub most_subjects: usize,
    /// From this number of facts and objects on, the log stores the outcome of a removal.
    pub many: usize,
}

impl<'a> Base<'a> {
    pub fn new(facts: &'a FactIndex, objects: &'a Objects, vocabulary: &'a Vocabulary, inverse: bool) -> Self {
        Self {
            facts,
            objects,
            vocabulary,
            spellings: None,
            last_block: RefCell::new(LastBlock::default()),
            inverse,
            most_subjects: MergedIndex::MOST_CHANGED,
            many: MANY,
        }
    }

    /// The sections of other spellings in the index.
    pub fn with(self, spellings: Option<&'a Spellings>) -> Self {
        Self { spellings, ..self }
    }
}

/// A removal of fewer facts and objects is repeated as quickly as its outcome is read.
const MANY: usize = 256;

impl Base<'_> {
    fn record(&self, key: Key) -> Result<Record, Error> {
        self.last_block.borrow_mut().record(self.objects, key)
    }

    /// Whether two names are the same object of an inverse fact.
    pub fn same(&self, one: &str, other: &str) -> bool {
        match self.folds() {
            true => one.eq_ignore_ascii_case(other),
            false => one == other,
        }
    }

    /// Whether texts that differ only in the case of ASCII letters have the same key.
    pub fn folds(&self) -> bool {
        self.vocabulary.folds_case()
    }

    /// Relation and sense, from the part of a key after the subject's separator.
    pub fn relation_and_sense<'k>(&self, key: &'k [Token]) -> (&'k [Token], &'k [Token]) {
        let mut parts = key.split(|&token| token == SEP);
        let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match self.facts.order() {
            FactOrder::SubjectRelationSense => (first, second),
            FactOrder::SubjectSenseRelation => (second, first),
        }
    }
}

/// A fact, by its names.
pub(crate) struct Target<'n> {
    name: &'n str,
    sense: &'n str,
    relation: &'n str,
    pub subject: Vec<Token>,
    pub key: Vec<Token>,
}

impl<'n> Target<'n> {
    pub fn new(base: &Base<'_>, subject: &'n str, relation: &'n str) -> Self {
        let (name, sense) = split_sense(subject);
        let sense = sense.unwrap_or_default();
        let (first, second) = match base.facts.order() {
            FactOrder::SubjectRelationSense => (relation, sense),
            FactOrder::SubjectSenseRelation => (sense, relation),
        };
        let mut key = Vec::new();
        for part in [first, second] {
            base.vocabulary.encode_into(part, &mut key);
            key.push(SEP);
        }
        Self {
            name,
            sense,
            relation,
            subject: base.vocabulary.encode(name),
            key,
        }
    }

    /// The record of a fact with these names.
    pub fn record(&self, base: &Base<'_>, objects: OrderedSet) -> ChangedRecord {
        let names = [self.name, self.relation, self.sense];
        let mut bytes = names.iter().flat_map(|name| name.bytes());
        let respelt = base.folds() && bytes.any(|byte| byte.is_ascii_uppercase());
        ChangedRecord {
            spelling: respelt.then(|| names.map(str::to_owned)),
            objects,
        }
    }
}

/// How to undo a change.
#[derive(Debug)]
pub(crate) enum Undo {
    /// The subject was read from the index.
    Loaded { subject: Vec<Token> },
    /// The fact was this before, or did not exist.
    Fact {
        subject: Vec<Token>,
        key: Vec<Token>,
        before: Option<Stored>,
    },
    /// The fact got one more object.
    Pushed { subject: Vec<Token>, key: Vec<Token> },
    /// The fact lost the object at this place.
    Taken {
        subject: Vec<Token>,
        key: Vec<Token>,
        place: usize,
        object: String,
    },
    /// The removed keys of the file before, and the facts that have lost one more object.
    Pruned { before: PrunedKeys, lost: Vec<Key> },
    /// The alias was added or removed before, or neither.
    Alias {
        key: (Vec<Token>, Vec<Token>),
        before: Option<bool>,
    },
    /// The question was pinned to this before, or to nothing.
    Pin {
        question: String,
        before: Option<(String, String)>,
    },
}

impl Changes {
    /// Undoes the steps.
    pub fn take_back(&mut self, undo: Vec<Undo>) {
        for step in undo.into_iter().rev() {
            match step {
                Undo::Loaded { subject } => drop(self.subjects.remove(&subject)),
                Undo::Fact { subject, key, before } => {
                    if let Some(facts) = self.subjects.get_mut(&subject) {
                        match before {
                            Some(stored) => facts.insert(key, stored),
                            None => facts.remove(&key),
                        };
                    }
                }
                Undo::Pushed { subject, key } => {
                    if let Some(record) = self.changed(&subject, &key) {
                        record.objects.pop();
                    }
                }
                Undo::Taken {
                    subject,
                    key,
                    place,
                    object,
                } => {
                    if let Some(record) = self.changed(&subject, &key) {
                        record.objects.put_back(place, object);
                    }
                }
                Undo::Pruned { before, lost } => {
                    self.pruned = before;
                    for key in lost {
                        if let Some(objects) = self.lost.get_mut(&key) {
                            objects.pop();
                        }
                    }
                }
                Undo::Alias { key, before } => drop(match before {
                    Some(added) => self.aliases.insert(key, added),
                    None => self.aliases.remove(&key),
                }),
                Undo::Pin { question, before } => drop(match before {
                    Some(target) => self.pins.insert(question, target),
                    None => self.pins.remove(&question),
                }),
            }
        }
    }

    /// Normalised names that are not in the index, with their subjects: aliases that were added, and subjects whose names are not compared letter by
    /// letter.
    pub fn names(&self, vocabulary: &Vocabulary) -> BTreeSet<(Vec<Token>, Vec<Token>)> {
        let aliases = self.aliases.iter().filter(|(_, added)| **added);
        let mut names: BTreeSet<_> = aliases.map(|(key, _)| key.clone()).collect();
        for (subject, facts) in &self.subjects {
            let compared = compared(vocabulary, &vocabulary.decode(subject));
            if !facts.is_empty() && compared != *subject && !compared.is_empty() {
                names.insert((compared, subject.clone()));
            }
        }
        names
    }

    /// The index merged with the changes.
    pub fn merge(&self, base: &FactIndex) -> Result<MergedIndex, Error> {
        let changed = self
            .subjects
            .iter()
            .map(|(subject, facts)| ChangedSubject {
                subject: subject.clone(),
                keys: facts.keys().cloned().collect(),
            })
            .collect();
        MergedIndex::with_pruned(base.clone(), self.pruned.clone(), changed)
    }

    /// Removes the objects from a record that the fact of the file has lost.
    pub fn without_lost(&self, key: Key, mut record: Record, fold_case: bool) -> Record {
        for lost in self.lost.get(&key).into_iter().flatten() {
            record.objects.retain(|object| match fold_case {
                true => !object.eq_ignore_ascii_case(lost),
                false => object.as_str() != &**lost,
            });
        }
        record
    }

    /// The record of a fact of the file.
    pub fn record(&self, base: &Base<'_>, key: Key) -> Result<Record, Error> {
        Ok(self.without_lost(key, base.record(key)?, base.folds()))
    }

    pub fn changed(&mut self, subject: &[Token], key: &[Token]) -> Option<&mut ChangedRecord> {
        match self.subjects.get_mut(subject)?.get_mut(key)? {
            Stored::Changed(record) => Some(record),
            Stored::Base(_) => None,
        }
    }

    /// The place of a fact: among the changes, in the file, or nowhere.
    pub fn find(&self, base: &Base<'_>, target: &Target<'_>) -> Result<Option<Result<&ChangedRecord, Key>>, KgError> {
        match self.subjects.get(&target.subject) {
            Some(facts) => Ok(facts.get(&target.key).map(|stored| match stored {
                Stored::Changed(record) => Ok(record),
                Stored::Base(key) => Err(*key),
            })),
            None => {
                let tokens = [&target.subject, &[SEP][..], &target.key].concat();
                let key = base.facts.get(&tokens)?;
                Ok(key.filter(|&key| !self.pruned.contains(key)).map(Err))
            }
        }
    }

    /// The facts of a subject that is going to change.
    fn facts(&mut self, base: &Base<'_>, subject: &[Token], undo: &mut Vec<Undo>) -> Result<&mut Facts, KgError> {
        if !self.subjects.contains_key(subject) {
            if self.subjects.len() >= base.most_subjects {
                return Err(KgError::TooManyChanges {
                    most: base.most_subjects,
                });
            }
            let mut facts = Facts::new();
            if let Some(at) = base.facts.find(&[subject, &[SEP]].concat())? {
                base.facts.completions(at, &mut |tokens, key| {
                    if !self.pruned.contains(key) {
                        facts.insert(tokens.to_vec(), Stored::Base(key));
                    }
                    ControlFlow::Continue(())
                })?;
            }
            undo.push(Undo::Loaded {
                subject: subject.to_vec(),
            });
            self.subjects.insert(subject.to_vec(), facts);
        }
        Ok(self.subjects.entry(subject.to_vec()).or_default())
    }

    /// Sets a fact, or removes it.
    pub fn set(
        &mut self,
        base: &Base<'_>,
        subject: &[Token],
        key: &[Token],
        record: Option<ChangedRecord>,
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        let facts = self.facts(base, subject, undo)?;
        let before = match record {
            Some(record) => facts.insert(key.to_vec(), Stored::Changed(record)),
            None => facts.remove(key),
        };
        undo.push(Undo::Fact {
            subject: subject.to_vec(),
            key: key.to_vec(),
            before,
        });
        Ok(())
    }

    /// Makes the record of a fact of the file changeable. Returns false if there is no such fact.
    fn prepare(&mut self, base: &Base<'_>, target: &Target<'_>, undo: &mut Vec<Undo>) -> Result<bool, KgError> {
        match self.find(base, target)? {
            None => Ok(false),
            Some(Ok(_)) => Ok(true),
            Some(Err(key)) => {
                let record = changed_record(self.record(base, key)?);
                self.set(base, &target.subject, &target.key, Some(record), undo)?;
                Ok(true)
            }
        }
    }

    /// Whether a fact has an object; with `fold_case`, ignoring the case of ASCII letters.
    pub fn has(&self, base: &Base<'_>, target: &Target<'_>, object: &str, fold_case: bool) -> Result<bool, KgError> {
        Ok(match self.find(base, target)? {
            None => false,
            Some(Ok(record)) => record.objects.place(object, fold_case).is_some(),
            Some(Err(key)) => self.record(base, key)?.objects.iter().any(|other| match fold_case {
                true => other.eq_ignore_ascii_case(object),
                false => other == object,
            }),
        })
    }

    /// Adds an object. With `fold_case`, not if one exists that differs only in the case of ASCII letters, since it is found as the same subject.
    pub fn add(
        &mut self,
        base: &Base<'_>,
        [subject, relation, object]: [&str; 3],
        fold_case: bool,
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        let target = Target::new(base, subject, relation);
        if self.has(base, &target, object, fold_case)? {
            return Ok(());
        }
        if !self.prepare(base, &target, undo)? {
            let record = target.record(base, [object].into_iter().collect());
            return self.set(base, &target.subject, &target.key, Some(record), undo);
        }
        if let Some(record) = self.changed(&target.subject, &target.key) {
            record.objects.push(object);
            undo.push(Undo::Pushed {
                subject: target.subject,
                key: target.key,
            });
        }
        Ok(())
    }

    /// Removes an object; with `fold_case`, ignoring the case of ASCII letters. Removes the fact with its last object. Returns false if there is no
    /// such object.
    pub fn take(
        &mut self,
        base: &Base<'_>,
        target: &Target<'_>,
        object: &str,
        fold_case: bool,
        undo: &mut Vec<Undo>,
    ) -> Result<bool, KgError> {
        if !self.has(base, target, object, fold_case)? {
            return Ok(false);
        }
        self.prepare(base, target, undo)?;
        while let Some(record) = self.changed(&target.subject, &target.key)
            && let Some(place) = record.objects.place(object, fold_case)
            && let Some(taken) = record.objects.take(place)
        {
            let gone = record.objects.is_empty();
            undo.push(Undo::Taken {
                subject: target.subject.clone(),
                key: target.key.clone(),
                place,
                object: taken,
            });
            if gone {
                self.set(base, &target.subject, &target.key, None, undo)?;
            }
        }
        Ok(true)
    }

    pub fn objects(&self, base: &Base<'_>, target: &Target<'_>) -> Result<Option<ChangedRecord>, KgError> {
        Ok(match self.find(base, target)? {
            None => None,
            Some(Ok(record)) => Some(record.clone()),
            Some(Err(key)) => Some(changed_record(self.record(base, key)?)),
        })
    }

    /// Adds or removes an alias.
    pub fn alias(
        &mut self,
        base: &Base<'_>,
        subject: &str,
        alias: &str,
        added: bool,
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        let tokens = base.vocabulary.encode(subject);
        let bad = |problem: String| KgError::Input {
            file: "change".into(),
            problem,
        };
        let is_subject = match self.subjects.get(&tokens) {
            Some(facts) => !facts.is_empty(),
            None => base.facts.find(&[&tokens, &[SEP][..]].concat())?.is_some(),
        };
        if added && !is_subject {
            return Err(bad(format!(
                "the graph has no subject `{subject}`; an alias is of a subject, without its sense in brackets"
            )));
        }
        let name = compared(base.vocabulary, alias);
        if name.is_empty() {
            return Err(bad(format!(
                "the alias `{alias}` has nothing but punctuation; expected words"
            )));
        }
        // The alias is only another spelling of the name.
        if name == compared(base.vocabulary, subject) {
            return Ok(());
        }
        let key = (name, tokens);
        let is_there = match (self.aliases.get(&key), base.spellings) {
            (Some(&added), _) => added,
            (None, Some(spellings)) => spellings.has(&key.0, &key.1)?,
            (None, None) => false,
        };
        if is_there != added {
            let before = self.aliases.insert(key.clone(), added);
            undo.push(Undo::Alias { key, before });
        }
        Ok(())
    }

    pub fn pin(&mut self, question: &str, target: Option<(String, String)>, undo: &mut Vec<Undo>) {
        let question = normalise(question);
        if self.pins.get(&question) == target.as_ref() {
            return;
        }
        let before = match target {
            Some(target) => self.pins.insert(question.clone(), target),
            None => self.pins.remove(&question),
        };
        undo.push(Undo::Pin { question, before });
    }
}

fn changed_record(record: Record) -> ChangedRecord {
    ChangedRecord {
        spelling: record.spelling,
        objects: record.objects.iter().map(String::as_str).collect(),
    }
}

/// Normalises a question for pins: half-width, lower case, single spaces, no punctuation at the end.
pub(crate) fn normalise(question: &str) -> String {
    let folded: String = question
        .chars()
        .map(|character| match character {
            '\u{3000}' => ' ',
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(character as u32 - 0xfee0).unwrap_or(character),
            other => other,
        })
        .flat_map(char::to_lowercase)
        .collect();
    let trimmed = folded.trim_end_matches(|character: char| {
        character.is_whitespace() || matches!(character, '?' | '.' | '!' | '。' | '…' | ',' | '、' | ';')
    });
    trimmed.split_whitespace().collect::<Vec<_>>().join(" ")
}
