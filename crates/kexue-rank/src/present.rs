//! Results as reports and as JSON.

use serde_json::{Value, json};

use crate::check::{Check, ClaimReport, Fit};
use crate::error::counted;
use crate::flips::Flips;
use crate::ranking::Ranking;
use crate::report::{Align, Grid, Report, Text, Tone, number};
use crate::resample::{Bootstrap, LeftOut};
use crate::scores::Scores;
use crate::table::Table;
use crate::vote::Outcome;

use Align::{Left, Right};

/// The number of decimals of printed averages: one more than scores have, and at least two.
fn digits(scores: &Scores) -> usize {
    usize::from(scores.decimals.saturating_add(1).clamp(2, 8))
}

fn weights_in_words(scores: &Scores) -> String {
    let equal = scores
        .weights
        .iter()
        .all(|weight| (weight * scores.tasks.len() as f64 - 1.0).abs() < 1e-9);
    let names: Vec<String> = scores
        .tasks
        .iter()
        .zip(&scores.weights)
        .take(60)
        .map(|(task, weight)| {
            if equal {
                task.clone()
            } else {
                format!("{task} {} %", number(100.0 * weight, 1))
            }
        })
        .collect();
    let more = scores.tasks.len().saturating_sub(60);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}: {}{more}", counted(scores.tasks.len(), "task"), names.join(", "))
}

fn more_rows(shown: usize, all: usize) -> Option<String> {
    (shown < all).then(|| format!("{shown} of {all} rows (limit {shown}; 0 for all)"))
}

fn cut(limit: usize, all: usize) -> usize {
    if limit == 0 { all } else { limit.min(all) }
}

/// Averages and ranks by several means; `limit` rows, 0 for all.
pub fn ranking_report(scores: &Scores, ranking: &Ranking, limit: usize) -> Report {
    let mut report = Report::default();
    let digits = digits(scores);
    let mut columns = vec![("#".to_owned(), Right), ("system".to_owned(), Left)];
    for (index, column) in ranking.columns.iter().enumerate() {
        columns.push((column.mean.label(), Right));
        if index > 0 {
            columns.push(("#".to_owned(), Right));
        }
    }
    let mut grid = Grid {
        columns,
        rows: Vec::new(),
    };
    let shown = cut(limit, ranking.order.len());
    for &system in &ranking.order[..shown] {
        let first = ranking.columns.first().map_or(0, |column| column.ranks[system]);
        let mut row = vec![
            Text::from(first.to_string()),
            Text::from(scores.systems[system].as_str()),
        ];
        for (index, column) in ranking.columns.iter().enumerate() {
            row.push(number(column.averages[system], digits).into());
            if index > 0 {
                let rank = column.ranks[system];
                let tone = match rank.cmp(&first) {
                    std::cmp::Ordering::Less => Tone::Good,
                    std::cmp::Ordering::Equal => Tone::Plain,
                    std::cmp::Ordering::Greater => Tone::Bad,
                };
                row.push(Text::new(rank.to_string(), tone));
            }
        }
        grid.rows.push(row);
    }
    report.table(grid);
    report.paragraph(Text::new(weights_in_words(scores), Tone::Dim));
    if let Some(text) = more_rows(shown, ranking.order.len()) {
        report.paragraph(Text::new(text, Tone::Dim));
    }
    for (mean, reason) in &ranking.refused {
        let first = reason.lines().next().unwrap_or_default();
        report.paragraph(Text::new(
            format!(
                "{} left out: {first} Request this mean alone to see the cells.",
                mean.label()
            ),
            Tone::Bad,
        ));
    }
    report
}

