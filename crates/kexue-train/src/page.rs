//! Line charts as SVG, and the HTML page that contains them.

use crate::TrainError;
use kexue_output::{escape_html, series_colour};
use plotters::prelude::*;
use std::ops::{Deref, DerefMut};
use std::path::Path;

/// A line of a [`Chart`].
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name in the legend; empty for none.
    pub name: String,
    /// (x, y), in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
    /// Half the length of the error bar of each point; empty for none.
    pub errors: Vec<f64>,
}

/// A line chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// The title.
    pub title: String,
    /// The label of the horizontal axis.
    pub x: String,
    /// The label of the vertical axis.
    pub y: String,
    /// Whether the horizontal axis is logarithmic.
    pub log_x: bool,
    /// Whether the vertical axis is logarithmic; points that are not positive are left out.
    pub log_y: bool,
    /// The lines; points that are not finite are left out.
    pub series: Vec<Series>,
    /// The caption.
    pub caption: String,
}

/// As wide as a phone, so that charts are not scaled down there and ticks stay 12 pixels high.
const SIZE: (u32, u32) = (358, 250);
/// Sums and differences of larger numbers might not be finite.
const LARGEST: f64 = 1e300;

/// The placeholder colour of a series. Plotters supports only fixed colours, so this one is replaced with the page's colour in the finished drawing.
fn mark(index: usize) -> RGBColor {
    let [high, low] = (index as u16).to_be_bytes();
    RGBColor(1, high, low)
}

/// Inserts the page's colours, which follow light and dark mode, into a drawing of `count` series.
fn coloured(svg: String, series: usize) -> String {
    (0..series).fold(svg.replace("#000000", "var(--ink)"), |svg, index| {
        let RGBColor(red, green, blue) = mark(index);
        svg.replace(&format!("#{red:02X}{green:02X}{blue:02X}"), &series_colour(index))
    })
}

/// The scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    /// Logarithmic, with ticks at powers of two: lengths of sequences.
    Binary,
    /// Logarithmic, with ticks at 1, 2 and 5 times the powers of ten.
    Decimal,
}

/// An axis: its values, their places, and round ticks.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    /// From tick to tick, where they are evenly spaced.
    step: Option<f64>,
}

impl Axis {
    /// The maximum number of ticks.
    const TICKS: usize = 8;

    /// An axis that covers the given values. Between whole numbers that are `counted` there are no ticks.
    fn over(scale: Scale, counted: bool, values: impl Iterator<Item = f64> + Clone) -> Self {
        let extremes = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
        let (least, most) = values.clone().fold((f64::INFINITY, f64::NEG_INFINITY), extremes);
        let counted = counted && values.clone().all(|value| value.fract() == 0.0);
        let (low, high) = (scale.place(least), scale.place(most));
        let small = match scale {
            Scale::Linear if most == 0.0 => 1.0,
            Scale::Linear => high.abs() * 1e-3,
            Scale::Binary | Scale::Decimal => 1e-3,
        };
        let margin = ((high - low) * 0.05).max(small);
        let (low, high) = (low - margin, high + margin);
        if least == most {
            // Ticks elsewhere would be meaningless.
            return Self {
                scale,
                low,
                high,
                ticks: vec![least],
                step: None,
            };
        }
        let within = |ticks: Vec<f64>| -> Vec<f64> {
            let inside = |tick: &f64| (low..=high).contains(&scale.place(*tick));
            ticks.into_iter().filter(inside).collect()
        };
        // All ticks of the scale, then fewer and fewer; those of a linear axis if there is hardly one.
        let ticks = scale
            .ticks(low, high)
            .into_iter()
            .map(within)
            .find(|ticks| ticks.len() <= Self::TICKS)
            .filter(|ticks| ticks.len() >= if scale == Scale::Binary { 2 } else { 3 });
        let mut axis = Self {
            scale,
            low,
            high,
            ticks: Vec::new(),
            step: None,
        };
        match ticks {
            Some(ticks) => axis.ticks = ticks,
            None => {
                let (low, high) = (scale.value(low), scale.value(high));
                let rough = (high - low) / Self::TICKS as f64;
                let power = 10f64.powf(rough.log10().floor());
                let round = [1.0, 2.0, 5.0].into_iter().find(|round| round * power >= rough);
                let step = (round.unwrap_or(10.0) * power).max(if counted { 1.0 } else { 0.0 });
                axis.ticks = (0..=Self::TICKS)
                    .map(|tick| ((low / step).ceil() + tick as f64) * step)
                    .filter(|&tick| tick <= high)
                    .collect();
                axis.step = Some(step);
            }
        }
        axis
    }

