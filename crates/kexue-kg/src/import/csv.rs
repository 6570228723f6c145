//! Comma-separated values (RFC 4180): fields in double quotes may hold commas, quotes (doubled) and line breaks. A line ends with `\n` or `\r\n`;
//! empty lines are passed over.

use super::header;
use super::options::ImportOptions;
use crate::batch::Batch;
use std::cell::Cell;
use std::io::{BufRead, Error, ErrorKind, Read, Result as IoResult};

/// A record behind the last: where it is not read as one, it stands in a quote that was never closed.
const END: [&str; 3] = ["\u{0}kexue", "\u{0}end of", "\u{0}input"];
/// Most bytes of a record. One that has more is taken for an open quote before it fills the memory.
const LONGEST_RECORD: usize = 64 << 20;

/// What is read, and how much more may be before the record at hand must end.
struct Bounded<'a, R> {
    inner: R,
    left: &'a Cell<usize>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        let size = buffer.len().min(self.left.get());
        if size == 0 && !buffer.is_empty() {
            return Err(invalid(format!(
                "the record that begins here has more than {LONGEST_RECORD} bytes; is a quote not closed?"
            )));
        }
        let read = self.inner.read(&mut buffer[..size])?;
        self.left.set(self.left.get() - read);
        Ok(read)
    }
}

/// Nothing of the file can be read behind this: not a line to skip.
fn invalid(problem: String) -> Error {
    Error::new(ErrorKind::InvalidData, problem)
}

/// Reads to the end, giving out batches of about `size` bytes of text, until `give` returns false.
pub(super) fn read(
    source: &mut dyn BufRead,
    options: &ImportOptions,
    size: usize,
    give: &mut dyn FnMut(IoResult<Batch>) -> bool,
) {
    let mut batch = Batch::default();
    if let Err(error) = records(source, options, size, &mut batch, give) {
        give(Ok(batch));
        give(Err(error));
    }
}

fn records(
    source: &mut dyn BufRead,
    options: &ImportOptions,
    size: usize,
    batch: &mut Batch,
    give: &mut dyn FnMut(IoResult<Batch>) -> bool,
) -> IoResult<()> {
    let left = Cell::new(LONGEST_RECORD);
    let end = format!("\n{}\n", END.join(","));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        // Of `\r\n` the parser would count the end with the next record.
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(Bounded {
            inner: source.chain(end.as_bytes()),
            left: &left,
        });
    let named = options.columns.is_some();
    let mut header = named || options.header;
    let mut first = !header;
    let mut places = [0, 1, 2];
    let mut record = csv::ByteRecord::new();
    loop {
        let line = reader.position().line();
        let more = reader
            .read_byte_record(&mut record)
            .map_err(|error| failed(error, line))?;
        left.set(LONGEST_RECORD);
        let ended = !more || record.iter().eq(END.map(str::as_bytes));
        if ended {
            record.clear();
        } else if let Some(open) = record
            .iter()
            .next_back()
            .filter(|field| field.ends_with(end.as_bytes()))
        {
            let inside = memchr::memchr_iter(b'\n', open).count() as u64;
            return Err(invalid(format!(
                "line {}: a quote opens here that is not closed; close it, or write a quote that belongs to a field as two in a quoted field",
                reader.position().line().saturating_sub(inside)
            )));
        }
        // The parser's own position of a record stands before the empty lines above it. Behind the record is one line more than it has line breaks.
        let breaks = memchr::memchr_iter(b'\n', record.as_slice()).count() as u64 + 1;
        let line = reader.position().line().saturating_sub(breaks);
        if !ended && is_empty_line(&mut record) {
            continue;
        }
        if header {
            header = false;
            if let Some(columns) = &options.columns {
                places = columns_of(&record, columns, line).map_err(invalid)?;
            }
            if !ended {
                continue;
            }
        }
        if ended {
            give(Ok(std::mem::take(batch)));
            return Ok(());
        }
        match triple(&record, places, named) {
            Ok(triple) => {
                if first {
                    header::note(batch, line, triple);
                }
                batch.add(line, triple);
            }
            Err(problem) => batch.problem(line, problem),
        }
        first = false;
        if batch.is_full(size) && !give(Ok(std::mem::take(batch))) {
            return Ok(());
        }
    }
}

/// Takes the end of a Windows line off the last field; whether that was all there is.
fn is_empty_line(record: &mut csv::ByteRecord) -> bool {
    if let Some(last) = record.iter().next_back().and_then(|field| field.strip_suffix(b"\r")) {
        let last = last.to_vec();
        record.truncate(record.len() - 1);
        record.push_field(&last);
    }
    record.len() == 1 && record.as_slice().is_empty()
}

fn failed(error: csv::Error, line: u64) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == ErrorKind::InvalidData => invalid(format!("line {line}: {error}")),
        csv::ErrorKind::Io(error) => error,
        other => Error::other(format!("{other:?}")),
    }
}

fn columns_of(headers: &csv::ByteRecord, columns: &[String; 3], line: u64) -> Result<[usize; 3], String> {
    let mut places = [0; 3];
    for (place, column) in places.iter_mut().zip(columns) {
        *place = headers
            .iter()
            .position(|header| header == column.as_bytes())
            .ok_or_else(|| {
                let found: Vec<_> = headers.iter().map(String::from_utf8_lossy).collect();
                format!(
                    "line {line}: there is no column `{column}`, found `{}`; name three of them with --columns",
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
