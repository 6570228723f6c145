//! A cell about which two files differ.

use std::fmt;

/// A cell about which two files differ.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Disagreement {
    /// The row.
    pub system: String,
    /// The column.
    pub task: String,
    /// The values of the cell's metrics, and the file and line, in the first file.
    pub first: (Vec<f64>, String),
    /// The same in the second.
    pub second: (Vec<f64>, String),
}

impl fmt::Display for Disagreement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join("/");
        write!(
            formatter,
            "{} of {}: {} in {}, {} in {}",
            self.task,
            self.system,
            values(&self.first.0),
            self.first.1,
            values(&self.second.0),
            self.second.1
        )
    }
}
