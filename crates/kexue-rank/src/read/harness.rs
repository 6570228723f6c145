//! The printed table of lm-evaluation-harness: a row for every metric of every task, for one system.

use super::grid::{Grid, choose_metric, prefer};
use super::names::run_name;
use super::options::Options;
use super::raw::RawTable;
use crate::error::Result;
use crate::table::{Direction, normalise};

/// The columns of such a table.
struct Columns {
    task: usize,
    metric: usize,
    value: usize,
    filter: Option<usize>,
    shots: Option<usize>,
    error: Option<usize>,
}

impl Columns {
    /// Finds them by their headings; `None` if it is another table.
    fn find(raw: &RawTable) -> Option<Self> {
        let column = |names: &[&str]| {
            let is_named = |name: &str| names.contains(&name.trim().to_lowercase().as_str());
            raw.columns.iter().position(|column| is_named(&column.name))
        };
        column(&["version"])?;
        Some(Self {
            task: column(&["tasks", "task", "groups"])?,
            metric: column(&["metric"])?,
            value: column(&["value"])?,
            filter: column(&["filter"]),
            shots: column(&["n-shot"]),
            error: column(&["stderr"]),
        })
    }
}

/// One metric of a task.
type Found = (String, (String, bool));

/// The row of one system, if this is the printed table of lm-evaluation-harness.
pub(super) fn one_system(raw: &RawTable, options: &Options) -> Result<Option<RawTable>> {
    let Some(columns) = Columns::find(raw) else {
        return Ok(None);
    };
    let mut grid = Grid::default();
    let mut averages = Vec::new();
    for (task, rows) in tasks(raw, &columns) {
        let is_listed = |list: &[String]| list.iter().any(|name| normalise(name) == normalise(&task));
        if is_listed(&options.ignore) || !options.tasks.is_empty() && !is_listed(&options.tasks) {
            continue;
        }
        // An average of other tasks has no number of examples.
        if columns
            .shots
            .is_some_and(|shots| raw.cell(rows[0], shots).trim().is_empty())
        {
            averages.push(task);
            continue;
        }
        let found: Vec<Found> = rows.iter().filter_map(|&row| metric(raw, &columns, row)).collect();
        if found.is_empty() {
            continue;
        }
        let (name, (text, lower)) =
            prefer(&found, &options.metric).ok_or_else(|| choose_metric(&raw.file, &task, &found))?;
        let (system, column) = (grid.system(&run_name(&raw.file)), grid.task(&task));
        grid.cells.insert((system, column), text.clone());
        grid.tasks[column].direction = lower.then_some(Direction::Lower);
        if found.len() > 1 {
            grid.notes.push(format!("{task}: metric {name}"));
        }
    }
    if !averages.is_empty() {
        let names = averages.join(", ");
        grid.notes.push(format!("averages of other tasks, left out: {names}"));
    }
    Ok(Some(grid.finish(&raw.file)))
}

/// The tasks, each with its rows. A row without a name is another metric of the task above it.
fn tasks(raw: &RawTable, columns: &Columns) -> Vec<(String, Vec<usize>)> {
    let mut tasks: Vec<(String, Vec<usize>)> = Vec::new();
    for row in 0..raw.rows() {
        let name = raw.cell(row, columns.task);
        // Members of a group are indented by ` - `.
        let name = name.trim().trim_start_matches("- ").trim();
        match tasks.last_mut() {
            Some((_, rows)) if name.is_empty() => rows.push(row),
            _ => tasks.push((name.to_owned(), vec![row])),
        }
    }
    tasks
}

/// The metric in a row: its name, its score with its error, and whether lower is better.
fn metric(raw: &RawTable, columns: &Columns, row: usize) -> Option<Found> {
    let name = raw.cell(row, columns.metric).trim().to_owned();
    let value = raw.cell(row, columns.value).trim().to_owned();
    if name.is_empty() || value.is_empty() {
        return None;
    }
    let name = match columns.filter.map(|filter| raw.cell(row, filter).trim().to_owned()) {
        Some(filter) if !filter.is_empty() && filter != "none" => format!("{name}@{filter}"),
        _ => name,
    };
    let lower = (0..raw.columns.len()).any(|column| raw.cell(row, column).trim() == "↓");
    let error = columns.error.map(|error| raw.cell(row, error).trim().to_owned());
    let text = match error {
        Some(error) if error.parse::<f64>().is_ok() => format!("{value} ± {error}"),
        _ => value,
    };
    Some((name, (text, lower)))
}
