//! Reading triples from files.
//!
//! One thread reads and unpacks a file and cuts it into blocks of whole lines, others parse the blocks, and the caller's thread takes what
//! they find in the order of the file. Formats whose records may span lines (CSV) are parsed as they are read.

mod batch;
mod csv;
mod jsonl;
mod ntriples;
mod source;

pub use source::open_text;
mod tsv;

pub(crate) use batch::LONGEST;
pub use batch::parse_block;
pub use batch::{Batch, Problem};

use crate::{GraphBuilder, KgError};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

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
            _ => Err(format!("expected `tsv`, `csv`, `jsonl` or `nt`, found `{text}`")),
        }
    }
}

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The format; without one it is told from the file's name, and standard input is TSV.
    pub format: Option<Format>,
    /// Names of the columns of subject, relation and object. With them a CSV file has a header; without, it has three columns and no header,
    /// and the fields of JSON are `subject`, `relation` and `object`.
    pub columns: Option<[String; 3]>,
    /// Whether to leave out and count what is not in the format, instead of stopping there.
    pub skip_bad: bool,
}

impl ImportOptions {
    fn format(&self, path: &Path) -> Result<Format, KgError> {
        match self.format {
            Some(format) => Ok(format),
            None if path == Path::new("-") => Ok(Format::Tsv),
            None => Format::of(path).ok_or_else(|| KgError::Input {
                file: name(path),
                problem: "the name does not say the format; expected `.tsv`, `.csv`, `.jsonl` or `.nt`, or name it with --format".into(),
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
    for path in paths {
        let format = options.format(path)?;
        let source = source::open(path, progress)?;
        import_one(source, format, &name(path), options, builder, &mut report)?;
    }
    Ok(report)
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
    let workers = std::thread::available_parallelism()
        .map_or(1, |cores| cores.get() - 1)
        .clamp(1, 8);
    let (block_in, block_out) = sync_channel::<(u64, u64, Vec<u8>)>(workers);
    let (batch_in, batch_out) = sync_channel::<(u64, std::io::Result<Batch>)>(workers + 1);
    let blocks = Arc::new(Mutex::new(block_out));
    std::thread::scope(|scope| {
        if format == Format::Csv {
            scope.spawn(move || {
                let mut number = 0;
                csv::read(&mut source, options, BLOCK, &mut |batch| {
                    number += 1;
                    batch_in.send((number - 1, batch)).is_ok()
                });
            });
        } else {
            for _ in 0..workers {
                let (blocks, batch_in) = (blocks.clone(), batch_in.clone());
                scope.spawn(move || parse_blocks(&blocks, format, options, &batch_in));
            }
            scope.spawn(move || cut_blocks(&mut source, block_in, batch_in));
        }
        // The workers alone hold the blocks: when they stop, for nobody takes their batches, the reader finds its channel closed.
        drop(blocks);
        take_batches(batch_out, file, options, builder, report)
    })
}

/// Reads blocks of whole lines and numbers them.
fn cut_blocks(
    source: &mut dyn BufRead,
    blocks: SyncSender<(u64, u64, Vec<u8>)>,
    failed: SyncSender<(u64, std::io::Result<Batch>)>,
) {
    let (mut number, mut line) = (0, 1);
    let mut block = Vec::with_capacity(BLOCK + BLOCK / 8);
    loop {
        let end = match source.fill_buf() {
            Ok([]) => {
                if !block.is_empty() {
                    let _ = blocks.send((number, line, block));
                }
                return;
            }
            Ok(buffer) if block.len() + buffer.len() < BLOCK => {
                block.extend_from_slice(buffer);
                buffer.len()
            }
            Ok(buffer) => match memchr::memrchr(b'\n', buffer) {
                Some(newline) => {
                    block.extend_from_slice(&buffer[..=newline]);
                    let lines = memchr::memchr_iter(b'\n', &block).count() as u64;
                    let next = Vec::with_capacity(BLOCK + BLOCK / 8);
                    if blocks
                        .send((number, line, std::mem::replace(&mut block, next)))
                        .is_err()
                    {
                        return;
                    }
                    number += 1;
                    line += lines;
                    newline + 1
                }
                None => {
                    block.extend_from_slice(buffer);
                    buffer.len()
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
            Err(error) => {
                let _ = failed.send((number, Err(error)));
                return;
            }
        };
        source.consume(end);
    }
}

fn parse_blocks(
    blocks: &Mutex<Receiver<(u64, u64, Vec<u8>)>>,
    format: Format,
    options: &ImportOptions,
    batches: &SyncSender<(u64, std::io::Result<Batch>)>,
) {
    loop {
        let received = match blocks.lock() {
            Ok(receiver) => receiver.recv(),
            Err(_) => return,
        };
        let Ok((number, line, block)) = received else {
            return;
        };
        let batch = parse_block(format, options.columns.as_ref(), block, line);
        if batches.send((number, Ok(batch))).is_err() {
            return;
        }
    }
}

/// Puts the batches into the builder in the order of the file.
fn take_batches(
    batches: Receiver<(u64, std::io::Result<Batch>)>,
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
            let batch = batch.map_err(|source| KgError::Io {
                path: file.into(),
                source,
            })?;
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
            report.skipped += batch.problems.len() as u64;
            report.read += batch.len() as u64;
            builder.add_batch(&batch)?;
        }
    }
    Ok(())
}
