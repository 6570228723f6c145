//! The numbers of a column. All cells of the column together decide how each is read.

use super::options::Options;
use super::raw::{RawTable, TEXT};
use crate::cell::{Cell, Metric, looks_like_score, parse};
use crate::doubt::Doubt;
use crate::error::counted;
use crate::number::{self, DecimalMark, Evidence};

/// A column of text after parsing.
pub(super) struct Parsed {
    /// `metrics[metric][row]`; empty if all cells are plain numbers or missing, since the table already has these.
    pub metrics: Vec<Vec<f64>>,
    pub errors: Option<Vec<f64>>,
    pub decimals: u8,
    /// The number of cells that are numbers, and of those that are neither numbers nor missing.
    pub numbers: usize,
    pub unreadable: usize,
    /// The number of unreadable cells that look as if they contain scores.
    pub score_like: usize,
    /// The first cell that cannot be read as a number.
    pub problem: Option<Problem>,
    pub notes: Vec<String>,
}

/// A cell that is not a number, or an ambiguous one.
pub(super) struct Problem {
    pub row: usize,
    pub doubt: Doubt,
}

/// Reads the cells of a column.
pub(super) fn parse_column(raw: &RawTable, column: usize, options: &Options) -> Parsed {
    let survey = Survey::new(raw, column);
    let comma_is_set = options.decimal == Some(DecimalMark::Comma);
    if survey.odd_rows.is_empty() && !(comma_is_set && survey.has_points()) {
        return Parsed {
            metrics: Vec::new(),
            errors: None,
            decimals: survey.decimals,
            numbers: survey.plain,
            unreadable: 0,
            score_like: 0,
            problem: None,
            notes: Vec::new(),
        };
    }
    let evidence = survey.evidence();
    let found_mark = match options.decimal {
        Some(mark) => Ok(mark),
        None => evidence.mark(),
    };
    let mut reading = Reading::new(&survey, options, found_mark);
    reading.check_three_decimals(&survey, &evidence, found_mark);
    let labels = reading.settle_labels();
    let values = reading.values(&survey);

    let mut notes = Vec::new();
    if values.errors > 0 {
        let unused = if values.metrics.len() > 1 {
            ", not used: the cells have several metrics"
        } else {
            ""
        };
        notes.push(format!(
            "{} of {} scores have an error (±){unused}",
            values.errors, reading.numbers
        ));
    }
    if values.percents > 0 && reading.problem.is_none() {
        match values.fraction_among_percentages(&survey) {
            Some(row) => reading.refuse(row, Doubt::Fraction),
            None => notes.push("percent signs, removed".to_owned()),
        }
    }
    if !labels.is_empty() {
        notes.push(format!("metrics named in parentheses: {}", labels.join(", ")));
    }
    if reading.half_missing > 0 {
        let cells = counted(reading.half_missing, "cell");
        notes.push(format!("{cells} with only some of the metrics, treated as missing"));
    }
    if evidence.footnotes > 0 {
        notes.push(format!(
            "footnote marks on {}, removed",
            counted(evidence.footnotes, "cell")
        ));
    }
    if reading.problem.is_none() {
        notes.extend(marks_in_words(&evidence, found_mark.ok()));
    }
    Parsed {
        errors: (values.errors > 0 && values.metrics.len() == 1).then_some(values.error_of_row),
        metrics: values.metrics,
        decimals: values.decimals,
        numbers: reading.numbers,
        unreadable: reading.unreadable,
        score_like: reading.score_like,
        problem: reading.problem,
        notes,
    }
}

/// The kinds of cells in a column.
struct Survey<'a> {
    raw: &'a RawTable,
    column: usize,
    /// Cells that are plain numbers.
    plain: usize,
    /// The number of plain numbers with three decimals, and with any other non-zero number of decimals.
    three_decimals: usize,
    other_decimals: usize,
    /// The maximum number of decimals of a plain number.
    decimals: u8,
    /// Rows of the cells that are neither plain numbers nor missing.
    odd_rows: Vec<usize>,
}

