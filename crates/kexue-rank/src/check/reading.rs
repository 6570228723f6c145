//! The ways to interpret the columns of a table before they are averaged.

use crate::join::stem;
use crate::subsets::MOST;
use crate::table::{Table, normalise};

use super::explanation::{Fit, Formula};
use super::question::BINARY;

/// A row that a rule explains: the row, the value by the rule, and how it reproduces the claim.
pub(super) type Met = (usize, f64, Fit);

/// A way to interpret the columns.
pub(super) struct Reading {
    /// In words, as the end of a phrase that begins with "with"; empty for the columns as printed.
    pub label: String,
    /// The number of decisions that it takes.
    pub cost: usize,
    /// The reading that this one is a variant of, with the same columns.
    pub base: usize,
    /// Whether a missing score counts as zero.
    pub zeros: bool,
    pub units: Vec<Unit>,
}

/// A column of a reading.
#[derive(Clone)]
pub(super) struct Unit {
    pub name: String,
    /// `values[row]`; NaN if missing.
    pub values: Vec<f64>,
    /// Rows in which a zero replaces a missing score.
    pub filled: Vec<usize>,
    /// Half of the last printed digit.
    rounding: f64,
}

impl Unit {
    fn new(name: String, values: Vec<f64>, decimals: u8) -> Self {
        Self {
            name,
            values,
            filled: Vec::new(),
            rounding: 0.5 * 10f64.powi(-i32::from(decimals)),
        }
    }
}

impl Reading {
    /// The averages of other columns as columns.
    pub fn of_averages(table: &Table, claims: &[usize]) -> Self {
        let names: Vec<&str> = claims.iter().map(|&claim| table.claims[claim].name.as_str()).collect();
        Self {
            label: format!("the averages {} as columns", names.join(", ")),
            cost: 0,
            base: 0,
            zeros: false,
            units: claims
                .iter()
                .map(|&claim| &table.claims[claim])
                .map(|claim| Unit::new(claim.name.clone(), claim.values.clone(), claim.decimals))
                .collect(),
        }
    }

    /// The value of a formula for a row, over the columns that it has and that are not left out; `None` if it is not defined.
    pub fn value(&self, formula: Formula, left_out: u64, row: usize) -> Option<f64> {
        self.moved_value(formula, left_out, row, 0.0)
    }

    /// The same with every score shifted by a fraction of half its last digit.
    fn moved_value(&self, formula: Formula, left_out: u64, row: usize, part: f64) -> Option<f64> {
        let scores: Vec<f64> = (0..self.units.len())
            .filter(|&index| left_out >> index & 1 == 0)
            .map(|index| self.moved_score(index, row, part))
            .filter(|value| !value.is_nan())
            .collect();
        if scores.is_empty() {
            return None;
        }
        let value = match formula {
            Formula::Mean(mean) => mean.of(&scores, &vec![1.0 / scores.len() as f64; scores.len()]),
            Formula::Sum => scores.iter().sum(),
            Formula::Weighted => return None,
        };
        value.is_finite().then_some(value)
    }

    /// A score shifted by a fraction of half its last digit. A zero that replaces a missing score stays.
    fn moved_score(&self, index: usize, row: usize, part: f64) -> f64 {
        let unit = &self.units[index];
        if unit.filled.contains(&row) {
            0.0
        } else {
            unit.values[row] + part * unit.rounding
        }
    }

    /// Whether the formula's value for the printed scores is within `half` of the claim.
    pub fn meets(&self, formula: Formula, left_out: u64, row: usize, claimed: f64, half: f64) -> bool {
        self.value(formula, left_out, row)
            .is_some_and(|value| (value - claimed).abs() <= half)
    }

    /// The formula's value and how it reproduces a claim, if it does.
    pub fn fit(&self, formula: Formula, left_out: u64, row: usize, claimed: f64, half: f64) -> Option<(f64, Fit)> {
        fit(claimed, half, |part| self.moved_value(formula, left_out, row, part))
    }

    /// The weighted mean of a row and how it reproduces a claim, if it does. The weights must sum to 1.
    pub fn weighted_fit(&self, weights: &[f64], row: usize, claimed: f64, half: f64) -> Option<(f64, Fit)> {
        fit(claimed, half, |part| {
            let terms = weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0);
            let scores = terms.map(|(index, weight)| weight * self.moved_score(index, row, part));
            Some(scores.sum())
        })
    }

    /// The maximum shift of a mean by rounding.
    pub fn rounding(&self) -> f64 {
        self.units.iter().map(|unit| unit.rounding).fold(0.0, f64::max)
    }

    /// Whether a row lacks a score that this reading fills or skips.
    pub fn lacks(&self, row: usize) -> bool {
        self.units
            .iter()
            .any(|unit| unit.values[row].is_nan() || unit.filled.contains(&row))
    }
}

/// How a mean reproduces a claim, if it does. `mean` takes the fraction of half its last digit by which every score is shifted.
fn fit(claimed: f64, half: f64, mean: impl Fn(f64) -> Option<f64>) -> Option<(f64, Fit)> {
    let value = mean(0.0)?;
    // A mean half way between two claims may be rounded to either.
    if (value - claimed).abs() <= half {
        return Some((value, Fit::Printed));
    }
    // All means increase with every score. A range that only touches that of the claim does not count: every score would be half way between
    // two, rounded one way, and their mean the other way.
    let inside = half - 2.0 * BINARY - 1e-13 * claimed.abs();
    (mean(-1.0)? - claimed < inside && claimed - mean(1.0)? < inside).then_some((value, Fit::BeforeRounding))
}

