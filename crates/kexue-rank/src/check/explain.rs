//! The rules behind a column of averages: one for all rows if possible, and variants for the other rows.

use rayon::prelude::*;

use crate::table::Table;

use super::explanation::{ClaimReport, Explained, Fit, Formula, Rule, Unexplained};
use super::options::Options;
use super::question::Question;
use super::reading::Met;
use super::search::{Candidate, LIKELY, Odds, candidates, ln_binomial, odds, odds_near};
use super::weights::{self, Weighted};

/// The number of rows on which rules are searched; fewer if there are many columns.
const SAMPLE: usize = 48;
/// From this number of columns on, there are many.
const MANY_COLUMNS: usize = 24;
/// The number of other rows that confirm a subset.
const WITNESSES: usize = 4;
/// The number of rows from which the odds of an accident are estimated.
const ODDS_ROWS: usize = 4;

/// A rule with the rows it explains.
struct Chosen {
    candidate: Candidate,
    met: Vec<Met>,
    by_chance: f64,
}

/// Explains a column of averages. First searches for one rule for all rows: equal weights over some columns, or their sum. If none explains
/// most rows, searches for one set of weights. Only if one rule explains most rows, searches for other rules for the rest.
pub(super) fn explain(table: &Table, question: &Question<'_>, options: &Options) -> ClaimReport {
    let rows = question.rows();
    let main = equal_weights(&rows, question);
    let is_main = |chosen: &Chosen| {
        chosen.met.len() == rows.len() || 2 * chosen.met.len() > rows.len() && chosen.by_chance <= LIKELY
    };
    let mut report = ClaimReport {
        name: question.claim.name.clone(),
        decimals: question.decimals,
        rules: Vec::new(),
        unexplained: Vec::new(),
        moved: Vec::new(),
        equal_columns: Vec::new(),
    };
    let mut unexplained: Vec<(usize, Option<String>)> = Vec::new();
    match main.filter(is_main) {
        Some(main) => {
            let chosen = with_variants(main, &rows, question);
            let explained = |row: usize| chosen.iter().any(|rule| rule.met.iter().any(|met| met.0 == row));
            unexplained.extend(rows.iter().filter(|&&row| !explained(row)).map(|&row| (row, None)));
            for (index, chosen) in chosen.iter().enumerate() {
                let rule = chosen.rule(table, question);
                if index > 0 && chosen.by_chance > LIKELY {
                    unexplained.extend(chosen.met.iter().map(|met| (met.0, Some(rule.in_words()))));
                } else {
                    report.rules.push(rule);
                }
            }
        }
        None => match weights::one_for_all(table, &rows, question, options) {
            Some(weighted) => {
                let met = |row: usize| weighted.met.iter().any(|met| met.0 == row);
                unexplained.extend(rows.iter().filter(|&&row| !met(row)).map(|&row| (row, None)));
                report.rules.push(weighted_rule(table, &weighted, question));
            }
            None => unexplained.extend(rows.iter().map(|&row| (row, None))),
        },
    }
    unexplained.sort_unstable_by_key(|(row, _)| *row);
    report.unexplained = unexplained
        .into_iter()
        .map(|(row, by_accident)| Unexplained {
            system: table.systems[row].name.clone(),
            claimed: question.claim.values[row],
            means: options
                .means
                .iter()
                .filter_map(|&mean| Some((mean, question.readings[0].value(Formula::Mean(mean), 0, row)?)))
                .collect(),
            by_accident,
        })
        .collect();
    report
}

/// The rule of equal weights that explains most rows.
fn equal_weights(rows: &[usize], question: &Question<'_>) -> Option<Chosen> {
    if rows.is_empty() {
        return None;
    }
    let found = best_rule(rows, None, question);
    // A rule that several printed means confirm may also explain means of unrounded scores. Without such a rule, take the simplest one that
    // explains means of unrounded scores.
    let candidate = match found {
        Some((_, candidate)) => candidate,
        None => plain_rules(question).min_by_key(|candidate| {
            let met = met(candidate, rows, question, true).len();
            (std::cmp::Reverse(met), candidate.cost(question.readings))
        })?,
    };
    let before_rounding = found.is_none_or(|(count, _)| count >= 2);
    let met = met(&candidate, rows, question, before_rounding);
    let cost = candidate.cost(question.readings);
    let by_chance = accident(&met, rows.len(), |row| odds(row, cost, question));
    (!met.is_empty()).then_some(Chosen {
        candidate,
        met,
        by_chance,
    })
}

