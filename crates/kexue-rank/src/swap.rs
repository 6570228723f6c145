//! The exponents at which two systems swap under the power mean.
//!
//! Write the scores of two systems as a list of logarithms u with coefficients c, positive for the weight of the first and
//! negative for the second; what both have cancels. The difference of their p-th power sums is `E(p) = Σ cᵢ exp(p uᵢ)`, and the
//! first has the larger power mean where `H(p) = E(p)/p` is positive, with `H(0) = Σ cᵢ uᵢ` for the geometric mean.
//!
//! - **Dominance.** With `F(u)` the sum of the coefficients at u and above, `H(p) = ∫ F(u) exp(pu) du`, so H has at most as many
//!   zeros as F has changes of sign (the variation-diminishing property of the exponential kernel). If F has none, one system
//!   leads under *every* rising function of the scores, powers or not.
//! - **One change** gives exactly one swap.
//! - **More changes** are decided by interval arithmetic: `E > 0` where `D(p) = ln P(p) − ln N(p) > 0`, P and N being the sums of
//!   the positive and the negative terms. ln P and ln N are convex, so their slopes at the ends of an interval enclose the slope of
//!   D inside. An interval is closed when D cannot reach zero, or has opposite signs at its ends and a slope that cannot change
//!   sign: then it holds one zero, which is refined. Otherwise it is halved. Beyond the exponents at which the largest or the
//!   smallest score outweighs all others together there are no zeros.

use std::cmp::Ordering;

use crate::power_sum::{LogSum, Terms};

/// How two systems compare under the power means of all exponents.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The order of the first system's mean to the second's for exponents far below zero; `Equal` if their scores are the same.
    pub below: Ordering,
    /// The finite exponents at which the order swaps, rising.
    pub swaps: Vec<f64>,
    /// Whether the order holds for every rising function of the scores; implies that there are no swaps.
    pub dominance: bool,
}

impl Comparison {
    /// The order of the means far above zero.
    pub fn above(&self) -> Ordering {
        if self.swaps.len().is_multiple_of(2) {
            self.below
        } else {
            self.below.reverse()
        }
    }

    /// The order of the means at an exponent; `Equal` at a swap.
    pub fn at(&self, exponent: f64) -> Ordering {
        if self.swaps.contains(&exponent) {
            return Ordering::Equal;
        }
        let passed = self.swaps.iter().filter(|&&swap| swap < exponent).count();
        if passed % 2 == 0 {
            self.below
        } else {
            self.below.reverse()
        }
    }
}

/// Exponents known on either side of zero: from 1/8 to 1024 in steps of a third of an octave.
const SIDE: usize = 40;
/// Where zero is among all.
const ZERO: usize = SIDE;

/// Exponents at which every system's power sum is known beforehand, rising. Close enough for most pairs to be decided by them.
const GRID: [f64; 2 * SIDE + 1] = {
    let mut grid = [0.0; 2 * SIDE + 1];
    let mut exponent = 0.125;
    let mut step = 1;
    while step <= SIDE {
        grid[ZERO + step] = exponent;
        grid[ZERO - step] = -exponent;
        exponent *= 1.259_921_049_894_873_2;
        // One of the three is exact, so that the arithmetic and the harmonic mean are among them.
        if step % 3 == 0 {
            exponent = (1u64 << (step / 3)) as f64 * 0.125;
        }
        step += 1;
    }
    grid
};

/// The scores of one system, made ready to be compared.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Logarithms of the scores, falling.
    logs: Vec<f64>,
    /// Their weights.
    weights: Vec<f64>,
    /// The power sums at the exponents of [`GRID`].
    grid: [LogSum; GRID.len()],
    /// Logarithms of the means at −∞, at the exponents of [`GRID`], and at ∞, rising.
    means: [f64; GRID.len() + 2],
    /// Whether all weights are the same.
    equal_weights: bool,
}

