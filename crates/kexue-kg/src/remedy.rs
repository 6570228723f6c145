//! Remedies for errors.

/// A setting or an operation that helps against an error. Messages do not name it; a program adds its own name for it (a field of
/// [`ImportOptions`](crate::ImportOptions), a flag, a button).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// State the format: [`ImportOptions::format`](crate::ImportOptions::format).
    Format,
    /// Name the columns: [`ImportOptions::columns`](crate::ImportOptions::columns).
    Columns,
    /// Do not name columns; skip the first line with [`ImportOptions::header`](crate::ImportOptions::header).
    NoColumns,
    /// Skip such lines: [`ImportOptions::skip_bad`](crate::ImportOptions::skip_bad).
    SkipBad,
    /// Read `\"` as a quote: [`ImportOptions::csv_escape`](crate::ImportOptions::csv_escape).
    CsvEscape,
    /// Build an index from triples: [`GraphBuilder`](crate::GraphBuilder).
    Build,
    /// Merge the changes into the index: [`GraphWriter::compact`](crate::GraphWriter::compact).
    Compact,
}
