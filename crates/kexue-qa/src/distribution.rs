//! The probabilities of a choice: those of the model, adjusted by spelling.

use crate::options::{LookAhead, MentionUse, SearchOptions};
use kexue_nn::{Decoder, Node};
use kexue_text::SEP;
use kexue_trie::{Allowed, Token};

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
    /// The logits of the whole vocabulary, if they were computed together.
    pub row: Option<&'a [f32]>,
}

/// The probabilities of a choice after `node`.
pub(crate) fn distribution(
    options: &SearchOptions,
    decoder: &Decoder<'_>,
    node: Node,
    context: &Context<'_>,
) -> Distribution {
    let tokens = &context.allowed.tokens;
    // The model has no token for the end, so the terminal uses the logit of the separator.
    let terminal = context.allowed.terminal.map(|_| SEP);
    let choices = || tokens.iter().copied().chain(terminal);
    let gains = context.gains.as_ref().filter(|_| context.allowed.len() > 1);
    let whole = gains.is_some() && options.look_ahead == LookAhead::Vocabulary;
    let logit = |token: Token| match context.row {
        Some(row) => f64::from(row[token as usize]),
        None => f64::from(decoder.logit(node, token)),
    };
    let mut logits: Vec<f64> = if options.allowed_logits_only && !whole {
        choices().map(logit).collect()
    } else {
        let vocabulary = 0..decoder.model().config().vocab_size as Token;
        let mut all: Vec<f64> = vocabulary.map(logit).collect();
        log_softmax(&mut all);
        choices().map(|token| all[token as usize]).collect()
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
