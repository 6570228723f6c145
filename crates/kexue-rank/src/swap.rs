//! The exponents at which two systems swap under the power mean.
//!
//! Write the scores of two systems as a list of logarithms u with coefficients c: positive weights for the first system, negative ones for the
//! second; common scores cancel. The difference of their p-th power sums is `E(p) = Σ cᵢ exp(p uᵢ)`, and the first system has the larger power
//! mean if `H(p) = E(p)/p` is positive, with `H(0) = Σ cᵢ uᵢ` for the geometric mean.
//!
//! - **Dominance.** With `F(u)` the sum of the coefficients at u and above, `H(p) = ∫ F(u) exp(pu) du`, so H has at most as many
//!   zeros as F has changes of sign (the variation-diminishing property of the exponential kernel). If F has none, one system
//!   leads under *every* increasing function of the scores, powers or not.
//! - **One change** gives exactly one swap.
//! - **More changes** are decided by interval arithmetic. Let P and N be the sums of the positive and the negative terms; `E > 0` if and only if
//!   `D(p) = ln P(p) − ln N(p) > 0`. ln P and ln N are convex, so their slopes at the ends of an interval enclose the slope of D inside it. An
//!   interval is done if D cannot reach zero in it, or if D has opposite signs at its ends and a slope that cannot change sign; then it has one
//!   zero, which is refined. Otherwise the interval is halved. There are no zeros beyond the exponents at which the largest or the smallest
//!   score outweighs all others together.
//! - **Close systems**: if P and N differ little, the above would halve for long. The integrals of the positive and of the negative part of F
//!   ([`crate::area`]) then replace P and N; they do not overlap, however close the scores are. This always works, but each evaluation is slower,
//!   so the sums of powers are tried first.

use std::cmp::Ordering;

use crate::area::Area;
use crate::power_sum::{LogConvex, LogSum, Terms};

/// How two systems compare under the power means of all exponents.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The order of the two means for exponents far below zero; `Equal` if the scores are the same.
    pub below: Ordering,
    /// The finite exponents at which the order swaps, ascending.
    pub swaps: Vec<f64>,
    /// Whether the order holds for every increasing function of the scores. There are then no swaps.
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

/// The number of grid exponents on either side of zero: from 1/8 to 1024 in steps of a third of an octave.
const SIDE: usize = 40;
/// The index of the exponent zero in the grid.
const ZERO: usize = SIDE;

/// The grid of exponents at which the power sum of every system is computed in advance, ascending. It is dense enough to decide most pairs.
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

/// The scores of one system, prepared for comparison.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Logarithms of the scores, descending.
    logs: Vec<f64>,
    /// Their weights.
    weights: Vec<f64>,
    /// The power sums at the exponents of [`GRID`].
    grid: [LogSum; GRID.len()],
    /// Logarithms of the means at −∞, at the exponents of [`GRID`], and at ∞; ascending.
    means: [f64; GRID.len() + 2],
    /// Whether all weights are the same.
    equal_weights: bool,
}

impl Profile {
    /// Prepares the scores of a system, with weights that sum to 1. All scores must be positive.
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

    /// Whether this system's mean at each grid exponent is above the other's at the next one. Since means increase with the exponent, this
    /// system then leads at every exponent.
    fn clearly_above(&self, other: &Self) -> bool {
        self.means
            .iter()
            .zip(&other.means[1..])
            .all(|(mine, theirs)| *mine > theirs + 1e-12)
    }
}

