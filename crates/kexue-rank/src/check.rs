//! Which mean, over which columns, reproduces a printed average?
//!
//! A claim is explained by a [`Rule`]: a mean, a reading of the columns, and the columns it leaves out. Rules are sought for some
//! rows by meeting in the middle over all subsets of columns, fewest left out first, and tried on all rows; the rule that
//! explains most rows is taken, and the rest of the rows are explained in the same way. So a table whose averages are honest has
//! one rule for each column of averages, and where systems were averaged over different columns there are several.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::join::stem;
use crate::mean::Mean;
use crate::scores::ranks;
use crate::subsets::{MOST, Subsets};
use crate::table::{Claim, Direction, Table, normalise};

/// What to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The means.
    pub means: Vec<Mean>,
    /// The most columns that an explanation may leave out; by default all but two.
    pub most_left_out: Option<usize>,
    /// Digits behind the decimal mark of the claims, if the table's own (the most of the column) are not what was meant.
    pub decimals: Option<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            means: vec![Mean::ARITHMETIC, Mean::GEOMETRIC, Mean::HARMONIC],
            most_left_out: None,
            decimals: None,
        }
    }
}

/// How well an explanation meets a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The mean of the printed scores, rounded, is the claim.
    Printed,
    /// The claim is the mean of scores that round to the printed ones: it was computed before rounding.
    BeforeRounding,
}

/// One claim that a rule explains.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Explained {
    /// The row.
    pub system: String,
    /// The printed average.
    pub claimed: f64,
    /// The mean by the rule.
    pub value: f64,
    /// How well they meet.
    pub fit: Fit,
    /// Columns of the rule that this row lacks: its mean is over fewer columns than that of the others.
    pub skipped: Vec<String>,
}

/// A way to average that reproduces claims.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Rule {
    /// The mean.
    pub mean: Mean,
    /// How columns are read; empty if as printed, with several metrics of a cell averaged.
    pub reading: String,
    /// The columns it averages.
    pub columns: Vec<String>,
    /// The columns it leaves out.
    pub left_out: Vec<String>,
    /// The claims it explains.
    pub rows: Vec<Explained>,
    /// How many rules that leave out no more columns would reproduce the claim of one row by accident, estimated from how many
    /// come near it. A rule for many rows is met by accident much more rarely.
    pub expected_by_chance: f64,
}

/// A claim that no rule explains.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Unexplained {
    /// The row.
    pub system: String,
    /// The printed average.
    pub claimed: f64,
    /// What each mean of all its columns would be.
    pub means: Vec<(Mean, f64)>,
}

/// The explanations of one column of averages.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ClaimReport {
    /// The heading of the column.
    pub name: String,
    /// Digits behind the decimal mark to which claims were reproduced.
    pub decimals: u8,
    /// The rules, by the number of rows they explain.
    pub rules: Vec<Rule>,
    /// What is left.
    pub unexplained: Vec<Unexplained>,
    /// Systems whose rank changes if all claims are averaged over the columns that they share, by the mean of the first rule:
    /// the name, the rank by the claims and the rank on equal columns.
    pub moved: Vec<(String, usize, usize)>,
    /// The columns on which [`ClaimReport::moved`] is computed; empty if the claims are on equal columns already.
    pub equal_columns: Vec<String>,
}

impl ClaimReport {
    /// The sets of columns that were averaged, with the systems: one if the claims compare like with like.
    pub fn column_sets(&self) -> Vec<(Vec<String>, Vec<String>)> {
        let mut sets: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for rule in &self.rules {
            for row in &rule.rows {
                let columns: Vec<String> = rule
                    .columns
                    .iter()
                    .filter(|column| !row.skipped.contains(column))
                    .cloned()
                    .collect();
                match sets.iter_mut().find(|(known, _)| *known == columns) {
                    Some((_, systems)) => systems.push(row.system.clone()),
                    None => sets.push((columns, vec![row.system.clone()])),
                }
            }
        }
        sets
    }