    /// The position of a value along the axis, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        (self.scale.place(value) - self.low) / (self.high - self.low)
    }

    /// A tick label with enough digits to distinguish it from the next.
    fn label(&self, tick: f64) -> String {
        let Some(step) = self.step else { return number(tick) };
        let exponent = |value: f64| value.abs().log10().floor() as i32;
        // Just above, so that a power of ten has its own exponent; and not "-0".
        let (step, tick) = (exponent(step * 1.000_001), tick + 0.0);
        let largest = self.ticks.iter().fold(0.0f64, |most, tick| most.max(tick.abs()));
        match exponent(largest) {
            -4..6 => format!("{tick:.*}", (-step).max(0) as usize),
            largest => format!("{tick:.*e}", (largest - step).max(0) as usize),
        }
    }
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Binary => value.log2(),
            Self::Decimal => value.log10(),
        }
    }

    fn value(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Binary => place.exp2(),
            Self::Decimal => 10f64.powf(place),
        }
    }

    /// Round ticks between two places and a little beyond, more and more sparse.
    fn ticks(self, low: f64, high: f64) -> Vec<Vec<f64>> {
        let exponents =
            |step: usize| (low.floor() as i32..=high.ceil() as i32).filter(move |e| e.rem_euclid(step as i32) == 0);
        let powers = |base: f64, step: usize| exponents(step).map(|exponent| base.powi(exponent)).collect();
        match self {
            Self::Linear => Vec::new(),
            Self::Binary => [1, 2, 4, 8, 16].map(|step| powers(2.0, step)).to_vec(),
            Self::Decimal => {
                let finest = exponents(1)
                    .flat_map(|exponent| [1.0, 2.0, 5.0].map(|round| round * 10f64.powi(exponent)))
                    .collect();
                let mut all = vec![finest];
                all.extend([1, 2, 5, 10, 50, 100].map(|step| powers(10.0, step)));
                all
            }
        }
    }
}

impl Ranged for &Axis {
    type FormatOption = plotters::coord::ranged1d::NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        first + (self.share(*value) * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: plotters::coord::ranged1d::KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.scale.value(self.low)..self.scale.value(self.high)
    }
}

impl plotters::coord::ranged1d::ValueFormatter<f64> for &Axis {
    fn format_ext(&self, tick: &f64) -> String {
        self.label(*tick)
    }
}

/// A point and the ends of its error bar.
struct Point {
    at: (f64, f64),
    bar: (f64, f64),
}

/// The later lines that hide a line, because each of its points is less than 2 pixels from theirs.
fn covers(lines: &[Vec<(f64, f64)>], index: usize) -> Vec<usize> {
    let near = |((x, y), (other_x, other_y)): (&(f64, f64), &(f64, f64))| {
        let pixels = |from: f64, to: f64, size: u32| (from - to).abs() * f64::from(size);
        pixels(*x, *other_x, SIZE.0) < 2.0 && pixels(*y, *other_y, SIZE.1) < 2.0
    };
    let line = &lines[index];
    (index + 1..lines.len())
        .filter(|&later| !line.is_empty() && line.len() <= lines[later].len())
        .filter(|&later| line.iter().zip(&lines[later]).all(near))
        .collect()
}

