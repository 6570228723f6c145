//! A self-contained HTML page: the scores as a heat map, the ranks against the exponent, and their bootstrap intervals.

use std::fmt::Write as _;

use kexue_output::{Page, escape_html, series_colour};

use crate::error::Result;
use crate::flips::{Flips, flips};
use crate::mean::Mean;
use crate::report::number;
use crate::resample::Bootstrap;
use crate::scores::Scores;
use crate::table::Direction;

/// The maximum number of systems on a page; more are not distinguishable.
pub const MOST_SYSTEMS: usize = 40;

/// The page for the best systems by the mean of a bootstrap, at most [`MOST_SYSTEMS`] of them. Their ranks and intervals are among all
/// systems; only the chart of ranks against the exponent is drawn among the systems shown.
///
/// # Errors
///
/// [`crate::Error::NotPositive`] if the mean is not defined for the scores.
pub fn page(scores: &Scores, bootstrap: &Bootstrap, title: &str) -> Result<String> {
    let mean = bootstrap.mean;
    let averages = scores.means(mean)?;
    let mut order: Vec<usize> = (0..scores.systems.len()).collect();
    order.sort_by_key(|&system| bootstrap.intervals[system].rank);
    order.truncate(MOST_SYSTEMS);
    let shown = scores.of_systems(&order);
    let averages: Vec<f64> = order.iter().map(|&system| averages[system]).collect();

    let mut page = Page::new(title);
    page.style(STYLE);
    let all = scores.systems.len();
    let of = if order.len() < all {
        format!("the {} best of {all} systems", order.len())
    } else {
        format!("{all} systems")
    };
    if let Some(&first) = order.first() {
        let interval = &bootstrap.intervals[first];
        let places = match interval.low == interval.high {
            true => format!("place {}", interval.low),
            false => format!("a place from {} to {}", interval.low, interval.high),
        };
        page.verdict(&format!(
            "{} is first by the {mean}. With other tasks like these it has {places} ({} % interval).",
            scores.systems[first],
            number(100.0 * bootstrap.options.level, 0)
        ));
    }
    page.paragraph(&format!("{of} by the {mean} of {} tasks", scores.tasks.len()));

    page.heading("Scores");
    page.paragraph("Each column from its worst score (light) to its best (dark), outliers aside.");
    page.html(&heat_map(&shown, &averages, mean));

    page.heading("Rank against the exponent of the mean");
    match flips(&shown, [Mean::ARITHMETIC, Mean::HARMONIC]) {
        Ok(found) => {
            page.paragraph(&format!(
                "From the smallest score alone (−∞) through the harmonic, geometric and arithmetic mean to the largest alone (∞){}. \
                 {} of {} pairs never change places.",
                if order.len() < all { ", among the systems shown" } else { "" },
                found.stability.pairs - found.stability.swapping,
                found.stability.pairs
            ));
            page.html(&bump_chart(&shown, &found));
        }
        Err(error) => {
            let text = error.to_string();
            page.paragraph(&format!("Not drawn: {}", text.lines().next().unwrap_or_default()));
        }
    }

    page.heading("Ranks with other tasks");
    page.paragraph(&format!(
        "{} % intervals of the rank over {} resamples of the tasks, and the probability of being ahead of the next.",
        number(100.0 * bootstrap.options.level, 0),
        bootstrap.options.resamples
    ));
    page.html(&intervals(&shown.systems, &order, bootstrap));
    Ok(page.to_html())
}

const STYLE: &str = "
.chart{display:flex}.names{flex:none;width:var(--names)}.plot{overflow-x:auto;min-width:0}.short{display:none}
@media(max-width:720px){.names{width:min(var(--names),134px)}.long{display:none}.short{display:inline}}
.soft{fill:var(--soft)}.rule{stroke:var(--line);stroke-width:1}.mean{stroke:var(--soft);stroke-dasharray:2 3}.series{fill:none;stroke-width:2.2;stroke-linejoin:round}
.halo{fill:none;stroke:transparent;stroke-width:12}g.system:hover .series{stroke-width:5}g.system:hover text{font-weight:700}
";

/// The maximum number of systems with a colour: as many as a reader can follow.
const COLOURED: usize = 10;

const ROW: f64 = 26.0;
/// The maximum length of a name beside a chart, on a wide and on a narrow screen.
const NAME: usize = 34;
const SHORT_NAME: usize = 14;

fn colour(index: usize) -> String {
    if index < COLOURED {
        series_colour(index)
    } else {
        "var(--other)".to_owned()
    }
}

