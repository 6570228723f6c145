//! Explanations of the choices made during decoding.

use crate::distribution::Distribution;
use kexue_kg::KnowledgeGraph;
use kexue_trie::{Allowed, Token};
use serde::Serialize;

/// A choice made during decoding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedChoice {
    /// The text before it.
    pub prefix: String,
    /// Probability of the prefix.
    pub prefix_probability: f64,
    /// The allowed tokens, the most probable first: text, probability, look-ahead gain.
    pub allowed: Vec<(String, f64, u32)>,
}

/// Explains a choice.
pub(crate) fn explain(
    graph: &KnowledgeGraph,
    prefix: &[Token],
    prefix_probability: f64,
    allowed: &Allowed,
    distribution: &Distribution,
) -> ExplainedChoice {
    let vocabulary = graph.vocabulary();
    let names = allowed.tokens.iter().map(|&token| vocabulary.name(token));
    let names = names.chain(allowed.terminal.map(|_| "(end)".to_owned()));
    let gains = distribution.gains.iter().copied().chain(std::iter::repeat(0));
    let probabilities = distribution.log_probabilities.iter().map(|log| log.exp());
    let mut choices: Vec<_> = names
        .zip(probabilities)
        .zip(gains)
        .map(|((name, p), gain)| (name, p, gain))
        .collect();
    choices.sort_by(|a, b| b.1.total_cmp(&a.1));
    ExplainedChoice {
        prefix: vocabulary.decode(prefix),
        prefix_probability,
        allowed: choices,
    }
}
