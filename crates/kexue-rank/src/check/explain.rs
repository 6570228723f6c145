//! The rules behind one column of averages.

use rayon::prelude::*;

use crate::scores::ranks;
use crate::table::{Claim, Direction, Table};

use super::reading::Reading;
use super::search::{Candidate, by_chance, by_chance_near, candidates};
use super::{ClaimReport, Explained, Fit, Options, Rule, Unexplained};

/// Rows on which rules are sought; fewer if there are many columns.
const SAMPLE: usize = 48;
/// Columns from which on there are many.
const MANY_COLUMNS: usize = 24;
/// Other rows by which a subset is confirmed.
const WITNESSES: usize = 4;
/// A rule for one row alone is only an accident if so many of its kind are expected.
const ACCIDENT: f64 = 0.5;

/// A rule with the rows it explains: row, mean, fit.
type Chosen = (Candidate, Vec<(usize, f64, Fit)>);

/// The printed value is met if the mean is within half of the last digit; the rest allows for binary fractions.
fn half_digit(decimals: u8) -> f64 {
    0.5 * 10f64.powi(-i32::from(decimals)) + 1e-9
}

/// Explains one column of averages: the rule that explains most rows, then that which explains most of the rest, and so on.
pub(super) fn explain(table: &Table, claim: &Claim, readings: &[Reading], options: &Options) -> ClaimReport {
    let decimals = options.decimals.unwrap_or(claim.decimals);
    let half = half_digit(decimals);
    let mut remaining: Vec<usize> = (0..table.systems.len())
        .filter(|&row| !claim.values[row].is_nan())
        .collect();
    let mut chosen: Vec<Chosen> = Vec::new();
    while !remaining.is_empty() {
        let Some((count, best)) = best_rule(&remaining, &chosen, claim, half, readings, options) else {
            break;
        };
        let mut explained = Vec::new();
        // A rule that several printed means confirm may also explain those that were rounded after averaging.
        take(
            &mut remaining,
            &mut explained,
            &best,
            claim,
            half,
            readings,
            options,
            count >= 2,
        );
        chosen.push((best, explained));
    }
    // What no printed mean explains may still be a mean of scores before they were rounded.
    for (candidate, explained) in &mut chosen {
        take(
            &mut remaining,
            explained,
            candidate,
            claim,
            half,
            readings,
            options,
            true,
        );
    }
    for reading in 0..readings.len() {
        for mean in 0..options.means.len() {
            let plain = Candidate {
                mean,
                reading,
                left_out: 0,
            };
            let mut explained = Vec::new();
            if chosen.is_empty() {
                take(
                    &mut remaining,
                    &mut explained,
                    &plain,
                    claim,
                    half,
                    readings,
                    options,
                    true,
                );
            }
            if !explained.is_empty() {
                chosen.push((plain, explained));
            }
        }
    }

    let mut report = ClaimReport {
        name: claim.name.clone(),
        decimals,
        rules: Vec::new(),
        unexplained: Vec::new(),
        moved: Vec::new(),
        equal_columns: Vec::new(),
    };
    let means_of = |row: usize| {
        options
            .means
            .iter()
            .filter_map(|&mean| Some((mean, readings[0].mean(mean, 0, row)?)))
            .collect::<Vec<_>>()
    };
    let mut unexplained: Vec<(usize, Option<String>)> = remaining.into_iter().map(|row| (row, None)).collect();
    for (index, (candidate, explained)) in chosen.iter().enumerate() {
        let mut explained = explained.clone();
        explained.sort_unstable_by_key(|(row, _, _)| *row);
        let Some(&(first_row, _, _)) = explained.first() else {
            continue;
        };
        let claimed = claim.values[first_row];
        let cost = candidate.cost(readings);
        let nearest = chosen[..index]
            .iter()
            .map(|(other, _)| (candidate.distance(other, readings), other))
            .min_by_key(|(d, _)| *d);
        let expected_by_chance = match nearest {
            Some((distance, other)) if distance <= cost => {
                by_chance_near(other, first_row, claimed, half, distance, readings, options)
            }
            _ => by_chance(first_row, claimed, half, cost, readings, options),
        };
        let rule = rule(
            table,
            claim,
            candidate,
            &explained,
            expected_by_chance,
            readings,
            options,
        );
        if index > 0 && explained.len() == 1 && expected_by_chance > ACCIDENT {
            unexplained.push((first_row, Some(rule.in_words())));
        } else {
            report.rules.push(rule);
        }
    }
    unexplained.sort_unstable_by_key(|(row, _)| *row);
    report.unexplained = unexplained
        .into_iter()
        .map(|(row, by_accident)| Unexplained {
            system: table.systems[row].name.clone(),
            claimed: claim.values[row],
            means: means_of(row),
            by_accident,
        })
        .collect();
    report
}

