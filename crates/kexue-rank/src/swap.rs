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

/// Exponents at which every system's mean is known beforehand; means rise with the exponent, so two systems whose means at
/// neighbouring exponents do not overlap cannot swap between them.
const GRID: [f64; 23] = [
    f64::NEG_INFINITY,
    -8192.0,
    -1024.0,
    -256.0,
    -64.0,
    -16.0,
    -8.0,
    -4.0,
    -2.0,
    -1.0,
    -0.5,
    0.0,
    0.5,
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    8192.0,
    f64::INFINITY,
];

/// The scores of one system, made ready to be compared.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Logarithms of the scores and their weights, falling.
    terms: Vec<(f64, f64)>,
    /// Logarithms of the power means at the exponents of [`GRID`].
    grid: [f64; GRID.len()],
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
        let extreme = |term: Option<&(f64, f64)>| term.map_or(f64::NAN, |(log, _)| *log);
        let grid = GRID.map(|exponent| {
            if exponent == f64::INFINITY {
                extreme(terms.first())
            } else if exponent == f64::NEG_INFINITY {
                extreme(terms.last())
            } else {
                crate::mean::log_power_mean(exponent, terms.iter().copied())
            }
        });
        Self { terms, grid }
    }

    /// Whether this system leads at every exponent by so much that neighbouring grid exponents do not overlap.
    fn clearly_above(&self, other: &Self) -> bool {
        self.grid
            .iter()
            .zip(&other.grid[1..])
            .all(|(mine, theirs)| *mine > theirs + 1e-12)
    }
}

