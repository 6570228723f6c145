//! The knowledge graph: facts in the order in which they were added, each once.

use std::collections::{BTreeSet, HashSet};

/// A fact: subject (which may carry a sense in full-width brackets), relation, object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fact {
    /// The subject, with its sense.
    pub subject: String,
    /// The relation.
    pub relation: String,
    /// The object.
    pub object: String,
}

/// All facts.
#[derive(Default)]
pub struct Graph {
    facts: Vec<Fact>,
    seen: HashSet<Fact>,
}

/// Relations that speak of the subject's name itself and therefore do not hold for its other names.
const OF_THE_NAME: [&str; 1] = ["拼音"];

impl Graph {
    /// Adds a fact, unless it is there already.
    pub fn add(&mut self, subject: &str, relation: &str, object: impl Into<String>) {
        let object = object.into();
        let clean = |text: &str| !text.is_empty() && !text.contains(['\t', '\n']) && text.trim() == text;
        assert!(
            clean(subject) && clean(relation) && clean(&object),
            "{subject:?} {relation:?} {object:?}"
        );
        let fact = Fact {
            subject: subject.into(),
            relation: relation.into(),
            object,
        };
        if self.seen.insert(fact.clone()) {
            self.facts.push(fact);
        }
    }

    /// Repeats the facts of `subject` under another name; returns how many there were.
    pub fn add_alias(&mut self, subject: &str, alias: &str) -> usize {
        let copies: Vec<Fact> = (self.facts.iter())
            .filter(|fact| fact.subject == subject && !OF_THE_NAME.contains(&fact.relation.as_str()))
            .cloned()
            .collect();
        for fact in &copies {
            self.add(alias, &fact.relation, fact.object.clone());
        }
        copies.len()
    }

    /// The facts, in order.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The subjects, sorted.
    pub fn subjects(&self) -> BTreeSet<&str> {
        self.facts.iter().map(|fact| fact.subject.as_str()).collect()
    }

    /// The relations in order of first use, each with its number of facts.
    pub fn relations(&self) -> Vec<(&str, usize)> {
        let mut relations: Vec<(&str, usize)> = Vec::new();
        for fact in &self.facts {
            match relations.iter_mut().find(|(relation, _)| *relation == fact.relation) {
                Some((_, count)) => *count += 1,
                None => relations.push((&fact.relation, 1)),
            }
        }
        relations
    }

    /// One fact a line: subject, relation, object.
    pub fn to_tsv(&self) -> String {
        let line = |fact: &Fact| format!("{}\t{}\t{}\n", fact.subject, fact.relation, fact.object);
        self.facts.iter().map(line).collect()
    }
}

/// The name of a subject: what is left without the sense in full-width brackets at its end.
pub fn name(subject: &str) -> &str {
    match subject.strip_suffix('）').and_then(|rest| rest.rfind('（')) {
        Some(0) | None => subject,
        Some(open) => &subject[..open],
    }
}
