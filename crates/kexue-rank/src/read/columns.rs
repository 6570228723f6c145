//! From text to scores: which column is what, and what its cells say.

use std::collections::HashMap;

use rayon::prelude::*;

use super::Options;
use super::cells::{Parsed, parse_column};
use super::raw::{RawTable, Role};
use crate::error::{Error, Place, Result, counted};
use crate::number::{self, Cell, clean_name};
use crate::table::{Claim, Direction, System, Table, Task, find_name, normalise};

/// Headings of the column that names the systems, best first.
const SYSTEM_HEADINGS: [&str; 12] = [
    "model",
    "models",
    "modelname",
    "modeladapter",
    "system",
    "systems",
    "method",
    "approach",
    "algorithm",
    "name",
    "run",
    "submission",
];
/// Headings of the team, by which some files precede the name.
const TEAM_HEADINGS: [&str; 6] = ["name", "team", "teamname", "author", "submitter", "organization"];
const RANK_HEADINGS: [&str; 6] = ["rank", "", "no", "position", "place", "pos"];
/// Headings of numbers that are not scores.
const OTHER_HEADINGS: [&str; 20] = [
    "id",
    "date",
    "year",
    "url",
    "link",
    "paper",
    "code",
    "params",
    "parameters",
    "size",
    "submissiondate",
    "epoch",
    "seed",
    "numparams",
    "paramsm",
    "paramsb",
    "modelsize",
    "layers",
    "votes",
    "license",
];
const CLAIM_HEADINGS: [&str; 14] = [
    "score",
    "avg",
    "ave",
    "average",
    "mean",
    "overall",
    "total",
    "am",
    "gm",
    "hm",
    "totalscore",
    "macro",
    "micro",
    "aggregate",
];
/// Words of a heading that suggest that lower is better.
const LOWER_WORDS: [&str; 26] = [
    "loss",
    "nll",
    "ppl",
    "perplexity",
    "wer",
    "cer",
    "ter",
    "mer",
    "per",
    "eer",
    "fid",
    "kid",
    "rmse",
    "mse",
    "mae",
    "error",
    "err",
    "errors",
    "latency",
    "bpc",
    "bpb",
    "bpd",
    "crps",
    "lpips",
    "toxicity",
    "ece",
];

