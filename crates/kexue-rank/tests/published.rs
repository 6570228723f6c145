//! Published figures, on the leaderboards as they were published. The files are looked for in `KEXUE_DATA`, or in
//! `../../../shared/data`. They are not part of the project, so these tests are run only on request:
//! `cargo test -p kexue-rank --test published -- --ignored`.

use std::path::PathBuf;

use kexue_rank::check;
use kexue_rank::scores::{Columns, Metrics, Unranked};
use kexue_rank::vote::{self, Missing, Rule, Ties};
use kexue_rank::{Error, Mean, Selection, Table, read};

fn leaderboard(name: &str) -> PathBuf {
    let root = std::env::var_os("KEXUE_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    root.join("leaderboards").join(name)
}

fn table(name: &str) -> Table {
    read::read_paths(&[leaderboard(name)], &read::Options::default(), None).unwrap()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

const MEANS: [Mean; 3] = [Mean::ARITHMETIC, Mean::GEOMETRIC, Mean::HARMONIC];

#[test]
#[ignore = "reads published leaderboards, which are not part of the project"]
fn superglue_means_of_the_article() {
    let table = table("superglue_votenrank.csv");
    let selection = Selection {
        without: names(&["AX-b", "AX-g"]),
        systems: names(&["ERNIE 3.0", "DeBERTa / TuringNLRv4", "SuperGLUE Human Baselines", "T5"]),
        ..Selection::default()
    };
    let scores = table.select(&selection).unwrap();
    assert_eq!(scores.tasks.len(), 8);
    let published = [
        [90.62, 90.20, 89.76],
        [90.29, 89.90, 89.48],
        [89.79, 89.09, 88.32],
        [89.25, 88.91, 88.54],
    ];
    for (index, mean) in MEANS.into_iter().enumerate() {
        let averages = scores.means(mean).unwrap();
        for (system, average) in averages.iter().enumerate() {
            assert!(
                (average - published[system][index]).abs() <= 0.005 + 1e-9,
                "{mean} of {}",
                scores.systems[system]
            );
        }
        // Human is ahead of T5 under the arithmetic and geometric mean; under the harmonic T5 passes.
        let human_ahead = averages[2] > averages[3];
        assert_eq!(human_ahead, mean != Mean::HARMONIC);
    }
    let flips = kexue_rank::flips::flips(&scores, [Mean::ARITHMETIC, Mean::HARMONIC]).unwrap();
    assert_eq!(flips.flips.len(), 1);
    let [swap] = flips.flips[0].swaps[..] else {
        panic!("{flips:?}")
    };
    assert!((-1.0..0.0).contains(&swap));
}

#[test]
#[ignore = "reads published leaderboards, which are not part of the project"]
fn glue_means_of_the_article() {
    let table = table("glue_votenrank.csv");
    let selection = Selection {
        without: names(&["AX"]),
        systems: names(&["GLUE Human Baselines"]),
        ..Selection::default()
    };
    let scores = table.select(&selection).unwrap();
    for (mean, published) in MEANS.into_iter().zip([87.59, 86.91, 86.16]) {
        assert!(
            (scores.means(mean).unwrap()[0] - published).abs() <= 0.005 + 1e-9,
            "{mean}"
        );
    }
}

#[test]
#[ignore = "reads published leaderboards, which are not part of the project"]
fn missing_cells_of_superglue_are_listed() {
    let table = table("superglue_votenrank.csv");
    let Err(Error::UnequalColumns { cells }) = table.select(&Selection::default()) else {
        panic!("not refused")
    };
    assert!(
        cells
            .iter()
            .any(|cell| cell.system == "Outside Best" && cell.task == "CB")
    );
    // The diagnostic column has a score below zero.
    let dropped = table
        .select(&Selection {
            drop_rows: true,
            ..Selection::default()
        })
        .unwrap();
    assert_eq!(dropped.systems.len(), 22);
    assert!(matches!(dropped.means(Mean::GEOMETRIC), Err(Error::NotPositive { .. })));
    let ranked = Selection {
        unranked: Unranked::Drop,
        columns: Columns::Common,
        ..Selection::default()
    };
    assert!(
        table
            .select(&ranked)
            .unwrap()
            .systems
            .iter()
            .all(|system| system != "Outside Best")
    );
}

#[test]
#[ignore = "reads published leaderboards, which are not part of the project"]
fn the_two_glue_files_disagree_about_human() {
    let (first, second) = (leaderboard("glue_votenrank.csv"), leaderboard("glue_colombo.csv"));
    let options = read::Options::default();
    let error = read::read_paths(&[&first, &second], &options, None).unwrap_err();
    let Error::Disagreement { disagreements } = &error else {
        panic!("{error}")
    };
    let human = disagreements
        .iter()
        .find(|cell| cell.system == "GLUE Human Baselines" && cell.task == "AX")
        .unwrap();
    assert_eq!((human.first.0[0], human.second.0[0]), (76.6, 0.0));
    let believed = read::read_paths(&[&first, &second], &options, Some(kexue_rank::join::Prefer::First)).unwrap();
    let (row, column) = (
        believed.system("GLUE Human Baselines").unwrap(),
        believed.task("AX").unwrap(),
    );
    assert_eq!(believed.tasks[column].score(row), 76.6);
}

#[test]
#[ignore = "reads published leaderboards, which are not part of the project"]
fn other_leaderboards_are_read_or_refused_with_a_reason() {
    for (name, systems, tasks) in [("value_votenrank.csv", 7, 11), ("superglue_colombo.data", 24, 14)] {
        let table = table(name);
        assert_eq!(
            (table.systems.len(), table.tasks.len()),
            (systems, tasks),
            "{name}: {:?}",
            table.notes
        );
    }
    let path = leaderboard("xtreme_colombo.data");
    let error = read::read_paths(&[path], &read::Options::default(), None).unwrap_err();
    assert!(
        error.to_string().contains(":2: 7 cells where the header has 6"),
        "{error}"
    );
}

#[test]
#[ignore = "reads published leaderboards, which are not part of the project"]
fn official_scores_are_explained() {
    let table = table("glue_votenrank.csv");
    let found = check::check(&table, &check::Options::default()).unwrap();
    let claim = &found.claims[0];
    let rule = &claim.rules[0];
    // The benchmark's own score takes the two columns of MNLI as one task and leaves out the diagnostic.
    assert_eq!(
        (rule.formula, rule.columns.len()),
        (check::Formula::Mean(Mean::ARITHMETIC), 9),
        "{rule:?}"
    );
    assert_eq!(rule.left_out, ["AX"]);
    assert!(rule.rows.len() > 90, "{} of {}", rule.rows.len(), table.systems.len());
}

/// Results of the Python package, made by `benches/peers/rank/votenrank_goldens.py`.
#[derive(serde::Deserialize)]
struct Golden {
    rows: Vec<usize>,
    rules: std::collections::BTreeMap<String, GoldenRule>,
}

#[derive(serde::Deserialize)]
struct GoldenRule {
    winners: Vec<usize>,
    points: Option<Vec<f64>>,
}

#[test]
#[ignore = "reads published leaderboards, which are not part of the project"]
fn votes_agree_with_the_python_package() {
    let goldens: std::collections::BTreeMap<String, Golden> =
        serde_json::from_str(include_str!("goldens/votenrank.json")).unwrap();
    let weights = |list: &[&str]| list.iter().map(|name| ((*name).to_owned(), 0.0)).collect::<Vec<_>>();
    let base = Selection {
        metrics: Metrics::Split,
        drop_rows: true,
        ..Selection::default()
    };
    let cases = [
        (
            "glue",
            "glue_votenrank.csv",
            Selection {
                head: Some(30),
                weights: weights(&["AX"]),
                ..base.clone()
            },
            Missing::Refuse,
        ),
        (
            "superglue",
            "superglue_votenrank.csv",
            Selection {
                weights: weights(&["AX-b", "AX-g (1)", "AX-g (2)"]),
                ..base.clone()
            },
            Missing::Refuse,
        ),
        ("value", "value_votenrank.csv", base.clone(), Missing::Refuse),
        (
            "value_with_missing",
            "value_votenrank.csv",
            Selection {
                drop_rows: false,
                ..base
            },
            Missing::Pairwise,
        ),
    ];
    for (name, file, selection, missing) in cases {
        let table = table(file);
        let golden = &goldens[name];
        let scores = table.select_partial(&selection).unwrap();
        let expected: Vec<&str> = golden
            .rows
            .iter()
            .map(|&row| table.systems[row].name.as_str())
            .collect();
        assert_eq!(scores.scores.systems, expected, "{name}");
        let options = vote::Options {
            ties: Ties::Votenrank,
            missing,
            ..vote::Options::default()
        };
        for outcome in vote::vote(&scores, &Rule::ALL, options).unwrap() {
            let rule = outcome.rule.name().to_lowercase();
            let Some(expected) = golden.rules.get(&rule) else {
                assert!(outcome.refused.is_some(), "{name} {rule}");
                continue;
            };
            let winners: Vec<usize> = outcome.winners.iter().map(|&winner| golden.rows[winner]).collect();
            assert_eq!(winners, expected.winners, "{name} {rule}");
            if let (Some(points), Some(expected)) = (&outcome.points, &expected.points) {
                // Our weights count tasks: the sum of votes is the same, up to the columns that weigh nothing.
                let scale = match points.iter().position(|points| points.abs() > 1e-9) {
                    Some(system) if !matches!(outcome.rule, Rule::Copeland) => expected[system] / points[system],
                    _ => 1.0,
                };
                for (system, (ours, theirs)) in points.iter().zip(expected).enumerate() {
                    assert!(
                        (ours * scale - theirs).abs() < 1e-6,
                        "{name} {rule} {}: {ours} {theirs}",
                        golden.rows[system]
                    );
                }
            }
        }
    }
}
