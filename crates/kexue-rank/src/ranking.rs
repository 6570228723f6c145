//! Systems ranked by several means side by side.

use crate::error::Result;
use crate::mean::Mean;
use crate::scores::Scores;

/// The averages and ranks of all systems by one mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The mean.
    pub mean: Mean,
    /// `averages[system]`
    pub averages: Vec<f64>,
    /// `ranks[system]`, 1 the best.
    pub ranks: Vec<usize>,
}

/// Systems ranked by several means.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// One column for each mean that is defined for the scores.
    pub columns: Vec<Column>,
    /// The means that are not defined, and why.
    pub refused: Vec<(Mean, String)>,
    /// The systems in the order of the first column.
    pub order: Vec<usize>,
}

/// Ranks by means, all of which must be defined for the scores.
///
/// # Errors
///
/// [`crate::Error::NotPositive`] with the scores for which a mean is not defined.
pub fn rank_by(scores: &Scores, means: &[Mean]) -> Result<Ranking> {
    let columns = means
        .iter()
        .map(|&mean| {
            let averages = scores.means(mean)?;
            Ok(Column {
                mean,
                ranks: scores.ranks(&averages),
                averages,
            })
        })
        .collect::<Result<Vec<Column>>>()?;
    Ok(Ranking {
        order: order(scores, &columns),
        columns,
        refused: Vec::new(),
    })
}

/// Ranks by the arithmetic mean, and by the geometric and harmonic mean if they are defined.
///
/// # Errors
///
/// Only if scores are not numbers.
pub fn rank_by_three(scores: &Scores) -> Result<Ranking> {
    let mut ranking = rank_by(scores, &[Mean::ARITHMETIC])?;
    for mean in [Mean::GEOMETRIC, Mean::HARMONIC] {
        match rank_by(scores, &[mean]) {
            Ok(mut more) => ranking.columns.append(&mut more.columns),
            Err(error) => ranking.refused.push((mean, error.to_string())),
        }
    }
    Ok(ranking)
}

fn order(scores: &Scores, columns: &[Column]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.systems.len()).collect();
    if let Some(first) = columns.first() {
        order.sort_by_key(|&system| first.ranks[system]);
    }
    order
}