pub(crate) fn interpret(mut raw: RawTable, options: &Options) -> Result<Table> {
    let file = raw.file.clone();
    let mut notes = raw.notes.clone();
    let (names, directions) = headings(&raw, &mut notes);
    let find = |wanted: &str| find_name(names.iter().map(String::as_str), wanted);
    let listed = |list: &[String], column: usize| list.iter().any(|name| find(name) == Some(column));

    // Which column is what: flags first, then what the format says, then the heading.
    let mut roles: Vec<Option<Role>> = (0..names.len())
        .map(|column| {
            if listed(&options.system, column) {
                Some(Role::System)
            } else if listed(&options.claims, column) {
                Some(Role::Claim)
            } else if listed(&options.ignore, column) {
                Some(Role::Ignored)
            } else if listed(&options.tasks, column) {
                Some(Role::Task)
            } else {
                raw.columns[column].role
            }
        })
        .collect();
    let is_text = |column: usize| {
        let mut seen = 0usize;
        let mut text = 0usize;
        for row in 0..raw.rows().min(200) {
            if !raw.is_missing(row, column) {
                seen += 1;
                let cell = raw.cell(row, column);
                text += usize::from(matches!(
                    number::parse(
                        &cell,
                        Some(number::DecimalMark::Point),
                        false,
                        number::Parentheses::Drop
                    ),
                    Cell::Unreadable(_)
                ));
            }
        }
        seen > 0 && 2 * text >= seen
    };
    let system_columns = system_columns(&names, &mut roles, options, &is_text, &file)?;
    if !options.tasks.is_empty() {
        // Naming the scores leaves the others to be averages or nothing.
        for (column, role) in roles.iter_mut().enumerate() {
            if (role.is_none() || *role == Some(Role::Task))
                && !listed(&options.tasks, column)
                && !is_claim(&names[column])
            {
                *role = Some(if is_rank(&names[column]) {
                    Role::Rank
                } else {
                    Role::Ignored
                });
            }
        }
    }

    for (column, role) in roles.iter_mut().enumerate() {
        if role.is_some() {
            continue;
        }
        let name = &names[column];
        let all_missing = (0..raw.rows()).all(|row| raw.is_missing(row, column));
        *role = if is_rank(name) && !is_text(column) {
            Some(Role::Rank)
        } else if all_missing || OTHER_HEADINGS.contains(&normalise(name).as_str()) {
            Some(Role::Ignored)
        } else if is_claim(name) {
            Some(Role::Claim)
        } else {
            None
        };
    }

    let mut parsed: Vec<Option<Parsed>> = (0..names.len())
        .into_par_iter()
        .map(|column| match roles[column] {
            None | Some(Role::Task | Role::Claim) => Some(parse_column(&raw, column, options)),
            _ => None,
        })
        .collect();

    let mut table = Table {
        sources: vec![file.clone()],
        headings: names.clone(),
        ..Table::default()
    };
    let mut ignored: Vec<String> = Vec::new();
    for column in 0..names.len() {
        let name = &names[column];
        let Some(mut cells) = parsed[column].take() else {
            if roles[column] == Some(Role::Ignored) && !name.is_empty() {
                ignored.push(name.clone());
            }
            continue;
        };
        let wanted = roles[column] == Some(Role::Task) || listed(&options.claims, column);
        // Mostly words: a remark, not a score.
        if !wanted && cells.unreadable > cells.numbers {
            ignored.push(format!("{name} (text)"));
            continue;
        }
        if let Some((row, text, reason)) = cells.problem {
            let named = if name.is_empty() {
                format!("column {}", column + 1)
            } else {
                name.clone()
            };
            return Err(Error::malformed(
                raw.place(row, &named),
                format!("`{}` is not a score: {reason}", shorten(&text)),
                hint(reason, &named),
            ));
        }
        if cells.metrics.is_empty() {
            cells.metrics = vec![std::mem::take(&mut raw.cells[column].values)];
        }
        notes.extend(cells.notes.drain(..).map(|note| format!("{name}: {note}")));
        if roles[column] == Some(Role::Claim) {
            let values = match cells.metrics.as_slice() {
                [single] => single.clone(),
                _ => {
                    notes.push(format!("{name}: an average with several metrics, left out"));
                    continue;
                }
            };
            table.claims.push(Claim {
                name: name.clone(),
                values,
                decimals: cells.decimals,
            });
            continue;
        }
        let direction = if listed(&options.lower, column) {
            Direction::Lower
        } else if listed(&options.higher, column) {
            Direction::Higher
        } else if let Some(direction) = raw.columns[column].direction.or(directions[column]) {
            direction
        } else if let Some(word) = lower_word(name) {
            return Err(Error::malformed(
                Place::cell(&file, raw.header, name),
                format!("whether a higher or a lower score is better is not clear: the name has `{word}`"),
                format!("say --lower '{name}' or --higher '{name}', or leave it out with --without '{name}'"),
            ));
        } else {
            Direction::Higher
        };
        table.tasks.push(Task {
            name: name.clone(),
            group: raw.columns[column].group.clone(),
            direction,
            metrics: cells.metrics,
            errors: cells.errors,
            decimals: cells.decimals,
        });
    }

    table.systems = systems(&raw, &names, &system_columns, &roles, &mut notes);
    if table.systems.is_empty() {
        return Err(Error::malformed(
            Place::file(&file),
            "a table without rows",
            "give at least one system",
        ));
    }
    if table.tasks.is_empty() {
        if let Some(name) = options.tasks.iter().find(|name| find(name).is_none()) {
            return Err(Error::unknown("column", name, names.iter().cloned()));
        }
        return Err(Error::malformed(
            Place::file(&file),
            format!(
                "a table without scores; its columns are {}",
                list(names.iter().map(
                    |name| match ignored.iter().find(|text| **text == format!("{name} (text)")) {
                        Some(text) => text.clone(),
                        None => name.clone(),
                    }
                ))
            ),
            "name the columns that are scores with --columns",
        ));
    }

    table.notes.push(format!(
        "{file}: {} named by {}; {}: {}{}{}",
        counted(table.systems.len(), "system"),
        system_columns
            .iter()
            .map(|&column| format!("`{}`", names[column]))
            .collect::<Vec<_>>()
            .join(" and "),
        counted(table.tasks.len(), "task"),
        list(table.tasks.iter().map(|task| {
            let metrics = if task.metrics.len() > 1 {
                format!(" ({} metrics)", task.metrics.len())
            } else {
                String::new()
            };
            let lower = if task.direction == Direction::Lower {
                " (lower is better)"
            } else {
                ""
            };
            format!("{}{metrics}{lower}", task.name)
        })),
        if table.claims.is_empty() {
            String::new()
        } else {
            format!(
                "; averages: {}",
                list(table.claims.iter().map(|claim| claim.name.clone()))
            )
        },
        if ignored.is_empty() {
            String::new()
        } else {
            format!("; not used: {}", list(ignored.into_iter()))
        },
    ));
    table.notes.extend(notes);
    Ok(table)
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    let more = items.len().saturating_sub(30);
    let mut text = items[..items.len() - more].join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Column names without arrows and made unique, and the direction that an arrow says.
fn headings(raw: &RawTable, notes: &mut Vec<String>) -> (Vec<String>, Vec<Option<Direction>>) {
    let mut names: Vec<String> = Vec::with_capacity(raw.columns.len());
    let mut directions = Vec::with_capacity(raw.columns.len());
    let mut seen: HashMap<String, usize> = HashMap::new();
    for column in &raw.columns {
        let up = column.name.contains('↑');
        let down = column.name.contains('↓');
        directions.push(match (up, down) {
            (true, false) => Some(Direction::Higher),
            (false, true) => Some(Direction::Lower),
            _ => None,
        });
        let base: String = column.name.chars().filter(|c| !matches!(c, '↑' | '↓')).collect();
        let base = clean_name(base.trim());
        let count = seen.entry(base.clone()).or_insert(0);
        *count += 1;
        if *count > 1 && !base.is_empty() {
            notes.push(format!(
                "several columns are called `{base}`; this one is now `{base} #{count}`"
            ));
            names.push(format!("{base} #{count}"));
        } else {
            names.push(base);
        }
    }
    (names, directions)
}

fn system_columns(
    names: &[String],
    roles: &mut [Option<Role>],
    options: &Options,
    is_text: &dyn Fn(usize) -> bool,
    file: &str,
) -> Result<Vec<usize>> {
    let mut found: Vec<usize> = Vec::new();
    for wanted in &options.system {
        if let Some(column) = find_name(names.iter().map(String::as_str), wanted) {
            found.push(column);
        }
    }
    if found.is_empty() {
        found.extend(roles.iter().position(|role| *role == Some(Role::System)));
    }
    if found.is_empty() {
        let free = |column: usize| roles[column].is_none();
        let by_heading = SYSTEM_HEADINGS.iter().find_map(|heading| {
            names
                .iter()
                .enumerate()
                .position(|(column, name)| free(column) && normalise(name) == **heading)
        });
        let by_text = || (0..names.len()).find(|&column| free(column) && is_text(column));
        // Runs and checkpoints are numbered.
        let by_number = || {
            let first = names.first().map(|name| normalise(name));
            matches!(first.as_deref(), Some("step" | "epoch" | "checkpoint" | "id" | "seed")).then_some(0)
        };
        match by_heading.or_else(by_text).or_else(by_number) {
            Some(column) => {
                roles[column] = Some(Role::System);
                found.push(column);
            }
            None => {
                return Err(Error::malformed(
                    Place::file(file),
                    format!("no column that names the systems among {}", names.join(", ")),
                    "name it with --system",
                ));
            }
        }
    }
    Ok(found)
}

fn systems(
    raw: &RawTable,
    names: &[String],
    columns: &[usize],
    roles: &[Option<Role>],
    notes: &mut Vec<String>,
) -> Vec<System> {
    let rank = (0..names.len()).find(|&column| roles[column] == Some(Role::Rank));
    let team = (0..names.len())
        .find(|&column| !columns.contains(&column) && TEAM_HEADINGS.contains(&normalise(&names[column]).as_str()));
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
            "rows without a rank, kept unless --unranked drop: {}",
            list(unranked.into_iter())
        ));
    }

    // Two rows of one name are two systems.
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
            "several rows have one name and are numbered #1, #2, …: {}",
            list(repeated.into_iter())
        ));
        for (number, system) in numbers.iter().zip(&mut systems).filter(|(number, _)| **number > 0) {
            system.name = format!("{} #{number}", system.name);
        }
    }
    systems
}

