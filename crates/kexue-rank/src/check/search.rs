//! The search for subsets of columns whose mean or sum is a claim.

use crate::mean::Mean;
use crate::subsets::Subsets;

use super::explanation::Formula;
use super::question::Question;
use super::reading::Reading;

/// A rule is not considered an accident if the expected number of similar rules that would do as well is below this.
pub(super) const LIKELY: f64 = 0.05;

/// The number of rules to keep for each row, formula and reading that no other row confirms.
const RULES_PER_ROW: usize = 64;
/// The maximum number of subsets to examine for each row, formula and reading.
const MATCHES_PER_ROW: usize = 20_000;

/// A rule as indices: of the formula, of the reading, and the columns that it leaves out as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub formula: usize,
    pub reading: usize,
    pub left_out: u64,
}

impl Candidate {
    /// The number of decisions that the rule takes: columns to leave out, and how to interpret the others.
    pub fn cost(&self, readings: &[Reading]) -> usize {
        self.left_out.count_ones() as usize + readings[self.reading].cost
    }

    /// The number of decisions that lead from another rule to this one.
    pub fn distance(&self, other: &Self, readings: &[Reading]) -> usize {
        let same_columns = readings[self.reading].base == readings[other.reading].base;
        let columns = if same_columns {
            (self.left_out ^ other.left_out).count_ones()
        } else {
            2 + self.left_out.count_ones() + other.left_out.count_ones()
        };
        let zeros = readings[self.reading].zeros != readings[other.reading].zeros;
        columns as usize + usize::from(zeros) + usize::from(self.formula != other.formula)
    }
}

/// The subsets that reproduce one claim, fewest left out first. Many do so by accident; those that also reproduce another row's claim are all
/// kept.
pub(super) fn candidates(row: usize, witnesses: &[usize], question: &Question<'_>) -> Vec<Candidate> {
    let claim = question.claim;
    let mut found = Vec::new();
    for (reading_index, reading) in question.readings.iter().enumerate() {
        for (formula_index, &formula) in question.formulas.iter().enumerate() {
            // A zero that replaces a missing score has no logarithm or reciprocal, and adds nothing to a sum.
            if reading.zeros && (!reading.lacks(row) || !formula.takes_zeros()) {
                continue;
            }
            let (mut seen, mut kept) = (0, 0);
            search(reading, formula, row, question.most_left_out, |search| {
                let (low, high) = search.range(claim.values[row], question.half);
                search.subsets.find(search.left_out, low, high, |mask| {
                    let candidate = Candidate {
                        formula: formula_index,
                        reading: reading_index,
                        left_out: search.spread(mask),
                    };
                    let meets = |&other: &usize| {
                        let claimed = claim.values[other];
                        other != row && reading.meets(formula, candidate.left_out, other, claimed, question.half)
                    };
                    seen += 1;
                    if kept < RULES_PER_ROW || witnesses.iter().any(meets) {
                        found.push(candidate);
                        kept += 1;
                    }
                    seen < MATCHES_PER_ROW
                });
                seen < MATCHES_PER_ROW
            });
        }
    }
    found
}

/// Rules are counted in a range this many times wider than rounding, to estimate how many reproduce a claim by accident.
const WIDER: f64 = 20.0;

/// The number of rules tried on a row, and the probability that one of them reproduces the claim by accident.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odds {
    pub rules: f64,
    pub each: f64,
}

impl Odds {
    /// Estimates the odds from the number of rules that come near the claim, including the rule itself.
    fn new(near: u64, rules: f64) -> Self {
        let others = near.saturating_sub(1) as f64 + 0.5;
        Self {
            rules,
            each: (others / WIDER / rules).min(1.0),
        }
    }
}

/// The odds of a row among all rules of at most `cost` decisions.
pub(super) fn odds(row: usize, cost: usize, question: &Question<'_>) -> Odds {
    let (mut near, mut rules) = (0, 0.0);
    for reading in question.readings.iter().filter(|reading| !reading.zeros) {
        let Some(most) = cost.checked_sub(reading.cost) else {
            continue;
        };
        let most = most.min(question.most_left_out.unwrap_or(usize::MAX));
        for &formula in &question.formulas {
            search(reading, formula, row, Some(most), |search| {
                let (low, high) = search.range(question.claim.values[row], WIDER * question.half);
                near += search.subsets.count(search.left_out, low, high);
                rules += binomial(search.present.len(), search.left_out);
                true
            });
        }
    }
    Odds::new(near, rules.max(1.0))
}

/// The odds of a row among the rules at a distance of at most `distance` decisions from another rule.
pub(super) fn odds_near(from: &Candidate, row: usize, distance: usize, question: &Question<'_>) -> Odds {
    let readings = question.readings;
    let base = readings[from.reading].base;
    let (mut near, mut rules) = (0u64, 0u64);
    for (index, reading) in readings.iter().enumerate().filter(|(_, reading)| reading.base == base) {
        if reading.zeros && !reading.lacks(row) {
            continue;
        }
        for (formula_index, &formula) in question.formulas.iter().enumerate() {
            let start = Candidate {
                formula: formula_index,
                reading: index,
                left_out: from.left_out,
            };
            let Some(columns) = distance.checked_sub(start.distance(from, readings)) else {
                continue;
            };
            toggled(from.left_out, reading.units.len(), columns.min(3), &mut |left_out| {
                let claimed = question.claim.values[row];
                near += u64::from(reading.meets(formula, left_out, row, claimed, WIDER * question.half));
                rules += 1;
            });
        }
    }
    Odds::new(near, (rules as f64).max(1.0))
}

