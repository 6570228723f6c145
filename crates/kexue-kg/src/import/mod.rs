//! Reading triples from files.
//!
//! Several threads take turns at reading (and unpacking) a block of whole lines, and each parses its own; the caller's thread takes what they
//! find in the order of the file. Formats whose records may span lines (CSV) are parsed by one thread as they are read.

mod batch;
mod csv;
mod header;
mod jsonl;
mod ntriples;
#[cfg(feature = "parquet")]
mod parquet;
mod source;

pub use source::{open_text, unreadable};
mod tsv;

pub(crate) use batch::LONGEST;
pub use batch::parse_block;
pub use batch::{Batch, Problem};

use crate::{GraphBuilder, KgError};
use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How the triples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `subject ⇥ relation ⇥ object`, nothing escaped.
    Tsv,
    /// Comma-separated, quoted where needed; three columns, or a header and [`ImportOptions::columns`].
    Csv,
    /// One JSON object a line with the fields of [`ImportOptions::columns`], or one array of three strings; the object may be an array.
    JsonLines,
    /// W3C N-Triples: IRIs and blank nodes by their text, literals by their value.
    NTriples,
    /// Apache Parquet: the columns of [`ImportOptions::columns`]. Needs the feature `parquet`.
    Parquet,
}

impl Format {
    /// The format of a file by its name, what it is packed with aside.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name
            .strip_suffix(".gz")
            .or_else(|| name.strip_suffix(".zst"))
            .unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "tsv" | "txt" => Some(Self::Tsv),
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "nt" => Some(Self::NTriples),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tsv" => Ok(Self::Tsv),
            "csv" => Ok(Self::Csv),
            "jsonl" => Ok(Self::JsonLines),
            "nt" => Ok(Self::NTriples),
            "parquet" => Ok(Self::Parquet),
            _ => Err(format!(
                "expected `tsv`, `csv`, `jsonl`, `nt` or `parquet`, found `{text}`"
            )),
        }
    }
}

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The format; without one it is told from the file's name, and standard input is TSV.
    pub format: Option<Format>,
    /// Names of the columns of subject, relation and object. With them a CSV file has a header; without, it has three columns and no header,
    /// and the fields of JSON and columns of Parquet are `subject`, `relation` and `object`.
    pub columns: Option<[String; 3]>,
    /// Whether the first line of TSV and CSV that is not empty names the columns, and is passed over.
    pub header: bool,
    /// Whether to leave out and count what is not in the format, instead of stopping there.
    pub skip_bad: bool,
    /// Threads that read; without a number, one a core and at most eight. What is read does not depend on it.
    pub workers: Option<NonZeroUsize>,
}

impl ImportOptions {
    fn format(&self, path: &Path) -> Result<Format, KgError> {
        match self.format {
            Some(format) => Ok(format),
            None if path == Path::new("-") => Ok(Format::Tsv),
            None => Format::of(path).ok_or_else(|| KgError::Input {
                file: name(path),
                problem: "the name does not say the format; expected `.tsv`, `.csv`, `.jsonl`, `.nt` or `.parquet`, or name it with --format".into(),
            }),
        }
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Triples read.
    pub read: u64,
    /// Lines that are not in the format, left out.
    pub skipped: u64,
    /// The first line left out, and why.
    pub first_skipped: Option<String>,
    /// First lines that were taken for facts and read like the names of columns, with their files.
    pub likely_headers: Vec<String>,
}

/// Is told how many bytes of the input (packed, where it is) were read since the last call.
pub type Progress<'a> = dyn Fn(u64) + Sync + 'a;

/// Bytes of a block of lines.
const BLOCK: usize = 1 << 20;

/// Reads the triples of files into a builder, in their order; `-` is standard input.
///
/// # Errors
/// When a file cannot be read, or names the first line that is not in the format.
pub fn import(
    paths: &[PathBuf],
    options: &ImportOptions,
    builder: &mut GraphBuilder,
    progress: &Progress<'_>,
) -> Result<ImportReport, KgError> {
    let mut report = ImportReport::default();
    let formats: Vec<Format> = paths
        .iter()
        .map(|path| options.format(path))
        .collect::<Result<_, _>>()?;
    for (path, format) in paths.iter().zip(formats) {
        if format == Format::Parquet {
            import_parquet(path, options, builder, &mut report)?;
            progress(std::fs::metadata(path).map_or(0, |metadata| metadata.len()));
            continue;
        }
        let source = source::open(path, progress)?;
        import_one(source, format, &name(path), options, builder, &mut report)?;
    }
    Ok(report)
}

#[cfg(feature = "parquet")]
fn import_parquet(
    path: &Path,
    options: &ImportOptions,
    builder: &mut GraphBuilder,
    report: &mut ImportReport,
) -> Result<(), KgError> {
    let (batch_in, batch_out) = sync_channel(2);
    let used = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut number = 0;
            parquet::read(path, options.columns.as_ref(), BLOCK, &mut |batch| {
                number += 1;
                batch_in.send((number - 1, Ok(batch))).is_ok()
            })
        });
        take_batches(batch_out, &used, &name(path), options, builder, report)?;
        reading.join().unwrap_or(Ok(()))
    })
}