/// All readings of a table, the simplest first.
pub(super) fn readings(table: &Table) -> Vec<Reading> {
    let as_printed: Vec<Unit> = table
        .tasks
        .iter()
        .map(|task| Unit::new(task.name.clone(), task.scores().into_owned(), task.decimals))
        .collect();
    let mut readings: Vec<(String, usize, Vec<Unit>)> = vec![(String::new(), 0, as_printed)];

    // `MNLI-m` and `MNLI-mm` may be one task.
    let stem_of = |index: usize| stem(&table.tasks[index].name).map(normalise);
    let shared = |index: usize| {
        let own = stem_of(index)?;
        let others = (0..table.tasks.len()).filter(|&other| other != index);
        others
            .into_iter()
            .any(|other| stem_of(other).as_ref() == Some(&own))
            .then_some(())?;
        stem(&table.tasks[index].name).map(str::to_owned)
    };
    if let Some((units, merges)) = merged(table, &shared) {
        let parts: Vec<String> = merges.iter().map(|members| members.join(" and ")).collect();
        readings.push((format!("{} as one task", parts.join(", and ")), 1, units));
    }
    if let Some((units, _)) = merged(table, &|index| table.tasks[index].group.clone()) {
        readings.push(("every group of columns as one task".to_owned(), 1, units));
    }
    if table.tasks.iter().any(|task| task.metrics.len() > 1) {
        let pick = |metric: &dyn Fn(usize) -> usize| -> Vec<Unit> {
            table
                .tasks
                .iter()
                .map(|task| {
                    Unit::new(
                        task.name.clone(),
                        task.metrics[metric(task.metrics.len())].clone(),
                        task.decimals,
                    )
                })
                .collect()
        };
        readings.push(("the first metric of each cell".to_owned(), 1, pick(&|_| 0)));
        readings.push(("the last metric of each cell".to_owned(), 1, pick(&|count| count - 1)));
        let mut units = Vec::new();
        for task in &table.tasks {
            for (number, metric) in task.metrics.iter().enumerate() {
                let several = task.metrics.len() > 1;
                let name = if several {
                    format!("{} ({})", task.name, number + 1)
                } else {
                    task.name.clone()
                };
                units.push(Unit::new(name, metric.clone(), task.decimals));
            }
        }
        readings.push(("every metric as a separate column".to_owned(), 1, units));
    }
    readings.retain(|(_, _, units)| units.len() <= MOST);

    let mut all: Vec<Reading> = readings
        .into_iter()
        .enumerate()
        .map(|(base, (label, cost, units))| Reading {
            label,
            cost,
            base,
            zeros: false,
            units,
        })
        .collect();
    // Some leaderboards count missing scores as zero.
    let filled: Vec<Reading> = all.iter().filter_map(with_zeros).collect();
    all.extend(filled);
    all
}

fn with_zeros(reading: &Reading) -> Option<Reading> {
    let mut units = reading.units.clone();
    for unit in &mut units {
        for row in 0..unit.values.len() {
            if unit.values[row].is_nan() {
                unit.values[row] = 0.0;
                unit.filled.push(row);
            }
        }
    }
    if units.iter().all(|unit| unit.filled.is_empty()) {
        return None;
    }
    let label = if reading.label.is_empty() {
        "missing scores as zero".to_owned()
    } else {
        format!("{}, missing scores as zero", reading.label)
    };
    Some(Reading {
        label,
        cost: reading.cost + 1,
        base: reading.base,
        zeros: true,
        units,
    })
}

/// Merges columns with the same key; also returns the merged names. `None` if no two columns have the same key.
fn merged(table: &Table, key: &dyn Fn(usize) -> Option<String>) -> Option<(Vec<Unit>, Vec<Vec<String>>)> {
    let mut groups: Vec<(Option<String>, Vec<usize>)> = Vec::new();
    for index in 0..table.tasks.len() {
        let key = key(index);
        match groups.iter_mut().find(|(known, _)| key.is_some() && *known == key) {
            Some((_, members)) => members.push(index),
            None => groups.push((key, vec![index])),
        }
    }
    let names = |members: &[usize]| members.iter().map(|&member| table.tasks[member].name.clone()).collect();
    let merges: Vec<Vec<String>> = groups
        .iter()
        .filter(|(_, members)| members.len() > 1)
        .map(|(_, members)| names(members))
        .collect();
    if merges.is_empty() {
        return None;
    }
    let units = groups.into_iter().map(|(key, members)| {
        let parts: Vec<_> = members.iter().map(|&member| table.tasks[member].scores()).collect();
        let count = parts.len() as f64;
        let values = (0..table.systems.len())
            .map(|row| parts.iter().map(|part| part[row]).sum::<f64>() / count)
            .collect();
        let name = match key {
            Some(key) if members.len() > 1 => key,
            _ => table.tasks[members[0]].name.clone(),
        };
        let decimals = members
            .iter()
            .map(|&member| table.tasks[member].decimals)
            .min()
            .unwrap_or(0);
        Unit::new(name, values, decimals)
    });
    Some((units.collect(), merges))
}