fn is_rank(name: &str) -> bool {
    let bare = normalise(name);
    RANK_HEADINGS.contains(&bare.as_str()) && (!bare.is_empty() || name.trim() == "#")
}

fn is_claim(name: &str) -> bool {
    let bare = normalise(name);
    CLAIM_HEADINGS.contains(&bare.as_str())
        || words(name).any(|word| {
            matches!(
                word.as_str(),
                "avg" | "average" | "ave" | "mean" | "overall" | "averaged"
            )
        })
}

fn words(name: &str) -> impl Iterator<Item = String> + '_ {
    name.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

fn lower_word(name: &str) -> Option<String> {
    words(name).find(|word| LOWER_WORDS.contains(&word.as_str()))
}

fn hint(reason: &str, name: &str) -> String {
    if reason.contains("parentheses") {
        "say --parentheses error or --parentheses drop".to_owned()
    } else if reason.contains("thousands") || reason.contains("decimal") {
        "say --decimal point or --decimal comma".to_owned()
    } else if reason.contains("fraction") {
        "write all cells of the column in one unit".to_owned()
    } else if reason.contains("several metrics") {
        "write all metrics in every cell, or - for a missing cell".to_owned()
    } else {
        format!("correct the cell, write - if there is no score, or leave the column out with --without '{name}'")
    }
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).map(number::visible).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}
