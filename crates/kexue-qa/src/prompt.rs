//! A question as the search sees it.

use crate::lcs::{LcsState, QuestionLcs};
use crate::words::WordCounts;
use crate::{Error, Result};
use kexue_kg::{KnowledgeGraph, Recognition};
use kexue_text::{CLS, SEP};
use kexue_trie::{Handle, Key, PrefixIndex, Token};
use serde::Serialize;
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// The longest question, in tokens: far beyond what people ask, short enough for the square of it.
pub const MAX_QUESTION_TOKENS: usize = 512;

/// A question's tokens, `[CLS] Q [SEP]`, and what is looked up for it once.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub tokens: Vec<Token>,
    pub lcs: QuestionLcs,
    pub mentions: Mentions,
    /// Facts that are passed over where those of a subject are listed, as if the graph lacked them.
    pub hidden: Vec<Key>,
    /// Questions that rescoring is not to have counted.
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
            let problem = format!("has {} tokens; {MAX_QUESTION_TOKENS} is the most", tokens.len() - 1);
            return Err(Error::Question(problem));
        }
        let mentions = Mentions::find(graph, question)?;
        tokens.push(SEP);
        Ok(Self {
            lcs: QuestionLcs::new(&tokens),
            tokens,
            mentions,
            hidden: Vec::new(),
            less: None,
            facts: HashMap::new(),
        })
    }

    /// The question without what stands about it.
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

/// A closed subject: its tokens with the separator, and where they lead.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub at: Handle,
    pub tokens: Arc<[Token]>,
}

/// How words of a question were read that do not spell a name of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The words.
    pub words: String,
    /// The subject that they were taken for.
    pub subject: String,
    /// Why: they are an alias, or a slip away from the name.
    pub recognition: Recognition,
}

/// A subject that a question mentions.
#[derive(Clone, Debug)]
struct Mentioned {
    /// Tokens with the closing separator.
    subject: Vec<Token>,
    /// Where it first stands among the question's tokens.
    span: Range<usize>,
    recognition: Recognition,
    /// The words of the question.
    words: String,
}

/// The subjects that a question mentions, each once, in the order of their tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mentions(Vec<Mentioned>);

impl Mentions {
    /// The subjects that a question mentions.
    pub fn find(graph: &KnowledgeGraph, question: &str) -> Result<Self> {
        let mut mentions: Vec<Mentioned> = (graph.mentions(question)?.into_iter())
            .map(|mention| {
                let mut subject = mention.subject;
                subject.push(SEP);
                Mentioned {
                    subject,
                    span: mention.span,
                    recognition: mention.recognition,
                    words: question[mention.bytes].to_owned(),
                }
            })
            .collect();
        mentions
            .sort_by(|a, b| (&a.subject, a.recognition, a.span.start).cmp(&(&b.subject, b.recognition, b.span.start)));
        mentions.dedup_by(|later, first| later.subject == first.subject);
        Ok(Self(mentions))
    }

    /// The mentions that are neither as in the graph nor the same name in another spelling.
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

    /// Where the question first mentions a subject, by its tokens with the separator.
    pub fn span(&self, subject: &[Token]) -> Option<Range<usize>> {
        let place = (self.0).binary_search_by(|mention| mention.subject.as_slice().cmp(subject));
        place.ok().map(|place| self.0[place].span.clone())
    }

    /// All of them.
    pub fn all(&self) -> Range<usize> {
        0..self.0.len()
    }

    /// The tokens that continue the subjects of a range, all alike in their first `depth` tokens; ascending.
    pub fn allowed(&self, range: Range<usize>, depth: usize, tokens: &mut Vec<Token>) {
        tokens.clear();
        tokens.extend((self.0[range].iter()).filter_map(|mention| mention.subject.get(depth)));
        tokens.dedup();
    }

    /// How much longer than `depth` the longest mention of a subject of the range through each token is.
    pub fn gains(&self, range: Range<usize>, depth: usize, tokens: &[Token]) -> Vec<u32> {
        let gain = |&token: &Token| {
            let through = &self.0[self.narrow(range.clone(), depth, token)];
            let longest = through.iter().map(|mention| mention.span.len()).max().unwrap_or(depth);
            longest.saturating_sub(depth) as u32
        };
        tokens.iter().map(gain).collect()
    }

    /// Those of the range whose token at `depth` is this one.
    pub fn narrow(&self, range: Range<usize>, depth: usize, token: Token) -> Range<usize> {
        let here = &self.0[range.clone()];
        let start = here.partition_point(|mention| mention.subject.get(depth) < Some(&token));
        let end = here.partition_point(|mention| mention.subject.get(depth) <= Some(&token));
        range.start + start..range.start + end
    }
}

/// Everything that may follow a closed subject, in the order of the tokens.
#[derive(Debug)]
pub(crate) struct Facts {
    tokens: Vec<Token>,
    ends: Vec<usize>,
    pub keys: Vec<Key>,
    /// Longest common subsequence of the question and `S [SEP] P [SEP] M`, for each fact.
    lcs: Vec<u32>,
    /// The states after `S [SEP]` and each token of the last fact: its successor shares a prefix with it.
    states: Vec<LcsState>,
}

impl Facts {
    /// No facts yet of a subject, given by its tokens with the separator.
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

    /// Adds a fact: its tokens after the subject, not before those of the facts that are there.
    pub fn push(&mut self, lcs: &QuestionLcs, suffix: &[Token], key: Key) {
        let before = self.len().checked_sub(1).map_or(&[][..], |last| self.suffix(last));
        let shared = before.iter().zip(suffix).take_while(|(a, b)| a == b).count();
        self.states.truncate(shared + 1);
        for &token in &suffix[shared..] {
            let mut state = self.states[self.states.len() - 1].clone();
            lcs.advance(&mut state, token);
            self.states.push(state);
        }
        // The closing separator does not count.
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

    /// The facts of a range whose token at `depth` is this one; all are alike before it.
    pub fn narrow(&self, range: Range<usize>, depth: usize, token: Token) -> Range<usize> {
        let at = |fact: usize| self.suffix(fact).get(depth).copied();
        let start = partition(range.clone(), |fact| at(fact) < Some(token));
        let end = partition(start..range.end, |fact| at(fact) <= Some(token));
        start..end
    }

    /// The facts that begin so after their subject.
    pub fn with_prefix(&self, prefix: &[Token]) -> Range<usize> {
        prefix
            .iter()
            .enumerate()
            .fold(0..self.len(), |range, (depth, &token)| self.narrow(range, depth, token))
    }

    /// How much the best fact through each token would add to the longest common subsequence of question and prefix: article 8802's Δ.
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

/// The first of a range for which `before` no longer holds.
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
