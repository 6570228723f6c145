//! Votes against those of the Python package `votenrank`, on tables made up for it.

use std::collections::BTreeMap;

use kexue_rank::vote::{Options, Rule, Ties, vote};
use kexue_rank::{Selection, Table};

/// Made by `benches/peers/rank/votenrank_goldens.py`.
#[derive(serde::Deserialize)]
struct Golden {
    scores: Vec<Vec<f64>>,
    weights: Vec<f64>,
    rules: BTreeMap<String, GoldenRule>,
}

#[derive(serde::Deserialize)]
struct GoldenRule {
    winners: Vec<usize>,
    points: Option<Vec<f64>>,
}

#[test]
fn votes_agree_with_the_python_package() {
    let goldens: Vec<Golden> = serde_json::from_str(include_str!("goldens/votenrank_made_up.json")).unwrap();
    assert_eq!(goldens.len(), 40);
    for (number, golden) in goldens.iter().enumerate() {
        let names = |letter: &str, count: usize| (0..count).map(|i| format!("{letter}{i}")).collect::<Vec<_>>();
        let (systems, tasks) = (names("S", golden.scores.len()), names("T", golden.weights.len()));
        let table = Table::from_scores(
            &systems.iter().map(String::as_str).collect::<Vec<_>>(),
            &tasks.iter().map(String::as_str).collect::<Vec<_>>(),
            &golden.scores.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        );
        let selection = Selection {
            weights: tasks.iter().cloned().zip(golden.weights.iter().copied()).collect(),
            ..Selection::default()
        };
        let options = Options {
            ties: Ties::Votenrank,
            ..Options::default()
        };
        // The package counts the weights as they are, we so that they sum to the number of tasks.
        let scale = golden.weights.iter().sum::<f64>() / golden.weights.len() as f64;
        for outcome in vote(&table.select_partial(&selection).unwrap(), &Rule::ALL, options).unwrap() {
            let rule = outcome.rule.name().to_lowercase();
            let expected = &golden.rules[&rule];
            assert_eq!(outcome.winners, expected.winners, "table {number}, {rule}");
            let (Some(points), Some(expected)) = (&outcome.points, &expected.points) else {
                continue;
            };
            let scale = if outcome.rule == Rule::Copeland { 1.0 } else { scale };
            for (ours, theirs) in points.iter().zip(expected) {
                assert!(
                    (ours * scale - theirs).abs() < 1e-6,
                    "table {number}, {rule}: {points:?} {expected:?}"
                );
            }
        }
    }
}
