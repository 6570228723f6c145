//! Joins tables by system and task.

use std::collections::HashMap;

pub use crate::disagreement::Disagreement;
use crate::error::{Error, Place, Result, counted};
use crate::table::{Claim, System, Table, Task, normalise};

/// Which file to trust if two differ about a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// The file given first.
    First,
    /// The file given last.
    Last,
}

/// Joins tables: rows of the same name become one system, columns of the same name one task. Systems are also matched by team and name
/// together. A task with several metrics is matched with columns of single metrics (`MRPC` with `MRPC-a` and `MRPC-b`).
///
/// # Errors
///
/// [`Error::Disagreement`] if two tables have different scores for one cell and `prefer` is `None`.
pub fn join(tables: Vec<Table>, prefer: Option<Prefer>) -> Result<Table> {
    let mut tables = tables.into_iter();
    let Some(first) = tables.next() else {
        return Err(Error::refused("no table", "give at least one file"));
    };
    let mut joiner = Joiner {
        joined: first,
        prefer,
        origins: HashMap::new(),
        disagreements: Vec::new(),
    };
    let notes: Vec<String> = tables.map(|table| joiner.add(table)).collect();
    let Joiner {
        mut joined,
        disagreements,
        ..
    } = joiner;
    joined.notes.extend(notes);
    if disagreements.is_empty() {
        return Ok(joined);
    }
    match prefer {
        None => Err(Error::Disagreement { disagreements }),
        Some(prefer) => {
            let which = if prefer == Prefer::First { "first" } else { "last" };
            joined.notes.extend(
                disagreements
                    .iter()
                    .map(|disagreement| format!("the files disagree, the {which} one is used: {disagreement}")),
            );
            Ok(joined)
        }
    }
}

/// The target of a column of the second table in the first one: a task, or one metric of a task.
#[derive(Clone, Copy)]
enum Target {
    Whole(usize),
    Metric(usize, usize),
}

/// A file, among the sources, and a line.
type Origin = (usize, u64);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Column {
    Task(usize),
    Claim(usize),
}

/// The tables joined so far.
struct Joiner {
    joined: Table,
    prefer: Option<Prefer>,
    /// The origin of cells that are not from the first file with their row.
    origins: HashMap<(Column, usize), Origin>,
    disagreements: Vec<Disagreement>,
}

/// A row of the table that is added.
#[derive(Clone, Copy)]
struct Row {
    /// Its row in the joined table.
    target: usize,
    /// Whether an earlier table had it.
    known: bool,
    /// Its place in the new file.
    origin: Origin,
}

/// A cell in the joined table and in the new one.
struct Cell {
    column: Column,
    /// The name of the column, for messages.
    name: String,
    old: Vec<f64>,
    new: Vec<f64>,
}

impl Joiner {
    /// Adds a table, and returns a line about what was matched.
    fn add(&mut self, table: Table) -> String {
        let sources_before = self.joined.sources.len();
        let columns_before = self.joined.tasks.len();
        let systems_before = self.joined.systems.len();
        self.joined.sources.extend(table.sources.iter().cloned());
        let rows = self.add_systems(&table, sources_before);
        for (task, target) in table.tasks.iter().zip(match_tasks(&self.joined, &table)) {
            self.add_task(task, target, &rows);
        }
        for claim in &table.claims {
            self.add_claim(claim, &rows);
        }
        let joined = &mut self.joined;
        joined.headings.extend(table.headings);
        joined.notes.extend(table.notes);
        format!(
            "{}: {} matched by name, {} added, {} added",
            joined.sources[sources_before..].join(" and "),
            counted(rows.iter().filter(|row| row.known).count(), "system"),
            joined.systems.len() - systems_before,
            counted(joined.tasks.len() - columns_before, "task")
        )
    }

    /// Appends the systems that no earlier table had, and extends every column to the number of systems.
    fn add_systems(&mut self, table: &Table, sources_before: usize) -> Vec<Row> {
        let joined = &mut self.joined;
        let systems_before = joined.systems.len();
        let mut rows = Vec::with_capacity(table.systems.len());
        for (matched, system) in match_systems(joined, table).into_iter().zip(&table.systems) {
            let source = system.source + sources_before;
            rows.push(Row {
                target: matched.unwrap_or(joined.systems.len()),
                known: matched.is_some(),
                origin: (source, system.line),
            });
            if matched.is_none() {
                joined.systems.push(System {
                    source,
                    ..system.clone()
                });
            }
        }
        make_names_unique(joined, systems_before);
        let systems = joined.systems.len();
        for task in &mut joined.tasks {
            task.metrics
                .iter_mut()
                .for_each(|metric| metric.resize(systems, f64::NAN));
            if let Some(errors) = &mut task.errors {
                errors.resize(systems, f64::NAN);
            }
        }
        for claim in &mut joined.claims {
            claim.values.resize(systems, f64::NAN);
        }
        rows
    }

