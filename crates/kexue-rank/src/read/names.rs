//! Derived names, and the choice among the tables of a file.

use std::path::Path;

use crate::error::{Error, Place, Result};

/// The column of a metric's name: `MRPC` of `MRPC (1)`, which names the first metric of that column.
pub(crate) fn without_metric_number(name: &str) -> Option<&str> {
    let (column, number) = name.strip_suffix(')')?.rsplit_once(" (")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(column)
}

/// The name of a run, from its file: the folder of a `metrics.jsonl` or `stats.json`, otherwise the file's stem.
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

/// Refuses to choose another table than the first of a file that can have only one.
pub(crate) fn only_table(file: &str, index: Option<usize>) -> Result<()> {
    match index {
        None | Some(1) => Ok(()),
        Some(index) => Err(Error::malformed(
            Place::file(file),
            format!("no table {index}; a file of this format has one table"),
            "leave <table> out",
        )),
    }
}

/// The requested table of a file.
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
            "give a file with a table, or name the format with <format>",
        )),
        ([only], None) => Ok(only.clone()),
        (_, None) => Err(Error::malformed(
            Place::file(file),
            format!("{} tables: {}", tables.len(), list()),
            "choose one with <table>",
        )),
        (_, Some(index)) => index
            .checked_sub(1)
            .and_then(|index| tables.get(index))
            .cloned()
            .ok_or_else(|| {
                Error::malformed(
                    Place::file(file),
                    format!("no table {index}; there are {}", list()),
                    "choose one with <table>",
                )
            }),
    }
}
