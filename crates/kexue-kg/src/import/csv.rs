//! Comma-separated values (RFC 4180): fields in double quotes may hold commas, quotes (doubled) and line breaks.

use super::ImportOptions;
use super::batch::Batch;
use std::io::BufRead;

/// Reads to the end, giving out batches of about `size` bytes of text, until `give` returns false.
pub(super) fn read(
    source: &mut dyn BufRead,
    options: &ImportOptions,
    size: usize,
    give: &mut dyn FnMut(std::io::Result<Batch>) -> bool,
) {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(options.columns.is_some())
        .flexible(true)
        .from_reader(source);
    let mut batch = Batch::default();
    let places = match &options.columns {
        None => Ok([0, 1, 2]),
        Some(columns) => match reader.byte_headers() {
            Ok(headers) => columns_of(headers, columns),
            Err(error) => Err(error.to_string()),
        },
    };
    let places = match places {
        Ok(places) => places,
        Err(problem) => {
            // Without its columns nothing of the file can be read: not a line to skip.
            give(Err(std::io::Error::new(std::io::ErrorKind::InvalidData, problem)));
            return;
        }
    };
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line);
                match triple(&record, places, options.columns.is_some()) {
                    Ok(triple) => batch.add(line, triple),
                    Err(problem) => batch.problem(line, problem),
                }
                if batch.is_full(size) && !give(Ok(std::mem::take(&mut batch))) {
                    return;
                }
            }
            Err(error) => {
                let error = match error.into_kind() {
                    csv::ErrorKind::Io(error) => error,
                    other => std::io::Error::other(format!("{other:?}")),
                };
                give(Ok(batch));
                give(Err(error));
                return;
            }
        }
    }
    give(Ok(batch));
}

fn columns_of(headers: &csv::ByteRecord, columns: &[String; 3]) -> Result<[usize; 3], String> {
    let mut places = [0; 3];
    for (place, column) in places.iter_mut().zip(columns) {
        *place = headers
            .iter()
            .position(|header| header == column.as_bytes())
            .ok_or_else(|| {
                let found: Vec<_> = headers.iter().map(String::from_utf8_lossy).collect();
                format!(
                    "line 1: there is no column `{column}`, found `{}`; name three of them with --columns",
                    found.join("`, `")
                )
            })?;
    }
    Ok(places)
}

fn triple(record: &csv::ByteRecord, places: [usize; 3], named: bool) -> Result<[&str; 3], String> {
    if !named && record.len() != 3 {
        return Err(format!(
            "expected the three columns subject, relation and object, found {}; name three of a header's columns with --columns",
            record.len()
        ));
    }
    let mut triple = [""; 3];
    for ((text, place), field) in triple.iter_mut().zip(places).zip(["subject", "relation", "object"]) {
        let bytes = record
            .get(place)
            .ok_or_else(|| format!("the {field} is missing: the line has only {} columns", record.len()))?;
        *text = std::str::from_utf8(bytes).map_err(|_| format!("the {field} is not UTF-8; expected text in UTF-8"))?;
    }
    Ok(triple)
}