#[cfg(not(feature = "parquet"))]
fn import_parquet(path: &Path, _: &ImportOptions, _: &mut GraphBuilder, _: &mut ImportReport) -> Result<(), KgError> {
    Err(KgError::Input {
        file: name(path),
        problem: "this program was built without Apache Parquet; build it with the feature `parquet` (one of kexue-cli's default ones), or \
                  write the triples as TSV, CSV or JSON Lines"
            .into(),
    })
}

/// Reads the triples of one input that is open already into a builder; `file` is what errors call it.
///
/// # Errors
/// As [`import`].
pub fn import_reader(
    source: impl BufRead + Send,
    format: Format,
    file: &str,
    options: &ImportOptions,
    builder: &mut GraphBuilder,
) -> Result<ImportReport, KgError> {
    let mut report = ImportReport::default();
    if format == Format::Parquet {
        return Err(KgError::Input {
            file: file.into(),
            problem: "Apache Parquet is read from its end; expected the path of a file".into(),
        });
    }
    import_one(Box::new(source), format, file, options, builder, &mut report)?;
    Ok(report)
}

fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "<stdin>".into()
    } else {
        path.display().to_string()
    }
}

fn import_one<'a>(
    mut source: Box<dyn BufRead + Send + 'a>,
    format: Format,
    file: &str,
    options: &ImportOptions,
    builder: &mut GraphBuilder,
    report: &mut ImportReport,
) -> Result<(), KgError> {
    if options.columns.is_some() && matches!(format, Format::Tsv | Format::NTriples) {
        return Err(KgError::Input {
            file: file.into(),
            problem: "the columns of this format have no names: expected subject, relation and object; leave --columns out, and pass over a header with --header".into(),
        });
    }
    let workers = match options.workers {
        Some(workers) => workers.get(),
        None => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8)),
    };
    let (batch_in, batch_out) = sync_channel::<(u64, std::io::Result<Batch>)>(workers + 1);
    // Memory of batches that have been taken, to be used again.
    let used = Mutex::new(Vec::new());
    if format == Format::Csv {
        return std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut number = 0;
                csv::read(&mut source, options, BLOCK, &mut |batch| {
                    number += 1;
                    batch_in.send((number - 1, batch)).is_ok()
                });
            });
            take_batches(batch_out, &used, file, options, builder, report)
        });
    }
    let line = match options.header && format == Format::Tsv {
        true => skip_header(&mut source).map_err(|error| broken_off(file, error))?,
        false => 1,
    };
    let blocks = Mutex::new(Blocks {
        source,
        number: 0,
        line,
        done: false,
    });
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (batch_in, blocks, used) = (batch_in.clone(), &blocks, &used);
            scope.spawn(move || parse_blocks(blocks, used, format, options, &batch_in));
        }
        drop(batch_in);
        take_batches(batch_out, &used, file, options, builder, report)
    })
}

/// The mark that some programs put in front of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Passes over the first line that is not empty; returns the number of the next.
fn skip_header(mut source: &mut dyn BufRead) -> std::io::Result<u64> {
    for line in 1.. {
        // So many bytes tell whether the line is empty: the mark, and the end of a Windows line.
        let mut start = Vec::new();
        (&mut source)
            .take(MARK.len() as u64 + 2)
            .read_until(b'\n', &mut start)?;
        let text = match line {
            1 => start.strip_prefix(MARK).unwrap_or(&start),
            _ => &start,
        };
        if !start.is_empty() && matches!(text, b"\n" | b"\r\n") {
            continue;
        }
        if !start.ends_with(b"\n") {
            source.skip_until(b'\n')?;
        }
        return Ok(line + 1);
    }
    Ok(1)
}

