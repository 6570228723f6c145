//! One rule for all rows comes first, and nobody is accused by accident.

use kexue_rank::check::{Check, Fit, Formula, Options, check};
use kexue_rank::{Mean, Table, read};
use proptest::prelude::*;

fn table(text: &str) -> Table {
    read::read_bytes("t.csv", text.as_bytes(), &read::Options::default()).unwrap()
}

fn explained(text: &str) -> Check {
    check(&table(text), &Options::default()).unwrap()
}

/// A table whose last column is made of the others, printed with so many decimals.
fn made(rows: &[Vec<f64>], decimals: usize, average: impl Fn(&[f64]) -> f64) -> String {
    let mut text = String::from("Model");
    (0..rows[0].len()).for_each(|task| text.push_str(&format!(",T{task}")));
    text.push_str(",Average");
    for (index, row) in rows.iter().enumerate() {
        text.push_str(&format!("\nm{index}"));
        row.iter()
            .for_each(|score| text.push_str(&format!(",{score:.decimals$}")));
        text.push_str(&format!(",{:.decimals$}", average(row)));
    }
    text
}

/// Scores that look like those of a leaderboard, between 20 and 95.
fn scores(systems: usize, tasks: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..systems)
        .map(|_| {
            let level = 40.0 + 40.0 * next();
            (0..tasks)
                .map(|_| (level + 30.0 * (next() - 0.5)).clamp(20.0, 95.0))
                .collect()
        })
        .collect()
}

fn weighted(weights: &[f64]) -> impl Fn(&[f64]) -> f64 + '_ {
    move |row| row.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>() / weights.iter().sum::<f64>()
}

#[test]
fn weights_of_small_whole_numbers_are_one_rule() {
    let found =
        explained("Model,A,B,C,Average\nm1,60.0,80.0,70.0,67.5\nm2,50.0,60.0,90.0,62.5\nm3,40.0,30.0,20.0,32.5\n");
    assert!(found.is_consistent() && found.notes.is_empty(), "{found:#?}");
    let rule = &found.claims[0].rules[0];
    assert_eq!(
        (rule.formula, &rule.weights[..]),
        (Formula::Weighted, &[2.0, 1.0, 1.0][..])
    );
    assert!(rule.expected_by_chance < 0.01, "{rule:?}");
    assert!(rule.in_words().contains("A × 2, B × 1, C × 1"), "{}", rule.in_words());
}

/// The ranges of the score and of the average touch at 60.5, 61.5, …, and do not overlap.
#[test]
fn averages_off_by_one_are_not_explained() {
    let mut one = String::from("System,Avg,Bx");
    let mut two = String::from("System,Avg,Bx,Cx");
    for (row, other) in [90, 31, 77, 12, 55].into_iter().enumerate() {
        one.push_str(&format!("\ns{row},{},{}", 60 + row, 61 + row));
        two.push_str(&format!("\ns{row},{},{},{other}", 60 + row, 61 + row));
    }
    // The same at a scale at which binary rounding is larger.
    let large = "System,Avg,Bx\na,12345678.90,12345678.91\nb,22345678.90,22345678.91\nc,32345678.90,32345678.91\n";
    for text in [one.as_str(), &two, large] {
        let claim = &explained(text).claims[0];
        assert!(claim.rules.is_empty(), "{text}\n{:#?}", claim.rules);
        assert_eq!(claim.unexplained.len(), text.trim().lines().count() - 1);
    }
}

/// Half way between two claims, a mean is rounded up or to the even digit; in binary, 60.45 is below and 60.55 above the half.
#[test]
fn a_mean_half_way_between_two_claims_reproduces_both() {
    for claims in [["60.4", "60.5"], ["60.5", "60.6"], ["60.4", "60.6"], ["60.5", "60.5"]] {
        let found = explained(&format!(
            "Model,A,B,Average\nx,60.4,60.5,{}\ny,60.5,60.6,{}\n",
            claims[0], claims[1]
        ));
        let rules = &found.claims[0].rules;
        assert!(
            found.notes.is_empty() && rules.len() == 1,
            "{claims:?}: {:#?}",
            found.claims
        );
        assert_eq!(rules[0].formula, Formula::Mean(Mean::ARITHMETIC));
        assert!(rules[0].rows.iter().all(|row| row.fit == Fit::Printed));
    }
}

#[test]
fn a_single_column_is_a_mean_rather_than_a_sum() {
    for text in [
        "System,Avg,Bx\na,60.4,60\nb,71.3,71\nc,64.8,65\n",
        "System,Avg,Bx\na,60,60\nb,71,71\nc,65,65\n",
    ] {
        let found = explained(text);
        assert!(found.is_consistent() && found.notes.is_empty(), "{found:#?}");
        assert_eq!(found.claims[0].rules[0].in_words(), "arithmetic mean of 1 column");
    }
}

