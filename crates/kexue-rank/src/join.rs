//! Joining tables of one leaderboard, or of several, by system and task.

use std::collections::HashMap;

pub use crate::disagreement::Disagreement;
use crate::error::{Error, Place, Result, counted};
use crate::table::{Claim, System, Table, Task, normalise};

/// Which file to believe where two differ about a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// The file given first.
    First,
    /// The file given last.
    Last,
}

/// Joins tables: rows of one name are one system, columns of one name one task. Systems are also matched by team and name
/// together, and a task with several metrics by the columns that hold them one by one (`MRPC` with `MRPC-a` and `MRPC-b`).
///
/// # Errors
///
/// [`Error::Disagreement`] if two tables have different scores for one cell and `prefer` is `None`.
pub fn join(tables: Vec<Table>, prefer: Option<Prefer>) -> Result<Table> {
    let mut tables = tables.into_iter();
    let Some(mut joined) = tables.next() else {
        return Err(Error::refused("no table", "give at least one file"));
    };
    let mut disagreements = Vec::new();
    let mut matched_notes = Vec::new();
    let mut origins = HashMap::new();
    for table in tables {
        let note = join_two(&mut joined, table, prefer, &mut origins, &mut disagreements);
        matched_notes.push(note);
    }
    joined.notes.extend(matched_notes);
    if disagreements.is_empty() {
        return Ok(joined);
    }
    match prefer {
        None => Err(Error::Disagreement { disagreements }),
        Some(prefer) => {
            let which = if prefer == Prefer::First { "first" } else { "last" };
            for disagreement in &disagreements {
                joined
                    .notes
                    .push(format!("the files disagree, the {which} is believed: {disagreement}"));
            }
            Ok(joined)
        }
    }
}

/// Where a column of the second table goes in the first: a task, or one metric of it.
#[derive(Clone, Copy)]
enum Target {
    Whole(usize),
    Metric(usize, usize),
}

/// A file, among the sources, and a line.
type Origin = (usize, u64);

/// Where cells are from that are not from the file that had their row first.
type Origins = HashMap<(Column, usize), Origin>;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Column {
    Task(usize),
    Claim(usize),
}

