//! Complete scores: a table after missing cells are resolved and columns and weights are chosen. Everything that ranks takes [`Scores`], so
//! unequal columns are never ranked.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::advice::Advice;
use crate::error::{CellName, Error, Place, Result, counted};
use crate::mean::Mean;
use crate::table::{Claim, Direction, Table, Task};

/// Which columns are averaged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    /// All tasks.
    #[default]
    All,
    /// The tasks for which every chosen system has a score.
    Common,
    /// The named tasks.
    Named(Vec<String>),
}

/// How to use cells with several metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metrics {
    /// Their arithmetic mean is the score of the task.
    #[default]
    Average,
    /// Each metric is a task; together they have the weight of one task.
    Split,
    /// The first metric is the score.
    First,
    /// The last metric is the score.
    Last,
}

/// How to convert scores for which lower is better into scores for which higher is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flip {
    /// `total − score`: an error rate of 7 in 100 is an accuracy of 93.
    Complement(f64),
    /// `1 / score`.
    Reciprocal,
}

/// How groups of tasks count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Averaging {
    /// Every task has the same weight.
    #[default]
    Micro,
    /// Every group has the same weight, which its tasks share by their own weights. A task without a group counts as a group.
    Macro,
}

/// How to treat a row without a rank in a table with ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unranked {
    /// Treat it like the others.
    #[default]
    Keep,
    /// Leave it out.
    Drop,
}

/// The rows and columns of a table to rank by, and their weights.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The columns.
    pub columns: Columns,
    /// Columns to leave out.
    pub without: Vec<String>,
    /// The systems; all if empty.
    pub systems: Vec<String>,
    /// Keep only this many rows, the first ones.
    pub head: Option<usize>,
    /// Rows without a rank.
    pub unranked: Unranked,
    /// Leave out the systems that lack a score.
    pub drop_rows: bool,
    /// Cells with several metrics.
    pub metrics: Metrics,
    /// Columns to average into one task before anything else: `("MNLI", ["MNLI-m", "MNLI-mm"])`.
    pub merge: Vec<(String, Vec<String>)>,
    /// Groups of tasks, in addition to those of the table's headings.
    pub groups: Vec<(String, Vec<String>)>,
    /// Weights of tasks or groups; 1 if none is given.
    pub weights: Vec<(String, f64)>,
    /// How groups count.
    pub averaging: Averaging,
    /// How to convert scores for which lower is better. Required if a table has both kinds.
    pub flip: Option<Flip>,
}

/// Scores without a missing cell, and weights that sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The rows.
    pub systems: Vec<String>,
    /// The columns.
    pub tasks: Vec<String>,
    /// `weights[task]`, positive, summing to 1.
    pub weights: Vec<f64>,
    /// Whether higher or lower scores are better, in all columns.
    pub direction: Direction,
    /// Number of decimals of the printed scores: the maximum over the columns.
    pub decimals: u8,
    /// `errors[system · tasks + task]`: the `± error` of the cells; NaN if there is none.
    pub errors: Option<Vec<f64>>,
    /// Notes for the user: what was left out or converted.
    pub notes: Vec<String>,
    /// `values[system · tasks + task]`
    values: Vec<f64>,
    /// The tasks whose scores are computed from printed numbers, and therefore rounded.
    computed: Vec<bool>,
    /// The files, and for each system its file and line; empty if the scores are not from a file.
    sources: Vec<String>,
    origins: Vec<(usize, u64)>,
}

/// Scores that may have missing cells, for methods that compare pairs of systems.
#[derive(Clone, Debug, PartialEq)]
pub struct PartialScores {
    /// The rows and columns; the values of missing cells are NaN.
    pub scores: Scores,
    /// The missing cells.
    pub missing: Vec<CellName>,
}

/// A column after merging, before weighing.
struct Column<'a> {
    name: String,
    /// The task that it is a metric of, or its own name.
    task: String,
    /// The heading above it.
    group: Option<&'a str>,
    direction: Direction,
    values: Cow<'a, [f64]>,
    errors: Option<&'a [f64]>,
    /// Its weight among its task's metrics.
    share: f64,
}