impl Profile {
    /// A system's positive scores, with weights that sum to 1. Scores that are not positive have no logarithm and must have been
    /// refused before.
    pub fn new(scores: &[f64], weights: &[f64]) -> Self {
        let mut terms: Vec<(f64, f64)> = scores
            .iter()
            .zip(weights)
            .filter(|(score, weight)| **score > 0.0 && **weight > 0.0)
            .map(|(score, weight)| (score.ln(), *weight))
            .collect();
        terms.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let (logs, weights): (Vec<f64>, Vec<f64>) = terms.into_iter().unzip();
        let grid = GRID.map(|exponent| {
            Terms {
                logs: &logs,
                weights: &weights,
            }
            .log_sum(exponent)
        });
        let mut means = [f64::NAN; GRID.len() + 2];
        means[0] = logs.last().copied().unwrap_or(f64::NAN);
        means[GRID.len() + 1] = logs.first().copied().unwrap_or(f64::NAN);
        for (index, (exponent, sum)) in GRID.iter().zip(&grid).enumerate() {
            means[index + 1] = if *exponent == 0.0 {
                sum.slope
            } else {
                sum.value / exponent
            };
        }
        let equal_weights = weights.windows(2).all(|pair| pair[0] == pair[1]);
        Self {
            logs,
            weights,
            grid,
            means,
            equal_weights,
        }
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            logs: &self.logs,
            weights: &self.weights,
        }
    }

    /// Whether this system's mean is above the other's even at the next exponent known, and so, as means rise with the exponent,
    /// at every exponent.
    fn clearly_above(&self, other: &Self) -> bool {
        self.means
            .iter()
            .zip(&other.means[1..])
            .all(|(mine, theirs)| *mine > theirs + 1e-12)
    }
}

/// Compares two systems at all exponents.
pub fn compare(first: &Profile, second: &Profile) -> Comparison {
    let comparable = first.equal_weights && second.equal_weights && first.logs.len() == second.logs.len();
    if comparable {
        // With equal weights F changes sign where the sorted scores do.
        let (mut above, mut below) = (false, false);
        for (a, b) in first.logs.iter().zip(&second.logs) {
            above |= a > b;
            below |= a < b;
        }
        if !(above && below) {
            return Comparison {
                below: above.cmp(&below),
                swaps: Vec::new(),
                dominance: true,
            };
        }
        if first.clearly_above(second) || second.clearly_above(first) {
            let below = if first.means[0] > second.means[0] {
                Ordering::Greater
            } else {
                Ordering::Less
            };
            return Comparison {
                below,
                swaps: Vec::new(),
                dominance: false,
            };
        }
    }
    let pair = Pair {
        positive: first.terms(),
        negative: second.terms(),
    };
    match pair.ends() {
        Some(ends) if comparable => {
            let changes = quantile_changes(&first.logs, &second.logs);
            let known: [Value; GRID.len()] = std::array::from_fn(|index| Value {
                exponent: GRID[index],
                difference: first.grid[index].value - second.grid[index].value,
                positive_slope: first.grid[index].slope,
                negative_slope: second.grid[index].slope,
            });
            let swaps = zeros(&pair, &known, changes, &ends);
            Comparison {
                below: ends.below,
                swaps,
                dominance: false,
            }
        }
        _ => compare_merged(first, second),
    }
}

/// The general case: weights differ, or what both have at an end would hide there, in rounding, what they differ by. Then what both
/// have is taken out of both.
fn compare_merged(first: &Profile, second: &Profile) -> Comparison {
    let terms = merge(first.terms(), second.terms());
    let side = |sign: f64| -> (Vec<f64>, Vec<f64>) {
        let total: f64 = terms.iter().map(|(_, c)| (c * sign).max(0.0)).sum();
        terms
            .iter()
            .filter(|(_, c)| c * sign > 0.0)
            .map(|(u, c)| (*u, c * sign / total))
            .unzip()
    };
    let (positive, negative) = (side(1.0), side(-1.0));
    let pair = Pair {
        positive: Terms {
            logs: &positive.0,
            weights: &positive.1,
        },
        negative: Terms {
            logs: &negative.0,
            weights: &negative.1,
        },
    };
    let Some(ends) = pair.ends() else {
        return Comparison {
            below: Ordering::Equal,
            swaps: Vec::new(),
            dominance: true,
        };
    };
    let changes = sign_changes(&terms);
    if changes == 0 {
        return Comparison {
            below: ends.below,
            swaps: Vec::new(),
            dominance: true,
        };
    }
    let known = GRID.map(|exponent| pair.at(exponent));
    Comparison {
        below: ends.below,
        swaps: zeros(&pair, &known, changes, &ends),
        dominance: false,
    }
}