/// Compares two systems at all exponents.
pub fn compare(first: &Profile, second: &Profile) -> Comparison {
    if first.equal_weights && second.equal_weights && first.logs.len() == second.logs.len() {
        // With equal weights F changes sign where the sorted scores do.
        let (mut above, mut below, mut changes) = (Ordering::Equal, Ordering::Equal, 0);
        for (a, b) in first.logs.iter().zip(&second.logs) {
            let now = order(*a, *b);
            if now != Ordering::Equal {
                changes += usize::from(now == below.reverse());
                above = if above == Ordering::Equal { now } else { above };
                below = now;
            }
        }
        let settled = |dominance| Comparison {
            below,
            swaps: Vec::new(),
            dominance,
        };
        if changes == 0 {
            return settled(true);
        }
        if first.clearly_above(second) || second.clearly_above(first) {
            return settled(false);
        }
        let pair = Pair {
            positive: first.terms(),
            negative: second.terms(),
        };
        let known: [Value; GRID.len()] = std::array::from_fn(|index| Value {
            exponent: GRID[index],
            difference: first.grid[index].value - second.grid[index].value,
            positive_slope: first.grid[index].slope,
            negative_slope: second.grid[index].slope,
        });
        let swaps = if changes == 1 {
            only_zero(&pair, &known, above).map(|zero| vec![zero])
        } else {
            zeros(&pair, &known)
        };
        if let Some(swaps) = swaps {
            return Comparison {
                below,
                swaps: rounded(swaps),
                dominance: false,
            };
        }
    }
    compare_areas(first, second)
}

/// Compares two systems by the areas of F. Works for any weights, however close the scores are.
fn compare_areas(first: &Profile, second: &Profile) -> Comparison {
    let (positive, negative) = Area::of_running_sums(&merge(first.terms(), second.terms()));
    let (ahead, behind) = match (positive.ends(), negative.ends()) {
        (Some(ahead), Some(behind)) => (ahead, behind),
        (ahead, behind) => {
            return Comparison {
                below: ahead.is_some().cmp(&behind.is_some()),
                swaps: Vec::new(),
                dominance: true,
            };
        }
    };
    let pair = Pair { positive, negative };
    let (left, right) = (pair.at(-1.0), pair.at(1.0));
    let mut swaps = Vec::new();
    close_interval(&pair, left, right, &mut swaps, u32::MAX);
    for (mut inner, side) in [(left, -1.0), (right, 1.0)] {
        let reach = |(top, bottom): (f64, f64)| if side > 0.0 { top } else { -bottom };
        // Far out, the system with the more extreme score leads, and its slope exceeds any slope of the other's.
        let settled = |value: &Value| {
            if reach(ahead) > reach(behind) {
                value.difference > 0.0 && side * value.positive_slope >= reach(behind)
            } else {
                value.difference < 0.0 && side * value.negative_slope >= reach(ahead)
            }
        };
        while !settled(&inner) && inner.exponent.abs() < FARTHEST {
            let outer = pair.at(2.0 * inner.exponent);
            let (low, high) = if side < 0.0 { (outer, inner) } else { (inner, outer) };
            close_interval(&pair, low, high, &mut swaps, u32::MAX);
            inner = outer;
        }
    }
    Comparison {
        // The lowest score decides far below zero. It belongs to the other system if F is positive down to it.
        below: behind.1.total_cmp(&ahead.1),
        swaps: rounded(swaps),
        dominance: false,
    }
}

/// Exponents in ascending order, with those near 0 and 1 freed from rounding errors.
fn rounded(mut exponents: Vec<f64>) -> Vec<f64> {
    exponents
        .iter_mut()
        .for_each(|exponent| *exponent = (*exponent * 1e12).round() / 1e12 + 0.0);
    exponents.sort_unstable_by(f64::total_cmp);
    exponents
}

/// The order of two logarithms; equal if they differ by no more than the rounding error of a score.
fn order(first: f64, second: f64) -> Ordering {
    const ROUNDING: f64 = 4e-15;
    if (first - second).abs() <= ROUNDING {
        Ordering::Equal
    } else {
        first.total_cmp(&second)
    }
}

/// The terms of both systems in descending order of the logarithm. Equal logarithms become one term.
fn merge(first: Terms<'_>, second: Terms<'_>) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = Vec::with_capacity(first.logs.len() + second.logs.len());
    let (mut i, mut j) = (0, 0);
    loop {
        let side = match (first.logs.get(i), second.logs.get(j)) {
            (Some(a), Some(b)) => order(*a, *b),
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (None, None) => return out,
        };
        let (mut log, mut coefficient) = (f64::NAN, 0.0);
        if side != Ordering::Greater {
            (log, coefficient) = (second.logs[j], -second.weights[j]);
            j += 1;
        }
        if side != Ordering::Less {
            log = first.logs[i];
            coefficient += first.weights[i];
            i += 1;
        }
        match out.last_mut() {
            Some(last) if last.0 == log => last.1 += coefficient,
            _ => out.push((log, coefficient)),
        }
    }
}

