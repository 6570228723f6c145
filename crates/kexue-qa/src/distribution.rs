//! The probabilities of a choice: those of the model, adjusted by spelling.

use crate::Result;
use crate::options::{LookAhead, MentionUse, SearchOptions};
use kexue_nn::{Decoder, Node};
use kexue_text::SEP;
use kexue_trie::{Allowed, Token};

/// If more tokens than this are allowed, the logits come from one matrix product for all questions.
const LONG: usize = 1024;

/// Maximum number of rows of the whole vocabulary's logits in memory.
const MOST_ROWS: usize = 128;

/// The log-probabilities and gains of the allowed tokens. The terminal comes last, if it is allowed.
pub(crate) struct Distribution {
    pub log_probabilities: Vec<f64>,
    pub gains: Vec<u32>,
}

/// What the probabilities of a choice depend on besides the model.
pub(crate) struct Context<'a> {
    pub allowed: &'a Allowed,
    /// Tokens that continue a mentioned subject, ascending.
    pub mentioned: &'a [Token],
    /// The gain of each allowed token, if the look-ahead applies.
    pub gains: Option<Vec<u32>>,
    pub logits: Logits<'a>,
}

/// The model's logits of a choice's [tokens](choices).
#[derive(Clone, Copy)]
pub(crate) struct Logits<'a> {
    of_choices: &'a [f32],
    /// The logarithm of the sum of the exponentials of the whole vocabulary's, where the choice may need it.
    log_sum: Option<f64>,
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
    pub fn compute(&self, decoder: &Decoder<'_>) -> Result<AllLogits> {
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
fn choices(allowed: &Allowed) -> impl Iterator<Item = Token> {
    allowed.tokens.iter().copied().chain(allowed.terminal.map(|_| SEP))
}

/// Whether a choice may need the logits of the whole vocabulary.
fn needs_vocabulary(options: &SearchOptions, is_after_subject: bool) -> bool {
    !options.allowed_logits_only || is_after_subject && options.look_ahead == LookAhead::Vocabulary
}

/// The probabilities of a choice.
pub(crate) fn distribution(options: &SearchOptions, context: &Context<'_>) -> Distribution {
    let choices = || choices(context.allowed);
    let gains = context.gains.as_ref().filter(|_| context.allowed.len() > 1);
    let whole = gains.is_some() && options.look_ahead == LookAhead::Vocabulary;
    let mut logits: Vec<f64> = context.logits.of_choices.iter().copied().map(f64::from).collect();
    if let Some(log_sum) = context.logits.log_sum.filter(|_| !options.allowed_logits_only || whole) {
        logits.iter_mut().for_each(|logit| *logit -= log_sum);
    }
    if let (MentionUse::Prior(weight), false) = (options.mentions, context.mentioned.is_empty()) {
        for (logit, token) in logits.iter_mut().zip(choices()) {
            if context.mentioned.binary_search(&token).is_ok() {
                *logit += f64::from(weight);
            }
        }
    }
    if let (LookAhead::Added(weight), Some(gains)) = (options.look_ahead, gains) {
        for (logit, gain) in logits.iter_mut().zip(gains) {
            *logit += f64::from(weight) * f64::from(*gain);
        }
    }
    if !whole {
        log_softmax(&mut logits);
    }
    if let (LookAhead::Allowed | LookAhead::Vocabulary, Some(gains)) = (options.look_ahead, gains) {
        for (logit, gain) in logits.iter_mut().zip(gains) {
            *logit /= f64::from(gain + 1);
        }
        log_softmax(&mut logits);
    }
    Distribution {
        log_probabilities: logits,
        gains: gains.cloned().unwrap_or_default(),
    }
}

/// The logarithm of the sum of the exponentials.
fn log_sum(logits: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.map(|logit| (logit - largest).exp()).sum();
    largest + sum.ln()
}

/// Subtracts the logarithm of the sum of the exponentials.
pub(crate) fn log_softmax(logits: &mut [f64]) {
    let log_sum = log_sum(logits.iter().copied());
    logits.iter_mut().for_each(|logit| *logit -= log_sum);
}