/// What is known of two systems far from zero.
struct Ends {
    /// The orders of the means far below and far above zero.
    below: Ordering,
    above: Ordering,
    /// Exponents beyond which there is no swap.
    lowest: f64,
    highest: f64,
}

/// Changes of sign of F, for scores of equal weight: those of the differences of the sorted scores.
fn quantile_changes(first: &[f64], second: &[f64]) -> usize {
    let (mut sign, mut changes) = (0i8, 0);
    for (a, b) in first.iter().zip(second) {
        let now = i8::from(a > b) - i8::from(a < b);
        changes += usize::from(now * sign < 0);
        sign = if now == 0 { sign } else { now };
    }
    changes
}

fn order(value: f64) -> Ordering {
    value.partial_cmp(&0.0).unwrap_or(Ordering::Equal)
}

/// Both systems' terms in falling order of the logarithm; equal logarithms are one term, and cancelled terms are gone.
fn merge(first: Terms<'_>, second: Terms<'_>) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = Vec::with_capacity(first.logs.len() + second.logs.len());
    let term = |terms: Terms<'_>, index: usize| Some((*terms.logs.get(index)?, *terms.weights.get(index)?));
    let (mut i, mut j) = (0, 0);
    loop {
        let (a, b) = (term(first, i), term(second, j));
        let (log, coefficient) = match (a, b) {
            (Some((u, w)), Some((v, x))) if u == v => {
                i += 1;
                j += 1;
                (u, w - x)
            }
            (Some((u, w)), Some((v, _))) if u > v => {
                i += 1;
                (u, w)
            }
            (Some((u, w)), None) => {
                i += 1;
                (u, w)
            }
            (_, Some((v, x))) => {
                j += 1;
                (v, -x)
            }
            (None, None) => return out,
        };
        match out.last_mut() {
            Some(last) if last.0 == log => {
                last.1 += coefficient;
                if last.1.abs() < 1e-14 {
                    out.pop();
                }
            }
            _ if coefficient.abs() >= 1e-14 => out.push((log, coefficient)),
            _ => {}
        }
    }
}

/// Changes of sign of F, the running sum of the coefficients from the top.
fn sign_changes(terms: &[(f64, f64)]) -> usize {
    let mut sum = 0.0f64;
    let mut sign = 0i8;
    let mut changes = 0;
    // The last sum is that of all coefficients: zero.
    for (_, coefficient) in &terms[..terms.len() - 1] {
        sum += coefficient;
        if sum.abs() < 1e-13 {
            continue;
        }
        let now = if sum > 0.0 { 1 } else { -1 };
        changes += usize::from(sign == -now);
        sign = now;
    }
    changes
}

/// The positive and the negative terms, each with coefficients summing to 1.
struct Pair<'a> {
    positive: Terms<'a>,
    negative: Terms<'a>,
}

/// P and N at an exponent.
#[derive(Clone, Copy)]
struct Value {
    exponent: f64,
    /// ln P − ln N
    difference: f64,
    /// Slopes of ln P and ln N.
    positive_slope: f64,
    negative_slope: f64,
}

impl Value {
    /// A number with the sign of the difference of the means: D(p)/p, and its limit at 0.
    fn lead(&self) -> f64 {
        if self.exponent == 0.0 {
            self.positive_slope - self.negative_slope
        } else {
            self.difference / self.exponent
        }
    }

    /// The derivative of D.
    fn slope(&self) -> f64 {
        self.positive_slope - self.negative_slope
    }
}