fn heat_map(scores: &Scores, averages: &[f64], mean: Mean) -> String {
    let digits = usize::from(scores.decimals.clamp(1, 4));
    let cell = 64.0;
    let top = 66.0;
    let columns = scores.tasks.len() + 1;
    let width = cell * columns as f64 + 60.0;
    let height = top + ROW * scores.systems.len() as f64 + 8.0;
    let rows: Vec<usize> = (0..scores.systems.len()).collect();
    let mut svg = open(&scores.systems, &rows, top, width, height, "Heat map of the scores");
    for (task, name) in std::iter::once(mean.label())
        .chain(scores.tasks.iter().cloned())
        .enumerate()
    {
        let x = cell * (task as f64 + 0.4);
        let _ = write!(
            svg,
            "<text transform=\"translate({x:.1},{:.1}) rotate(-32)\"><title>{}</title>{}</text>",
            top - 8.0,
            escape_html(&name),
            escape_html(&shorten(&name, 14))
        );
    }
    let value = |row: usize, column: usize| match column.checked_sub(1) {
        None => averages[row],
        Some(task) => scores.value(row, task),
    };
    let scales: Vec<(f64, f64)> = (0..columns)
        .map(|column| scale(rows.iter().map(|&row| value(row, column)).collect(), scores.direction))
        .collect();
    for (row, name) in scores.systems.iter().enumerate() {
        let y = top + ROW * row as f64;
        for (column, &(worst, best)) in scales.iter().enumerate() {
            let value = value(row, column);
            let share = if best == worst {
                0.5
            } else {
                (value - worst) / (best - worst)
            };
            let x = cell * column as f64;
            let task = if column == 0 {
                mean.to_string()
            } else {
                scores.tasks[column - 1].clone()
            };
            let _ = write!(
                svg,
                "<g><title>{}, {}: {}</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"3\" \
                 fill=\"{}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" style=\"fill:{}\">{}</text></g>",
                escape_html(name),
                escape_html(&task),
                number(value, digits + 1),
                cell - 2.0,
                ROW - 2.0,
                shade(share),
                x + 0.5 * cell,
                y + ROW * 0.66,
                if share > 0.55 { "#fff" } else { "#1c2430" },
                number(value, if column == 0 { digits + 1 } else { digits })
            );
        }
    }
    close(svg)
}

/// The worst score that is not an outlier by Tukey's fences, and the best score.
fn scale(mut values: Vec<f64>, direction: Direction) -> (f64, f64) {
    if direction == Direction::Lower {
        values.iter_mut().for_each(|value| *value = -*value);
    }
    values.sort_by(f64::total_cmp);
    let quartile = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
    let fence = quartile(0.25) - 1.5 * (quartile(0.75) - quartile(0.25));
    let worst = values
        .iter()
        .copied()
        .find(|&value| value >= fence)
        .unwrap_or(values[0]);
    let best = values[values.len() - 1];
    match direction {
        Direction::Higher => (worst, best),
        Direction::Lower => (-worst, -best),
    }
}

/// From a light to a dark blue.
fn shade(share: f64) -> String {
    let mix = |from: f64, to: f64| (from + (to - from) * share.clamp(0.0, 1.0)).round() as u8;
    format!(
        "#{:02x}{:02x}{:02x}",
        mix(233.0, 24.0),
        mix(241.0, 78.0),
        mix(250.0, 138.0)
    )
}

/// Exponents from −∞ to ∞ on a line of length 1.
fn along(exponent: f64) -> f64 {
    if exponent.is_infinite() {
        if exponent > 0.0 { 1.0 } else { 0.0 }
    } else {
        0.5 + 0.5 * exponent / (exponent.abs() + 3.0)
    }
}