impl Table {
    /// Selects the scores to rank by.
    ///
    /// # Errors
    ///
    /// [`Error::UnequalColumns`] if a cell is missing, [`Error::Unknown`] for names that are not in the table, and
    /// [`Error::Refused`] if nothing is left or columns of both directions are mixed.
    pub fn select(&self, selection: &Selection) -> Result<Scores> {
        let partial = self.select_partial(selection)?;
        if partial.missing.is_empty() {
            return Ok(partial.scores);
        }
        Err(Error::UnequalColumns { cells: partial.missing })
    }

    /// As [`Table::select`], but cells may be missing.
    ///
    /// # Errors
    ///
    /// As [`Table::select`], except [`Error::UnequalColumns`].
    pub fn select_partial(&self, selection: &Selection) -> Result<PartialScores> {
        self.complete(selection).map_err(|error| error.in_files(&self.sources))
    }

    fn complete(&self, selection: &Selection) -> Result<PartialScores> {
        let mut notes = Vec::new();
        let mut rows = self.rows(selection)?;
        let mut columns = self.columns(selection)?;

        if selection.columns == Columns::Common {
            let before = columns.len();
            let mut left_out = Vec::new();
            columns.retain(|column| {
                let complete = rows.iter().all(|&row| !column.values[row].is_nan());
                if !complete {
                    left_out.push(column.name.clone());
                }
                complete
            });
            if columns.is_empty() {
                return Err(Error::refused(
                    format!("none of {before} tasks has a score of every system"),
                    "name columns with <columns>, or leave systems out with <drop_rows> or <systems>",
                ));
            }
            if !left_out.is_empty() {
                notes.push(format!(
                    "columns without a score of every system, left out: {}",
                    left_out.join(", ")
                ));
            }
        }
        if columns.is_empty() {
            return Err(Error::refused("no task is left", "name columns that contain scores"));
        }
        if selection.drop_rows {
            let mut left_out = Vec::new();
            rows.retain(|&row| {
                let complete = columns.iter().all(|column| !column.values[row].is_nan());
                if !complete {
                    left_out.push(self.systems[row].name.as_str());
                }
                complete
            });
            if !left_out.is_empty() {
                let more = left_out.len().saturating_sub(20);
                let shown = left_out[..left_out.len() - more].join(", ");
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                notes.push(format!(
                    "{} without a score, left out: {shown}{more}",
                    counted(left_out.len(), "system")
                ));
            }
        }
        if rows.is_empty() {
            return Err(Error::refused("no system is left", "choose other rows or columns"));
        }
        let direction = align(&mut columns, selection.flip, &mut notes)?;
        let weights = weights(&columns, selection)?;

        // A weight of 0 leaves the column out.
        let kept: Vec<usize> = (0..columns.len()).filter(|&column| weights[column] > 0.0).collect();
        let total: f64 = kept.iter().map(|&column| weights[column]).sum();
        let width = kept.len();
        let mut values = vec![0.0; rows.len() * width];
        values
            .par_chunks_mut(width.max(1))
            .zip(&rows)
            .for_each(|(row_values, &row)| {
                for (value, &column) in row_values.iter_mut().zip(&kept) {
                    *value = columns[column].values[row];
                }
            });
        let errors = kept.iter().any(|&column| columns[column].errors.is_some()).then(|| {
            rows.iter()
                .flat_map(|&row| kept.iter().map(move |&column| (row, column)))
                .map(|(row, column)| columns[column].errors.map_or(f64::NAN, |errors| errors[row]))
                .collect()
        });
        let scores = Scores {
            systems: rows.iter().map(|&row| self.systems[row].name.clone()).collect(),
            tasks: kept.iter().map(|&column| columns[column].name.clone()).collect(),
            weights: kept.iter().map(|&column| weights[column] / total).collect(),
            direction,
            decimals: self.tasks.iter().map(|task| task.decimals).max().unwrap_or(0),
            errors,
            notes,
            values,
            computed: kept
                .iter()
                .map(|&column| matches!(columns[column].values, Cow::Owned(_)))
                .collect(),
            sources: self.sources.clone(),
            origins: rows
                .iter()
                .map(|&row| (self.systems[row].source, self.systems[row].line))
                .collect(),
        };
        let missing = scores.cells_where(f64::is_nan);
        Ok(PartialScores { scores, missing })
    }

