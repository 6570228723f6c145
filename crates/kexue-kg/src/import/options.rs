//! How triples are read, and what was read.

use super::format::{CsvEscape, Format};
use super::source::name;
use crate::error::KgError;
use crate::remedy::Remedy;
use std::num::NonZeroUsize;
use std::path::Path;

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The format. Without one, the file's name tells it, and standard input is TSV.
    pub format: Option<Format>,
    /// Names of the columns of subject, relation and object. With them a CSV file has a header; without, it has three columns and no header,
    /// and the fields of JSON and columns of Parquet are `subject`, `relation` and `object`.
    pub columns: Option<[String; 3]>,
    /// Whether the first line of TSV and CSV that is not empty names the columns, and is passed over.
    pub header: bool,
    /// Whether to leave out and count lines that are not in the format, instead of stopping at the first.
    pub skip_bad: bool,
    /// How a quote inside a quoted field of CSV is written.
    pub csv_escape: CsvEscape,
    /// The number of threads that read; by default one for each core, at most eight. The result does not depend on it.
    pub workers: Option<NonZeroUsize>,
}

impl ImportOptions {
    pub(super) fn format(&self, path: &Path) -> Result<Format, KgError> {
        match self.format {
            Some(format) => Ok(format),
            None if path == Path::new("-") => Ok(Format::Tsv),
            None => Format::of(path).ok_or_else(|| KgError::Setting {
                file: name(path),
                problem: "the name of the file does not tell its format; expected `.tsv`, `.csv`, `.jsonl`, `.nt` or `.parquet`".into(),
                remedy: Remedy::Format,
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
    /// The inputs in which no triple was found.
    pub empty: Vec<String>,
    /// First lines that look like the names of columns but were read as facts, with their files.
    pub likely_headers: Vec<String>,
}

/// Is told how many bytes of the input (packed, where it is) were read since the last call.
pub type Progress<'a> = dyn Fn(u64) + Sync + 'a;