/// The number of subsets of a size.
fn binomial(of: usize, size: usize) -> f64 {
    (0..size.min(of)).map(|i| (of - i) as f64 / (i + 1) as f64).product()
}

/// The logarithm of the number of subsets.
pub(super) fn ln_binomial(of: usize, size: usize) -> f64 {
    let size = size.min(of - size.min(of));
    if size < 50 {
        return binomial(of, size).ln();
    }
    (0..size).map(|i| ((of - i) as f64 / (i + 1) as f64).ln()).sum()
}

/// Calls `visit` with a mask, and with every mask that differs from it in at most `most` bits.
fn toggled(mask: u64, width: usize, most: usize, visit: &mut impl FnMut(u64)) {
    fn deeper(mask: u64, from: usize, width: usize, most: usize, visit: &mut impl FnMut(u64)) {
        visit(mask);
        if most > 0 {
            for bit in from..width {
                deeper(mask ^ (1 << bit), bit + 1, width, most - 1, visit);
            }
        }
    }
    deeper(mask, 0, width, most, visit);
}

/// The subsets of one size of a row's columns, under one formula.
struct Search<'a> {
    subsets: &'a Subsets,
    /// The number of columns left out of those present.
    left_out: usize,
    /// The sum of the transformed scores of all columns present.
    total: f64,
    /// The factor that turns a mean into a sum: the number of columns kept, or 1 for a sum.
    factor: f64,
    transform: &'a dyn Fn(f64) -> f64,
    /// The index among all columns of each searched column.
    present: &'a [usize],
    /// Columns that are always left out.
    forced: u64,
}

impl Search<'_> {
    /// The range of the sum of the left-out scores for which the mean is within `half` of the claim.
    fn range(&self, claimed: f64, half: f64) -> (f64, f64) {
        let ends = [claimed - half, claimed + half].map(|mean| self.total - self.factor * (self.transform)(mean));
        // Allows for rounding errors of sums.
        let slack = 1e-12 * self.total.abs().max(1e-300) * self.factor;
        (ends[0].min(ends[1]) - slack, ends[0].max(ends[1]) + slack)
    }

    /// Converts a mask over the searched columns to a mask over all columns. Columns without a score are skipped, not left out.
    fn spread(&self, mask: u64) -> u64 {
        self.forced
            + self
                .present
                .iter()
                .enumerate()
                .filter(|(bit, _)| mask >> bit & 1 == 1)
                .map(|(_, &column)| 1u64 << column)
                .sum::<u64>()
    }
}

/// Visits the subsets of a row's columns, fewest left out first, until `visit` returns `false`. Means that are not sums (median,
/// minimum, maximum) are tried on all columns only, by [`explain`].
fn search(
    reading: &Reading,
    formula: Formula,
    row: usize,
    most_left_out: Option<usize>,
    mut visit: impl FnMut(&Search<'_>) -> bool,
) {
    let (mean, exponent) = match formula {
        Formula::Mean(mean @ Mean::Power(exponent)) if exponent.is_finite() => (mean, exponent),
        Formula::Sum => (Mean::ARITHMETIC, 1.0),
        _ => return,
    };
    let transform = move |value: f64| match exponent {
        0.0 => value.max(f64::MIN_POSITIVE).ln(),
        1.0 => value,
        _ => value.max(f64::MIN_POSITIVE).powf(exponent),
    };
    // A score for which the mean is not defined must have been left out.
    let value = |index: usize| reading.units[index].values[row];
    let present = (0..reading.units.len()).filter(|&index| !value(index).is_nan());
    let (present, forced): (Vec<usize>, Vec<usize>) =
        present.partition(|&index| mean.undefined(value(index)).is_none());
    let transformed: Vec<f64> = present.iter().map(|&index| transform(value(index))).collect();
    let total: f64 = transformed.iter().sum();
    let count = present.len();
    // A mean needs at least two columns. If there are many columns, only few can be left out, to keep the search short.
    let affordable = match count {
        0..=24 => count,
        25..=40 => 6,
        _ => 3,
    };
    let wanted = most_left_out.unwrap_or(affordable + forced.len());
    let Some(most) = wanted.checked_sub(forced.len()) else {
        return;
    };
    let most = most.min(count.saturating_sub(2));
    if count == 0 {
        return;
    }
    let subsets = Subsets::new(&transformed, most);
    let forced: u64 = forced.into_iter().map(|index| 1u64 << index).sum();
    for left_out in 0..=most {
        let search = Search {
            subsets: &subsets,
            left_out,
            total,
            factor: if formula == Formula::Sum {
                1.0
            } else {
                (count - left_out) as f64
            },
            transform: &transform,
            present: &present,
            forced,
        };
        if !visit(&search) {
            return;
        }
    }
}
