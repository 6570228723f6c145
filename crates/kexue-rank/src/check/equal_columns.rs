//! The ranks if all averages of a table were over the same columns.

use crate::scores::ranks;
use crate::table::{Direction, Table};

use super::explanation::ClaimReport;
use super::reading::Reading;

/// Ranks the systems of each claim over the columns that all rows of all claims share, by the claim's own mean, if the claim is not over these
/// columns already.
pub(super) fn rank_on_equal_columns(table: &Table, readings: &[Reading], claims: &mut [ClaimReport]) {
    let sets: Vec<Vec<String>> = claims
        .iter()
        .flat_map(|claim| claim.column_sets().into_iter().map(|(columns, _)| columns))
        .collect();
    for (claim, report) in table.claims.iter().zip(claims) {
        let Some(rule) = report.rules.first() else { continue };
        let Some(reading) = readings.iter().find(|reading| reading.label == rule.reading) else {
            continue;
        };
        let rows: Vec<usize> = (0..table.systems.len())
            .filter(|&row| !claim.values[row].is_nan())
            .collect();
        let mut left_out = 0u64;
        for (index, unit) in reading.units.iter().enumerate() {
            let shared = sets.iter().all(|columns| columns.contains(&unit.name))
                && rows.iter().all(|&row| !unit.values[row].is_nan());
            if !shared {
                left_out |= 1 << index;
            }
        }
        let columns: Vec<String> = reading
            .units
            .iter()
            .enumerate()
            .filter(|(index, _)| left_out >> index & 1 == 0)
            .map(|(_, unit)| unit.name.clone())
            .collect();
        let own = report.column_sets();
        if columns.is_empty() || own.len() == 1 && own[0].0 == columns && report.rules.len() == 1 {
            continue;
        }
        let averages: Option<Vec<f64>> = rows
            .iter()
            .map(|&row| reading.value(rule.formula, left_out, row))
            .collect();
        let Some(averages) = averages else { continue };
        let claimed: Vec<f64> = rows.iter().map(|&row| claim.values[row]).collect();
        let before = ranks(&claimed, Direction::Higher);
        let after = ranks(&averages, Direction::Higher);
        report.moved = rows
            .iter()
            .zip(before.iter().zip(&after))
            .filter(|(_, (before, after))| before != after)
            .map(|(&row, (before, after))| (table.systems[row].name.clone(), *before, *after))
            .collect();
        report.equal_columns = columns;
    }
}
