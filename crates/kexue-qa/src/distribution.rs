//! The probabilities of a choice: those of the model, adjusted by spelling.

use crate::Result;
use crate::options::{LookAhead, MentionUse, SearchOptions};
use kexue_nn::{Decoder, Node};
use kexue_text::SEP;
use kexue_trie::{Allowed, Token};

/// If more tokens than this are allowed, the logits come from one matrix product for all questions.
const LONG: usize = 1024;

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

/// The model's logits of a choice.
#[derive(Clone, Copy)]
pub(crate) enum Logits<'a> {
    /// Of the [`choices`].
    Choices(&'a [f32]),
    /// Of the whole vocabulary.
    Vocabulary(&'a [f32]),
}

/// The choices of all questions whose logits are computed together.
#[derive(Default)]
pub(crate) struct Wanted {
    pairs: Vec<(Node, Token)>,
    whole: Vec<Node>,
}

/// Where the logits of a choice are among those computed together.
#[derive(Clone, Copy)]
pub(crate) enum LogitsAt {
    /// From one number to another.
    Choices(usize, usize),
    /// A row.
    Vocabulary(usize),
}

/// The logits of the choices that were wanted.
pub(crate) struct AllLogits {
    choices: Vec<f32>,
    vocabularies: Vec<f32>,
    vocabulary: usize,
}

impl Wanted {
    /// Adds a choice after a node.
    pub fn add(&mut self, options: &SearchOptions, node: Node, allowed: &Allowed, is_after_subject: bool) -> LogitsAt {
        if allowed.len() > LONG || needs_vocabulary(options, is_after_subject) {
            self.whole.push(node);
            return LogitsAt::Vocabulary(self.whole.len() - 1);
        }
        let start = self.pairs.len();
        self.pairs.extend(choices(allowed).map(|token| (node, token)));
        LogitsAt::Choices(start, self.pairs.len())
    }

    /// Computes the logits.
    pub fn compute(&self, decoder: &Decoder<'_>) -> Result<AllLogits> {
        Ok(AllLogits {
            choices: decoder.logits(&self.pairs)?,
            vocabularies: decoder.vocabulary_logits(&self.whole)?,
            vocabulary: decoder.model().config().vocab_size,
        })
    }
}

impl AllLogits {
    pub fn of(&self, at: LogitsAt) -> Logits<'_> {
        match at {
            LogitsAt::Choices(start, end) => Logits::Choices(&self.choices[start..end]),
            LogitsAt::Vocabulary(row) => {
                Logits::Vocabulary(&self.vocabularies[row * self.vocabulary..][..self.vocabulary])
            }
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
    let mut logits: Vec<f64> = match context.logits {
        Logits::Choices(logits) => logits.iter().copied().map(f64::from).collect(),
        Logits::Vocabulary(row) => {
            let mut all: Vec<f64> = row.iter().copied().map(f64::from).collect();
            if !options.allowed_logits_only || whole {
                log_softmax(&mut all);
            }
            choices().map(|token| all[token as usize]).collect()
        }
    };
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

/// Subtracts the logarithm of the sum of the exponentials.
pub(crate) fn log_softmax(logits: &mut [f64]) {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let log_sum = largest + sum.ln();
    logits.iter_mut().for_each(|logit| *logit -= log_sum);
}