#[test]
fn a_plain_sum_is_one_rule() {
    let found = explained("Model,A,B,C,Total\nx,50,60,70,180\ny,40,41,42,123\nz,10,90,33,133\n");
    assert!(found.is_consistent() && found.notes.is_empty(), "{found:#?}");
    assert_eq!(found.claims[0].rules[0].formula, Formula::Sum);
    // Ten columns of one decimal, summed before rounding, as multitask benchmarks print them.
    let rows = scores(6, 10, 3);
    let found = explained(&made(&rows, 1, |row| row.iter().sum()));
    assert!(found.is_consistent() && found.notes.is_empty(), "{found:#?}");
    assert_eq!(found.claims[0].rules[0].formula, Formula::Sum);
}

#[test]
fn a_narrower_average_among_the_tasks_is_averaged_with_them() {
    let found = explained("Model,A,B,sub_avg,Average\nm,10,20,30,20\nn,30,50,40,40\no,12,15,60,29\n");
    assert!(found.is_consistent() && found.notes.is_empty(), "{found:#?}");
    let rule = &found.claims[0].rules[0];
    assert_eq!((rule.formula, rule.columns.len()), (Formula::Mean(Mean::ARITHMETIC), 3));
}

/// Four groups of 20, 10, 11 and 11 subjects, averaged over subjects.
#[test]
fn averages_over_questions_are_no_finding() {
    let sizes = [20.0, 10.0, 11.0, 11.0];
    for seed in 1..6 {
        let text = made(&scores(12, 4, seed), 1, weighted(&sizes));
        let found = explained(&text);
        assert!(found.is_consistent() && found.notes.is_empty(), "{seed}: {found:#?}");
        let rule = &found.claims[0].rules[0];
        assert_eq!((rule.formula, rule.rows.len()), (Formula::Weighted, 12));
        let total: f64 = rule.weights.iter().sum();
        for (weight, size) in rule.weights.iter().zip(sizes) {
            assert!((weight / total - size / 52.0).abs() < 0.02, "{rule:?}");
        }
    }
    // Given by the user, and said by the headings.
    let text = made(&scores(3, 4, 9), 1, weighted(&sizes));
    let names = ["T0", "T1", "T2", "T3"];
    let options = Options {
        weights: names
            .iter()
            .zip(sizes)
            .map(|(name, size)| ((*name).to_owned(), size))
            .collect(),
        ..Options::default()
    };
    let given = check(&table(&text), &options).unwrap();
    assert_eq!(given.claims[0].rules[0].weights, sizes);
    let mut headed = text;
    for (name, size) in names.iter().zip(sizes) {
        headed = headed.replacen(name, &format!("{name} ({size})"), 1);
    }
    assert_eq!(explained(&headed).claims[0].rules[0].weights, sizes);
}

#[test]
fn averages_of_averages_are_one_rule() {
    let rows = scores(6, 5, 4);
    let mut text = String::from("Model,A,B,C,D,E,Avg AB,Avg CDE,Overall");
    for (index, row) in rows.iter().enumerate() {
        let row: Vec<f64> = row.iter().map(|score| (score * 10.0).round() / 10.0).collect();
        let (first, second) = ((row[0] + row[1]) / 2.0, (row[2] + row[3] + row[4]) / 3.0);
        text.push_str(&format!("\nm{index}"));
        row.iter().for_each(|score| text.push_str(&format!(",{score:.1}")));
        text.push_str(&format!(",{first:.2},{second:.2},{:.2}", (first + second) / 2.0));
    }
    let found = explained(&text);
    assert!(found.is_consistent() && found.notes.is_empty(), "{found:#?}");
}

#[test]
fn one_system_without_its_worst_column_is_found_out() {
    let rows = scores(9, 8, 5);
    let text = made(&rows, 2, |row| row.iter().sum::<f64>() / 8.0);
    let honest = explained(&text);
    assert!(honest.is_consistent() && honest.notes.is_empty(), "{honest:#?}");
    let printed: Vec<f64> = rows[4].iter().map(|score| (score * 100.0).round() / 100.0).collect();
    let worst = printed.iter().copied().fold(f64::INFINITY, f64::min);
    let better = (printed.iter().sum::<f64>() - worst) / 7.0;
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line.starts_with("m4,") {
            true => format!("{},{better:.2}", line.rsplit_once(',').unwrap().0),
            false => line.to_owned(),
        })
        .collect();
    let found = explained(&lines.join("\n"));
    assert!(!found.is_consistent());
    assert!(found.findings[0].contains("7 columns for m4"), "{:?}", found.findings);
}

