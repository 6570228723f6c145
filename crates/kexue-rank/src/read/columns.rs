//! Interprets a table of text: the role of each column, and the scores in it.

use std::collections::HashMap;

use rayon::prelude::*;

use super::cells::{Parsed, Problem, parse_column};
use super::headings::{self, Meaning, meaning};
use super::options::Options;
use super::raw::{RawTable, Role};
use super::rows;
use crate::advice::Advice;
use crate::cell::{Cell, Parentheses, looks_like_score, parse};
use crate::doubt::Doubt;
use crate::error::{Error, Place, Result, counted, listed};
use crate::markup::visible;
use crate::number::DecimalMark;
use crate::table::{Claim, Direction, Table, Task, find_name};

/// Turns the text table of a reader into a results table.
pub(crate) fn interpret(mut raw: RawTable, options: &Options) -> Result<Table> {
    let mut notes = std::mem::take(&mut raw.notes);
    notes.extend(raw.sections_in_words());
    let columns = Columns::new(&raw, options, &mut notes);
    let (mut roles, system_columns) = columns.roles(&raw)?;
    let mut parsed: Vec<Option<Parsed>> = (0..columns.names.len())
        .into_par_iter()
        .map(|column| match roles[column] {
            Role::Task | Role::Claim | Role::PartClaim => Some(parse_column(&raw, column, options)),
            _ => None,
        })
        .collect();
    columns.refuse_doubtful(&raw, &mut roles, &mut parsed)?;
    fill_plain(&mut raw, &mut parsed);
    columns.settle_part_averages(raw.rows(), &mut roles, &parsed, &mut notes);

    let mut table = Table {
        sources: vec![raw.file.clone()],
        headings: columns.names.clone(),
        systems: rows::systems(&raw, &columns.names, &system_columns, &roles, &mut notes),
        ..Table::default()
    };
    for (column, cells) in parsed.into_iter().enumerate() {
        let Some(cells) = cells else { continue };
        let name = columns.names[column].clone();
        notes.extend(cells.notes.into_iter().map(|note| format!("{name}: {note}")));
        if roles[column] == Role::Claim {
            table.claims.push(Claim {
                values: single_metric(&raw, &name, cells.metrics)?,
                name,
                decimals: cells.decimals,
            });
        } else {
            table.tasks.push(Task {
                direction: columns.direction(column)?,
                group: raw.columns[column].group.clone(),
                name,
                metrics: cells.metrics,
                errors: cells.errors,
                decimals: cells.decimals,
            });
        }
    }
    columns.refuse_empty(&table, &roles)?;
    table.notes.push(columns.in_words(&table, &system_columns, &roles));
    table.notes.extend(notes);
    Ok(table)
}

/// Takes over columns that are already plain numbers.
fn fill_plain(raw: &mut RawTable, parsed: &mut [Option<Parsed>]) {
    for (column, cells) in parsed.iter_mut().enumerate() {
        if let Some(cells) = cells
            && cells.metrics.is_empty()
        {
            cells.metrics = vec![std::mem::take(&mut raw.cells[column].values)];
        }
    }
}

fn single_metric(raw: &RawTable, name: &str, metrics: Vec<Vec<f64>>) -> Result<Vec<f64>> {
    match <[Vec<f64>; 1]>::try_from(metrics) {
        Ok([values]) => Ok(values),
        Err(metrics) => Err(Error::malformed(
            Place::cell(&raw.file, raw.header, name),
            format!("an average with {} metrics in a cell", metrics.len()),
            Advice::about(
                "write one average in each cell, name it as a score with <tasks>, or leave it out with <ignore '{}'>",
                name,
            ),
        )),
    }
}

/// The columns of a file: their names, and their roles by options and headings.
struct Columns<'a> {
    options: &'a Options,
    file: String,
    /// Line of the headings.
    header: u64,
    names: Vec<String>,
    /// The direction that an arrow in the heading indicates.
    directions: Vec<Option<Direction>>,
}

impl<'a> Columns<'a> {
    /// Gives each column a unique name.
    fn new(raw: &RawTable, options: &'a Options, notes: &mut Vec<String>) -> Self {
        let mut names: Vec<String> = Vec::with_capacity(raw.columns.len());
        let mut directions = Vec::with_capacity(raw.columns.len());
        let mut seen: HashMap<String, usize> = HashMap::new();
        for column in &raw.columns {
            let (name, direction) = headings::direction(column);
            directions.push(direction);
            let count = seen.entry(name.clone()).or_insert(0);
            *count += 1;
            if *count > 1 && !name.is_empty() {
                notes.push(format!(
                    "several columns are called `{name}`; this one is now `{name} #{count}`"
                ));
                names.push(format!("{name} #{count}"));
            } else {
                names.push(name);
            }
        }
        Self {
            options,
            file: raw.file.clone(),
            header: raw.header,
            names,
            directions,
        }
    }

