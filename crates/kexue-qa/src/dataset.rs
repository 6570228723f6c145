//! Questions tied to the keys of a graph.

use crate::Result;
use crate::questions::{Gold, Question};
use kexue_kg::{KnowledgeGraph, split_sense};
use kexue_text::SEP;
use kexue_trie::{Key, Token};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// A training question.
#[derive(Clone, Debug)]
pub struct Example {
    /// The question's tokens.
    pub question: Vec<Token>,
    /// The key of the right fact, with all separators.
    pub path: Vec<Token>,
}

/// How many questions could be tied to a fact, and why the others could not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tied {
    /// Tied to one fact.
    pub used: usize,
    /// No fact of the graph has this subject, relation and object.
    pub missing: usize,
    /// Several facts answer alike.
    pub ambiguous: usize,
}

/// The facts that a question's gold answer can mean, as key and path. Where only answers are given, the relation is inferred: the fact of the
/// entity whose objects are most nearly the answers (their intersection at least half of their union).
///
/// # Errors
/// When the graph is damaged.
pub fn gold_facts(graph: &KnowledgeGraph, gold: &Gold) -> Result<Vec<(Key, Vec<Token>)>> {
    let (name, wanted): (&str, Option<&str>) = match gold {
        Gold::Fact { subject, relation, .. } => (subject, Some(relation)),
        Gold::Answers { entity, .. } => (entity, None),
        Gold::Unknown => return Ok(Vec::new()),
    };
    let (base, sense) = split_sense(name);
    let mut facts = facts_of(graph, base)?;
    if facts.is_empty() && sense.is_some() {
        // Names whose brackets are not a sense.
        facts = facts_of(graph, name)?;
    }
    if let Some(relation) = wanted {
        facts.retain(|(_, fact, _)| fact.relation == relation);
    }
    match gold {
        Gold::Fact { object, .. } => {
            // The sense decides where it is named; where it is not, a fact without one, else the object.
            let named: Vec<_> = facts
                .iter()
                .filter(|(_, fact, _)| fact.sense.as_deref() == sense)
                .cloned()
                .collect();
            if !named.is_empty() {
                facts = named;
            } else if let Some(object) = object {
                facts.retain(|(_, fact, _)| fact.objects.contains(object));
            }
        }
        Gold::Answers { answers, .. } => {
            // The relation whose objects are the answers; published answer lists miss a few, so the nearest one serves.
            let wanted: BTreeSet<&str> = answers.iter().map(String::as_str).collect();
            let nearness = |fact: &kexue_kg::Fact| {
                let objects: BTreeSet<&str> = fact.objects.iter().map(String::as_str).collect();
                let common = objects.intersection(&wanted).count();
                common as f64 / (objects.len() + wanted.len() - common).max(1) as f64
            };
            let best = facts.iter().map(|(_, fact, _)| nearness(fact)).fold(0.0, f64::max);
            facts.retain(|(_, fact, _)| best >= 0.5 && nearness(fact) == best);
        }
        Gold::Unknown => {}
    }
    Ok(facts.into_iter().map(|(key, _, path)| (key, path)).collect())
}

type KeyedFact = (Key, kexue_kg::Fact, Vec<Token>);

fn facts_of(graph: &KnowledgeGraph, subject: &str) -> Result<Vec<KeyedFact>> {
    let mut prefix = graph.vocabulary().encode(subject);
    prefix.push(SEP);
    let Some(at) = graph.index().find(&prefix)? else {
        return Ok(Vec::new());
    };
    let mut keys = Vec::new();
    graph.index().completions(at, &mut |suffix, key| {
        keys.push((key, [&prefix, suffix].concat()));
        ControlFlow::Continue(())
    })?;
    keys.into_iter()
        .map(|(key, path)| Ok((key, graph.fact(key)?, path)))
        .collect()
}

/// Ties questions to facts, for training.
///
/// # Errors
/// When the graph is damaged.
pub fn tie(graph: &KnowledgeGraph, questions: &[Question]) -> Result<(Vec<Example>, Tied)> {
    let (mut examples, mut tied) = (Vec::new(), Tied::default());
    for question in questions {
        let mut facts = gold_facts(graph, &question.gold)?;
        match (facts.pop(), facts.is_empty()) {
            (None, _) => tied.missing += 1,
            (Some(_), false) => tied.ambiguous += 1,
            (Some((_, path)), true) => {
                tied.used += 1;
                examples.push(Example {
                    question: graph.vocabulary().encode(question.text.trim()),
                    path,
                });
            }
        }
    }
    Ok((examples, tied))
}