    /// The table with the rows of a selection only; columns stay.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] for a system that is not in the table, [`Error::Refused`] if none is left.
    pub fn with_rows(&self, selection: &Selection) -> Result<Self> {
        let rows = self
            .rows(selection)
            .and_then(|rows| match rows.is_empty() {
                true => Err(Error::refused("no system is left", "choose other rows")),
                false => Ok(rows),
            })
            .map_err(|error| error.in_files(&self.sources))?;
        let pick = |values: &Vec<f64>| rows.iter().map(|&row| values[row]).collect::<Vec<f64>>();
        Ok(Self {
            systems: rows.iter().map(|&row| self.systems[row].clone()).collect(),
            tasks: self
                .tasks
                .iter()
                .map(|task| Task {
                    metrics: task.metrics.iter().map(pick).collect(),
                    errors: task.errors.as_ref().map(pick),
                    ..task.clone()
                })
                .collect(),
            claims: self
                .claims
                .iter()
                .map(|claim| Claim {
                    values: pick(&claim.values),
                    ..claim.clone()
                })
                .collect(),
            ..self.clone()
        })
    }

    fn rows(&self, selection: &Selection) -> Result<Vec<usize>> {
        let mut rows: Vec<usize> = if selection.systems.is_empty() {
            (0..self.systems.len()).collect()
        } else {
            let mut rows = Vec::new();
            for name in &selection.systems {
                let row = self.system(name).ok_or_else(|| {
                    Error::unknown("system", name, self.systems.iter().map(|system| system.name.clone()))
                })?;
                if !rows.contains(&row) {
                    rows.push(row);
                }
            }
            rows
        };
        if selection.unranked == Unranked::Drop {
            rows.retain(|&row| self.systems[row].ranked);
        }
        rows.truncate(selection.head.unwrap_or(usize::MAX));
        Ok(rows)
    }

    /// The chosen columns, after merging and choosing metrics.
    fn columns<'a>(&'a self, selection: &Selection) -> Result<Vec<Column<'a>>> {
        let unknown = |name: &str| Error::unknown("column", name, self.tasks.iter().map(|task| task.name.clone()));
        let task = |name: &str| self.task(name).ok_or_else(|| unknown(name));

        let mut merged_into: Vec<Option<usize>> = vec![None; self.tasks.len()];
        let mut merges: Vec<(String, Vec<usize>)> = Vec::new();
        for (name, members) in &selection.merge {
            let members = members
                .iter()
                .map(|member| task(member))
                .collect::<Result<Vec<usize>>>()?;
            for &member in &members {
                if merged_into[member].replace(merges.len()).is_some() {
                    return Err(Error::refused(
                        format!("column `{}` is merged twice", self.tasks[member].name),
                        "put it in one <merge> only",
                    ));
                }
                if self.tasks[member].direction != self.tasks[members[0]].direction {
                    return Err(Error::refused(
                        format!("`{name}` would merge columns of which higher and of which lower is better"),
                        "merge columns of one direction",
                    ));
                }
            }
            if members.is_empty() {
                return Err(Error::refused(
                    format!("`{name}` merges no column"),
                    "give <merge NAME=COLUMN,COLUMN>",
                ));
            }
            merges.push((name.clone(), members));
        }
        let mut columns: Vec<Column<'_>> = Vec::new();
        let mut done = vec![false; merges.len()];
        for (index, task) in self.tasks.iter().enumerate() {
            if let Some(merge) = merged_into[index] {
                if std::mem::replace(&mut done[merge], true) {
                    continue;
                }
                let (name, members) = &merges[merge];
                let parts: Vec<_> = members.iter().map(|&member| self.tasks[member].scores()).collect();
                let count = parts.len() as f64;
                columns.push(Column {
                    name: name.clone(),
                    task: name.clone(),
                    group: task.group.as_deref(),
                    direction: task.direction,
                    values: (0..self.systems.len())
                        .map(|row| parts.iter().map(|part| part[row]).sum::<f64>() / count)
                        .collect(),
                    errors: None,
                    share: 1.0,
                });
                continue;
            }
            let column = |name: String, values: Cow<'a, [f64]>, share: f64| Column {
                group: task.group.as_deref(),
                task: task.name.clone(),
                name,
                direction: task.direction,
                values,
                errors: task.errors.as_deref().filter(|_| task.metrics.len() == 1),
                share,
            };
            match (selection.metrics, task.metrics.as_slice()) {
                (Metrics::Split, metrics) if metrics.len() > 1 => {
                    for (number, metric) in metrics.iter().enumerate() {
                        let name = format!("{} ({})", task.name, number + 1);
                        columns.push(column(name, Cow::Borrowed(metric), 1.0 / metrics.len() as f64));
                    }
                }
                (Metrics::First, [first, ..]) => columns.push(column(task.name.clone(), Cow::Borrowed(first), 1.0)),
                (Metrics::Last, [.., last]) => columns.push(column(task.name.clone(), Cow::Borrowed(last), 1.0)),
                _ => columns.push(column(task.name.clone(), task.scores(), 1.0)),
            }
        }

        let known = |columns: &[Column<'_>]| columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let select = |columns: &[Column<'_>], names: &[String]| -> Result<Vec<usize>> {
            let mut found = Vec::new();
            for name in names {
                let hits = columns_named(columns, name);
                if hits.is_empty() {
                    return Err(Error::unknown("column", name, known(columns)));
                }
                for hit in hits {
                    if !found.contains(&hit) {
                        found.push(hit);
                    }
                }
            }
            Ok(found)
        };
        if let Columns::Named(names) = &selection.columns {
            let kept = select(&columns, names)?;
            let mut slots: Vec<Option<Column<'_>>> = columns.into_iter().map(Some).collect();
            columns = kept.into_iter().filter_map(|index| slots[index].take()).collect();
        }
        if !selection.without.is_empty() {
            let left_out = select(&columns, &selection.without)?;
            let mut index = 0;
            columns.retain(|_| {
                index += 1;
                !left_out.contains(&(index - 1))
            });
        }
        Ok(columns)
    }
}

