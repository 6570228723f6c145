//! Changing a graph without building its index again.

use crate::build::BuildOptions;
use crate::disk;
use crate::log::{Change, LogWriter, lock, log_path, read_log};
use crate::objects::{Objects, Record};
use crate::{BuildReport, Fact, GraphBuilder, KgError, KnowledgeGraph, split_sense};
use kexue_text::{SEP, Token, Vocabulary};
use kexue_trie::{ChangedSubject, Container, Error, FactIndex, Key, MergedIndex, Order, PrefixIndex};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// The facts of a subject: what follows its separator in a key, and the record.
type Facts = BTreeMap<Vec<Token>, Stored>;

/// A record of a fact that has changed, or where it stands in the file.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    Base(Key),
    Changed(Record),
}

/// What the changes of a log amount to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    pub subjects: BTreeMap<Vec<Token>, Facts>,
    /// The facts that questions are pinned to, by normalised question: subject with its sense, and relation.
    pub pins: BTreeMap<String, (String, String)>,
}

/// What the changes are applied to.
pub(crate) struct Base<'a> {
    pub facts: &'a FactIndex,
    pub objects: &'a Objects,
    pub vocabulary: &'a Vocabulary,
}

impl Base<'_> {
    fn key(&self, subject_sense: Option<&str>, relation: &str) -> Vec<Token> {
        let relation = self.vocabulary.encode(relation);
        let sense = self.vocabulary.encode(subject_sense.unwrap_or_default());
        let (first, second) = match self.facts.order() {
            Order::SubjectRelationSense => (relation, sense),
            Order::SubjectSenseRelation => (sense, relation),
        };
        [first, vec![SEP], second, vec![SEP]].concat()
    }

    fn load(&self, subject: &[Token]) -> Result<Facts, KgError> {
        let mut facts = Facts::new();
        if let Some(at) = self.facts.find(&[subject, &[SEP]].concat())? {
            self.facts.completions(at, &mut |tokens, key| {
                facts.insert(tokens.to_vec(), Stored::Base(key));
                ControlFlow::Continue(())
            })?;
        }
        Ok(facts)
    }

    fn record(&self, stored: &Stored) -> Result<Record, KgError> {
        match stored {
            Stored::Base(key) => Ok(self.objects.record(*key)?),
            Stored::Changed(record) => Ok(record.clone()),
        }
    }
}

