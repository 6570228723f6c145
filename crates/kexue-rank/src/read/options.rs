//! How to read a file.

use crate::cell::Parentheses;
use crate::number::DecimalMark;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values; semicolons, tabs and pipes are recognised.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// A pipe table in Markdown.
    Markdown,
    /// A tabular environment in LaTeX.
    Latex,
    /// JSON: Papers with Code, HELM, lm-evaluation-harness, records.
    Json,
    /// One JSON object a line with a `step` and metrics.
    Metrics,
}

/// What the rows of a `metrics.jsonl` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricRows {
    /// Every step is a system: which checkpoint is best?
    Steps,
    /// The run is one system, at its last complete step: which run is best?
    Last,
}

/// How to read. The default guesses everything.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The form of the files; by default told from the name and the content.
    pub format: Option<Format>,
    /// Which table of a file that has several, counted from 1.
    pub table: Option<usize>,
    /// The separator of CSV.
    pub delimiter: Option<u8>,
    /// The columns that name the systems, joined by a space.
    pub system: Vec<String>,
    /// The columns that are scores; if given, no other column is. Names that no file has are passed over, so that a
    /// [`Selection`](crate::Selection) can name what it makes of columns.
    pub tasks: Vec<String>,
    /// Columns that are not read, so that nothing in them can be unclear. Names that no file has are passed over as well.
    pub ignore: Vec<String>,
    /// The columns that are averages.
    pub claims: Vec<String>,
    /// Columns of which a lower score is better.
    pub lower: Vec<String>,
    /// Columns of which a higher score is better, though their name suggests otherwise.
    pub higher: Vec<String>,
    /// The decimal mark of unclear numbers.
    pub decimal: Option<DecimalMark>,
    /// What a number in parentheses is.
    pub parentheses: Parentheses,
    /// For JSON: the metric that is the score; the first that a task has.
    pub metric: Vec<String>,
    /// For `metrics.jsonl`; by default [`MetricRows::Steps`] for one file and [`MetricRows::Last`] for several.
    pub metric_rows: Option<MetricRows>,
}
