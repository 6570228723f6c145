//! `report.html`: one self-contained page with the curves of a run.

use crate::metrics::Record;
use crate::{TrainError, write_by_rename};
use plotters::prelude::*;
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
    let figures: String = curves
        .iter()
        .filter_map(|(name, points)| {
            let svg = curve(name, points)?;
            let last = points.last().map_or(f64::NAN, |point| point.1);
            let best = points.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
            let caption = format!("{}: last {last:.4}, largest {best:.4}", escape(name));
            Some(format!("<figure>{svg}<figcaption>{caption}</figcaption></figure>\n"))
        })
        .collect();
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n<style>body{{font:16px/1.5 sans-serif;\
         max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}}main{{display:flex;flex-wrap:wrap;gap:1rem}}figure{{margin:0}}\
         figcaption{{color:#555;font-size:.9rem}}pre{{background:#f4f4f4;padding:1rem;overflow:auto}}</style>\n\
         <h1>{title}</h1>\n<main>\n{figures}</main>\n<h2>Configuration</h2>\n<pre>{}</pre>\n</html>\n",
        escape(description),
        title = escape(title),
    );
    write_by_rename(&folder.join("report.html"), page.as_bytes())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    let margin = ((high - low) * 0.05).max(high.abs() * 1e-3).max(1e-9);
    (low - margin, high + margin)
}

fn curve(name: &str, points: &[(f64, f64)]) -> Option<String> {
    let (left, right) = bounds(points.iter().map(|point| point.0));
    let (bottom, top) = bounds(points.iter().map(|point| point.1));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (520, 320)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .caption(name, ("sans-serif", 18))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(56)
            .build_cartesian_2d(left.max(0.0)..right, bottom..top)
            .ok()?;
        chart
            .configure_mesh()
            .x_desc("step")
            .light_line_style(WHITE.mix(0.0))
            .draw()
            .ok()?;
        chart
            .draw_series(LineSeries::new(
                points.iter().copied(),
                RGBColor(31, 90, 160).stroke_width(2),
            ))
            .ok()?;
        area.present().ok()?;
    }
    Some(svg)
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
