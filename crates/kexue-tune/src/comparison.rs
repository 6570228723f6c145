//! Comparison of methods: means over seeds, and differences to the first method, paired by seed.

use crate::forest::{Estimate, forest_plot};
use crate::method::Method;
use crate::metrics::Measure;
use crate::run::TuneResult;
use kexue_output::{standard_error, text_table, with_error};
use kexue_train::{Chart, Page, Series, data_of};
use serde_json::{Value, json};

/// The results of several methods from the same seeds.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// The measures of the table; differences are those of the first.
    pub measures: Vec<Measure>,
    /// A row for each method. The others are compared with the first.
    pub rows: Vec<Row>,
}

/// The results of a method.
#[derive(Clone, Debug)]
pub struct Row {
    /// The method of fine-tuning.
    pub method: Method,
    /// One result for each seed.
    pub results: Vec<TuneResult>,
}

/// The validation that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// The best one by the first measure, as in published tables. It is selected on the same examples that it is measured on.
    Best,
    /// The last one, which is not selected.
    Last,
}

impl Point {
    const ALL: [Self; 2] = [Self::Best, Self::Last];

    fn name(self) -> &'static str {
        match self {
            Self::Best => "best validation",
            Self::Last => "last validation",
        }
    }

    fn of(self, result: &TuneResult, measure: Measure) -> f64 {
        let values = if self == Self::Best { &result.best } else { &result.last };
        values.get(measure.name()).copied().unwrap_or(f64::NAN)
    }
}

/// The 97.5 % quantiles of Student's t with 1, 2, … degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// Half the length of the 95 % interval of a mean of normally distributed values, in standard errors.
fn t_quantile(values: usize) -> f64 {
    match values {
        0 | 1 => f64::NAN,
        // Within 0.003 of the quantile.
        n if n > T.len() + 1 => 1.96 + 2.45 / (n - 1) as f64,
        n => T[n - 2],
    }
}

/// A mean, its standard error, and the ends of its 95 % interval.
struct Mean {
    mean: f64,
    error: Option<f64>,
    count: usize,
}

impl Mean {
    fn of(values: &[f64]) -> Self {
        Self {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            error: standard_error(values),
            count: values.len(),
        }
    }

    fn interval(&self) -> Option<(f64, f64)> {
        let half = self.error? * t_quantile(self.count);
        Some((self.mean - half, self.mean + half))
    }

    fn show(&self) -> String {
        with_error(self.mean, self.error, |value| format!("{value:.2}"))
    }
}

impl Row {
    fn values(&self, point: Point, measure: Measure) -> Vec<f64> {
        self.results.iter().map(|result| point.of(result, measure)).collect()
    }
}

impl Comparison {
    /// The differences of a row to the first one, for their common seeds.
    fn differences(&self, row: &Row, point: Point, measure: Measure) -> Vec<f64> {
        let base = self.rows.first().map_or(&[][..], |base| &base.results);
        let pairs = row.results.iter().filter_map(|result| {
            let other = base.iter().find(|other| other.seed == result.seed)?;
            Some(point.of(result, measure) - point.of(other, measure))
        });
        pairs.collect()
    }

    /// The cells of the table for a validation: method, seeds, each measure, and the difference in the first measure with its interval.
    fn table(&self, point: Point) -> (Vec<String>, Vec<Vec<String>>) {
        let base = self.rows.first().map_or(String::new(), |row| row.method.to_string());
        let names = self.measures.iter().map(|measure| measure.name().to_owned());
        let mut header = vec!["method".to_owned(), "seeds".to_owned()];
        header.extend(names);
        header.extend([
            format!("minus {base}"),
            "95 % interval".to_owned(),
            "better, worse".to_owned(),
        ]);
        let row = |(index, row): (usize, &Row)| {
            let mut cells = vec![row.method.to_string(), row.results.len().to_string()];
            cells.extend(
                self.measures
                    .iter()
                    .map(|&measure| Mean::of(&row.values(point, measure)).show()),
            );
            match self.measures.first().filter(|_| index > 0) {
                None => cells.extend(["", "", ""].map(str::to_owned)),
                Some(&measure) => {
                    let differences = self.differences(row, point, measure);
                    let mean = Mean::of(&differences);
                    let interval = mean.interval().map(|(low, high)| format!("{low:+.2} to {high:+.2}"));
                    let count = |is: fn(&f64) -> bool| differences.iter().filter(|value| is(value)).count();
                    let counts = format!("{}, {}", count(|&value| value > 0.0), count(|&value| value < 0.0));
                    cells.extend([mean.show(), interval.unwrap_or_default(), counts]);
                }
            }
            cells
        };
        (header, self.rows.iter().enumerate().map(row).collect())
    }

