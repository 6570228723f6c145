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

impl Verdict {
    /// The verdict in a few words, without numbers.
    pub fn headline(&self) -> String {
        // If the numbers are not finite, nothing else is known.
        if let [only] = &self.sentences[..] {
            return only.clone();
        }
        let input = match self.identity_vanishes {
            true => "The input vanishes on its way to the top",
            false => "The input reaches the top",
        };
        let gradients = match self.gradients {
            GradientFlow::Even => "gradients reach the input",
            GradientFlow::Vanishes => "gradients vanish toward the input",
            GradientFlow::Explodes => "gradients explode toward the input",
        };
        let agree = self.identity_vanishes == (self.gradients != GradientFlow::Even);
        let mut headline = format!("{input}, {} {gradients}.", if agree { "and" } else { "but" });
        headline += match self.needs_warmup {
            Some(true) => " Warm-up helps.",
            Some(false) => " Warm-up does not help.",
            None => "",
        };
        if !self.suggestions.is_empty() {
            let changes: Vec<String> = self.suggestions.iter().map(ToString::to_string).collect();
            headline += &format!(" To try, the best first: {}.", changes.join("; "));
        }
        headline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_says_what_the_fields_say() {
        let two = || vec!["a".to_owned(), "b".to_owned()];
        let mut verdict = Verdict {
            sentences: two(),
            ..Verdict::default()
        };
        assert_eq!(
            verdict.headline(),
            "The input reaches the top, and gradients reach the input."
        );
        verdict.gradients = GradientFlow::Vanishes;
        verdict.needs_warmup = Some(true);
        verdict.suggestions = vec![Change::new("warmup", 100)];
        assert_eq!(
            verdict.headline(),
            "The input reaches the top, but gradients vanish toward the input. Warm-up helps. To try, the best first: warmup = 100."
        );
        verdict.sentences = vec!["The numbers are not finite.".to_owned()];
        assert_eq!(verdict.headline(), "The numbers are not finite.");
    }
}
