//! Pipe tables of Markdown.

use super::raw::{RawColumn, RawTable, is_blank};
use crate::error::{Error, Place, Result, counted};
use crate::markup::clean_name;

/// Reads the `index`th table, counted from 1; without `index`, the only one.
pub(crate) fn read(file: &str, text: &str, index: Option<usize>) -> Result<RawTable> {
    let lines: Vec<&str> = text.lines().collect();
    let mut tables = Vec::new();
    let mut at = 0;
    while at + 1 < lines.len() {
        if !is_header(lines[at], lines[at + 1]) {
            at += 1;
            continue;
        }
        let start = at;
        at += 2;
        while at < lines.len() && lines[at].contains('|') {
            at += 1;
        }
        tables.push((start, at));
    }
    let (start, end) = super::names::choose(file, &tables, index, |(start, _)| format!("line {}", start + 1))?;
    let columns = split(lines[start])
        .iter()
        .map(|name| RawColumn::named(clean_name(name)))
        .collect();
    let mut table = RawTable::new(file, start as u64 + 1, columns);
    for (offset, line) in lines[start + 2..end].iter().enumerate() {
        let number = (start + 3 + offset) as u64;
        let cells = split(line);
        if is_blank(cells.iter().map(String::as_str)) {
            continue;
        }
        if table.take_section(cells.iter().map(String::as_str)) {
            continue;
        }
        // A row with too few cells is padded, as on GitHub. In a row with too many, the columns are unclear.
        if !is_blank(cells.iter().skip(table.columns.len()).map(String::as_str)) {
            return Err(Error::malformed(
                Place::line(file, number),
                format!(
                    "{} where the header has {}",
                    counted(cells.len(), "cell"),
                    table.columns.len()
                ),
                "write a pipe inside a cell as \\|",
            ));
        }
        table.push_row(number, cells.iter().map(String::as_str));
    }
    Ok(table)
}

/// Whether the text has a pipe table.
pub(crate) fn has_table(text: &str) -> bool {
    let mut previous = "";
    for line in text.lines() {
        if is_header(previous, line) {
            return true;
        }
        previous = line;
    }
    false
}

fn is_header(header: &str, rule: &str) -> bool {
    header.contains('|') && rule.contains('|') && rule.contains("--") && {
        let cells = split(rule);
        cells.len() == split(header).len()
            && cells.iter().all(|cell| {
                let inner = cell.trim().trim_start_matches(':').trim_end_matches(':');
                !inner.is_empty() && inner.bytes().all(|b| b == b'-')
            })
    }
}

/// The cells of a line; the outer pipes are optional, `\|` is a pipe inside a cell.
fn split(line: &str) -> Vec<String> {
    let line = line.trim();
    let line = line.strip_prefix('|').unwrap_or(line);
    let mut cells = vec![String::new()];
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&'|') => {
                chars.next();
                if let Some(cell) = cells.last_mut() {
                    cell.push('|');
                }
            }
            '|' => {
                if chars.peek().is_none() {
                    break;
                }
                cells.push(String::new());
            }
            other => {
                if let Some(cell) = cells.last_mut() {
                    cell.push(other);
                }
            }
        }
    }
    for cell in &mut cells {
        *cell = cell.trim().to_owned();
    }
    cells
}