    fn find(&self, wanted: &str) -> Option<usize> {
        find_name(self.names.iter().map(String::as_str), wanted)
    }

    fn listed(&self, list: &[String], column: usize) -> bool {
        list.iter().any(|name| self.find(name) == Some(column))
    }

    /// Whether a column is among those to rank by. A metric of a column, `MRPC (1)`, names its column.
    fn is_chosen(&self, column: usize) -> bool {
        self.options.tasks.iter().any(|name| {
            let found = self
                .find(name)
                .or_else(|| self.find(super::names::without_metric_number(name)?));
            found == Some(column)
        })
    }

    /// The role of each column, and the columns that name the systems. Options decide first, then the format, then the heading.
    fn roles(&self, raw: &RawTable) -> Result<(Vec<Role>, Vec<usize>)> {
        let options = self.options;
        let mut known: Vec<Option<Role>> = (0..self.names.len())
            .map(|column| {
                if self.listed(&options.system, column) {
                    Some(Role::System)
                } else if self.listed(&options.claims, column) {
                    Some(Role::Claim)
                } else if self.listed(&options.ignore, column) {
                    Some(Role::Ignored)
                } else if self.is_chosen(column) {
                    Some(Role::Task)
                } else {
                    raw.columns[column].role
                }
            })
            .collect();
        let system_columns = self.system_columns(raw, &mut known)?;
        let roles = known
            .into_iter()
            .enumerate()
            .map(|(column, role)| match role {
                Some(Role::Task) if !options.tasks.is_empty() && !self.is_chosen(column) => Role::Ignored,
                Some(role) => role,
                None => self.role_by_heading(raw, column),
            })
            .collect();
        Ok((roles, system_columns))
    }

    fn role_by_heading(&self, raw: &RawTable, column: usize) -> Role {
        // If the scores are named, the other columns are averages or unused.
        let otherwise = if self.options.tasks.is_empty() {
            Role::Task
        } else {
            Role::Ignored
        };
        match meaning(&self.names[column]) {
            Meaning::Rank if !self.is_text(raw, column) => Role::Rank,
            Meaning::Rank if !self.options.tasks.is_empty() => Role::Rank,
            _ if (0..raw.rows()).all(|row| raw.is_missing(row, column)) => Role::Ignored,
            Meaning::NotAScore => Role::Ignored,
            Meaning::Average => Role::Claim,
            Meaning::PartAverage if self.options.tasks.is_empty() => Role::PartClaim,
            Meaning::PartAverage => Role::Claim,
            Meaning::Rank | Meaning::Score => otherwise,
        }
    }

    /// Whether at least half of the first cells of a column are words.
    fn is_text(&self, raw: &RawTable, column: usize) -> bool {
        let (mut seen, mut text) = (0usize, 0usize);
        for row in (0..raw.rows().min(200)).filter(|&row| !raw.is_missing(row, column)) {
            seen += 1;
            let cell = raw.cell(row, column);
            text += usize::from(match parse(&cell, Some(DecimalMark::Point), false, Parentheses::Drop) {
                Cell::Doubtful(doubt) => !doubt.is_number() && !looks_like_score(&cell),
                Cell::Missing | Cell::Metrics(_) => false,
            });
        }
        seen > 0 && 2 * text >= seen
    }

    /// The columns that name the systems: those of the options, of the format, the one with such a heading, or the first with words.
    fn system_columns(&self, raw: &RawTable, roles: &mut [Option<Role>]) -> Result<Vec<usize>> {
        let named: Vec<usize> = self
            .options
            .system
            .iter()
            .filter_map(|wanted| self.find(wanted))
            .collect();
        if !named.is_empty() {
            return Ok(named);
        }
        if let Some(column) = roles.iter().position(|role| *role == Some(Role::System)) {
            return Ok(vec![column]);
        }
        let normal: Vec<String> = self.names.iter().map(|name| crate::table::normalise(name)).collect();
        let free = |&column: &usize| roles[column].is_none();
        let all = || (0..self.names.len()).filter(free);
        let by_heading = headings::SYSTEMS
            .iter()
            .find_map(|heading| all().find(|&column| normal[column] == **heading));
        let by_text = || all().find(|&column| self.is_text(raw, column));
        // Numbers can name runs and checkpoints.
        let by_number = || {
            let first = normal.first().map(String::as_str);
            matches!(first, Some("step" | "epoch" | "checkpoint" | "id" | "seed")).then_some(0)
        };
        let Some(column) = by_heading.or_else(by_text).or_else(by_number) else {
            return Err(Error::malformed(
                Place::file(&self.file),
                format!("no column that names the systems among {}", self.names.join(", ")),
                "name it with <system>",
            ));
        };
        roles[column] = Some(Role::System);
        Ok(vec![column])
    }

