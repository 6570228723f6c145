//! A question as the search uses it.

use crate::lcs::{LcsState, QuestionLcs};
use crate::words::WordCounts;
use crate::{Error, Result};
use kexue_kg::{KnowledgeGraph, Mention, Recognition};
use kexue_text::{CLS, SEP};
use kexue_trie::{Handle, Key, PrefixIndex, Token};
use serde::Serialize;
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// The maximum length of a question, in tokens. Far longer than people ask, and short enough for attention's quadratic cost.
pub const MAX_QUESTION_TOKENS: usize = 512;

/// A question's tokens, `[CLS] Q [SEP]`, and what is computed once for it.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub tokens: Vec<Token>,
    pub lcs: QuestionLcs,
    /// The subjects that the question mentions, as the graph found them.
    pub found: Vec<Mention>,
    pub mentions: Mentions,
    /// Facts that are treated as missing from the graph.
    pub hidden: Vec<Key>,
    /// Word counts that learned rescoring subtracts from its own.
    pub less: Option<Arc<WordCounts>>,
    facts: HashMap<Handle, Arc<Facts>>,
}

impl Prompt {
    pub fn new(graph: &KnowledgeGraph, question: &str) -> Result<Self> {
        let question = question.trim();
        if question.is_empty() {
            return Err(Error::Question("is empty".to_owned()));
        }
        let mut tokens = vec![CLS];
        graph.vocabulary().encode_into(question, &mut tokens);
        if tokens.len() - 1 > MAX_QUESTION_TOKENS {
            let problem = format!("has {} tokens; the limit is {MAX_QUESTION_TOKENS}", tokens.len() - 1);
            return Err(Error::Question(problem));
        }
        let found = graph.mentions(question)?;
        let mentions = Mentions::of(question, &found);
        tokens.push(SEP);
        Ok(Self {
            lcs: QuestionLcs::new(&tokens),
            tokens,
            found,
            mentions,
            hidden: Vec::new(),
            less: None,
            facts: HashMap::new(),
        })
    }

    /// The tokens of the question, without `[CLS]` and `[SEP]`.
    pub fn question(&self) -> &[Token] {
        &self.tokens[1..self.tokens.len() - 1]
    }

    /// The facts of a subject, enumerated once.
    pub fn facts(&mut self, index: &dyn PrefixIndex, subject: &Subject) -> Result<Arc<Facts>> {
        if let Some(facts) = self.facts.get(&subject.at) {
            return Ok(facts.clone());
        }
        let facts = Arc::new(Facts::load(index, &self.lcs, subject, &self.hidden)?);
        self.facts.insert(subject.at, facts.clone());
        Ok(facts)
    }
}

/// A complete subject: its tokens with the separator, and its node in the index.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub at: Handle,
    pub tokens: Arc<[Token]>,
}

/// Words of a question that were recognised as a subject although they are not its exact name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The words.
    pub words: String,
    /// The subject.
    pub subject: String,
    /// Whether they are an alias of the subject, or a misspelt name.
    pub recognition: Recognition,
}

/// A subject that a question mentions.
#[derive(Clone, Debug)]
struct Mentioned {
    /// Its tokens, with the separator at the end.
    subject: Vec<Token>,
    /// Its first place among the question's tokens.
    span: Range<usize>,
    recognition: Recognition,
    /// The words of the question.
    words: String,
}

/// The subjects that a question mentions, each once, sorted by their tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mentions(Vec<Mentioned>);

impl Mentions {
    /// Finds the subjects that a question mentions.
    pub fn find(graph: &KnowledgeGraph, question: &str) -> Result<Self> {
        Ok(Self::of(question, &graph.mentions(question)?))
    }

    /// The subjects that the graph found in a question.
    fn of(question: &str, found: &[Mention]) -> Self {
        let mentioned = |mention: &Mention| Mentioned {
            subject: [&mention.subject[..], &[SEP]].concat(),
            span: mention.span.clone(),
            recognition: mention.recognition,
            words: question[mention.bytes.clone()].to_owned(),
        };
        let mut mentions: Vec<Mentioned> = found.iter().map(mentioned).collect();
        mentions
            .sort_by(|a, b| (&a.subject, a.recognition, a.span.start).cmp(&(&b.subject, b.recognition, b.span.start)));
        mentions.dedup_by(|later, first| later.subject == first.subject);
        Self(mentions)
    }

    /// The mentions that are neither a name of the graph nor a variant spelling of one.
    pub fn readings(&self, graph: &KnowledgeGraph) -> Vec<Reading> {
        let far = |mention: &&Mentioned| mention.recognition > Recognition::Spelling;
        (self.0.iter().filter(far))
            .map(|mention| Reading {
                words: mention.words.clone(),
                subject: graph.vocabulary().decode(&mention.subject[..mention.subject.len() - 1]),
                recognition: mention.recognition,
            })
            .collect()
    }

    /// The place where the question first mentions a subject, which is given by its tokens with the separator.
    pub fn span(&self, subject: &[Token]) -> Option<Range<usize>> {
        let place = (self.0).binary_search_by(|mention| mention.subject.as_slice().cmp(subject));
        place.ok().map(|place| self.0[place].span.clone())
    }

    /// The place of the longest mention; the first of several.
    pub fn longest(&self) -> Option<Range<usize>> {
        let spans = self.0.iter().map(|mention| mention.span.clone());
        spans.min_by_key(|span| (std::cmp::Reverse(span.len()), span.start))
    }