impl Chart {
    /// The chart as SVG, and for each series those that cover it; `None` when there is nothing to draw.
    fn svg(&self) -> Option<(String, Vec<Vec<usize>>)> {
        let x_scale = if self.log_x { Scale::Binary } else { Scale::Linear };
        let y_scale = if self.log_y { Scale::Decimal } else { Scale::Linear };
        let lines: Vec<Vec<Point>> = self
            .series
            .iter()
            .map(|series| {
                let errors = series.errors.iter().copied().chain(std::iter::repeat(0.0));
                let placed = series.points.iter().zip(errors).map(|(&(x, y), error)| Point {
                    at: (x, y),
                    // An error bar that would leave a logarithmic axis ends at the point.
                    bar: (
                        if y_scale.place(y - error).is_finite() {
                            y - error
                        } else {
                            y
                        },
                        y + error,
                    ),
                });
                let has_a_place = |point: &Point| {
                    let small = |value: f64| value.abs() < LARGEST;
                    x_scale.place(point.at.0).is_finite()
                        && y_scale.place(point.at.1).is_finite()
                        && [point.at.0, point.at.1, point.bar.0, point.bar.1]
                            .into_iter()
                            .all(small)
                };
                placed.filter(has_a_place).collect()
            })
            .collect();
        let all = || lines.iter().flatten();
        all().next()?;
        let x_axis = Axis::over(x_scale, true, all().map(|point| point.at.0));
        let y_axis = Axis::over(y_scale, false, all().flat_map(|point| [point.bar.0, point.bar.1]));
        let place = |point: &Point| (x_axis.share(point.at.0), y_axis.share(point.at.1));
        let places: Vec<Vec<(f64, f64)>> = lines.iter().map(|line| line.iter().map(place).collect()).collect();
        let covers: Vec<Vec<usize>> = (0..lines.len()).map(|index| covers(&places, index)).collect();
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            let mut chart = ChartBuilder::on(&area)
                .caption(&self.title, ("sans-serif", 14))
                .margin(8)
                .x_label_area_size(38)
                .y_label_area_size(56)
                .build_cartesian_2d(&x_axis, &y_axis)
                .ok()?;
            let mut mesh = chart.configure_mesh();
            mesh.x_desc(&self.x)
                .y_desc(&self.y)
                .light_line_style(WHITE.mix(0.0))
                .bold_line_style(BLACK.mix(0.12));
            mesh.draw().ok()?;
            for (index, line) in lines.iter().enumerate() {
                // What is drawn on top leaves its rim to be seen.
                let rims = covers[index].len().min(4) as u32;
                let colour = mark(index);
                let joined = LineSeries::new(line.iter().map(|point| point.at), colour.stroke_width(2 + 3 * rims));
                chart.draw_series(joined).ok()?;
                // Few points are shown as such.
                if line.len() <= 40 {
                    let dots = line
                        .iter()
                        .map(|point| Circle::new(point.at, 3 + 2 * rims, colour.filled()));
                    chart.draw_series(dots).ok()?;
                }
                let bars = line.iter().filter(|point| point.bar.1 > point.bar.0).map(|point| {
                    let ((x, _), (low, high)) = (point.at, point.bar);
                    PathElement::new([(x, low), (x, high)], colour.stroke_width(1))
                });
                chart.draw_series(bars).ok()?;
            }
            area.present().ok()?;
        }
        Some((coloured(svg, self.series.len()), covers))
    }

    /// The chart with its legend and caption; `None` if there is nothing to draw.
    fn figure(&self) -> Option<String> {
        let (svg, covers) = self.svg()?;
        let (legend, caption) = (self.legend(&covers), escape_html(&self.caption));
        Some(format!(
            "<figure>{svg}<div class=\"legend\">{legend}</div><figcaption>{caption}</figcaption></figure>\n"
        ))
    }

    /// The legend: the colour of each series, and which ones are hidden by others.
    fn legend(&self, covers: &[Vec<usize>]) -> String {
        let named = self
            .series
            .iter()
            .enumerate()
            .filter(|(_, series)| !series.name.is_empty());
        named
            .map(|(index, series)| {
                let (colour, name) = (series_colour(index), escape_html(&series.name));
                let top = covers[index].last().map(|&top| escape_html(&self.series[top].name));
                let under = top.map_or_else(String::new, |top| format!(" (under {top})"));
                format!("<span><i style=\"background:{colour}\"></i>{name}{under}</span>")
            })
            .collect()
    }
}

