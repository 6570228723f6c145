//! The rows of a table: the systems.

use std::collections::HashMap;

use super::headings;
use super::raw::{RawTable, Role};
use crate::error::listed;
use crate::markup::clean_name;
use crate::table::{System, normalise};

pub(super) fn systems(
    raw: &RawTable,
    names: &[String],
    columns: &[usize],
    roles: &[Role],
    notes: &mut Vec<String>,
) -> Vec<System> {
    let rank = (0..names.len()).find(|&column| roles[column] == Role::Rank);
    let team = (0..names.len())
        .find(|&column| !columns.contains(&column) && headings::TEAMS.contains(&normalise(&names[column]).as_str()));
    let mut systems: Vec<System> = Vec::with_capacity(raw.rows());
    let mut unranked: Vec<String> = Vec::new();
    for row in 0..raw.rows() {
        let mut name = String::new();
        for &column in columns {
            let part = clean_name(&raw.cell(row, column));
            if !name.is_empty() && !part.is_empty() {
                name.push(' ');
            }
            name.push_str(&part);
        }
        if name.is_empty() {
            name = match raw.lines[row] {
                0 => format!("row {}", row + 1),
                line => format!("line {line}"),
            };
            notes.push(format!("{}: a row without a name, called `{name}`", raw.place(row, "")));
        }
        let aliases = team
            .map(|column| clean_name(&raw.cell(row, column)))
            .filter(|team| !team.is_empty())
            .map(|team| format!("{team} {name}"))
            .into_iter()
            .collect();
        let ranked = rank.is_none_or(|column| !raw.is_missing(row, column));
        if !ranked {
            unranked.push(name.clone());
        }
        systems.push(System {
            name,
            aliases,
            source: 0,
            line: raw.lines[row],
            ranked,
        });
    }
    if !unranked.is_empty() && unranked.len() < systems.len() {
        notes.push(format!(
            "rows without a rank, kept unless you drop unranked rows: {}",
            listed(unranked.into_iter())
        ));
    }

    // Two rows of the same name are two systems.
    let mut numbers: Vec<usize> = Vec::with_capacity(systems.len());
    let mut repeated: Vec<String> = Vec::new();
    {
        let mut counts: HashMap<&str, usize> = HashMap::with_capacity(systems.len());
        for system in &systems {
            let count = counts.entry(&system.name).or_insert(0);
            *count += 1;
            numbers.push(*count);
            if *count == 2 {
                repeated.push(system.name.clone());
            }
        }
        // The first of several is numbered too.
        for (number, system) in numbers.iter_mut().zip(&systems) {
            if counts.get(system.name.as_str()).is_none_or(|&count| count < 2) {
                *number = 0;
            }
        }
    }
    if !repeated.is_empty() {
        repeated.sort();
        notes.push(format!(
            "rows of the same name, numbered #1, #2, …: {}",
            listed(repeated.into_iter())
        ));
        for (number, system) in numbers.iter().zip(&mut systems).filter(|(number, _)| **number > 0) {
            system.name = format!("{} #{number}", system.name);
        }
    }
    systems
}
