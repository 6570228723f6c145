//! Changes of settings, as alternatives and suggestions name them.

use serde::{Serialize, Serializer};
use std::fmt;

/// A setting with a value to try. It is written as a field, `norm_placement = pre`, until
/// [`Probe::name_settings`](crate::Probe::name_settings) names it in another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path of the field in [`Architecture`](crate::Architecture), without `model` or `optimizer`.
    pub setting: &'static str,
    /// The value, as in configuration files.
    pub value: String,
    written: String,
}

impl Change {
    /// Creates a change that is written as a field.
    pub fn new(setting: &'static str, value: impl fmt::Display) -> Self {
        Self {
            setting,
            value: value.to_string(),
            written: format!("{setting} = {value}"),
        }
    }

    /// The same change, written by `name`.
    pub(crate) fn named(mut self, name: &dyn Fn(&Self) -> String) -> Self {
        self.written = name(&self);
        self
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Serialises the change as the text that [`Display`](fmt::Display) writes.
impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}
