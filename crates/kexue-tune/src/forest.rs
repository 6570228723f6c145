//! Forest plots: estimates with their intervals, one below the other.

use kexue_output::{escape_html, series_colour};
use std::fmt::Write as _;

/// A row of a [`forest_plot`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The name of the row.
    pub name: String,
    /// The estimate.
    pub value: f64,
    /// The ends of its confidence interval.
    pub interval: Option<(f64, f64)>,
    /// The single values, of which the estimate is the mean.
    pub single: Vec<f64>,
}

/// As wide as a phone, so that ticks stay 12 pixels high there.
const WIDTH: f64 = 358.0;
const LEFT: f64 = 12.0;
const RIGHT: f64 = WIDTH - 12.0;
/// The height of an estimate, under its name.
const LINE: f64 = 48.0;

/// Draws the plot as an SVG figure in the colours of [`kexue_output::Page`]: intervals as bars, estimates as squares, single values as dots, and a line at
/// 0. Empty if no estimate is finite.
pub fn forest_plot(axis: &str, estimates: &[Estimate]) -> String {
    let ends = estimates.iter().flat_map(|estimate| {
        let (low, high) = estimate.interval.unwrap_or((estimate.value, estimate.value));
        estimate.single.iter().copied().chain([low, high, estimate.value, 0.0])
    });
    let ends: Vec<f64> = ends.filter(|end| end.is_finite()).collect();
    let (low, high) = ends
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &end| {
            (low.min(end), high.max(end))
        });
    if !estimates.iter().any(|estimate| estimate.value.is_finite()) {
        return String::new();
    }
    // If all differences are 0, the range would have no width.
    let margin = if high > low { (high - low) * 0.05 } else { 1.0 };
    let (low, high) = (low - margin, high + margin);
    let x = |value: f64| LEFT + (value - low) / (high - low) * (RIGHT - LEFT);
    let bottom = LINE * estimates.len() as f64 + 12.0;
    let mut svg = format!(
        "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n",
        height = bottom + 24.0
    );
    let mut add = |text: String| {
        let _ = writeln!(svg, "{text}");
    };
    for tick in ticks(low, high) {
        let at = x(tick);
        let colour = if tick == 0.0 { "var(--ink)" } else { "var(--line)" };
        add(format!(
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"4\" y2=\"{bottom}\" stroke=\"{colour}\"/>"
        ));
        let label = format!("{tick:+.2}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned();
        let label = if tick == 0.0 { "0".to_owned() } else { label };
        add(format!(
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            bottom + 16.0
        ));
    }
    for (index, estimate) in estimates.iter().enumerate() {
        let (top, colour) = (LINE * index as f64, series_colour(index));
        let y = top + 32.0;
        add(format!(
            "<text x=\"0\" y=\"{:.1}\">{}</text>",
            top + 18.0,
            escape_html(&estimate.name)
        ));
        for value in estimate.single.iter().filter(|value| value.is_finite()) {
            let at = x(*value);
            add(format!(
                "<circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{colour}\" opacity=\".55\"/>",
                y + 8.0
            ));
        }
        if let Some((low, high)) = estimate
            .interval
            .filter(|(low, high)| low.is_finite() && high.is_finite())
        {
            let (from, to) = (x(low), x(high));
            add(format!(
                "<line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            ));
        }
        if estimate.value.is_finite() {
            let (at, top) = (x(estimate.value) - 4.5, y - 4.5);
            add(format!(
                "<rect x=\"{at:.1}\" y=\"{top:.1}\" width=\"9\" height=\"9\" fill=\"{colour}\"/>"
            ));
        }
    }
    svg + &format!("</svg><figcaption>{}</figcaption></figure>\n", escape_html(axis))
}

/// Round numbers between two others, including 0 if it is between them.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|round| round * power >= rough)
        .unwrap_or(10.0)
        * power;
    let first = (low / step).ceil() as i64;
    (first..)
        .map(|tick| tick as f64 * step)
        .take_while(|tick| *tick <= high)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_stand_between_the_ends_of_their_intervals() {
        let estimate = |name: &str, value: f64| Estimate {
            name: name.to_owned(),
            value,
            interval: Some((value - 1.0, value + 1.0)),
            single: vec![value - 0.5, value + 0.5],
        };
        let svg = forest_plot("points", &[estimate("a < b", 0.5), estimate("c", -0.2)]);
        assert_eq!((svg.matches("<rect").count(), svg.matches("<circle").count()), (2, 4));
        assert!(svg.contains("a &lt; b") && svg.contains(">0</text>") && svg.contains("points"));
        assert_eq!(forest_plot("x", &[]), "");
        let odd = Estimate {
            value: f64::NAN,
            interval: Some((f64::NEG_INFINITY, f64::NAN)),
            ..Estimate::default()
        };
        assert!(
            !forest_plot("x", std::slice::from_ref(&odd)).contains("NaN")
                && !forest_plot("x", &[odd, estimate("a", 1.0)]).contains("NaN")
        );
    }
}
