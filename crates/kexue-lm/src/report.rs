//! The page of `kexue mlm eval`.

use crate::comparison::{Comparison, Row};
use crate::evaluate::LengthScore;
use kexue_train::{Chart, Page, Series};

impl Comparison {
    /// Curves of accuracy and attention entropy by length, the tables, and the entropy of each layer.
    pub fn to_page(&self, title: &str) -> Page {
        let mut page = Page::new(title);
        if let Some(verdict) = self.verdict() {
            page.verdict(&verdict);
        }
        page.charts(&[
            self.chart(
                "accuracy, %",
                "Masked tokens predicted correctly in held-out documents; bars are standard errors over seeds.",
                LengthScore::accuracy_percent,
            ),
            self.chart(
                "attention entropy, nats",
                "Mean entropy of the attention rows, over all layers and heads.",
                LengthScore::mean_entropy,
            ),
        ]);
        let lengths: Vec<String> = self.lengths.iter().map(ToString::to_string).collect();
        for (title, rows) in self.tables() {
            page.fold(title);
            let head: Vec<&str> = std::iter::once("").chain(lengths.iter().map(String::as_str)).collect();
            page.table(&head, &rows);
        }
        page.fold("Entropy by layer");
        page.charts(&self.rows.iter().map(|row| self.layers(row)).collect::<Vec<Chart>>());
        page
    }

    /// The change of the accuracy from the shortest to the longest sequences.
    fn verdict(&self) -> Option<String> {
        let (shortest, longest) = (self.lengths.first()?, self.lengths.last()?);
        let of_row = |row: &Row| -> Option<String> {
            let accuracy = row.statistics(LengthScore::accuracy_percent);
            let ((first, _), (last, _)) = (accuracy.first()?, accuracy.last()?);
            Some(format!("{} from {first:.1} to {last:.1} %", row.name))
        };
        let rows: Vec<String> = self.rows.iter().filter_map(of_row).collect();
        Some(format!(
            "Accuracy from {shortest} to {longest} tokens: {}.",
            rows.join("; ")
        ))
        .filter(|_| !rows.is_empty())
    }

    /// A curve for each row.
    fn chart(&self, title: &str, caption: &str, value: fn(&LengthScore) -> f64) -> Chart {
        let series = self.rows.iter().map(|row| {
            let statistics = row.statistics(value);
            Series {
                name: row.name.clone(),
                points: self.points(statistics.iter().map(|&(mean, _)| mean)),
                errors: statistics.iter().map(|&(_, error)| error.unwrap_or(0.0)).collect(),
            }
        });
        Chart {
            title: title.to_owned(),
            x: "tokens of a sequence".to_owned(),
            log_x: true,
            caption: caption.to_owned(),
            series: series.collect(),
            ..Chart::default()
        }
    }

    /// A curve for each layer of a row.
    fn layers(&self, row: &Row) -> Chart {
        let layers = row.runs.first().and_then(|run| run.scores.first());
        let mean_of_layer = |score: &LengthScore, layer: usize| {
            let heads = &score.entropy[layer];
            heads.iter().sum::<f64>() / heads.len().max(1) as f64
        };
        let series = (0..layers.map_or(0, |score| score.entropy.len())).map(|layer| {
            let means = row.statistics(|score| mean_of_layer(score, layer));
            Series {
                name: format!("layer {}", layer + 1),
                points: self.points(means.into_iter().map(|(mean, _)| mean)),
                errors: Vec::new(),
            }
        });
        Chart {
            title: row.name.clone(),
            x: "tokens of a sequence".to_owned(),
            y: "nats".to_owned(),
            log_x: true,
            series: series.collect(),
            ..Chart::default()
        }
    }

    fn points(&self, means: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
        self.lengths.iter().map(|&length| length as f64).zip(means).collect()
    }
}