/// A number in at most four digits, and all of those before the decimal point.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        size => {
            let unit = 10f64.powi(3 - size.log10().floor() as i32).max(1.0);
            format!("{}", (value * unit).round() / unit)
        }
    }
}

/// A [`kexue_output::Page`] with charts.
#[derive(Clone, Debug)]
pub struct Page(kexue_output::Page);

impl Page {
    /// Creates a page with a title.
    pub fn new(title: &str) -> Self {
        Self(kexue_output::Page::new(title))
    }

    /// Adds charts, side by side if there is room. Charts without points are left out.
    pub fn charts(&mut self, charts: &[Chart]) {
        let figures: String = charts.iter().filter_map(Chart::figure).collect();
        self.0.html(&format!("<div class=\"charts\">\n{figures}</div>"));
    }

    /// Writes the page atomically.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        Ok(self.0.write(path)?)
    }
}

impl Deref for Page {
    type Target = kexue_output::Page;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Page {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
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
        let (svg, covers) = chart.svg().unwrap();
        assert!(!svg.contains("NaN") && svg.contains("128"));
        let legend = chart.legend(&covers);
        assert!(legend.contains("one") && legend.contains("two") && !legend.contains("under"));
        assert_eq!(svg.matches("<circle").count(), 3);
        chart.log_y = true;
        chart.series[0].points[0].1 = -1.0;
        assert_eq!(
            chart.svg().unwrap().0.matches("<circle").count(),
            2,
            "no logarithm of −1"
        );
        chart.series.clear();
        assert!(chart.svg().is_none());
    }

    #[test]
    fn a_line_under_another_is_seen_and_said() {
        let line = |name: &str, ys: &[f64]| Series {
            name: name.to_owned(),
            points: ys.iter().enumerate().map(|(x, &y)| (x as f64, y)).collect(),
            ..Series::default()
        };
        let chart = Chart {
            series: vec![
                line("first", &[1.0, 2.0, 3.0]),
                line("other", &[1.0, 2.0, 2.0]),
                // Ends early, as a run that diverged.
                line("short", &[1.0, 2.0]),
                line("third", &[1.0, 2.001, 3.0]),
            ],
            ..Chart::default()
        };
        let (svg, covers) = chart.svg().unwrap();
        assert_eq!(covers, [vec![3], vec![], vec![3], vec![]]);
        for (colour, width) in [(0, 5), (1, 2), (2, 5), (3, 2)] {
            let line = format!("stroke=\"{}\" stroke-width=\"{width}\"", series_colour(colour));
            assert!(svg.contains(&line), "{line}: {svg}");
        }
        let legend = chart.legend(&covers);
        assert_eq!(legend.matches(" (under third)").count(), 2, "{legend}");
    }

    #[test]
    fn numbers_that_are_alone_or_beyond_all_bounds_are_drawn() {
        let svg = |points: &[(f64, f64)], log: bool| {
            let chart = Chart {
                log_x: log,
                log_y: log,
                series: vec![Series {
                    points: points.to_vec(),
                    ..Series::default()
                }],
                ..Chart::default()
            };
            chart.svg().map(|(svg, _)| svg)
        };
        // In the middle, with its own tick and no other, on both axes.
        for (x, y, labels) in [(3.0, 5.4018, [">\n3\n<", ">\n5.402\n<"]), (0.0, 0.0, [">\n0\n<"; 2])] {
            let svg = svg(&[(x, y)], false).unwrap();
            assert!(labels.iter().all(|label| svg.contains(label)), "{svg}");
            assert_eq!(svg.matches("<text").count(), 5, "three titles, two ticks: {svg}");
        }
        let constant = svg(&[(1.0, 1.0), (2.0, 1.0)], true).unwrap();
        assert!(
            constant.contains(">\n1\n<") && !constant.contains("1.000000"),
            "{constant}"
        );
        for beyond in [f64::NAN, f64::INFINITY, f64::MAX, -f64::MAX] {
            let some = svg(&[(0.0, 1.0), (1.0, beyond), (2.0, 3.0)], false).unwrap();
            assert_eq!(some.matches("<circle").count(), 2);
            assert!(!some.contains("NaN") && !some.contains("inf"), "{some}");
            assert_eq!(svg(&[(0.0, beyond)], false), None);
        }
    }