impl Pair<'_> {
    /// Far from zero; `None` if both have the same score at an end, or none.
    fn ends(&self) -> Option<Ends> {
        let extremes = |terms: Terms<'_>| {
            let last = terms.logs.len().checked_sub(1)?;
            Some([
                (terms.logs[0], terms.weights[0]),
                (terms.logs[last], terms.weights[last]),
            ])
        };
        let ([top_a, bottom_a], [top_b, bottom_b]) = (extremes(self.positive)?, extremes(self.negative)?);
        if top_a.0 == top_b.0 || bottom_a.0 == bottom_b.0 {
            return None;
        }
        // The extreme term alone outweighs all of the other's, whose weights sum to 1, from an exponent on.
        let bound = |weight: f64, gap: f64| (-weight.ln() / gap.abs()).clamp(1.0, 1e15);
        let owner = |a: (f64, f64), b: (f64, f64), a_owns: bool| if a_owns { a.1 } else { b.1 };
        Some(Ends {
            below: bottom_a.0.total_cmp(&bottom_b.0),
            above: top_a.0.total_cmp(&top_b.0),
            lowest: -bound(
                owner(bottom_a, bottom_b, bottom_a.0 < bottom_b.0),
                bottom_a.0 - bottom_b.0,
            ),
            highest: bound(owner(top_a, top_b, top_a.0 > top_b.0), top_a.0 - top_b.0),
        })
    }

    fn at(&self, exponent: f64) -> Value {
        let (positive, negative) = (self.positive.log_sum(exponent), self.negative.log_sum(exponent));
        Value {
            exponent,
            difference: positive.value - negative.value,
            positive_slope: positive.slope,
            negative_slope: negative.slope,
        }
    }
}

/// All zeros of the lead.
fn zeros(pair: &Pair<'_>, known: &[Value; GRID.len()], changes: usize, ends: &Ends) -> Vec<f64> {
    if changes == 1 {
        // One change of sign, one swap: it is where the lead changes sign.
        let leads = known.map(|value| order(value.lead()));
        if let Some(index) = (0..GRID.len()).find(|&index| leads[index] == Ordering::Equal) {
            return vec![GRID[index]];
        }
        return match (0..GRID.len()).find(|&index| leads[index] == ends.above) {
            Some(0) => vec![far_zero(pair, known[0], ends.below)],
            Some(index) => vec![refine(pair, known[index - 1], known[index])],
            None => vec![far_zero(pair, known[GRID.len() - 1], ends.above)],
        };
    }

    let mut found = Vec::new();
    // Outward from the two exponents next to zero, and beyond the grid as far as zeros can be.
    for index in 0..GRID.len() - 1 {
        if index + 1 != ZERO && index != ZERO {
            close_interval(pair, known[index], known[index + 1], &mut found);
        }
    }
    if ends.lowest < GRID[0] {
        close_interval(pair, pair.at(ends.lowest), known[0], &mut found);
    }
    if ends.highest > GRID[GRID.len() - 1] {
        close_interval(pair, known[GRID.len() - 1], pair.at(ends.highest), &mut found);
    }

    // D has a zero at p = 0 that is no swap, so there the lead D/p is enclosed: it is the mean slope of D from 0 to p.
    let zero = known[ZERO];
    let mut near = [zero; 2];
    for (side, mut outer) in [(0, known[ZERO - 1]), (1, known[ZERO + 1])] {
        loop {
            let (low, high) = if side == 0 { (outer, zero) } else { (zero, outer) };
            let least = low.positive_slope - high.negative_slope;
            let most = high.positive_slope - low.negative_slope;
            if least > 0.0 || most < 0.0 || outer.exponent.abs() < INNERMOST {
                break;
            }
            let inner = pair.at(0.5 * outer.exponent);
            let (low, high) = if side == 0 { (outer, inner) } else { (inner, outer) };
            close_interval(pair, low, high, &mut found);
            outer = inner;
        }
        near[side] = outer;
    }
    // What is left around zero holds one swap if the orders on its two sides differ.
    if order(near[0].lead()) != order(near[1].lead()) {
        found.push(refine(pair, near[0], near[1]));
    }
    found.sort_unstable_by(f64::total_cmp);
    found
}

