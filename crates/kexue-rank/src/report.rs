//! A report as headings, paragraphs, lists and tables, written as plain text for a terminal or as Markdown.

use unicode_width::UnicodeWidthStr as _;

use crate::markup::visible;

/// The emphasis of a cell or a sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// No emphasis.
    #[default]
    Plain,
    /// Less important.
    Dim,
    /// The best, or a gain.
    Good,
    /// A loss, or something wrong.
    Bad,
    /// Most important.
    Strong,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Strong => "\x1b[1m",
        }
    }
}

/// The alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A text with a tone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The words.
    pub text: String,
    /// Their emphasis.
    pub tone: Tone,
}

impl Text {
    /// A text with a tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self {
            text,
            tone: Tone::Plain,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            tone: Tone::Plain,
        }
    }
}

/// A table of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// Headings and alignments of the columns.
    pub columns: Vec<(String, Align)>,
    /// The cells of every row.
    pub rows: Vec<Vec<Text>>,
}

impl Grid {
    /// A table with these columns and no rows.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        Self {
            columns: columns
                .iter()
                .map(|(name, align)| ((*name).to_owned(), *align))
                .collect(),
            rows: Vec::new(),
        }
    }
}

/// A part of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A heading; 1 is the title.
    Heading(usize, String),
    /// A paragraph.
    Paragraph(Text),
    /// A list.
    List(Vec<Text>),
    /// A table.
    Table(Grid),
}

/// A report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Its parts, in order.
    pub blocks: Vec<Block>,
}

impl Report {
    /// Appends a heading.
    pub fn heading(&mut self, level: usize, text: impl Into<String>) {
        self.blocks.push(Block::Heading(level, text.into()));
    }

    /// Appends a paragraph.
    pub fn paragraph(&mut self, text: impl Into<Text>) {
        self.blocks.push(Block::Paragraph(text.into()));
    }

    /// Appends a list, if it has items.
    pub fn list(&mut self, items: Vec<Text>) {
        if !items.is_empty() {
            self.blocks.push(Block::List(items));
        }
    }

    /// Appends a table.
    pub fn table(&mut self, grid: Grid) {
        self.blocks.push(Block::Table(grid));
    }

    /// The report as plain text, with escape sequences for colour if `colour`.
    pub fn to_text(&self, colour: bool) -> String {
        let mut out = String::new();
        for (index, block) in self.blocks.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            match block {
                Block::Heading(_, text) => push_line(&mut out, &Text::new(text.as_str(), Tone::Strong), colour),
                Block::Paragraph(text) => push_line(&mut out, text, colour),
                Block::List(items) => {
                    for item in items {
                        out.push_str("  • ");
                        push_line(&mut out, item, colour);
                    }
                }
                Block::Table(grid) => grid_text(&mut out, grid, colour),
            }
        }
        out
    }

    /// The report in Markdown.
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        for (index, block) in self.blocks.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            match block {
                Block::Heading(level, text) => {
                    out.push_str(&"#".repeat((*level).clamp(1, 6)));
                    out.push_str(&format!(" {}\n", escape(text)));
                }
                Block::Paragraph(text) => out.push_str(&format!("{}\n", emphasised(text))),
                Block::List(items) => items
                    .iter()
                    .for_each(|item| out.push_str(&format!("- {}\n", emphasised(item)))),
                Block::Table(grid) => grid_markdown(&mut out, grid),
            }
        }
        out
    }
}

fn push_line(out: &mut String, text: &Text, colour: bool) {
    push_toned(out, &text.text, text.tone, colour);
    out.push('\n');
}

fn push_toned(out: &mut String, text: &str, tone: Tone, colour: bool) {
    // Names come from files: control characters must not reach the terminal.
    let safe = text.chars().map(visible);
    if colour && tone != Tone::Plain {
        out.push_str(tone.code());
        out.extend(safe);
        out.push_str("\x1b[0m");
    } else {
        out.extend(safe);
    }
}

