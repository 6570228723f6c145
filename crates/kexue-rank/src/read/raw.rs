//! A table as text: what every reader produces, and what [`super::columns`] makes sense of.

use std::borrow::Cow;

use crate::error::Place;
use crate::markup::clean_name;
use crate::missing::is_missing;
use crate::number::parse_plain;
use crate::table::Direction;

/// What a column is for, where its format says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    Rank,
    Task,
    Claim,
    /// Called an average, but of what is to be seen.
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
    /// `values[row]`, NaN for cells that are text.
    pub values: Vec<f64>,
    /// `decimals[row]`, [`TEXT`] for cells that are text.
    pub decimals: Vec<u8>,
    /// Row, start and end in the table's text of the cells that are text, by row.
    texts: Vec<(usize, usize, usize)>,
}

/// Stands for the decimals of a cell that is text.
pub(crate) const TEXT: u8 = u8::MAX;

impl RawCells {
    /// Rows of the cells that are not plain numbers.
    pub fn text_rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.texts.iter().map(|(row, _, _)| *row)
    }
}

/// A table before anyone knows what its columns are.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawTable {
    pub file: String,
    /// Line of the headings, 0 where there are none.
    pub header: u64,
    pub columns: Vec<RawColumn>,
    /// Line of each row, 0 where there are none.
    pub lines: Vec<u64>,
    pub notes: Vec<String>,
    pub cells: Vec<RawCells>,
    /// What stands in rows of one cell, which head the rows below them.
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

    /// Appends a row; it is filled up or cut to the number of columns.
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

    /// Takes a row as the heading of a section if one cell alone holds words: the only cell of the row, or the only one of three
    /// or more that is not empty.
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

    /// Which rows were taken as headings of sections.
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

    /// The text of a cell, as it was or, for a plain number, as good as it was.
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

    /// Where a cell is; with an empty column name, where its row is.
    pub fn place(&self, row: usize, column: &str) -> Place {
        let line = self.lines[row];
        Place {
            row: if line == 0 { row as u64 + 1 } else { 0 },
            ..Place::cell(&self.file, line, column)
        }
    }

    /// Whether a cell says that there is no score.
    pub fn is_missing(&self, row: usize, column: usize) -> bool {
        self.cells[column].decimals[row] == TEXT && is_missing(&self.cell(row, column))
    }
}

/// Whether a row has nothing but white space, as spreadsheets leave them at the end.
pub(crate) fn is_blank<'a>(cells: impl IntoIterator<Item = &'a str>) -> bool {
    cells.into_iter().all(|cell| cell.trim().is_empty())
}