/// The zero beyond the grid, where the order at last is `target`.
fn far_zero(pair: &Pair<'_>, from: Value, target: Ordering) -> f64 {
    let mut near = from;
    loop {
        let far = pair.at(2.0 * near.exponent);
        if order(far.lead()) == target {
            let (low, high) = if far.exponent < near.exponent {
                (far, near)
            } else {
                (near, far)
            };
            return refine(pair, low, high);
        }
        // The extreme terms decide at a finite exponent; the limit only guards against rounding.
        if far.exponent.abs() > 1e15 {
            return far.exponent;
        }
        near = far;
    }
}

/// Exponents nearer to zero than this are told apart by the sign at their two sides only.
const INNERMOST: f64 = 1e-7;

/// Finds the zeros of D inside an interval that does not hold p = 0.
fn close_interval(pair: &Pair<'_>, low: Value, high: Value, found: &mut Vec<f64>) {
    let width = high.exponent - low.exponent;
    let least = low.positive_slope - high.negative_slope;
    let most = high.positive_slope - low.negative_slope;
    let (left, right) = (low.difference, high.difference);
    let narrow = width < 1e-9 * (1.0 + low.exponent.abs());
    if (left > 0.0) != (right > 0.0) {
        if least > 0.0 || most < 0.0 || narrow {
            found.push(refine(pair, low, high));
            return;
        }
    } else {
        // The two lines that D cannot cross meet at the nearest that it can come to zero.
        let (left, right, least, most) = if left > 0.0 {
            (left, right, least, most)
        } else {
            (-left, -right, -most, -least)
        };
        let nearest = if least >= 0.0 || most <= 0.0 {
            left.min(right)
        } else {
            let at = ((right - most * width - left) / (least - most)).clamp(0.0, width);
            left + least * at
        };
        // Two zeros closer than this swap nothing that anyone could see.
        if nearest > 0.0 || narrow {
            return;
        }
    }
    let middle = pair.at(0.5 * (low.exponent + high.exponent));
    close_interval(pair, low, middle, found);
    close_interval(pair, middle, high, found);
}

/// The zero of the lead between two exponents at which it has opposite signs: Newton's method on D, and on the lead itself where
/// p = 0 is near, kept inside by halving.
fn refine(pair: &Pair<'_>, low: Value, high: Value) -> f64 {
    let (mut low, mut high) = (low, high);
    let sign = low.lead() > 0.0;
    let around_zero = low.exponent < 0.0 && high.exponent > 0.0 || low.exponent == 0.0 || high.exponent == 0.0;
    let mut at = if around_zero {
        let (left, right) = (low.lead(), high.lead());
        low.exponent + (high.exponent - low.exponent) * left / (left - right)
    } else {
        cubic_zero(low, high)
    };
    let mut last_width = f64::INFINITY;
    for round in 0..200 {
        let width = high.exponent - low.exponent;
        // Newton's steps come from one side; if they do not shrink the bracket, halve it now and then.
        let inside = at > low.exponent && at < high.exponent;
        if !inside || round % 8 == 7 && width > 0.25 * last_width {
            at = 0.5 * (low.exponent + high.exponent);
        }
        if round % 8 == 7 {
            last_width = width;
        }
        let value = pair.at(at);
        let lead = value.lead();
        if lead == 0.0 {
            return at;
        }
        let step = if around_zero {
            // The derivative of D/p.
            let slope = if at == 0.0 {
                f64::NAN
            } else {
                (value.slope() - lead) / at
            };
            lead / slope
        } else {
            value.difference / value.slope()
        };
        if (lead > 0.0) == sign {
            low = value;
        } else {
            high = value;
        }
        // The error after a step is of the order of its square.
        let (close, closest) = (1e-8 * (1.0 + at.abs()), 1e-13 * (1.0 + at.abs()));
        if step.is_finite() && step.abs() <= close || high.exponent - low.exponent <= closest {
            let next = at - step;
            return if next.is_finite() && next >= low.exponent && next <= high.exponent {
                next
            } else {
                at
            };
        }
        at -= step;
    }
    at
}