impl<'a> Survey<'a> {
    fn new(raw: &'a RawTable, column: usize) -> Self {
        let own = &raw.cells[column];
        let mut counts = [0usize; 256];
        for &decimals in &own.decimals {
            counts[usize::from(decimals)] += 1;
        }
        let text = counts[usize::from(TEXT)];
        Self {
            raw,
            column,
            plain: raw.rows() - text,
            three_decimals: counts[3],
            other_decimals: raw.rows() - text - counts[0] - counts[3],
            decimals: (0..TEXT)
                .rev()
                .find(|&decimals| counts[usize::from(decimals)] > 0)
                .unwrap_or(0),
            odd_rows: own.text_rows().filter(|&row| !raw.is_missing(row, column)).collect(),
        }
    }

    fn is_plain(&self, row: usize) -> bool {
        self.decimals_of(row) != TEXT
    }

    fn decimals_of(&self, row: usize) -> u8 {
        self.raw.cells[self.column].decimals[row]
    }

    fn has_points(&self) -> bool {
        self.three_decimals + self.other_decimals > 0
    }

    fn text(&self, row: usize) -> std::borrow::Cow<'_, str> {
        self.raw.cell(row, self.column)
    }

    fn evidence(&self) -> Evidence {
        let mut evidence = Evidence {
            three_decimals: self.three_decimals,
            decimal_points: self.other_decimals,
            ..Evidence::default()
        };
        for &row in &self.odd_rows {
            number::observe(&self.text(row), &mut evidence);
        }
        evidence
    }
}

/// The parsed cells that are not plain numbers.
struct Reading {
    cells: Vec<(usize, Vec<Metric>)>,
    numbers: usize,
    unreadable: usize,
    score_like: usize,
    half_missing: usize,
    problem: Option<Problem>,
}

impl Reading {
    fn new(survey: &Survey<'_>, options: &Options, found_mark: Result<DecimalMark, Doubt>) -> Self {
        let mut rows = survey.odd_rows.clone();
        let mut numbers = survey.plain;
        if found_mark == Ok(DecimalMark::Comma) {
            // A plain number with a point contradicts decimal commas, or has a thousands separator.
            let pointed = (0..survey.raw.rows()).filter(|&row| survey.is_plain(row) && survey.decimals_of(row) > 0);
            rows.extend(pointed);
            numbers -= rows.len() - survey.odd_rows.len();
            rows.sort_unstable();
        }
        let mut reading = Self {
            cells: Vec::with_capacity(rows.len()),
            numbers,
            unreadable: 0,
            score_like: 0,
            half_missing: 0,
            problem: None,
        };
        for row in rows {
            let text = survey.text(row);
            match parse(&text, found_mark.ok(), options.decimal.is_some(), options.parentheses) {
                Cell::Missing => {}
                Cell::Metrics(metrics) if metrics.iter().any(|metric| metric.number.is_none()) => {
                    reading.half_missing += 1;
                }
                Cell::Metrics(metrics) => {
                    reading.numbers += 1;
                    reading.cells.push((row, metrics));
                }
                Cell::Doubtful(doubt) if doubt.is_number() => {
                    reading.numbers += 1;
                    // The column explains more about its commas than the cell.
                    reading.refuse(row, found_mark.err().filter(|_| doubt == Doubt::Comma).unwrap_or(doubt));
                }
                Cell::Doubtful(doubt) => {
                    reading.unreadable += 1;
                    reading.score_like += usize::from(looks_like_score(&text));
                    reading.refuse(row, doubt);
                }
            }
        }
        reading
    }

    /// Keeps the first problem.
    fn refuse(&mut self, row: usize, doubt: Doubt) {
        if self.problem.as_ref().is_none_or(|known| row < known.row) {
            self.problem = Some(Problem { row, doubt });
        }
    }

    /// Refuses a point before three digits if the column has decimal commas, since it is ambiguous.
    fn check_three_decimals(&mut self, survey: &Survey<'_>, evidence: &Evidence, mark: Result<DecimalMark, Doubt>) {
        if let Err(doubt) = mark
            && self.problem.is_none()
            && evidence.unclear_commas == 0
            && let Some(row) = (0..survey.raw.rows()).find(|&row| survey.decimals_of(row) == 3)
        {
            self.refuse(row, doubt);
        }
    }