    /// All of them.
    pub fn all(&self) -> Range<usize> {
        0..self.0.len()
    }

    /// The tokens that continue the subjects of a range, ascending. The subjects must agree in their first `depth` tokens.
    pub fn allowed(&self, range: Range<usize>, depth: usize, tokens: &mut Vec<Token>) {
        tokens.clear();
        tokens.extend((self.0[range].iter()).filter_map(|mention| mention.subject.get(depth)));
        tokens.dedup();
    }

    /// For each token, by how much the longest mention of a subject of the range that continues with it is longer than `depth`.
    pub fn gains(&self, range: Range<usize>, depth: usize, tokens: &[Token]) -> Vec<u32> {
        let gain = |&token: &Token| {
            let through = &self.0[self.narrow(range.clone(), depth, token)];
            let longest = through.iter().map(|mention| mention.span.len()).max().unwrap_or(depth);
            longest.saturating_sub(depth) as u32
        };
        tokens.iter().map(gain).collect()
    }

    /// The part of the range whose token at `depth` is this one.
    pub fn narrow(&self, range: Range<usize>, depth: usize, token: Token) -> Range<usize> {
        let here = &self.0[range.clone()];
        let start = here.partition_point(|mention| mention.subject.get(depth) < Some(&token));
        let end = here.partition_point(|mention| mention.subject.get(depth) <= Some(&token));
        range.start + start..range.start + end
    }
}

/// The facts of a subject, sorted by their tokens.
#[derive(Debug)]
pub(crate) struct Facts {
    tokens: Vec<Token>,
    ends: Vec<usize>,
    pub keys: Vec<Key>,
    /// Longest common subsequence of the question and `S [SEP] P [SEP] M`, for each fact.
    lcs: Vec<u32>,
    /// The states after `S [SEP]` and each token of the last fact. The next fact reuses those of their common prefix.
    states: Vec<LcsState>,
}

impl Facts {
    /// An empty list for a subject, which is given by its tokens with the separator.
    pub fn new(lcs: &QuestionLcs, subject: &[Token]) -> Self {
        let mut after_subject = lcs.start();
        for &token in subject {
            lcs.advance(&mut after_subject, token);
        }
        Self {
            tokens: Vec::new(),
            ends: Vec::new(),
            keys: Vec::new(),
            lcs: Vec::new(),
            states: vec![after_subject],
        }
    }

    fn load(index: &dyn PrefixIndex, lcs: &QuestionLcs, subject: &Subject, hidden: &[Key]) -> Result<Self> {
        let mut facts = Self::new(lcs, &subject.tokens);
        index.completions(subject.at, &mut |suffix, key| {
            if !hidden.contains(&key) {
                facts.push(lcs, suffix, key);
            }
            ControlFlow::Continue(())
        })?;
        Ok(facts)
    }

    /// Adds a fact, given by its tokens after the subject. Facts must be added in order.
    pub fn push(&mut self, lcs: &QuestionLcs, suffix: &[Token], key: Key) {
        let before = self.len().checked_sub(1).map_or(&[][..], |last| self.suffix(last));
        let shared = before.iter().zip(suffix).take_while(|(a, b)| a == b).count();
        self.states.truncate(shared + 1);
        for &token in &suffix[shared..] {
            let mut state = self.states[self.states.len() - 1].clone();
            lcs.advance(&mut state, token);
            self.states.push(state);
        }
        // The last separator does not count.
        self.lcs
            .push(lcs.length(&self.states[suffix.len().saturating_sub(1)]) as u32);
        self.tokens.extend_from_slice(suffix);
        self.ends.push(self.tokens.len());
        self.keys.push(key);
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The tokens of a fact after its subject.
    pub fn suffix(&self, fact: usize) -> &[Token] {
        let start = if fact == 0 { 0 } else { self.ends[fact - 1] };
        &self.tokens[start..self.ends[fact]]
    }

    /// The facts of a range whose token at `depth` is this one. The facts must agree before it.
    pub fn narrow(&self, range: Range<usize>, depth: usize, token: Token) -> Range<usize> {
        let at = |fact: usize| self.suffix(fact).get(depth).copied();
        let start = partition(range.clone(), |fact| at(fact) < Some(token));
        let end = partition(start..range.end, |fact| at(fact) <= Some(token));
        start..end
    }

    /// The facts whose tokens after the subject begin with a prefix.
    pub fn with_prefix(&self, prefix: &[Token]) -> Range<usize> {
        prefix
            .iter()
            .enumerate()
            .fold(0..self.len(), |range, (depth, &token)| self.narrow(range, depth, token))
    }

    /// The Δ of article 8802: for each token, how much the best fact that continues with it adds to the longest common subsequence of question
    /// and prefix.
    pub fn gains(&self, lcs: &QuestionLcs, prefix: &[Token], range: Range<usize>, allowed: &[Token]) -> Vec<u32> {
        let mut state = self.states[0].clone();
        for &token in prefix {
            lcs.advance(&mut state, token);
        }
        let now = lcs.length(&state) as u32;
        allowed
            .iter()
            .map(|&token| {
                let through = self.narrow(range.clone(), prefix.len(), token);
                let best = self.lcs[through].iter().copied().max().unwrap_or(0);
                best.saturating_sub(now)
            })
            .collect()
    }
}

/// The first number of a range for which `before` does not hold.
fn partition(range: Range<usize>, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
