//! What a reader of messages reads: every refusal names the place, what was expected, and what to do.

use kexue_rank::check::{self, check};
use kexue_rank::flips::flips;
use kexue_rank::resample::{BootstrapOptions, bootstrap};
use kexue_rank::scores::{Columns, Flip};
use kexue_rank::vote::{self, Rule, vote};
use kexue_rank::{Error, Mean, Scores, Selection, Table, read};

fn read(name: &str, bytes: &[u8]) -> Result<Table, Error> {
    read::read_bytes(name, bytes, &read::Options::default())
}

fn snapshot(name: &str, messages: &str) {
    insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!(name, messages) });
}

/// One message a line, each under the text that it is about.
fn refusals(cases: &[(&str, &str)]) -> String {
    cases
        .iter()
        .map(|(name, text)| {
            let error = read(name, text.as_bytes()).expect_err(text);
            format!("{text:?}\n  {error}\n")
        })
        .collect()
}

#[test]
fn separated_values() {
    snapshot(
        "separated_values",
        &refusals(&[
            ("t.csv", ""),
            ("t.csv", "Model,A,B\n"),
            ("t.csv", "Model A B\nx 1 2\n"),
            ("t.csv", "Model,A;B\nx,a;b\n"),
            ("t.tsv", "Model;A\nx;1\n"),
            ("t.csv", "Model,A,B\nx,1\n"),
            ("t.csv", "Model,A,B\nx,93,4,91,2\n"),
            ("t.csv", "Model,A,B\nx,,1,2\n"),
            ("t.csv", "Model,A,B\nx,\"1,2\ny,1,2\n"),
            ("t.csv", "A,B\n1,2\n3,4\n"),
            ("t.csv", "Model,Paper\nx,one\ny,two\n"),
        ]),
    );
}

#[test]
fn cells() {
    snapshot(
        "cells",
        &refusals(&[
            ("t.csv", "Model,A,B\nx,1,2\ny,3,good\nz,3,4\n"),
            ("t.csv", "Model,A\r\nx,1\r\ny,12..5\r\n"),
            ("t.csv", "Model,A\nx,inf\ny,91\n"),
            ("t.csv", "Model,A\nx,1e999\ny,91\n"),
            ("t.csv", "Model;A\nx;1,234\ny;2,345\n"),
            ("t.csv", "Model;A\nx;1.234\ny;2,3\n"),
            ("t.csv", "Model;A\nx;85,3\ny;1,234\nz;85.3\n"),
            ("t.csv", "Model,A\nx,93.4 (2)\ny,92.1 (1)\n"),
            ("t.csv", "Model,A\nx,93.4 (2\ny,92.1\n"),
            ("t.csv", "Model,A\nx,93.4%\ny,0.92\n"),
            ("t.csv", "Model,A\nx,93.4/92\ny,91\n"),
            ("t.csv", "Model,A,Loss\nx,93.4,0.3\ny,91,0.2\n"),
        ]),
    );
}

#[test]
fn markdown_and_latex() {
    snapshot(
        "markdown_and_latex",
        &refusals(&[
            ("t.md", "# No table\n"),
            ("t.md", "| Model | A | B |\n|---|---|---|\n| x | 1 | 2 | 3 |\n"),
            (
                "t.md",
                "| M | A |\n|---|---|\n| x | 1 |\n\n| M | B |\n|---|---|\n| x | 2 |\n",
            ),
            ("t.md", "text\n\n| M | A |\n|---|---|\n| x | 1,234 |\n"),
            ("t.tex", "\\section{None}\n"),
            ("t.tex", "\\begin{tabular}{lr}\nM & A \\\\\nx & 1\n"),
            (
                "t.tex",
                "\\begin{tabular}{lrr}\nM & A & B \\\\\nx & 1 \\\\\ny & 1 & 2 & 3 \\\\\n\\end{tabular}\n",
            ),
            (
                "t.tex",
                "\\begin{tabular}{lr}\nM & A \\\\ \\hline\n\\textbf{x} & $1.2.3$ \\\\\ny & 1 \\\\\n\\end{tabular}\n",
            ),
            ("t.tex", "\\begin{tabular}{lr}\n\\end{tabular}\n"),
        ]),
    );
}

#[test]
fn json_and_metrics() {
    snapshot(
        "json_and_metrics",
        &refusals(&[
            ("t.json", "{\"a\": [1,2"),
            ("t.json", "{\"x\": {\"A\": NaN}}"),
            ("t.json", "42"),
            ("t.json", "[]"),
            ("t.json", "[1, 2]"),
            (
                "t.json",
                "[{\"model\": \"x\", \"A\": 1}, {\"model\": \"y\", \"A\": \"1,234\"}]",
            ),
            ("t.json", "{\"sota\": {\"rows\": []}}"),
            ("t.json", "{\"sota\": {\"rows\": [{\"metrics\": {\"A\": \"1\"}}]}}"),
            (
                "t.json",
                "{\"header\": [{\"value\": \"Model\"}], \"rows\": [[{\"value\": \"x\"}, {\"value\": 1}]]}",
            ),
            (
                "t.json",
                "{\"results\": {\"t\": {\"acc,none\": 0.5, \"f1,none\": 0.4}}, \"config\": {}}",
            ),
            (
                "t.jsonl",
                "{\"step\": 1, \"accuracy\": 0.5}\n{\"step\": 2, \"accuracy\": }\n",
            ),
            ("t.jsonl", "{\"step\": 1, \"accuracy\": NaN}\n"),
            ("t.jsonl", "{\"accuracy\": 0.5}\n"),
            ("t.jsonl", "7\n"),
            ("t.jsonl", "{\"step\": 1}\n"),
            (
                "t.json",
                "[\n  {\"model\": \"x\", \"A\": 1, \"B\": 2},\n  {\"model\": \"y\", \"A\": 1, \"A\": 2}\n]",
            ),
            ("t.json", "{\"x\": {\"A\": 1}, \"x\": {\"A\": 2}}"),
            (
                "t.jsonl",
                "{\"step\": 1, \"A\": 0.5}\n{\"step\": 2, \"A\": 0.5, \"A\": 0.6}\n",
            ),
        ]),
    );
}

