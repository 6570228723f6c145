//! Tables of numbers in CSV files.

use crate::data::DataError;
use kexue_images::read_bytes;
use std::path::Path;

/// Reads a CSV file without a header: one row per line, with as many numbers as the first, each within the range of single precision. Returns the numbers, row by row, and the size of a row.
/// `what` is what a row has, for messages.
pub(crate) fn read_numbers(path: &Path, what: &str) -> Result<(Vec<f64>, usize), DataError> {
    let bytes = read_bytes(path)?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
    let (mut size, mut values) = (0, Vec::new());
    for (number, record) in reader.records().enumerate() {
        let at = |problem: String| DataError::Points(format!("{}:{}: {problem}", path.display(), number + 1));
        let record = record.map_err(|error| at(error.to_string()))?;
        for (column, field) in record.iter().enumerate() {
            let value = field.trim().parse().ok();
            let value = value.filter(|&value: &f64| (value as f32).is_finite());
            values.push(value.ok_or_else(|| {
                at(format!(
                    "column {}: `{field}` is not a number; expected {what}",
                    column + 1
                ))
            })?);
        }
        size = record.len();
    }
    Ok((values, size))
}
