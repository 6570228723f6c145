//! A table as text, which every reader produces and [`super::columns`] interprets.

use std::borrow::Cow;

use crate::error::Place;
use crate::markup::clean_name;
use crate::missing::is_missing;
use crate::number::parse_plain;
use crate::table::Direction;

/// The role of a column, if its format specifies one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    Rank,
    Task,
    Claim,
    /// Named like an average; whether it is one is decided later.
    PartClaim,
    Ignored,
    /// Words.
    Text,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct RawColumn {
    pub name: String,
    pub group: Option<String>,
    pub direction: Option<Direction>,
    pub role: Option<Role>,
}

impl RawColumn {
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

/// The cells of a column: plain numbers as numbers, everything else as text.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawCells {
    /// `values[row]`; NaN for cells that are text.
    pub values: Vec<f64>,
    /// `decimals[row]`; [`TEXT`] for cells that are text.
    pub decimals: Vec<u8>,
    /// Row, start and end in the table's text of the cells that are text, by row.
    texts: Vec<(usize, usize, usize)>,
}

/// The number of decimals that marks a cell as text.
pub(crate) const TEXT: u8 = u8::MAX;

impl RawCells {
    /// Rows of the cells that are not plain numbers.
    pub fn text_rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.texts.iter().map(|(row, _, _)| *row)
    }
}

/// A table before its columns are interpreted.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawTable {
    pub file: String,
    /// Line of the headings; 0 if there are none.
    pub header: u64,
    pub columns: Vec<RawColumn>,
    /// Line of each row; 0 if there are none.
    pub lines: Vec<u64>,
    pub notes: Vec<String>,
    pub cells: Vec<RawCells>,
    /// The texts of rows with a single cell, which are headings of the rows below.
    pub sections: Vec<String>,
    text: String,
}

impl RawTable {
    pub fn new(file: &str, header: u64, columns: Vec<RawColumn>) -> Self {
        let cells = vec![RawCells::default(); columns.len()];
        Self {
            file: file.to_owned(),
            header,
            columns,
            cells,
            ..Self::default()
        }
    }

    pub fn reserve(&mut self, rows: usize) {
        self.lines.reserve(rows);
        for cells in &mut self.cells {
            cells.values.reserve(rows);
            cells.decimals.reserve(rows);
        }
    }

    /// Appends a row, padded or cut to the number of columns.
    pub fn push_row<'a>(&mut self, line: u64, cells: impl IntoIterator<Item = &'a str>) {
        let row = self.lines.len();
        let mut texts = cells.into_iter();
        for cells in &mut self.cells {
            let text = texts.next().unwrap_or("").trim();
            match parse_plain(text) {
                Some((value, decimals)) => {
                    cells.values.push(value);
                    cells.decimals.push(decimals);
                }
                None => {
                    let start = self.text.len();
                    self.text.push_str(text);
                    cells.values.push(f64::NAN);
                    cells.decimals.push(TEXT);
                    cells.texts.push((row, start, self.text.len()));
                }
            }
        }
        self.lines.push(line);
    }

    /// Takes a row as the heading of a section if only one cell contains words: the only cell of the row, or the only non-empty one of three or
    /// more.
    pub fn take_section<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) -> bool {
        let (mut count, mut filled) = (0, Vec::new());
        for cell in cells {
            count += 1;
            if !cell.trim().is_empty() {
                filled.push(cell.trim());
            }
        }
        let is_section = matches!(filled[..], [words] if !is_missing(words) && parse_plain(words).is_none())
            && self.columns.len() > 1
            && (count == 1 || count > 2);
        if is_section {
            self.sections.push(clean_name(filled[0]));
        }
        is_section
    }

    /// A note about the rows that were taken as headings of sections.
    pub fn sections_in_words(&self) -> Option<String> {
        (!self.sections.is_empty()).then(|| {
            format!(
                "rows of one cell, skipped as headings of sections: {}",
                self.sections.join(", ")
            )
        })
    }

    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The text of a cell. That of a plain number is formatted anew.
    pub fn cell(&self, row: usize, column: usize) -> Cow<'_, str> {
        let cells = &self.cells[column];
        if cells.decimals[row] != TEXT {
            return Cow::Owned(format!("{:.*}", usize::from(cells.decimals[row]), cells.values[row]));
        }
        match cells.texts.binary_search_by_key(&row, |(row, _, _)| *row) {
            Ok(index) => Cow::Borrowed(&self.text[cells.texts[index].1..cells.texts[index].2]),
            Err(_) => Cow::Borrowed(""),
        }
    }

    /// The place of a cell; with an empty column name, that of its row.
    pub fn place(&self, row: usize, column: &str) -> Place {
        let line = self.lines[row];
        Place {
            row: if line == 0 { row as u64 + 1 } else { 0 },
            ..Place::cell(&self.file, line, column)
        }
    }

    /// Whether a cell marks a missing score.
    pub fn is_missing(&self, row: usize, column: usize) -> bool {
        self.cells[column].decimals[row] == TEXT && is_missing(&self.cell(row, column))
    }
}

/// Whether a row contains nothing but white space. Spreadsheets leave such rows at the end.
pub(crate) fn is_blank<'a>(cells: impl IntoIterator<Item = &'a str>) -> bool {
    cells.into_iter().all(|cell| cell.trim().is_empty())
}
