//! The project's own `metrics.jsonl`: one JSON object a line, with a `step` and numeric metrics.

use std::collections::HashMap;

use serde_json::Value;

use super::names::run_name;
use super::options::MetricRows;
use super::raw::{RawColumn, RawTable, Role};
use super::unique_keys;
use crate::error::{Error, Place, Result};

/// Keys of numbers that are not scores: when, and how fast.
const NOT_SCORES: [&str; 14] = [
    "epoch",
    "lr",
    "learning_rate",
    "time",
    "seconds",
    "elapsed",
    "wall_time",
    "timestamp",
    "tokens",
    "samples",
    "examples",
    "grad_norm",
    "gradient_norm",
    "batch_size",
];

/// Reads a run. With [`MetricRows::Steps`], every step is a system. With [`MetricRows::Last`], the run is one system, scored at its last step
/// with all metrics.
pub(crate) fn read(file: &str, text: &str, rows: MetricRows) -> Result<RawTable> {
    let mut names: Vec<String> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    // By step, since training and evaluation may log the same step on two lines.
    let mut steps: Vec<(String, u64, HashMap<usize, String>)> = Vec::new();
    let mut by_step: HashMap<String, usize> = HashMap::new();
    let mut repeated = 0usize;
    for (number, line) in text.lines().enumerate() {
        let number = number as u64 + 1;
        if line.trim().is_empty() {
            continue;
        }
        let value = unique_keys::parse(line).map_err(|error| {
            // The parser sees one line only, so its line number is always 1.
            let problem = error.to_string().replace(" at line 1 column ", " at character ");
            if error.is_data() {
                return Error::malformed(Place::line(file, number), problem, "write every key of an object once");
            }
            Error::malformed(
                Place::line(file, number),
                format!("not a JSON object: {problem}"),
                "write one object a line, with a step and numeric metrics (NaN is not JSON; write null)",
            )
        })?;
        let Some(object) = value.as_object() else {
            return Err(Error::malformed(
                Place::line(file, number),
                "not a JSON object",
                "write one object a line, with a step and numeric metrics",
            ));
        };
        let step = match object.get("step") {
            Some(Value::Number(step)) => step.to_string(),
            _ => {
                return Err(Error::malformed(
                    Place::cell(file, number, "step"),
                    "no step, or a step that is not a number",
                    "give every line its step",
                ));
            }
        };
        let position = *by_step.entry(step.clone()).or_insert_with(|| {
            steps.push((step, number, HashMap::new()));
            steps.len() - 1
        });
        for (key, value) in object {
            let Value::Number(value) = value else { continue };
            if key == "step" {
                continue;
            }
            let column = *index.entry(key.clone()).or_insert_with(|| {
                names.push(key.clone());
                names.len() - 1
            });
            if steps[position].2.insert(column, value.to_string()).is_some() {
                repeated += 1;
            }
        }
    }
    if steps.is_empty() {
        return Err(Error::malformed(
            Place::file(file),
            "no lines",
            "give one JSON object a line",
        ));
    }

    let is_score = |name: &str| {
        let name = name.rsplit(['/', '.']).next().unwrap_or(name);
        !NOT_SCORES.contains(&name) && !name.ends_with("_per_second") && !name.ends_with("_seconds")
    };
    let mut columns = vec![RawColumn {
        role: Some(Role::System),
        ..RawColumn::named("step")
    }];
    columns.extend(names.iter().map(|name| RawColumn {
        role: (!is_score(name)).then_some(Role::Ignored),
        ..RawColumn::named(name)
    }));
    let mut table = RawTable::new(file, 0, columns);
    if repeated > 0 {
        table.notes.push(format!(
            "{repeated} metrics are logged more than once for their step; the last value is used"
        ));
    }
    let mut push = |name: &str, line: u64, scores: &HashMap<usize, String>| {
        let cells = (0..names.len()).map(|column| scores.get(&column).map_or("", String::as_str));
        table.push_row(line, std::iter::once(name).chain(cells));
    };
    match rows {
        MetricRows::Steps => {
            for (step, line, scores) in &steps {
                push(&format!("step {step}"), *line, scores);
            }
        }
        MetricRows::Last => {
            let complete = |scores: &HashMap<usize, String>| {
                names
                    .iter()
                    .enumerate()
                    .all(|(column, name)| !is_score(name) || scores.contains_key(&column))
            };
            let chosen = steps
                .iter()
                .rev()
                .find(|(_, _, scores)| complete(scores))
                .or(steps.last());
            if let Some((step, line, scores)) = chosen {
                push(&run_name(file), *line, scores);
                table.notes.push(format!("{}: scores of step {step}", run_name(file)));
            }
        }
    }
    Ok(table)
}
