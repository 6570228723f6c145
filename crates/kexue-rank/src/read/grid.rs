//! Scores by system and task, filled cell by cell, and the choice among the metrics of a task.

use std::collections::HashMap;

use super::raw::{RawColumn, RawTable, Role};
use crate::error::{Error, Place};

/// Scores by system and task, in the order in which they come.
#[derive(Default)]
pub(super) struct Grid {
    pub(super) systems: Vec<String>,
    system_index: HashMap<String, usize>,
    pub(super) tasks: Vec<RawColumn>,
    task_index: HashMap<String, usize>,
    pub(super) cells: HashMap<(usize, usize), String>,
    pub(super) notes: Vec<String>,
}

impl Grid {
    pub(super) fn system(&mut self, name: &str) -> usize {
        if let Some(&index) = self.system_index.get(name) {
            return index;
        }
        let index = self.systems.len();
        self.systems.push(name.to_owned());
        self.system_index.insert(name.to_owned(), index);
        index
    }

    pub(super) fn task(&mut self, name: &str) -> usize {
        if let Some(&index) = self.task_index.get(name) {
            return index;
        }
        let index = self.tasks.len();
        self.tasks.push(RawColumn::named(name));
        self.task_index.insert(name.to_owned(), index);
        index
    }

    pub(super) fn finish(self, file: &str) -> RawTable {
        let mut columns = vec![RawColumn {
            role: Some(Role::System),
            ..RawColumn::named("system")
        }];
        let width = self.tasks.len();
        columns.extend(self.tasks);
        let mut table = RawTable::new(file, 0, columns);
        table.notes = self.notes;
        for (row, system) in self.systems.iter().enumerate() {
            let cells = (0..width).map(|task| self.cells.get(&(row, task)).map_or("", String::as_str));
            table.push_row(0, std::iter::once(system.as_str()).chain(cells));
        }
        table
    }
}

/// The first requested metric that exists; without a request, the only metric.
pub(super) fn prefer<'a, T>(found: &'a [(String, T)], wanted: &[String]) -> Option<&'a (String, T)> {
    if wanted.is_empty() {
        return match found {
            [only] => Some(only),
            _ => None,
        };
    }
    wanted.iter().find_map(|wanted| {
        let mut matching = found
            .iter()
            .filter(|(name, _)| name == wanted || name.split('@').next() == Some(wanted.as_str()));
        match (matching.next(), matching.next()) {
            (Some(metric), None) => Some(metric),
            _ => found.iter().find(|(name, _)| name == wanted),
        }
    })
}

pub(super) fn choose_metric<T>(file: &str, task: &str, found: &[(String, T)]) -> Error {
    let mut names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    let more = names.len().saturating_sub(20);
    names.truncate(20);
    let list = names.join(", ");
    let list = if more > 0 {
        format!("{list} and {more} more")
    } else {
        list
    };
    Error::malformed(
        Place::cell(file, 0, task),
        format!(
            "it is not clear which metric is the score: {}",
            if list.is_empty() { "there is none" } else { &list }
        ),
        "choose metrics with <metric>; the first one that a task has is its score",
    )
}