/// Two sums with convex logarithms.
struct Pair<S> {
    positive: S,
    negative: S,
}

/// The logarithms of both sums at an exponent.
#[derive(Clone, Copy)]
struct Value {
    exponent: f64,
    /// D: the logarithm of the positive sum minus that of the negative one.
    difference: f64,
    /// Slopes of the two logarithms.
    positive_slope: f64,
    negative_slope: f64,
}

/// The value and the slope of a function whose zero is sought.
#[derive(Clone, Copy)]
struct Point {
    at: f64,
    value: f64,
    slope: f64,
}

impl Value {
    /// The derivative of D.
    fn slope(&self) -> f64 {
        self.positive_slope - self.negative_slope
    }

    /// The difference of the logarithms of the means, for sums of powers: D/p, and its limit at 0.
    fn lead(&self) -> f64 {
        if self.exponent == 0.0 {
            self.slope()
        } else {
            self.difference / self.exponent
        }
    }

    /// The order of the means, for sums of powers; `None` if it may be due to rounding.
    fn order(&self) -> Option<Ordering> {
        const NOISE: f64 = 1e-11;
        let size = self.positive_slope.abs() + self.negative_slope.abs();
        let noise = if self.exponent == 0.0 {
            size
        } else {
            1.0 / self.exponent.abs() + size
        };
        let lead = self.lead();
        (lead.abs() > NOISE * noise).then(|| lead.total_cmp(&0.0))
    }

    /// D.
    fn point(&self) -> Point {
        Point {
            at: self.exponent,
            value: self.difference,
            slope: self.slope(),
        }
    }

    /// D/p.
    fn lead_point(&self) -> Point {
        let lead = self.lead();
        Point {
            at: self.exponent,
            value: lead,
            // Unknown at 0, where it is not needed.
            slope: (self.slope() - lead) / self.exponent,
        }
    }
}

