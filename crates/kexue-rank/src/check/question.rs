//! A column of averages and what may explain it.

use crate::table::Claim;

use super::explanation::Formula;
use super::options::Options;
use super::reading::Reading;

/// An allowance for binary rounding.
pub(super) const BINARY: f64 = 1e-9;

/// A column of averages and what may explain it.
pub(super) struct Question<'a> {
    pub claim: &'a Claim,
    /// Number of decimals of the claims.
    pub decimals: u8,
    /// The maximum distance of a mean from the printed value: half of its last digit, plus a little for binary rounding.
    pub half: f64,
    pub readings: &'a [Reading],
    pub formulas: Vec<Formula>,
    pub most_left_out: Option<usize>,
}

impl<'a> Question<'a> {
    pub fn new(claim: &'a Claim, readings: &'a [Reading], options: &Options) -> Self {
        let decimals = options.decimals.unwrap_or(claim.decimals);
        Self {
            claim,
            decimals,
            half: 0.5 * 10f64.powi(-i32::from(decimals)) + BINARY,
            readings,
            formulas: options
                .means
                .iter()
                .map(|&mean| Formula::Mean(mean))
                .chain([Formula::Sum])
                .collect(),
            most_left_out: options.most_left_out,
        }
    }

    /// The rows that have an average.
    pub fn rows(&self) -> Vec<usize> {
        (0..self.claim.values.len())
            .filter(|&row| !self.claim.values[row].is_nan())
            .collect()
    }
}