fn join_two(
    joined: &mut Table,
    table: Table,
    prefer: Option<Prefer>,
    origins: &mut Origins,
    disagreements: &mut Vec<Disagreement>,
) -> String {
    let rows_before = joined.systems.len();
    let rows = match_systems(joined, &table);
    let matched = rows.iter().flatten().count();
    let sources_before = joined.sources.len();
    joined.sources.extend(table.sources.iter().cloned());

    // New rows go to the end of every column.
    let mut next = rows_before;
    let target_rows: Vec<usize> = rows
        .iter()
        .map(|row| {
            row.unwrap_or_else(|| {
                next += 1;
                next - 1
            })
        })
        .collect();
    for (row, system) in table.systems.iter().enumerate() {
        if rows[row].is_none() {
            joined.systems.push(System {
                source: system.source + sources_before,
                ..system.clone()
            });
        }
    }
    make_names_unique(joined, rows_before);
    for task in &mut joined.tasks {
        task.metrics.iter_mut().for_each(|metric| metric.resize(next, f64::NAN));
        if let Some(errors) = &mut task.errors {
            errors.resize(next, f64::NAN);
        }
    }
    for claim in &mut joined.claims {
        claim.values.resize(next, f64::NAN);
    }

    let sources = joined.sources.clone();
    let place = |(source, line): Origin| Place::line(&sources[source], line).to_string();
    let old_rows: Vec<Origin> = joined
        .systems
        .iter()
        .map(|system| (system.source, system.line))
        .collect();
    let new_rows: Vec<Origin> = table
        .systems
        .iter()
        .map(|system| (system.source + sources_before, system.line))
        .collect();
    let targets = match_tasks(joined, &table);
    let columns_before = joined.tasks.len();
    for (task, target) in table.tasks.iter().zip(targets) {
        let target = match target {
            Some(target) => target,
            None => {
                joined.tasks.push(Task {
                    metrics: vec![vec![f64::NAN; next]; task.metrics.len()],
                    errors: task.errors.as_ref().map(|_| vec![f64::NAN; next]),
                    ..task.clone()
                });
                Target::Whole(joined.tasks.len() - 1)
            }
        };
        let (index, metrics) = match target {
            Target::Whole(index) => (index, 0..task.metrics.len()),
            Target::Metric(index, metric) => (index, metric..metric + 1),
        };
        let name = joined.tasks[index].name.clone();
        joined.tasks[index].decimals = joined.tasks[index].decimals.max(task.decimals);
        for (source_row, &row) in target_rows.iter().enumerate() {
            if task.is_missing(source_row) {
                continue;
            }
            let new: Vec<f64> = task.metrics.iter().map(|metric| metric[source_row]).collect();
            let old: Vec<f64> = metrics
                .clone()
                .map(|metric| joined.tasks[index].metrics[metric][row])
                .collect();
            let cell = (Column::Task(index), row);
            let origin = origins.get(&cell).copied().unwrap_or(old_rows[row]);
            if old.iter().all(|value| !value.is_nan()) {
                if old
                    .iter()
                    .zip(&new)
                    .all(|(old, new)| (old - new).abs() <= 1e-9 * old.abs().max(1.0))
                {
                    continue;
                }
                disagreements.push(Disagreement {
                    system: joined.systems[row].name.clone(),
                    task: if metrics.len() == joined.tasks[index].metrics.len() {
                        name.clone()
                    } else {
                        task.name.clone()
                    },
                    first: (old, place(origin)),
                    second: (new.clone(), place(new_rows[source_row])),
                });
                if prefer != Some(Prefer::Last) {
                    continue;
                }
            }
            if rows[source_row].is_some() {
                origins.insert(cell, new_rows[source_row]);
            }
            for (metric, value) in metrics.clone().zip(new) {
                joined.tasks[index].metrics[metric][row] = value;
            }
            if let (Some(errors), Some(new)) = (&mut joined.tasks[index].errors, &task.errors) {
                errors[row] = new[source_row];
            }
        }
    }
    for claim in &table.claims {
        let index = match joined
            .claims
            .iter()
            .position(|known| normalise(&known.name) == normalise(&claim.name))
        {
            Some(index) => index,
            None => {
                joined.claims.push(Claim {
                    values: vec![f64::NAN; next],
                    ..claim.clone()
                });
                joined.claims.len() - 1
            }
        };
        joined.claims[index].decimals = joined.claims[index].decimals.max(claim.decimals);
        for (source_row, &row) in target_rows.iter().enumerate() {
            let new = claim.values[source_row];
            let old = joined.claims[index].values[row];
            if new.is_nan() {
                continue;
            }
            let cell = (Column::Claim(index), row);
            let origin = origins.get(&cell).copied().unwrap_or(old_rows[row]);
            if !old.is_nan() && (old - new).abs() > 1e-9 {
                disagreements.push(Disagreement {
                    system: joined.systems[row].name.clone(),
                    task: claim.name.clone(),
                    first: (vec![old], place(origin)),
                    second: (vec![new], place(new_rows[source_row])),
                });
                if prefer != Some(Prefer::Last) {
                    continue;
                }
            }
            if rows[source_row].is_some() {
                origins.insert(cell, new_rows[source_row]);
            }
            joined.claims[index].values[row] = new;
        }
    }
    let new_columns = joined.tasks.len() - columns_before;
    joined.headings.extend(table.headings);
    joined.notes.extend(table.notes);
    format!(
        "{}: {} matched by name, {} added, {} added",
        sources[sources_before..].join(" and "),
        counted(matched, "system"),
        next - rows_before,
        counted(new_columns, "task")
    )
}