impl<S: LogConvex> Pair<S> {
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

/// The largest exponent that is searched.
const FARTHEST: f64 = 1e15;

/// The only zero of the lead of sums of powers; above it the order is `above`. `None` if the systems are too close.
fn only_zero(pair: &Pair<Terms<'_>>, known: &[Value; GRID.len()], above: Ordering) -> Option<f64> {
    let refined = |low: Value, high: Value| {
        if low.exponent < 0.0 && high.exponent > 0.0 || low.exponent == 0.0 || high.exponent == 0.0 {
            refine(low.lead_point(), high.lead_point(), |p| pair.at(p).lead_point())
        } else {
            refine(low.point(), high.point(), |p| pair.at(p).point())
        }
    };
    // The order changes between two neighbours with certain orders.
    let turned = known.iter().position(|value| value.order() == Some(above));
    match turned {
        Some(index) if index > 0 => {
            known[index - 1].order()?;
            return Some(refined(known[index - 1], known[index]));
        }
        Some(_) | None => {}
    }
    // Or beyond the grid, where the highest or the lowest score decides.
    let (mut inner, target) = match turned {
        Some(_) => (known[0], above.reverse()),
        None => (known[GRID.len() - 1], above),
    };
    inner.order()?;
    loop {
        let outer = pair.at(2.0 * inner.exponent);
        if outer.order()? == target {
            let (low, high) = if outer.exponent < inner.exponent {
                (outer, inner)
            } else {
                (inner, outer)
            };
            return Some(refined(low, high));
        }
        if outer.exponent.abs() > FARTHEST {
            return None;
        }
        inner = outer;
    }
}

/// All zeros of the lead of sums of powers; `None` if the systems are too close.
fn zeros(pair: &Pair<Terms<'_>>, known: &[Value; GRID.len()]) -> Option<Vec<f64>> {
    /// The number of halvings of an interval after which the systems count as close.
    const HALVINGS: u32 = 10;
    if known.iter().any(|value| value.order().is_none()) {
        return None;
    }
    let (lowest, highest) = pair.reach()?;
    let mut found = Vec::new();
    let mut close = |low: Value, high: Value| close_interval(pair, low, high, &mut found, HALVINGS).then_some(());
    for index in 0..GRID.len() - 1 {
        if index + 1 != ZERO && index != ZERO {
            close(known[index], known[index + 1])?;
        }
    }
    if lowest < GRID[0] {
        close(pair.at(lowest), known[0])?;
    }
    if highest > GRID[GRID.len() - 1] {
        close(known[GRID.len() - 1], pair.at(highest))?;
    }

    // D has a zero at p = 0 that is not a swap. There the lead D/p is enclosed instead, which is the mean slope of D from 0 to p.
    let zero = known[ZERO];
    for mut outer in [known[ZERO - 1], known[ZERO + 1]] {
        let ordered = |a: Value, b: Value| if a.exponent < b.exponent { (a, b) } else { (b, a) };
        for halving in 0.. {
            let (low, high) = ordered(outer, zero);
            let (least, most) = slopes(low, high);
            if least > 0.0 || most < 0.0 {
                break;
            }
            if halving == HALVINGS {
                return None;
            }
            let inner = pair.at(0.5 * outer.exponent);
            inner.order()?;
            let (low, high) = ordered(outer, inner);
            close(low, high)?;
            outer = inner;
        }
    }
    Some(found)
}

impl Pair<Terms<'_>> {
    /// The exponents below and above which there are no zeros; `None` if both systems have the same score at an end, or none.
    fn reach(&self) -> Option<(f64, f64)> {
        // From some exponent on, the extreme term alone outweighs all terms of the other system, whose weights sum to 1.
        let bound = |a: (f64, f64), b: (f64, f64), leader: Ordering| {
            let order = order(a.0, b.0);
            let weight = if order == leader { a.1 } else { b.1 };
            (order != Ordering::Equal).then(|| (-weight.ln() / (a.0 - b.0).abs()).clamp(1.0, FARTHEST))
        };
        let (a, b) = (self.positive, self.negative);
        let first = |terms: Terms<'_>| Some((*terms.logs.first()?, *terms.weights.first()?));
        let last = |terms: Terms<'_>| Some((*terms.logs.last()?, *terms.weights.last()?));
        let lowest = bound(last(a)?, last(b)?, Ordering::Less)?;
        let highest = bound(first(a)?, first(b)?, Ordering::Greater)?;
        Some((-lowest, highest))
    }
}

/// Bounds of the slope of D between two exponents, since the slopes of both logarithms increase.
fn slopes(low: Value, high: Value) -> (f64, f64) {
    (
        low.positive_slope - high.negative_slope,
        high.positive_slope - low.negative_slope,
    )
}

/// Finds the zeros of D inside an interval. For sums of powers, the interval must not contain p = 0. `false` if `halvings` are not enough.
fn close_interval<S: LogConvex>(pair: &Pair<S>, low: Value, high: Value, found: &mut Vec<f64>, halvings: u32) -> bool {
    let width = high.exponent - low.exponent;
    let (least, most) = slopes(low, high);
    let (left, right) = (low.difference, high.difference);
    let narrow = width < 1e-9 * (1.0 + low.exponent.abs());
    if (left > 0.0) != (right > 0.0) {
        if least > 0.0 || most < 0.0 || narrow {
            found.push(refine(low.point(), high.point(), |p| pair.at(p).point()));
            return true;
        }
    } else {
        // D cannot cross two lines; their intersection is the closest that D can come to zero.
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
        // Two zeros closer than this make no visible difference.
        if nearest > 0.0 || narrow {
            return true;
        }
    }
    if halvings == 0 {
        return false;
    }
    let middle = pair.at(0.5 * (low.exponent + high.exponent));
    close_interval(pair, low, middle, found, halvings - 1) && close_interval(pair, middle, high, found, halvings - 1)
}

