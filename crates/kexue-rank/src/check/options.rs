//! What to try.

use crate::mean::Mean;

/// What to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The means.
    pub means: Vec<Mean>,
    /// The most columns that an explanation may leave out; by default all but two.
    pub most_left_out: Option<usize>,
    /// Digits behind the decimal mark of the claims, if the table's own (the most of the column) are not what was meant.
    pub decimals: Option<u8>,
    /// Weights of columns or groups to try, such as the sizes of the tasks; columns without one weigh 1.
    pub weights: Vec<(String, f64)>,
    /// Groups of columns: a weight may be that of a group, and the mean of the groups' means is tried.
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