    /// The tables as aligned text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for point in Point::ALL {
            let (mut header, rows) = self.table(point);
            header[0] = point.name().to_owned();
            let header: Vec<&str> = header.iter().map(String::as_str).collect();
            text += &text_table(&header, &rows);
            text.push('\n');
        }
        text.pop();
        text
    }

    /// All results and the paired differences as JSON.
    pub fn to_json(&self) -> Value {
        let row = |row: &Row| {
            let point = |point: Point| -> Value {
                let measured = self.measures.iter().map(|&measure| {
                    let (mean, difference) = (
                        Mean::of(&row.values(point, measure)),
                        Mean::of(&self.differences(row, point, measure)),
                    );
                    let value = json!({
                        "mean": mean.mean,
                        "standard_error": mean.error,
                        "difference": difference.mean,
                        "difference_standard_error": difference.error,
                        "difference_interval": difference.interval(),
                    });
                    (measure.name().to_owned(), value)
                });
                Value::Object(measured.collect())
            };
            json!({
                "method": row.method.to_string(),
                "best": point(Point::Best),
                "last": point(Point::Last),
                "runs": row.results,
            })
        };
        self.rows.iter().map(row).collect()
    }

    /// Which method is best at the best validation, and whether its difference to the first method is distinguishable from 0.
    pub fn verdict(&self) -> Option<String> {
        let (&measure, base) = (self.measures.first()?, self.rows.first()?);
        let mean = |row: &Row| Mean::of(&row.values(Point::Best, measure));
        let best = (self.rows.iter())
            .filter(|row| mean(row).mean.is_finite())
            // Of equals, the first is named.
            .rev()
            .max_by(|a, b| mean(a).mean.total_cmp(&mean(b).mean))?;
        let (method, name) = (best.method.to_string(), measure.name());
        let result = format!("Highest {name}: {method}, {}", mean(best).show());
        if best.method == base.method {
            return Some(format!("{result}."));
        }
        let difference = Mean::of(&self.differences(best, Point::Best, measure));
        let judged = match difference.interval() {
            Some((low, high)) if low > 0.0 || high < 0.0 => "more than chance explains",
            Some(_) => "no more than chance explains",
            None => "one seed, so that chance is not excluded",
        };
        Some(format!(
            "{result}; {} more than {} ({judged}).",
            difference.show(),
            base.method
        ))
    }

    /// The page of a report: tables, a forest plot, the curves, and the shares of the model that ChildTuning-D trains.
    pub fn to_page(&self, title: &str, description: &str) -> Page {
        let mut page = Page::new(&format!("{title}{}", data_of(description)));
        if let Some(verdict) = self.verdict() {
            page.verdict(&verdict);
        }
        page.paragraph(
            "Means over seeds with standard errors. A seed determines the initial head, the batches and the dropout of all methods alike, so the differences are \
             paired by seed. Intervals are 95 % intervals of Student's t.",
        );
        for point in Point::ALL {
            page.heading(&format!("By the {}", point.name()));
            let (header, rows) = self.table(point);
            let header: Vec<&str> = header.iter().map(String::as_str).collect();
            page.table(&header, &rows);
            if let (Some(&measure), Some(base)) = (self.measures.first(), self.rows.first()) {
                let estimate = |row: &Row| {
                    let differences = self.differences(row, point, measure);
                    let mean = Mean::of(&differences);
                    Estimate {
                        name: row.method.to_string(),
                        value: mean.mean,
                        interval: mean.interval(),
                        single: differences,
                    }
                };
                let estimates: Vec<Estimate> = self.rows.iter().skip(1).map(estimate).collect();
                let axis = format!(
                    "{} minus that of {}, points; dots are seeds",
                    measure.name(),
                    base.method
                );
                page.html(&forest_plot(&axis, &estimates));
            }
        }
        page.heading("Over the steps");
        let series = self.rows.iter().map(|row| {
            let steps = row.results.first().map_or(&[][..], |result| &result.curve);
            let at = |(index, &(step, _)): (usize, &(u64, f64))| {
                let values: Vec<f64> = row
                    .results
                    .iter()
                    .filter_map(|result| result.curve.get(index).map(|point| point.1))
                    .collect();
                (step as f64, Mean::of(&values))
            };
            let points: Vec<(f64, Mean)> = steps.iter().enumerate().map(at).collect();
            Series {
                name: row.method.to_string(),
                errors: points.iter().map(|(_, mean)| mean.error.unwrap_or(0.0)).collect(),
                points: points.iter().map(|(step, mean)| (*step, mean.mean)).collect(),
            }
        });
        let measure = self.measures.first().map_or("", |measure| measure.name());
        let mut charts = vec![Chart {
            title: format!("{measure} of the held-out examples"),
            x: "step".to_owned(),
            caption: "Means over the seeds, with standard errors.".to_owned(),
            series: series.collect(),
            ..Chart::default()
        }];
        charts.extend(self.shares());
        page.charts(&charts);
        page.fold("Configuration");
        page.preformatted(description);
        page
    }

    /// A chart of the share of each layer that ChildTuning-D trains.
    fn shares(&self) -> Option<Chart> {
        let row = self
            .rows
            .iter()
            .find(|row| row.results.iter().any(|result| !result.kept.is_empty()))?;
        let percent = |part: &str| {
            let of = |result: &TuneResult| {
                let share = result.kept.iter().find(|share| share.part == part)?;
                Some(100.0 * share.kept as f64 / share.parameters as f64)
            };
            Mean::of(&row.results.iter().filter_map(of).collect::<Vec<f64>>())
        };
        let series = ["attention", "feed-forward"].map(|branch| {
            let points = (0..)
                .map(|layer: usize| (layer as f64, percent(&format!("layer {layer} {branch}")).mean))
                .take_while(|point| point.1.is_finite());
            Series {
                name: branch.to_owned(),
                points: points.collect(),
                ..Series::default()
            }
        });
        let (embeddings, head) = (percent("embeddings").mean, percent("head").mean);
        Some(Chart {
            title: format!("share of the parameters that {} trains", row.method),
            x: "layer".to_owned(),
            y: "%".to_owned(),
            caption: format!("Embeddings: {embeddings:.1} %, head: {head:.1} %; means over the seeds."),
            series: series.into(),
            ..Chart::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn comparison() -> Comparison {
        let row = |method: &str, values: [f64; 3]| {
            let method: Method = method.parse().unwrap();
            let result = |(seed, value): (usize, f64)| TuneResult {
                method,
                seed: seed as u64,
                steps: 10,
                best_step: 5,
                best: BTreeMap::from([("accuracy".to_owned(), value)]),
                last: BTreeMap::from([("accuracy".to_owned(), value - 1.0)]),
                curve: vec![(5, value), (10, value - 1.0)],
                kept: Vec::new(),
            };
            Row {
                method,
                results: values.into_iter().enumerate().map(result).collect(),
            }
        };
        Comparison {
            measures: vec![Measure::Accuracy],
            rows: vec![row("none", [50.0, 60.0, 70.0]), row("child-f:0.3", [51.0, 62.0, 73.0])],
        }
    }

    #[test]
    fn differences_are_paired_and_their_interval_is_students() {
        let text = comparison().to_text();
        // The differences are 1, 2, 3, with mean 2, standard error 1/√3 and interval 2 ± 4.303/√3.
        for expected in [
            "62.00 ± 6.35",
            "2.00 ± 0.58",
            "-0.48 to +4.48",
            "3, 0",
            "61.00 ± 6.35",
            "minus none",
        ] {
            assert!(text.contains(expected), "{expected}:\n{text}");
        }
        let json = comparison().to_json();
        assert_eq!(json[1]["last"]["accuracy"]["difference"], 2.0);
        assert_eq!(json[0]["runs"][2]["seed"], 2);
        // 62 ± 6.35 less 60: the interval holds 0.
        let verdict = comparison().verdict().unwrap();
        let expected =
            "Highest accuracy: child-f:0.3, 62.00 ± 6.35; 2.00 ± 0.58 more than none (no more than chance explains).";
        assert_eq!(verdict, expected);
        let page = comparison().to_page("RTE", "a < b").to_html();
        assert!(page.contains("<svg") && page.contains("child-f:0.3") && page.contains("a &lt; b"));
    }

    #[test]
    fn a_seed_that_only_one_has_is_left_out_of_the_pairs() {
        let mut comparison = comparison();
        comparison.rows[0].results.remove(0);
        let differences = comparison.differences(&comparison.rows[1], Point::Best, Measure::Accuracy);
        assert_eq!(differences, [2.0, 3.0]);
        comparison.rows[0].results.truncate(1);
        let (_, rows) = comparison.table(Point::Best);
        assert_eq!(rows[1][3..], ["2.00", "", "1, 0"], "one pair has no error");
        assert!((t_quantile(1000) - 1.962).abs() < 1e-3 && (t_quantile(33) - 2.037).abs() < 3e-3);
    }
}
