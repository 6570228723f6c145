//! Readers: a file in any of the common forms becomes a [`Table`].
//!
//! A reader guesses which column is what and says so in [`Table::notes`]; every guess can be replaced by a field of
//! [`Options`]. What can be read in two ways is an error that names the line and the column.

mod cells;
mod columns;
mod delimited;
mod headings;
mod json;
mod latex;
mod markdown;
mod metrics;
mod raw;
mod rows;

use std::io::Read as _;
use std::path::Path;

pub use crate::cell::Parentheses;
use crate::error::{Error, Place, Result};
use crate::join::{self, Prefer};
pub use crate::number::DecimalMark;
use crate::table::Table;

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

/// Reads files and joins them by system and task. `-` is standard input, a folder its `metrics.jsonl`.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Malformed`] of a file, [`Error::Unknown`] for a name in `options` that no file has, and
/// [`Error::Disagreement`] if two files differ about a cell and `prefer` does not say which to believe.
pub fn read_paths<P: AsRef<Path>>(paths: &[P], options: &Options, prefer: Option<Prefer>) -> Result<Table> {
    let rows = options.metric_rows.unwrap_or(if paths.len() > 1 {
        MetricRows::Last
    } else {
        MetricRows::Steps
    });
    let options = Options {
        metric_rows: Some(rows),
        ..options.clone()
    };
    let mut tables = Vec::with_capacity(paths.len());
    for path in paths {
        tables.push(read_path(path.as_ref(), &options)?);
    }
    let mut table = join::join(tables, prefer)?;
    for names in [&options.system, &options.claims, &options.lower, &options.higher] {
        table.require_headings(names)?;
    }
    table.notes.extend(join::metrics_apart(&table.tasks));
    Ok(table)
}

/// Reads one file. Names in `options` that the file does not have are passed over: another file may have them.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Malformed`].
pub fn read_path(path: &Path, options: &Options) -> Result<Table> {
    let inside;
    let path = if path.is_dir() {
        inside = path.join("metrics.jsonl");
        inside.as_path()
    } else {
        path
    };
    let name = path.display().to_string();
    let io = |source| Error::Io {
        path: name.clone(),
        source,
    };
    let bytes = if name == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(io)?;
        bytes
    } else {
        std::fs::read(path).map_err(io)?
    };
    read_bytes(&name, &bytes, options)
}

/// Reads a table from memory; `name` stands for the file in messages and tells the format by its ending.
///
/// # Errors
///
/// [`Error::Malformed`].
pub fn read_bytes(name: &str, bytes: &[u8], options: &Options) -> Result<Table> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Error::malformed(
            Place::file(name),
            "UTF-16 text",
            "save the file as UTF-8",
        ));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count() as u64
            + 1;
        Error::malformed(
            Place::line(name, line),
            "bytes that are not UTF-8",
            "save the file as UTF-8",
        )
    })?;
    if text.starts_with("version https://git-lfs.github.com/spec/") {
        return Err(Error::malformed(
            Place::file(name),
            "a Git LFS pointer, not the table itself",
            "fetch the file with `git lfs pull`",
        ));
    }
    if text.trim().is_empty() {
        return Err(Error::malformed(
            Place::file(name),
            "an empty file",
            "give a table with a header line",
        ));
    }
    let raw = match options.format.unwrap_or_else(|| sniff(name, text)) {
        Format::Csv => delimited::read(name, text, options.delimiter)?,
        Format::Tsv => delimited::read(name, text, Some(options.delimiter.unwrap_or(b'\t')))?,
        Format::Markdown => markdown::read(name, text, options.table)?,
        Format::Latex => latex::read(name, text, options.table)?,
        Format::Json => json::read(name, text, options)?,
        Format::Metrics => metrics::read(name, text, options.metric_rows.unwrap_or(MetricRows::Steps))?,
    };
    columns::interpret(raw, options)
}

/// The form of a file by its ending, else by its content.
fn sniff(name: &str, text: &str) -> Format {
    let ending = Path::new(name)
        .extension()
        .map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("csv") => return Format::Csv,
        Some("tsv" | "tab") => return Format::Tsv,
        Some("md" | "markdown") => return Format::Markdown,
        Some("tex") => return Format::Latex,
        Some("json") => return Format::Json,
        Some("jsonl" | "ndjson") => return Format::Metrics,
        _ => {}
    }
    let start = text.trim_start();
    if start.starts_with(['{', '[']) {
        let mut lines = start.lines().filter(|line| !line.trim().is_empty());
        let whole = |line: &str| line.starts_with('{') && line.trim_end().ends_with('}');
        let is_lines = lines
            .next()
            .is_some_and(|first| whole(first) && first.contains("\"step\""))
            && lines.next().is_none_or(whole);
        return if is_lines { Format::Metrics } else { Format::Json };
    }
    if text.contains("\\begin{tab") || text.contains("\\begin{longtable") {
        Format::Latex
    } else if markdown::has_table(text) {
        Format::Markdown
    } else {
        Format::Csv
    }
}

/// `MRPC` of `MRPC (1)`, by which a selection names the first metric of a column.
pub(crate) fn without_metric_number(name: &str) -> Option<&str> {
    let (column, number) = name.strip_suffix(')')?.rsplit_once(" (")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(column)
}

/// The name of a run by its file: the folder of a `metrics.jsonl` or `stats.json`, else the file's stem.
pub(crate) fn run_name(file: &str) -> String {
    let path = Path::new(file);
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_else(|| file.to_owned());
    if matches!(stem.as_str(), "metrics" | "stats" | "results")
        && let Some(folder) = path.parent().and_then(Path::file_name)
    {
        return folder.to_string_lossy().into_owned();
    }
    stem
}

/// The table asked for among those of a file.
pub(crate) fn choose<T: Clone>(
    file: &str,
    tables: &[T],
    index: Option<usize>,
    label: impl Fn(&T) -> String,
) -> Result<T> {
    let list = || {
        let labels: Vec<String> = tables
            .iter()
            .take(30)
            .enumerate()
            .map(|(number, table)| format!("{} ({})", number + 1, label(table)))
            .collect();
        labels.join(", ")
    };
    match (tables, index) {
        ([], _) => Err(Error::malformed(
            Place::file(file),
            "no table",
            "give a file with a table, or name the format with --input-format",
        )),
        ([only], None) => Ok(only.clone()),
        (_, None) => Err(Error::malformed(
            Place::file(file),
            format!("{} tables: {}", tables.len(), list()),
            "choose one with --table N",
        )),
        (_, Some(index)) => index
            .checked_sub(1)
            .and_then(|index| tables.get(index))
            .cloned()
            .ok_or_else(|| {
                Error::malformed(
                    Place::file(file),
                    format!("no table {index}; there are {}", list()),
                    "choose one with --table N",
                )
            }),
    }
}