    #[test]
    fn charts_take_the_colours_of_the_page() {
        let series = |index: usize| Series {
            name: format!("<{index}>"),
            points: vec![(0.0, index as f64), (1.0, 2.0 * index as f64)],
            ..Series::default()
        };
        let chart = Chart {
            title: "a < b".to_owned(),
            series: (0..25).map(series).collect(),
            ..Chart::default()
        };
        let mut page = Page::new("t");
        page.charts(&[chart, Chart::default()]);
        let html = page.to_html();
        let drawing = &html[html.find("<svg").unwrap()..html.find("</svg>").unwrap()];
        // White stays: it is what is drawn over nothing.
        let fixed = drawing
            .split('#')
            .skip(1)
            .filter(|rest| !rest.starts_with("FFFFFF"))
            .count();
        assert_eq!(fixed, 0, "{drawing}");
        for index in 0..25 {
            assert!(
                drawing.contains(&format!("stroke=\"{}\"", series_colour(index))),
                "{index}"
            );
        }
        assert_eq!(
            (html.matches("<figure>").count(), html.matches("&lt;3&gt;").count()),
            (1, 1)
        );
    }

    #[test]
    fn ticks_are_round_and_told_apart() {
        let labels = |scale: Scale, values: &[f64]| -> Vec<String> {
            let axis = Axis::over(scale, false, values.iter().copied());
            assert!((3..=10).contains(&axis.ticks.len()), "{values:?}: {:?}", axis.ticks);
            axis.ticks.iter().map(|&tick| axis.label(tick)).collect()
        };
        assert_eq!(
            labels(Scale::Binary, &[64.0, 1024.0]),
            ["64", "128", "256", "512", "1024"]
        );
        assert_eq!(
            labels(Scale::Decimal, &[0.011, 0.9]),
            ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]
        );
        assert_eq!(
            labels(Scale::Decimal, &[1e-4, 20.0]),
            ["1.0e-4", "0.001", "0.01", "0.1", "1", "10"]
        );
        assert_eq!(
            labels(Scale::Linear, &[0.0, 3.0]),
            ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]
        );
        // A logarithmic axis too short for powers.
        assert_eq!(
            labels(Scale::Decimal, &[0.51, 0.54]),
            ["0.510", "0.515", "0.520", "0.525", "0.530", "0.535", "0.540"]
        );
        // Steps are counted: nothing happens between them.
        let counted = |values: &[f64]| Axis::over(Scale::Linear, true, values.iter().copied()).ticks;
        assert_eq!(counted(&[1.0, 2.0]), [1.0, 2.0]);
        assert_eq!(counted(&[0.0, 3.0]), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(counted(&[0.5, 2.5]).len(), 5, "not whole numbers");
        for values in [
            &[-3.0, 1e9][..],
            &[1e-7, 1.001e-7],
            &[0.033, 0.0341],
            &[1.0, 1.000_000_1],
        ] {
            let mut all = labels(Scale::Linear, values);
            let count = all.len();
            all.dedup();
            assert_eq!(all.len(), count, "{values:?}: {all:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (12_345.6, "12346"),
            (2.625, "2.625"),
            (5.401_79, "5.402"),
            (256.0, "256"),
            (1e-7, "1.0e-7"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