/// An input, cut into blocks of whole lines.
struct Blocks<'a> {
    source: Box<dyn BufRead + Send + 'a>,
    /// Number of the next block, and of its first line.
    number: u64,
    line: u64,
    done: bool,
}

impl Blocks<'_> {
    /// Puts the next block into `block`; returns its number and that of its first line, none at the end.
    fn next(&mut self, block: &mut Vec<u8>) -> std::io::Result<Option<(u64, u64)>> {
        block.clear();
        block.reserve(BLOCK + BLOCK / 8);
        while !self.done {
            let taken = match self.source.fill_buf() {
                Ok([]) => {
                    self.done = true;
                    0
                }
                Ok(buffer) => {
                    let end = match memchr::memrchr(b'\n', buffer) {
                        Some(newline) if block.len() + buffer.len() >= BLOCK => newline + 1,
                        _ => buffer.len(),
                    };
                    block.extend_from_slice(&buffer[..end]);
                    end
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
                Err(error) => {
                    self.done = true;
                    return Err(error);
                }
            };
            self.source.consume(taken);
            if block.len() >= BLOCK && block.ends_with(b"\n") {
                break;
            }
        }
        // It is no part of the first name.
        if self.number == 0 && self.line == 1 && block.starts_with(MARK) {
            block.drain(..MARK.len());
        }
        if block.is_empty() {
            return Ok(None);
        }
        let found = (self.number, self.line);
        self.number += 1;
        self.line += memchr::memchr_iter(b'\n', block).count() as u64;
        Ok(Some(found))
    }
}

fn parse_blocks(
    blocks: &Mutex<Blocks<'_>>,
    used: &Mutex<Vec<Batch>>,
    format: Format,
    options: &ImportOptions,
    batches: &SyncSender<(u64, std::io::Result<Batch>)>,
) {
    loop {
        let mut batch = used.lock().ok().and_then(|mut used| used.pop()).unwrap_or_default();
        let mut block = batch.take_text();
        let Ok(next) = blocks.lock().map(|mut blocks| (blocks.next(&mut block), blocks.number)) else {
            return;
        };
        let (number, batch) = match next {
            (Ok(None), _) => return,
            (Ok(Some((number, line))), _) => {
                batch::parse_into(format, options.columns.as_ref(), block, line, &mut batch);
                (number, Ok(batch))
            }
            (Err(error), number) => (number, Err(error)),
        };
        if batches.send((number, batch)).is_err() {
            return;
        }
    }
}

/// Why an input cannot be read on: packed files that end early need more words than the system has; formats say themselves what is wrong.
fn broken_off(file: &str, error: std::io::Error) -> KgError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => KgError::Input {
            file: file.into(),
            problem: unreadable(&error),
        },
        _ => KgError::Io {
            path: file.into(),
            source: error,
        },
    }
}

/// Puts the batches into the builder in the order of the file.
fn take_batches(
    batches: Receiver<(u64, std::io::Result<Batch>)>,
    used: &Mutex<Vec<Batch>>,
    file: &str,
    options: &ImportOptions,
    builder: &mut GraphBuilder,
    report: &mut ImportReport,
) -> Result<(), KgError> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (number, batch) in batches {
        early.insert(number, batch);
        while let Some(batch) = early.remove(&next) {
            next += 1;
            let batch = batch.map_err(|error| broken_off(file, error))?;
            for Problem { line, problem } in &batch.problems {
                if !options.skip_bad {
                    return Err(KgError::Line {
                        file: file.into(),
                        line: *line,
                        problem: format!("{problem}; correct it, or leave such lines out with --skip-bad"),
                    });
                }
                report
                    .first_skipped
                    .get_or_insert_with(|| format!("{file}:{line}: {problem}"));
            }
            if let Some(header) = &batch.likely_header {
                report.likely_headers.push(format!("{file}:{header}"));
            }
            report.skipped += batch.problems.len() as u64;
            report.read += batch.len() as u64;
            builder.add_batch(&batch)?;
            if let Ok(mut used) = used.lock() {
                used.push(batch);
            }
        }
    }
    Ok(())
}