    /// Puts metrics that are named in parentheses into the order of the first cell, and returns their names.
    fn settle_labels(&mut self) -> Vec<String> {
        let labels_of =
            |metrics: &[Metric]| -> Vec<String> { metrics.iter().filter_map(|metric| metric.label.clone()).collect() };
        let first = self.cells.iter().map(|(_, metrics)| labels_of(metrics));
        let Some(order) = first.into_iter().find(|labels| !labels.is_empty()) else {
            return Vec::new();
        };
        let mut odd = None;
        for (row, metrics) in &mut self.cells {
            let labels = labels_of(metrics);
            if labels == order || labels.is_empty() && metrics.len() == 1 && order.len() == 1 {
                continue;
            }
            let places: Option<Vec<usize>> = order
                .iter()
                .map(|wanted| labels.iter().position(|label| label == wanted))
                .collect();
            match places {
                Some(places) if labels.len() == order.len() && metrics.len() == order.len() => {
                    *metrics = places.into_iter().map(|place| metrics[place].clone()).collect();
                }
                _ => odd = odd.or(Some(*row)),
            }
        }
        if let Some(row) = odd {
            self.refuse(row, Doubt::Labels);
        }
        order
    }

    /// The metrics of all rows, with those of plain cells.
    fn values(&mut self, survey: &Survey<'_>) -> Values {
        let rows = survey.raw.rows();
        let width = self
            .cells
            .iter()
            .map(|(_, metrics)| metrics.len())
            .max()
            .unwrap_or(1)
            .max(1);
        if width > 1 && self.problem.is_none() {
            let narrow = self
                .cells
                .iter()
                .find(|(_, metrics)| metrics.len() != width)
                .map(|(row, _)| *row);
            let parsed: Vec<usize> = self.cells.iter().map(|(row, _)| *row).collect();
            let plain = (0..rows).find(|&row| survey.is_plain(row) && parsed.binary_search(&row).is_err());
            if let Some(row) = narrow.into_iter().chain(plain).min() {
                self.refuse(row, Doubt::FewerMetrics);
            }
        }
        let mut values = Values {
            metrics: vec![survey.raw.cells[survey.column].values.clone()],
            error_of_row: vec![f64::NAN; rows],
            errors: 0,
            decimals: survey.decimals,
            percents: 0,
            percent_above_one: false,
        };
        values.metrics.resize_with(width, || vec![f64::NAN; rows]);
        for (row, metrics) in &self.cells {
            for (index, number) in metrics.iter().filter_map(|metric| metric.number).enumerate() {
                values.metrics[index][*row] = number.value;
                values.decimals = values.decimals.max(number.decimals);
                values.percents += usize::from(number.percent);
                values.percent_above_one |= number.percent && number.value.abs() > 1.0;
            }
            if let Some(error) = metrics.iter().find_map(|metric| metric.number?.error) {
                values.error_of_row[*row] = error;
                values.errors += 1;
            }
        }
        values
    }
}

/// The numbers of a column, by metric and row.
struct Values {
    metrics: Vec<Vec<f64>>,
    /// The error of the first metric.
    error_of_row: Vec<f64>,
    errors: usize,
    decimals: u8,
    percents: usize,
    percent_above_one: bool,
}

impl Values {
    /// A cell without a percent sign that may be a fraction, if other cells are percentages.
    fn fraction_among_percentages(&self, survey: &Survey<'_>) -> Option<usize> {
        let is_fraction = |&row: &usize| {
            let value = self.metrics[0][row];
            value > 0.0 && value <= 1.0 && !survey.text(row).contains('%')
        };
        (0..survey.raw.rows())
            .find(is_fraction)
            .filter(|_| self.percent_above_one)
    }
}

/// Notes on how commas and points were read.
fn marks_in_words(evidence: &Evidence, mark: Option<DecimalMark>) -> Vec<String> {
    let unclear_as = |wanted: DecimalMark| {
        if mark == Some(wanted) {
            evidence.unclear_commas
        } else {
            0
        }
    };
    let mut notes = Vec::new();
    let commas = evidence.decimal_commas + unclear_as(DecimalMark::Comma);
    if commas > 0 {
        let mixed = if evidence.decimal_points > 0 && mark != Some(DecimalMark::Comma) {
            ", decimal points in others"
        } else {
            ""
        };
        notes.push(format!("decimal commas in {}{mixed}", counted(commas, "cell")));
    }
    let thousands = evidence.thousands_commas + evidence.thousands_points + unclear_as(DecimalMark::Point);
    if thousands > 0 {
        notes.push(format!("thousands separators in {}", counted(thousands, "cell")));
    }
    notes
}
