//! Patterns of parameter names.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A pattern of parameter names: `*` stands for any characters, `?` for one, `[...]` for one of a set. `encoder.layer.0.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(glob::Pattern);

impl Pattern {
    /// Whether it matches the whole name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = |error: glob::PatternError| format!("`{text}` is not a pattern of names: {}", error.msg);
        glob::Pattern::new(text).map(Self).map_err(problem)
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_cross_dots_and_bad_patterns_are_refused() {
        let pattern: Pattern = "encoder.layer.0.*".parse().unwrap();
        assert!(pattern.matches("encoder.layer.0.output.dense.weight") && !pattern.matches("encoder.layer.01.x"));
        assert!("[a".parse::<Pattern>().unwrap_err().contains("`[a` is not a pattern"));
    }
}
