//! A self-contained HTML page: text, tables and figures, each figure a line chart drawn as SVG.

use crate::{TrainError, write_by_rename};
use plotters::prelude::*;
use std::fmt::Write as _;
use std::path::Path;

/// A line of a [`Chart`].
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// What the legend calls it; nothing for none.
    pub name: String,
    /// (x, y), in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
    /// Half the length of the error bar of each point; empty for none.
    pub errors: Vec<f64>,
}

/// A line chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What stands above.
    pub title: String,
    /// What the horizontal axis is.
    pub x: String,
    /// What the vertical axis is.
    pub y: String,
    /// Whether the horizontal axis is logarithmic.
    pub log_x: bool,
    /// Whether the vertical axis is logarithmic; points that are not positive are left out.
    pub log_y: bool,
    /// The lines; points that are not finite are left out.
    pub series: Vec<Series>,
    /// What stands below.
    pub caption: String,
}

/// Colours that the colour-blind can tell apart (Okabe & Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

const SIZE: (u32, u32) = (560, 350);

impl Chart {
    /// The chart as SVG; `None` when there is nothing to draw.
    fn svg(&self) -> Option<String> {
        let y_of = |y: f64| if self.log_y { y.log10() } else { y };
        let x_of = |x: f64| if self.log_x { x.log2() } else { x };
        let lines: Vec<Vec<(f64, f64, f64, f64)>> = self
            .series
            .iter()
            .map(|series| {
                let errors = series.errors.iter().copied().chain(std::iter::repeat(0.0));
                let placed = series.points.iter().zip(errors).map(|(&(x, y), error)| {
                    let low = y_of(y - error);
                    (
                        x_of(x),
                        y_of(y),
                        if low.is_finite() { low } else { y_of(y) },
                        y_of(y + error),
                    )
                });
                placed.filter(|(x, y, ..)| x.is_finite() && y.is_finite()).collect()
            })
            .collect();
        let all = || lines.iter().flatten();
        all().next()?;
        let (left, right) = bounds(all().map(|point| point.0));
        let (bottom, top) = bounds(all().flat_map(|point| [point.2, point.3]));
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            let mut chart = ChartBuilder::on(&area)
                .caption(&self.title, ("sans-serif", 17))
                .margin(8)
                .x_label_area_size(36)
                .y_label_area_size(60)
                .build_cartesian_2d(left..right, bottom..top)
                .ok()?;
            let power = |base: f64| move |exponent: &f64| number(base.powf(*exponent));
            let plain = |value: &f64| number(*value);
            let (of_x, of_y) = (power(2.0), power(10.0));
            let mut mesh = chart.configure_mesh();
            mesh.x_desc(&self.x)
                .y_desc(&self.y)
                .light_line_style(WHITE.mix(0.0))
                .bold_line_style(BLACK.mix(0.12))
                .x_label_formatter(if self.log_x { &of_x } else { &plain })
                .y_label_formatter(if self.log_y { &of_y } else { &plain });
            mesh.draw().ok()?;
            for (index, (line, series)) in lines.iter().zip(&self.series).enumerate() {
                let colour = COLOURS[index % COLOURS.len()];
                let drawn = chart
                    .draw_series(LineSeries::new(
                        line.iter().map(|point| (point.0, point.1)),
                        colour.stroke_width(2),
                    ))
                    .ok()?;
                if !series.name.is_empty() {
                    drawn
                        .label(&series.name)
                        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
                }
                // Few points are shown as such.
                if line.len() <= 40 {
                    let dots = line
                        .iter()
                        .map(|point| Circle::new((point.0, point.1), 3, colour.filled()));
                    chart.draw_series(dots).ok()?;
                }
                let bars = line
                    .iter()
                    .filter(|point| point.3 > point.2)
                    .map(|point| PathElement::new([(point.0, point.2), (point.0, point.3)], colour.stroke_width(1)));
                chart.draw_series(bars).ok()?;
            }
            if self.series.iter().any(|series| !series.name.is_empty()) {
                chart
                    .configure_series_labels()
                    .position(SeriesLabelPosition::UpperRight)
                    .background_style(WHITE.mix(0.8))
                    .border_style(BLACK.mix(0.2))
                    .draw()
                    .ok()?;
            }
            area.present().ok()?;
        }
        Some(svg)
    }
}