/// Compares two systems at all exponents.
pub fn compare(first: &Profile, second: &Profile) -> Comparison {
    thread_local! {
        static TERMS: std::cell::RefCell<Vec<(f64, f64)>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    TERMS.with_borrow_mut(|terms| {
        merge(&first.terms, &second.terms, terms);
        compare_terms(first, second, terms)
    })
}

fn compare_terms(first: &Profile, second: &Profile, terms: &[(f64, f64)]) -> Comparison {
    let (Some(top), Some(bottom)) = (terms.first(), terms.last()) else {
        return Comparison {
            below: Ordering::Equal,
            swaps: Vec::new(),
            dominance: true,
        };
    };
    // Far out the extreme term decides: the smallest score drags its owner down.
    let above = order(top.1);
    let below = order(-bottom.1);
    let changes = sign_changes(terms);
    let stable = |dominance| Comparison {
        below,
        swaps: Vec::new(),
        dominance,
    };
    if changes == 0 {
        return stable(true);
    }
    if changes > 1 && (first.clearly_above(second) || second.clearly_above(first)) {
        return stable(false);
    }
    let sums = Sums::new(terms);
    let swaps = if changes == 1 {
        single_swap(&sums, below, above)
    } else {
        all_swaps(&sums, terms)
    };
    Comparison {
        below,
        swaps,
        dominance: false,
    }
}

fn order(value: f64) -> Ordering {
    value.partial_cmp(&0.0).unwrap_or(Ordering::Equal)
}

/// Both systems' terms in falling order of the logarithm; equal logarithms are one term, and cancelled terms are gone.
fn merge(first: &[(f64, f64)], second: &[(f64, f64)], out: &mut Vec<(f64, f64)>) {
    out.clear();
    let (mut a, mut b) = (first.iter().copied().peekable(), second.iter().copied().peekable());
    loop {
        let (log, coefficient) = match (a.peek(), b.peek()) {
            (Some(&x), Some(&y)) if x.0 >= y.0 => {
                a.next();
                x
            }
            (_, Some(&(log, weight))) => {
                b.next();
                (log, -weight)
            }
            (Some(&x), None) => {
                a.next();
                x
            }
            (None, None) => break,
        };
        match out.last_mut() {
            Some(last) if last.0 == log => last.1 += coefficient,
            _ => {
                if out.last().is_some_and(|last| last.1.abs() < 1e-14) {
                    out.pop();
                }
                out.push((log, coefficient));
            }
        }
    }
    if out.last().is_some_and(|last| last.1.abs() < 1e-14) {
        out.pop();
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

/// The positive and the negative terms, logarithms counted from their middle, coefficients summing to 1.
struct Sums {
    positive: Vec<(f64, f64)>,
    negative: Vec<(f64, f64)>,
    /// Largest distance of a logarithm from the middle.
    radius: f64,
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
}

impl Sums {
    fn new(terms: &[(f64, f64)]) -> Self {
        let (top, bottom) = (terms[0].0, terms[terms.len() - 1].0);
        let middle = 0.5 * (top + bottom);
        let side = |sign: f64| {
            let picked: Vec<(f64, f64)> = terms
                .iter()
                .filter(|(_, c)| c * sign > 0.0)
                .map(|(u, c)| (u - middle, c * sign))
                .collect();
            let total: f64 = picked.iter().map(|(_, c)| c).sum();
            picked.into_iter().map(|(u, c)| (u, c / total)).collect::<Vec<_>>()
        };
        Self {
            positive: side(1.0),
            negative: side(-1.0),
            radius: 0.5 * (top - bottom),
        }
    }

    fn at(&self, exponent: f64) -> Value {
        let (positive, positive_slope) = log_sum(&self.positive, exponent, self.radius);
        let (negative, negative_slope) = log_sum(&self.negative, exponent, self.radius);
        Value {
            exponent,
            difference: positive - negative,
            positive_slope,
            negative_slope,
        }
    }
}

/// `ln Σ c exp(p u)` and its derivative by p; the coefficients sum to 1.
fn log_sum(terms: &[(f64, f64)], exponent: f64, radius: f64) -> (f64, f64) {
    if exponent.abs() * radius < 0.5 {
        let (mut less_one, mut moment) = (0.0, 0.0);
        for &(u, c) in terms {
            let part = c * (exponent * u).exp_m1();
            less_one += part;
            moment += (part + c) * u;
        }
        return (less_one.ln_1p(), moment / (1.0 + less_one));
    }
    // Terms fall, so the largest power is at one end.
    let extreme = if exponent > 0.0 { terms.first() } else { terms.last() };
    let shift = extreme.map_or(0.0, |(u, _)| exponent * u);
    let (mut sum, mut moment) = (0.0, 0.0);
    for &(u, c) in terms {
        let part = c * (exponent * u - shift).exp();
        sum += part;
        moment += part * u;
    }
    (shift + sum.ln(), moment / sum)
}

/// F changes sign once: the order far below and far above zero differs, and there is one swap.
fn single_swap(sums: &Sums, below: Ordering, above: Ordering) -> Vec<f64> {
    let middle = order(sums.at(0.0).lead());
    if middle == Ordering::Equal {
        return vec![0.0];
    }
    let (direction, target) = if middle == above { (-1.0, below) } else { (1.0, above) };
    let mut near = 0.0;
    let mut far = direction;
    // The extreme terms decide at a finite exponent; the limit only guards against rounding.
    while order(sums.at(far).lead()) != target {
        near = far;
        far *= 2.0;
        if far.abs() > 1e15 {
            return vec![far];
        }
    }
    vec![refine(sums, near.min(far), near.max(far))]
}

/// All zeros, however many.
fn all_swaps(sums: &Sums, terms: &[(f64, f64)]) -> Vec<f64> {
    let (lowest, highest) = (-root_bound(terms.iter().rev()), root_bound(terms.iter()));
    let mut swaps = Vec::new();
    let zero = sums.at(0.0);
    let mut near: [Value; 2] = [zero; 2];
    for (side, limit) in [(0, lowest), (1, highest)] {
        // From zero outward: D has a zero at p = 0 that is not a swap, so the innermost interval is closed by the slope alone.
        let mut outer = sums.at(limit);
        let mut pending: Vec<(Value, Value)> = Vec::new();
        loop {
            let (low, high) = if side == 0 { (outer, zero) } else { (zero, outer) };
            let least = low.positive_slope - high.negative_slope;
            let most = high.positive_slope - low.negative_slope;
            if least > 0.0 || most < 0.0 {
                break;
            }
            if outer.exponent.abs() < INNERMOST {
                break;
            }
            // Powers of the exponent, so that wide ranges take few steps.
            let factor = if outer.exponent.abs() > 64.0 { 0.125 } else { 0.5 };
            let inner = sums.at(outer.exponent * factor);
            pending.push(if side == 0 { (outer, inner) } else { (inner, outer) });
            outer = inner;
        }
        near[side] = outer;
        while let Some((low, high)) = pending.pop() {
            close_interval(sums, low, high, &mut swaps);
        }
    }
    // What is left around zero holds one swap if the orders on its two sides differ.
    if order(near[0].lead()) != order(near[1].lead()) {
        swaps.push(refine(sums, near[0].exponent, near[1].exponent));
    }
    swaps.sort_unstable_by(f64::total_cmp);
    swaps
}

/// Exponents nearer to zero than this are told apart by the sign at their two sides only.
const INNERMOST: f64 = 1e-7;

/// Beyond this exponent the first term outweighs all others together.
fn root_bound<'a>(mut terms: impl Iterator<Item = &'a (f64, f64)> + Clone) -> f64 {
    let Some(first) = terms.next() else { return 1.0 };
    let others: f64 = terms.clone().map(|(_, c)| c.abs()).sum();
    let gap = terms.next().map_or(1.0, |second| (first.0 - second.0).abs());
    ((others / first.1.abs()).ln() / gap).clamp(1.0, 1e15)
}

/// Finds the zeros of D inside an interval that does not hold p = 0.
fn close_interval(sums: &Sums, low: Value, high: Value, swaps: &mut Vec<f64>) {
    let mut stack = vec![(low, high)];
    while let Some((low, high)) = stack.pop() {
        let width = high.exponent - low.exponent;
        let least = low.positive_slope - high.negative_slope;
        let most = high.positive_slope - low.negative_slope;
        let (left, right) = (low.difference, high.difference);
        let opposite = (left > 0.0) != (right > 0.0);
        if opposite {
            if least > 0.0 || most < 0.0 || width < 1e-9 * (1.0 + low.exponent.abs()) {
                swaps.push(refine(sums, low.exponent, high.exponent));
                continue;
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
            if nearest > 0.0 || width < 1e-9 * (1.0 + low.exponent.abs()) {
                continue;
            }
        }
        let middle = sums.at(0.5 * (low.exponent + high.exponent));
        stack.push((middle, high));
        stack.push((low, middle));
    }
}

/// The zero of the lead between two exponents at which it has opposite signs (Chandrupatla's method).
fn refine(sums: &Sums, low: f64, high: f64) -> f64 {
    let lead = |p: f64| sums.at(p).lead();
    let (mut a, mut b) = (high, low);
    let (mut fa, mut fb) = (lead(a), lead(b));
    let mut t = 0.5;
    for _ in 0..200 {
        let x = a + t * (b - a);
        let fx = lead(x);
        // The point before last, for the interpolation.
        let (c, fc);
        if (fx > 0.0) == (fa > 0.0) {
            (c, fc) = (a, fa);
        } else {
            (c, fc) = (b, fb);
            (b, fb) = (a, fa);
        }
        (a, fa) = (x, fx);
        let (best, value) = if fa.abs() < fb.abs() { (a, fa) } else { (b, fb) };
        let tolerance = 4.0 * f64::EPSILON * best.abs() + 1e-14;
        let limit = tolerance / (b - a).abs();
        if limit > 0.5 || value == 0.0 {
            return best;
        }
        // Inverse quadratic interpolation where the three points allow it, else halving.
        let xi = (a - b) / (c - b);
        let phi = (fa - fb) / (fc - fb);
        t = if phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi {
            fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        } else {
            0.5
        };
        t = t.clamp(limit, 1.0 - limit);
    }
    0.5 * (a + b)
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
