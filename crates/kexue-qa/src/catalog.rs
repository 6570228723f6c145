//! All facts of a graph by subject and by relation, for generating training questions.

use crate::Result;
use kexue_kg::{FactOrder, KnowledgeGraph};
use kexue_text::SEP;
use kexue_trie::Token;
use rand::Rng;
use std::collections::HashMap;
use std::ops::ControlFlow;

/// A fact, by the numbers of its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FactParts {
    pub subject: u32,
    pub relation: u32,
    pub sense: u32,
}

/// Token sequences, each stored once.
#[derive(Debug, Default)]
struct Interner {
    numbers: HashMap<Box<[Token]>, u32>,
    sequences: Vec<Box<[Token]>>,
}

impl Interner {
    fn number(&mut self, tokens: &[Token]) -> u32 {
        if let Some(&number) = self.numbers.get(tokens) {
            return number;
        }
        let number = self.sequences.len() as u32;
        self.sequences.push(tokens.into());
        self.numbers.insert(tokens.into(), number);
        number
    }
}

/// The facts of a graph, drawn at random in several ways.
#[derive(Debug)]
pub(crate) struct Catalog {
    order: FactOrder,
    subjects: Vec<Box<[Token]>>,
    relations: Interner,
    senses: Interner,
    facts: Vec<FactParts>,
    /// Facts by relation.
    by_relation: Vec<Vec<u32>>,
    /// Relations by each token that they contain.
    by_token: HashMap<Token, Vec<u32>>,
}

impl Catalog {
    pub fn new(graph: &KnowledgeGraph) -> Result<Self> {
        let mut catalog = Self {
            order: graph.order(),
            subjects: Vec::new(),
            relations: Interner::default(),
            senses: Interner::default(),
            facts: Vec::new(),
            by_relation: Vec::new(),
            by_token: HashMap::new(),
        };
        let index = graph.index();
        let mut handles = Vec::new();
        graph.subjects(&mut |tokens, at| {
            catalog.subjects.push(tokens.into());
            handles.push(at);
            ControlFlow::Continue(())
        })?;
        for (subject, at) in handles.into_iter().enumerate() {
            index.completions(at, &mut |suffix, _| {
                let mut parts = suffix.split(|&token| token == SEP);
                let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let (relation, sense) = match catalog.order {
                    FactOrder::SubjectRelationSense => (first, second),
                    FactOrder::SubjectSenseRelation => (second, first),
                };
                let relation = catalog.relations.number(relation);
                let sense = catalog.senses.number(sense);
                catalog.facts.push(FactParts {
                    subject: subject as u32,
                    relation,
                    sense,
                });
                ControlFlow::Continue(())
            })?;
        }
        catalog.by_relation = vec![Vec::new(); catalog.relations.sequences.len()];
        for (number, fact) in catalog.facts.iter().enumerate() {
            catalog.by_relation[fact.relation as usize].push(number as u32);
        }
        for (number, relation) in catalog.relations.sequences.iter().enumerate() {
            let mut tokens = relation.to_vec();
            tokens.sort_unstable();
            tokens.dedup();
            for token in tokens {
                catalog.by_token.entry(token).or_default().push(number as u32);
            }
        }
        Ok(catalog)
    }

    pub fn subject(&self, fact: FactParts) -> &[Token] {
        &self.subjects[fact.subject as usize]
    }

    pub fn relation(&self, number: u32) -> &[Token] {
        &self.relations.sequences[number as usize]
    }

    /// The number of a relation.
    pub fn relation_number(&self, tokens: &[Token]) -> Option<u32> {
        self.relations.numbers.get(tokens).copied()
    }

    /// The key of a fact, with all separators.
    pub fn path(&self, fact: FactParts) -> Vec<Token> {
        let relation = self.relation(fact.relation);
        let sense = &self.senses.sequences[fact.sense as usize][..];
        let (second, third) = match self.order {
            FactOrder::SubjectRelationSense => (relation, sense),
            FactOrder::SubjectSenseRelation => (sense, relation),
        };
        let mut path = Vec::new();
        for part in [self.subject(fact), second, third] {
            path.extend_from_slice(part);
            path.push(SEP);
        }
        path
    }

    /// Draws a fact.
    pub fn any_fact(&self, generator: &mut impl Rng) -> Option<FactParts> {
        pick(&self.facts, generator).copied()
    }

    /// Draws a fact of a relation.
    pub fn fact_of_relation(&self, relation: u32, generator: &mut impl Rng) -> Option<FactParts> {
        pick(self.by_relation.get(relation as usize)?, generator).map(|&fact| self.facts[fact as usize])
    }

    /// Draws a relation; with `holding`, one that contains this token.
    pub fn any_relation(&self, holding: Option<Token>, generator: &mut impl Rng) -> Option<u32> {
        match holding {
            None => (!self.by_relation.is_empty()).then(|| generator.random_range(0..self.by_relation.len() as u32)),
            Some(token) => pick(self.by_token.get(&token)?, generator).copied(),
        }
    }
}

fn pick<'a, T>(items: &'a [T], generator: &mut impl Rng) -> Option<&'a T> {
    (!items.is_empty()).then(|| &items[generator.random_range(0..items.len())])
}