    /// Refuses columns with unclear cells, and leaves out those that contain words.
    fn refuse_doubtful(&self, raw: &RawTable, roles: &mut [Role], parsed: &mut [Option<Parsed>]) -> Result<()> {
        for (column, slot) in parsed.iter_mut().enumerate() {
            let Some(Parsed {
                problem: Some(Problem { row, doubt }),
                numbers,
                unreadable,
                score_like,
                ..
            }) = slot
            else {
                continue;
            };
            let wanted = self.is_chosen(column) || self.listed(&self.options.claims, column);
            // Mostly words: a remark, not a score. Scores in an unknown format do not count as words.
            if !wanted && *unreadable > *numbers && 2 * *score_like < *unreadable {
                roles[column] = Role::Text;
                *slot = None;
                continue;
            }
            let name = if self.names[column].is_empty() {
                format!("column {}", column + 1)
            } else {
                self.names[column].clone()
            };
            let text = raw.cell(*row, column);
            return Err(Error::malformed(
                raw.place(*row, &name),
                format!("`{}` is not a score: {}", shorten(&text), doubt.reason()),
                advice(*doubt, &name),
            ));
        }
        Ok(())
    }

    /// Decides about a column that is named like an average of some columns. It is an average if it is the mean of neighbouring columns, or of
    /// those that share its first word, in every row. Otherwise it is a task.
    fn settle_part_averages(
        &self,
        rows: usize,
        roles: &mut [Role],
        parsed: &[Option<Parsed>],
        notes: &mut Vec<String>,
    ) {
        let scores: Vec<usize> = (0..roles.len())
            .filter(|&column| roles[column] == Role::Task && parsed[column].is_some())
            .collect();
        let part_claims: Vec<usize> = (0..roles.len())
            .filter(|&column| roles[column] == Role::PartClaim && parsed[column].is_some())
            .collect();
        for column in part_claims {
            let Some(claim) = &parsed[column] else { continue };
            let first_word = |column: usize| {
                let name = self.names[column].to_lowercase();
                name.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned)
            };
            let related: Vec<usize> = scores
                .iter()
                .copied()
                .filter(|&other| first_word(other) == first_word(column))
                .collect();
            let blocks = (0..scores.len()).flat_map(|start| {
                let ends = start + 2..=scores.len();
                ends.map(move |end| (start, end))
            });
            let is_mean = |members: &[usize]| is_mean_of(rows, claim, members, parsed);
            let found = if related.len() > 1 && is_mean(&related) {
                Some(related)
            } else {
                blocks
                    .map(|(start, end)| scores[start..end].to_vec())
                    .find(|block| is_mean(block))
            };
            let name = &self.names[column];
            if let Some(members) = found {
                roles[column] = Role::Claim;
                let names: Vec<&str> = members.iter().map(|&member| self.names[member].as_str()).collect();
                notes.push(format!("{name}: the mean of {}, taken as an average", names.join(", ")));
            } else {
                roles[column] = Role::Task;
                notes.push(format!(
                    "{name}: named like an average, but not the mean of any columns beside it; taken as a score"
                ));
            }
        }
    }

    /// Which scores of a column are better.
    fn direction(&self, column: usize) -> Result<Direction> {
        let name = &self.names[column];
        let is_in = |list| self.listed(list, column);
        match [is_in(&self.options.lower), is_in(&self.options.higher)] {
            [true, true] => {
                return Err(Error::malformed(
                    Place::cell(&self.file, self.header, name),
                    "both lower and higher scores are said to be better",
                    "name it with <lower> or with <higher>, not both",
                ));
            }
            [true, false] => return Ok(Direction::Lower),
            [false, true] => return Ok(Direction::Higher),
            [false, false] => {}
        }
        if let Some(direction) = self.directions[column] {
            return Ok(direction);
        }
        match headings::lower_word(name) {
            None => Ok(Direction::Higher),
            Some(word) => Err(Error::malformed(
                Place::cell(&self.file, self.header, name),
                format!("it is not clear whether a higher or a lower score is better: the name contains `{word}`"),
                Advice::about(
                    "say <lower '{}'> or <higher '{}'>, or leave it out with <ignore '{}'>",
                    name,
                ),
            )),
        }
    }

    fn refuse_empty(&self, table: &Table, roles: &[Role]) -> Result<()> {
        if table.systems.is_empty() {
            return Err(Error::malformed(
                Place::file(&self.file),
                "a table without rows",
                "give at least one system",
            ));
        }
        if !table.tasks.is_empty() {
            return Ok(());
        }
        if let Some(name) = self.options.tasks.iter().find(|name| self.find(name).is_none()) {
            return Err(Error::unknown("column", name, self.names.iter().cloned()));
        }
        let names = self.names.iter().zip(roles).map(|(name, role)| match role {
            Role::Text => format!("{name} (text)"),
            _ => name.clone(),
        });
        Err(Error::malformed(
            Place::file(&self.file),
            format!("a table without scores; its columns are {}", listed(names)),
            "name the columns that are scores with <tasks>",
        ))
    }

    /// A note about the role of each column.
    fn in_words(&self, table: &Table, system_columns: &[usize], roles: &[Role]) -> String {
        let named_by: Vec<String> = system_columns
            .iter()
            .map(|&column| format!("`{}`", self.names[column]))
            .collect();
        let tasks = table.tasks.iter().map(|task| {
            let metrics = match task.metrics.len() {
                1 => String::new(),
                several => format!(" ({several} metrics)"),
            };
            let lower = match task.direction {
                Direction::Lower => " (lower is better)",
                Direction::Higher => "",
            };
            format!("{}{metrics}{lower}", task.name)
        });
        let mut words = format!(
            "{}: {} named by {}; {}: {}",
            self.file,
            counted(table.systems.len(), "system"),
            named_by.join(" and "),
            counted(table.tasks.len(), "task"),
            listed(tasks)
        );
        if !table.claims.is_empty() {
            let claims = listed(table.claims.iter().map(|claim| claim.name.clone()));
            words.push_str(&format!("; averages: {claims}"));
        }
        let unused: Vec<String> = self
            .names
            .iter()
            .zip(roles)
            .filter_map(|(name, role)| match role {
                Role::Text => Some(format!("{name} (text)")),
                Role::Ignored if !name.is_empty() => Some(name.clone()),
                _ => None,
            })
            .collect();
        if !unused.is_empty() {
            words.push_str(&format!("; not used: {}", listed(unused.into_iter())));
        }
        words
    }
}

