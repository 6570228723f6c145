//! The aliases that begin with a text.

use crate::error::KgError;
use crate::graph::KnowledgeGraph;
use crate::spellings::compared;
use kexue_text::{SEP, Token};
use std::ops::ControlFlow;

/// Aliases that are read before the shortest of them are chosen.
const MOST_READ: usize = 256;

/// Another name of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The other name, normalised: an index does not keep its case, width, diacritics and punctuation.
    pub alias: String,
    /// The subject, without its sense.
    pub subject: String,
}

impl KnowledgeGraph {
    /// Finds the aliases that begin with `prefix`, in any spelling: at most `limit`, the shortest first. Aliases that differ from the name of
    /// their subject only in spelling are left out.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn complete_alias(&self, prefix: &str, limit: usize) -> Result<Vec<Alias>, KgError> {
        let prefix = compared(self.vocabulary(), prefix);
        if prefix.is_empty() {
            return Ok(Vec::new());
        }
        let mut names: Vec<(Vec<Token>, Vec<Token>)> = Vec::new();
        if let Some(spellings) = self.spellings() {
            spellings.beginning(&prefix, &mut |name, subject| {
                if self.keeps_alias(name, subject) {
                    names.push((name.to_vec(), subject.to_vec()));
                }
                match names.len() < MOST_READ {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })?;
        }
        let beside = self.names_beside().range((prefix.clone(), Vec::new())..);
        let beside = beside.take_while(|(name, _)| name.starts_with(&prefix));
        names.extend(beside.take(MOST_READ).cloned());
        names.sort_by(|a, b| (a.0.len(), a).cmp(&(b.0.len(), b)));
        names.dedup();
        let mut found = Vec::new();
        for (name, subject) in names {
            if found.len() == limit {
                break;
            }
            let text = self.vocabulary().decode(&subject);
            let is_alias = compared(self.vocabulary(), &text) != name;
            // An alias stays when its subject is removed.
            if is_alias && self.index().find(&[&subject[..], &[SEP]].concat())?.is_some() {
                found.push(Alias {
                    alias: self.vocabulary().decode(&name),
                    subject: text,
                });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::GraphBuilder;
    use crate::live::GraphWriter;
    use crate::log::Change;
    use crate::options::BuildOptions;

    fn aliases(graph: &KnowledgeGraph, prefix: &str, limit: usize) -> Vec<(String, String)> {
        let found = graph.complete_alias(prefix, limit).unwrap();
        found.into_iter().map(|found| (found.alias, found.subject)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |&(alias, subject): &(&str, &str)| (alias.to_owned(), subject.to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn aliases_of_the_file_and_of_its_changes_are_completed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.idx");
        let mut builder = GraphBuilder::new(BuildOptions::default());
        for subject in ["New York City", "Côte d'Ivoire", "北京"] {
            builder.add(subject, "type", "place").unwrap();
        }
        builder.alias("New York City", "Big Apple").unwrap();
        builder.alias("New York City", "Big A").unwrap();
        builder.alias("北京", "燕京").unwrap();
        builder.finish(&path).unwrap();
        let graph = KnowledgeGraph::open(&path).unwrap();
        let both = pairs(&[("big a", "New York City"), ("big apple", "New York City")]);
        assert_eq!(aliases(&graph, "big", 9), both);
        assert_eq!(aliases(&graph, "ＢＩＧ", 1), both[..1]);
        assert_eq!(aliases(&graph, "燕", 9), pairs(&[("燕京", "北京")]));
        // Other spellings of a name are no aliases.
        for nothing in ["cote", "new", "", "!", "apple"] {
            assert_eq!(aliases(&graph, nothing, 9), [], "{nothing}");
        }

        let mut writer = GraphWriter::open(&path).unwrap();
        let of = |subject: &str, alias: &str| (subject.to_owned(), alias.to_owned());
        for (subject, alias) in [of("北京", "北平"), of("Côte d'Ivoire", "Ivory Coast")] {
            assert!(writer.apply(&Change::Alias { subject, alias }).unwrap());
        }
        let (subject, alias) = of("New York City", "big apple");
        assert!(writer.apply(&Change::Unalias { subject, alias }).unwrap());
        let removed = Change::Remove {
            subject: "北京".to_owned(),
            relation: None,
            object: None,
        };
        let graph = KnowledgeGraph::open(&path).unwrap();
        assert_eq!(aliases(&graph, "BIG", 9), both[..1]);
        assert_eq!(aliases(&graph, "ivory", 9), pairs(&[("ivory coast", "Côte d'Ivoire")]));
        assert_eq!(aliases(&graph, "北平", 9), pairs(&[("北平", "北京")]));
        assert!(writer.apply(&removed).unwrap());
        let graph = KnowledgeGraph::open(&path).unwrap();
        assert_eq!(aliases(&graph, "北平", 9), []);
        assert_eq!(aliases(&graph, "燕京", 9), []);
    }
}
