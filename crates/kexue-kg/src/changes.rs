//! What the changes of a log amount to, applied one after the other.

use crate::error::KgError;
use crate::inverse::inverse_relation;
use crate::log::Change;
use crate::objects::{LastBlock, Objects, Record, Records};
use crate::ordered::OrderedSet;
use crate::sense::split_sense;
use kexue_text::{SEP, Token, Vocabulary};
use kexue_trie::{ChangedSubject, Error, FactIndex, FactOrder, Key, MergedIndex, PrefixIndex};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The facts of a subject: what follows its separator in a key, and the record.
pub(crate) type Facts = BTreeMap<Vec<Token>, Stored>;

/// A record of a fact that has changed, or where it stands in the file.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    Base(Key),
    Changed(ChangedRecord),
}

/// The record of a fact that has changed.
#[derive(Clone, Debug)]
pub(crate) struct ChangedRecord {
    /// Subject, relation and sense as they are written, where the tokens do not say.
    spelling: Option<[String; 3]>,
    objects: OrderedSet,
}

impl ChangedRecord {
    pub fn to_record(&self) -> Record {
        Record {
            spelling: self.spelling.clone(),
            objects: self.objects.iter().map(str::to_owned).collect(),
        }
    }
}

/// The changes of a graph. Each is made by itself, so that many cost so many times one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    pub subjects: BTreeMap<Vec<Token>, Facts>,
    /// The facts that questions are pinned to, by normalised question: subject with its sense, and relation.
    pub pins: BTreeMap<String, (String, String)>,
    /// How many were read from the log, and bytes of one behind them that was never finished.
    pub count: u64,
    pub unfinished: u64,
}

/// What the changes are applied to.
pub(crate) struct Base<'a> {
    pub facts: &'a FactIndex,
    pub objects: &'a Objects,
    pub vocabulary: &'a Vocabulary,
    /// Many changes ask for records that stand beside each other.
    pub last_block: RefCell<LastBlock>,
    /// Whether facts stand in both directions, and change in both.
    pub inverse: bool,
    /// How many subjects may change.
    pub most_subjects: usize,
}

impl Base<'_> {
    fn record(&self, key: Key) -> Result<Record, Error> {
        self.last_block.borrow_mut().record(self.objects, key)
    }

    /// Whether texts that differ in the case of ASCII letters have the same key.
    fn folds(&self) -> bool {
        self.vocabulary.folds_case()
    }

    /// Relation and sense, of what follows the subject's separator in a key.
    fn relation_and_sense<'k>(&self, key: &'k [Token]) -> (&'k [Token], &'k [Token]) {
        let mut parts = key.split(|&token| token == SEP);
        let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match self.facts.order() {
            FactOrder::SubjectRelationSense => (first, second),
            FactOrder::SubjectSenseRelation => (second, first),
        }
    }
}

/// A fact, by its names.
struct Target<'n> {
    name: &'n str,
    sense: &'n str,
    relation: &'n str,
    subject: Vec<Token>,
    key: Vec<Token>,
}

impl<'n> Target<'n> {
    fn new(base: &Base<'_>, subject: &'n str, relation: &'n str) -> Self {
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
    fn record(&self, base: &Base<'_>, objects: OrderedSet) -> ChangedRecord {
        let names = [self.name, self.relation, self.sense];
        let mut bytes = names.iter().flat_map(|name| name.bytes());
        let respelt = base.folds() && bytes.any(|byte| byte.is_ascii_uppercase());
        ChangedRecord {
            spelling: respelt.then(|| names.map(str::to_owned)),
            objects,
        }
    }
}

/// How a change is taken back.
#[derive(Debug)]
pub(crate) enum Undo {
    /// The subject was read from the index.
    Loaded { subject: Vec<Token> },
    /// The fact was this before, or was not there.
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
    /// The question was pinned to this before, or to nothing.
    Pin {
        question: String,
        before: Option<(String, String)>,
    },
}

impl Changes {
    /// Applies a change; false where it changes nothing. What was done stands in `undo`, also where an error follows.
    pub fn apply(&mut self, base: &Base<'_>, change: &Change, undo: &mut Vec<Undo>) -> Result<bool, KgError> {
        let before = undo.len();
        match change {
            Change::Add {
                subject,
                relation,
                object,
            } => {
                self.add(base, [subject, relation, object], false, undo)?;
                if base.inverse {
                    let back = inverse_relation(relation);
                    self.add(base, [object, &back, subject], base.folds(), undo)?;
                }
            }
            Change::Replace {
                subject,
                relation,
                objects,
            } => self.replace(base, subject, relation, objects, undo)?,
            Change::Remove {
                subject,
                relation: Some(relation),
                object: Some(object),
            } => self.remove(base, [subject, relation, object], undo)?,
            Change::Remove {
                subject,
                relation: Some(relation),
                object: None,
            } => self.remove_fact(base, subject, relation, undo)?,
            Change::Remove { subject, .. } => self.remove_subject(base, subject, undo)?,
            Change::Pin {
                question,
                subject,
                relation,
            } => self.pin(question, Some((subject.clone(), relation.clone())), undo),
            Change::Unpin { question } => self.pin(question, None, undo),
        }
        Ok(undo.len() > before)
    }

