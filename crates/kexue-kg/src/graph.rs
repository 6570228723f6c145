//! An open knowledge graph.

use crate::objects::Objects;
use crate::{BuildReport, KgError};
use kexue_text::{Token, Vocabulary};
use kexue_trie::{Bytes, Container, Error, FactIndex, Handle, Key, Order, PrefixIndex};
use std::fs::File;
use std::ops::{ControlFlow, Range};
use std::path::Path;

/// A fact of the graph: what a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The subject, without its sense.
    pub subject: String,
    /// The sense of the subject, where it has one.
    pub sense: Option<String>,
    /// The relation.
    pub relation: String,
    /// All objects, in the order of the input.
    pub objects: Vec<String>,
}

/// An open knowledge graph.
///
/// The keys of its [prefix index](Self::index) are `subject [SEP] relation [SEP] sense [SEP]`; without a sense, two separators follow each
/// other.
#[derive(Debug)]
pub struct KnowledgeGraph {
    container: Container,
    vocabulary: Vocabulary,
    facts: FactIndex,
    objects: Objects,
}

impl KnowledgeGraph {
    /// Opens an index file, mapped into memory. The time does not depend on its size.
    ///
    /// # Errors
    /// When the file cannot be read, is not an index, or its header is damaged.
    pub fn open(path: &Path) -> Result<Self, KgError> {
        let file = File::open(path).map_err(KgError::io(path))?;
        let bytes = Bytes::map(&file).map_err(KgError::io(path))?;
        Self::from_bytes(bytes).map_err(|error| match error {
            KgError::Index(source) => KgError::File {
                path: path.to_path_buf(),
                source,
            },
            other => other,
        })
    }

    /// Opens an index in memory: owned bytes, or bytes that are part of the program.
    ///
    /// # Errors
    /// When the bytes are not an index, or its header is damaged.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, KgError> {
        let container = Container::open(bytes.into())?;
        let vocabulary = container.section("vocabulary")?;
        let vocabulary = std::str::from_utf8(&vocabulary)
            .map_err(|_| Error::Damaged("the vocabulary is not UTF-8".into()))
            .and_then(|text| Vocabulary::from_text(text).map_err(|error| Error::Damaged(error.to_string())))?;
        Ok(Self {
            vocabulary,
            facts: FactIndex::open(&container)?,
            objects: Objects::open(&container)?,
            container,
        })
    }

    /// The vocabulary of the keys; it is part of the index.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The order of the parts of a key.
    pub fn order(&self) -> Order {
        self.facts.order()
    }

    /// The prefix index of the keys.
    pub fn index(&self) -> &dyn PrefixIndex {
        &self.facts
    }

    /// The packed index of the file.
    pub fn facts(&self) -> &FactIndex {
        &self.facts
    }

    /// The file's sections.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// What the index was built of.
    ///
    /// # Errors
    /// When that part of the file is damaged.
    pub fn report(&self) -> Result<BuildReport, KgError> {
        let bytes = self.container.section("report")?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Damaged(format!("section `report`: {error}")).into())
    }

    /// The fact that a key stands for.
    ///
    /// # Errors
    /// When there is no such key or the index is damaged.
    pub fn fact(&self, key: Key) -> Result<Fact, KgError> {
        let (mut subject, mut relation, mut sense) = (Vec::new(), Vec::new(), Vec::new());
        self.facts.fact(key, &mut subject, &mut relation, &mut sense)?;
        let record = self.objects.record(key)?;
        let [subject, relation, sense] = record
            .spelling
            .unwrap_or_else(|| [subject, relation, sense].map(|tokens| self.vocabulary.decode(&tokens)));
        Ok(Fact {
            subject,
            sense: Some(sense).filter(|sense| !sense.is_empty()),
            relation,
            objects: record.objects,
        })
    }

    /// Checks everything: the checksums, that the keys rise and are numbered without gaps, and that each has its record of objects. Returns the
    /// number of keys.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn verify(&self, progress: &dyn Fn(u64)) -> Result<u64, KgError> {
        self.container.verify()?;
        let damaged = |what: &str| Error::Damaged(what.into());
        let index = &self.facts;
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

    /// Visits every subject, in the order of the tokens: its tokens without the separator, and the handle after the separator.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn subjects(&self, visit: &mut dyn FnMut(&[Token], Handle) -> ControlFlow<()>) -> Result<(), KgError> {
        Ok(self.facts.visit_subjects(visit)?)
    }

    /// Visits every subject that occurs in a question: where, and the handle after its separator. By rising start, then by rising end.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn mentions(&self, question: &[Token], visit: &mut dyn FnMut(Range<usize>, Handle)) -> Result<(), KgError> {
        Ok(self.facts.mentions(question, visit)?)
    }
}
