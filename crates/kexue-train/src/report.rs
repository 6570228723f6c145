//! `report.html`: one self-contained page with the curves of a run.

use crate::metrics::Record;
use crate::task::Goal;
use crate::{Chart, Page, Series, TrainError};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the page: the content that `illustrate` adds; a curve of every number over the steps, with its last value and, if it has a goal, its best
/// value; and the settings of the run.
///
/// # Errors
/// If the file cannot be written.
pub fn write_report(
    folder: &Path,
    title: &str,
    description: &str,
    records: &[Record],
    goals: &BTreeMap<String, Goal>,
    illustrate: impl FnOnce(&mut Page),
) -> Result<(), TrainError> {
    report_page(title, description, records, goals, illustrate).write(&folder.join("report.html"))
}

/// The page that [`write_report`] writes.
pub fn report_page(
    title: &str,
    description: &str,
    records: &[Record],
    goals: &BTreeMap<String, Goal>,
    illustrate: impl FnOnce(&mut Page),
) -> Page {
    let mut curves: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for record in records {
        for (name, &value) in record.values.iter().filter(|(_, value)| value.is_finite()) {
            curves.entry(name).or_default().push((record.step as f64, value));
        }
    }
    let charts: Vec<Chart> = curves
        .into_iter()
        .map(|(name, points)| Chart {
            title: name.to_owned(),
            x: "step".to_owned(),
            caption: caption(name, &points, goals.get(name).copied()),
            series: vec![Series {
                points,
                ..Series::default()
            }],
            ..Chart::default()
        })
        .collect();
    let mut page = Page::new(title);
    illustrate(&mut page);
    page.charts(&charts);
    page.heading("Configuration");
    page.preformatted(description);
    page
}

fn caption(name: &str, points: &[(f64, f64)], goal: Option<Goal>) -> String {
    let values = || points.iter().map(|point| point.1);
    let last = short(values().next_back().unwrap_or(f64::NAN));
    match goal {
        None => format!("{name}: last {last}"),
        Some(Goal::Maximize) => format!(
            "{name}: last {last}, largest {}",
            short(values().fold(f64::MIN, f64::max))
        ),
        Some(Goal::Minimize) => format!(
            "{name}: last {last}, smallest {}",
            short(values().fold(f64::MAX, f64::min))
        ),
    }
}

/// Formats a number with four decimals, or with an exponent if these do not suffice.
fn short(value: f64) -> String {
    match value.abs() {
        size if value == 0.0 || (1e-3..1e6).contains(&size) => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_follow_the_goal_and_text_is_escaped() {
        let folder = tempfile::tempdir().unwrap();
        let records: Vec<Record> = (0..5)
            .map(|step| {
                let value = -1.0 / (step + 1) as f64;
                let names = ["score", "cost", "rate"];
                Record {
                    step,
                    values: names.map(|name| (name.to_owned(), value)).into(),
                }
            })
            .collect();
        let goals = BTreeMap::from([
            ("score".to_owned(), Goal::Maximize),
            ("cost".to_owned(), Goal::Minimize),
        ]);
        write_report(folder.path(), "Run", "a < b", &records, &goals, |page| {
            page.heading("First")
        })
        .unwrap();
        let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        for text in [
            "<h2>First</h2>",
            "<svg",
            ">score: last -0.2000, largest -0.2000<",
            ">cost: last -0.2000, smallest -1.0000<",
            ">rate: last -0.2000<",
            "a &lt; b",
        ] {
            assert!(page.contains(text), "{text}");
        }
    }
}
