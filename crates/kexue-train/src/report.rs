//! `report.html`: one self-contained page with the curves of a run.

use crate::metrics::Record;
use crate::page::number;
use crate::task::Goal;
use crate::{Chart, Page, Series, TrainError};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the page: the result; the curves of the losses and of every number with a goal; the content that `illustrate` adds; and, folded, all numbers, the
/// other curves, and the settings of the run.
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
    let mut points: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for record in records {
        for (name, &value) in record.values.iter().filter(|(_, value)| value.is_finite()) {
            points.entry(name).or_default().push((record.step as f64, value));
        }
    }
    let curves: Vec<Curve<'_>> = points
        .into_iter()
        .map(|(name, points)| Curve {
            name,
            goal: goals.get(name).copied(),
            points,
        })
        .collect();
    let steps = records.iter().map(|record| record.step).max().unwrap_or(0);
    let mut page = Page::new(&format!("{title}{}", what_of(description)));
    let best: Vec<String> = verdicts(&curves);
    match best.is_empty() {
        true => page.verdict(&format!("{steps} steps; no validation.")),
        false => page.verdict(&format!("After {steps} steps: {}.", best.join("; "))),
    }
    let is_first = |curve: &&Curve<'_>| curve.goal.is_some() || curve.name.contains("loss");
    let (first, others): (Vec<&Curve<'_>>, Vec<&Curve<'_>>) = curves.iter().partition(is_first);
    page.charts(&charts(&first));
    illustrate(&mut page);
    let others = charts(&others);
    if !others.is_empty() {
        page.fold("More curves");
        page.charts(&others);
    }
    page.fold("All numbers");
    page.paragraph("Each number at the last step that has it and, if it has a goal, its best value.");
    let rows: Vec<Vec<String>> = curves.iter().map(Curve::row).collect();
    page.table(&["", "last", "best", "at step"], &rows);
    page.fold("Configuration");
    page.preformatted(description);
    page
}

/// Maximum number of results in the verdict.
const TOLD: usize = 3;

