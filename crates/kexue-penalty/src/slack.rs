//! The slack of a bound.

use serde::Serialize;

/// Quantiles of the ratio of the right side to the left side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Slack {
    /// The minimum; 1 means equality.
    pub least: f64,
    /// The tenth percentile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The ninetieth percentile.
    pub high: f64,
}

impl Slack {
    /// The quantiles of these ratios; `None` if there are none.
    pub fn of(mut ratios: Vec<f64>) -> Option<Self> {
        ratios.sort_unstable_by(f64::total_cmp);
        let last = ratios.len().checked_sub(1)?;
        let quantile = |share: f64| ratios[(share * last as f64).round() as usize];
        Some(Self {
            least: ratios[0],
            low: quantile(0.1),
            median: quantile(0.5),
            high: quantile(0.9),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_hundred_and_one() {
        let slack = Slack::of((0..=100).rev().map(|x| f64::from(x) + 1.0).collect()).unwrap();
        assert_eq!(
            [slack.least, slack.low, slack.median, slack.high],
            [1.0, 11.0, 51.0, 91.0]
        );
        assert_eq!(Slack::of(Vec::new()), None);
    }
}
