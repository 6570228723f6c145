//! Comma-, tab- and semicolon-separated values.

use super::raw::{RawColumn, RawTable, is_blank};
use crate::error::{Error, Place, Result, counted};
use crate::markup::clean_name;
use crate::number::parse_plain;

const CANDIDATES: [u8; 4] = [b',', b'\t', b';', b'|'];

/// Reads a file whose first line is the header. `delimiter` is found from the first lines if it is not given.
pub(crate) fn read(file: &str, text: &str, delimiter: Option<u8>) -> Result<RawTable> {
    let delimiter = match delimiter {
        Some(delimiter) => delimiter,
        None => sniff(file, text)?,
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    let mut table: Option<RawTable> = None;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                return Err(Error::malformed(
                    Place::line(file, line),
                    format!("not separated values: {error}"),
                    "quote cells that contain the separator, a quotation mark or a line break",
                ));
            }
        }
        if is_blank(record.iter()) {
            continue;
        }
        let line = record.position().map_or(0, |position| line_of(text, position));
        let Some(table) = &mut table else {
            if record.len() < 2 {
                return Err(Error::malformed(
                    Place::line(file, line),
                    format!("a header of one column, with {} as the separator", separator(delimiter)),
                    "give a table with a header line, or name its separator with <delimiter>",
                ));
            }
            let columns = record.iter().map(|name| RawColumn::named(clean_name(name))).collect();
            let mut new = RawTable::new(file, line, columns);
            // Assumes that lines are about as long as the first ones.
            let start = sample(text);
            let lines = start.lines().count().max(1);
            new.reserve(text.len() / (start.len() / lines).max(1) + 1);
            table = Some(new);
            continue;
        };
        if table.take_section(record.iter()) {
            continue;
        }
        let (found, expected) = (record.len(), table.columns.len());
        // Spreadsheets leave empty cells at the end. Any other extra cell would shift columns, so it is refused.
        if found > expected && !is_blank(record.iter().skip(expected)) {
            let hint = if record.iter().any(|cell| cell.trim().is_empty()) {
                "name every column in the header, or remove the extra separator from the line"
            } else {
                "a decimal comma or another separator inside a cell splits it: quote the cell, or separate with ; or tabs"
            };
            return Err(Error::malformed(
                Place::line(file, line),
                format!("{found} cells where the header has {expected}"),
                hint,
            ));
        }
        if found < expected {
            let hint = if record.iter().any(|cell| cell.contains('\n')) {
                "close the quotation mark that is open at the end of the line, or double it if it belongs to the cell"
            } else {
                "write a cell that is missing as an empty cell or as -"
            };
            return Err(Error::malformed(
                Place::line(file, line),
                format!("{} where the header has {expected}", counted(found, "cell")),
                hint,
            ));
        }
        table.push_row(line, record.iter());
    }
    table.ok_or_else(|| Error::malformed(Place::file(file), "an empty file", "give a table with a header line"))
}

/// The line on which a record starts. The reader's position may be before the line break that ends the previous record.
fn line_of(text: &str, position: &csv::Position) -> u64 {
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let breaks = text.as_bytes().get(start..).unwrap_or_default();
    let skipped = breaks.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + skipped.filter(|byte| **byte == b'\n').count() as u64
}

fn separator(delimiter: u8) -> String {
    match delimiter {
        b'\t' => "a tab".to_owned(),
        other => format!("`{}`", char::from(other)),
    }
}

/// The separator that splits the first lines into the same number of cells, and into more than one.
fn sniff(file: &str, text: &str) -> Result<u8> {
    let sample = sample(text);
    let mut consistent: Vec<(usize, u8)> = Vec::new();
    let mut fallback: (usize, u8) = (1, b',');
    for &delimiter in &CANDIDATES {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(sample.as_bytes());
        let counts: Vec<usize> = reader
            .records()
            .map_while(std::result::Result::ok)
            .filter(|record| !is_blank(record.iter()))
            .map(|record| record.len())
            .take(20)
            .collect();
        let Some(&first) = counts.first() else { continue };
        if first > fallback.0 {
            fallback = (first, delimiter);
        }
        if first > 1 && counts.iter().all(|&count| count == first) {
            consistent.push((first, delimiter));
        }
    }
    match consistent.as_slice() {
        [] if fallback.0 > 1 => Ok(fallback.1),
        [] => Err(Error::malformed(
            Place::line(file, 1),
            "a header of one column, or no separator among comma, tab, ; and |",
            "give a table with a header line, or name the separator with <delimiter>",
        )),
        [(_, delimiter)] => Ok(*delimiter),
        several => {
            // Of several, the separator that yields the most numbers is taken.
            let mut by_numbers: Vec<(usize, u8)> = several
                .iter()
                .map(|(_, delimiter)| (numbers(sample, *delimiter), *delimiter))
                .collect();
            by_numbers.sort_unstable_by_key(|&(numbers, _)| std::cmp::Reverse(numbers));
            if by_numbers[0].0 > by_numbers[1].0 {
                return Ok(by_numbers[0].1);
            }
            let names: Vec<String> = several
                .iter()
                .map(|(count, delimiter)| format!("{} ({count} cells)", separator(*delimiter)))
                .collect();
            Err(Error::malformed(
                Place::file(file),
                format!("lines that can be separated in more than one way: {}", names.join(", ")),
                "name the separator with <delimiter>",
            ))
        }
    }
}

/// How many cells of the first lines are plain numbers.
fn numbers(sample: &str, delimiter: u8) -> usize {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(sample.as_bytes());
    reader
        .records()
        .map_while(std::result::Result::ok)
        .take(20)
        .map(|record| record.iter().filter(|cell| parse_plain(cell.trim()).is_some()).count())
        .sum()
}

/// The first whole lines, at most 64 KiB. A cut inside a quoted cell causes at most one uneven record.
fn sample(text: &str) -> &str {
    const LIMIT: usize = 64 * 1024;
    if text.len() <= LIMIT {
        return text;
    }
    let mut end = LIMIT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match text[..end].rfind('\n') {
        Some(line) => &text[..line],
        None => &text[..end],
    }
}
