//! The numbers of a column: what its cells say together decides how each is read.

use super::Options;
use super::raw::{RawTable, TEXT};
use crate::error::counted;
use crate::number::{self, Cell, Evidence};

/// What became of a column of text.
pub(super) struct Parsed {
    /// `metrics[metric][row]`; empty if all cells are plain numbers or missing, which the table has already.
    pub metrics: Vec<Vec<f64>>,
    pub errors: Option<Vec<f64>>,
    pub decimals: u8,
    /// Cells that are numbers, and that are neither numbers nor missing.
    pub numbers: usize,
    pub unreadable: usize,
    /// The first cell that cannot be read as a number, and why.
    pub problem: Option<(usize, String, &'static str)>,
    pub notes: Vec<String>,
}

pub(super) fn parse_column(raw: &RawTable, column: usize, options: &Options) -> Parsed {
    let rows = raw.rows();
    let mut evidence = Evidence::default();
    let own = &raw.cells[column];
    let mut missing = 0usize;
    let mut slow: Vec<usize> = Vec::new();
    let mut counts = [0usize; 256];
    own.decimals
        .iter()
        .for_each(|&decimals| counts[usize::from(decimals)] += 1);
    let plain = |row: usize| own.decimals[row] != TEXT;
    let plain_first = (0..rows).find(|&row| plain(row));
    let decimals = (0..TEXT)
        .rev()
        .find(|&decimals| counts[usize::from(decimals)] > 0)
        .unwrap_or(0);
    evidence.three_decimals = counts[3];
    evidence.decimal_points = rows - counts[0] - counts[3] - counts[usize::from(TEXT)];
    for row in own.text_rows() {
        if raw.is_missing(row, column) {
            missing += 1;
        } else {
            slow.push(row);
        }
    }
    let mut numbers = rows - missing - slow.len();
    let mut parsed = Parsed {
        metrics: Vec::new(),
        errors: None,
        decimals,
        numbers,
        unreadable: 0,
        problem: None,
        notes: Vec::new(),
    };
    if slow.is_empty()
        && !(options.decimal == Some(number::DecimalMark::Comma)
            && evidence.three_decimals + evidence.decimal_points > 0)
    {
        return parsed;
    }

    for &row in &slow {
        number::observe(&raw.cell(row, column), &mut evidence);
    }
    let strict = options.decimal.is_some();
    let (mark, unclear) = match (options.decimal, evidence.mark()) {
        (Some(mark), _) => (Some(mark), None),
        (None, Ok(mark)) => (Some(mark), None),
        (None, Err(reason)) => (None, Some(reason)),
    };
    let mut problem: Option<(usize, String, &'static str)> = None;
    let mut report = |row: usize, reason: &'static str| {
        if problem.as_ref().is_none_or(|(known, _, _)| row < *known) {
            problem = Some((row, raw.cell(row, column).into_owned(), reason));
        }
    };
    if mark == Some(number::DecimalMark::Comma) {
        // What was read as plain has a point: a thousand, or a contradiction.
        let pointed = (0..rows).filter(|&row| plain(row) && own.decimals[row] > 0);
        let before = slow.len();
        slow.extend(pointed);
        numbers -= slow.len() - before;
        slow.sort_unstable();
    }

    let mut cells: Vec<(usize, Vec<Option<number::Number>>)> = Vec::with_capacity(slow.len());
    let mut half_missing = 0usize;
    for &row in &slow {
        match number::parse(&raw.cell(row, column), mark, strict, options.parentheses) {
            Cell::Missing => {}
            Cell::Metrics(metrics) => {
                if metrics.len() > 1 && metrics.iter().any(Option::is_none) {
                    half_missing += 1;
                } else {
                    numbers += 1;
                    cells.push((row, metrics));
                }
            }
            Cell::Unreadable(reason) => {
                parsed.unreadable += 1;
                report(row, reason);
            }
            Cell::Ambiguous(reason) => {
                numbers += 1;
                report(row, unclear.unwrap_or(reason));
            }
        }
    }
    // A point with three digits that the column's commas make unclear.
    if let Some(reason) = unclear
        && problem.is_none()
        && evidence.unclear_commas == 0
        && let Some(row) = (0..rows).find(|&row| own.decimals[row] == 3)
    {
        problem = Some((row, raw.cell(row, column).into_owned(), reason));
    }

    let width = cells.iter().map(|(_, metrics)| metrics.len()).max().unwrap_or(1).max(1);
    let plain_rows = numbers > cells.len() + usize::from(problem.is_some());
    if width > 1 && problem.is_none() {
        let odd = cells
            .iter()
            .find(|(_, metrics)| metrics.len() != width)
            .map(|(row, _)| *row)
            .or(plain_first.filter(|_| plain_rows));
        if let Some(row) = odd {
            problem = Some((
                row,
                raw.cell(row, column).into_owned(),
                "other cells of the column have several metrics",
            ));
        }
    }
    parsed.metrics = vec![own.values.clone()];
    parsed.metrics.resize_with(width, || vec![f64::NAN; rows]);
    let mut errors = vec![f64::NAN; rows];
    let (mut error_count, mut percents, mut marked_above_one) = (0usize, 0usize, false);
    for (row, metrics) in &cells {
        for (index, number) in metrics.iter().enumerate() {
            let Some(number) = number else { continue };
            parsed.metrics[index][*row] = number.value;
            parsed.decimals = parsed.decimals.max(number.decimals);
            percents += usize::from(number.percent);
            marked_above_one |= number.percent && number.value.abs() > 1.0;
            if let Some(error) = number.error {
                errors[*row] = error;
                error_count += 1;
            }
        }
    }
    if error_count > 0 {
        parsed
            .notes
            .push(format!("{error_count} of {numbers} scores have an error (±)"));
        parsed.errors = Some(errors);
    }
    if percents > 0 && problem.is_none() {
        let fraction = (0..rows).find(|&row| {
            let value = parsed.metrics[0][row];
            value > 0.0 && value <= 1.0 && !raw.cell(row, column).contains('%')
        });
        match fraction {
            Some(row) if marked_above_one => {
                problem = Some((
                    row,
                    raw.cell(row, column).into_owned(),
                    "other cells are percentages, this one may be a fraction",
                ));
            }
            _ => parsed.notes.push("percent signs, taken off".to_owned()),
        }
    }
    if half_missing > 0 {
        parsed.notes.push(format!(
            "{} with only some of the metrics, taken as missing",
            counted(half_missing, "cell")
        ));
    }
    if evidence.footnotes > 0 {
        parsed.notes.push(format!(
            "footnote marks on {}, taken off",
            counted(evidence.footnotes, "cell")
        ));
    }
    let resolved_commas = evidence.decimal_commas
        + if mark == Some(number::DecimalMark::Comma) {
            evidence.unclear_commas
        } else {
            0
        };
    if resolved_commas > 0 && problem.is_none() {
        let mixed = if evidence.decimal_points > 0 && mark != Some(number::DecimalMark::Comma) {
            ", decimal points in others"
        } else {
            ""
        };
        parsed
            .notes
            .push(format!("decimal commas in {}{mixed}", counted(resolved_commas, "cell")));
    }
    let thousands = evidence.thousands_commas
        + evidence.thousands_points
        + if mark == Some(number::DecimalMark::Point) {
            evidence.unclear_commas
        } else {
            0
        };
    if thousands > 0 && problem.is_none() {
        parsed
            .notes
            .push(format!("thousands separators in {}", counted(thousands, "cell")));
    }
    parsed.numbers = numbers;
    parsed.problem = problem;
    parsed
}
