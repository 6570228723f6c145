//! The model's logits of choices, computed together for all questions.

use crate::Result;
use crate::options::{LookAhead, SearchOptions};
use kexue_nn::{Decoder, Node};
use kexue_text::SEP;
use kexue_trie::{Allowed, Token};

/// If more tokens than this are allowed, the logits come from one matrix product for all questions.
const LONG: usize = 1024;

/// Maximum number of rows of the whole vocabulary's logits in memory.
const MOST_ROWS: usize = 128;

/// The model's logits of a choice's [tokens](choices).
#[derive(Clone, Copy)]
pub(crate) struct Logits<'a> {
    pub of_choices: &'a [f32],
    /// The logarithm of the sum of the exponentials of the whole vocabulary's, where the choice may need it.
    pub log_sum: Option<f64>,
}

/// The choices of all questions whose logits are computed together.
#[derive(Default)]
pub(crate) struct Wanted {
    pairs: Vec<(Node, Token)>,
    rows: Vec<WantedRow>,
}

/// A choice whose logits come from a row of those of the whole vocabulary.
struct WantedRow {
    node: Node,
    tokens: Vec<Token>,
    needs_sum: bool,
}

/// Where the logits of a choice are among those computed together.
#[derive(Clone, Copy)]
pub(crate) enum LogitsAt {
    /// Those of pairs, from one to another.
    Pairs(usize, usize),
    /// A row.
    Row(usize),
}

/// The logits of the choices that were wanted.
pub(crate) struct AllLogits {
    pairs: Vec<f32>,
    /// For each row, the logits of its choices, and the logarithm of the sum.
    rows: Vec<(Vec<f32>, Option<f64>)>,
}

impl Wanted {
    /// Adds a choice after a node.
    pub fn add(&mut self, options: &SearchOptions, node: Node, allowed: &Allowed, is_after_subject: bool) -> LogitsAt {
        let needs_sum = needs_vocabulary(options, is_after_subject);
        if allowed.len() > LONG || needs_sum {
            self.rows.push(WantedRow {
                node,
                tokens: choices(allowed).collect(),
                needs_sum,
            });
            return LogitsAt::Row(self.rows.len() - 1);
        }
        let start = self.pairs.len();
        self.pairs.extend(choices(allowed).map(|token| (node, token)));
        LogitsAt::Pairs(start, self.pairs.len())
    }

    /// Computes the logits.
    pub fn compute(&self, decoder: &mut Decoder<'_>) -> Result<AllLogits> {
        let vocabulary = decoder.model().config().vocab_size;
        let mut rows = Vec::with_capacity(self.rows.len());
        for wanted in self.rows.chunks(MOST_ROWS) {
            let nodes: Vec<Node> = wanted.iter().map(|row| row.node).collect();
            let logits = decoder.vocabulary_logits(&nodes)?;
            rows.extend(wanted.iter().zip(logits.chunks_exact(vocabulary)).map(|(row, all)| {
                let of_choices = row.tokens.iter().map(|&token| all[token as usize]).collect();
                let log_sum = row.needs_sum.then(|| log_sum(all.iter().copied().map(f64::from)));
                (of_choices, log_sum)
            }));
        }
        Ok(AllLogits {
            pairs: decoder.logits(&self.pairs)?,
            rows,
        })
    }
}

impl AllLogits {
    pub fn of(&self, at: LogitsAt) -> Logits<'_> {
        match at {
            LogitsAt::Pairs(start, end) => Logits {
                of_choices: &self.pairs[start..end],
                log_sum: None,
            },
            LogitsAt::Row(row) => Logits {
                of_choices: &self.rows[row].0,
                log_sum: self.rows[row].1,
            },
        }
    }
}

/// The tokens whose logits a choice needs: those allowed, and the separator in place of the terminal, because the model has no token for the end.
pub(crate) fn choices(allowed: &Allowed) -> impl Iterator<Item = Token> {
    allowed.tokens.iter().copied().chain(allowed.terminal.map(|_| SEP))
}

/// Whether a choice may need the logits of the whole vocabulary.
fn needs_vocabulary(options: &SearchOptions, is_after_subject: bool) -> bool {
    !options.allowed_logits_only || is_after_subject && options.look_ahead == LookAhead::Vocabulary
}

/// The logarithm of the sum of the exponentials.
pub(crate) fn log_sum(logits: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.map(|logit| (logit - largest).exp()).sum();
    largest + sum.ln()
}