/// For every row of the second table the row of the first with one of its names, if exactly one has it and only it.
fn match_systems(first: &Table, second: &Table) -> Vec<Option<usize>> {
    fn index(table: &Table) -> HashMap<String, Option<usize>> {
        let mut names: HashMap<String, Option<usize>> = HashMap::new();
        for (row, system) in table.systems.iter().enumerate() {
            for name in std::iter::once(&system.name).chain(&system.aliases) {
                names
                    .entry(normalise(name))
                    .and_modify(|known| {
                        if *known != Some(row) {
                            *known = None;
                        }
                    })
                    .or_insert(Some(row));
            }
        }
        names
    }
    let firsts = index(first);
    let seconds = index(second);
    let mut taken = vec![false; first.systems.len()];
    second
        .systems
        .iter()
        .enumerate()
        .map(|(row, system)| {
            // The longer name says more: team and name before the name alone.
            let mut names: Vec<String> = system.aliases.iter().map(|name| normalise(name)).collect();
            names.push(normalise(&system.name));
            let found = names
                .iter()
                .filter(|name| !name.is_empty() && seconds.get(*name) == Some(&Some(row)))
                .find_map(|name| firsts.get(name).copied().flatten())
                .filter(|&found| !taken[found])?;
            taken[found] = true;
            Some(found)
        })
        .collect()
}

fn match_tasks(first: &Table, second: &Table) -> Vec<Option<Target>> {
    let mut targets: Vec<Option<Target>> = second
        .tasks
        .iter()
        .map(|task| {
            first
                .tasks
                .iter()
                .position(|known| {
                    normalise(&known.name) == normalise(&task.name) && known.metrics.len() == task.metrics.len()
                })
                .map(Target::Whole)
        })
        .collect();
    // `MRPC` of two metrics here, `MRPC-a` and `MRPC-b` there: the order of the columns is the order of the metrics.
    for (index, known) in first
        .tasks
        .iter()
        .enumerate()
        .filter(|(_, known)| known.metrics.len() > 1)
    {
        let parts: Vec<usize> = (0..second.tasks.len())
            .filter(|&column| {
                targets[column].is_none()
                    && second.tasks[column].metrics.len() == 1
                    && stem(&second.tasks[column].name).is_some_and(|stem| normalise(stem) == normalise(&known.name))
            })
            .collect();
        if parts.len() == known.metrics.len() {
            for (metric, column) in parts.into_iter().enumerate() {
                targets[column] = Some(Target::Metric(index, metric));
            }
        }
    }
    targets
}

/// `MRPC` of `MRPC-a`, `MRPC_1`, `MNLI-mm`: what stands before a short suffix.
pub(crate) fn stem(name: &str) -> Option<&str> {
    let (stem, suffix) = name.trim().rsplit_once(['-', '_', '.', ' '])?;
    let short = (1..=2).contains(&suffix.chars().count()) && suffix.chars().all(char::is_alphanumeric);
    (short && !stem.is_empty()).then_some(stem)
}

/// Says which columns look like the metrics of one task, such as `CB-a` and `CB-b`, each of which counts as a task.
pub(crate) fn metrics_apart(tasks: &[Task]) -> Option<String> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in tasks.iter().map(|task| task.name.as_str()) {
        let Some(stem) = stem(name).filter(|stem| {
            let suffix = name.trim_start()[stem.len()..].trim_start_matches(['-', '_', '.', ' ']);
            matches!(suffix, "a" | "b" | "c" | "1" | "2" | "3")
        }) else {
            continue;
        };
        match groups.iter_mut().find(|(known, _)| *known == stem) {
            Some((_, members)) => members.push(name),
            None => groups.push((stem, vec![name])),
        }
    }
    groups.retain(|(_, members)| members.len() > 1);
    if groups.is_empty() {
        return None;
    }
    let merges: Vec<String> = groups
        .iter()
        .map(|(stem, members)| format!("--merge '{stem}={}'", members.join(",")))
        .collect();
    Some(format!(
        "columns that may be metrics of one task, each counted as a task unless they are averaged first: {}",
        merges.join(" ")
    ))
}

fn make_names_unique(table: &mut Table, from: usize) {
    let mut names: HashMap<String, usize> = HashMap::new();
    for (row, system) in table.systems.iter_mut().enumerate() {
        let count = names.entry(system.name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 && row >= from {
            system.name = format!("{} ({count})", system.name);
        }
    }
}
