//! Which systems change places when the mean changes, and which never do.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::advice::Advice;
use crate::error::{Error, Result};
use crate::mean::Mean;
use crate::scores::{Scores, tied};
use crate::swap::{Comparison, Profile, compare};
use crate::table::Direction;

/// The maximum number of systems: pairs grow with its square, and nobody reads more.
pub const MOST_SYSTEMS: usize = 5000;

/// Two systems whose order differs between two means.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Flip {
    /// The system that is better under the first mean.
    pub ahead: usize,
    /// The system that is better under the second.
    pub behind: usize,
    /// Averages of `ahead` and `behind` under the first mean.
    pub first: [f64; 2],
    /// Averages of `ahead` and `behind` under the second mean.
    pub second: [f64; 2],
    /// The exponents between the two means at which they swap, in rising order; empty where a mean has no exponent.
    pub swaps: Vec<f64>,
}

/// A swap of two systems at an exponent.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Swap {
    /// The exponent.
    pub exponent: f64,
    /// The system that is better below the exponent.
    pub before: usize,
    /// The system that is better above it.
    pub after: usize,
}

/// Counts of pairs of systems by their behaviour over all finite exponents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stability {
    /// All pairs.
    pub pairs: usize,
    /// Pairs that never swap because one system dominates: it leads under every increasing function of the scores.
    pub dominated: usize,
    /// Other pairs that never swap under a power mean.
    pub never: usize,
    /// Pairs with the same scores in another order, always tied.
    pub identical: usize,
    /// Pairs that swap at least once.
    pub swapping: usize,
}

impl Stability {
    /// Counts a pair.
    fn count(&mut self, pair: &Comparison) {
        self.pairs += 1;
        *if pair.below == Ordering::Equal {
            &mut self.identical
        } else if pair.dominance {
            &mut self.dominated
        } else if pair.swaps.is_empty() {
            &mut self.never
        } else {
            &mut self.swapping
        } += 1;
    }
}

impl std::ops::AddAssign for Stability {
    fn add_assign(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.dominated += other.dominated;
        self.never += other.never;
        self.identical += other.identical;
        self.swapping += other.swapping;
    }
}

/// The ranks of one system over all finite exponents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RankRange {
    /// The best rank.
    pub best: usize,
    /// The worst rank.
    pub worst: usize,
    /// The rank far below zero, where the smallest score decides.
    pub bottom: usize,
    /// The rank far above zero, where the largest score decides.
    pub top: usize,
}

/// Everything that changes with the exponent. "Ahead" means better in the direction of the scores.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Flips {
    /// The two means between which [`Flips::flips`] lists the pairs.
    pub between: [Mean; 2],
    /// The pairs whose order differs between the two means, by the first swap.
    pub flips: Vec<Flip>,
    /// Counts of pairs.
    pub stability: Stability,
    /// The range of every system.
    pub ranges: Vec<RankRange>,
    /// All swaps of two systems, by increasing exponent.
    pub swaps: Vec<Swap>,
}

impl Flips {
    /// The ranks of all systems just above an exponent (`-∞` for far below zero), 1 the best.
    pub fn ranks_above(&self, exponent: f64) -> Vec<usize> {
        let mut ranks: Vec<usize> = self.ranges.iter().map(|range| range.bottom).collect();
        for swap in self.swaps.iter().take_while(|swap| swap.exponent <= exponent) {
            ranks[swap.before] += 1;
            ranks[swap.after] -= 1;
        }
        ranks
    }
}

/// Finds the pairs that change their order between two means, and the swaps over all exponents.
///
/// # Errors
///
/// [`Error::NotPositive`] if a score is zero or negative, since half of the exponents are not defined then, and
/// [`Error::Refused`] for more than [`MOST_SYSTEMS`] systems.
pub fn flips(scores: &Scores, between: [Mean; 2]) -> Result<Flips> {
    let count = scores.systems.len();
    if count > MOST_SYSTEMS {
        return Err(Error::refused(
            format!("{count} systems make {} pairs", count * (count - 1) / 2),
            Advice::about("choose at most {} with <head> or <systems>", &MOST_SYSTEMS.to_string()),
        ));
    }
    for mean in between.into_iter().chain([Mean::GEOMETRIC]) {
        scores.check_defined(mean).map_err(Error::of_all_exponents)?;
    }
    let averages = [scores.means(between[0])?, scores.means(between[1])?];
    let profiles: Vec<Profile> = (0..count)
        .into_par_iter()
        .map(|system| Profile::new(scores.row(system), &scores.weights))
        .collect();
    let pairs = Pairs {
        profiles,
        averages,
        exponents: between.map(|mean| match mean {
            Mean::Power(exponent) => Some(exponent),
            Mean::Median => None,
        }),
        direction: scores.direction,
    };
    let parts: Vec<Part> = (0..count)
        .into_par_iter()
        .map(|system| pairs.compare_with_later(system))
        .collect();

    let mut stability = Stability::default();
    let mut bottom = vec![1usize; count];
    let mut swaps = Vec::with_capacity(parts.iter().map(|part| part.swaps.len()).sum());
    let mut flips = Vec::new();
    for (system, part) in parts.into_iter().enumerate() {
        for (offset, below) in part.below.iter().enumerate() {
            match below {
                Ordering::Greater => bottom[system + 1 + offset] += 1,
                Ordering::Less => bottom[system] += 1,
                Ordering::Equal => {}
            }
        }
        stability += part.stability;
        swaps.extend(part.swaps);
        flips.extend(part.flips);
    }
    swaps.par_sort_unstable_by(|a: &Swap, b: &Swap| {
        a.exponent
            .total_cmp(&b.exponent)
            .then(a.before.cmp(&b.before))
            .then(a.after.cmp(&b.after))
    });
    let key = |flip: &Flip| flip.swaps.first().copied().unwrap_or(f64::INFINITY);
    flips.sort_by(|a, b| {
        key(a)
            .total_cmp(&key(b))
            .then(a.ahead.cmp(&b.ahead))
            .then(a.behind.cmp(&b.behind))
    });

    let ranges = ranges(&bottom, &swaps);
    Ok(Flips {
        between,
        flips,
        stability,
        ranges,
        swaps,
    })
}

