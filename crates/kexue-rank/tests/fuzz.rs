//! No bytes make a reader panic, and no table makes an analysis panic.

use kexue_rank::check::{self, check};
use kexue_rank::flips::flips;
use kexue_rank::ranking::rank_by_three;
use kexue_rank::read::{self, Format, MetricRows, Options, Parentheses};
use kexue_rank::resample::{BootstrapOptions, bootstrap, leave_one_out};
use kexue_rank::scores::{Columns, Metrics};
use kexue_rank::vote::{Missing, Rule, vote};
use kexue_rank::{Mean, Selection, Table, picture, present};
use proptest::prelude::*;

const NAMES: [&str; 9] = [
    "t.csv",
    "t.tsv",
    "t.md",
    "t.tex",
    "t.json",
    "t.jsonl",
    "t",
    "t.data",
    "a:b,model=c/stats.json",
];

/// Whole files from which mutations start, by a name that tells their format.
const SEEDS: [(&str, &str); 11] = [
    (
        "t.csv",
        "Rank,Name,Model,URL,Score,CoLA,MRPC,AX\n1,T,x,,91.1,75.5,93.9/91.8,60\n,T,\"y, z\",,90,74,92/90 ,-0.4\n2,U,w,,89.0,70.5,91/90,50\n",
    ),
    (
        "t.csv",
        "Model;A;B;Avg\nx;85,3;41,5;63,4\ny;91,25;30,1;60,675\nz;80,0;39,5;59,8\n",
    ),
    (
        "t.md",
        "| Model | A | B ↑ | AM |\n|---|:-:|--:|---|\n| **x** | 93.4% | 1.5 ± 0.2 | 47.5 |\n| y | 90.9% | 2.5 | 46.7 |\n",
    ),
    (
        "t.tex",
        "\\begin{tabular}{lcc}\n & \\multicolumn{2}{c}{G} \\\\ \\cmidrule(lr){2-3}\nM & A & B \\\\ % c\n\\textbf{x} & $90.1_{\\pm 0.2}$ & 3 \\\\[2pt]\n\
         y & 1 & 2 \\\\\n\\end{tabular}",
    ),
    (
        "t.json",
        "[{\"model\": \"x\", \"A\": 1.5, \"metrics\": {\"B\": \"2\"}}, {\"model\": \"y\", \"A\": 2, \"B\": 1}]",
    ),
    (
        "t.json",
        "{\"x\": {\"A\": 1.5, \"B\": 2}, \"y\": {\"A\": 2, \"B\": null}}",
    ),
    (
        "t.json",
        "{\"results\": {\"t\": {\"acc,none\": 0.5, \"acc_stderr,none\": 0.1}}, \"config\": {\"model_args\": \"pretrained=x\"}, \
         \"group_subtasks\": {\"g\": [\"t\"]}}",
    ),
    (
        "t.json",
        "[{\"task\": \"T\", \"datasets\": [{\"dataset\": \"D\", \"sota\": {\"rows\": [{\"model_name\": \"x\", \"metrics\": {\"A\": \"9\"}}]}}], \
         \"subtasks\": []}]",
    ),
    (
        "t.json",
        "[{\"title\": \"T\", \"header\": [{\"value\": \"Model\"}, {\"value\": \"A\", \"lower_is_better\": true}], \"rows\": [[{\"value\": \"x\"}, \
         {\"value\": 1}]]}]",
    ),
    (
        "a:b,model=c/stats.json",
        "[{\"name\": {\"name\": \"exact_match\", \"split\": \"test\"}, \"count\": 1, \"sum\": 0.5, \"mean\": 0.5}]",
    ),
    (
        "t.jsonl",
        "{\"step\": 1, \"f1\": 2.5, \"em\": 1}\n{\"step\": 2, \"f1\": 2, \"em\": 2}\n",
    ),
];

/// Pieces that mean something to one of the readers.
const PIECES: [&str; 36] = [
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r\n",
    "\"",
    "-",
    "1,234",
    "1.234",
    "93,4",
    "%",
    "±",
    "/",
    "(",
    ")",
    "&",
    "\\\\",
    "{",
    "}",
    "[",
    "]",
    "\\multicolumn{99999999999999}{c}{x}",
    "\\multicolumn{3}{c}{x}",
    "\\begin{tabular}",
    "\\end{tabular}",
    "1e308",
    "1e-308",
    "-0",
    "NaN",
    "↓",
    "\u{1F600}",
    "0",
    "100",
    "null",
    "<sup>",
];

