//! Sums of fractions of votes, compared exactly.

use std::cmp::Ordering;

use num_bigint::BigUint;

/// The relative difference above which floating-point sums are trusted: far more than their rounding errors.
const TRUSTED: f64 = 1e-9;

/// Votes for places `best..=worst`, which tied systems share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Places {
    pub best: u32,
    pub worst: u32,
}

impl Places {
    pub fn only(place: u32) -> Self {
        Self {
            best: place,
            worst: place,
        }
    }
}

/// The worth of one vote for places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// The share of the first place.
    First,
    /// The mean of 1/place.
    Reciprocal,
    /// The share of each place.
    Each,
}

impl Worth {
    /// The denominators of the unit fractions that make up the worth.
    fn denominators(self, places: Places) -> Box<dyn Iterator<Item = u64>> {
        let size = u64::from(places.worst - places.best + 1);
        match self {
            Self::First => Box::new((places.best == 1).then_some(size).into_iter()),
            Self::Reciprocal => Box::new((places.best..=places.worst).map(move |place| u64::from(place) * size)),
            Self::Each => Box::new(std::iter::once(size)),
        }
    }

    fn approximately(self, places: Places) -> f64 {
        self.denominators(places)
            .map(|denominator| 1.0 / denominator as f64)
            .sum()
    }
}

/// The votes of all tasks for a system.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    worth: Worth,
    approximate: f64,
    /// Votes by places, in order; no two entries have the same places.
    votes: Vec<(Places, u64)>,
}

impl Tally {
    pub fn new(worth: Worth, votes: impl IntoIterator<Item = (Places, u64)>) -> Self {
        let mut all: Vec<(Places, u64)> = votes
            .into_iter()
            .filter(|(places, votes)| *votes > 0 && (worth != Worth::First || places.best == 1))
            .collect();
        all.sort_unstable();
        let mut votes: Vec<(Places, u64)> = Vec::with_capacity(all.len());
        for (places, count) in all {
            match votes.last_mut() {
                Some(last) if last.0 == places => last.1 += count,
                _ => votes.push((places, count)),
            }
        }
        Self {
            worth,
            approximate: votes
                .iter()
                .map(|&(places, count)| count as f64 * worth.approximately(places))
                // The sum of no numbers would be −0.
                .fold(0.0, |sum, votes| sum + votes),
            votes,
        }
    }

    /// The sum in floating point, for printing.
    pub fn approximate(&self) -> f64 {
        self.approximate
    }

    /// Compares sums of the same worth, exactly.
    pub fn order(&self, other: &Self) -> Ordering {
        let (a, b) = (self.approximate, other.approximate);
        if (a - b).abs() > TRUSTED * a.max(b) {
            return a.total_cmp(&b);
        }
        if self.votes == other.votes {
            return Ordering::Equal;
        }
        let ((a, under_a), (b, under_b)) = (self.exact(), other.exact());
        (a * under_b).cmp(&(b * under_a))
    }

    /// Numerator and denominator.
    fn exact(&self) -> (BigUint, BigUint) {
        let mut sum = (BigUint::ZERO, BigUint::from(1u32));
        for &(places, votes) in &self.votes {
            for denominator in self.worth.denominators(places) {
                sum.0 = sum.0 * denominator + &sum.1 * votes;
                sum.1 *= denominator;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_a_third_and_a_sixth_are_one() {
        let tally = |places: &[(u32, u64)]| {
            Tally::new(
                Worth::Reciprocal,
                places.iter().map(|&(place, votes)| (Places::only(place), votes)),
            )
        };
        assert_eq!(
            tally(&[(2, 1), (3, 1), (6, 1)]).order(&tally(&[(1, 1)])),
            Ordering::Equal
        );
        let large = 1 << 40;
        assert_eq!(
            tally(&[(3, large), (3, 1)]).order(&tally(&[(3, large)])),
            Ordering::Greater
        );
    }
}