/// Precomputed values for the comparison of two systems.
struct Pairs {
    profiles: Vec<Profile>,
    /// The averages of all systems by each of the two means.
    averages: [Vec<f64>; 2],
    /// The exponents of the two means, if they have one.
    exponents: [Option<f64>; 2],
    direction: Direction,
}

/// The comparisons of one system with those after it in the table.
#[derive(Default)]
struct Part {
    stability: Stability,
    swaps: Vec<Swap>,
    flips: Vec<Flip>,
    /// The order with each later system far below zero.
    below: Vec<Ordering>,
}

impl Pairs {
    /// Compares a system with all those after it in the table.
    fn compare_with_later(&self, system: usize) -> Part {
        let mut part = Part::default();
        for other in system + 1..self.profiles.len() {
            let found = compare(&self.profiles[system], &self.profiles[other]);
            let below = self.better(found.below);
            part.below.push(below);
            part.stability.count(&found);
            let (mut before, mut after) = match below {
                Ordering::Greater => (system, other),
                _ => (other, system),
            };
            for &exponent in &found.swaps {
                part.swaps.push(Swap {
                    exponent,
                    before,
                    after,
                });
                std::mem::swap(&mut before, &mut after);
            }
            part.flips.extend(self.flip(system, other, &found.swaps));
        }
        part
    }

    /// The flip of two systems, if their order differs between the two means.
    fn flip(&self, system: usize, other: usize, swaps: &[f64]) -> Option<Flip> {
        let [first, second] = [0, 1].map(|side| self.order(side, system, other));
        if first == Ordering::Equal || first != second.reverse() {
            return None;
        }
        let (ahead, behind) = match first {
            Ordering::Greater => (system, other),
            _ => (other, system),
        };
        let swaps = match self.exponents {
            [Some(a), Some(b)] => {
                let between = a.min(b)..=a.max(b);
                swaps.iter().copied().filter(|swap| between.contains(swap)).collect()
            }
            _ => Vec::new(),
        };
        let averages = |side: usize| [self.averages[side][ahead], self.averages[side][behind]];
        Some(Flip {
            ahead,
            behind,
            first: averages(0),
            second: averages(1),
            swaps,
        })
    }

    /// The order of two systems by one of the two means. Averages that differ by rounding errors only are equal.
    fn order(&self, side: usize, system: usize, other: usize) -> Ordering {
        let (a, b) = (self.averages[side][system], self.averages[side][other]);
        if tied(a, b) {
            Ordering::Equal
        } else {
            self.better(a.total_cmp(&b))
        }
    }

    /// Turns an order of means into an order by quality.
    fn better(&self, order: Ordering) -> Ordering {
        match self.direction {
            Direction::Lower => order.reverse(),
            Direction::Higher => order,
        }
    }
}