    /// Whether one mean over one set of columns explains all claims.
    pub fn is_consistent(&self) -> bool {
        self.unexplained.is_empty() && self.rules.len() <= 1 && self.column_sets().len() <= 1
    }
}

/// The explanations of a table's averages.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Check {
    /// One report for each column of averages.
    pub claims: Vec<ClaimReport>,
    /// What is wrong, in words; empty if nothing is.
    pub findings: Vec<String>,
}

impl Check {
    /// Whether every average is explained, over the same columns for all systems and in all columns of averages.
    pub fn is_consistent(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A way to read the table's columns.
struct Reading {
    label: String,
    cost: usize,
    units: Vec<Unit>,
}

struct Unit {
    name: String,
    values: Vec<f64>,
    /// Half of the last printed digit.
    rounding: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Candidate {
    mean: usize,
    reading: usize,
    left_out: u64,
}

/// Explains the averages of a table.
///
/// # Errors
///
/// [`Error::Refused`] if the table has no column of averages, or more columns than can be searched.
pub fn check(table: &Table, options: &Options) -> Result<Check> {
    if table.claims.is_empty() {
        return Err(Error::refused(
            "the table has no column of averages",
            format!("name it with --claims; there are: {}", table.headings.join(", ")),
        ));
    }
    if options.means.is_empty() {
        return Err(Error::refused("no mean to try", "give --mean am,gm,hm"));
    }
    let readings = readings(table);
    if readings[0].units.len() > MOST {
        return Err(Error::refused(
            format!("{} columns have too many subsets", readings[0].units.len()),
            format!("choose at most {MOST} with --columns or --without"),
        ));
    }
    let mut claims: Vec<ClaimReport> = table
        .claims
        .iter()
        .map(|claim| explain(table, claim, &readings, options))
        .collect();
    on_equal_columns(table, &readings, &mut claims);
    let findings = findings(table, &claims);
    Ok(Check { claims, findings })
}

fn readings(table: &Table) -> Vec<Reading> {
    let rounding = |decimals: u8| 0.5 * 10f64.powi(-i32::from(decimals));
    let unit = |name: String, values: Vec<f64>, decimals: u8| Unit {
        name,
        values,
        rounding: rounding(decimals),
    };
    let as_printed: Vec<Unit> = table
        .tasks
        .iter()
        .map(|task| unit(task.name.clone(), task.scores().into_owned(), task.decimals))
        .collect();
    let merged = |key: &dyn Fn(usize) -> Option<String>| -> Option<Vec<Unit>> {
        let mut groups: Vec<(Option<String>, Vec<usize>)> = Vec::new();
        for index in 0..table.tasks.len() {
            let key = key(index);
            match groups.iter_mut().find(|(known, _)| key.is_some() && *known == key) {
                Some((_, members)) => members.push(index),
                None => groups.push((key, vec![index])),
            }
        }
        if groups.iter().all(|(_, members)| members.len() == 1) {
            return None;
        }
        let units = groups.into_iter().map(|(key, members)| {
            let parts: Vec<_> = members.iter().map(|&member| table.tasks[member].scores()).collect();
            let values = (0..table.systems.len())
                .map(|row| parts.iter().map(|part| part[row]).sum::<f64>() / parts.len() as f64)
                .collect();
            let name = match (&key, members.as_slice()) {
                (_, [only]) => table.tasks[*only].name.clone(),
                (Some(key), _) => key.clone(),
                (None, _) => String::new(),
            };
            let decimals = members
                .iter()
                .map(|&member| table.tasks[member].decimals)
                .min()
                .unwrap_or(0);
            unit(name, values, decimals)
        });
        Some(units.collect())
    };

    let mut readings = Vec::new();
    let stems = merged(&|index| {
        let stem = stem(&table.tasks[index].name)?;
        let shared = table
            .tasks
            .iter()
            .enumerate()
            .any(|(other, task)| other != index && self::stem(&task.name).map(normalise) == Some(normalise(stem)));
        shared.then(|| stem.to_owned())
    });
    let groups = merged(&|index| table.tasks[index].group.clone());
    let has_metrics = table.tasks.iter().any(|task| task.metrics.len() > 1);
    readings.push(Reading {
        label: String::new(),
        cost: 0,
        units: as_printed,
    });
    if let Some(units) = stems {
        let names: Vec<&str> = units
            .iter()
            .filter(|unit| !table.tasks.iter().any(|task| task.name == unit.name))
            .map(|unit| unit.name.as_str())
            .collect();
        readings.push(Reading {
            label: format!("the columns of {} as one task each", names.join(", ")),
            cost: 1,
            units,
        });
    }
    if let Some(units) = groups {
        readings.push(Reading {
            label: "every group of columns as one task".to_owned(),
            cost: 1,
            units,
        });
    }
    if has_metrics {
        let pick = |label: &str, metric: &dyn Fn(usize) -> usize| Reading {
            label: label.to_owned(),
            cost: 1,
            units: table
                .tasks
                .iter()
                .map(|task| {
                    unit(
                        task.name.clone(),
                        task.metrics[metric(task.metrics.len())].clone(),
                        task.decimals,
                    )
                })
                .collect(),
        };
        readings.push(pick("the first metric of each cell", &|_| 0));
        readings.push(pick("the last metric of each cell", &|count| count - 1));
        let units: Vec<Unit> = table
            .tasks
            .iter()
            .flat_map(|task| {
                task.metrics.iter().enumerate().map(move |(number, metric)| {
                    let name = if task.metrics.len() > 1 {
                        format!("{} ({})", task.name, number + 1)
                    } else {
                        task.name.clone()
                    };
                    (name, metric.clone(), task.decimals)
                })
            })
            .map(|(name, values, decimals)| unit(name, values, decimals))
            .collect();
        if units.len() <= MOST {
            readings.push(Reading {
                label: "every metric as a column of its own".to_owned(),
                cost: 1,
                units,
            });
        }
    }
    readings
}

/// The printed value is met if the mean is within half of the last digit; the rest allows for binary fractions.
fn half_digit(decimals: u8) -> f64 {
    0.5 * 10f64.powi(-i32::from(decimals)) + 1e-9
}

impl Reading {
    /// The mean by a candidate of a row, over the columns it has; `None` if it has none of them.
    fn mean(&self, mean: Mean, left_out: u64, row: usize, move_by: f64) -> Option<f64> {
        let scores: Vec<f64> = self
            .units
            .iter()
            .enumerate()
            .filter(|(index, _)| left_out >> index & 1 == 0)
            .map(|(_, unit)| unit.values[row] + move_by * unit.rounding)
            .filter(|value| !value.is_nan())
            .collect();
        if scores.is_empty() {
            return None;
        }
        let weights = vec![1.0 / scores.len() as f64; scores.len()];
        let value = mean.of(&scores, &weights);
        value.is_finite().then_some(value)
    }

    fn fit(&self, mean: Mean, left_out: u64, row: usize, claimed: f64, half: f64) -> Option<(f64, Fit)> {
        let value = self.mean(mean, left_out, row, 0.0)?;
        if (value - claimed).abs() <= half {
            return Some((value, Fit::Printed));
        }
        // Means rise with every score.
        let low = self.mean(mean, left_out, row, -1.0)?;
        let high = self.mean(mean, left_out, row, 1.0)?;
        (low - half <= claimed && claimed <= high + half).then_some((value, Fit::BeforeRounding))
    }
}

/// Rows on which rules are sought.
const SAMPLE: usize = 48;
/// Rules kept for each of them, mean and reading, though no other row confirms them.
const RULES_PER_ROW: usize = 64;
/// Subsets looked at for each row, mean and reading.
const MATCHES_PER_ROW: usize = 20_000;
/// Other rows by which a subset is confirmed.
const WITNESSES: usize = 4;

fn explain(table: &Table, claim: &Claim, readings: &[Reading], options: &Options) -> ClaimReport {
    let decimals = options.decimals.unwrap_or(claim.decimals);
    let half = half_digit(decimals);
    let rows: Vec<usize> = (0..table.systems.len())
        .filter(|&row| !claim.values[row].is_nan())
        .collect();
    let cost = |candidate: &Candidate| {
        (
            candidate.left_out.count_ones() as usize + readings[candidate.reading].cost,
            candidate.reading,
            candidate.mean,
            candidate.left_out,
        )
    };

    let mut remaining = rows.clone();
    let mut chosen: Vec<(Candidate, Vec<(usize, f64, Fit)>)> = Vec::new();
    while !remaining.is_empty() {
        let sample_size = if readings[0].units.len() > 24 {
            SAMPLE / 4
        } else {
            SAMPLE
        };
        let step = remaining.len().div_ceil(sample_size);
        let sample: Vec<usize> = remaining.iter().copied().step_by(step).collect();
        let witnesses: Vec<usize> = sample
            .iter()
            .copied()
            .step_by(sample.len().div_ceil(WITNESSES))
            .chain(sample.last().copied())
            .collect();
        let mut candidates: Vec<Candidate> = sample
            .par_iter()
            .flat_map_iter(|&row| candidates(row, &witnesses, claim, half, readings, options))
            .collect();
        // All columns, with what is missing passed over, is always worth a try.
        for reading in 0..readings.len() {
            candidates.extend((0..options.means.len()).map(|mean| Candidate {
                mean,
                reading,
                left_out: 0,
            }));
        }
        candidates.sort_unstable_by_key(&cost);
        candidates.dedup();

        let covered = |candidate: &Candidate, rows: &[usize]| {
            let (mean, reading) = (options.means[candidate.mean], &readings[candidate.reading]);
            rows.iter()
                .filter(|&&row| {
                    reading
                        .mean(mean, candidate.left_out, row, 0.0)
                        .is_some_and(|value| (value - claim.values[row]).abs() <= half)
                })
                .count()
        };
        // Most rows first, then fewest columns left out; on long tables a sample decides who is tried on all.
        let few: Vec<usize> = remaining
            .iter()
            .copied()
            .step_by(remaining.len().div_ceil(512))
            .collect();
        let mut counts: Vec<(usize, Candidate)> = candidates
            .par_iter()
            .map(|candidate| (covered(candidate, &few), *candidate))
            .collect();
        counts.sort_by_key(|(count, candidate)| (std::cmp::Reverse(*count), cost(candidate)));
        counts.truncate(16);
        if few.len() < remaining.len() {
            counts = counts
                .par_iter()
                .map(|(_, candidate)| (covered(candidate, &remaining), *candidate))
                .collect();
            counts.sort_by_key(|(count, candidate)| (std::cmp::Reverse(*count), cost(candidate)));
        }
        let Some(&(count, best)) = counts.first().filter(|(count, _)| *count > 0) else {
            break;
        };

        let (mean, reading) = (options.means[best.mean], &readings[best.reading]);
        let mut explained = Vec::new();
        remaining.retain(|&row| {
            match reading.fit(mean, best.left_out, row, claim.values[row], half) {
                // A rule that many printed scores confirm may also explain what was rounded after averaging.
                Some((value, fit)) if fit == Fit::Printed || count >= 2 => {
                    explained.push((row, value, fit));
                    false
                }
                _ => true,
            }
        });
        chosen.push((best, explained));
    }

    // Whatever no rule reproduces may still be the plain mean of scores before they were rounded.
    for (candidate, explained) in &mut chosen {
        let (mean, reading) = (options.means[candidate.mean], &readings[candidate.reading]);
        remaining.retain(
            |&row| match reading.fit(mean, candidate.left_out, row, claim.values[row], half) {
                Some((value, fit)) => {
                    explained.push((row, value, fit));
                    false
                }
                None => true,
            },
        );
    }
    if chosen.is_empty() {
        for reading in 0..readings.len() {
            for mean in 0..options.means.len() {
                let candidate = Candidate {
                    mean,
                    reading,
                    left_out: 0,
                };
                let mut explained = Vec::new();
                remaining.retain(|&row| {
                    match readings[reading].fit(options.means[mean], 0, row, claim.values[row], half) {
                        Some((value, fit)) => {
                            explained.push((row, value, fit));
                            false
                        }
                        None => true,
                    }
                });
                if !explained.is_empty() {
                    chosen.push((candidate, explained));
                }
            }
        }
    }

    let rules: Vec<Rule> = chosen
        .into_iter()
        .map(|(candidate, mut explained)| {
            explained.sort_unstable_by_key(|(row, _, _)| *row);
            let reading = &readings[candidate.reading];
            let inside = |index: usize| candidate.left_out >> index & 1 == 0;
            let names = |keep: bool| {
                (0..reading.units.len())
                    .filter(|&index| inside(index) == keep)
                    .map(|index| reading.units[index].name.clone())
                    .collect()
            };
            let expected_by_chance = explained.first().map_or(0.0, |(row, _, _)| {
                let allowance = candidate.left_out.count_ones() as usize + reading.cost;
                by_chance(*row, claim.values[*row], half, allowance, readings, options)
            });
            Rule {
                mean: options.means[candidate.mean],
                reading: reading.label.clone(),
                columns: names(true),
                left_out: names(false),
                rows: explained
                    .into_iter()
                    .map(|(row, value, fit)| Explained {
                        system: table.systems[row].name.clone(),
                        claimed: claim.values[row],
                        value,
                        fit,
                        skipped: (0..reading.units.len())
                            .filter(|&index| inside(index) && reading.units[index].values[row].is_nan())
                            .map(|index| reading.units[index].name.clone())
                            .collect(),
                    })
                    .collect(),
                expected_by_chance,
            }
        })
        .collect();
    let unexplained = remaining
        .iter()
        .map(|&row| Unexplained {
            system: table.systems[row].name.clone(),
            claimed: claim.values[row],
            means: options
                .means
                .iter()
                .filter_map(|&mean| Some((mean, readings[0].mean(mean, 0, row, 0.0)?)))
                .collect(),
        })
        .collect();
    ClaimReport {
        name: claim.name.clone(),
        decimals,
        rules,
        unexplained,
        moved: Vec::new(),
        equal_columns: Vec::new(),
    }
}

/// The subsets that reproduce one claim, fewest left out first; of the many that do so by accident, those that reproduce another
/// row's claim as well are kept all.
fn candidates(
    row: usize,
    witnesses: &[usize],
    claim: &Claim,
    half: f64,
    readings: &[Reading],
    options: &Options,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (reading_index, reading) in readings.iter().enumerate() {
        for (mean_index, &mean) in options.means.iter().enumerate() {
            let (mut seen, mut kept) = (0, 0);
            search(reading, mean, row, options.most_left_out, |search| {
                let (low, high) = search.range(claim.values[row], half);
                search.subsets.find(search.left_out, low, high, |mask| {
                    let candidate = Candidate {
                        mean: mean_index,
                        reading: reading_index,
                        left_out: search.spread(mask),
                    };
                    let meets = |&other: &usize| {
                        other != row
                            && reading
                                .mean(mean, candidate.left_out, other, 0.0)
                                .is_some_and(|value| (value - claim.values[other]).abs() <= half)
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

/// How many rules with at most `allowance` columns left out come as near to a claim as rounding allows, expected from how many
/// come within twenty times that.
fn by_chance(row: usize, claimed: f64, half: f64, allowance: usize, readings: &[Reading], options: &Options) -> f64 {
    const WIDER: f64 = 20.0;
    let mut near = 0;
    for reading in readings {
        let Some(most) = allowance.checked_sub(reading.cost) else {
            continue;
        };
        for &mean in &options.means {
            search(
                reading,
                mean,
                row,
                Some(most.min(options.most_left_out.unwrap_or(usize::MAX))),
                |search| {
                    let (low, high) = search.range(claimed, WIDER * half);
                    near += search.subsets.count(search.left_out, low, high);
                    true
                },
            );
        }
    }
    // One of them is the rule itself.
    near.saturating_sub(1) as f64 / WIDER
}

/// One size of subsets of a row's columns under one mean.
struct Search<'a> {
    subsets: &'a Subsets,
    /// Columns left out of those present.
    left_out: usize,
    /// The sum of the transformed scores of all columns present.
    total: f64,
    kept: usize,
    transform: &'a dyn Fn(f64) -> f64,
    /// The index of each column searched among all columns.
    present: &'a [usize],
    /// Columns that are left out in any case.
    forced: u64,
}

impl Search<'_> {
    /// The range in which the sum of what is left out must lie for the mean to be within `half` of the claim.
    fn range(&self, claimed: f64, half: f64) -> (f64, f64) {
        let ends = [claimed - half, claimed + half].map(|mean| self.total - self.kept as f64 * (self.transform)(mean));
        // Sums in binary are off by a little.
        let slack = 1e-12 * self.total.abs().max(1e-300) * self.kept as f64;
        (ends[0].min(ends[1]) - slack, ends[0].max(ends[1]) + slack)
    }

    /// A mask over the columns searched as a mask over all columns; those without a score are not left out but skipped.
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
    mean: Mean,
    row: usize,
    most_left_out: Option<usize>,
    mut visit: impl FnMut(&Search<'_>) -> bool,
) {
    let exponent = match mean {
        Mean::Power(exponent) if exponent.is_finite() => exponent,
        _ => return,
    };
    let transform = move |value: f64| match exponent {
        0.0 => value.max(f64::MIN_POSITIVE).ln(),
        1.0 => value,
        _ => value.max(f64::MIN_POSITIVE).powf(exponent),
    };
    // A score for which the mean is not defined can only have been left out.
    let value = |index: usize| reading.units[index].values[row];
    let present = (0..reading.units.len()).filter(|&index| !value(index).is_nan());
    let (present, forced): (Vec<usize>, Vec<usize>) =
        present.partition(|&index| mean.undefined(value(index)).is_none());
    let transformed: Vec<f64> = present.iter().map(|&index| transform(value(index))).collect();
    let total: f64 = transformed.iter().sum();
    let count = present.len();
    // A mean is of two columns at least; of many columns few can be left out in a search that ends.
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
        let kept = count - left_out;
        let search = Search {
            subsets: &subsets,
            left_out,
            total,
            kept,
            transform: &transform,
            present: &present,
            forced,
        };
        if !visit(&search) {
            return;
        }
    }
}

/// Ranks the systems of every claim that needs it over the columns that all rows of all claims share, by the claim's own mean.
fn on_equal_columns(table: &Table, readings: &[Reading], claims: &mut [ClaimReport]) {
    let sets: Vec<Vec<String>> = claims
        .iter()
        .flat_map(|claim| claim.column_sets().into_iter().map(|(columns, _)| columns))
        .collect();
    for (claim, report) in table.claims.iter().zip(claims) {
        let Some(rule) = report.rules.first() else { continue };
        let Some(reading) = readings.iter().find(|reading| reading.label == rule.reading) else {
            continue;
        };
        let rows: Vec<usize> = (0..table.systems.len())
            .filter(|&row| !claim.values[row].is_nan())
            .collect();
        let mut left_out = 0u64;
        for (index, unit) in reading.units.iter().enumerate() {
            let shared = sets.iter().all(|columns| columns.contains(&unit.name))
                && rows.iter().all(|&row| !unit.values[row].is_nan());
            if !shared {
                left_out |= 1 << index;
            }
        }
        let columns: Vec<String> = reading
            .units
            .iter()
            .enumerate()
            .filter(|(index, _)| left_out >> index & 1 == 0)
            .map(|(_, unit)| unit.name.clone())
            .collect();
        let own = report.column_sets();
        if columns.is_empty() || own.len() == 1 && own[0].0 == columns && report.rules.len() == 1 {
            continue;
        }
        let averages: Option<Vec<f64>> = rows
            .iter()
            .map(|&row| reading.mean(rule.mean, left_out, row, 0.0))
            .collect();
        let Some(averages) = averages else { continue };
        let claimed: Vec<f64> = rows.iter().map(|&row| claim.values[row]).collect();
        let before = ranks(&claimed, Direction::Higher);
        let after = ranks(&averages, Direction::Higher);
        report.moved = rows
            .iter()
            .zip(before.iter().zip(&after))
            .filter(|(_, (before, after))| before != after)
            .map(|(&row, (before, after))| (table.systems[row].name.clone(), *before, *after))
            .collect();
        report.equal_columns = columns;
    }
}

fn findings(table: &Table, claims: &[ClaimReport]) -> Vec<String> {
    let mut findings = Vec::new();
    for claim in claims {
        let sets = claim.column_sets();
        if sets.len() > 1 {
            let parts: Vec<String> = sets
                .iter()
                .map(|(columns, systems)| format!("{} columns for {}", columns.len(), name_systems(systems)))
                .collect();
            findings.push(format!(
                "{}: systems are averaged over different columns: {}.",
                claim.name,
                parts.join("; ")
            ));
        }
        let means: Vec<Mean> = claim
            .rules
            .iter()
            .map(|rule| rule.mean)
            .fold(Vec::new(), |mut known, mean| {
                if !known.contains(&mean) {
                    known.push(mean);
                }
                known
            });
        if means.len() > 1 {
            let names: Vec<String> = means.iter().map(Mean::to_string).collect();
            findings.push(format!(
                "{}: different means for different systems: {}.",
                claim.name,
                names.join(", ")
            ));
        }
        if !claim.unexplained.is_empty() {
            let systems: Vec<String> = claim.unexplained.iter().map(|row| row.system.clone()).collect();
            findings.push(format!(
                "{}: no mean over any columns gives the average of {}.",
                claim.name,
                name_systems(&systems)
            ));
        }
    }
    // Averages of one table should be of the same columns.
    let mut main: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
    for claim in claims {
        if let Some((columns, _)) = claim.column_sets().into_iter().max_by_key(|(_, systems)| systems.len()) {
            match main.iter_mut().find(|(known, _)| *known == columns) {
                Some((_, names)) => names.push(&claim.name),
                None => main.push((columns, vec![&claim.name])),
            }
        }
    }
    if main.len() > 1 {
        let parts: Vec<String> = main
            .iter()
            .map(|(columns, names)| {
                let left_out: Vec<&str> = table
                    .tasks
                    .iter()
                    .map(|task| task.name.as_str())
                    .filter(|task| !columns.iter().any(|column| column == task))
                    .collect();
                let without = if left_out.is_empty() {
                    String::new()
                } else {
                    format!(" (without {})", left_out.join(", "))
                };
                format!("{} over {} columns{without}", names.join(" and "), columns.len())
            })
            .collect();
        findings.push(format!(
            "The averages are not of the same columns: {}.",
            parts.join("; ")
        ));
    }
    findings
}

fn name_systems(systems: &[String]) -> String {
    match systems {
        [] => "none".to_owned(),
        few if few.len() <= 3 => few.join(", "),
        many => format!("{} systems ({}, …)", many.len(), many[..2].join(", ")),
    }
}
