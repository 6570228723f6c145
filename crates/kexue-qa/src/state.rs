//! The state and the result of a search.

use crate::explanation::ExplainedChoice;
use crate::options::{MentionUse, SearchOptions};
use crate::prompt::{Prompt, Reading, Subject};
use crate::rerank::{EVIDENCE, Evidence};
use kexue_kg::{KnowledgeGraph, Mention};
use kexue_nn::Node;
use kexue_trie::{Handle, Key, Token};
use std::ops::Range;

/// A fact that was found, with its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The fact's key.
    pub key: Key,
    /// Natural logarithm of its probability.
    pub log_probability: f64,
}

/// The result of the search for one question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResult {
    /// The facts found, the most probable first; at most `beam`.
    pub found: Vec<Found>,
    /// The choices made, if requested.
    pub choices: Vec<ExplainedChoice>,
    /// The subjects that the question mentions, by rising start; also if the search does not use them.
    pub mentions: Vec<Mention>,
    /// How many subjects of the graph the question mentions; 0 if mentions are not used.
    pub mentioned: usize,
    /// Words of the question that were recognised as a subject by an alias or in spite of a typing error.
    pub readings: Vec<Reading>,
    /// The evidence for each fact found, if requested and learned rescoring is used.
    pub evidence: Vec<Evidence>,
    /// The probability that the graph lacks the answer, estimated by learned rescoring; 0 without it.
    pub lacking: f64,
    /// Whether the first fact was pinned to the question. Its probability is then 1.
    pub pinned: bool,
}

impl SearchResult {
    /// The probability that the first fact answers the question: its own probability times that of the graph having the answer, or 1 if it is
    /// pinned. `None` if nothing was found, or if only mentioned subjects are allowed and the question mentions none.
    pub fn confidence(&self, options: &SearchOptions) -> Option<f64> {
        let best = self.found.first()?;
        if self.pinned {
            return Some(1.0);
        }
        let lost = options.mentions == MentionUse::Only && self.mentioned == 0;
        (!lost).then(|| best.log_probability.exp() * (1.0 - self.lacking))
    }

    /// Puts a pinned fact first.
    pub(crate) fn pin(&mut self, key: Key) {
        let place = self.found.iter().position(|found| found.key == key);
        if let Some(place) = place {
            self.found.remove(place);
        }
        self.found.insert(
            0,
            Found {
                key,
                log_probability: 0.0,
            },
        );
        if !self.evidence.is_empty() {
            if let Some(place) = place {
                self.evidence.remove(place);
            }
            // A pinned fact needs no evidence.
            self.evidence.insert(0, [0.0; EVIDENCE.len()]);
        }
        self.pinned = true;
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub graph: &'a KnowledgeGraph,
    pub options: &'a SearchOptions,
    pub explain: bool,
    pub keep_evidence: bool,
}

/// A partial answer.
#[derive(Clone, Debug)]
pub(crate) struct Hypothesis {
    pub at: Handle,
    /// Everything chosen or forced so far.
    pub tokens: Vec<Token>,
    /// The mentioned subjects that begin with these tokens, while the subject is not complete.
    pub mentions: Range<usize>,
    pub subject: Option<Subject>,
    /// The last token whose hidden state was computed, and how many of `tokens` it covers.
    pub node: Node,
    pub computed: usize,
    pub log_probability: f64,
    /// The number of tokens before the next choice, or before the end.
    pub ready_at: usize,
    pub end: Option<Key>,
}

impl Hypothesis {
    pub fn done(&self, rescore: bool) -> bool {
        self.end.is_some() || (rescore && self.subject.is_some())
    }

    /// Adds the tokens that are not computed yet to a list of steps, and returns the node of the last one.
    pub fn compute(&mut self, steps: &mut kexue_nn::Steps) -> Node {
        for &token in &self.tokens[self.computed..] {
            self.node = steps.push(self.node, token);
        }
        self.computed = self.tokens.len();
        self.node
    }
}

/// One question's search.
pub(crate) struct State {
    pub prompt: Prompt,
    pub beam: Vec<Hypothesis>,
    pub result: SearchResult,
}

/// Orders facts by descending probability, then by key.
pub(crate) fn best_first(a: &Found, b: &Found) -> std::cmp::Ordering {
    b.log_probability.total_cmp(&a.log_probability).then(a.key.cmp(&b.key))
}