    /// Takes back what was done.
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
                Undo::Pin { question, before } => drop(match before {
                    Some(target) => self.pins.insert(question, target),
                    None => self.pins.remove(&question),
                }),
            }
        }
    }

    /// The index with the changes over it.
    pub fn merge(&self, base: &FactIndex) -> Result<MergedIndex, Error> {
        let changed = self
            .subjects
            .iter()
            .map(|(subject, facts)| ChangedSubject {
                subject: subject.clone(),
                keys: facts.keys().cloned().collect(),
            })
            .collect();
        MergedIndex::new(base.clone(), changed)
    }

    fn changed(&mut self, subject: &[Token], key: &[Token]) -> Option<&mut ChangedRecord> {
        match self.subjects.get_mut(subject)?.get_mut(key)? {
            Stored::Changed(record) => Some(record),
            Stored::Base(_) => None,
        }
    }

    /// Where a fact stands: with what was changed, in the file, or nowhere.
    fn find(&self, base: &Base<'_>, target: &Target<'_>) -> Result<Option<Result<&ChangedRecord, Key>>, KgError> {
        match self.subjects.get(&target.subject) {
            Some(facts) => Ok(facts.get(&target.key).map(|stored| match stored {
                Stored::Changed(record) => Ok(record),
                Stored::Base(key) => Err(*key),
            })),
            None => {
                let tokens = [&target.subject, &[SEP][..], &target.key].concat();
                Ok(base.facts.get(&tokens)?.map(Err))
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
                    facts.insert(tokens.to_vec(), Stored::Base(key));
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

    /// Makes a fact what is given, or takes it away.
    fn set(
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

    /// Makes the record of a fact of the file one that can be changed; false where there is no such fact.
    fn prepare(&mut self, base: &Base<'_>, target: &Target<'_>, undo: &mut Vec<Undo>) -> Result<bool, KgError> {
        match self.find(base, target)? {
            None => Ok(false),
            Some(Ok(_)) => Ok(true),
            Some(Err(key)) => {
                let record = changed_record(base.record(key)?);
                self.set(base, &target.subject, &target.key, Some(record), undo)?;
                Ok(true)
            }
        }
    }

    /// Whether a fact has an object, or with `fold_case` one that differs from it in the case of ASCII letters.
    fn has(&self, base: &Base<'_>, target: &Target<'_>, object: &str, fold_case: bool) -> Result<bool, KgError> {
        Ok(match self.find(base, target)? {
            None => false,
            Some(Ok(record)) => record.objects.place(object, fold_case).is_some(),
            Some(Err(key)) => base.record(key)?.objects.iter().any(|other| match fold_case {
                true => other.eq_ignore_ascii_case(object),
                false => other == object,
            }),
        })
    }

    /// Adds an object; with `fold_case`, unless one is there that differs in the case of ASCII letters only: a subject that is found as this one.
    fn add(
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

    /// Removes an object, or with `fold_case` all that differ from it in the case of ASCII letters, and the fact with its last one; false where
    /// there is none.
    fn take(
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

    /// Removes a triple, in both directions where the graph has both.
    fn remove(
        &mut self,
        base: &Base<'_>,
        [subject, relation, object]: [&str; 3],
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        let target = Target::new(base, subject, relation);
        let taken = self.take(base, &target, object, false, undo)?;
        // One way leads back from all spellings of an object.
        if taken && base.inverse && !self.has(base, &target, object, base.folds())? {
            self.remove_back(base, [subject, relation, object], undo)?;
        }
        Ok(())
    }

    /// Removes what leads back from the object of a triple that is gone, in whatever case.
    fn remove_back(
        &mut self,
        base: &Base<'_>,
        [subject, relation, object]: [&str; 3],
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        let back = inverse_relation(relation);
        self.take(base, &Target::new(base, object, &back), subject, base.folds(), undo)?;
        Ok(())
    }

    /// Does so for many triples of a subject: relations with their objects.
    fn remove_all_back(
        &mut self,
        base: &Base<'_>,
        subject: &str,
        mut gone: Vec<(String, String)>,
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        // What stands beside each other in the file is read with one another.
        gone.sort_by_cached_key(|(_, object)| base.vocabulary.encode(split_sense(object).0));
        for (relation, object) in &gone {
            self.remove_back(base, [subject, relation, object], undo)?;
        }
        Ok(())
    }

    fn objects(&self, base: &Base<'_>, target: &Target<'_>) -> Result<Option<ChangedRecord>, KgError> {
        Ok(match self.find(base, target)? {
            None => None,
            Some(Ok(record)) => Some(record.clone()),
            Some(Err(key)) => Some(changed_record(base.record(key)?)),
        })
    }

    /// Removes a fact with all its objects.
    fn remove_fact(
        &mut self,
        base: &Base<'_>,
        subject: &str,
        relation: &str,
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        let target = Target::new(base, subject, relation);
        let key = match self.find(base, &target)? {
            None => return Ok(()),
            Some(Ok(_)) => None,
            Some(Err(key)) => Some(key),
        };
        self.remove_facts(base, subject, vec![(target.key, key)], undo)
    }

    /// Removes all facts of a subject in its sense.
    fn remove_subject(&mut self, base: &Base<'_>, subject: &str, undo: &mut Vec<Undo>) -> Result<(), KgError> {
        let target = Target::new(base, subject, "");
        let (_, sense) = base.relation_and_sense(&target.key);
        let mut found = Vec::new();
        match self.subjects.get(&target.subject) {
            Some(facts) => {
                for (key, stored) in facts {
                    let place = match stored {
                        Stored::Base(key) => Some(*key),
                        Stored::Changed(_) => None,
                    };
                    found.push((key.clone(), place));
                }
            }
            None => {
                if let Some(at) = base.facts.find(&[&target.subject, &[SEP][..]].concat())? {
                    base.facts.completions(at, &mut |key, place| {
                        found.push((key.to_vec(), Some(place)));
                        ControlFlow::Continue(())
                    })?;
                }
            }
        }
        found.retain(|(key, _)| base.relation_and_sense(key).1 == sense);
        self.remove_facts(base, subject, found, undo)
    }

    /// Removes facts of a subject in its sense, by their rising keys behind the subject, with their place in the file where they have not changed.
    fn remove_facts(
        &mut self,
        base: &Base<'_>,
        subject: &str,
        facts: Vec<(Vec<Token>, Option<Key>)>,
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        let tokens = base.vocabulary.encode(split_sense(subject).0);
        let mut gone = Vec::new();
        // Nothing but the ways back needs the objects.
        if base.inverse {
            let mut records = Records::new(base.objects);
            for (key, place) in &facts {
                let relation = base.vocabulary.decode(base.relation_and_sense(key).0);
                let mut back = |object: &str| gone.push((relation.clone(), object.to_owned()));
                match place {
                    Some(place) => records.take(*place)?.objects.iter().for_each(|object| back(object)),
                    None => (self.changed(&tokens, key).iter())
                        .flat_map(|record| record.objects.iter())
                        .for_each(&mut back),
                }
            }
        }
        for (key, _) in &facts {
            self.set(base, &tokens, key, None, undo)?;
        }
        self.remove_all_back(base, subject, gone, undo)
    }

    /// Gives a fact other objects. Of the facts that lead back, those of objects that stay are not touched.
    fn replace(
        &mut self,
        base: &Base<'_>,
        subject: &str,
        relation: &str,
        objects: &[String],
        undo: &mut Vec<Undo>,
    ) -> Result<(), KgError> {
        if objects.is_empty() {
            return self.remove_fact(base, subject, relation, undo);
        }
        let target = Target::new(base, subject, relation);
        let after = target.record(base, objects.iter().map(String::as_str).collect());
        let before = self.objects(base, &target)?;
        let same = before
            .as_ref()
            .is_some_and(|before| before.spelling == after.spelling && before.objects.iter().eq(after.objects.iter()));
        let new = after.objects.clone();
        if !same {
            self.set(base, &target.subject, &target.key, Some(after), undo)?;
        }
        if base.inverse {
            let gone = (before.iter().flat_map(|before| before.objects.iter()))
                .filter(|object| new.place(object, base.folds()).is_none())
                .map(|object| (relation.to_owned(), object.to_owned()))
                .collect();
            self.remove_all_back(base, subject, gone, undo)?;
            let back = inverse_relation(relation);
            for object in new.iter() {
                self.add(base, [object, &back, subject], base.folds(), undo)?;
            }
        }
        Ok(())
    }

    fn pin(&mut self, question: &str, target: Option<(String, String)>, undo: &mut Vec<Undo>) {
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

/// A question as pins compare it: half-width, lower case, single spaces, without punctuation at the end.
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
