//! Reading triples from files.
//!
//! Several threads take turns reading (and decompressing) blocks of whole lines, and each parses its own block. The caller's thread collects the
//! results in the order of the file. Formats whose records may span lines (CSV) are read and parsed by one thread.

mod blocks;
mod csv;
mod format;
mod header;
mod jsonl;
mod lines;
mod ntriples;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
mod source;
mod take;
mod tsv;

pub use format::{CsvEscape, Format};
pub use options::{ImportOptions, ImportReport, Progress};
pub use source::{open_text, unreadable};

use crate::batch::Batch;
use crate::build::GraphBuilder;
use crate::error::KgError;
use crate::remedy::Remedy;
use blocks::{BLOCK, Blocks, skip_header};
use source::name;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};
use take::{Stop, broken_off, take_batches};

/// Reads the triples of files into a builder, in order. `-` is standard input.
///
/// # Errors
/// If a file cannot be read, or a line is malformed; the error names the first such line.
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
        let before = report.read;
        if format == Format::Parquet {
            import_parquet(path, options, builder, &mut report)?;
            progress(std::fs::metadata(path).map_or(0, |metadata| metadata.len()));
        } else {
            let source = source::open(path, progress)?;
            import_one(source, format, &name(path), options, builder, &mut report)?;
        }
        if report.read == before {
            report.empty.push(name(path));
        }
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

/// Reads the triples of an open input into a builder. Errors call it `file`.
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
    if report.read == 0 {
        report.empty.push(file.into());
    }
    Ok(report)
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
        return Err(KgError::Setting {
            file: file.into(),
            problem: "the columns of this format have no names: they are subject, relation and object".into(),
            remedy: Remedy::NoColumns,
        });
    }
    let workers = match options.workers {
        Some(workers) => workers.get(),
        None => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8)),
    };
    let (batch_in, batch_out) = sync_channel::<(u64, Result<Batch, Stop>)>(workers + 1);
    // Memory of collected batches, for reuse.
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

fn parse_blocks(
    blocks: &Mutex<Blocks<'_>>,
    used: &Mutex<Vec<Batch>>,
    format: Format,
    options: &ImportOptions,
    batches: &SyncSender<(u64, Result<Batch, Stop>)>,
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
                parse_into(format, options.columns.as_ref(), block, line, &mut batch);
                (number, Ok(batch))
            }
            (Err(error), number) => (number, Err(error.into())),
        };
        if batches.send((number, batch)).is_err() {
            return;
        }
    }
}

/// Parses a block of whole lines in a format with one record per line (any other format is read as TSV). `line` is the number of the first line.
pub fn parse_block(format: Format, columns: Option<&[String; 3]>, block: Vec<u8>, line: u64) -> Batch {
    let mut batch = Batch::default();
    parse_into(format, columns, block, line, &mut batch);
    batch
}

/// Parses a block into an empty batch.
fn parse_into(format: Format, columns: Option<&[String; 3]>, block: Vec<u8>, line: u64, batch: &mut Batch) {
    if block.len() > u32::MAX as usize / 2 {
        batch.problem(line, "the line has more than two thousand million bytes");
        return;
    }
    match format {
        Format::Tsv | Format::Csv | Format::Parquet => tsv::parse(block, line, batch),
        Format::JsonLines => jsonl::parse(&block, line, columns, batch),
        Format::NTriples => ntriples::parse(&block, line, batch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LONGEST;

    #[test]
    fn a_line_with_many_objects_takes_the_memory_of_the_line() {
        let subject = "名".repeat(LONGEST / 3);
        let objects: Vec<String> = (0..4_200).map(|number| number.to_string()).collect();
        let line = serde_json::to_vec(&(&subject, "关系", &objects)).unwrap();
        let length = line.len();
        let batch = parse_block(Format::JsonLines, None, line, 1);
        assert!(
            batch.problems.is_empty() && batch.text.len() < length,
            "{} bytes",
            batch.text.len()
        );
        assert_eq!(batch.len(), objects.len());
        for (entry, object) in batch.entries.iter().zip(&objects) {
            assert_eq!(batch.get(entry.subject), subject.as_bytes());
            assert_eq!(batch.get(entry.relation), "关系".as_bytes());
            assert_eq!(batch.get(entry.object), object.as_bytes());
        }
        let line = serde_json::to_vec(&(format!("{subject}太长"), "关系", &objects)).unwrap();
        let batch = parse_block(Format::JsonLines, None, line, 1);
        assert_eq!((batch.len(), batch.text.len()), (0, 0));
    }
}