fn everything(table: &Table) {
    let small = |table: &Table| table.systems.len() <= 40 && table.tasks.len() <= 12;
    let selections = [
        Selection::default(),
        Selection {
            drop_rows: true,
            metrics: Metrics::Split,
            ..Selection::default()
        },
        Selection {
            columns: Columns::Common,
            ..Selection::default()
        },
    ];
    for selection in selections {
        if let Ok(partial) = table.select_partial(&selection) {
            for missing in [Missing::Refuse, Missing::Pairwise, Missing::Last] {
                let options = kexue_rank::vote::Options {
                    missing,
                    ..kexue_rank::vote::Options::default()
                };
                if let Ok(outcomes) = vote(&partial, &Rule::ALL, options) {
                    present::votes_report(&partial.scores, &outcomes, 5).to_text(true);
                    present::votes_json(table, &partial.scores, &outcomes);
                }
            }
        }
        let Ok(scores) = table.select(&selection) else { continue };
        let Ok(ranking) = rank_by_three(&scores) else { continue };
        present::ranking_report(&scores, &ranking, 5).to_markdown();
        present::ranking_json(table, &scores, &ranking);
        for mean in [
            Mean::ARITHMETIC,
            Mean::Power(0.5),
            Mean::Power(-7.0),
            Mean::Median,
            Mean::MINIMUM,
        ] {
            let _ = leave_one_out(&scores, mean);
            let options = BootstrapOptions {
                resamples: 7,
                noise: scores.errors.is_some(),
                ..BootstrapOptions::default()
            };
            let _ = bootstrap(&scores, mean, options);
        }
        if small(table) {
            let _ = flips(&scores, [Mean::ARITHMETIC, Mean::HARMONIC]);
            let options = BootstrapOptions {
                resamples: 7,
                ..BootstrapOptions::default()
            };
            if let Ok(found) = bootstrap(&scores, Mean::ARITHMETIC, options) {
                let _ = picture::page(&scores, &found, "t");
            }
        }
    }
    if small(table)
        && let Ok(found) = check(table, &check::Options::default())
    {
        present::check_report(table, &found, 5).to_markdown();
        present::check_json(table, &found);
    }
}

fn try_all(name: &str, bytes: &[u8]) {
    let formats = [
        None,
        Some(Format::Csv),
        Some(Format::Markdown),
        Some(Format::Latex),
        Some(Format::Json),
        Some(Format::Metrics),
    ];
    for format in formats {
        let options = Options {
            format,
            parentheses: Parentheses::Drop,
            metric: if format == Some(Format::Json) {
                vec!["acc".into()]
            } else {
                Vec::new()
            },
            metric_rows: (format == Some(Format::Metrics)).then_some(MetricRows::Last),
            ..Options::default()
        };
        match read::read_bytes(name, bytes, &options) {
            Ok(table) => everything(&table),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

#[test]
fn whole_files_reach_every_analysis() {
    for (name, text) in SEEDS {
        let table = read::read_bytes(name, text.as_bytes(), &Options::default()).unwrap();
        everything(&table);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), name in prop::sample::select(&NAMES[..])) {
        try_all(name, &bytes);
    }

    #[test]
    fn any_text_of_meaningful_pieces(
        pieces in prop::collection::vec(prop_oneof![prop::sample::select(&PIECES[..]), prop::sample::select(&["a", "Model", "9", "x "][..])], 0..80),
        name in prop::sample::select(&NAMES[..]),
    ) {
        try_all(name, pieces.concat().as_bytes());
    }

    #[test]
    fn mutated_files(
        seed in 0..SEEDS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, prop::sample::select(&PIECES[..])), 1..6),
    ) {
        let (name, text) = SEEDS[seed];
        let mut bytes = text.as_bytes().to_vec();
        for (at, kind, piece) in edits {
            let at = at.index(bytes.len() + 1);
            match kind {
                0 => { bytes.splice(at..at, piece.bytes()); }
                1 => { bytes.truncate(at.max(1)); }
                2 if at < bytes.len() => { bytes.remove(at); }
                _ => {
                    let copy = bytes[..at].to_vec();
                    let end = (bytes.len() + copy.len()).min(2000);
                    bytes.extend(copy);
                    bytes.truncate(end);
                }
            }
        }
        try_all(name, &bytes);
    }

    /// What is printed in any form is read as it was.
    #[test]
    fn printed_tables_are_read_back(
        rows in (1usize..5).prop_flat_map(|tasks| prop::collection::vec(prop::collection::vec(0u32..2000, tasks), 1..6)),
        semicolons in any::<bool>(),
    ) {
        let tasks = rows[0].len();
        let (separator, mark) = if semicolons { (';', ",") } else { (',', ".") };
        let mut text = String::from("Model");
        (0..tasks).for_each(|task| text.push_str(&format!("{separator}T{task}")));
        for (index, row) in rows.iter().enumerate() {
            text.push_str(&format!("\nS{index}"));
            row.iter().for_each(|score| text.push_str(&format!("{separator}{}{mark}{:02}", score / 100, score % 100)));
        }
        let table = read::read_bytes("t.csv", text.as_bytes(), &Options::default()).unwrap();
        for (index, row) in rows.iter().enumerate() {
            for (task, score) in row.iter().enumerate() {
                prop_assert_eq!(table.tasks[task].score(index), f64::from(*score) / 100.0);
            }
        }
    }
}