impl Changes {
    /// Applies a change; false where it changes nothing.
    pub fn apply(&mut self, base: &Base<'_>, change: &Change) -> Result<bool, KgError> {
        let (subject, relation) = match change {
            Change::Pin {
                question,
                subject,
                relation,
            } => {
                let target = (subject.clone(), relation.clone());
                return Ok(self.pins.insert(normalise(question), target.clone()) != Some(target));
            }
            Change::Unpin { question } => return Ok(self.pins.remove(&normalise(question)).is_some()),
            Change::Add { subject, relation, .. } | Change::Replace { subject, relation, .. } => {
                (subject, Some(relation))
            }
            Change::Remove { subject, relation, .. } => (subject, relation.as_ref()),
        };
        let (name, sense) = split_sense(subject);
        let tokens = base.vocabulary.encode(name);
        let facts = match self.subjects.get_mut(&tokens) {
            Some(facts) => facts,
            None => self.subjects.entry(tokens.clone()).or_insert(base.load(&tokens)?),
        };
        let Some(relation) = relation else {
            let part = base.vocabulary.encode(sense.unwrap_or_default());
            let order = base.facts.order();
            let before = facts.len();
            facts.retain(|key, _| {
                let mut parts = key.split(|&token| token == SEP);
                let own = match order {
                    Order::SubjectRelationSense => parts.nth(1),
                    Order::SubjectSenseRelation => parts.next(),
                };
                own != Some(&part)
            });
            return Ok(facts.len() < before);
        };
        let key = base.key(sense, relation);
        let spelling = || {
            let sense = sense.unwrap_or_default();
            let names = [name, relation, sense];
            (base.vocabulary.folds_case()
                && names
                    .iter()
                    .any(|name| name.bytes().any(|byte| byte.is_ascii_uppercase())))
            .then(|| names.map(str::to_owned))
        };
        match change {
            Change::Add { object, .. } => {
                let mut record = match facts.get(&key) {
                    Some(stored) => base.record(stored)?,
                    None => Record {
                        spelling: spelling(),
                        objects: Vec::new(),
                    },
                };
                if record.objects.contains(object) {
                    return Ok(false);
                }
                record.objects.push(object.clone());
                facts.insert(key, Stored::Changed(record));
                Ok(true)
            }
            Change::Replace { objects, .. } => {
                let mut distinct: Vec<String> = Vec::new();
                for object in objects {
                    if !distinct.contains(object) {
                        distinct.push(object.clone());
                    }
                }
                if distinct.is_empty() {
                    return Ok(facts.remove(&key).is_some());
                }
                let record = Record {
                    spelling: spelling(),
                    objects: distinct,
                };
                if let Some(stored) = facts.get(&key)
                    && base.record(stored)? == record
                {
                    return Ok(false);
                }
                facts.insert(key, Stored::Changed(record));
                Ok(true)
            }
            Change::Remove {
                object: Some(object), ..
            } => {
                let Some(stored) = facts.get(&key) else {
                    return Ok(false);
                };
                let mut record = base.record(stored)?;
                let before = record.objects.len();
                record.objects.retain(|other| other != object);
                let changed = record.objects.len() < before;
                if record.objects.is_empty() {
                    facts.remove(&key);
                } else if changed {
                    facts.insert(key, Stored::Changed(record));
                }
                Ok(changed)
            }
            _ => Ok(facts.remove(&key).is_some()),
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

/// What identifies the file of an index: the checksum of its header.
pub(crate) fn identity(container: &Container) -> u64 {
    container.identity()
}

/// Section of the pins, folded in by [`GraphWriter::compact`].
pub(crate) const PINS: &str = "pins";
/// Section with the identity of the index whose log was folded in.
pub(crate) const FOLDED: &str = "folded";

/// Reads the changes that belong to an index file, those folded in and those of its log.
pub(crate) fn changes_of(path: Option<&Path>, container: &Container, base: &Base<'_>) -> Result<Changes, KgError> {
    let mut changes = Changes::default();
    if let Some(pins) = container.find(PINS) {
        changes.pins =
            serde_json::from_slice(&pins).map_err(|error| Error::Damaged(format!("section `{PINS}`: {error}")))?;
    }
    let Some(path) = path else {
        return Ok(changes);
    };
    let Some(log) = read_log(path)? else {
        return Ok(changes);
    };
    if log.identity == identity(container) {
        for change in &log.changes {
            changes.apply(base, change)?;
        }
    } else if container.find(FOLDED).as_deref() != Some(&log.identity.to_le_bytes()) && !log.changes.is_empty() {
        return Err(KgError::Input {
            file: log_path(path).display().to_string(),
            problem: format!(
                "these are changes to another index than {}; restore that one, or move the log away",
                path.display()
            ),
        });
    }
    Ok(changes)
}

/// The one writer of a graph: changes it while others read.
///
/// Readers see a change when they open the graph or [refresh](KnowledgeGraph::refresh) it.
#[derive(Debug)]
pub struct GraphWriter {
    path: PathBuf,
    graph: KnowledgeGraph,
    changes: Changes,
    log: LogWriter,
}

impl GraphWriter {
    /// Opens an index for changes.
    ///
    /// # Errors
    /// When another writer has it open, or as [`KnowledgeGraph::open`].
    pub fn open(path: &Path) -> Result<Self, KgError> {
        let lock = lock(path)?;
        let graph = KnowledgeGraph::open(path)?;
        let changes = changes_of(Some(path), graph.container(), &graph.base())?;
        let log = LogWriter::open(path, identity(graph.container()), lock)?;
        Ok(Self {
            path: path.to_path_buf(),
            graph,
            changes,
            log,
        })
    }

    /// Makes a change. When this returns, it is on disk; false where there was nothing to change, such as a fact to remove that is not there.
    /// Inverse facts are facts as others are, and not changed with it.
    ///
    /// # Errors
    /// When a name is empty or too long, or the log cannot be written.
    pub fn apply(&mut self, change: &Change) -> Result<bool, KgError> {
        check(change)?;
        let mut changes = self.changes.clone();
        if !changes.apply(&self.graph.base(), change)? {
            return Ok(false);
        }
        self.log.append(change)?;
        self.changes = changes;
        Ok(true)
    }

    /// Folds the changes into the index, which appears by rename with the same vocabulary, and empties the log.
    ///
    /// # Errors
    /// When the graph would be left without facts, or a file cannot be written.
    pub fn compact(self) -> Result<BuildReport, KgError> {
        let graph = KnowledgeGraph::open(&self.path)?;
        let mut builder = GraphBuilder::new(BuildOptions {
            order: graph.order(),
            vocabulary: Some(graph.vocabulary().clone()),
            temporary: self.path.parent().map(Path::to_path_buf),
            ..BuildOptions::default()
        });
        for key in 0..graph.index().len() {
            let Fact {
                subject,
                sense,
                relation,
                objects,
            } = graph.fact(key)?;
            for object in objects {
                builder.add_fact(&subject, sense.as_deref(), &relation, &object)?;
            }
        }
        let old = identity(graph.container());
        let pins = serde_json::to_vec(&self.changes.pins).map_err(|error| KgError::io(&self.path)(error.into()))?;
        builder.attach(PINS, pins);
        builder.attach(FOLDED, old.to_le_bytes().to_vec());
        let report = builder.finish(&self.path)?;
        // Killed here, the log is known by its identity as folded in.
        let log = log_path(&self.path);
        disk::remove(&log).map_err(KgError::io(&log))?;
        Ok(report)
    }
}

fn check(change: &Change) -> Result<(), KgError> {
    let bad = |problem: String| KgError::Input {
        file: "change".into(),
        problem,
    };
    let fields: Vec<(&str, &str)> = match change {
        Change::Add {
            subject,
            relation,
            object,
        } => vec![("subject", subject), ("relation", relation), ("object", object)],
        Change::Replace {
            subject,
            relation,
            objects,
        } => [("subject", subject.as_str()), ("relation", relation)]
            .into_iter()
            .chain(objects.iter().map(|object| ("object", object.as_str())))
            .collect(),
        Change::Remove {
            subject,
            relation,
            object,
        } => {
            if relation.is_none() && object.is_some() {
                return Err(bad("an object to remove needs its relation".into()));
            }
            [
                ("subject", Some(subject)),
                ("relation", relation.as_ref()),
                ("object", object.as_ref()),
            ]
            .into_iter()
            .filter_map(|(field, text)| text.map(|text| (field, text.as_str())))
            .collect()
        }
        Change::Pin {
            question,
            subject,
            relation,
        } => vec![("question", question), ("subject", subject), ("relation", relation)],
        Change::Unpin { question } => vec![("question", question)],
    };
    for (field, text) in fields {
        if text.is_empty() {
            return Err(bad(format!("the {field} is empty")));
        }
        if text.len() > crate::import::LONGEST {
            return Err(bad(format!(
                "the {field} has {} bytes; expected at most {}",
                text.len(),
                crate::import::LONGEST
            )));
        }
    }
    Ok(())
}
