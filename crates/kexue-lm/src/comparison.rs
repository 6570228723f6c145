//! Comparison of runs: one row for the seeds of a setting, named by the settings that differ, with differences paired by seed.

use crate::{LengthScore, MlmConfig};
use kexue_nn::AttentionScale;
use kexue_output::{standard_error, with_error};
use kexue_train::{TrainError, settings};
use serde_json::{Value, json};

/// Runs measured at several lengths.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Tokens per sequence, for each measurement.
    pub lengths: Vec<usize>,
    /// The rows. Runs that differ only in their seed share a row.
    pub rows: Vec<Row>,
}

/// Runs that differ only in their seed, at every length.
#[derive(Clone, Debug)]
pub struct Row {
    /// The scale, and if several rows have the same scale, the settings in which they differ.
    pub name: String,
    /// The attention scale, in training or at inference.
    pub scale: String,
    /// All settings but the seed, by path.
    settings: Vec<(String, String)>,
    /// The runs, in the order in which they were added.
    pub runs: Vec<MeasuredRun>,
}

/// A run at every length.
#[derive(Clone, Debug)]
pub struct MeasuredRun {
    /// The seed of the run.
    pub seed: u64,
    /// Its folder, as given.
    pub folder: String,
    /// The scores at each length.
    pub scores: Vec<LengthScore>,
}

