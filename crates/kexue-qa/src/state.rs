//! How far a search has got, and what it found.

use crate::explanation::ExplainedChoice;
use crate::options::{MentionUse, SearchOptions};
use crate::prompt::{Prompt, Reading, Subject};
use crate::rerank::{EVIDENCE, Evidence};
use kexue_kg::KnowledgeGraph;
use kexue_nn::Node;
use kexue_trie::{Handle, Key, Token};
use std::ops::Range;

/// A fact that was found, and how probable it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The fact's key.
    pub key: Key,
    /// Natural logarithm of its probability.
    pub log_probability: f64,
}

/// What the search found for a question: the best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResult {
    /// At most `beam` facts (with exact rescoring: the best of all that were scored).
    pub found: Vec<Found>,
    /// The choices, when asked for.
    pub choices: Vec<ExplainedChoice>,
    /// How many subjects of the graph occur in the question; 0 where mentions are not looked for.
    pub mentioned: usize,
    /// Words of the question that were read as a subject by an alias, or in spite of a slip.
    pub readings: Vec<Reading>,
    /// What is known of each fact found, when asked for and weighed by learning.
    pub evidence: Vec<Evidence>,
    /// How probable it is, by learned rescoring, that the graph lacks what is asked for; 0 without.
    pub lacking: f64,
    /// Whether the first fact was pinned to the question by decree: its probability is then 1.
    pub pinned: bool,
}

impl SearchResult {
    /// How probable it is that the first fact answers the question: its probability, times that of the graph not lacking the answer; 1 where it
    /// is pinned. `None` where nothing was found, or subjects are to be chosen among the mentioned ones and there is none.
    pub fn confidence(&self, options: &SearchOptions) -> Option<f64> {
        let best = self.found.first()?;
        if self.pinned {
            return Some(1.0);
        }
        let lost = options.mentions == MentionUse::Only && self.mentioned == 0;
        (!lost).then(|| best.log_probability.exp() * (1.0 - self.lacking))
    }

    /// Puts a fact first, by decree.
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
            // Nothing but the decree speaks for it.
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

/// A prefix on its way.
#[derive(Clone, Debug)]
pub(crate) struct Hypothesis {
    pub at: Handle,
    /// Everything chosen or forced so far.
    pub tokens: Vec<Token>,
    /// Subjects of the question that begin so; only while the subject is open.
    pub mentions: Range<usize>,
    pub subject: Option<Subject>,
    /// The last token whose hidden state is known, and how many of `tokens` it covers.
    pub node: Node,
    pub computed: usize,
    pub log_probability: f64,
    /// Number of tokens at which the next choice stands (or the end).
    pub ready_at: usize,
    pub end: Option<Key>,
}

impl Hypothesis {
    pub fn done(&self, rescore: bool) -> bool {
        self.end.is_some() || (rescore && self.subject.is_some())
    }

    /// Adds the tokens that are not computed yet to a list of steps; the last one's node is the hypothesis's.
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

/// The order of what is found.
pub(crate) fn best_first(a: &Found, b: &Found) -> std::cmp::Ordering {
    b.log_probability.total_cmp(&a.log_probability).then(a.key.cmp(&b.key))
}