fn grid_text(out: &mut String, grid: &Grid, colour: bool) {
    let mut widths: Vec<usize> = grid.columns.iter().map(|(name, _)| name.width()).collect();
    for row in &grid.rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.width());
        }
    }
    let pad = |out: &mut String, cell: &str, tone: Tone, column: usize| {
        let space = " ".repeat(widths[column].saturating_sub(cell.width()));
        let last = column + 1 == grid.columns.len();
        match grid.columns[column].1 {
            Align::Right => {
                out.push_str(&space);
                push_toned(out, cell, tone, colour);
            }
            Align::Left => {
                push_toned(out, cell, tone, colour);
                if !last {
                    out.push_str(&space);
                }
            }
        }
        if last {
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        } else {
            out.push_str("  ");
        }
    };
    for (column, (name, _)) in grid.columns.iter().enumerate() {
        pad(out, name, Tone::Dim, column);
    }
    for row in &grid.rows {
        for column in 0..grid.columns.len() {
            let cell = row.get(column).cloned().unwrap_or_default();
            pad(out, &cell.text, cell.tone, column);
        }
    }
}

fn grid_markdown(out: &mut String, grid: &Grid) {
    let head: Vec<String> = grid.columns.iter().map(|(name, _)| escape(name)).collect();
    out.push_str(&format!("| {} |\n|", head.join(" | ")));
    for (_, align) in &grid.columns {
        out.push_str(if *align == Align::Right { " ---: |" } else { " --- |" });
    }
    out.push('\n');
    for row in &grid.rows {
        let cells: Vec<String> = (0..grid.columns.len())
            .map(|column| row.get(column).map_or_else(String::new, emphasised))
            .collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
}

fn emphasised(text: &Text) -> String {
    let escaped = escape(&text.text);
    match text.tone {
        Tone::Strong | Tone::Bad if !escaped.is_empty() => format!("**{escaped}**"),
        _ => escaped,
    }
}

/// Escapes characters of names that would be markup.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '<' | '\\' | '[' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// Formats a number with `digits` decimals and a real minus sign.
pub(crate) fn number(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    // Long numbers are easier to read with an exponent.
    let text = if value.abs() < 1e12 {
        format!("{value:.digits$}")
    } else {
        format!("{value:.digits$e}")
    };
    match text.strip_prefix('-') {
        // A rounded −0 is 0.
        Some(rest) if rest.bytes().all(|b| matches!(b, b'0' | b'.')) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.heading(1, "Means");
        let mut grid = Grid::new(&[("system", Align::Left), ("AM", Align::Right)]);
        grid.rows.push(vec!["神仙会".into(), Text::new("9.5", Tone::Good)]);
        grid.rows.push(vec!["a|b".into(), "10.25".into()]);
        report.table(grid);
        report
    }

    #[test]
    fn columns_are_even_in_a_terminal() {
        assert_eq!(
            report().to_text(false),
            "Means\n\nsystem     AM\n神仙会    9.5\na|b     10.25\n"
        );
        assert!(report().to_text(true).contains("\x1b[32m9.5\x1b[0m"));
    }

    #[test]
    fn markdown_escapes_names() {
        assert_eq!(
            report().to_markdown(),
            "# Means\n\n| system | AM |\n| --- | ---: |\n| 神仙会 | 9.5 |\n| a\\|b | 10.25 |\n"
        );
    }

    #[test]
    fn numbers_have_a_minus_sign_and_no_negative_zero() {
        assert_eq!(number(-0.001, 2), "0.00");
        assert_eq!(number(-1.5, 1), "−1.5");
        assert_eq!(number(f64::NEG_INFINITY, 1), "−∞");
        assert_eq!(number(-5e299, 1), "−5.0e299");
    }

    #[test]
    fn no_escape_sequence_of_a_file_reaches_the_terminal() {
        let mut report = Report::default();
        report.paragraph("\x1b[31mred");
        assert!(!report.to_text(false).contains('\x1b'));
    }
}
