//! `report.html`: one self-contained page with the curves of a run.

use crate::metrics::Record;
use crate::{Chart, Page, Series, TrainError};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the page: a curve of every number over the steps, and what the run was.
///
/// # Errors
/// When the file cannot be written.
pub fn write_report(folder: &Path, title: &str, description: &str, records: &[Record]) -> Result<(), TrainError> {
    let mut curves: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for record in records {
        for (name, &value) in record.values.iter().filter(|(_, value)| value.is_finite()) {
            curves.entry(name).or_default().push((record.step as f64, value));
        }
    }
    let charts: Vec<Chart> = curves
        .into_iter()
        .map(|(name, points)| {
            let last = points.last().map_or(f64::NAN, |point| point.1);
            let best = points.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
            Chart {
                title: name.to_owned(),
                x: "step".to_owned(),
                caption: format!("{name}: last {last:.4}, largest {best:.4}"),
                series: vec![Series {
                    points,
                    ..Series::default()
                }],
                ..Chart::default()
            }
        })
        .collect();
    let mut page = Page::new(title);
    page.charts(&charts);
    page.heading("Configuration");
    page.preformatted(description);
    page.write(&folder.join("report.html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_every_curve_and_escapes_text() {
        let folder = tempfile::tempdir().unwrap();
        let records: Vec<Record> = (0..5)
            .map(|step| Record {
                step,
                values: BTreeMap::from([("loss".to_owned(), 1.0 / (step + 1) as f64)]),
            })
            .collect();
        write_report(folder.path(), "Run", "a < b", &records).unwrap();
        let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        assert!(
            page.contains("<svg") && page.contains("loss: last 0.2000, largest 1.0000") && page.contains("a &lt; b")
        );
    }
}
