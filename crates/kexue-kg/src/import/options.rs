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
    /// The format; without one it is told from the file's name, and standard input is TSV.
    pub format: Option<Format>,
    /// Names of the columns of subject, relation and object. With them a CSV file has a header; without, it has three columns and no header,
    /// and the fields of JSON and columns of Parquet are `subject`, `relation` and `object`.
    pub columns: Option<[String; 3]>,
    /// Whether the first line of TSV and CSV that is not empty names the columns, and is passed over.
    pub header: bool,
    /// Whether to leave out and count what is not in the format, instead of stopping there.
    pub skip_bad: bool,
    /// How a quote inside a quoted field of CSV is written.
    pub csv_escape: CsvEscape,
    /// Threads that read; without a number, one a core and at most eight. What is read does not depend on it.
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
    /// First lines that were taken for facts and read like the names of columns, with their files.
    pub likely_headers: Vec<String>,
}

/// Is told how many bytes of the input (packed, where it is) were read since the last call.
pub type Progress<'a> = dyn Fn(u64) + Sync + 'a;