/// The same as JSON.
pub fn ranking_json(table: &Table, scores: &Scores, ranking: &Ranking) -> Value {
    json!({
        "files": table.sources,
        "tasks": tasks_json(scores),
        "lower_is_better": scores.direction == crate::Direction::Lower,
        "systems": ranking.order.iter().map(|&system| {
            let averages: serde_json::Map<String, Value> = ranking.columns.iter()
                .map(|column| (column.mean.label(), json!({"average": column.averages[system], "rank": column.ranks[system]})))
                .collect();
            json!({"system": scores.systems[system], "means": averages})
        }).collect::<Vec<_>>(),
        "refused": ranking.refused.iter()
            .map(|(mean, reason)| json!({"mean": mean.label(), "reason": reason})).collect::<Vec<_>>(),
        "notes": notes_json(table, scores),
    })
}

fn tasks_json(scores: &Scores) -> Value {
    scores
        .tasks
        .iter()
        .zip(&scores.weights)
        .map(|(task, weight)| json!({"task": task, "weight": weight}))
        .collect()
}

fn notes_json(table: &Table, scores: &Scores) -> Value {
    table.notes.iter().chain(&scores.notes).cloned().collect()
}

fn exponent(value: f64) -> String {
    number(value, if value.abs() < 100.0 { 3 } else { 0 })
}

/// What changes with the mean, and with the tasks.
#[derive(Clone, Debug)]
pub struct FlipResults {
    /// What changes with the mean.
    pub flips: Flips,
    /// The intervals of the ranks by the first mean.
    pub bootstrap: Bootstrap,
    /// The ranks by the first mean without each task.
    pub left_out: Vec<LeftOut>,
}

/// Flips, stability, bootstrap and leave-one-task-out; `limit` rows of each table, 0 for all.
pub fn flips_report(scores: &Scores, results: &FlipResults, limit: usize) -> Report {
    let mut report = Report::default();
    // Both tables of systems list them by their rank.
    let mut order: Vec<usize> = (0..scores.systems.len()).collect();
    order.sort_by_key(|&system| (results.bootstrap.intervals[system].rank, system));
    let shown = cut(limit, order.len());
    report_pairs(&mut report, scores, &results.flips, limit);
    report_exponents(&mut report, scores, &results.flips, &order[..shown]);
    report_bootstrap(&mut report, scores, &results.bootstrap, &order, shown);
    if !results.left_out.is_empty() {
        report_left_out(&mut report, scores, &results.left_out);
    }
    report
}

/// The pairs that change their order between the two means.
fn report_pairs(report: &mut Report, scores: &Scores, flips: &Flips, limit: usize) {
    let digits = digits(scores);
    let [first, second] = flips.between;
    let count = flips.flips.len();
    report.heading(2, format!("Between {first} and {second}"));
    if count == 0 {
        report.paragraph(format!(
            "No pair of {} changes its order.",
            counted(scores.systems.len(), "system")
        ));
        return;
    }
    report.paragraph(format!(
        "{count} of {} {} order.",
        counted(flips.stability.pairs, "pair"),
        if count == 1 { "changes its" } else { "change their" }
    ));
    let (a, b) = (first.label(), second.label());
    let mut grid = Grid {
        columns: vec![
            (format!("ahead by {a}"), Left),
            (format!("ahead by {b}"), Left),
            (a, Right),
            (b, Right),
            ("swap at exponent".to_owned(), Right),
        ],
        rows: Vec::new(),
    };
    let shown = cut(limit, count);
    for flip in &flips.flips[..shown] {
        let pair = |values: [f64; 2]| format!("{} : {}", number(values[0], digits), number(values[1], digits));
        let swaps: Vec<String> = flip.swaps.iter().map(|&swap| exponent(swap)).collect();
        let swaps = if swaps.is_empty() {
            "–".to_owned()
        } else {
            swaps.join(", ")
        };
        grid.rows.push(vec![
            scores.systems[flip.ahead].as_str().into(),
            scores.systems[flip.behind].as_str().into(),
            pair(flip.first).into(),
            pair(flip.second).into(),
            Text::new(swaps, Tone::Strong),
        ]);
    }
    report.table(grid);
    if let Some(text) = more_rows(shown, count) {
        report.paragraph(Text::new(text, Tone::Dim));
    }
}

