//! The outcome of a vote.

use super::options::Rule;

/// The outcome of one rule.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Outcome {
    /// The rule.
    pub rule: Rule,
    /// The systems with the best result; none if no system wins every duel.
    pub winners: Vec<usize>,
    /// The points of every system, if the rule has points.
    pub points: Option<Vec<f64>>,
    /// The rank of every system; `None` for the Condorcet rule, which only elects.
    pub ranks: Option<Vec<usize>>,
    /// For the Condorcet rule without a winner: the smallest set whose members win every duel against the others.
    pub circle: Option<Vec<usize>>,
    /// Why the rule was not used; then everything else is empty.
    pub refused: Option<String>,
}

impl Outcome {
    pub(super) fn refused(rule: Rule, reason: &str) -> Self {
        Self {
            rule,
            winners: Vec::new(),
            points: None,
            ranks: None,
            circle: None,
            refused: Some(reason.to_owned()),
        }
    }

    pub(super) fn from_ranks(rule: Rule, ranks: Vec<usize>) -> Self {
        let winners = (0..ranks.len()).filter(|&system| ranks[system] == 1).collect();
        Self {
            rule,
            winners,
            points: None,
            ranks: Some(ranks),
            circle: None,
            refused: None,
        }
    }
}