/// A number in few characters.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{}", (value * 100.0).round() / 100.0),
        _ => format!("{}", (value * 10_000.0).round() / 10_000.0),
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    let margin = ((high - low) * 0.05).max(high.abs() * 1e-3).max(1e-9);
    (low - margin, high + margin)
}

/// A page in the making.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// An empty page.
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            body: String::new(),
        }
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", escape(text));
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", escape(text));
    }

    /// Adds text as it is, in a fixed width.
    pub fn preformatted(&mut self, text: &str) {
        let _ = writeln!(self.body, "<pre>{}</pre>", escape(text));
    }

    /// Adds a table; cells that are numbers stand to the right.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| -> String {
            cells.map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect()
        };
        let head = cells("th", &mut head.iter().copied());
        let rows: String = rows
            .iter()
            .map(|row| format!("<tr>{}</tr>\n", cells("td", &mut row.iter().map(String::as_str))))
            .collect();
        let _ = writeln!(
            self.body,
            "<div class=\"wide\"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>"
        );
    }

    /// Adds charts, side by side where there is room. A chart without points is left out.
    pub fn charts(&mut self, charts: &[Chart]) {
        self.body.push_str("<main>\n");
        for chart in charts {
            if let Some(svg) = chart.svg() {
                let caption = escape(&chart.caption);
                let _ = writeln!(self.body, "<figure>{svg}<figcaption>{caption}</figcaption></figure>");
            }
        }
        self.body.push_str("</main>\n");
    }

    /// The page.
    pub fn to_html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title>\n<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:#222}}\
             main{{display:flex;flex-wrap:wrap;gap:1rem}}figure{{margin:0;max-width:100%}}figure svg{{max-width:100%;height:auto}}\
             figcaption{{color:#555;font-size:.9rem;max-width:35rem}}pre{{background:#f4f4f4;padding:1rem;overflow:auto}}\
             .wide{{overflow-x:auto}}table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}th,td{{padding:.2rem .7rem;\
             text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}}th:first-child,td:first-child{{text-align:left}}</style>\n\
             <h1>{title}</h1>\n{body}</html>\n",
            title = escape(&self.title),
            body = self.body,
        )
    }

    /// Writes the page; a reader never sees a part of it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        write_by_rename(path, self.to_html().as_bytes())
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_draw_every_series_that_has_points() {
        let series = |name: &str, points: Vec<(f64, f64)>| Series {
            name: name.to_owned(),
            errors: vec![0.5; points.len()],
            points,
        };
        let mut chart = Chart {
            title: "accuracy".to_owned(),
            log_x: true,
            series: vec![
                series("one", vec![(64.0, 43.0), (128.0, 41.0)]),
                series("two", vec![(64.0, f64::NAN), (128.0, 2.0)]),
            ],
            ..Chart::default()
        };
        let svg = chart.svg().unwrap();
        assert!(svg.contains("one") && svg.contains("two") && !svg.contains("NaN"));
        assert_eq!(svg.matches("<circle").count(), 3);
        chart.log_y = true;
        chart.series[0].points[0].1 = -1.0;
        assert_eq!(chart.svg().unwrap().matches("<circle").count(), 2, "no logarithm of −1");
        chart.series.clear();
        assert!(chart.svg().is_none());
    }

    #[test]
    fn the_page_escapes_what_it_is_given() {
        let mut page = Page::new("a < b");
        page.paragraph("x & y");
        page.table(&["<th>"], &[vec!["<td>".to_owned()]]);
        page.preformatted("<pre>");
        let html = page.to_html();
        assert!(html.contains("a &lt; b") && html.contains("x &amp; y") && html.contains("&lt;td&gt;"));
        assert_eq!(html.matches("<pre>").count(), 1);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (12_345.6, "12346"),
            (2.625, "2.63"),
            (1e-7, "1.0e-7"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