    /// Writes the scores of a task, or of one metric of a task, into the joined table.
    fn add_task(&mut self, task: &Task, target: Option<Target>, rows: &[Row]) {
        let target = target.unwrap_or_else(|| {
            let systems = self.joined.systems.len();
            self.joined.tasks.push(Task {
                metrics: vec![vec![f64::NAN; systems]; task.metrics.len()],
                errors: task.errors.as_ref().map(|_| vec![f64::NAN; systems]),
                ..task.clone()
            });
            Target::Whole(self.joined.tasks.len() - 1)
        });
        let (index, metrics) = match target {
            Target::Whole(index) => (index, 0..task.metrics.len()),
            Target::Metric(index, metric) => (index, metric..metric + 1),
        };
        let known = &mut self.joined.tasks[index];
        known.decimals = known.decimals.max(task.decimals);
        let name = match metrics.len() == known.metrics.len() {
            true => known.name.clone(),
            false => task.name.clone(),
        };
        for (source_row, row) in rows.iter().enumerate() {
            if task.is_missing(source_row) {
                continue;
            }
            let known = &self.joined.tasks[index];
            let cell = Cell {
                column: Column::Task(index),
                name: name.clone(),
                old: metrics
                    .clone()
                    .map(|metric| known.metrics[metric][row.target])
                    .collect(),
                new: task.metrics.iter().map(|metric| metric[source_row]).collect(),
            };
            if let Some(values) = self.settle(cell, row) {
                let known = &mut self.joined.tasks[index];
                for (metric, value) in metrics.clone().zip(values) {
                    known.metrics[metric][row.target] = value;
                }
                if let (Some(errors), Some(new)) = (&mut known.errors, &task.errors) {
                    errors[row.target] = new[source_row];
                }
            }
        }
    }

    /// Writes a column of claimed averages into the joined table.
    fn add_claim(&mut self, claim: &Claim, rows: &[Row]) {
        let claims = &mut self.joined.claims;
        let known = claims
            .iter()
            .position(|known| normalise(&known.name) == normalise(&claim.name));
        let index = known.unwrap_or_else(|| {
            claims.push(Claim {
                values: vec![f64::NAN; self.joined.systems.len()],
                ..claim.clone()
            });
            claims.len() - 1
        });
        claims[index].decimals = claims[index].decimals.max(claim.decimals);
        for (row, &new) in rows.iter().zip(&claim.values) {
            if new.is_nan() {
                continue;
            }
            let cell = Cell {
                column: Column::Claim(index),
                name: claim.name.clone(),
                old: vec![self.joined.claims[index].values[row.target]],
                new: vec![new],
            };
            if let Some(values) = self.settle(cell, row) {
                self.joined.claims[index].values[row.target] = values[0];
            }
        }
    }

    /// The values to write into a cell; `None` to keep the present ones. Records a disagreement.
    fn settle(&mut self, cell: Cell, row: &Row) -> Option<Vec<f64>> {
        let Cell { column, name, old, new } = cell;
        let system = &self.joined.systems[row.target];
        let place = (column, row.target);
        if old.iter().all(|value| !value.is_nan()) {
            let same = |(old, new): (&f64, &f64)| (old - new).abs() <= 1e-9 * old.abs().max(1.0);
            if old.iter().zip(&new).all(same) {
                return None;
            }
            let first = self.origins.get(&place).copied();
            let first = first.unwrap_or((system.source, system.line));
            let sources = &self.joined.sources;
            let origin = |(source, line): Origin| Place::line(&sources[source], line).to_string();
            self.disagreements.push(Disagreement {
                system: system.name.clone(),
                task: name,
                first: (old, origin(first)),
                second: (new.clone(), origin(row.origin)),
            });
            if self.prefer != Some(Prefer::Last) {
                return None;
            }
        }
        if row.known {
            self.origins.insert(place, row.origin);
        }
        Some(new)
    }
}

/// For every row of the second table, the row of the first one with one of its names, if the match is unique in both directions.
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
            // The longer name identifies better: team and name before the name alone.
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

/// The part of a name before a short suffix: `MRPC` of `MRPC-a` or `MRPC_1`, `MNLI` of `MNLI-mm`.
pub(crate) fn stem(name: &str) -> Option<&str> {
    let (stem, suffix) = name.trim().rsplit_once(['-', '_', '.', ' '])?;
    let short = (1..=2).contains(&suffix.chars().count()) && suffix.chars().all(char::is_alphanumeric);
    (short && !stem.is_empty()).then_some(stem)
}

/// A note about columns that look like metrics of one task, such as `CB-a` and `CB-b`, but count as separate tasks.
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
        .map(|(stem, members)| format!("{stem}={}", members.join(",")))
        .collect();
    Some(format!(
        "columns that may be metrics of one task, but count as separate tasks unless you merge them: {}",
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