fn bump_chart(scores: &Scores, found: &Flips) -> String {
    let count = scores.systems.len();
    let (top, bottom, plot) = (14.0, 44.0, 640.0);
    let left = 6.0;
    let width = left + plot + name_width(&scores.systems);
    let height = top + ROW * count as f64 + bottom;
    let y_of = |rank: f64| top + ROW * (rank - 0.5);

    // The ranks of every system from swap to swap; swaps at the same exponent are one step.
    let mut ranks = found.ranks_above(f64::NEG_INFINITY);
    let start = ranks.clone();
    let mut steps: Vec<Vec<(f64, f64)>> = vec![Vec::new(); count];
    for group in found
        .swaps
        .chunk_by(|a, b| (a.exponent - b.exponent).abs() <= 1e-9 * (1.0 + a.exponent.abs()))
    {
        for swap in group {
            ranks[swap.before] += 1;
            ranks[swap.after] -= 1;
        }
        let mut moved: Vec<usize> = group.iter().flat_map(|swap| [swap.before, swap.after]).collect();
        moved.sort_unstable();
        moved.dedup();
        for system in moved {
            steps[system].push((left + plot * along(group[0].exponent), ranks[system] as f64));
        }
    }
    // Systems that tie at an end share a rank; they are drawn side by side there, in the order of the other end.
    let order = |ranks: &[usize]| {
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|&system| ranks[system]);
        order
    };
    let mut svg = open(
        &scores.systems,
        &order(&start),
        top,
        width,
        height,
        "Ranks against the exponent of the power mean",
    );
    let mut place_right = vec![0.0; count];
    for (place, &system) in order(&ranks).iter().enumerate() {
        place_right[system] = place as f64 + 1.0;
    }
    for (exponent, label) in [
        (f64::NEG_INFINITY, "−∞"),
        (-10.0, "−10"),
        (-3.0, "−3"),
        (-1.0, "HM"),
        (0.0, "GM"),
        (1.0, "AM"),
        (3.0, "3"),
        (10.0, "10"),
        (f64::INFINITY, "∞"),
    ] {
        let x = left + plot * along(exponent);
        let _ = write!(
            svg,
            "<line class=\"rule{}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{:.1}\"/><text class=\"soft\" x=\"{x:.1}\" \
             y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            if exponent.abs() <= 1.0 { " mean" } else { "" },
            height - bottom + 4.0,
            height - bottom + 22.0
        );
    }

    for (system, name) in scores.systems.iter().enumerate() {
        let mut path = String::new();
        let mut y = y_of(start[system] as f64);
        let _ = write!(path, "M{left:.1} {y:.1}");
        let mut x = left;
        let own = &steps[system];
        for (index, &(at, rank)) in own.iter().enumerate() {
            let next = own.get(index + 1).map_or(left + plot, |(next, _)| *next);
            let before = (0.5 * (at - x)).clamp(0.0, 7.0);
            let after = (0.5 * (next - at)).clamp(0.0, 7.0);
            let to = y_of(rank);
            let _ = write!(
                path,
                "L{:.1} {y:.1}C{at:.1} {y:.1} {at:.1} {to:.1} {:.1} {to:.1}",
                at - before,
                at + after
            );
            y = to;
            x = at + after;
        }
        let _ = write!(path, "L{:.1} {y:.1}", left + plot);
        let range = &found.ranges[system];
        let _ = write!(
            svg,
            "<g class=\"system\"><title>{}: ranks {}–{}</title><path class=\"halo\" d=\"{path}\"/><path class=\"series\" \
             stroke=\"{}\" d=\"{path}\"/>",
            escape_html(name),
            range.best,
            range.worst,
            colour(system)
        );
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            left + plot + 10.0,
            y_of(place_right[system]) + 4.0,
            escape_html(&shorten(name, NAME))
        );
    }
    close(svg)
}

/// Draws the intervals of the systems in `order`, which are numbers of systems in the bootstrap.
fn intervals(names: &[String], order: &[usize], found: &Bootstrap) -> String {
    let count = names.len();
    // The last rank that any of them takes.
    let ranks = order
        .iter()
        .map(|&system| found.intervals[system].high)
        .max()
        .unwrap_or(1)
        .max(count);
    let (top, plot) = (30.0, 560.0);
    let width = plot + 150.0;
    let height = top + ROW * count as f64 + 12.0;
    let rows: Vec<usize> = (0..count).collect();
    let mut svg = open(names, &rows, top, width, height, "Bootstrap intervals of the ranks");
    let x_of = |rank: usize| plot * (rank as f64 - 0.5) / ranks as f64;
    let step = ranks.div_ceil(12).max(1);
    for rank in (1..=ranks).step_by(step) {
        let x = x_of(rank);
        let _ = write!(
            svg,
            "<line class=\"rule\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{:.1}\"/><text class=\"soft\" x=\"{x:.1}\" \
             y=\"{:.1}\" text-anchor=\"middle\">{rank}</text>",
            height - 8.0,
            top - 8.0
        );
    }
    for (place, name) in names.iter().enumerate() {
        let y = top + ROW * (place as f64 + 0.5);
        let interval = found.intervals[order[place]];
        let (low, high, at) = (x_of(interval.low), x_of(interval.high), x_of(interval.rank));
        let _ = write!(
            svg,
            "<g class=\"system\"><title>{}: rank {}, {}–{}</title><line x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{y:.1}\" \
             y2=\"{y:.1}\" stroke=\"{c}\" stroke-width=\"6\" stroke-linecap=\"round\" opacity=\".45\"/><circle cx=\"{at:.1}\" \
             cy=\"{y:.1}\" r=\"5\" fill=\"{c}\"/>",
            escape_html(name),
            interval.rank,
            interval.low,
            interval.high,
            c = colour(place)
        );
        svg.push_str("</g>");
        if let Some(&next) = order.get(place + 1) {
            let _ = write!(
                svg,
                "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\">{} % ahead of next</text>",
                plot + 12.0,
                y + 4.0,
                number(100.0 * found.probability_ahead(order[place], next), 0)
            );
        }
    }
    close(svg)
}