/// The best values of the numbers with a goal. Losses are named only if nothing else was validated. The losses of players against each other have no best
/// step, so their last values are named.
fn verdicts(curves: &[Curve<'_>]) -> Vec<String> {
    let with_goal = curves.iter().filter(|curve| curve.goal.is_some());
    let (losses, validated): (Vec<&Curve<'_>>, Vec<&Curve<'_>>) =
        with_goal.partition(|curve| curve.name.contains("loss"));
    let best = |curves: &[&Curve<'_>]| curves.iter().filter_map(|curve| curve.best()).take(TOLD).collect();
    let are_of_players = losses.len() > 1 && losses.iter().all(|curve| curve.name.ends_with(".loss"));
    match validated.is_empty() {
        false => best(&validated),
        true if are_of_players => {
            let last = |curve: &&Curve<'_>| format!("{} {} at the end", curve.title(), number(curve.last()));
            losses.iter().map(last).take(TOLD).collect()
        }
        true => best(&losses),
    }
}

/// Charts of the curves. Curves with the same goal and similar values share one. Constants are left out.
fn charts(curves: &[&Curve<'_>]) -> Vec<Chart> {
    let mut groups: Vec<Vec<&Curve<'_>>> = Vec::new();
    for curve in curves.iter().copied().filter(|curve| curve.varies()) {
        let alike = |group: &&mut Vec<&Curve<'_>>| {
            let ratio = curve.last() / group[0].last();
            let is_loss = [curve, group[0]].iter().any(|curve| curve.name.contains("loss"));
            !is_loss && curve.goal.is_some() && curve.goal == group[0].goal && (1.0 / 3.0..=3.0).contains(&ratio)
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(curve),
            None => groups.push(vec![curve]),
        }
    }
    groups.iter().map(|group| chart(group)).collect()
}

/// A chart of curves.
fn chart(curves: &[&Curve<'_>]) -> Chart {
    let is_alone = curves.len() == 1;
    Chart {
        title: match is_alone {
            true => curves[0].title(),
            false => "on validation".to_owned(),
        },
        x: "step".to_owned(),
        caption: if is_alone { curves[0].caption() } else { String::new() },
        series: (curves.iter())
            .map(|curve| Series {
                name: if is_alone { String::new() } else { curve.title() },
                points: curve.points.clone(),
                ..Series::default()
            })
            .collect(),
        ..Chart::default()
    }
}

/// What was trained on which data, from the configuration, for a title. Empty if the configuration does not say.
fn what_of(description: &str) -> String {
    let settings = description.parse::<toml::Table>();
    settings.map_or_else(|_| String::new(), |settings| data_in(&settings) + &kind_in(&settings))
}

/// The data of a run, from its configuration, for a title: ` on q.tsv`. Empty if the configuration names none.
pub fn data_of(description: &str) -> String {
    let settings = description.parse::<toml::Table>();
    settings.map_or_else(|_| String::new(), |settings| data_in(&settings))
}

fn data_in(settings: &toml::Table) -> String {
    // At the top, or among the settings of the task.
    let tables = std::iter::once(settings).chain(settings.values().filter_map(toml::Value::as_table));
    let is_data = |value: &&toml::Value| value.is_str() || value.is_array();
    let names = ["questions", "texts", "data", "training"];
    let named = tables.into_iter().find_map(|table| {
        let mut values = names.iter().filter_map(|name| table.get(*name));
        values.find(is_data)
    });
    let name = |value: &toml::Value| -> Option<String> {
        let path = Path::new(value.as_str()?);
        Some(path.file_name()?.to_string_lossy().into_owned())
    };
    let names: Vec<String> = match named {
        Some(toml::Value::Array(values)) => values.iter().filter_map(name).collect(),
        Some(value) => name(value).into_iter().collect(),
        None => Vec::new(),
    };
    match &names[..] {
        [] => String::new(),
        [name] => format!(" on {name}"),
        [name, rest @ ..] => format!(" on {name} and {} more", rest.len()),
    }
}

/// What was trained: ` (finetune, child-f:0.3, seed 2)`. Empty if the configuration does not say.
fn kind_in(settings: &toml::Table) -> String {
    let shared = ["model", "train", "search"];
    let of_task = settings
        .iter()
        .find(|(name, value)| value.is_table() && !shared.contains(&name.as_str()));
    let method = of_task.and_then(|(_, task)| task.get("method")?.as_str());
    let seed = settings.get("train").and_then(|train| train.get("seed")?.as_integer());
    let mut parts: Vec<String> = of_task.iter().map(|(name, _)| (*name).clone()).collect();
    parts.extend(method.map(str::to_owned));
    parts.extend(seed.map(|seed| format!("seed {seed}")));
    match parts.is_empty() {
        true => String::new(),
        false => format!(" ({})", parts.join(", ")),
    }
}

/// The values of a number over the steps.
struct Curve<'r> {
    name: &'r str,
    goal: Option<Goal>,
    points: Vec<(f64, f64)>,
}

impl Curve<'_> {
    /// The name in words.
    fn title(&self) -> String {
        self.name.replace(['_', '.'], " ")
    }

    /// Whether it is worth a picture: a constant is not.
    fn varies(&self) -> bool {
        self.points.iter().any(|point| point.1 != self.points[0].1)
    }

    fn last(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |point| point.1)
    }

    /// The step and value of the best point, the latest of equals, whose model is kept.
    fn best_point(&self) -> Option<(f64, f64)> {
        let goal = self.goal?;
        let better = |best: (f64, f64), point: (f64, f64)| if goal.is_better(best.1, point.1) { best } else { point };
        self.points.iter().copied().reduce(better)
    }

    fn best(&self) -> Option<String> {
        let (step, value) = self.best_point()?;
        Some(format!("best {} {} (step {step})", self.title(), number(value)))
    }

    fn row(&self) -> Vec<String> {
        let (best, step) = match self.best_point() {
            Some((step, value)) => (short(value), step.to_string()),
            None => (String::new(), String::new()),
        };
        vec![self.title(), short(self.last()), best, step]
    }

    fn caption(&self) -> String {
        let title = self.title();
        match self.best_point() {
            None => format!("{title}: last {}", short(self.last())),
            Some((_, best)) => {
                let extreme = match self.goal {
                    Some(Goal::Maximize) => "largest",
                    _ => "smallest",
                };
                format!("{title}: last {}, {extreme} {}", short(self.last()), short(best))
            }
        }
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
            page.heading("First");
        })
        .unwrap();
        let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        for text in [
            ">First</h2>",
            "<svg",
            ">score: last -0.2000, largest -0.2000<",
            ">cost: last -0.2000, smallest -1.0000<",
            ">rate: last -0.2000<",
            "After 4 steps: best cost -1 (step 0); best score -0.2 (step 4).",
            "<h2>More curves</h2>",
            "a &lt; b",
        ] {
            assert!(page.contains(text), "{text}");
        }
        let more = page.find("More curves").unwrap();
        assert!(page.find(">cost: last").unwrap() < more && more < page.find(">rate: last").unwrap());
    }

    #[test]
    fn a_constant_is_told_and_not_drawn_and_the_title_says_what_was_learned_from() {
        let record = |step| Record {
            step,
            values: [("rate".to_owned(), 0.5)].into(),
        };
        let page = |description: &str| {
            let records = [record(1), record(2)];
            report_page("Training", description, &records, &BTreeMap::new(), |_| ()).to_html()
        };
        let html = page("texts = [\"a/x.txt\", \"y.txt\"]\n");
        assert!(!html.contains("<svg") && html.contains("<td>0.5000</td>"), "{html}");
        assert!(html.contains("<title>Training on x.txt and 1 more</title>"), "{html}");
        assert!(page("questions = \"q.tsv\"\n").contains("<h1>Training on q.tsv</h1>"));
        assert!(page("no TOML").contains("<h1>Training</h1>"));
        // Of equals the latest is best, whose model is kept.
        let goals = BTreeMap::from([("rate".to_owned(), Goal::Maximize)]);
        let equal = report_page("Training", "", &[record(1), record(2)], &goals, |_| ()).to_html();
        assert!(equal.contains("best rate 0.5 (step 2)"), "{equal}");
        let losses = ["critic.loss", "generator.loss"].map(|name| (name.to_owned(), Goal::Minimize));
        let players = [1.0, 2.0].map(|value| Record {
            step: value as u64,
            values: losses.iter().map(|(name, _)| (name.clone(), value)).collect(),
        });
        let game = report_page("Training", "", &players, &losses.into(), |_| ()).to_html();
        assert!(game.contains("After 2 steps: critic loss 2 at the end; generator loss 2 at the end."));
        let tuned =
            "[model]\nlayers = 2\n[train]\nseed = 3\n[finetune]\ntraining = \"x/rte.tsv\"\nmethod = \"sam:0.1\"\n";
        assert!(page(tuned).contains("<h1>Training on rte.tsv (finetune, sam:0.1, seed 3)</h1>"));
    }
}