/// The rule that explains most of the remaining rows, the simplest of several, and how many it explains.
fn best_rule(
    remaining: &[usize],
    chosen: &[Chosen],
    claim: &Claim,
    half: f64,
    readings: &[Reading],
    options: &Options,
) -> Option<(usize, Candidate)> {
    let sample_size = if readings[0].units.len() > MANY_COLUMNS {
        SAMPLE / 4
    } else {
        SAMPLE
    };
    let sample: Vec<usize> = remaining
        .iter()
        .copied()
        .step_by(remaining.len().div_ceil(sample_size))
        .collect();
    let witnesses: Vec<usize> = sample
        .iter()
        .copied()
        .step_by(sample.len().div_ceil(WITNESSES))
        .chain(sample.last().copied())
        .collect();
    let mut found: Vec<Candidate> = sample
        .par_iter()
        .flat_map_iter(|&row| candidates(row, &witnesses, claim, half, readings, options))
        .collect();
    // All columns, with what is missing passed over, is always worth a try.
    for reading in 0..readings.len() {
        found.extend((0..options.means.len()).map(|mean| Candidate {
            mean,
            reading,
            left_out: 0,
        }));
    }
    // A rule is as simple as it is by itself, or as a variant of one that other rows have.
    let cost = |candidate: &Candidate| {
        let variant = chosen
            .iter()
            .map(|(other, _)| candidate.distance(other, readings))
            .min();
        let cost = variant.unwrap_or(usize::MAX).min(candidate.cost(readings));
        (cost, candidate.reading, candidate.mean, candidate.left_out)
    };
    found.sort_by_cached_key(cost);
    found.dedup();

    let covered = |candidate: &Candidate, rows: &[usize]| {
        let (mean, reading) = (options.means[candidate.mean], &readings[candidate.reading]);
        rows.iter()
            .filter(|&&row| reading.meets(mean, candidate.left_out, row, claim.values[row], half))
            .count()
    };
    // Found in the order of their cost, so a stable sort by rows leaves the simplest first. On long tables a sample of the rows
    // decides which are tried on all.
    let by_rows = |found: &[Candidate], rows: &[usize]| {
        let mut counts: Vec<(usize, Candidate)> = found
            .par_iter()
            .map(|candidate| (covered(candidate, rows), *candidate))
            .collect();
        counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        counts
    };
    let few: Vec<usize> = remaining
        .iter()
        .copied()
        .step_by(remaining.len().div_ceil(512))
        .collect();
    let mut counts = by_rows(&found, &few);
    if few.len() < remaining.len() {
        counts.truncate(16);
        let best: Vec<Candidate> = counts.into_iter().map(|(_, candidate)| candidate).collect();
        counts = by_rows(&best, remaining);
    }
    counts.into_iter().next().filter(|(count, _)| *count > 0)
}

/// Moves the rows that a rule explains out of those that remain.
#[allow(clippy::too_many_arguments)]
fn take(
    remaining: &mut Vec<usize>,
    explained: &mut Vec<(usize, f64, Fit)>,
    candidate: &Candidate,
    claim: &Claim,
    half: f64,
    readings: &[Reading],
    options: &Options,
    before_rounding: bool,
) {
    let (mean, reading) = (options.means[candidate.mean], &readings[candidate.reading]);
    remaining.retain(
        |&row| match reading.fit(mean, candidate.left_out, row, claim.values[row], half) {
            Some((value, fit)) if fit == Fit::Printed || before_rounding => {
                explained.push((row, value, fit));
                false
            }
            _ => true,
        },
    );
}

fn rule(
    table: &Table,
    claim: &Claim,
    candidate: &Candidate,
    explained: &[(usize, f64, Fit)],
    expected_by_chance: f64,
    readings: &[Reading],
    options: &Options,
) -> Rule {
    let reading = &readings[candidate.reading];
    let inside = |index: usize| candidate.left_out >> index & 1 == 0;
    let names = |condition: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..reading.units.len())
            .filter(|&index| condition(index))
            .map(|index| reading.units[index].name.clone())
            .collect()
    };
    let rows = explained.iter().map(|&(row, value, fit)| Explained {
        system: table.systems[row].name.clone(),
        claimed: claim.values[row],
        value,
        fit,
        skipped: names(&|index| inside(index) && reading.units[index].values[row].is_nan()),
        zeros: names(&|index| inside(index) && reading.units[index].filled.contains(&row)),
    });
    Rule {
        mean: options.means[candidate.mean],
        reading: reading.label.clone(),
        columns: names(&inside),
        left_out: names(&|index| !inside(index)),
        rows: rows.collect(),
        expected_by_chance,
    }
}

/// Ranks the systems of every claim that needs it over the columns that all rows of all claims share, by the claim's own mean.
pub(super) fn on_equal_columns(table: &Table, readings: &[Reading], claims: &mut [ClaimReport]) {
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
        let averages: Option<Vec<f64>> = rows.iter().map(|&row| reading.mean(rule.mean, left_out, row)).collect();
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
