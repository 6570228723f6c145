//! An open knowledge graph.

use crate::changes::{Base, Changes, Stored, normalise};
use crate::error::KgError;
use crate::file_kind::not_an_index;
use crate::objects::{Objects, Record, Records};
use crate::options::BuildReport;
use crate::replay::changes_of;
use crate::sections::INVERSE;
use crate::sense::{join_sense, split_sense};
use crate::spellings::{Spellings, compared};
use kexue_output::real_path;
use kexue_text::{SEP, Token, Vocabulary};
use kexue_trie::{Bytes, Container, Error, FactIndex, FactOrder, Handle, Key, MergedIndex, Origin, PrefixIndex};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

/// How often opening is retried if the file is replaced meanwhile.
const ATTEMPTS: usize = 10;

/// The number of bytes that identify a file.
const HEADER: u64 = 64;

/// A fact of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The subject, without its sense.
    pub subject: String,
    /// The sense of the subject, if it has one.
    pub sense: Option<String>,
    /// The relation.
    pub relation: String,
    /// All objects, in the order of the input.
    pub objects: Vec<String>,
}

impl Fact {
    /// The subject with its sense in full-width brackets, as it is written in triples and in changes.
    pub fn full_subject(&self) -> String {
        join_sense(&self.subject, self.sense.as_deref())
    }
}

/// An open knowledge graph.
///
/// The keys of its [prefix index](Self::index) are `subject [SEP] relation [SEP] sense [SEP]`; without a sense, two separators follow each
/// other.
#[derive(Debug)]
pub struct KnowledgeGraph {
    container: Container,
    vocabulary: Vocabulary,
    index: MergedIndex,
    objects: Objects,
    changes: Changes,
    is_changed: bool,
    spellings: Option<Spellings>,
    /// Normalised names that are not in the file, with their subjects: aliases, and subjects that were added.
    names: BTreeSet<(Vec<Token>, Vec<Token>)>,
    path: Option<PathBuf>,
}

/// Whether the file of this name still begins with these bytes. The header has a checksum of the whole table of sections.
fn is_still(path: &Path, bytes: &[u8]) -> Result<bool, KgError> {
    let mut header = Vec::new();
    let file = File::open(path).map_err(KgError::io(path))?;
    file.take(HEADER).read_to_end(&mut header).map_err(KgError::io(path))?;
    Ok(bytes.get(..bytes.len().min(HEADER as usize)) == Some(&header))
}

impl KnowledgeGraph {
    /// Opens an index file by mapping it into memory, with the changes of the log beside it. The time does not depend on the size of the index,
    /// but grows with the log. A symbolic link is followed to the file, and the log is beside that file.
    ///
    /// # Errors
    /// If the file cannot be read, is not an index, has a damaged header, or is replaced repeatedly while it is opened.
    pub fn open(path: &Path) -> Result<Self, KgError> {
        Self::open_slowly(path, &mut || {})
    }

    /// Opens an index file. Calls `between` after the file is mapped and before its log is read.
    fn open_slowly(path: &Path, between: &mut dyn FnMut()) -> Result<Self, KgError> {
        let real = real_path(path);
        // A compaction may replace the index and remove the log between these two reads.
        for _ in 0..ATTEMPTS {
            let file = File::open(&real).map_err(KgError::io(&real))?;
            let bytes = Bytes::map(&file).map_err(KgError::io(&real))?;
            between();
            let opened = Self::assemble(bytes.clone(), Some(&real));
            if is_still(&real, &bytes)? {
                let mut graph = opened.map_err(|error| match error {
                    KgError::Index(Error::NotAnIndex) => not_an_index(&real, &bytes),
                    KgError::Index(source) => KgError::File { path: real, source },
                    other => other,
                })?;
                // A link may point elsewhere when the graph is refreshed.
                graph.path = Some(path.to_path_buf());
                return Ok(graph);
            }
        }
        Err(KgError::Busy {
            path: path.to_path_buf(),
        })
    }

