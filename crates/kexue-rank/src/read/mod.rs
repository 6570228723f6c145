//! Readers of files in common formats, which return a [`Table`].
//!
//! A reader guesses the role of each column and notes it in [`Table::notes`]. A field of [`Options`] overrides each guess. Ambiguous cells are
//! errors that name the line and the column.

mod cells;
mod columns;
mod delimited;
mod grid;
mod harness;
mod headings;
mod json;
mod latex;
mod markdown;
mod metrics;
mod names;
mod options;
mod raw;
mod rows;
mod unique_keys;

use std::io::Read as _;
use std::path::Path;

pub use crate::cell::Parentheses;
use crate::error::{Error, Place, Result};
use crate::join::{self, Prefer};
pub use crate::number::DecimalMark;
use crate::table::Table;
pub use options::{Format, MetricRows, Options};

/// Reads files and joins them by system and task. `-` is standard input; a folder stands for its `metrics.jsonl`.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Malformed`] for a file, [`Error::Unknown`] for a name in `options` that no file has, and
/// [`Error::Disagreement`] if two files differ about a cell and `prefer` does not say which one to trust.
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

/// Reads one file. Names in `options` that the file does not have are ignored, since another file may have them.
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

/// Reads a table from memory. `name` is the file name for messages, and its extension tells the format.
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
    let format = options.format.unwrap_or_else(|| sniff(name, text));
    if matches!(format, Format::Csv | Format::Tsv | Format::Metrics) {
        names::only_table(name, options.table)?;
    }
    let raw = match format {
        Format::Csv => delimited::read(name, text, options.delimiter)?,
        Format::Tsv => delimited::read(name, text, Some(options.delimiter.unwrap_or(b'\t')))?,
        Format::Markdown => markdown::read(name, text, options.table)?,
        Format::Latex => latex::read(name, text, options.table)?,
        Format::Json => json::read(name, text, options)?,
        Format::Metrics => metrics::read(name, text, options.metric_rows.unwrap_or(MetricRows::Steps))?,
    };
    let raw = harness::one_system(&raw, options)?.unwrap_or(raw);
    columns::interpret(raw, options)
}

/// The format of a file, from its extension or otherwise from its content.
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
