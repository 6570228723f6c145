//! Comma-separated values (RFC 4180): fields in double quotes may contain commas, doubled quotes and line breaks. A line ends with `\n` or `\r\n`;
//! empty lines are skipped.
//!
//! The parser is strict, since a lenient library would join two records if a quote is missing. If a record is malformed, the line where it begins
//! is skipped, and reading continues with the next line.

use super::blocks::MARK;
use super::format::CsvEscape;
use super::header;
use super::options::ImportOptions;
use super::take::Stop;
use crate::batch::{Batch, Problem};
use crate::remedy::Remedy;
use std::io::{BufRead, ErrorKind, Result as IoResult};

/// Maximum size of a record, in bytes. A larger one is treated as an unclosed quote before it fills the memory.
const LONGEST_RECORD: usize = 64 << 20;
/// Maximum number of parsed bytes to keep.
const PARSED: usize = 1 << 20;

/// Reads to the end and passes batches of about `size` bytes of text to `give`, until it returns false.
pub(super) fn read(
    source: &mut dyn BufRead,
    options: &ImportOptions,
    size: usize,
    give: &mut dyn FnMut(Result<Batch, Stop>) -> bool,
) {
    let mut batch = Batch::default();
    if let Err(stop) = records(source, options, size, &mut batch, give) {
        give(Ok(batch));
        give(Err(stop));
    }
}

fn records(
    source: &mut dyn BufRead,
    options: &ImportOptions,
    size: usize,
    batch: &mut Batch,
    give: &mut dyn FnMut(Result<Batch, Stop>) -> bool,
) -> Result<(), Stop> {
    let mut reader = Reader::new(source, options.csv_escape)?;
    let named = options.columns.is_some();
    let mut header = named || options.header;
    let mut first = !header;
    let mut places = [0, 1, 2];
    while let Some(parsed) = reader.next()? {
        let line = reader.record.line;
        if header {
            header = false;
            parsed.map_err(Stop::Line)?;
            if let Some(columns) = &options.columns {
                places = columns_of(&reader.record, columns).map_err(Stop::Line)?;
            }
            continue;
        }
        match parsed.and_then(|()| triple(&reader.record, places, named)) {
            Ok(triple) => {
                if first {
                    header::note(batch, line, triple);
                }
                batch.add(line, triple);
            }
            Err(problem) => batch.problems.push(problem),
        }
        first = false;
        if batch.is_full(size) && !give(Ok(std::mem::take(batch))) {
            return Ok(());
        }
    }
    if header && let Some(columns) = &options.columns {
        reader.record.clear(reader.line);
        columns_of(&reader.record, columns).map_err(Stop::Line)?;
    }
    give(Ok(std::mem::take(batch)));
    Ok(())
}

/// The fields of a record, without their quotes.
#[derive(Default)]
struct Record {
    text: Vec<u8>,
    ends: Vec<usize>,
    /// The line where it begins, from 1.
    line: u64,
}

impl Record {
    fn clear(&mut self, line: u64) {
        self.text.clear();
        self.ends.clear();
        self.line = line;
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, place: usize) -> Option<&[u8]> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|place| self.get(place))
    }

    fn problem(&self, problem: String, remedy: Option<Remedy>) -> Problem {
        Problem {
            line: self.line,
            problem,
            remedy,
        }
    }
}

/// Why a record is malformed.
enum Fault {
    /// A quote is not closed; the place where it opens.
    Open(usize),
    /// Text follows a closing quote; the place of the quote.
    TextBehind(usize),
    /// A quote in a field that does not begin with one.
    QuoteInside,
    /// A carriage return in a field without quotes.
    ReturnInside,
    TooLong,
}

struct Reader<'a> {
    source: &'a mut dyn BufRead,
    escape: CsvEscape,
    /// The bytes read; those from `start` on are not parsed yet.
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    /// The line at `start`, from 1.
    line: u64,
    record: Record,
}

impl<'a> Reader<'a> {
    fn new(source: &'a mut dyn BufRead, escape: CsvEscape) -> IoResult<Self> {
        let mut reader = Self {
            source,
            escape,
            buffer: Vec::new(),
            start: 0,
            ended: false,
            line: 1,
            record: Record::default(),
        };
        while reader.buffer.len() < MARK.len() && reader.more()? {}
        if reader.buffer.starts_with(MARK) {
            reader.start = MARK.len();
        }
        Ok(reader)
    }

