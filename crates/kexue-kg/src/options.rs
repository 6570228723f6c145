//! Options and report of a build.

use kexue_text::Vocabulary;
use kexue_trie::FactOrder;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Settings for building an index.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Order of the parts of a key.
    pub order: FactOrder,
    /// Whether to add the inverse of each triple: object, [inverse relation](crate::inverse_relation), subject.
    pub inverse: bool,
    /// The vocabulary. By default, the characters of the distinct names of subjects, relations and senses are counted.
    pub vocabulary: Option<Vocabulary>,
    /// Whether a counted vocabulary folds ASCII letters to lower case.
    pub fold_case: bool,
    /// Maximum number of characters in a counted vocabulary.
    pub max_characters: usize,
    /// A limit on memory, in bytes. Triples beyond it go to temporary files. A quarter of a gigabyte, plus about 70 bytes for each distinct relation
    /// and sense, is always needed. The index does not depend on the limit.
    pub memory: Option<u64>,
    /// The folder for temporary files; by default the system's.
    pub temporary: Option<PathBuf>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            order: FactOrder::default(),
            inverse: false,
            vocabulary: None,
            fold_case: false,
            max_characters: 20_000,
            memory: None,
            temporary: None,
        }
    }
}

/// The counts of a build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildReport {
    /// Triples, including inverse ones.
    pub triples: u64,
    /// Repeated triples that were left out.
    pub duplicates: u64,
    /// Triples whose object was added to an existing key.
    pub merged: u64,
    /// Keys: distinct subject, relation and sense.
    pub keys: u64,
    /// Distinct subjects, without their senses.
    pub subjects: u64,
    /// Distinct relations.
    pub relations: u64,
    /// Distinct senses.
    pub senses: u64,
    /// Tokens of the vocabulary.
    pub vocabulary: u64,
}
