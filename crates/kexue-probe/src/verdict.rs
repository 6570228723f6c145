//! What follows from the measurements.

use crate::change::Change;
use crate::ending::Ending;
use serde::Serialize;

/// What happens to gradients between the last layer and the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientFlow {
    /// They stay within a factor of four.
    #[default]
    Even,
    /// They shrink toward the input.
    Vanishes,
    /// They grow toward the input.
    Explodes,
}

/// What follows from the measurements.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether less than a tenth of the input is left at the top of the identity path.
    pub identity_vanishes: bool,
    /// What happens to gradients between the last layer and the first.
    pub gradients: GradientFlow,
    /// Whether training was better with warm-up; `None` if it was not tried, or not for long enough.
    pub needs_warmup: Option<bool>,
    /// How each training ended, in the order of [`Probe::runs`](crate::Probe::runs).
    pub endings: Vec<Vec<Ending>>,
    /// Suggested changes, the best first.
    pub suggestions: Vec<Change>,
    /// The verdict in words, with the numbers; if these are not finite, only that.
    pub sentences: Vec<String>,
}