/// How stable the order is over all exponents, and the range of ranks of each system in `order`.
fn report_exponents(report: &mut Report, scores: &Scores, flips: &Flips, order: &[usize]) {
    let stability = &flips.stability;
    report.heading(2, "Over all exponents");
    report.paragraph(format!(
        "{} of {} never swap: in {} one system leads under every increasing function of the scores, in {} under every power mean{}.",
        stability.pairs - stability.swapping,
        counted(stability.pairs, "pair"),
        stability.dominated,
        stability.never,
        if stability.identical > 0 { format!(", and {} have the same scores", stability.identical) } else { String::new() },
    ));
    // The exponents of the harmonic, geometric and arithmetic mean.
    let ranks = [-1.0, 0.0, 1.0].map(|exponent| flips.ranks_above(exponent));
    let mut grid = Grid::new(&[
        ("system", Left),
        ("best", Right),
        ("worst", Right),
        ("−∞", Right),
        ("HM", Right),
        ("GM", Right),
        ("AM", Right),
        ("∞", Right),
    ]);
    for &system in order {
        let range = &flips.ranges[system];
        let tone = if range.best == range.worst {
            Tone::Good
        } else {
            Tone::Plain
        };
        let mut row = vec![Text::new(scores.systems[system].as_str(), tone)];
        let middle = ranks.iter().map(|ranks| ranks[system]);
        let cells = [range.best, range.worst, range.bottom]
            .into_iter()
            .chain(middle)
            .chain([range.top]);
        row.extend(cells.map(|rank| Text::from(rank.to_string())));
        grid.rows.push(row);
    }
    report.table(grid);
    let fixed = flips.ranges.iter().filter(|range| range.best == range.worst).count();
    report.paragraph(Text::new(
        format!(
            "{fixed} of {} with one rank at all finite exponents",
            counted(scores.systems.len(), "system")
        ),
        Tone::Dim,
    ));
}

/// The intervals of the ranks over resampled tasks, for the first `shown` systems in `order`.
fn report_bootstrap(report: &mut Report, scores: &Scores, bootstrap: &Bootstrap, order: &[usize], shown: usize) {
    report.heading(2, format!("With other tasks, by {}", bootstrap.mean));
    let mut grid = Grid::new(&[
        ("#", Right),
        ("system", Left),
        ("interval", Right),
        ("ahead of the next", Right),
    ]);
    for (position, &system) in order[..shown].iter().enumerate() {
        let interval = bootstrap.intervals[system];
        let next = order.get(position + 1).map_or_else(String::new, |&next| {
            format!("{} %", number(100.0 * bootstrap.probability_ahead(system, next), 0))
        });
        grid.rows.push(vec![
            interval.rank.to_string().into(),
            scores.systems[system].as_str().into(),
            format!("{}–{}", interval.low, interval.high).into(),
            next.into(),
        ]);
    }
    report.table(grid);
    report.paragraph(Text::new(
        format!(
            "{} % intervals of the rank over {} of {}{}",
            number(100.0 * bootstrap.options.level, 0),
            counted(bootstrap.options.resamples, "bootstrap resample"),
            counted(scores.tasks.len(), "task"),
            if bootstrap.options.noise {
                ", scores moved by their errors"
            } else {
                ""
            }
        ),
        Tone::Dim,
    ));
}

/// The ranks without each task.
fn report_left_out(report: &mut Report, scores: &Scores, left_out: &[LeftOut]) {
    let name = |system: usize| scores.systems[system].as_str();
    report.heading(2, "Without one task");
    let mut grid = Grid::new(&[
        ("left out", Left),
        ("pairs reversed", Right),
        ("first", Left),
        ("largest change", Left),
    ]);
    for left in left_out {
        let winners: Vec<&str> = (0..left.ranks.len())
            .filter(|&system| left.ranks[system] == 1)
            .map(name)
            .collect();
        let change = left.largest.map_or_else(
            || "none".to_owned(),
            |(system, from, to)| format!("{}: {from} → {to}", name(system)),
        );
        grid.rows.push(vec![
            scores.tasks[left.task].as_str().into(),
            left.reversed.to_string().into(),
            winners.join(", ").into(),
            change.into(),
        ]);
    }
    report.table(grid);
}