/// The zero of the cubic with the values and slopes of D at both ends.
fn cubic_zero(low: Value, high: Value) -> f64 {
    let width = high.exponent - low.exponent;
    let (f, g) = (low.difference, high.difference);
    let (df, dg) = (low.slope() * width, high.slope() * width);
    let (c2, c3) = (3.0 * (g - f) - 2.0 * df - dg, 2.0 * (f - g) + df + dg);
    let mut t = f / (f - g);
    for _ in 0..4 {
        let value = f + t * (df + t * (c2 + t * c3));
        let slope = df + t * (2.0 * c2 + 3.0 * t * c3);
        let next = t - value / slope;
        if !(next > 0.0 && next < 1.0) {
            break;
        }
        t = next;
    }
    low.exponent + t * width
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mean::Mean;
    use proptest::prelude::*;

    fn profile(scores: &[f64]) -> Profile {
        Profile::new(scores, &vec![1.0 / scores.len() as f64; scores.len()])
    }

    /// Exponents at which the order of two systems changes, by sampling: the slow way.
    fn sampled(first: &[f64], second: &[f64]) -> Vec<f64> {
        let weights = vec![1.0 / first.len() as f64; first.len()];
        let lead = |p: f64| {
            let mean = |scores: &[f64]| {
                crate::mean::log_power_mean(p, scores.iter().map(|s| s.ln()).zip(weights.iter().copied()))
            };
            mean(first) - mean(second)
        };
        let mut found = Vec::new();
        let mut previous = lead(-60.0);
        for step in -5999..=6000 {
            let p = f64::from(step) * 0.01;
            let now = lead(p);
            if now.abs() > 1e-13 {
                if previous.abs() > 1e-13 && (now > 0.0) != (previous > 0.0) {
                    found.push(p);
                }
                previous = now;
            }
        }
        found
    }

    #[test]
    fn a_swap_that_can_be_solved_by_hand() {
        // Under the arithmetic mean 4 + 1 = 5 leads 2.2 + 2.2, under the geometric mean 4 trails 4.84. At the swap
        // 4^p + 1 = 2·2.2^p.
        let found = compare(&profile(&[4.0, 1.0]), &profile(&[2.2, 2.2]));
        assert_eq!(found.below, Ordering::Less);
        assert_eq!(found.above(), Ordering::Greater);
        let [p] = found.swaps[..] else { panic!("{found:?}") };
        assert!((4f64.powf(p) + 1.0 - 2.0 * 2.2f64.powf(p)).abs() < 1e-12);
        // Exactly at the geometric mean.
        assert_eq!(compare(&profile(&[4.0, 1.0]), &profile(&[2.0, 2.0])).swaps, [0.0]);
        // Exactly at the arithmetic mean.
        let found = compare(&profile(&[4.0, 1.0]), &profile(&[2.5, 2.5])).swaps;
        assert!((found[0] - 1.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn dominance_is_of_the_sorted_scores() {
        let found = compare(&profile(&[90.0, 80.0]), &profile(&[79.0, 89.0]));
        assert!(found.dominance && found.below == Ordering::Greater && found.swaps.is_empty());
        let same = compare(&profile(&[90.0, 80.0]), &profile(&[80.0, 90.0]));
        assert!(same.dominance && same.below == Ordering::Equal);
        // Not dominated, and still never swapped: the first is better where it counts at every exponent.
        let never = compare(&profile(&[10.0, 5.0, 4.9, 1.0]), &profile(&[9.0, 5.1, 4.8, 0.9]));
        assert!(!never.dominance && never.swaps.is_empty());
    }

    #[test]
    fn several_swaps_of_one_pair_are_all_found() {
        // E(p) = (x−1)(x−2)(x−3)… at x = e^p, made of powers, has zeros where it is built to have them.
        // exp(p·{3,1}) + … : coefficients of (x−1)(x−a)(x−1/a): zeros of H at ±ln a.
        let a = 2.5f64;
        let s = 1.0 + a + 1.0 / a;
        // x³ − s x² + s x − 1, so the first has x³ and s·x, the second s·x² and 1, all with weights over 1 + s.
        let e = std::f64::consts::E;
        let first = Profile::new(&[e.powi(3), e], &[1.0 / (1.0 + s), s / (1.0 + s)]);
        let second = Profile::new(&[e.powi(2), 1.0], &[s / (1.0 + s), 1.0 / (1.0 + s)]);
        let found = compare(&first, &second);
        assert_eq!(found.swaps.len(), 2, "{found:?}");
        assert!(
            (found.swaps[0] + a.ln()).abs() < 1e-9 && (found.swaps[1] - a.ln()).abs() < 1e-9,
            "{found:?}"
        );
    }

    #[test]
    fn shared_extremes_are_no_obstacle() {
        let found = compare(&profile(&[100.0, 50.0, 1.0, 40.0]), &profile(&[100.0, 48.0, 1.0, 41.0]));
        assert_eq!(found.swaps.len(), 1, "{found:?}");
        let close = compare(&profile(&[100.0, 99.0, 1.0]), &profile(&[99.999, 99.002, 1.001]));
        assert_eq!(close.above(), Ordering::Greater);
        assert_eq!(close.below, Ordering::Less);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]

        #[test]
        fn swaps_agree_with_sampling(
            pairs in prop::collection::vec((1u32..40, 1u32..40), 2..9),
        ) {
            let first: Vec<f64> = pairs.iter().map(|(a, _)| f64::from(*a)).collect();
            let second: Vec<f64> = pairs.iter().map(|(_, b)| f64::from(*b)).collect();
            let found = compare(&profile(&first), &profile(&second));
            let near: Vec<f64> = found.swaps.iter().copied().filter(|p| p.abs() < 59.9).collect();
            for p in sampled(&first, &second) {
                prop_assert!(near.iter().any(|swap| (swap - p).abs() <= 0.0101 + 1e-9), "missed {p}: {found:?}");
            }
            // Every swap is one: the means are equal there and ordered as said on either side.
            let weights = vec![1.0 / first.len() as f64; first.len()];
            for swap in &near {
                let a = Mean::Power(*swap).of(&first, &weights);
                let b = Mean::Power(*swap).of(&second, &weights);
                prop_assert!((a - b).abs() <= 1e-9 * a, "{swap}: {a} {b}");
            }
            for p in [-20.0, -1.0, 0.0, 0.5, 1.0, 2.0, 20.0] {
                let a = Mean::Power(p).of(&first, &weights);
                let b = Mean::Power(p).of(&second, &weights);
                if (a - b).abs() > 1e-9 * a {
                    prop_assert_eq!(found.at(p), a.total_cmp(&b), "at {}: {:?}", p, found);
                }
            }
        }

        #[test]
        fn dominance_means_no_swap_and_is_symmetric(
            pairs in prop::collection::vec((1.0f64..40.0, 0.0f64..5.0), 1..9),
        ) {
            let first: Vec<f64> = pairs.iter().map(|(a, gain)| a + gain).collect();
            let second: Vec<f64> = pairs.iter().map(|(a, _)| *a).collect();
            let found = compare(&profile(&first), &profile(&second));
            prop_assert!(found.dominance && found.swaps.is_empty());
            prop_assert_eq!(compare(&profile(&second), &profile(&first)).below, found.below.reverse());
        }

        #[test]
        fn the_two_ends_are_the_orders_of_the_extremes(
            first in prop::collection::vec(1.0f64..40.0, 3),
            second in prop::collection::vec(1.0f64..40.0, 3),
        ) {
            let found = compare(&profile(&first), &profile(&second));
            let max = |scores: &[f64]| scores.iter().copied().fold(0.0, f64::max);
            let min = |scores: &[f64]| scores.iter().copied().fold(f64::INFINITY, f64::min);
            prop_assert_eq!(found.above(), max(&first).total_cmp(&max(&second)));
            prop_assert_eq!(found.below, min(&first).total_cmp(&min(&second)));
        }
    }
}
