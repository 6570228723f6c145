//! A table as text: what every reader produces, and what [`super::columns`] makes sense of.

use crate::table::Direction;

/// What a column is for, where its format says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    Rank,
    Task,
    Claim,
    Ignored,
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

/// Cells in row order, all in one buffer.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawTable {
    pub file: String,
    pub columns: Vec<RawColumn>,
    /// Line of each row, 0 where there are none.
    pub lines: Vec<u64>,
    pub notes: Vec<String>,
    text: String,
    ends: Vec<usize>,
}

impl RawTable {
    pub fn new(file: &str, columns: Vec<RawColumn>) -> Self {
        Self {
            file: file.to_owned(),
            columns,
            ..Self::default()
        }
    }

    pub fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes);
    }

    /// Appends a row; it is filled up or cut to the number of columns.
    pub fn push_row<'a>(&mut self, line: u64, cells: impl IntoIterator<Item = &'a str>) {
        let mut cells = cells.into_iter();
        for _ in 0..self.columns.len() {
            self.text.push_str(cells.next().unwrap_or(""));
            self.ends.push(self.text.len());
        }
        self.lines.push(line);
    }

    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    pub fn cell(&self, row: usize, column: usize) -> &str {
        let index = row * self.columns.len() + column;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }
}

/// Whether a row has nothing but white space, as spreadsheets leave them at the end.
pub(crate) fn is_blank<'a>(cells: impl IntoIterator<Item = &'a str>) -> bool {
    cells.into_iter().all(|cell| cell.trim().is_empty())
}