    /// Reads more; returns false at the end.
    fn more(&mut self) -> IoResult<bool> {
        while !self.ended {
            match self.source.fill_buf() {
                Ok([]) => self.ended = true,
                Ok(bytes) => {
                    let length = bytes.len();
                    self.buffer.extend_from_slice(bytes);
                    self.source.consume(length);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The byte at a place, which must not be beyond the bytes read; `None` at the end of the input.
    fn byte(&mut self, at: usize) -> IoResult<Option<u8>> {
        while at >= self.buffer.len() {
            if !self.more()? {
                return Ok(None);
            }
        }
        Ok(Some(self.buffer[at]))
    }

    /// If a line ends at `at`, the number of bytes of its end.
    fn line_end(&mut self, at: usize) -> IoResult<Option<usize>> {
        Ok(match self.byte(at)? {
            None => Some(0),
            Some(b'\n') => Some(1),
            Some(b'\r') => match self.byte(at + 1)? {
                None => Some(1),
                Some(b'\n') => Some(2),
                Some(_) => None,
            },
            Some(_) => None,
        })
    }

    /// Reads the next record into `record`, or returns its fault; `None` at the end.
    fn next(&mut self) -> IoResult<Option<Result<(), Problem>>> {
        if self.start > PARSED {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        while let Some(length) = self.line_end(self.start)? {
            if length == 0 {
                return Ok(None);
            }
            self.start += length;
            self.line += 1;
        }
        self.record.clear(self.line);
        Ok(Some(match self.parse()? {
            Ok(end) => {
                self.line += self.breaks(end);
                self.start = end;
                Ok(())
            }
            Err(fault) => {
                let problem = self.problem(&fault);
                self.skip_line()?;
                Err(problem)
            }
        }))
    }

    /// The number of line breaks from `start` up to a place.
    fn breaks(&self, end: usize) -> u64 {
        memchr::memchr_iter(b'\n', &self.buffer[self.start..end]).count() as u64
    }

    fn skip_line(&mut self) -> IoResult<()> {
        self.line += 1;
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[self.start..]) {
                self.start += length + 1;
                return Ok(());
            }
            self.buffer.clear();
            self.start = 0;
            if !self.more()? {
                return Ok(());
            }
        }
    }

    /// Reads the fields of the record at `start` into `record`. Returns the start of the next line.
    fn parse(&mut self) -> IoResult<Result<usize, Fault>> {
        let mut at = self.start;
        loop {
            let field = match self.byte(at)? {
                Some(b'"') => self.quoted(at)?,
                _ => self.plain(at)?,
            };
            at = match field {
                Ok(end) => end,
                Err(fault) => return Ok(Err(fault)),
            };
            self.record.ends.push(self.record.text.len());
            match self.line_end(at)? {
                Some(length) => return Ok(Ok(at + length)),
                // If it is not a line end, it is a comma.
                None => at += 1,
            }
        }
    }

    /// Reads the field after the quote at `start`. Returns its end, which is a comma or the end of the line.
    fn quoted(&mut self, start: usize) -> IoResult<Result<usize, Fault>> {
        let mut at = start + 1;
        loop {
            let rest = &self.buffer[at..];
            let found = match self.escape {
                CsvEscape::Quote => memchr::memchr(b'"', rest),
                CsvEscape::Backslash => memchr::memchr2(b'"', b'\\', rest),
            };
            let Some(length) = found else {
                self.record.text.extend_from_slice(rest);
                at = self.buffer.len();
                if at - self.start > LONGEST_RECORD {
                    return Ok(Err(Fault::TooLong));
                }
                if !self.more()? {
                    return Ok(Err(Fault::Open(start)));
                }
                continue;
            };
            self.record.text.extend_from_slice(&rest[..length]);
            at += length;
            let (special, next) = (self.buffer[at], self.byte(at + 1)?);
            match (special, next) {
                (_, Some(b'"')) | (b'\\', Some(b'\\')) => {
                    self.record.text.extend(next);
                    at += 2;
                }
                (b'\\', _) => {
                    self.record.text.push(special);
                    at += 1;
                }
                _ => {
                    let behind = at + 1;
                    let ends = self.byte(behind)? == Some(b',') || self.line_end(behind)?.is_some();
                    return Ok(if ends { Ok(behind) } else { Err(Fault::TextBehind(at)) });
                }
            }
        }
    }

    /// Reads a field without quotes. Returns its end, which is a comma or the end of the line.
    fn plain(&mut self, start: usize) -> IoResult<Result<usize, Fault>> {
        let mut seen = start;
        let end = loop {
            match memchr::memchr3(b',', b'\n', b'"', &self.buffer[seen..]) {
                Some(length) => break seen + length,
                None if self.buffer.len() - self.start > LONGEST_RECORD => return Ok(Err(Fault::TooLong)),
                None => {
                    seen = self.buffer.len();
                    if !self.more()? {
                        break seen;
                    }
                }
            }
        };
        let mut text = &self.buffer[start..end];
        match self.buffer.get(end) {
            Some(b'"') => return Ok(Err(Fault::QuoteInside)),
            Some(b',') => {}
            _ => text = text.strip_suffix(b"\r").unwrap_or(text),
        }
        if memchr::memchr(b'\r', text).is_some() {
            return Ok(Err(Fault::ReturnInside));
        }
        self.record.text.extend_from_slice(text);
        Ok(Ok(start + text.len()))
    }

    /// The message for a fault of the record at `start`.
    fn problem(&self, fault: &Fault) -> Problem {
        let field = self.record.len() + 1;
        let line_of = |at: usize| self.line + self.breaks(at);
        const DOUBLED: &str = "a quote that belongs to a field is written as two, in a field in quotes";
        let (problem, remedy) = match *fault {
            Fault::Open(at) => (
                format!(
                    "the quote that opens field {field} in line {} is not closed; close it ({DOUBLED})",
                    line_of(at)
                ),
                None,
            ),
            Fault::TextBehind(at) => {
                let escaped = at > 0 && self.buffer[at - 1] == b'\\';
                (
                    format!(
                        "text follows the quote that closes field {field} in line {}; expected a comma or the end of the line ({DOUBLED})",
                        line_of(at)
                    ),
                    escaped.then_some(Remedy::CsvEscape),
                )
            }
            Fault::QuoteInside => (
                format!("a quote stands inside field {field}, which does not begin with one ({DOUBLED})"),
                None,
            ),
            Fault::ReturnInside => (
                format!(
                    "a carriage return stands inside field {field}; expected a field with line breaks to be in quotes, and lines to end with \\n or \\r\\n"
                ),
                None,
            ),
            Fault::TooLong => (
                format!("the record that begins here has more than {LONGEST_RECORD} bytes; is a quote not closed?"),
                None,
            ),
        };
        self.record.problem(problem, remedy)
    }
}

fn columns_of(headers: &Record, columns: &[String; 3]) -> Result<[usize; 3], Problem> {
    let mut places = [0; 3];
    for (place, column) in places.iter_mut().zip(columns) {
        *place = headers
            .iter()
            .position(|header| header == column.as_bytes())
            .ok_or_else(|| {
                let found: Vec<_> = headers.iter().map(String::from_utf8_lossy).collect();
                let problem = format!("there is no column `{column}`, found `{}`", found.join("`, `"));
                headers.problem(problem, Some(Remedy::Columns))
            })?;
    }
    Ok(places)
}

fn triple(record: &Record, places: [usize; 3], named: bool) -> Result<[&str; 3], Problem> {
    if !named && record.len() != 3 {
        let problem = format!(
            "expected the three columns subject, relation and object, found {}",
            record.len()
        );
        return Err(record.problem(problem, Some(Remedy::Columns)));
    }
    let mut triple = [""; 3];
    for ((text, place), field) in triple.iter_mut().zip(places).zip(["subject", "relation", "object"]) {
        let bytes = record.get(place).ok_or_else(|| {
            let problem = format!("the {field} is missing: the line has only {} columns", record.len());
            record.problem(problem, None)
        })?;
        *text = std::str::from_utf8(bytes)
            .map_err(|_| record.problem(format!("the {field} is not UTF-8; expected text in UTF-8"), None))?;
    }
    Ok(triple)
}
