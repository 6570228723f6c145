//! The voting rules and their options.

/// The maximum number of systems for pairwise rules, which need a matrix of systems by systems.
pub const MOST_SYSTEMS: usize = 3000;

/// A voting rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The number of votes for first place.
    Plurality,
    /// n − 1 points for the first of n, n − 2 for the second, …, 0 for the last.
    Borda,
    /// 1 point for the first, 1/2 for the second, 1/3 for the third, ….
    Dowdall,
    /// The number of duels won by majority minus the number lost.
    Copeland,
    /// The size of the worst defeat in a duel; the smallest one wins.
    Minimax,
    /// The system that wins every duel, if there is one.
    Condorcet,
    /// Fewest last places, then fewest second-to-last places, ….
    Threshold,
    /// The systems with the lowest Borda score are eliminated, round after round.
    Baldwin,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 8] = [
        Self::Plurality,
        Self::Borda,
        Self::Dowdall,
        Self::Copeland,
        Self::Minimax,
        Self::Condorcet,
        Self::Threshold,
        Self::Baldwin,
    ];

    /// The name of the rule.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plurality => "plurality",
            Self::Borda => "Borda",
            Self::Dowdall => "Dowdall",
            Self::Copeland => "Copeland",
            Self::Minimax => "minimax",
            Self::Condorcet => "Condorcet",
            Self::Threshold => "threshold",
            Self::Baldwin => "Baldwin",
        }
    }

    /// Whether the rule uses duels only, so that it works with missing scores.
    pub fn is_pairwise(self) -> bool {
        matches!(self, Self::Copeland | Self::Minimax | Self::Condorcet)
    }

    pub(super) fn needs_matrix(self) -> bool {
        self.is_pairwise() || self == Self::Baldwin
    }
}

/// The places of systems that tie on a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    /// They share the points of the places that they take together.
    #[default]
    Share,
    /// All take the best of the places.
    Best,
    /// All take the worst of the places: two that tie for first have no first place.
    Worst,
    /// As the Python package `votenrank` does: worst places, but best places for Dowdall.
    Votenrank,
}

/// How to treat a missing score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Refuse tables with missing scores.
    #[default]
    Refuse,
    /// A task has no vote in the duels of a system whose score is missing. Rules that need places cannot be used.
    Pairwise,
    /// The system is last on the task, tied with the others that lack a score.
    Last,
}

/// How the minimax rule measures a defeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defeat {
    /// The votes of the winner.
    #[default]
    WinningVotes,
    /// The votes of the winner minus those of the loser.
    Margins,
    /// The votes against the system in any duel, lost or won.
    Opposition,
}

/// Options of a vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Ties on a task.
    pub ties: Ties,
    /// Missing scores.
    pub missing: Missing,
    /// The measure of the minimax rule.
    pub defeat: Defeat,
}
