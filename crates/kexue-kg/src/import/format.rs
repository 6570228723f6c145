//! The formats of triples.

use std::path::Path;
use std::str::FromStr;

/// The format of triples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `subject ⇥ relation ⇥ object`, without escapes.
    Tsv,
    /// Comma-separated, quoted where needed; three columns, or a header and [`ImportOptions::columns`](crate::ImportOptions::columns).
    Csv,
    /// One JSON object a line with the fields of [`ImportOptions::columns`](crate::ImportOptions::columns), or one array of three strings. The object
    /// may be an array.
    JsonLines,
    /// W3C N-Triples. IRIs and blank nodes are named by their text, literals by their value.
    NTriples,
    /// Apache Parquet: the columns of [`ImportOptions::columns`](crate::ImportOptions::columns). Needs the feature `parquet`.
    Parquet,
}

impl Format {
    /// The format of a file, from its name without the extension of a compression format.
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

/// How CSV escapes a quote inside a quoted field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CsvEscape {
    /// As two quotes (RFC 4180).
    #[default]
    Quote,
    /// As two quotes or as `\"`. A backslash is `\\`, or a plain backslash before any other character. This is how PostgreSQL's `ESCAPE` works.
    Backslash,
}

impl FromStr for CsvEscape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "quote" => Ok(Self::Quote),
            "backslash" => Ok(Self::Backslash),
            _ => Err(format!("expected `quote` or `backslash`, found `{text}`")),
        }
    }
}