/// Opens a chart: the names of its rows, which stay in place, and the drawing, which scrolls on a narrow screen.
fn open(names: &[String], order: &[usize], top: f64, width: f64, height: f64, label: &str) -> String {
    let mut out = format!(
        "<div class=\"chart\"><svg class=\"names\" style=\"--names:{:.0}px\" height=\"{height:.0}\" aria-hidden=\"true\">",
        name_width(names)
    );
    for (place, &system) in order.iter().enumerate() {
        let y = top + ROW * (place as f64 + 0.66);
        for (class, limit) in [("long", NAME), ("short", SHORT_NAME)] {
            let _ = write!(
                out,
                "<text class=\"{class}\" x=\"100%\" dx=\"-8\" y=\"{y:.1}\" text-anchor=\"end\">{}<title>{}</title></text>",
                escape_html(&shorten(&names[system], limit)),
                escape_html(&names[system])
            );
        }
    }
    let _ = write!(
        out,
        "</svg><div class=\"plot\"><svg width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"{label}\">"
    );
    out
}

fn close(mut chart: String) -> String {
    chart.push_str("</svg></div></div>");
    chart
}

/// The width of the longest name, in pixels.
fn name_width(names: &[String]) -> f64 {
    use unicode_width::UnicodeWidthStr as _;
    let longest = names.iter().map(|name| name.width()).max().unwrap_or(0).min(NAME + 1);
    6.9 * longest as f64 + 20.0
}

fn shorten(text: &str, limit: usize) -> String {
    use unicode_width::UnicodeWidthChar as _;
    let mut width = 0;
    let mut out = String::new();
    for c in text.chars() {
        width += c.width().unwrap_or(0);
        if width > limit {
            out.push('…');
            return out;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resample::{BootstrapOptions, bootstrap};

    fn page(scores: &Scores) -> String {
        let resampled = bootstrap(scores, Mean::ARITHMETIC, BootstrapOptions::default()).unwrap();
        super::page(scores, &resampled, "A table").unwrap()
    }

    #[test]
    fn intervals_are_among_all_systems() {
        let count = 45;
        let names: Vec<String> = (0..count).map(|system| format!("S{system:02}")).collect();
        // All tie on average, and change places with the tasks.
        let values = (0..count).flat_map(|system| [10.0 + f64::from(system), 60.0 - f64::from(system)]);
        let scores = Scores::new(names, vec!["x".into(), "y".into()], values.collect()).unwrap();
        let page = page(&scores);
        assert!(page.contains("the 40 best of 45 systems") && page.contains("among the systems shown"));
        assert!(
            page.contains("1–45</title>"),
            "an interval goes to the last rank of all"
        );
    }

    #[test]
    fn the_page_is_whole_and_escapes_names() {
        let scores = Scores::new(
            vec!["<script>".into(), "B".into(), "C".into()],
            vec!["x & y".into(), "z".into()],
            vec![99.0, 50.0, 74.0, 74.0, 10.0, 10.0],
        )
        .unwrap();
        let page = page(&scores);
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;") && page.contains("x &amp; y"));
        assert_eq!(page.matches("role=\"img\"").count(), 3);
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert!(!page.contains("NaN") && !page.contains("inf"));
        // Nothing is loaded from anywhere. The table of contents has links within the page.
        let page = page.replace("href=\"#", "");
        assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("));
    }

    #[test]
    fn scores_that_are_not_positive_leave_out_the_bump_chart_only() {
        let scores = Scores::new(vec!["A".into(), "B".into()], vec!["x".into()], vec![0.0, 1.0]).unwrap();
        let page = page(&scores);
        assert_eq!(page.matches("role=\"img\"").count(), 2);
        assert!(page.contains("Not drawn"));
    }
}
