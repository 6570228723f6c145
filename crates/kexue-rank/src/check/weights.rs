//! One set of weights for all rows: given weights, sizes in the headings, small integers, or a least-squares fit.

use crate::scores::shares_of_groups;
use crate::table::{Table, normalise};

use super::nnls::nnls;
use super::options::Options;
use super::question::Question;
use super::reading::{Met, Reading};
use super::search::{LIKELY, ln_binomial};

/// The largest sum of integer weights.
const LARGEST_SUM: usize = 200;
/// The number of iterations that move fitted weights into the ranges that rounding allows.
const ROUNDS: usize = 60;

/// Weights that explain averages.
pub(super) struct Weighted {
    pub reading: usize,
    /// The weights of all columns: integers if these explain the averages, otherwise shares of 1.
    pub weights: Vec<f64>,
    pub met: Vec<Met>,
    /// The number of equally simple sets of weights that would explain as many rows by accident.
    pub by_chance: f64,
}

/// The simplest weights that explain at least four rows of five, and more than chance would.
pub(super) fn one_for_all(
    table: &Table,
    rows: &[usize],
    question: &Question<'_>,
    options: &Options,
) -> Option<Weighted> {
    let mut found: Vec<Weighted> = Vec::new();
    for (index, reading) in question
        .readings
        .iter()
        .enumerate()
        .filter(|(_, reading)| !reading.zeros)
    {
        let fit = WeightFit::new(index, reading, rows, question);
        if fit.rows.is_empty() || reading.units.len() < 2 {
            continue;
        }
        let given = given(table, reading, options).into_iter();
        found.extend(given.map(|weights| fit.weighted(weights, 0.0)));
        found.extend(sizes(reading).map(|weights| fit.weighted(weights, 0.0)));
        found.extend(fit.least_squares());
    }
    let enough = |weighted: &Weighted| 5 * weighted.met.len() >= 4 * rows.len() && weighted.by_chance <= LIKELY;
    found
        .into_iter()
        .filter(enough)
        .min_by(|a, b| b.met.len().cmp(&a.met.len()).then(a.by_chance.total_cmp(&b.by_chance)))
}

/// The given weights, with 1 for the other columns and groups: once as weights of the columns, and once as weights of the groups' means, which
/// columns share by their own weights. Empty if they are not weights of columns of this reading.
fn given(table: &Table, reading: &Reading, options: &Options) -> Vec<Vec<f64>> {
    if options.weights.is_empty() && options.groups.is_empty() {
        return Vec::new();
    }
    let names: Vec<String> = reading.units.iter().map(|unit| normalise(&unit.name)).collect();
    let groups: Vec<Option<String>> = (0..names.len())
        .map(|unit| group_of(table, reading, options, unit))
        .collect();
    let (mut weights, mut of_groups) = (vec![1.0; names.len()], vec![1.0; names.len()]);
    for (name, weight) in &options.weights {
        let by_name = (0..names.len()).filter(|&unit| names[unit] == normalise(name));
        let (mut units, mut factors) = (by_name.collect::<Vec<usize>>(), &mut weights);
        if units.is_empty() {
            let in_group = |unit: &usize| groups[*unit].as_ref() == Some(name);
            (units, factors) = ((0..names.len()).filter(in_group).collect(), &mut of_groups);
        }
        if units.is_empty() {
            return Vec::new();
        }
        units.into_iter().for_each(|unit| factors[unit] *= weight);
    }
    let times = |weights: &[f64]| weights.iter().zip(&of_groups).map(|(a, b)| a * b).collect();
    let mut all = Vec::new();
    if !options.weights.is_empty() {
        all.push(times(&weights));
    }
    if groups.iter().any(Option::is_some) {
        let groups: Vec<Option<&str>> = groups.iter().map(Option::as_deref).collect();
        all.push(times(&shares_of_groups(&weights, &groups)));
    }
    all
}

/// The group of a column, from the options or otherwise from the table's headings.
fn group_of(table: &Table, reading: &Reading, options: &Options, unit: usize) -> Option<String> {
    let name = &reading.units[unit].name;
    let is_member = |member: &String| normalise(member) == normalise(name);
    let set = options.groups.iter().find(|(_, members)| members.iter().any(is_member));
    match set {
        Some((group, _)) => Some(group.clone()),
        None => table.tasks.iter().find(|task| task.name == *name)?.group.clone(),
    }
}

/// The sizes in the headings, if all have one: `STEM (20)`, `Other [11]`, `QA (n=120)`.
fn sizes(reading: &Reading) -> Option<Vec<f64>> {
    let size = |name: &str| -> Option<f64> {
        let open = name.rfind(['(', '['])?;
        let inner = name[open + 1..].trim_end().strip_suffix([')', ']'])?;
        let digits = inner.rsplit('=').next()?.trim().replace(',', "");
        digits.parse::<u32>().ok().filter(|size| *size > 0).map(f64::from)
    };
    reading.units.iter().map(|unit| size(&unit.name)).collect()
}

/// The rows of a reading that have all scores.
struct WeightFit<'a, 'q> {
    index: usize,
    reading: &'a Reading,
    question: &'a Question<'q>,
    rows: Vec<usize>,
    all_rows: usize,
    scores: Vec<Vec<f64>>,
}

