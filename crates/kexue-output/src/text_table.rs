//! Tables as text.

/// A table as lines of text: the first column is aligned to the left, the others to the right. Each row has as many cells as the head.
///
/// ```
/// use kexue_output::text_table;
///
/// let rows = [vec!["none".to_owned(), "93.1".to_owned()], vec!["sam".to_owned(), "9.5".to_owned()]];
/// assert_eq!(text_table(&["method", "score"], &rows), "method  score\nnone     93.1\nsam       9.5\n");
/// ```
pub fn text_table(head: &[&str], rows: &[Vec<String>]) -> String {
    let length = |cell: &str| cell.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell));
        cells.fold(length(head[column]), usize::max)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (at, (cell, width)) in cells.zip(&widths).enumerate() {
            line += &match at {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            };
        }
        line.trim_end().to_owned() + "\n"
    };
    let rows = rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
    line(&mut head.iter().copied()) + &rows.collect::<String>()
}