/// Finds the zero of a function between two points with opposite signs, by Newton's method safeguarded by bisection.
fn refine(low: Point, high: Point, function: impl Fn(f64) -> Point) -> f64 {
    let (mut low, mut high) = (low, high);
    let sign = low.value > 0.0;
    let mut at = cubic_zero(low, high);
    let mut last_width = f64::INFINITY;
    for round in 0..200 {
        let width = high.at - low.at;
        // Newton's steps approach from one side. If they do not shrink the bracket, it is halved now and then.
        let inside = at > low.at && at < high.at;
        if !inside || round % 8 == 7 && width > 0.25 * last_width {
            at = 0.5 * (low.at + high.at);
        }
        if round % 8 == 7 {
            last_width = width;
        }
        let point = function(at);
        if point.value == 0.0 {
            return at;
        }
        let step = point.value / point.slope;
        if (point.value > 0.0) == sign {
            low = point;
        } else {
            high = point;
        }
        // The error after a step is of the order of the step's square.
        let (close, closest) = (1e-8 * (1.0 + at.abs()), 1e-13 * (1.0 + at.abs()));
        if step.abs() <= close {
            return (at - step).clamp(low.at, high.at);
        }
        if high.at - low.at <= closest {
            return at;
        }
        at -= step;
    }
    at
}

/// The zero of the cubic with the values and slopes of two points, or of the straight line through them.
fn cubic_zero(low: Point, high: Point) -> f64 {
    let width = high.at - low.at;
    let (f, g) = (low.value, high.value);
    let (df, dg) = (low.slope * width, high.slope * width);
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
    low.at + t * width
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
        assert_eq!(
            compare(&profile(&[9.0, 19.0, 34.0, 33.0]), &profile(&[36.0, 4.0, 34.0, 21.0])).swaps,
            [1.0]
        );
        let found = compare(&profile(&[4.0, 1.0]), &profile(&[2.5, 2.5])).swaps;
        assert_eq!(found, [1.0]);
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

    #[test]
    fn scores_that_differ_by_their_rounding_are_equal() {
        let (mean, direct) = ((93.9 + 91.8) / 2.0, 92.85);
        let found = compare(&profile(&[mean, 0.1 + 0.2, 7.0]), &profile(&[direct, 0.3, 7.0]));
        assert_eq!((found.below, found.dominance), (Ordering::Equal, true));
        let weighted = |scores| Profile::new(scores, &[0.5, 0.3, 0.2]);
        let found = compare(&weighted(&[mean, 0.1 + 0.2, 7.0]), &weighted(&[direct, 0.3, 7.0]));
        assert_eq!((found.below, found.dominance), (Ordering::Equal, true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]

        #[test]
        fn systems_however_close_swap_where_their_difference_does(
            scores in prop::collection::vec((20u32..100, -9i32..=9), 3..9), gap in prop_oneof![Just(1e-6), Just(1e-8), Just(1e-10)],
        ) {
            let second: Vec<f64> = scores.iter().map(|(score, _)| f64::from(*score)).collect();
            let first: Vec<f64> = scores.iter().map(|(score, d)| f64::from(*score) * (1.0 + gap * f64::from(*d))).collect();
            let found = compare(&profile(&first), &profile(&second));
            // To first order in the gap H(p) = Σ d sᵖ.
            let limit = |p: f64| {
                let terms = scores.iter().map(|(score, d)| (f64::from(*d), (f64::from(*score) / 45.0).powf(p)));
                let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), (d, power)| (sum + d * power, size + d.abs() * power));
                sum / size
            };
            for p in (-3000..=3000).map(|step| f64::from(step) * 0.01) {
                let expected = limit(p);
                if expected.abs() > 1e-3 {
                    prop_assert_eq!(found.at(p), expected.total_cmp(&0.0), "at {}: {:?}", p, found);
                }
            }
        }

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