/// The main rule, and the rules of the rows that it does not explain.
fn with_variants(main: Chosen, rows: &[usize], question: &Question<'_>) -> Vec<Chosen> {
    let left = |chosen: &[Chosen]| -> Vec<usize> {
        let explained = |row: &usize| chosen.iter().any(|rule| rule.met.iter().any(|met| met.0 == *row));
        rows.iter().copied().filter(|row| !explained(row)).collect()
    };
    let mut chosen = vec![main];
    loop {
        let remaining = left(&chosen);
        if remaining.is_empty() {
            return chosen;
        }
        let Some((count, candidate)) = best_rule(&remaining, Some(&chosen), question) else {
            return chosen;
        };
        let met = met(&candidate, &remaining, question, count >= 2);
        let cost = candidate.cost(question.readings);
        let nearest = chosen
            .iter()
            .map(|known| {
                (
                    candidate.distance(&known.candidate, question.readings),
                    &known.candidate,
                )
            })
            .min_by_key(|(distance, _)| *distance);
        let by_chance = accident(&met, remaining.len(), |row| match nearest {
            Some((distance, other)) if distance <= cost => odds_near(other, row, distance, question),
            _ => odds(row, cost, question),
        });
        chosen.push(Chosen {
            candidate,
            met,
            by_chance,
        });
    }
}

/// The expected number of equally simple rules that would explain as many of the tried rows by accident.
fn accident(met: &[Met], tried: usize, odds: impl Fn(usize) -> Odds) -> f64 {
    if met.is_empty() {
        return f64::INFINITY;
    }
    let sample: Vec<Odds> = met
        .iter()
        .step_by(met.len().div_ceil(ODDS_ROWS))
        .map(|&(row, _, _)| odds(row))
        .collect();
    let count = sample.len() as f64;
    let each = sample.iter().map(|odds| odds.each.ln()).sum::<f64>() / count;
    let rules = sample.iter().map(|odds| odds.rules).fold(1.0, f64::max);
    (rules.ln() + ln_binomial(tried, met.len()) + each * met.len() as f64).exp()
}

/// The rules over all columns, skipping missing scores.
fn plain_rules<'a>(question: &'a Question<'_>) -> impl Iterator<Item = Candidate> + 'a {
    (0..question.readings.len()).flat_map(|reading| {
        (0..question.formulas.len()).map(move |formula| Candidate {
            formula,
            reading,
            left_out: 0,
        })
    })
}

/// The rows that a rule explains.
fn met(candidate: &Candidate, rows: &[usize], question: &Question<'_>, before_rounding: bool) -> Vec<Met> {
    let (formula, reading) = (
        question.formulas[candidate.formula],
        &question.readings[candidate.reading],
    );
    rows.iter()
        .filter_map(|&row| {
            let (value, fit) = reading.fit(
                formula,
                candidate.left_out,
                row,
                question.claim.values[row],
                question.half,
            )?;
            (fit == Fit::Printed || before_rounding).then_some((row, value, fit))
        })
        .collect()
}

