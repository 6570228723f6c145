//! Linking questions to the facts of a graph.

use crate::Result;
use crate::question::{Gold, Question};
use kexue_kg::{KnowledgeGraph, split_sense};
use kexue_text::SEP;
use kexue_trie::{Key, Token};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// A training question.
#[derive(Clone, Debug, Hash)]
pub struct Example {
    /// The question's tokens.
    pub question: Vec<Token>,
    /// The key of the right fact, with all separators.
    pub path: Vec<Token>,
}

/// How many questions were linked to a fact, and why the others were not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tied {
    /// Linked to exactly one fact.
    pub used: usize,
    /// No fact of the graph has this subject, relation and object.
    pub missing: usize,
    /// Several facts have the same answer.
    pub ambiguous: usize,
}

/// The facts that match a question's gold answer, as key and path. If only answers are given, the relation is inferred: it is that of the
/// entity's fact whose objects are closest to the answers (their intersection is at least half of their union).
///
/// # Errors
/// If the graph is damaged.
pub fn gold_facts(graph: &KnowledgeGraph, gold: &Gold) -> Result<Vec<(Key, Vec<Token>)>> {
    let (name, wanted): (&str, Option<&str>) = match gold {
        Gold::Fact { subject, relation, .. } => (subject, Some(relation)),
        Gold::Answers { entity, .. } => (entity, None),
        Gold::Unknown => return Ok(Vec::new()),
    };
    let (base, sense) = split_sense(name);
    let mut facts = facts_of(graph, base)?;
    if facts.is_empty() && sense.is_some() {
        // The brackets are part of the name.
        facts = facts_of(graph, name)?;
    }
    if let Some(relation) = wanted {
        facts.retain(|(_, fact, _)| fact.relation == relation);
    }
    // A given sense decides. If a gold fact has none, the facts without a sense are meant.
    let is_named = |fact: &kexue_kg::Fact| fact.sense.as_deref() == sense;
    let sense_decides = (sense.is_some() || wanted.is_some()) && facts.iter().any(|(_, fact, _)| is_named(fact));
    if sense_decides {
        facts.retain(|(_, fact, _)| is_named(fact));
    }
    match gold {
        // Otherwise the object decides.
        Gold::Fact {
            object: Some(object), ..
        } if !sense_decides => facts.retain(|(_, fact, _)| fact.objects.contains(object)),
        Gold::Answers { answers, .. } => {
            // Published answer lists miss a few answers, so the closest relation is taken.
            let wanted: BTreeSet<&str> = answers.iter().map(String::as_str).collect();
            let nearness = |fact: &kexue_kg::Fact| {
                let objects: BTreeSet<&str> = fact.objects.iter().map(String::as_str).collect();
                let common = objects.intersection(&wanted).count();
                common as f64 / (objects.len() + wanted.len() - common).max(1) as f64
            };
            let best = facts.iter().map(|(_, fact, _)| nearness(fact)).fold(0.0, f64::max);
            facts.retain(|(_, fact, _)| best >= 0.5 && nearness(fact) == best);
        }
        _ => {}
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

/// Links questions to facts, for training. Questions that are not linked to exactly one fact are left out.
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

/// A question that is not linked to exactly one fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untied {
    /// The line of the question in its file, from 1.
    pub line: usize,
    /// The question.
    pub text: String,
    /// How many facts answer it: none or several.
    pub facts: usize,
}

/// The questions that [`tie`] leaves out.
///
/// # Errors
/// If the graph is damaged.
pub fn untied(graph: &KnowledgeGraph, questions: &[Question]) -> Result<Vec<Untied>> {
    let mut untied = Vec::new();
    for question in questions {
        let facts = gold_facts(graph, &question.gold)?.len();
        if facts != 1 {
            untied.push(Untied {
                line: question.line,
                text: question.text.clone(),
                facts,
            });
        }
    }
    Ok(untied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_kg::{BuildOptions, FactOrder};

    /// Films with one, two and three objects of a relation, and two relations of the same objects.
    fn graph(order: FactOrder) -> KnowledgeGraph {
        let triples = [
            ("Kismet", "directed by", "Dieterle"),
            ("Kismet", "starred actors", "Arnold"),
            ("Kismet", "starred actors", "Colman"),
            ("Kismet", "starred actors", "Craig"),
            ("Kismet", "written by", "Knoblock"),
            ("Her", "directed by", "Jonze"),
            ("Her", "written by", "Jonze"),
            ("Her", "release year", "2013"),
            ("X（film）", "release year", "1963"),
            ("X（album）", "release year", "1963"),
        ];
        let options = BuildOptions {
            order,
            ..BuildOptions::default()
        };
        KnowledgeGraph::from_triples(triples, &options).unwrap()
    }

    fn asked(entity: &str, answers: &[&str]) -> Question {
        Question {
            line: 1,
            id: 0,
            text: format!(" what of {entity} "),
            gold: Gold::Answers {
                entity: entity.to_owned(),
                answers: answers.iter().map(|&answer| answer.to_owned()).collect(),
            },
        }
    }

    #[test]
    fn the_relation_of_answers_is_inferred_from_them() {
        for order in [FactOrder::SubjectRelationSense, FactOrder::SubjectSenseRelation] {
            let graph = graph(order);
            let relations = |entity: &str, answers: &[&str]| -> Vec<String> {
                let facts = gold_facts(&graph, &asked(entity, answers).gold).unwrap();
                let of = |(key, _): &(Key, Vec<Token>)| graph.fact(*key).unwrap().relation;
                facts.iter().map(of).collect()
            };
            assert_eq!(relations("Kismet", &["Dieterle"]), ["directed by"]);
            assert_eq!(
                relations("Kismet", &["Craig", "Arnold", "Colman", "Arnold"]),
                ["starred actors"],
                "in any order, said twice or not"
            );
            assert_eq!(
                relations("Kismet", &["Craig", "Arnold"]),
                ["starred actors"],
                "two of three"
            );
            assert_eq!(
                relations("Kismet", &["Craig", "Arnold", "Colman", "Somebody", "Else"]),
                ["starred actors"],
                "three of five"
            );
            assert!(relations("Kismet", &["Craig"]).is_empty(), "one of three is too few");
            assert!(relations("Kismet", &["Jonze"]).is_empty(), "another's");
            assert!(relations("Nobody", &["Jonze"]).is_empty());
            let mut both = relations("Her", &["Jonze"]);
            both.sort();
            assert_eq!(both, ["directed by", "written by"]);
            assert_eq!(relations("X", &["1963"]).len(), 2, "of both senses");
            assert_eq!(relations("X（film）", &["1963"]), ["release year"]);
        }
    }

    #[test]
    fn only_questions_with_one_fact_are_trained_on() {
        let graph = graph(FactOrder::SubjectRelationSense);
        let questions = [
            asked("Kismet", &["Dieterle"]),
            asked("Her", &["Jonze"]),
            asked("Kismet", &["Craig"]),
            asked("Her", &["2013"]),
        ];
        let (examples, tied) = tie(&graph, &questions).unwrap();
        let expected = Tied {
            used: 2,
            missing: 1,
            ambiguous: 1,
        };
        assert_eq!(tied, expected);
        let named: Vec<(String, usize)> = (untied(&graph, &questions).unwrap().into_iter())
            .map(|untied| (untied.text, untied.facts))
            .collect();
        assert_eq!(named.len(), 2);
        assert!(
            named.iter().any(|(_, facts)| *facts == 0) && named.iter().any(|(_, facts)| *facts > 1),
            "{named:?}"
        );
        assert_eq!(graph.vocabulary().decode(&examples[0].question), "what of Kismet");
        assert_eq!(
            graph.vocabulary().decode(&examples[0].path),
            "Kismet[SEP]directed by[SEP][SEP]"
        );
    }
}