/// A table: a title, and rows with a name and a cell for each length.
pub type Table = (&'static str, Vec<Vec<String>>);

/// Maximum number of settings in a name.
const NAMED: usize = 4;

impl Comparison {
    /// Creates a comparison without runs.
    pub fn new(lengths: Vec<usize>) -> Self {
        Self {
            lengths,
            rows: Vec::new(),
        }
    }

    /// Adds a run measured with an attention scale, which may differ from that of its training.
    ///
    /// # Errors
    /// If the configuration cannot be written as TOML.
    pub fn add(
        &mut self,
        config: &MlmConfig,
        folder: &str,
        scale: AttentionScale,
        scores: Vec<LengthScore>,
    ) -> Result<(), TrainError> {
        // Runs that differ only in seed or program version share a row.
        let kind: Vec<(String, String)> = settings(config)?
            .into_iter()
            .filter(|(name, _)| name != "train.seed" && name != "version")
            .collect();
        let scale = scale_name(scale);
        let run = MeasuredRun {
            seed: config.train.seed,
            folder: folder.to_owned(),
            scores,
        };
        match self
            .rows
            .iter_mut()
            .find(|row| row.scale == scale && row.settings == kind)
        {
            Some(row) => row.runs.push(run),
            None => self.rows.push(Row {
                name: String::new(),
                scale,
                settings: kind,
                runs: vec![run],
            }),
        }
        self.name_rows();
        Ok(())
    }

    /// Names each row by its scale, and if other rows have the same scale, by the settings in which they differ.
    fn name_rows(&mut self) {
        let rows = &self.rows;
        let names: Vec<String> = rows
            .iter()
            .map(|row| {
                let rivals: Vec<&Row> = rows.iter().filter(|other| other.scale == row.scale).collect();
                let mut names: Vec<&String> = Vec::new();
                for (name, _) in rivals.iter().flat_map(|rival| &rival.settings) {
                    if !names.contains(&name) && rivals.iter().any(|rival| rival.setting(name) != row.setting(name)) {
                        names.push(name);
                    }
                }
                if names.len() > NAMED {
                    return format!("{}, as {}", row.scale, row.runs.first().map_or("", |run| &run.folder));
                }
                let differing = names.into_iter().map(|name| {
                    let short = name.split_once('.').map_or(name.as_str(), |(_, rest)| rest);
                    match row.setting(name) {
                        Some(value) => format!(", {short} {value}"),
                        None => format!(", no {short}"),
                    }
                });
                std::iter::once(row.scale.clone()).chain(differing).collect()
            })
            .collect();
        self.rows.iter_mut().zip(names).for_each(|(row, name)| row.name = name);
    }

    /// Accuracy with the baseline, attention entropy, and the difference of each row to the first one that differs from it only in the attention
    /// scale, paired by seed.
    pub fn tables(&self) -> Vec<Table> {
        let rows = &self.rows;
        let cells = |row: &Row, name: String, value: fn(&LengthScore) -> f64| {
            let statistics = row.statistics(value).into_iter();
            let cells = statistics.map(|(mean, error)| with_error(mean, error, two_digits));
            std::iter::once(name).chain(cells).collect::<Vec<String>>()
        };
        let lines = |value: fn(&LengthScore) -> f64| -> Vec<Vec<String>> {
            let name = |row: &Row| format!("{} ({} runs)", row.name, row.runs.len());
            rows.iter().map(|row| cells(row, name(row), value)).collect()
        };
        let mut accuracies = lines(LengthScore::accuracy_percent);
        // Rows of other texts or vocabularies have a different baseline.
        let baselines: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                // The baseline depends on the text, not the seed, so most have no error.
                let statistics = row.statistics(LengthScore::baseline_percent).into_iter();
                let cell = |(mean, error): (f64, Option<f64>)| with_error(mean, error.filter(|&e| e > 0.0), two_digits);
                std::iter::once(String::new()).chain(statistics.map(cell)).collect()
            })
            .collect();
        let is_shared = baselines.iter().all(|baseline| *baseline == baselines[0]);
        for (row, mut baseline) in rows.iter().zip(baselines).take(if is_shared { 1 } else { rows.len() }) {
            baseline[0] = match is_shared {
                true => "always the most frequent token".to_owned(),
                false => format!("always the most frequent token, {}", row.name),
            };
            accuracies.push(baseline);
        }
        let mut tables = vec![
            ("accuracy, %", accuracies),
            ("attention entropy, nats", lines(LengthScore::mean_entropy)),
        ];
        let differences: Vec<Vec<String>> = (0..rows.len()).filter_map(|at| self.difference(at)).collect();
        if !differences.is_empty() {
            tables.push((
                "accuracy less that of the first row with the same other settings, paired by seed",
                differences,
            ));
        }
        tables
    }

    /// The differences of a row to the first earlier one that differs from it only in the attention scale.
    fn difference(&self, at: usize) -> Option<Vec<String>> {
        let row = &self.rows[at];
        let first = self.rows[..at].iter().find(|first| first.differs_in_scale_alone(row))?;
        let pairs: Vec<(&[LengthScore], &[LengthScore])> = row
            .runs
            .iter()
            .enumerate()
            .filter_map(|(index, run)| {
                // The first run of a seed is paired with the other row's first run of that seed, and so on.
                let before = row.runs[..index].iter().filter(|other| other.seed == run.seed).count();
                let mut others = first.runs.iter().filter(|other| other.seed == run.seed);
                Some((&run.scores[..], &others.nth(before)?.scores[..]))
            })
            .collect();
        let lengths = pairs.first()?.0.len();
        let cell = |index: usize| {
            let difference = |(scores, base): &(&[LengthScore], &[LengthScore])| {
                scores[index].accuracy_percent() - base[index].accuracy_percent()
            };
            let (mean, error) = mean_and_error(&pairs.iter().map(difference).collect::<Vec<f64>>());
            with_error(mean, error, two_digits)
        };
        let name = format!("{} ({} pairs)", row.name, pairs.len());
        Some(std::iter::once(name).chain((0..lengths).map(cell)).collect())
    }

    /// The tables as aligned text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (title, rows) in self.tables() {
            let names = rows.iter().map(|row| row[0].chars().count());
            let width = names.chain([title.chars().count()]).max().unwrap_or(0);
            let mut line = |name: &str, cells: &mut dyn Iterator<Item = String>| {
                text.push_str(name);
                text.extend(std::iter::repeat_n(' ', width - name.chars().count()));
                cells.for_each(|cell| text.push_str(&format!(" {cell:>14}")));
                text.push('\n');
            };
            line(title, &mut self.lengths.iter().map(ToString::to_string));
            for row in &rows {
                line(&row[0], &mut row[1..].iter().cloned());
            }
            text.push('\n');
        }
        text.pop();
        text
    }

    /// All rows and runs with everything measured.
    pub fn to_json(&self) -> Value {
        let score = |score: &LengthScore| {
            json!({
                "length": score.length,
                "accuracy": score.accuracy_percent(),
                "baseline": score.baseline_percent(),
                "loss": score.loss,
                "predictions": score.predictions,
                "entropy": score.mean_entropy(),
                "entropy_by_layer_and_head": score.entropy,
            })
        };
        let run = |run: &MeasuredRun| {
            let lengths: Vec<Value> = run.scores.iter().map(score).collect();
            json!({"seed": run.seed, "folder": run.folder, "lengths": lengths})
        };
        let row = |row: &Row| {
            let runs: Vec<Value> = row.runs.iter().map(run).collect();
            json!({"name": row.name, "attention_scale": row.scale, "runs": runs})
        };
        self.rows.iter().map(row).collect()
    }
}

