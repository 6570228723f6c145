//! Tables of tab-separated columns; lines that begin with `#` are comments.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Reads a table in which every line has `columns` columns, none of them empty.
pub fn read(path: &Path, columns: usize) -> Result<Vec<Vec<String>>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let row: Vec<String> = line.split('\t').map(str::to_owned).collect();
        ensure!(
            row.len() == columns && row.iter().all(|cell| !cell.trim().is_empty()),
            "{}:{}: expected {columns} columns, none empty: {line:?}",
            path.display(),
            index + 1
        );
        rows.push(row);
    }
    Ok(rows)
}