    /// Opens an index in memory: owned bytes, or static bytes of the program.
    ///
    /// # Errors
    /// If the bytes are not an index, or its header is damaged.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, KgError> {
        Self::assemble(bytes.into(), None)
    }

    fn assemble(bytes: Bytes, path: Option<&Path>) -> Result<Self, KgError> {
        let container = Container::open(bytes)?;
        let vocabulary = container.section("vocabulary")?;
        let vocabulary = std::str::from_utf8(&vocabulary)
            .map_err(|_| Error::Damaged("the vocabulary is not UTF-8".into()))
            .and_then(|text| Vocabulary::from_text(text).map_err(|error| Error::Damaged(error.to_string())))?;
        let facts = FactIndex::open(&container)?;
        let objects = Objects::open(&container)?;
        let spellings = Spellings::open(&container)?;
        let base = Base::new(&facts, &objects, &vocabulary, container.find(INVERSE).is_some()).with(spellings.as_ref());
        let changes = changes_of(path, &container, &base)?;
        Ok(Self {
            index: changes.merge(&facts)?,
            names: changes.names(&vocabulary),
            is_changed: !changes.subjects.is_empty() || !changes.pruned.is_empty(),
            spellings,
            vocabulary,
            objects,
            changes,
            container,
            path: None,
        })
    }

    /// The vocabulary of the keys, which is part of the index.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The order of the parts of a key.
    pub fn order(&self) -> FactOrder {
        self.index.base().order()
    }

    /// The prefix index of the keys, with the changes since it was built.
    pub fn index(&self) -> &dyn PrefixIndex {
        &self.index
    }

    /// The packed index in the file, without the changes since it was built.
    pub fn facts(&self) -> &FactIndex {
        self.index.base()
    }

    /// The number of changes in the log, and of subjects whose facts they have changed.
    pub fn changes(&self) -> (u64, u64) {
        (self.changes.count, self.changes.subjects.len() as u64)
    }

    /// The number of keys that large removals have removed from the file. Their subjects do not count as [changed](Self::changes).
    pub fn pruned(&self) -> u64 {
        self.changes.pruned.len()
    }

    /// The number of bytes at the end of the log that were ignored, since they are an unfinished change.
    pub fn unfinished(&self) -> u64 {
        self.changes.unfinished
    }

    /// The file's sections.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// The counts of the build.
    ///
    /// # Errors
    /// If that part of the file is damaged.
    pub fn report(&self) -> Result<BuildReport, KgError> {
        let bytes = self.container.section("report")?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Damaged(format!("section `report`: {error}")).into())
    }

    /// Whether the graph has the inverse of each fact, with its [inverse relation](crate::inverse_relation), and changes both together. It does if
    /// the index was built with [`BuildOptions::inverse`](crate::BuildOptions::inverse).
    pub fn has_inverse(&self) -> bool {
        self.container.find(INVERSE).is_some()
    }

    /// The fact of a key.
    ///
    /// # Errors
    /// If there is no such key or the index is damaged.
    pub fn fact(&self, key: Key) -> Result<Fact, KgError> {
        self.fact_by(key, &mut |key| self.objects.record(key))
    }

    /// Visits the facts of keys. If the keys ascend, each block of objects is unpacked only once.
    ///
    /// # Errors
    /// If there is no such key or the index is damaged.
    pub fn visit_keys(&self, keys: &[Key], visit: &mut dyn FnMut(Key, Fact) -> ControlFlow<()>) -> Result<(), KgError> {
        let mut records = Records::new(&self.objects);
        for &key in keys {
            if visit(key, self.fact_by(key, &mut |key| records.take(key))?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The fact of a key; `read` reads the record of a key of the file.
    fn fact_by(&self, key: Key, read: &mut dyn FnMut(Key) -> Result<Record, Error>) -> Result<Fact, KgError> {
        match self.index.origin(key) {
            Origin::Base(key) => {
                let (mut subject, mut relation, mut sense) = (Vec::new(), Vec::new(), Vec::new());
                self.facts().fact(key, &mut subject, &mut relation, &mut sense)?;
                Ok(self.written(subject, relation, sense, self.kept(key, read(key)?)))
            }
            Origin::Changed { subject, rest } => Ok(self.spell(subject, rest, self.changed(subject, rest, read)?)),
        }
    }

    /// The record of a fact of the file, without objects that were removed since.
    fn kept(&self, key: Key, record: Record) -> Record {
        self.changes.without_lost(key, record, self.vocabulary.folds_case())
    }

    /// The record of a fact of a changed subject, given the part of its key after the subject's separator.
    fn changed(
        &self,
        subject: &[Token],
        rest: &[Token],
        read: &mut dyn FnMut(Key) -> Result<Record, Error>,
    ) -> Result<Record, Error> {
        match self.changes.subjects.get(subject).and_then(|facts| facts.get(rest)) {
            Some(Stored::Base(key)) => Ok(self.kept(*key, read(*key)?)),
            Some(Stored::Changed(record)) => Ok(record.to_record()),
            None => Err(Error::Damaged("a changed fact is not where it was".into())),
        }
    }

    /// Visits every fact with its key, in the order of the keys. Each block of objects is unpacked once, so this is much faster than calling
    /// [`fact`](Self::fact) for each key.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn visit_facts(&self, visit: &mut dyn FnMut(Key, Fact) -> ControlFlow<()>) -> Result<(), KgError> {
        let mut records = Records::new(&self.objects);
        let mut record_of = |key: Key, subject: &[Token], rest: &[Token]| match self.index.origin(key) {
            Origin::Base(key) => Ok(self.kept(key, records.take(key)?)),
            Origin::Changed { .. } => self.changed(subject, rest, &mut |key| records.take(key)),
        };
        let mut failed = None;
        self.index.completions(self.index.root(), &mut |tokens, key| {
            let end = tokens.iter().position(|&token| token == SEP).unwrap_or(tokens.len());
            let (subject, rest) = (&tokens[..end], tokens.get(end + 1..).unwrap_or_default());
            match record_of(key, subject, rest) {
                Ok(record) => visit(key, self.spell(subject, rest, record)),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The fact of a subject, given the part of its key after the subject's separator.
    fn spell(&self, subject: &[Token], rest: &[Token], record: Record) -> Fact {
        let mut parts = rest.split(|&token| token == SEP).map(<[Token]>::to_vec);
        let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (relation, sense) = match self.order() {
            FactOrder::SubjectRelationSense => (first, second),
            FactOrder::SubjectSenseRelation => (second, first),
        };
        self.written(subject.to_vec(), relation, sense, record)
    }

    fn written(&self, subject: Vec<Token>, relation: Vec<Token>, sense: Vec<Token>, record: Record) -> Fact {
        let [subject, relation, sense] = record
            .spelling
            .unwrap_or_else(|| [subject, relation, sense].map(|tokens| self.vocabulary.decode(&tokens)));
        Fact {
            subject,
            sense: Some(sense).filter(|sense| !sense.is_empty()),
            relation,
            objects: record.objects,
        }
    }

    pub(crate) fn base(&self) -> Base<'_> {
        Base::new(self.facts(), &self.objects, &self.vocabulary, self.has_inverse()).with(self.spellings.as_ref())
    }

    pub(crate) fn spellings(&self) -> Option<&Spellings> {
        self.spellings.as_ref()
    }

    /// The index with its changes, if there are any.
    pub(crate) fn changed_index(&self) -> Option<&MergedIndex> {
        self.is_changed.then_some(&self.index)
    }

    /// Normalised names that are not in the file, with their subjects.
    pub(crate) fn names_beside(&self) -> &BTreeSet<(Vec<Token>, Vec<Token>)> {
        &self.names
    }

    /// Whether an alias of the file has not been removed since.
    pub(crate) fn keeps_alias(&self, compared: &[Token], subject: &[Token]) -> bool {
        let aliases = &self.changes.aliases;
        aliases.is_empty() || aliases.get(&(compared.to_vec(), subject.to_vec())) != Some(&false)
    }

    /// Visits every alias, in normalised form, with its subject.
    ///
    /// # Errors
    /// If the index is damaged.
    pub(crate) fn visit_aliases(
        &self,
        visit: &mut dyn FnMut(&str, &str) -> Result<(), KgError>,
    ) -> Result<(), KgError> {
        let mut aliases = Vec::new();
        if let Some(spellings) = &self.spellings {
            spellings.visit(&mut |compared, subject| {
                if self.keeps_alias(compared, subject) {
                    aliases.push((compared.to_vec(), subject.to_vec()));
                }
            })?;
        }
        let added = self.changes.aliases.iter().filter(|(_, added)| **added);
        aliases.extend(added.map(|(key, _)| key.clone()));
        for (alias, subject) in aliases {
            let subject = self.vocabulary.decode(&subject);
            if compared(&self.vocabulary, &subject) != alias {
                visit(&self.vocabulary.decode(&alias), &subject)?;
            }
        }
        Ok(())
    }

    /// Takes the changes out of the graph.
    pub(crate) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Reads the changes that others have made since the graph was opened, or a new index that replaced the old one. Earlier handles and keys
    /// become invalid.
    ///
    /// # Errors
    /// As [`open`](Self::open). The graph is then unchanged.
    pub fn refresh(&mut self) -> Result<(), KgError> {
        if let Some(path) = self.path.clone() {
            *self = Self::open(&path)?;
        }
        Ok(())
    }

    /// The key and the fact that a question is pinned to, if it is pinned and the fact still exists. Width, case, spaces, and punctuation at the
    /// end make no difference.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn pinned(&self, question: &str) -> Result<Option<(Key, Fact)>, KgError> {
        let Some((subject, relation)) = self.changes.pins.get(&normalise(question)) else {
            return Ok(None);
        };
        match self.key_of(subject, relation)? {
            Some(key) => Ok(Some((key, self.fact(key)?))),
            None => Ok(None),
        }
    }

    /// The pinned questions, in normalised form, with subject and relation.
    pub fn pins(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.changes
            .pins
            .iter()
            .map(|(question, (subject, relation))| (question.as_str(), subject.as_str(), relation.as_str()))
    }

    /// Whether there are facts of a subject, given without its sense.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn has_subject(&self, name: &str) -> Result<bool, KgError> {
        let mut tokens = self.vocabulary.encode(name);
        tokens.push(SEP);
        Ok(self.index.find(&tokens)?.is_some())
    }

    /// The key of a fact: the subject with its sense in full-width brackets, and the relation.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn key_of(&self, subject: &str, relation: &str) -> Result<Option<Key>, KgError> {
        let (name, sense) = split_sense(subject);
        let sense = sense.unwrap_or_default();
        let (second, third) = match self.order() {
            FactOrder::SubjectRelationSense => (relation, sense),
            FactOrder::SubjectSenseRelation => (sense, relation),
        };
        let mut tokens = Vec::new();
        for part in [name, second, third] {
            self.vocabulary.encode_into(part, &mut tokens);
            tokens.push(SEP);
        }
        Ok(self.index.get(&tokens)?)
    }

    /// Checks the checksums, that the keys ascend and are numbered without gaps, and that each has a record of objects. Returns the number of
    /// keys.
    ///
    /// # Errors
    /// Names the first defect.
    pub fn verify(&self, progress: &dyn Fn(u64)) -> Result<u64, KgError> {
        self.container.verify()?;
        let damaged = |what: &str| Error::Damaged(what.into());
        let index = self.index.base();
        let mut previous: Vec<Token> = Vec::new();
        let mut expected = 0;
        let mut problem = None;
        index.completions(index.root(), &mut |tokens, key| {
            if key != expected {
                problem = Some(damaged("the keys are not numbered without gaps"));
            } else if key > 0 && previous.as_slice() >= tokens {
                problem = Some(damaged("the keys do not rise"));
            }
            previous.clear();
            previous.extend_from_slice(tokens);
            expected += 1;
            if expected % 4096 == 0 {
                progress(4096);
            }
            match problem {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        })?;
        if problem.is_none() && expected != index.len() {
            problem = Some(damaged("the index promises more keys than it has"));
        }
        if let Some(problem) = problem {
            return Err(problem.into());
        }
        self.objects.verify(expected)?;
        Ok(expected)
    }

    /// Visits every subject in the order of the tokens, with its tokens without the separator and the handle after the separator.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn subjects(&self, visit: &mut dyn FnMut(&[Token], Handle) -> ControlFlow<()>) -> Result<(), KgError> {
        Ok(self.index.visit_subjects(visit)?)
    }

    /// Visits every occurrence of a subject's tokens in a text, also inside words, with its range and the handle after its separator. The order is
    /// by start, then by end. Not all occurrences are [mentions](Self::mentions).
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn occurrences(&self, question: &[Token], visit: &mut dyn FnMut(Range<usize>, Handle)) -> Result<(), KgError> {
        Ok(self.index.mentions(question, visit)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BuildOptions, Change, GraphBuilder, GraphWriter};

    #[test]
    fn a_compaction_while_a_graph_is_opened_hides_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.idx");
        let mut builder = GraphBuilder::new(BuildOptions::default());
        builder.add("甲", "父", "乙").unwrap();
        builder.finish(&path).unwrap();
        let add = |object: &str| {
            let mut writer = GraphWriter::open(&path).unwrap();
            let change = Change::Add {
                subject: "甲".into(),
                relation: "父".into(),
                object: object.into(),
            };
            assert!(writer.apply(&change).unwrap());
            writer
        };
        drop(add("丙"));
        // The log is gone when it is read, or is the next index's.
        for (object, writes_on) in [("丁", false), ("戊", true)] {
            let mut writer = Some(add(object));
            let graph = KnowledgeGraph::open_slowly(&path, &mut || {
                if let Some(writer) = writer.take() {
                    writer.compact(None).unwrap();
                    if writes_on {
                        drop(add("己"));
                    }
                }
            });
            assert_eq!(
                graph.unwrap().fact(0).unwrap().objects,
                match writes_on {
                    false => vec!["乙", "丙", "丁"],
                    true => vec!["乙", "丙", "丁", "戊", "己"],
                }
            );
        }
        // No end of it is an error.
        let mut number = 0;
        let endless = KnowledgeGraph::open_slowly(&path, &mut || {
            number += 1;
            add(&number.to_string()).compact(None).unwrap();
        });
        assert!(matches!(endless, Err(KgError::Busy { .. })));
    }
}