#[test]
fn what_follows_no_rule_is_not_explained_and_no_finding() {
    let rows = scores(9, 6, 6);
    let text = made(&rows, 2, |row| row.iter().sum::<f64>() / 6.0);
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line.starts_with("m4,") {
            true => format!("{},12.34", line.rsplit_once(',').unwrap().0),
            false => line.to_owned(),
        })
        .collect();
    let found = explained(&lines.join("\n"));
    assert!(found.is_consistent(), "{:?}", found.findings);
    assert_eq!(found.notes.len(), 1);
    assert!(found.notes[0].contains("not explained for m4"), "{:?}", found.notes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Averages over unequal numbers of questions accuse nobody, whatever the numbers and the digits.
    #[test]
    fn weighted_means_are_never_a_finding(
        seed in 1u64..1_000_000,
        systems in 2usize..14,
        weights in prop::collection::vec(1u32..2000, 2..9),
        decimals in 1usize..3,
    ) {
        let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
        let found = explained(&made(&scores(systems, weights.len(), seed), decimals, weighted(&weights)));
        prop_assert!(found.is_consistent(), "{:?}", found.findings);
    }

    /// Nor do numbers that have nothing to do with the scores.
    #[test]
    fn numbers_from_nowhere_are_never_a_finding(
        seed in 1u64..1_000_000, systems in 2usize..14, tasks in 2usize..9, decimals in 1usize..3,
    ) {
        let next = std::cell::RefCell::new(scores(systems, 1, seed + 7).concat());
        let found = explained(&made(&scores(systems, tasks, seed), decimals, |_| next.borrow_mut().pop().unwrap()));
        prop_assert!(found.is_consistent(), "{:?}", found.findings);
    }
}

#[test]
fn groups_and_their_sizes_are_tried_as_they_are_given() {
    let (sizes, group_weights) = ([5, 4, 3], [17.0, 23.0, 9.0]);
    let mut groups = Vec::new();
    let mut weights = Vec::new();
    for (group, (size, weight)) in sizes.into_iter().zip(group_weights).enumerate() {
        let members = (weights.len()..weights.len() + size)
            .map(|task| format!("T{task}"))
            .collect();
        groups.push((format!("G{group}"), members));
        weights.extend(std::iter::repeat_n(weight / size as f64, size));
    }
    // Too few rows to find twelve weights.
    let table = table(&made(&scores(6, 12, 5), 2, weighted(&weights)));
    let unknown = check(&table, &Options::default()).unwrap();
    assert!(!unknown.notes.is_empty(), "{unknown:#?}");
    let options = Options {
        groups,
        weights: (0..3)
            .map(|group| (format!("G{group}"), group_weights[group]))
            .collect(),
        ..Options::default()
    };
    let known = check(&table, &options).unwrap();
    assert!(known.is_consistent() && known.notes.is_empty(), "{known:#?}");
    assert_eq!(known.claims[0].rules[0].formula, Formula::Weighted);
    let of = |group: &str, column: &str| (group.to_owned(), vec![column.to_owned()]);
    let options = Options {
        groups: vec![of("G", "T99")],
        ..Options::default()
    };
    assert!(check(&table, &options).unwrap_err().to_string().contains("T99"));
    let options = Options {
        groups: vec![of("G", "T1"), of("H", "T1")],
        ..Options::default()
    };
    let message = check(&table, &options).unwrap_err().to_string();
    assert!(message.contains("column `T1` is in group `G` already"), "{message}");
}

#[test]
fn weights_of_columns_share_the_weight_of_their_group() {
    let weights = [0.45, 0.15, 0.2, 0.2];
    let table = table(&made(&scores(2, 4, 8), 2, weighted(&weights)));
    let options = Options {
        groups: vec![("G".to_owned(), vec!["T0".to_owned(), "T1".to_owned()])],
        weights: vec![("T0".to_owned(), 3.0), ("G".to_owned(), 3.0)],
        ..Options::default()
    };
    let found = check(&table, &options).unwrap();
    assert!(found.is_consistent() && found.notes.is_empty(), "{found:#?}");
    let total: f64 = found.claims[0].rules[0].weights.iter().sum();
    for (found, made) in found.claims[0].rules[0].weights.iter().zip([2.25, 0.75, 1.0, 1.0]) {
        assert!((found / total - made / 5.0).abs() < 1e-12, "{found}");
    }
}