/// The same as JSON, with everything.
pub fn flips_json(table: &Table, scores: &Scores, results: &FlipResults) -> Value {
    let name = |system: usize| scores.systems[system].as_str();
    let flips = &results.flips;
    let bootstrap = &results.bootstrap;
    let mut order: Vec<usize> = (0..scores.systems.len()).collect();
    order.sort_by_key(|&system| (bootstrap.intervals[system].rank, system));
    json!({
        "files": table.sources,
        "tasks": tasks_json(scores),
        "between": [flips.between[0].label(), flips.between[1].label()],
        "flips": flips.flips.iter().map(|flip| json!({
            "ahead": name(flip.ahead), "behind": name(flip.behind),
            "first": flip.first, "second": flip.second, "swaps": flip.swaps,
        })).collect::<Vec<_>>(),
        "stability": flips.stability,
        "swaps": flips.swaps.iter().map(|swap| json!({
            "exponent": swap.exponent, "before": name(swap.before), "after": name(swap.after),
        })).collect::<Vec<_>>(),
        "systems": order.iter().enumerate().map(|(position, &system)| {
            let interval = bootstrap.intervals[system];
            json!({
                "system": name(system),
                "rank": interval.rank,
                "ranks_over_exponents": flips.ranges[system],
                "bootstrap": {"low": interval.low, "high": interval.high},
                "ahead_of_next": order.get(position + 1).map(|&next| bootstrap.probability_ahead(system, next)),
            })
        }).collect::<Vec<_>>(),
        "bootstrap": {
            "mean": bootstrap.mean.label(), "resamples": bootstrap.options.resamples, "seed": bootstrap.options.seed,
            "level": bootstrap.options.level, "noise": bootstrap.options.noise,
        },
        "left_out": results.left_out.iter().map(|left| json!({
            "task": scores.tasks[left.task], "reversed": left.reversed, "ranks": order.iter().map(|&system| left.ranks[system]).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "notes": notes_json(table, scores),
    })
}

/// The outcome of all rules; `limit` systems, 0 for all.
pub fn votes_report(scores: &Scores, outcomes: &[Outcome], limit: usize) -> Report {
    let mut report = Report::default();
    let names = |systems: &[usize]| {
        systems
            .iter()
            .map(|&system| scores.systems[system].as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut grid = Grid::new(&[("rule", Left), ("winner", Left)]);
    for outcome in outcomes {
        let winner = match (&outcome.refused, &outcome.circle) {
            (Some(reason), _) => Text::new(format!("not used: {reason}"), Tone::Dim),
            (None, Some(circle)) => Text::from(format!("none; {} win every duel against the others", names(circle))),
            (None, None) => Text::new(names(&outcome.winners), Tone::Strong),
        };
        grid.rows.push(vec![outcome.rule.name().into(), winner]);
    }
    report.table(grid);

    let ranked: Vec<(&Outcome, &Vec<usize>)> = outcomes
        .iter()
        .filter_map(|outcome| Some((outcome, outcome.ranks.as_ref()?)))
        .collect();
    if let Some((_, first)) = ranked
        .iter()
        .find(|(outcome, _)| outcome.rule == crate::vote::Rule::Borda)
        .or(ranked.first())
    {
        let mut order: Vec<usize> = (0..scores.systems.len()).collect();
        order.sort_by_key(|&system| first[system]);
        let mut columns = vec![("system".to_owned(), Left)];
        columns.extend(
            ranked
                .iter()
                .map(|(outcome, _)| (outcome.rule.name().to_owned(), Right)),
        );
        let mut grid = Grid {
            columns,
            rows: Vec::new(),
        };
        let shown = cut(limit, order.len());
        for &system in &order[..shown] {
            let mut row = vec![Text::from(scores.systems[system].as_str())];
            row.extend(ranked.iter().map(|(_, ranks)| {
                let tone = if ranks[system] == 1 { Tone::Strong } else { Tone::Plain };
                Text::new(ranks[system].to_string(), tone)
            }));
            grid.rows.push(row);
        }
        report.heading(2, "Ranks");
        report.table(grid);
        if let Some(text) = more_rows(shown, order.len()) {
            report.paragraph(Text::new(text, Tone::Dim));
        }
    }
    report.paragraph(Text::new(weights_in_words(scores), Tone::Dim));
    report
}

/// The same as JSON.
pub fn votes_json(table: &Table, scores: &Scores, outcomes: &[Outcome]) -> Value {
    let names = |systems: &[usize]| {
        systems
            .iter()
            .map(|&system| scores.systems[system].clone())
            .collect::<Vec<_>>()
    };
    json!({
        "files": table.sources,
        "tasks": tasks_json(scores),
        "systems": scores.systems,
        "rules": outcomes.iter().map(|outcome| json!({
            "rule": outcome.rule,
            "winners": names(&outcome.winners),
            "points": outcome.points,
            "ranks": outcome.ranks,
            "circle": outcome.circle.as_deref().map(names),
            "refused": outcome.refused,
        })).collect::<Vec<_>>(),
        "notes": notes_json(table, scores),
    })
}

fn chance(expected: f64) -> String {
    if expected >= 0.095 {
        number(expected, 1)
    } else if expected >= 0.001 {
        number(expected, 3)
    } else {
        "under 0.001".to_owned()
    }
}

/// The report for a reviewer; `limit` rows of the table of cells, 0 for all.
pub fn check_report(table: &Table, check: &Check, limit: usize) -> Report {
    let mut report = Report::default();
    report.heading(1, format!("Averages claimed in {}", table.sources.join(", ")));
    let items = |lines: &[String]| lines.iter().map(|line| Text::from(line.as_str())).collect();
    if !check.is_consistent() {
        report.paragraph(Text::new("The averages do not compare like with like:", Tone::Bad));
        report.list(items(&check.findings));
    } else if check.notes.is_empty() {
        report.paragraph(Text::new(
            "Every average is reproduced by one rule over the same columns for all systems.",
            Tone::Good,
        ));
    } else {
        report.paragraph("No unequal comparison was found, but not every average is explained:");
    }
    if !check.notes.is_empty() {
        if !check.is_consistent() {
            report.paragraph("Not explained (these averages may be right or wrong):");
        }
        report.list(items(&check.notes));
    }
    for claim in &check.claims {
        report.heading(2, claim.name.as_str());
        claim_report(&mut report, table, claim, limit);
    }
    report.paragraph(Text::new(
        "A claim is reproduced if the mean of the printed scores, rounded to the claim's digits, equals it. “Before rounding”: scores that \
         round to the printed ones reproduce it. “By chance”: the number of equally simple rules that would reproduce as many claims by \
         accident.",
        Tone::Dim,
    ));
    report
}

fn claim_report(report: &mut Report, table: &Table, claim: &ClaimReport, limit: usize) {
    let digits = usize::from(claim.decimals);
    let mut grid = Grid::new(&[
        ("rule", Left),
        ("systems", Right),
        ("before rounding", Right),
        ("by chance", Right),
    ]);
    for rule in &claim.rules {
        let early = rule.rows.iter().filter(|row| row.fit == Fit::BeforeRounding).count();
        grid.rows.push(vec![
            rule.in_words().into(),
            rule.rows.len().to_string().into(),
            early.to_string().into(),
            chance(rule.expected_by_chance).into(),
        ]);
    }
    if !claim.unexplained.is_empty() {
        grid.rows.push(vec![
            Text::new("not explained", Tone::Dim),
            claim.unexplained.len().to_string().into(),
            "".into(),
            "".into(),
        ]);
    }
    report.table(grid);

    let skipping: Vec<Text> = claim
        .rules
        .iter()
        .flat_map(|rule| rule.rows.iter().map(move |row| (rule, row)))
        .filter(|(_, row)| !row.skipped.is_empty())
        .map(|(rule, row)| {
            Text::from(format!(
                "{}: {} of {}, because {} is missing",
                row.system,
                rule.formula,
                counted(rule.columns.len() - row.skipped.len(), "column"),
                row.skipped.join(", ")
            ))
        })
        .collect();
    report.list(skipping);

    if !claim.equal_columns.is_empty() {
        let columns = format!(
            "{} that all averages of the table share",
            counted(claim.equal_columns.len(), "column")
        );
        if claim.moved.is_empty() {
            report.paragraph(format!("On the {columns} the ranks are the same."));
        } else {
            report.paragraph(format!(
                "On the {columns} ({}) ranks change:",
                claim.equal_columns.join(", ")
            ));
            let mut grid = Grid::new(&[("system", Left), ("claimed rank", Right), ("on equal columns", Right)]);
            let mut moved = claim.moved.clone();
            moved.sort_by_key(|(_, before, _)| *before);
            let shown = cut(limit, moved.len());
            for (system, before, after) in &moved[..shown] {
                let tone = if after < before { Tone::Good } else { Tone::Bad };
                grid.rows.push(vec![
                    system.as_str().into(),
                    before.to_string().into(),
                    Text::new(after.to_string(), tone),
                ]);
            }
            report.table(grid);
            if let Some(text) = more_rows(shown, moved.len()) {
                report.paragraph(Text::new(text, Tone::Dim));
            }
        }
    }

    // Cell by cell, in the table's order.
    let mut cells: Vec<(usize, Vec<Text>)> = Vec::new();
    let position = |system: &str| {
        table
            .systems
            .iter()
            .position(|known| known.name == system)
            .unwrap_or(usize::MAX)
    };
    let several = claim.rules.len() > 1;
    for rule in &claim.rules {
        for row in &rule.rows {
            let mut words = if several {
                rule.in_words()
            } else {
                rule.formula.to_string()
            };
            if !row.skipped.is_empty() {
                words.push_str(&format!(", {} skipped", row.skipped.join(", ")));
            }
            if row.fit == Fit::BeforeRounding {
                words.push_str(", before rounding");
            }
            cells.push((
                position(&row.system),
                vec![
                    row.system.as_str().into(),
                    number(row.claimed, digits).into(),
                    number(row.value, digits + 2).into(),
                    words.into(),
                ],
            ));
        }
    }
    for row in &claim.unexplained {
        let means: Vec<String> = row
            .means
            .iter()
            .map(|(mean, value)| format!("{} {}", mean.label(), number(*value, digits)))
            .collect();
        cells.push((
            position(&row.system),
            vec![
                row.system.as_str().into(),
                number(row.claimed, digits).into(),
                "–".into(),
                Text::new(
                    match &row.by_accident {
                        Some(rule) => format!(
                            "explained only by accident ({rule}); all columns give {}",
                            means.join(", ")
                        ),
                        None => format!("not explained; all columns give {}", means.join(", ")),
                    },
                    Tone::Dim,
                ),
            ],
        ));
    }
    cells.sort_by_key(|(position, _)| *position);
    let shown = cut(limit, cells.len());
    let all = cells.len();
    let mut grid = Grid::new(&[
        ("system", Left),
        ("claimed", Right),
        ("reproduced", Right),
        ("by", Left),
    ]);
    grid.rows = cells.into_iter().take(shown).map(|(_, row)| row).collect();
    report.table(grid);
    if let Some(text) = more_rows(shown, all) {
        report.paragraph(Text::new(text, Tone::Dim));
    }
}

/// The same as JSON.
pub fn check_json(table: &Table, check: &Check) -> Value {
    json!({
        "files": table.sources,
        "consistent": check.is_consistent(),
        "findings": check.findings,
        "not_explained": check.notes,
        "claims": check.claims,
        "notes": table.notes,
    })
}