#[test]
fn bytes() {
    let messages: Vec<String> = [&b"Model,A\nM\xfcller,1\n"[..], b"\xff\xfeM\0o\0", b"\x00\x01\x02\x03"]
        .iter()
        .map(|bytes| read("t.csv", bytes).unwrap_err().to_string())
        .collect();
    snapshot("bytes", &messages.join("\n"));
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("one.csv"), "Model,A,B\nx,1,2\ny,3,4\n").unwrap();
    std::fs::write(path("two.csv"), "Model,A,B\n\ny,3,5\n").unwrap();
    let read = |names: &[&str], options: &read::Options| {
        let paths: Vec<_> = names.iter().map(|name| path(name)).collect();
        let error = read::read_paths(&paths, options, None).unwrap_err().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    };
    let typo = read::Options {
        lower: vec!["C".to_owned()],
        ..read::Options::default()
    };
    let messages = [
        read(&["none.csv"], &read::Options::default()),
        read(&["."], &read::Options::default()),
        read(&["one.csv", "two.csv"], &read::Options::default()),
        read(&["one.csv"], &typo),
    ];
    snapshot("files", &messages.join("\n"));
}

#[test]
fn questions() {
    let table = read(
        "t.csv",
        b"Model,A,B,Err\xe2\x86\x93,Average\nx,0,4,10,-\ny,-3,5,12,1\nz,7,-,13,\n",
    )
    .unwrap();
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let columns = |list: &[&str]| Selection {
        columns: Columns::Named(names(list)),
        ..Selection::default()
    };
    let select = |selection: Selection| table.select(&selection).unwrap_err();
    let scores = table.select(&columns(&["A"])).unwrap();
    let one = |rows: usize| Scores::new(vec!["s".to_owned(); rows], names(&["t"]), vec![1.0; rows]).unwrap();
    let mut bare = table.clone();
    bare.claims.clear();
    let missing = table.select_partial(&columns(&["B"])).unwrap();
    let errors = [
        select(Selection::default()),
        select(columns(&["A", "B"])),
        select(columns(&["A", "Q"])),
        select(Selection {
            systems: names(&["w"]),
            ..columns(&["A"])
        }),
        select(Selection {
            head: Some(0),
            ..columns(&["A"])
        }),
        select(Selection {
            without: names(&["A"]),
            ..columns(&["A"])
        }),
        select(Selection {
            weights: vec![("A".to_owned(), 0.0)],
            ..columns(&["A"])
        }),
        select(Selection {
            weights: vec![("Q".to_owned(), 2.0)],
            ..columns(&["A"])
        }),
        select(Selection {
            groups: vec![("G".to_owned(), names(&["Q"]))],
            ..columns(&["A"])
        }),
        select(Selection {
            merge: vec![("M".to_owned(), names(&["A", "Err"]))],
            ..Selection::default()
        }),
        select(Selection {
            merge: vec![("M".to_owned(), names(&["A"])), ("N".to_owned(), names(&["A"]))],
            ..Selection::default()
        }),
        table
            .select(&Selection {
                flip: Some(Flip::Reciprocal),
                columns: Columns::Named(names(&["A", "Err"])),
                ..Selection::default()
            })
            .and_then(|scores| scores.means(Mean::GEOMETRIC))
            .unwrap_err(),
        scores.means(Mean::HARMONIC).unwrap_err(),
        scores.means(Mean::Power(0.5)).unwrap_err(),
        flips(&scores, [Mean::ARITHMETIC, Mean::HARMONIC]).unwrap_err(),
        flips(&one(6000), [Mean::ARITHMETIC, Mean::HARMONIC]).unwrap_err(),
        bootstrap(
            &scores,
            Mean::ARITHMETIC,
            BootstrapOptions {
                noise: true,
                ..BootstrapOptions::default()
            },
        )
        .unwrap_err(),
        bootstrap(
            &scores,
            Mean::ARITHMETIC,
            BootstrapOptions {
                level: 1.5,
                ..BootstrapOptions::default()
            },
        )
        .unwrap_err(),
        vote(&missing, &Rule::ALL, vote::Options::default()).unwrap_err(),
        check(&bare, &check::Options::default()).unwrap_err(),
        "mode".parse::<Mean>().unwrap_err(),
    ];
    snapshot("questions", &errors.map(|error| format!("{error}\n")).concat());
}
