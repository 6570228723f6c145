//! The conclusions from the measurements.

use crate::change::Change;
use crate::ending::Ending;
use serde::Serialize;

/// The change of gradients from the last layer to the first.
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

/// The conclusions from the measurements.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether less than a tenth of the input is left at the top of the identity path.
    pub identity_vanishes: bool,
    /// The change of gradients from the last layer to the first.
    pub gradients: GradientFlow,
    /// Whether training was better with warm-up; `None` if it was not tested, or not for long enough.
    pub needs_warmup: Option<bool>,
    /// How each training ended, in the order of [`Probe::runs`](crate::Probe::runs).
    pub endings: Vec<Vec<Ending>>,
    /// Suggested changes, the best first.
    pub suggestions: Vec<Change>,
    /// The verdict in words with numbers. If the numbers are not finite, there is only a sentence that says so.
    pub sentences: Vec<String>,
}
