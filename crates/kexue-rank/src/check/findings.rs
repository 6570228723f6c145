//! The findings about a table, in words.

use crate::error::counted;
use crate::table::Table;

use super::explanation::{ClaimReport, Formula};

/// What is wrong: systems of a column averaged in different ways, and different means over different columns.
pub(super) fn findings(table: &Table, claims: &[ClaimReport]) -> Vec<String> {
    let mut findings = Vec::new();
    for claim in claims {
        let sets = claim.column_sets();
        if sets.len() > 1 {
            let parts: Vec<String> = sets
                .iter()
                .map(|(columns, systems)| format!("{} for {}", counted(columns.len(), "column"), name_systems(systems)))
                .collect();
            findings.push(format!(
                "{}: systems are averaged over different columns: {}.",
                claim.name,
                parts.join("; ")
            ));
        }
        let mut formulas: Vec<Formula> = Vec::new();
        for rule in &claim.rules {
            if !formulas.contains(&rule.formula) {
                formulas.push(rule.formula);
            }
        }
        if formulas.len() > 1 {
            let names: Vec<String> = formulas.iter().map(Formula::to_string).collect();
            findings.push(format!(
                "{}: different means for different systems: {}.",
                claim.name,
                names.join(", ")
            ));
        }
        let zeros: Vec<String> = claim
            .rules
            .iter()
            .flat_map(|rule| &rule.rows)
            .filter(|row| !row.zeros.is_empty())
            .map(|row| format!("{} ({})", row.system, row.zeros.join(", ")))
            .collect();
        if !zeros.is_empty() {
            findings.push(format!(
                "{}: a missing score counts as zero for {}.",
                claim.name,
                name_systems(&zeros)
            ));
        }
    }
    findings.extend(unequal_averages(table, claims));
    findings
}

/// A finding if different means of a table are over different columns: readers compare them, so they must be over the same columns. The same
/// mean over different columns is only an average of something else.
fn unequal_averages(table: &Table, claims: &[ClaimReport]) -> Option<String> {
    let mut main: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
    let mut formulas: Vec<Formula> = Vec::new();
    for claim in claims {
        let Some(rule) = claim
            .rules
            .first()
            .filter(|rule| matches!(rule.formula, Formula::Mean(_)))
        else {
            continue;
        };
        if !formulas.contains(&rule.formula) {
            formulas.push(rule.formula);
        }
        if let Some((columns, _)) = claim.column_sets().into_iter().max_by_key(|(_, systems)| systems.len()) {
            match main.iter_mut().find(|(known, _)| *known == columns) {
                Some((_, names)) => names.push(&claim.name),
                None => main.push((columns, vec![&claim.name])),
            }
        }
    }
    if main.len() < 2 || formulas.len() < 2 {
        return None;
    }
    let parts: Vec<String> = main
        .iter()
        .map(|(columns, names)| {
            let left_out: Vec<&str> = table
                .tasks
                .iter()
                .map(|task| task.name.as_str())
                .filter(|task| !columns.iter().any(|column| column == task))
                .collect();
            let without = if left_out.is_empty() {
                String::new()
            } else {
                format!(" (without {})", left_out.join(", "))
            };
            let over = counted(columns.len(), "column");
            format!("{} over {over}{without}", names.join(" and "))
        })
        .collect();
    Some(format!(
        "The averages are not over the same columns: {}.",
        parts.join("; ")
    ))
}

/// The averages that no rule explains.
pub(super) fn not_explained(claims: &[ClaimReport]) -> Vec<String> {
    claims
        .iter()
        .filter(|claim| !claim.unexplained.is_empty())
        .map(|claim| {
            if claim.rules.is_empty() {
                return format!(
                    "{}: no mean, sum or set of weights over the columns of the table explains it.",
                    claim.name
                );
            }
            let systems: Vec<String> = claim.unexplained.iter().map(|row| row.system.clone()).collect();
            format!(
                "{}: not explained for {}: no mean over any columns gives the average.",
                claim.name,
                name_systems(&systems)
            )
        })
        .collect()
}

fn name_systems(systems: &[String]) -> String {
    match systems {
        [] => "none".to_owned(),
        few if few.len() <= 3 => few.join(", "),
        many => format!("{} systems ({}, …)", many.len(), many[..2].join(", ")),
    }
}