/// Follows the ranks from swap to swap. Swaps at the same exponent count as one step.
fn ranges(bottom: &[usize], swaps: &[Swap]) -> Vec<RankRange> {
    let mut now = bottom.to_vec();
    let mut ranges: Vec<RankRange> = bottom
        .iter()
        .map(|&rank| RankRange {
            best: rank,
            worst: rank,
            bottom: rank,
            top: rank,
        })
        .collect();
    for group in swaps.chunk_by(|a, b| tied(a.exponent, b.exponent)) {
        for swap in group {
            now[swap.before] += 1;
            now[swap.after] -= 1;
        }
        for system in group.iter().flat_map(|swap| [swap.before, swap.after]) {
            let range = &mut ranges[system];
            range.best = range.best.min(now[system]);
            range.worst = range.worst.max(now[system]);
        }
    }
    for (range, rank) in ranges.iter_mut().zip(now) {
        range.top = rank;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::from_rows as scores;
    use proptest::prelude::*;

    #[test]
    fn one_flip_between_the_arithmetic_and_the_harmonic_mean() {
        let scores = scores(&[vec![99.0, 50.0], vec![74.0, 74.0], vec![10.0, 10.0]]);
        let found = flips(&scores, [Mean::ARITHMETIC, Mean::HARMONIC]).unwrap();
        assert_eq!(found.flips.len(), 1);
        assert_eq!((found.flips[0].ahead, found.flips[0].behind), (0, 1));
        assert_eq!(
            found.stability,
            Stability {
                pairs: 3,
                dominated: 2,
                swapping: 1,
                ..Stability::default()
            }
        );
        assert_eq!(
            found.ranges[0],
            RankRange {
                best: 1,
                worst: 2,
                bottom: 2,
                top: 1
            }
        );
        assert_eq!(
            found.ranges[2],
            RankRange {
                best: 3,
                worst: 3,
                bottom: 3,
                top: 3
            }
        );
        assert_eq!(found.ranks_above(f64::NEG_INFINITY), [2, 1, 3]);
        assert_eq!(found.ranks_above(f64::INFINITY), [1, 2, 3]);
    }

    #[test]
    fn lower_is_better_turns_the_order() {
        let mut table = crate::Table::from_scores(&["A", "B"], &["x", "y"], &[&[9.0, 1.0], &[4.0, 4.0]]);
        table
            .tasks
            .iter_mut()
            .for_each(|task| task.direction = Direction::Lower);
        let scores = table.select(&crate::Selection::default()).unwrap();
        let found = flips(&scores, [Mean::ARITHMETIC, Mean::HARMONIC]).unwrap();
        // 5 against 4: B has the lower arithmetic mean; 1.8 against 4: A the lower harmonic.
        assert_eq!((found.flips[0].ahead, found.flips[0].behind), (1, 0));
        assert_eq!(found.ranks_above(f64::NEG_INFINITY), [1, 2]);
    }

    #[test]
    fn scores_that_are_not_positive_are_refused() {
        assert!(matches!(
            flips(&scores(&[vec![0.0, 1.0]]), [Mean::ARITHMETIC, Mean::ARITHMETIC]),
            Err(Error::NotPositive { .. })
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn ranks_follow_from_the_swaps(
            rows in (2usize..6).prop_flat_map(|tasks| prop::collection::vec(prop::collection::vec(1u32..30, tasks), 2..7)),
        ) {
            let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
            let scores = scores(&rows);
            let found = flips(&scores, [Mean::ARITHMETIC, Mean::HARMONIC]).unwrap();
            for p in [-30.3, -3.1, -0.7, 0.37, 1.93, 30.7] {
                let averages = scores.means(Mean::Power(p)).unwrap();
                // Orders that rounding hides in the averages are not hidden in the swaps.
                let mut sorted = rows.clone();
                sorted.iter_mut().for_each(|row| row.sort_by(f64::total_cmp));
                let close = (0..rows.len()).any(|i| {
                    (0..i).any(|j| (averages[i] - averages[j]).abs() < 1e-9 * averages[i] && sorted[i] != sorted[j])
                });
                if !close {
                    prop_assert_eq!(found.ranks_above(p), scores.ranks(&averages), "at {}", p);
                }
            }
            for flip in &found.flips {
                prop_assert!(flip.swaps.len() % 2 == 1, "{flip:?}");
            }
        }

        #[test]
        fn a_column_on_which_all_tie_changes_no_order_of_the_same_exponent_one(
            rows in prop::collection::vec(prop::collection::vec(1.0f64..30.0, 3), 2..6),
            constant in 1.0f64..30.0,
        ) {
            let wide: Vec<Vec<f64>> = rows.iter().map(|row| [row.clone(), vec![constant]].concat()).collect();
            let (narrow, wide) = (scores(&rows), scores(&wide));
            // A shared column adds the same to every power sum: no pair gains or loses a swap.
            let [a, b] = [&narrow, &wide].map(|scores| flips(scores, [Mean::ARITHMETIC, Mean::HARMONIC]).unwrap());
            prop_assert_eq!(a.stability.swapping, b.stability.swapping);
            prop_assert_eq!(a.swaps.len(), b.swaps.len());
            for (x, y) in a.swaps.iter().zip(&b.swaps) {
                prop_assert!((x.exponent - y.exponent).abs() <= 1e-7 * (1.0 + x.exponent.abs()));
            }
        }

        #[test]
        fn scaling_all_scores_moves_no_swap(
            rows in prop::collection::vec(prop::collection::vec(1.0f64..30.0, 4), 2..5),
            factor in 0.01f64..50.0,
        ) {
            let scaled: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().map(|x| x * factor).collect()).collect();
            let [a, b] = [&rows, &scaled].map(|rows| flips(&scores(rows), [Mean::ARITHMETIC, Mean::HARMONIC]).unwrap());
            prop_assert_eq!(a.swaps.len(), b.swaps.len());
            for (x, y) in a.swaps.iter().zip(&b.swaps) {
                prop_assert!((x.exponent - y.exponent).abs() <= 1e-6 * (1.0 + x.exponent.abs()));
            }
        }
    }
}