/// Whether a column is the arithmetic mean of others, to its last digit, in all rows that have all of them.
fn is_mean_of(rows: usize, claim: &Parsed, members: &[usize], parsed: &[Option<Parsed>]) -> bool {
    let half = |decimals: u8| 0.5 * 10f64.powi(-i32::from(decimals)) + 1e-9;
    let columns: Vec<&Parsed> = members.iter().filter_map(|&member| parsed[member].as_ref()).collect();
    let rounding = columns.iter().map(|column| half(column.decimals)).fold(0.0, f64::max);
    let tolerance = half(claim.decimals) + rounding;
    let score = |column: &Parsed, row: usize| {
        column.metrics.iter().map(|metric| metric[row]).sum::<f64>() / column.metrics.len() as f64
    };
    let mut checked = 0;
    for row in 0..rows {
        let mean = columns.iter().map(|column| score(column, row)).sum::<f64>() / columns.len() as f64;
        let difference = (mean - score(claim, row)).abs();
        if difference > tolerance {
            return false;
        }
        checked += usize::from(!difference.is_nan());
    }
    checked > 0
}

/// What to do about a cell that cannot be read.
fn advice(doubt: Doubt, name: &str) -> Advice {
    let template = match doubt {
        Doubt::Parentheses | Doubt::OnlyParentheses => "say <parentheses error> or <parentheses drop>",
        Doubt::Labels | Doubt::SharedError => {
            "write the same metrics in the same form in every cell, or say <parentheses drop>"
        }
        Doubt::Comma | Doubt::PointAmongCommas | Doubt::BothMarks | Doubt::OtherMark => {
            "say <decimal point> or <decimal comma>"
        }
        Doubt::Fraction => "write all cells of the column in one unit",
        Doubt::FewerMetrics => "write all metrics in every cell, or - for a missing cell",
        Doubt::Unseparated => "separate metrics with a slash: 93.9/91.8",
        Doubt::NotANumber | Doubt::OpenParenthesis => {
            "correct the cell, write - if there is no score, or leave the column out with <ignore '{}'>"
        }
    };
    Advice::about(template, name)
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).map(visible).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}
