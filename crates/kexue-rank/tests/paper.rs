//! The table of the paper that the article takes apart, and the three rules that it finds behind it.
//!
//! Scores are those of the public leaderboards and of the systems' papers. The averages are made by the article's three rules,
//! which reproduce every average it quotes.

use std::path::{Path, PathBuf};

use kexue_rank::check::{self, Fit, Formula};
use kexue_rank::{Mean, Selection, Table, read};

fn table(name: &str) -> Table {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables").join(name);
    read::read_paths(&[path], &read::Options::default(), None).unwrap()
}

#[test]
fn glue_is_averaged_over_ten_columns_and_over_eleven_but_for_human() {
    let found = check::check(&table("paper_glue.md"), &check::Options::default()).unwrap();
    assert!(!found.is_consistent());
    let [am, gm, hm] = &found.claims[..] else {
        panic!("{found:#?}")
    };

    assert_eq!(am.rules.len(), 1, "{am:#?}");
    assert_eq!(
        (am.rules[0].formula, &am.rules[0].left_out[..]),
        (Formula::Mean(Mean::ARITHMETIC), &["AX".to_owned()][..])
    );
    assert_eq!(am.rules[0].rows.len(), 10);
    assert!(am.is_consistent());

    for (claim, mean) in [(gm, Mean::GEOMETRIC), (hm, Mean::HARMONIC)] {
        assert!(claim.unexplained.is_empty());
        assert!(
            claim
                .rules
                .iter()
                .all(|rule| rule.formula == Formula::Mean(mean) && rule.rows.iter().all(|row| row.fit == Fit::Printed))
        );
        let sets: Vec<(usize, Vec<String>)> = claim
            .column_sets()
            .into_iter()
            .map(|(columns, systems)| (columns.len(), systems))
            .collect();
        assert_eq!(sets.len(), 2, "{sets:?}");
        assert_eq!((sets[0].0, sets[0].1.len()), (11, 9));
        assert_eq!(sets[1], (10, vec!["Human".to_owned()]));
        // Human is first by the claims and in the middle on equal columns.
        let human = claim.moved.iter().find(|(name, _, _)| name == "Human").unwrap();
        assert_eq!(human.1, 1);
        assert!(human.2 > 5, "{:?}", claim.moved);
    }
    assert!(
        found
            .findings
            .iter()
            .any(|finding| finding.contains("different columns")),
        "{:?}",
        found.findings
    );
}

#[test]
fn superglue_is_averaged_over_eight_columns_and_over_ten() {
    let table = table("paper_superglue.tex");
    assert!(
        table.notes.iter().any(|note| note.contains("decimal commas")),
        "{:?}",
        table.notes
    );
    let found = check::check(&table, &check::Options::default()).unwrap();
    let [am, gm, hm] = &found.claims[..] else {
        panic!("{found:#?}")
    };
    assert_eq!(am.rules[0].left_out, ["AX-b", "AX-g"]);
    for (claim, mean, left_out) in [
        (am, Mean::ARITHMETIC, 2),
        (gm, Mean::GEOMETRIC, 0),
        (hm, Mean::HARMONIC, 0),
    ] {
        assert!(claim.is_consistent(), "{claim:#?}");
        assert_eq!(
            (claim.rules[0].formula, claim.rules[0].left_out.len()),
            (Formula::Mean(mean), left_out)
        );
    }
    for claim in [gm, hm] {
        assert!(
            claim
                .moved
                .contains(&("Human".to_owned(), 1, if claim.name == "GM" { 4 } else { 5 })),
            "{:?}",
            claim.moved
        );
        assert_eq!(claim.equal_columns.len(), 8);
    }
    assert_eq!(found.findings.len(), 1, "{:?}", found.findings);
    assert!(
        found.findings[0].contains("AM over 8 columns (without AX-b, AX-g)"),
        "{:?}",
        found.findings
    );
}

#[test]
fn means_that_the_article_quotes() {
    // Table, columns left out, system, and its arithmetic, geometric and harmonic mean.
    let quoted: [(&str, &[&str], &str, [f64; 3]); 7] = [
        (
            "paper_superglue.tex",
            &["AX-b", "AX-g"],
            "ERNIE 3.0",
            [90.62, 90.20, 89.76],
        ),
        (
            "paper_superglue.tex",
            &["AX-b", "AX-g"],
            "DeBERTa",
            [90.29, 89.90, 89.48],
        ),
        ("paper_superglue.tex", &["AX-b", "AX-g"], "Human", [89.79, 89.09, 88.32]),
        (
            "paper_superglue.tex",
            &["AX-b", "AX-g"],
            "T5-11B",
            [89.25, 88.91, 88.54],
        ),
        ("paper_glue.md", &["AX"], "Human", [87.59, 86.91, 86.16]),
        ("paper_glue.md", &["AX"], "MT-DNN", [83.03, 82.30, 81.50]),
        ("paper_glue.md", &[], "MT-DNN", [79.15, 77.13, 74.57]),
    ];
    for (file, without, system, expected) in quoted {
        let selection = Selection {
            without: without.iter().map(|name| (*name).to_owned()).collect(),
            systems: vec![system.to_owned()],
            ..Selection::default()
        };
        let scores = table(file).select(&selection).unwrap();
        for (mean, expected) in [Mean::ARITHMETIC, Mean::GEOMETRIC, Mean::HARMONIC]
            .into_iter()
            .zip(expected)
        {
            let found = scores.means(mean).unwrap()[0];
            assert!((found - expected).abs() <= 0.005 + 1e-9, "{system}, {mean}: {found}");
        }
    }
}

#[test]
fn the_human_row_is_found_out_even_if_a_zero_stands_for_the_missing_score() {
    let mut table = table("paper_glue.md");
    let human = table.system("Human").unwrap();
    let ax = table.task("AX").unwrap();
    table.tasks[ax].metrics[0][human] = 0.0;
    let found = check::check(&table, &check::Options::default()).unwrap();
    let hm = &found.claims[2];
    assert_eq!(hm.rules.len(), 2, "{hm:#?}");
    assert_eq!(hm.rules[1].left_out, ["AX"]);
    assert_eq!(hm.rules[1].rows[0].system, "Human");
}