/// The columns that a name refers to: one, or all metrics of a task.
fn columns_named(columns: &[Column<'_>], name: &str) -> Vec<usize> {
    let by = |key: &dyn Fn(&Column<'_>) -> bool| {
        (0..columns.len())
            .filter(|&index| key(&columns[index]))
            .collect::<Vec<_>>()
    };
    let alike = crate::table::normalise(name);
    [
        by(&|column| column.name == name),
        by(&|column| column.task == name),
        by(&|column| crate::table::normalise(&column.name) == alike),
        by(&|column| crate::table::normalise(&column.task) == alike),
    ]
    .into_iter()
    .find(|hits| !hits.is_empty())
    .unwrap_or_default()
}

/// Converts columns so that all agree on which scores are better.
fn align(columns: &mut [Column<'_>], flip: Option<Flip>, notes: &mut Vec<String>) -> Result<Direction> {
    let lower: Vec<usize> = (0..columns.len())
        .filter(|&index| columns[index].direction == Direction::Lower)
        .collect();
    if lower.is_empty() {
        return Ok(Direction::Higher);
    }
    let Some(flip) = flip else {
        if lower.len() == columns.len() {
            return Ok(Direction::Lower);
        }
        let names: Vec<&str> = lower.iter().map(|&index| columns[index].name.as_str()).collect();
        return Err(Error::refused(
            format!(
                "lower is better for {} and higher for the others, so their mean is meaningless",
                names.join(", ")
            ),
            "convert them with <flip complement> (100 − x) or <flip reciprocal>, or leave them out with <without>",
        ));
    };
    for &index in &lower {
        let column = &mut columns[index];
        match flip {
            Flip::Complement(total) => column
                .values
                .to_mut()
                .iter_mut()
                .for_each(|value| *value = total - *value),
            Flip::Reciprocal => {
                if column.values.contains(&0.0) {
                    return Err(Error::refused(
                        format!("column `{}` has a score of 0, which has no reciprocal", column.name),
                        "convert it with <flip complement>",
                    ));
                }
                column
                    .values
                    .to_mut()
                    .iter_mut()
                    .for_each(|value| *value = 1.0 / *value);
                column.errors = None;
            }
        }
        column.direction = Direction::Higher;
        let how = match flip {
            Flip::Complement(total) => format!("{total} − score"),
            Flip::Reciprocal => "1 / score".to_owned(),
        };
        notes.push(format!("{}: lower is better, ranked by {how}", column.name));
    }
    Ok(Direction::Higher)
}

/// The weight of every column, not yet normalised.
fn weights(columns: &[Column<'_>], selection: &Selection) -> Result<Vec<f64>> {
    let mut groups: Vec<Option<&str>> = vec![None; columns.len()];
    for (group, members) in &selection.groups {
        let hits: Vec<usize> = members.iter().flat_map(|name| columns_named(columns, name)).collect();
        if hits.is_empty() {
            return Err(Error::refused(
                format!("group `{group}` has none of the columns ({})", members.join(", ")),
                "give <groups NAME=COLUMN,COLUMN> with columns that are ranked by",
            ));
        }
        for hit in hits {
            put_in_group(&mut groups[hit], group, &columns[hit].name)?;
        }
    }
    for (group, column) in groups.iter_mut().zip(columns) {
        *group = group.or(column.group);
    }
    let mut weights: Vec<f64> = columns.iter().map(|column| column.share).collect();
    let mut of_groups = vec![1.0; columns.len()];
    for (name, factor) in &selection.weights {
        if !(factor.is_finite() && *factor >= 0.0) {
            return Err(Error::refused(
                format!("the weight {factor} of `{name}`"),
                "give a number that is not negative",
            ));
        }
        let (mut hits, mut factors) = (columns_named(columns, name), &mut weights);
        if hits.is_empty() {
            let in_group = (0..columns.len()).filter(|&index| groups[index] == Some(name));
            (hits, factors) = (in_group.collect(), &mut of_groups);
        }
        if hits.is_empty() {
            let known = columns
                .iter()
                .map(|column| column.name.clone())
                .chain(groups.iter().flatten().map(|group| (*group).to_owned()));
            return Err(Error::unknown("column", name, known));
        }
        for hit in hits {
            factors[hit] *= factor;
        }
    }
    if selection.averaging == Averaging::Macro {
        weights = shares_of_groups(&weights, &groups);
    }
    weights
        .iter_mut()
        .zip(of_groups)
        .for_each(|(weight, factor)| *weight *= factor);
    if weights.iter().sum::<f64>() <= 0.0 {
        return Err(Error::refused(
            "all weights are zero",
            "give one task a positive weight",
        ));
    }
    Ok(weights)
}

/// Puts a column into a group, unless it is in another one.
pub(crate) fn put_in_group<'a>(slot: &mut Option<&'a str>, group: &'a str, column: &str) -> Result<()> {
    match slot.replace(group) {
        Some(first) if first != group => Err(Error::refused(
            format!("column `{column}` is in group `{first}` already, and cannot be in `{group}` too"),
            "put it in one <groups> only",
        )),
        _ => Ok(()),
    }
}

/// Weights scaled so that those of every group sum to 1; those of columns without a group stay.
pub(crate) fn shares_of_groups(weights: &[f64], groups: &[Option<&str>]) -> Vec<f64> {
    let share = |(weight, group): (&f64, &Option<&str>)| {
        if group.is_none() {
            return *weight;
        }
        let members = weights.iter().zip(groups).filter(|(_, other)| *other == group);
        let total: f64 = members.map(|(weight, _)| weight).sum();
        // The members may all have weight 0.
        weight / total.max(f64::MIN_POSITIVE)
    };
    weights.iter().zip(groups).map(share).collect()
}

impl Scores {
    /// Complete scores of equal weight from plain numbers, row after row; higher is better.
    ///
    /// # Errors
    ///
    /// [`Error::UnequalColumns`] if a score is NaN, [`Error::Refused`] if the lengths do not fit.
    pub fn new(systems: Vec<String>, tasks: Vec<String>, values: Vec<f64>) -> Result<Self> {
        if systems.is_empty() || tasks.is_empty() || values.len() != systems.len() * tasks.len() {
            return Err(Error::refused(
                format!(
                    "{} scores of {} systems on {} tasks",
                    values.len(),
                    systems.len(),
                    tasks.len()
                ),
                "give systems × tasks scores, and at least one",
            ));
        }
        let weights = vec![1.0 / tasks.len() as f64; tasks.len()];
        let computed = vec![false; tasks.len()];
        let scores = Self {
            systems,
            tasks,
            weights,
            direction: Direction::Higher,
            decimals: 2,
            errors: None,
            notes: Vec::new(),
            values,
            computed,
            sources: Vec::new(),
            origins: Vec::new(),
        };
        let missing = scores.cells_where(f64::is_nan);
        if missing.is_empty() {
            Ok(scores)
        } else {
            Err(Error::UnequalColumns { cells: missing })
        }
    }

    /// The scores of a system, in the order of the tasks.
    pub fn row(&self, system: usize) -> &[f64] {
        &self.values[system * self.tasks.len()..(system + 1) * self.tasks.len()]
    }

    /// One score.
    pub fn value(&self, system: usize, task: usize) -> f64 {
        self.values[system * self.tasks.len() + task]
    }

    /// Whether the scores of a task are computed from printed numbers, such as a mean of metrics, and therefore rounded.
    pub(crate) fn is_computed(&self, task: usize) -> bool {
        self.computed[task]
    }

    /// The average of every system.
    ///
    /// # Errors
    ///
    /// [`Error::NotPositive`] with the cells for which the mean is not defined.
    pub fn means(&self, mean: Mean) -> Result<Vec<f64>> {
        self.check_defined(mean)?;
        let width = self.tasks.len();
        Ok(self
            .values
            .par_chunks(width)
            .with_min_len(256)
            .map(|row| mean.of(row, &self.weights))
            .collect())
    }

    /// Whether a mean is defined for every system.
    ///
    /// # Errors
    ///
    /// [`Error::NotPositive`] with the cells for which it is not.
    pub fn check_defined(&self, mean: Mean) -> Result<()> {
        // A mean that is not defined for a score is not defined for lower ones either.
        let smallest = self
            .values
            .par_chunks(1 << 16)
            .map(|part| part.iter().copied().fold(f64::INFINITY, f64::min));
        if mean.undefined(smallest.reduce(|| f64::INFINITY, f64::min)).is_none() {
            return Ok(());
        }
        let reason = self
            .values
            .iter()
            .find_map(|&value| mean.undefined(value))
            .unwrap_or_default();
        Err(Error::NotPositive {
            mean: mean.to_string(),
            reason: reason.to_owned(),
            cells: self.cells_where(|value| mean.undefined(value).is_some()),
            advice: Advice::from("use the arithmetic mean, the median or the minimum (<means am>)"),
        })
    }

    /// The ranks of averages, one for each system, in the direction of these scores. Rank 1 is the best; equal averages share a rank.
    pub fn ranks(&self, averages: &[f64]) -> Vec<usize> {
        ranks(averages, self.direction)
    }

    /// The scores without one task.
    pub(crate) fn without_task(&self, task: usize) -> Self {
        let width = self.tasks.len();
        let keep = |index: &usize| index % width != task;
        let filter =
            |values: &[f64]| -> Vec<f64> { (0..values.len()).filter(keep).map(|index| values[index]).collect() };
        let mut weights = self.weights.clone();
        weights.remove(task);
        let total: f64 = weights.iter().sum();
        let mut tasks = self.tasks.clone();
        tasks.remove(task);
        let mut computed = self.computed.clone();
        computed.remove(task);
        Self {
            systems: self.systems.clone(),
            tasks,
            weights: weights.iter().map(|weight| weight / total).collect(),
            direction: self.direction,
            decimals: self.decimals,
            errors: self.errors.as_deref().map(filter),
            notes: Vec::new(),
            values: filter(&self.values),
            computed,
            sources: self.sources.clone(),
            origins: self.origins.clone(),
        }
    }

    /// The scores of some systems.
    pub fn of_systems(&self, systems: &[usize]) -> Self {
        let width = self.tasks.len();
        let filter = |values: &[f64]| -> Vec<f64> {
            systems
                .iter()
                .flat_map(|&system| values[system * width..(system + 1) * width].iter().copied())
                .collect()
        };
        Self {
            systems: systems.iter().map(|&system| self.systems[system].clone()).collect(),
            tasks: self.tasks.clone(),
            weights: self.weights.clone(),
            direction: self.direction,
            decimals: self.decimals,
            errors: self.errors.as_deref().map(filter),
            notes: self.notes.clone(),
            values: filter(&self.values),
            computed: self.computed.clone(),
            sources: self.sources.clone(),
            origins: systems
                .iter()
                .filter_map(|&system| self.origins.get(system).copied())
                .collect(),
        }
    }

    fn cells_where(&self, condition: impl Fn(f64) -> bool) -> Vec<CellName> {
        let width = self.tasks.len();
        self.values
            .iter()
            .enumerate()
            .filter(|(_, value)| condition(**value))
            .map(|(index, _)| CellName {
                place: self
                    .origins
                    .get(index / width)
                    .map_or_else(Place::default, |&(source, line)| {
                        Place::line(self.sources.get(source).map_or("", String::as_str), line)
                    }),
                system: self.systems[index / width].clone(),
                task: self.tasks[index % width].clone(),
            })
            .collect()
    }
}

/// Scores of systems `S0`, `S1`, … on tasks `T0`, `T1`, …
#[cfg(test)]
pub(crate) fn from_rows(rows: &[Vec<f64>]) -> Scores {
    let systems = (0..rows.len()).map(|i| format!("S{i}")).collect();
    let tasks = (0..rows[0].len()).map(|i| format!("T{i}")).collect();
    Scores::new(systems, tasks, rows.concat()).unwrap()
}

/// Whether two averages differ by rounding errors only.
pub(crate) fn tied(a: f64, b: f64) -> bool {
    let difference = (a - b).abs();
    a == b || difference.is_finite() && difference <= 1e-12 * a.abs().max(b.abs())
}

/// The ranks of averages. Rank 1 is the best; equal averages share the better rank, and the next rank is skipped.
pub fn ranks(averages: &[f64], direction: Direction) -> Vec<usize> {
    let mut order: Vec<u32> = (0..averages.len() as u32).collect();
    let key = |index: u32| averages[index as usize];
    match direction {
        Direction::Higher => order.par_sort_unstable_by(|&a, &b| key(b).total_cmp(&key(a))),
        Direction::Lower => order.par_sort_unstable_by(|&a, &b| key(a).total_cmp(&key(b))),
    }
    let mut ranks = vec![0; averages.len()];
    let mut rank = 0;
    for (position, &index) in order.iter().enumerate() {
        if position == 0 || !tied(key(order[position - 1]), key(index)) {
            rank = position + 1;
        }
        ranks[index as usize] = rank;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::from_scores(
            &["A", "B", "C"],
            &["x", "y", "z"],
            &[&[90.0, 80.0, 70.0], &[85.0, 85.0, f64::NAN], &[60.0, 95.0, 75.0]],
        )
    }

    #[test]
    fn unequal_columns_are_refused_with_the_cells() {
        let error = table().select(&Selection::default()).unwrap_err();
        let Error::UnequalColumns { cells } = error else {
            panic!("{error}")
        };
        assert_eq!(
            cells,
            [CellName {
                place: Place::default(),
                system: "B".into(),
                task: "z".into()
            }]
        );
    }

    #[test]
    fn the_three_ways_out() {
        let common = table()
            .select(&Selection {
                columns: Columns::Common,
                ..Selection::default()
            })
            .unwrap();
        assert_eq!(common.tasks, ["x", "y"]);
        let dropped = table()
            .select(&Selection {
                drop_rows: true,
                ..Selection::default()
            })
            .unwrap();
        assert_eq!(dropped.systems, ["A", "C"]);
        let named = Selection {
            columns: Columns::Named(vec!["Y".into()]),
            ..Selection::default()
        };
        assert_eq!(table().select(&named).unwrap().row(1), [85.0]);
        let without = Selection {
            without: vec!["z".into()],
            ..Selection::default()
        };
        assert_eq!(table().select(&without).unwrap().tasks, ["x", "y"]);
    }

    #[test]
    fn macro_weights_compose() {
        let table = Table::from_scores(&["A"], &["x", "y", "w"], &[&[1.0, 2.0, 4.0]]);
        let grouped = Selection {
            groups: vec![("g".into(), vec!["y".into(), "w".into()])],
            averaging: Averaging::Macro,
            ..Selection::default()
        };
        assert_eq!(table.select(&grouped).unwrap().weights, [0.5, 0.25, 0.25]);
        let weighted = Selection {
            weights: vec![("g".into(), 2.0)],
            ..grouped
        };
        let weights = table.select(&weighted).unwrap().weights;
        assert!(weights.iter().zip([1.0 / 3.0; 3]).all(|(a, b)| (a - b).abs() < 1e-15));
    }

    #[test]
    fn weights_of_members_share_the_weight_of_their_group() {
        let table = Table::from_scores(&["A"], &["x", "y", "v", "w"], &[&[1.0, 2.0, 4.0, 8.0]]);
        let weights = |averaging, weights: &[(&str, f64)]| {
            let selection = Selection {
                groups: vec![("g".into(), vec!["x".into(), "y".into()])],
                weights: weights
                    .iter()
                    .map(|&(name, weight)| (name.to_owned(), weight))
                    .collect(),
                averaging,
                ..Selection::default()
            };
            table.select(&selection).unwrap().weights
        };
        for (averaging, given, expected) in [
            (
                Averaging::Macro,
                &[("x", 2.0), ("y", 2.0)][..],
                &[1.0, 1.0, 2.0, 2.0][..],
            ),
            (Averaging::Macro, &[("g", 3.0), ("x", 2.0)], &[2.0, 1.0, 1.0, 1.0]),
            (Averaging::Macro, &[("x", 2.0), ("v", 2.0)], &[2.0, 1.0, 6.0, 3.0]),
            (Averaging::Macro, &[("x", 0.0)], &[1.0, 1.0, 1.0]),
            (Averaging::Macro, &[("x", 0.0), ("y", 0.0)], &[1.0, 1.0]),
            (Averaging::Micro, &[("g", 3.0), ("x", 2.0)], &[6.0, 3.0, 1.0, 1.0]),
        ] {
            let total: f64 = expected.iter().sum();
            let found = weights(averaging, given);
            assert_eq!(found.len(), expected.len(), "{given:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected / total).abs() < 1e-15, "{given:?}: {found}");
            }
        }
    }

    #[test]
    fn unknown_names_and_columns_of_two_groups_are_refused() {
        let table = Table::from_scores(&["A"], &["x", "y"], &[&[1.0, 2.0]]);
        let of = |group: &str, columns: &[&str]| {
            let columns = columns.iter().map(|column| (*column).to_owned());
            (group.to_owned(), columns.collect::<Vec<String>>())
        };
        for second in [of("h", &["x"]), of("h", &["y", "x"])] {
            let selection = Selection {
                groups: vec![of("g", &["x"]), second],
                ..Selection::default()
            };
            let message = table.select(&selection).unwrap_err().to_string();
            assert!(message.contains("column `x` is in group `g` already"), "{message}");
        }
        let typo = Selection {
            without: vec!["v".into()],
            ..Selection::default()
        };
        assert!(matches!(table.select(&typo), Err(Error::Unknown { .. })));
    }

    #[test]
    fn directions_do_not_mix_by_accident() {
        let mut table = table();
        table.tasks[0].direction = Direction::Lower;
        let selection = Selection {
            without: vec!["z".into()],
            ..Selection::default()
        };
        assert!(matches!(table.select(&selection), Err(Error::Refused { .. })));
        let turned = Selection {
            flip: Some(Flip::Complement(100.0)),
            ..selection
        };
        assert_eq!(table.select(&turned).unwrap().row(0), [10.0, 80.0]);
    }

    #[test]
    fn ties_share_a_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0], Direction::Higher), [1, 4, 1, 3]);
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0], Direction::Lower), [3, 1, 3, 2]);
        // 0.1 + 0.2 and 0.3 are the same average.
        assert_eq!(ranks(&[0.1 + 0.2, 0.3], Direction::Higher), [1, 1]);
    }

    #[test]
    fn means_that_are_not_defined_name_their_cells() {
        let scores = Scores::new(vec!["A".into()], vec!["x".into(), "y".into()], vec![0.0, 1.0]).unwrap();
        assert!(matches!(scores.means(Mean::HARMONIC), Err(Error::NotPositive { ref cells, .. }) if cells.len() == 1));
        assert_eq!(scores.means(Mean::ARITHMETIC).unwrap(), [0.5]);
    }
}
