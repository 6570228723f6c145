//! The probabilities of a choice: those of the model, adjusted by spelling.

use crate::logits::{Logits, choices, log_sum};
use crate::options::{LookAhead, MentionUse, SearchOptions};
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
    pub logits: Logits<'a>,
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

/// Subtracts the logarithm of the sum of the exponentials.
pub(crate) fn log_softmax(logits: &mut [f64]) {
    let log_sum = log_sum(logits.iter().copied());
    logits.iter_mut().for_each(|logit| *logit -= log_sum);
}
