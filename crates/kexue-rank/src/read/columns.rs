//! From text to scores: which column is what, and what its cells say.

use std::collections::HashMap;

use rayon::prelude::*;

use super::Options;
use super::raw::{RawTable, Role};
use crate::error::{Error, Place, Result};
use crate::number::{self, Cell, Evidence, clean_name, is_missing, parse_plain};
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

/// What became of a column of text.
struct Parsed {
    metrics: Vec<Vec<f64>>,
    errors: Option<Vec<f64>>,
    decimals: u8,
    /// Cells that are numbers, missing, and neither.
    numbers: usize,
    missing: usize,
    unreadable: usize,
    /// The first cell that cannot be read as a number, and why.
    problem: Option<(usize, String, &'static str)>,
    notes: Vec<String>,
}

pub(crate) fn interpret(raw: RawTable, options: &Options) -> Result<Table> {
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
            let cell = raw.cell(row, column).trim();
            if !is_missing(cell) {
                seen += 1;
                text += usize::from(
                    parse_plain(cell).is_none()
                        && matches!(
                            number::parse(cell, Some(number::DecimalMark::Point), false, number::Parentheses::Drop),
                            Cell::Unreadable(_)
                        ),
                );
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
        let all_missing = (0..raw.rows()).all(|row| is_missing(raw.cell(row, column)));
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
                Place::cell(&file, raw.lines[row], &named),
                format!("`{}` is not a score: {reason}", shorten(&text)),
                hint(reason, &named),
            ));
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
                Place::cell(&file, raw.lines.first().copied().unwrap_or(0).saturating_sub(1), name),
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
            format!("a table without scores; its columns are {}", names.join(", ")),
            "name the columns that are scores with --columns",
        ));
    }

    table.notes.push(format!(
        "{file}: {} systems named by {}; {} tasks: {}{}{}",
        table.systems.len(),
        system_columns
            .iter()
            .map(|&column| format!("`{}`", names[column]))
            .collect::<Vec<_>>()
            .join(" and "),
        table.tasks.len(),
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
            let part = clean_name(raw.cell(row, column));
            if !name.is_empty() && !part.is_empty() {
                name.push(' ');
            }
            name.push_str(&part);
        }
        if name.is_empty() {
            name = format!("line {}", raw.lines[row]);
            notes.push(format!("{}: a row without a name", raw.lines[row]));
        }
        let aliases = team
            .map(|column| clean_name(raw.cell(row, column)))
            .filter(|team| !team.is_empty())
            .map(|team| format!("{team} {name}"))
            .into_iter()
            .collect();
        let ranked = rank.is_none_or(|column| !is_missing(raw.cell(row, column)));
        if !ranked {
            unranked.push(name.clone());
        }
        systems.push(System {
            name,
            aliases,
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
    let mut counts: HashMap<String, usize> = HashMap::with_capacity(systems.len());
    for system in &systems {
        *counts.entry(system.name.clone()).or_insert(0) += 1;
    }
    let repeated: Vec<String> = {
        let mut names: Vec<String> = counts
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    };
    if !repeated.is_empty() {
        notes.push(format!(
            "several rows have one name and are numbered #1, #2, …: {}",
            list(repeated.into_iter())
        ));
        let mut next: HashMap<String, usize> = HashMap::new();
        for system in &mut systems {
            if counts.get(&system.name).is_some_and(|&count| count > 1) {
                let number = next.entry(system.name.clone()).or_insert(0);
                *number += 1;
                system.name = format!("{} #{number}", system.name);
            }
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

fn parse_column(raw: &RawTable, column: usize, options: &Options) -> Parsed {
    let rows = raw.rows();
    let mut evidence = Evidence::default();
    let mut first: Vec<f64> = Vec::with_capacity(rows);
    let mut decimals = 0u8;
    let mut missing = 0usize;
    let mut plain_first = None;
    let mut slow: Vec<usize> = Vec::new();
    for row in 0..rows {
        let cell = raw.cell(row, column).trim();
        if let Some((value, digits)) = parse_plain(cell) {
            match digits {
                0 => {}
                3 => evidence.three_decimals += 1,
                _ => evidence.decimal_points += 1,
            }
            plain_first.get_or_insert(row);
            decimals = decimals.max(digits);
            first.push(value);
        } else {
            first.push(f64::NAN);
            if is_missing(cell) {
                missing += 1;
            } else {
                slow.push(row);
            }
        }
    }
    let mut numbers = rows - missing - slow.len();
    let mut parsed = Parsed {
        metrics: Vec::new(),
        errors: None,
        decimals,
        numbers,
        missing,
        unreadable: 0,
        problem: None,
        notes: Vec::new(),
    };
    if slow.is_empty()
        && !(options.decimal == Some(number::DecimalMark::Comma)
            && evidence.three_decimals + evidence.decimal_points > 0)
    {
        parsed.metrics = vec![first];
        return parsed;
    }

    for &row in &slow {
        number::observe(raw.cell(row, column), &mut evidence);
    }
    let strict = options.decimal.is_some();
    let (mark, unclear) = match (options.decimal, evidence.mark()) {
        (Some(mark), _) => (Some(mark), None),
        (None, Ok(mark)) => (Some(mark), None),
        (None, Err(reason)) => (None, Some(reason)),
    };
    let mut problem: Option<(usize, String, &'static str)> = None;
    let mut report = |row: usize, reason: &'static str| {
        if problem.as_ref().is_none_or(|(known, _, _)| row < *known) {
            problem = Some((row, raw.cell(row, column).trim().to_owned(), reason));
        }
    };
    if mark == Some(number::DecimalMark::Comma) {
        // What was read as plain has a point: a thousand, or a contradiction.
        for row in 0..rows {
            let cell = raw.cell(row, column).trim();
            if let Some((_, digits)) = parse_plain(cell)
                && digits > 0
            {
                slow.push(row);
                numbers -= 1;
            }
        }
        slow.sort_unstable();
    }

    let mut cells: Vec<(usize, Vec<Option<number::Number>>)> = Vec::with_capacity(slow.len());
    let mut half_missing = 0usize;
    for &row in &slow {
        match number::parse(raw.cell(row, column), mark, strict, options.parentheses) {
            Cell::Missing => parsed.missing += 1,
            Cell::Metrics(metrics) => {
                if metrics.len() > 1 && metrics.iter().any(Option::is_none) {
                    half_missing += 1;
                    parsed.missing += 1;
                } else {
                    numbers += 1;
                    cells.push((row, metrics));
                }
            }
            Cell::Unreadable(reason) => {
                parsed.unreadable += 1;
                report(row, reason);
            }
            Cell::Ambiguous(reason) => {
                numbers += 1;
                report(row, unclear.unwrap_or(reason));
            }
        }
    }
    // A point with three digits that the column's commas make unclear.
    if let Some(reason) = unclear
        && problem_is_none(&problem)
        && evidence.unclear_commas == 0
        && let Some(row) =
            (0..rows).find(|&row| parse_plain(raw.cell(row, column).trim()).is_some_and(|(_, digits)| digits == 3))
    {
        problem = Some((row, raw.cell(row, column).trim().to_owned(), reason));
    }

    let width = cells.iter().map(|(_, metrics)| metrics.len()).max().unwrap_or(1).max(1);
    let plain_rows = numbers > cells.len() + usize::from(problem.is_some());
    if width > 1 && problem.is_none() {
        let odd = cells
            .iter()
            .find(|(_, metrics)| metrics.len() != width)
            .map(|(row, _)| *row)
            .or(plain_first.filter(|_| plain_rows));
        if let Some(row) = odd {
            problem = Some((
                row,
                raw.cell(row, column).trim().to_owned(),
                "other cells of the column have several metrics",
            ));
        }
    }
    parsed.metrics = vec![first];
    parsed.metrics.resize_with(width, || vec![f64::NAN; rows]);
    let mut errors = vec![f64::NAN; rows];
    let (mut error_count, mut percents, mut marked_above_one) = (0usize, 0usize, false);
    for (row, metrics) in &cells {
        for (index, number) in metrics.iter().enumerate() {
            let Some(number) = number else { continue };
            parsed.metrics[index][*row] = number.value;
            parsed.decimals = parsed.decimals.max(number.decimals);
            percents += usize::from(number.percent);
            marked_above_one |= number.percent && number.value.abs() > 1.0;
            if let Some(error) = number.error {
                errors[*row] = error;
                error_count += 1;
            }
        }
    }
    if error_count > 0 {
        parsed
            .notes
            .push(format!("{error_count} of {numbers} scores have an error (±)"));
        parsed.errors = Some(errors);
    }
    if percents > 0 && problem.is_none() {
        let fraction = (0..rows).find(|&row| {
            let value = parsed.metrics[0][row];
            value > 0.0 && value <= 1.0 && !raw.cell(row, column).contains('%')
        });
        match fraction {
            Some(row) if marked_above_one => {
                problem = Some((
                    row,
                    raw.cell(row, column).trim().to_owned(),
                    "other cells are percentages, this one may be a fraction",
                ));
            }
            _ => parsed.notes.push("percent signs, taken off".to_owned()),
        }
    }
    if half_missing > 0 {
        parsed.notes.push(format!(
            "{half_missing} cells have only some of their metrics and count as missing"
        ));
    }
    if evidence.footnotes > 0 {
        parsed
            .notes
            .push(format!("footnote marks on {} cells, taken off", evidence.footnotes));
    }
    let resolved_commas = evidence.decimal_commas
        + if mark == Some(number::DecimalMark::Comma) {
            evidence.unclear_commas
        } else {
            0
        };
    if resolved_commas > 0 && problem.is_none() {
        let mixed = if evidence.decimal_points > 0 && mark != Some(number::DecimalMark::Comma) {
            ", and others decimal points"
        } else {
            ""
        };
        parsed
            .notes
            .push(format!("{resolved_commas} cells have decimal commas{mixed}"));
    }
    let thousands = evidence.thousands_commas
        + evidence.thousands_points
        + if mark == Some(number::DecimalMark::Point) {
            evidence.unclear_commas
        } else {
            0
        };
    if thousands > 0 && problem.is_none() {
        parsed
            .notes
            .push(format!("{thousands} cells have thousands separators"));
    }
    parsed.numbers = numbers;
    parsed.problem = problem;
    parsed
}

fn problem_is_none<T>(problem: &Option<T>) -> bool {
    problem.is_none()
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
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