impl Row {
    /// Mean and standard error of `value` over the runs, at each length; a single run has no error.
    pub fn statistics(&self, value: impl Fn(&LengthScore) -> f64) -> Vec<(f64, Option<f64>)> {
        let lengths = self.runs.first().map_or(0, |run| run.scores.len());
        let at = |index: usize| -> Vec<f64> { self.runs.iter().map(|run| value(&run.scores[index])).collect() };
        (0..lengths).map(|index| mean_and_error(&at(index))).collect()
    }

    fn setting(&self, name: &str) -> Option<&str> {
        let found = self.settings.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    fn differs_in_scale_alone(&self, other: &Self) -> bool {
        let is_other = |(name, _): &&(String, String)| !name.starts_with("model.attention_scale");
        let others = |row| <&Self>::clone(row).settings.iter().filter(is_other);
        others(&self).eq(others(&other))
    }
}

fn mean_and_error(values: &[f64]) -> (f64, Option<f64>) {
    (values.iter().sum::<f64>() / values.len() as f64, standard_error(values))
}

fn two_digits(value: f64) -> String {
    format!("{value:.2}")
}

/// The name of a scale in tables.
fn scale_name(scale: AttentionScale) -> String {
    match scale {
        AttentionScale::Ordinary => "ordinary".to_owned(),
        AttentionScale::EntropyInvariant { base } => format!("entropy-invariant, base {base}"),
        AttentionScale::EntropyInvariantKappa { kappa } => format!("entropy-invariant, κ = {kappa}"),
        AttentionScale::InferenceClip { trained_length } => format!("ordinary, clip {trained_length} at inference"),
        AttentionScale::Fixed { factor } => format!("fixed to {factor}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MlmSettings;
    use kexue_nn::TransformerConfig;
    use kexue_train::TrainSettings;

    #[test]
    fn seeds_are_one_row_and_the_baseline_is_printed_once() {
        let config = |seed: u64, scale: AttentionScale| MlmConfig {
            version: "1".to_owned(),
            texts: Vec::new(),
            start: None,
            model: TransformerConfig {
                attention_scale: scale,
                ..TransformerConfig::new(300)
            },
            train: TrainSettings {
                seed,
                ..TrainSettings::default()
            },
            mlm: MlmSettings::default(),
        };
        let score = |accuracy: f64| LengthScore {
            length: 64,
            accuracy,
            baseline: 0.05,
            entropy: vec![vec![1.0]],
            ..LengthScore::default()
        };
        let mut comparison = Comparison::new(vec![64]);
        let scales = [
            AttentionScale::Ordinary,
            AttentionScale::EntropyInvariant { base: 512.0 },
        ];
        for (scale, accuracies) in scales.into_iter().zip([[0.2, 0.3], [0.22, 0.36]]) {
            for (seed, accuracy) in accuracies.into_iter().enumerate() {
                let config = config(seed as u64, scale);
                comparison.add(&config, "run", scale, vec![score(accuracy)]).unwrap();
            }
        }
        let tables = comparison.tables();
        let expected = [
            ["ordinary (2 runs)", "25.00 ± 5.00"],
            ["entropy-invariant, base 512 (2 runs)", "29.00 ± 7.00"],
            ["always the most frequent token", "5.00"],
        ];
        assert_eq!(tables[0].1, expected);
        // Differences of 2 and 6 points: their error is not that of the means.
        assert_eq!(tables[2].1, [["entropy-invariant, base 512 (2 pairs)", "4.00 ± 2.00"]]);
        assert!(comparison.to_text().contains("always the most frequent token"));
        assert_eq!(comparison.to_json()[1]["runs"][0]["lengths"][0]["baseline"], 5.0);
    }
}
