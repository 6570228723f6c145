//! Results as JSON: Papers with Code, HELM, lm-evaluation-harness, and plain records.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::grid::{Grid, choose_metric, prefer};
use super::names::{choose, only_table, run_name};
use super::options::Options;
use super::raw::{RawColumn, RawTable, Role};
use super::unique_keys;
use crate::error::{Error, Place, Result, counted, listed};
use crate::markup::clean_name;
use crate::table::{Direction, normalise};

/// Reads any of the accepted formats, which their keys tell apart.
pub(crate) fn read(file: &str, text: &str, options: &Options) -> Result<RawTable> {
    let value = unique_keys::parse(text).map_err(|error| {
        let place = Place::line(file, error.line() as u64);
        if error.is_data() {
            return Error::malformed(place, error.to_string(), "write every key of an object once");
        }
        Error::malformed(
            place,
            format!("not JSON: {error}"),
            "give valid JSON (write null instead of NaN), or name the format with <format>",
        )
    })?;
    let one = |raw: Result<RawTable>| only_table(file, options.table).and(raw);
    match &value {
        Value::Object(object) => {
            if let Some(Value::Object(results)) = object.get("results")
                && results.values().all(Value::is_object)
                && ["config", "versions", "configs", "n-shot", "higher_is_better"]
                    .iter()
                    .any(|key| object.contains_key(*key))
            {
                return one(lm_evaluation_harness(file, object, results, options));
            }
            if object.contains_key("header") && object.contains_key("rows") {
                return one(helm_table(file, object));
            }
            if object.contains_key("datasets") || object.contains_key("sota") || object.contains_key("subtasks") {
                return papers_with_code(file, std::slice::from_ref(&value), options);
            }
            // `{"rows": [...]}` and the like: one array of records inside an object.
            let mut arrays = object.values().filter_map(|value| match value {
                Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_object) => Some(items),
                _ => None,
            });
            if let (Some(items), None) = (arrays.next(), arrays.next()) {
                return one(records(file, items));
            }
            if !object.is_empty() && object.values().all(Value::is_object) {
                return one(named_records(file, object));
            }
        }
        Value::Array(items) => {
            if items.is_empty() {
                return Err(Error::malformed(
                    Place::file(file),
                    "an empty array",
                    "give at least one row",
                ));
            }
            let objects: Vec<&Map<String, Value>> = items.iter().filter_map(Value::as_object).collect();
            if objects.len() == items.len() {
                if objects
                    .iter()
                    .all(|table| table.contains_key("header") && table.contains_key("rows"))
                {
                    let title = |table: &&Map<String, Value>| {
                        table
                            .get("title")
                            .and_then(Value::as_str)
                            .unwrap_or("without a title")
                            .to_owned()
                    };
                    return helm_table(file, choose(file, &objects, options.table, title)?);
                }
                if objects
                    .iter()
                    .all(|stat| stat.get("name").is_some_and(Value::is_object))
                {
                    return one(helm_stats(file, &objects, options));
                }
                if objects
                    .iter()
                    .any(|task| task.contains_key("datasets") || task.contains_key("sota"))
                {
                    return papers_with_code(file, items, options);
                }
                return one(records(file, items));
            }
        }
        _ => {}
    }
    Err(Error::malformed(
        Place::file(file),
        "an unknown JSON format",
        "give Papers with Code tables (datasets, sota, rows), HELM tables (header, rows) or stats, lm-evaluation-harness results \
         (results, config), an array of records, or an object of records",
    ))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Null => Some(String::new()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A note about keys of values that are neither numbers nor text.
fn not_used(keys: &BTreeSet<String>) -> Option<String> {
    let names = keys.iter().map(|key| clean_name(key));
    (!keys.is_empty()).then(|| format!("neither numbers nor text, not used: {}", listed(names)))
}

/// `[{"model": "A", "CoLA": 60.5, …}, …]`; one level of nesting is unfolded.
fn records(file: &str, items: &[Value]) -> Result<RawTable> {
    let mut names: Vec<String> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut rows: Vec<HashMap<usize, String>> = Vec::new();
    let mut unused = BTreeSet::new();
    for item in items {
        let Some(object) = item.as_object() else { continue };
        let mut row = HashMap::new();
        let mut put = |name: &String, value: &Value| {
            let Some(text) = scalar(value) else {
                unused.insert(name.clone());
                return;
            };
            let column = *index.entry(name.to_owned()).or_insert_with(|| {
                names.push(name.to_owned());
                names.len() - 1
            });
            row.insert(column, text);
        };
        for (key, value) in object {
            match value {
                Value::Object(inner) => inner.iter().for_each(|(key, value)| put(key, value)),
                other => put(key, other),
            }
        }
        rows.push(row);
    }
    let mut table = RawTable::new(file, 0, names.iter().map(RawColumn::named).collect());
    table.notes.extend(not_used(&unused));
    for row in &rows {
        table.push_row(
            0,
            (0..names.len()).map(|column| row.get(&column).map_or("", String::as_str)),
        );
    }
    Ok(table)
}

/// `{"A": {"CoLA": 60.5, …}, …}`
fn named_records(file: &str, object: &Map<String, Value>) -> Result<RawTable> {
    let mut grid = Grid::default();
    let mut unused = BTreeSet::new();
    for (system, scores) in object {
        let row = grid.system(system);
        for (task, value) in scores.as_object().into_iter().flatten() {
            let Some(text) = scalar(value) else {
                unused.insert(task.clone());
                continue;
            };
            let column = grid.task(task);
            grid.cells.insert((row, column), text);
        }
    }
    grid.notes.extend(not_used(&unused));
    Ok(grid.finish(file))
}

/// The name and the rows of a dataset, if it has rows.
fn board(dataset: &Value) -> Option<(String, &Vec<Value>)> {
    let rows = dataset
        .get("sota")?
        .get("rows")?
        .as_array()
        .filter(|rows| !rows.is_empty())?;
    let name = dataset
        .get("dataset")
        .or_else(|| dataset.get("task"))
        .and_then(Value::as_str)
        .unwrap_or("dataset");
    Some((name.to_owned(), rows))
}

/// The evaluation tables of Papers with Code: tasks with datasets with state-of-the-art rows, and subtasks of the same form.
fn papers_with_code(file: &str, items: &[Value], options: &Options) -> Result<RawTable> {
    let mut boards: Vec<(String, &Vec<Value>)> = Vec::new();
    let mut stack: Vec<&Value> = items.iter().rev().collect();
    while let Some(item) = stack.pop() {
        boards.extend(board(item));
        for dataset in item.get("datasets").and_then(Value::as_array).into_iter().flatten() {
            boards.extend(board(dataset));
        }
        stack.extend(
            item.get("subtasks")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .rev(),
        );
    }
    if boards.is_empty() {
        return Err(Error::malformed(
            Place::file(file),
            "tables without rows",
            "give tables with datasets, sota and rows",
        ));
    }
    // Without a chosen table, datasets are columns side by side.
    if options.table.is_some() {
        boards = vec![choose(file, &boards, options.table, |(name, _)| name.clone())?];
    }

    let mut grid = Grid::default();
    let mut repeated = 0;
    for (dataset, rows) in &boards {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (position, entry) in rows.iter().enumerate() {
            let Some(model) = ["model_name", "methodology", "model"]
                .iter()
                .find_map(|key| entry.get(*key)?.as_str())
            else {
                return Err(Error::malformed(
                    Place::cell(file, 0, &format!("{dataset}.rows[{position}]")),
                    "a row without model_name",
                    "name the model",
                ));
            };
            let count = seen.entry(model).or_insert(0);
            *count += 1;
            let name = if *count > 1 {
                repeated += 1;
                format!("{model} #{count}")
            } else {
                model.to_owned()
            };
            let row = grid.system(&name);
            for (metric, value) in entry.get("metrics").and_then(Value::as_object).into_iter().flatten() {
                if !options.metric.is_empty() && !options.metric.iter().any(|wanted| wanted == metric) {
                    continue;
                }
                let Some(text) = scalar(value) else { continue };
                let task = if boards.len() == 1 {
                    metric.clone()
                } else {
                    format!("{dataset} {metric}")
                };
                let column = grid.task(&task);
                grid.cells.insert((row, column), text);
            }
        }
    }
    if repeated > 0 {
        grid.notes.push(format!(
            "{repeated} rows repeat a model within one dataset; they are numbered #2, #3, …"
        ));
    }
    Ok(grid.finish(file))
}

/// A table of HELM's leaderboards: `header` cells with `value` and `lower_is_better`, `rows` of cells with `value`.
fn helm_table(file: &str, table: &Map<String, Value>) -> Result<RawTable> {
    let array = |key: &str| {
        table
            .get(key)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    let text = |cell: &Value| match cell.get("value") {
        Some(value) => scalar(value).unwrap_or_default(),
        None => scalar(cell).unwrap_or_default(),
    };
    let mut columns: Vec<RawColumn> = array("header")
        .iter()
        .map(|cell| RawColumn {
            direction: match cell.get("lower_is_better") {
                Some(Value::Bool(true)) => Some(Direction::Lower),
                Some(Value::Bool(false)) => Some(Direction::Higher),
                _ => None,
            },
            ..RawColumn::named(text(cell))
        })
        .collect();
    let Some(first) = columns.first_mut() else {
        return Err(Error::malformed(
            Place::cell(file, 0, "header"),
            "an empty header",
            "give a HELM table",
        ));
    };
    first.role = Some(Role::System);
    let width = columns.len();
    let mut raw = RawTable::new(file, 0, columns);
    for (position, row) in array("rows").iter().enumerate() {
        let cells: Vec<String> = row
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .map(text)
            .collect();
        if cells.len() != width {
            return Err(Error::malformed(
                Place::cell(file, 0, &format!("rows[{position}]")),
                format!("{} where the header has {width}", counted(cells.len(), "cell")),
                "give a HELM table",
            ));
        }
        raw.push_row(0, cells.iter().map(String::as_str));
    }
    Ok(raw)
}

/// The `stats.json` of one HELM run; its folder, `scenario:…,model=…`, names the task and the system.
fn helm_stats(file: &str, stats: &[&Map<String, Value>], options: &Options) -> Result<RawTable> {
    let run = std::path::Path::new(file)
        .parent()
        .and_then(std::path::Path::file_name)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let (mut system, mut parts) = (None, Vec::new());
    for (position, part) in run.split(',').enumerate() {
        let (scenario, part) = if position == 0 {
            part.split_once(':').unwrap_or(("", part))
        } else {
            ("", part)
        };
        if !scenario.is_empty() {
            parts.push(scenario);
        }
        match part.strip_prefix("model=") {
            Some(model) => system = Some(model.to_owned()),
            None if part.starts_with("model_deployment=") || part.is_empty() => {}
            None => parts.push(part),
        }
    }
    let system = system.unwrap_or_else(|| run_name(file));
    let task = if parts.is_empty() {
        run_name(file)
    } else {
        parts.join(",")
    };

    // The unperturbed test split; validation and robustness variants are other quantities.
    let mut found: Vec<(String, String)> = Vec::new();
    for stat in stats {
        let Some(name) = stat.get("name").and_then(Value::as_object) else {
            continue;
        };
        let split = name.get("split").and_then(Value::as_str);
        if name
            .get("perturbation")
            .is_some_and(|perturbation| !perturbation.is_null())
            || split.is_some_and(|s| s != "test")
        {
            continue;
        }
        if let (Some(metric), Some(mean)) = (
            name.get("name").and_then(Value::as_str),
            stat.get("mean").and_then(scalar),
        ) {
            found.push((metric.to_owned(), mean));
        }
    }
    let chosen = prefer(&found, &options.metric).ok_or_else(|| choose_metric(file, &task, &found))?;
    let mut grid = Grid::default();
    let (row, column) = (grid.system(&system), grid.task(&task));
    grid.cells.insert((row, column), chosen.1.clone());
    grid.notes.push(format!("{task}: metric {}", chosen.0));
    Ok(grid.finish(file))
}

/// Results of lm-evaluation-harness, versions 0.3 (`acc`) and 0.4 (`acc,none`). One file is one system.
fn lm_evaluation_harness(
    file: &str,
    object: &Map<String, Value>,
    results: &Map<String, Value>,
    options: &Options,
) -> Result<RawTable> {
    let system = object
        .get("model_name")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or_else(|| {
            let arguments = object.get("config")?.get("model_args")?;
            match arguments {
                Value::String(text) => text
                    .split(',')
                    .find_map(|part| part.trim().strip_prefix("pretrained="))
                    .map(str::to_owned),
                Value::Object(map) => map.get("pretrained").and_then(Value::as_str).map(str::to_owned),
                _ => None,
            }
        })
        .unwrap_or_else(|| run_name(file));

    // A group's score is an average of its members, not a task.
    let mut group_of: HashMap<&str, &str> = HashMap::new();
    let mut groups: Vec<&str> = Vec::new();
    if let Some(Value::Object(subtasks)) = object.get("group_subtasks") {
        for (group, members) in subtasks {
            let members: Vec<&str> = members
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            if !members.is_empty() {
                groups.push(group);
                members.into_iter().for_each(|member| {
                    group_of.entry(member).or_insert(group);
                });
            }
        }
    }
    if let Some(Value::Object(named)) = object.get("groups") {
        groups.extend(
            named
                .keys()
                .map(String::as_str)
                .filter(|name| group_of.values().any(|group| group == name)),
        );
    }

    let mut grid = Grid::default();
    let row = grid.system(&system);
    let mut skipped = Vec::new();
    // Tasks that are not ranked by need not be clear.
    let is_listed = |list: &[String], task: &str| list.iter().any(|name| normalise(name) == normalise(task));
    let is_wanted =
        |task: &str| !is_listed(&options.ignore, task) && (options.tasks.is_empty() || is_listed(&options.tasks, task));
    for (task, entry) in results.iter().filter(|(task, _)| is_wanted(task)) {
        if groups.contains(&task.as_str()) {
            skipped.push(task.as_str());
            continue;
        }
        let Some(entry) = entry.as_object() else { continue };
        let split = |key: &str| match key.split_once(',') {
            Some((metric, filter)) => (metric.to_owned(), Some(filter.to_owned())),
            None => (key.to_owned(), None),
        };
        let versioned = entry.keys().any(|key| key.contains(','));
        let mut found: Vec<(String, (String, bool))> = Vec::new();
        for (key, value) in entry {
            let (metric, filter) = split(key);
            let Value::Number(number) = value else { continue };
            if metric.ends_with("_stderr") || versioned && filter.is_none() {
                continue;
            }
            let error_key = match &filter {
                Some(filter) => format!("{metric}_stderr,{filter}"),
                None => format!("{metric}_stderr"),
            };
            let lower = object
                .get("higher_is_better")
                .and_then(|map| map.get(task)?.get(&metric)?.as_bool())
                .is_some_and(|higher| !higher);
            let text = match entry.get(&error_key) {
                Some(Value::Number(error)) => format!("{number} ± {error}"),
                _ => number.to_string(),
            };
            let name = match filter.as_deref() {
                None | Some("none") => metric,
                Some(filter) => format!("{metric}@{filter}"),
            };
            found.push((name, (text, lower)));
        }
        if found.is_empty() {
            continue;
        }
        let (metric, (text, lower)) =
            prefer(&found, &options.metric).ok_or_else(|| choose_metric(file, task, &found))?;
        let column = grid.task(task);
        grid.cells.insert((row, column), text.clone());
        grid.tasks[column].group = group_of.get(task.as_str()).map(|group| (*group).to_owned());
        grid.tasks[column].direction = lower.then_some(Direction::Lower);
        if found.len() > 1 {
            grid.notes.push(format!("{task}: metric {metric}"));
        }
    }
    if !skipped.is_empty() {
        grid.notes
            .push(format!("averages of other tasks, left out: {}", skipped.join(", ")));
    }
    Ok(grid.finish(file))
}
