//! Options of the check.

use crate::mean::Mean;

/// Options of the check.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The means to try.
    pub means: Vec<Mean>,
    /// The maximum number of columns that an explanation may leave out; by default all but two.
    pub most_left_out: Option<usize>,
    /// Number of decimals of the claims; by default the maximum in the column.
    pub decimals: Option<u8>,
    /// Weights of columns or groups to try, such as the sizes of the tasks; 1 for columns without one.
    pub weights: Vec<(String, f64)>,
    /// Groups of columns. A weight may belong to a group, and the mean of the groups' means is tried.
    pub groups: Vec<(String, Vec<String>)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            means: vec![Mean::ARITHMETIC, Mean::GEOMETRIC, Mean::HARMONIC],
            most_left_out: None,
            decimals: None,
            weights: Vec::new(),
            groups: Vec::new(),
        }
    }
}