impl<'a, 'q> WeightFit<'a, 'q> {
    fn new(index: usize, reading: &'a Reading, rows: &[usize], question: &'a Question<'q>) -> Self {
        let complete: Vec<usize> = rows.iter().copied().filter(|&row| !reading.lacks(row)).collect();
        let scores = |&row: &usize| reading.units.iter().map(|unit| unit.values[row]).collect();
        Self {
            index,
            reading,
            question,
            scores: complete.iter().map(scores).collect(),
            rows: complete,
            all_rows: rows.len(),
        }
    }

    fn claim(&self, row: usize) -> f64 {
        self.question.claim.values[row]
    }

    /// The rows that weights explain.
    fn met(&self, weights: &[f64]) -> Vec<Met> {
        let total: f64 = weights.iter().sum();
        let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let fit = |&row: &usize| {
            let (value, fit) = self
                .reading
                .weighted_fit(&shares, row, self.claim(row), self.question.half)?;
            Some((row, value, fit))
        };
        self.rows.iter().filter_map(fit).collect()
    }

    /// Weights with the rows that they explain; `ln_others` is the logarithm of the number of equally simple weights.
    fn weighted(&self, weights: Vec<f64>, ln_others: f64) -> Weighted {
        let met = self.met(&weights);
        let ln_chance: f64 = met.iter().map(|&(row, _, _)| self.probability(row).ln()).sum();
        let ln_choices = ln_binomial(self.all_rows, met.len());
        Weighted {
            reading: self.index,
            weights,
            by_chance: if met.is_empty() {
                f64::INFINITY
            } else {
                (ln_others + ln_choices + ln_chance).exp()
            },
            met,
        }
    }

    /// The probability that random weights reproduce the claim of a row: the width of the claim's range relative to the spread of weighted means
    /// of the row's scores.
    fn probability(&self, row: usize) -> f64 {
        let scores: Vec<f64> = self.reading.units.iter().map(|unit| unit.values[row]).collect();
        let count = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / count;
        let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / count;
        let spread = (std::f64::consts::TAU * variance / (count + 1.0)).sqrt();
        (2.0 * (self.question.half + self.reading.rounding()) / spread.max(1e-12)).min(1.0)
    }

    /// The least-squares weights, replaced with small integers if these explain as many rows.
    fn least_squares(&self) -> Option<Weighted> {
        let mut shares = self.feasible(&(0..self.rows.len()).collect::<Vec<_>>())?;
        if self.met(&shares).len() < self.rows.len() {
            // A few rows that follow no rule would spoil the fit of the others.
            let residual = |&index: &usize| {
                let value: f64 = self.scores[index].iter().zip(&shares).map(|(x, w)| x * w).sum();
                (value - self.claim(self.rows[index])).abs()
            };
            let mut order: Vec<usize> = (0..self.rows.len()).collect();
            order.sort_by(|a, b| residual(a).total_cmp(&residual(b)));
            order.truncate((4 * self.rows.len()).div_ceil(5));
            let trimmed = self.feasible(&order)?;
            if self.met(&trimmed).len() > self.met(&shares).len() {
                shares = trimmed;
            }
        }
        let most = self.met(&shares).len();
        let width = shares.len();
        let whole = (1..=LARGEST_SUM).find_map(|sum| {
            let weights: Vec<f64> = shares.iter().map(|share| (share * sum as f64).round()).collect();
            let total = weights.iter().sum::<f64>() as usize;
            // The number of sets of non-negative integers with at most this sum.
            (total > 0 && self.met(&weights).len() >= most)
                .then(|| self.weighted(weights, ln_binomial(total + width, width)))
        });
        // Each free weight can reproduce one row by itself.
        let fitted = shares.iter().filter(|share| **share > 0.0).count().saturating_sub(1);
        let probabilities = self.rows.iter().map(|&row| self.probability(row).ln());
        let typical = probabilities.sum::<f64>() / self.rows.len() as f64;
        let real = self.weighted(shares, -typical * fitted as f64);
        [whole, Some(real)]
            .into_iter()
            .flatten()
            .find(|weighted| weighted.by_chance <= LIKELY)
    }

    /// Weights that sum to 1 and fit the claims of the rows `indices`: least squares, then repeatedly least squares to the nearest values within
    /// rounding.
    fn feasible(&self, indices: &[usize]) -> Option<Vec<f64>> {
        let scale = self
            .scores
            .iter()
            .flatten()
            .fold(0.0f64, |most, score| most.max(score.abs()));
        let width = self.reading.units.len();
        // Makes the weights sum to 1, nearly exactly.
        let heavy = 100.0 * scale.max(1.0);
        let mut rows: Vec<Vec<f64>> = indices.iter().map(|&index| self.scores[index].clone()).collect();
        rows.push(vec![heavy; width]);
        let claims: Vec<f64> = indices.iter().map(|&index| self.claim(self.rows[index])).collect();
        let tolerance = 0.8 * (self.question.half + self.reading.rounding());
        let mut targets: Vec<f64> = claims.iter().copied().chain([heavy]).collect();
        let mut shares = Vec::new();
        for _ in 0..ROUNDS {
            shares = nnls(&rows, &targets);
            let total: f64 = shares.iter().sum();
            if !(0.9..1.1).contains(&total) {
                return None;
            }
            shares.iter_mut().for_each(|share| *share /= total);
            let mut moved = false;
            for ((target, claim), row) in targets.iter_mut().zip(&claims).zip(&rows) {
                let value: f64 = row.iter().zip(&shares).map(|(x, w)| x * w).sum();
                let nearest = value.clamp(claim - tolerance, claim + tolerance);
                moved |= (value - nearest).abs() > 0.0;
                *target = nearest;
            }
            if !moved {
                break;
            }
        }
        Some(shares)
    }
}