/// The rule that explains most rows by their printed scores, the simplest one of several, and the number of rows. The cost of a variant of a
/// known rule is its difference from that rule.
fn best_rule(rows: &[usize], known: Option<&[Chosen]>, question: &Question<'_>) -> Option<(usize, Candidate)> {
    let readings = question.readings;
    let sample_size = if readings[0].units.len() > MANY_COLUMNS {
        SAMPLE / 4
    } else {
        SAMPLE
    };
    let sample: Vec<usize> = rows.iter().copied().step_by(rows.len().div_ceil(sample_size)).collect();
    let witnesses: Vec<usize> = sample
        .iter()
        .copied()
        .step_by(sample.len().div_ceil(WITNESSES))
        .chain(sample.last().copied())
        .collect();
    let mut found: Vec<Candidate> = sample
        .par_iter()
        .flat_map_iter(|&row| candidates(row, &witnesses, question))
        .collect();
    found.extend(plain_rules(question));
    let cost = |candidate: &Candidate| {
        let variants = known.unwrap_or_default().iter();
        let variant = variants
            .map(|other| candidate.distance(&other.candidate, readings))
            .min();
        let cost = variant.unwrap_or(usize::MAX).min(candidate.cost(readings));
        (cost, candidate.reading, candidate.formula, candidate.left_out)
    };
    found.sort_by_cached_key(cost);
    found.dedup();

    let covered = |candidate: &Candidate, rows: &[usize]| {
        let (formula, reading) = (question.formulas[candidate.formula], &readings[candidate.reading]);
        let meets = |&&row: &&usize| {
            reading.meets(
                formula,
                candidate.left_out,
                row,
                question.claim.values[row],
                question.half,
            )
        };
        rows.iter().filter(meets).count()
    };
    // Candidates are found in order of cost, so a stable sort by rows keeps the simplest first. On long tables, a sample of the rows decides
    // which candidates are tried on all rows.
    let by_rows = |found: &[Candidate], rows: &[usize]| {
        let mut counts: Vec<(usize, Candidate)> = found
            .par_iter()
            .map(|candidate| (covered(candidate, rows), *candidate))
            .collect();
        counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        counts
    };
    let few: Vec<usize> = rows.iter().copied().step_by(rows.len().div_ceil(512)).collect();
    let mut counts = by_rows(&found, &few);
    if few.len() < rows.len() {
        counts.truncate(16);
        let best: Vec<Candidate> = counts.into_iter().map(|(_, candidate)| candidate).collect();
        counts = by_rows(&best, rows);
    }
    counts.into_iter().next().filter(|(count, _)| *count > 0)
}

impl Chosen {
    fn rule(&self, table: &Table, question: &Question<'_>) -> Rule {
        let reading = &question.readings[self.candidate.reading];
        let inside = |index: usize| self.candidate.left_out >> index & 1 == 0;
        let names = |condition: &dyn Fn(usize) -> bool| -> Vec<String> {
            (0..reading.units.len())
                .filter(|&index| condition(index))
                .map(|index| reading.units[index].name.clone())
                .collect()
        };
        let rows = self.met.iter().map(|&(row, value, fit)| Explained {
            system: table.systems[row].name.clone(),
            claimed: question.claim.values[row],
            value,
            fit,
            skipped: names(&|index| inside(index) && reading.units[index].values[row].is_nan()),
            zeros: names(&|index| inside(index) && reading.units[index].filled.contains(&row)),
        });
        Rule {
            formula: question.formulas[self.candidate.formula],
            reading: reading.label.clone(),
            columns: names(&inside),
            left_out: names(&|index| !inside(index)),
            weights: Vec::new(),
            rows: rows.collect(),
            expected_by_chance: self.by_chance,
        }
    }
}

fn weighted_rule(table: &Table, weighted: &Weighted, question: &Question<'_>) -> Rule {
    let reading = &question.readings[weighted.reading];
    let names = |inside: bool| -> Vec<String> {
        let chosen = reading.units.iter().zip(&weighted.weights);
        chosen
            .filter(|(_, weight)| (**weight > 0.0) == inside)
            .map(|(unit, _)| unit.name.clone())
            .collect()
    };
    let rows = weighted.met.iter().map(|&(row, value, fit)| Explained {
        system: table.systems[row].name.clone(),
        claimed: question.claim.values[row],
        value,
        fit,
        skipped: Vec::new(),
        zeros: Vec::new(),
    });
    Rule {
        formula: Formula::Weighted,
        reading: reading.label.clone(),
        columns: names(true),
        left_out: names(false),
        weights: weighted
            .weights
            .iter()
            .copied()
            .filter(|weight| *weight > 0.0)
            .collect(),
        rows: rows.collect(),
        expected_by_chance: weighted.by_chance,
    }
}
