//! Options for reading a file.

use crate::cell::Parentheses;
use crate::number::DecimalMark;

/// The format of a file.
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

/// How to use the lines of a `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricRows {
    /// Every step is a system: which checkpoint is best?
    Steps,
    /// The run is one system, at its last complete step: which run is best?
    Last,
}

/// Options for reading. The default guesses everything.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The format of the files; by default determined from name and content.
    pub format: Option<Format>,
    /// Which table of a file with several, counted from 1.
    pub table: Option<usize>,
    /// The separator of CSV.
    pub delimiter: Option<u8>,
    /// The columns that name the systems, joined by a space.
    pub system: Vec<String>,
    /// The columns that are scores; if given, no other columns are. Names that no file has are ignored, so that they may name columns that a
    /// [`Selection`](crate::Selection) creates.
    pub tasks: Vec<String>,
    /// Columns that are not read, so that ambiguous cells in them do no harm. Names that no file has are ignored.
    pub ignore: Vec<String>,
    /// The columns that are averages.
    pub claims: Vec<String>,
    /// Columns in which lower scores are better.
    pub lower: Vec<String>,
    /// Columns in which higher scores are better, although their names suggest otherwise.
    pub higher: Vec<String>,
    /// The decimal mark of ambiguous numbers.
    pub decimal: Option<DecimalMark>,
    /// How to treat a number in parentheses.
    pub parentheses: Parentheses,
    /// For JSON: metrics to use as the score; the first one that a task has.
    pub metric: Vec<String>,
    /// For `metrics.jsonl`; by default [`MetricRows::Steps`] for one file and [`MetricRows::Last`] for several.
    pub metric_rows: Option<MetricRows>,
}
