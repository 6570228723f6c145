//! Tables as people publish them that once were read wrongly, each with the right reading.

use kexue_rank::read::{self, Options, Parentheses};
use kexue_rank::{Direction, Table};

fn read_with(name: &str, text: &str, options: &Options) -> Result<Table, String> {
    read::read_bytes(name, text.as_bytes(), options).map_err(|error| error.to_string())
}

fn read(name: &str, text: &str) -> Table {
    read_with(name, text, &Options::default()).unwrap()
}

fn refusal(name: &str, text: &str) -> String {
    read_with(name, text, &Options::default()).unwrap_err()
}

fn systems(table: &Table) -> Vec<&str> {
    table.systems.iter().map(|system| system.name.as_str()).collect()
}

fn tasks(table: &Table) -> Vec<&str> {
    table.tasks.iter().map(|task| task.name.as_str()).collect()
}

fn claims(table: &Table) -> Vec<&str> {
    table.claims.iter().map(|claim| claim.name.as_str()).collect()
}

fn scores(table: &Table) -> Vec<Vec<f64>> {
    (0..table.systems.len())
        .map(|row| table.tasks.iter().map(|task| task.score(row)).collect())
        .collect()
}

#[test]
fn both_metrics_of_a_cell_are_read_with_their_parentheses() {
    let text = "| Model | Dev | Test |\n|---|---|---|\n| a | 60.0 (59.0) / 90.0 (89.0) | 50.0 (49.0) |\n\
                | b | 70.0 (69.0) / 72.0 (69.5) | 50.0 (48.0) |\n";
    let message = refusal("t.md", text);
    assert!(
        message.contains("t.md:3: column `Dev`: `60.0 (59.0) / 90.0 (89.0)`"),
        "{message}"
    );
    for parentheses in [Parentheses::Drop, Parentheses::Error] {
        let options = Options {
            parentheses,
            ..Options::default()
        };
        let table = read_with("t.md", text, &options).unwrap();
        assert_eq!(table.tasks[0].metrics, [[60.0, 70.0], [90.0, 72.0]]);
        assert_eq!(scores(&table), [[75.0, 50.0], [71.0, 50.0]]);
    }
}

#[test]
fn metrics_named_in_parentheses_are_read_in_one_order() {
    let table = read(
        "t.md",
        "| Model | CB | RTE |\n|---|---|---|\n| a | 80.0(f1) 90.0(acc) | 78.7(acc) |\n| b | 70.0 (acc), 10.0 (f1) | 70.0(acc) |\n",
    );
    assert_eq!(table.tasks[0].metrics, [[80.0, 10.0], [90.0, 70.0]]);
    assert_eq!(scores(&table), [[85.0, 78.7], [40.0, 70.0]]);
    let message = refusal("t.csv", "Model,CB\na,80.0(f1) 90.0(acc)\nb,70.0(f1) 60.0(em)\n");
    assert!(
        message.starts_with("t.csv:3: column `CB`") && message.contains("words in parentheses differ"),
        "{message}"
    );
}

#[test]
fn a_column_of_scores_never_falls_out_as_words() {
    for cells in [
        ["83.9 f1 and 87.5 acc", "10.0 f1 and 90.0 acc"],
        ["60.0 (59.0", "50.0 (49.0"],
        ["93.4_{0.2}", "93.1_{0.1}"],
        ["93.4 0.2", "93.1 0.1"],
        ["90 80", "70 60"],
        ["90<br>80", "70<br>60"],
    ] {
        let text = format!("Model,A,B\na,1.0,{}\nb,2.0,{}\n", cells[0], cells[1]);
        let message = refusal("t.csv", &text);
        assert!(message.starts_with("t.csv:2: column `B`"), "{cells:?}: {message}");
    }
    let table = read("t.csv", "Model,A,Params,Base\na,1.0,1.5B,v1.2\nb,2.0,340M,v1.3\n");
    assert_eq!(tasks(&table), ["A"]);
}

#[test]
fn markup_never_joins_two_numbers() {
    for cell in ["93.4_{2}", "93.4<sub>2</sub>", "$93_{2}$", "93.4\\std{2}", "93~2"] {
        let message = refusal("t.csv", &format!("Model,A\na,{cell}\nb,90.0\n"));
        assert!(message.starts_with("t.csv:2: column `A`"), "{cell}: {message}");
    }
}

#[test]
fn a_narrower_average_is_a_task_unless_it_is_a_mean_of_columns() {
    let table = read(
        "t.csv",
        "Model,A,B,sub_avg,Average\nm,10,20,30,20\nn,30,50,40,40\no,12,15,60,29\n",
    );
    assert_eq!(
        (tasks(&table), claims(&table)),
        (vec!["A", "B", "sub_avg"], vec!["Average"])
    );
    let table = read(
        "t.csv",
        "Model,A,B,C,AB avg,Average\nm,10,20,30,15,20\nn,30,50,40,40,40\no,12,16,62,14,30\n",
    );
    assert_eq!(
        (tasks(&table), claims(&table)),
        (vec!["A", "B", "C"], vec!["AB avg", "Average"])
    );
}

#[test]
fn headings_that_are_no_scores_and_headings_that_are() {
    let table = read(
        "t.csv",
        "Model,Model size (B),Average Precision,RTFx,Version,Stderr,A,平均\nm,7,50.0,1200.5,1,0.5,60.0,55.0\n",
    );
    assert_eq!(
        (tasks(&table), claims(&table)),
        (vec!["Average Precision", "A"], vec!["平均"])
    );
    let note = &table.notes[0];
    assert!(
        note.contains("not used: Model size (B), RTFx, Version, Stderr"),
        "{note}"
    );
    for total in ["平均", "平均分", "总分"] {
        let table = read("t.csv", &format!("模型,甲,乙,{total}\nm,10,20,15\nn,30,50,40\n"));
        assert_eq!((tasks(&table), claims(&table)), (vec!["甲", "乙"], vec![total]));
    }
}

#[test]
fn a_rate_of_hallucinations_is_asked_about() {
    let text = "Model,Hallucination Rate,Factual Consistency Rate\np,1.8,98.2\nq,3.3,96.7\n";
    let message = refusal("t.csv", text);
    assert!(
        message.contains("column `Hallucination Rate`") && message.contains("`hallucination`"),
        "{message}"
    );
    let options = Options {
        lower: vec!["Hallucination Rate".into()],
        ..Options::default()
    };
    let table = read_with("t.csv", text, &options).unwrap();
    assert_eq!(table.tasks[0].direction, Direction::Lower);
}

#[test]
fn every_arrow_of_latex_is_an_arrow() {
    let table = read(
        "t.tex",
        "\\begin{tabular}{lcc}\nM & Acc & Time $(\\Downarrow)$ \\\\\na & 90 & 100 \\\\\nb & 80 & 50 \\\\\n\\end{tabular}\n",
    );
    assert_eq!(tasks(&table), ["Acc", "Time"]);
    assert_eq!(table.tasks[1].direction, Direction::Lower);
}

#[test]
fn a_link_and_its_words_are_one_system() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let paths = [
        write(
            "t.md",
            "| Model | RTE |\n|---|---|\n| [A](https://ex.org/a_(b)) | [50](https://ex.org/r) |\n| B | 40 |\n",
        ),
        write("t.csv", "Model,CB\nA,60\nB,80\n"),
    ];
    let table = read::read_paths(&paths, &Options::default(), None).unwrap();
    assert_eq!(systems(&table), ["A", "B"]);
    assert_eq!(scores(&table), [[50.0, 60.0], [40.0, 80.0]]);
}

#[test]
fn short_rows_are_filled_up_and_rows_of_one_cell_skipped() {
    let table = read(
        "t.md",
        "| Model | RTE | CB |\n|---|---|---|\n| **Large** |\n| a | 50 | 60 |\n| *Base* | | |\n| b | 40\n",
    );
    assert_eq!(systems(&table), ["a", "b"]);
    assert!(table.tasks[1].is_missing(1) && table.tasks[0].score(1) == 40.0);
    assert!(
        table.notes.iter().any(|note| note.contains("Large, Base")),
        "{:?}",
        table.notes
    );
    assert_eq!(systems(&read("t.csv", "Model,RTE,CB\nLarge,,\na,50,60\n")), ["a"]);
    // A system without any score is told from a heading by its marks of missing scores.
    assert_eq!(systems(&read("t.csv", "Model,RTE,CB\na,-,-\nb,50,60\n")), ["a", "b"]);
    let message = refusal("t.md", "| Model | A |\n|---|---|\n| x | 1 | 2 |\n");
    assert!(message.contains("3 cells where the header has 2"), "{message}");
}

#[test]
fn columns_that_are_left_out_are_never_ambiguous() {
    let without = |name: &str, text: &str, column: &str| {
        let options = Options {
            ignore: vec![column.into()],
            ..Options::default()
        };
        read_with(name, text, &options)
    };
    for (column, cell) in [("Time (s)", "3"), ("A (x)", "93.4 (2)"), ("B", "1,234")] {
        let text = format!("Model;{column};C\nm;{cell};5\n");
        assert_eq!(tasks(&without("t.csv", &text, column).unwrap()), ["C"], "{column}");
    }
    let harness = r#"{"results": {"t": {"acc,none": 0.5, "f1,none": 0.4}, "u": {"acc,none": 0.5}}, "config": {}}"#;
    assert_eq!(tasks(&without("t.json", harness, "t").unwrap()), ["u"]);
}

#[test]
fn a_pointer_of_git_lfs_is_named() {
    let message = refusal(
        "t.csv",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 12345\n",
    );
    assert!(
        message.contains("Git LFS pointer") && message.contains("git lfs pull"),
        "{message}"
    );
}

#[test]
fn a_byte_order_mark_is_no_character() {
    for (name, text) in [
        ("t.csv", "Model,A\nm,1\n"),
        ("t.md", "| Model | A |\n|---|---|\n| m | 1 |\n"),
        ("t.json", "[{\"Model\": \"m\", \"A\": 1}]"),
        ("m.jsonl", "{\"step\": 1, \"A\": 1}\n"),
        ("t", "Model,A\nm,1\n"),
    ] {
        assert_eq!(read(name, text), read(name, &format!("\u{feff}{text}")), "{name}");
    }
}

#[test]
fn a_file_of_one_table_has_no_other() {
    for (name, text) in [
        ("t.csv", "Model,A\nm,1\n"),
        ("t.tsv", "Model\tA\nm\t1\n"),
        ("t.jsonl", "{\"step\": 1, \"A\": 1}\n"),
        ("t.json", "[{\"model\": \"m\", \"A\": 1}]"),
        ("t.json", "{\"m\": {\"A\": 1}}"),
    ] {
        let number = |number: usize| {
            let options = Options {
                table: Some(number),
                ..Options::default()
            };
            read_with(name, text, &options)
        };
        assert_eq!(number(1).unwrap(), read(name, text));
        for wrong in [0, 2] {
            let message = number(wrong).unwrap_err();
            assert!(
                message.starts_with(&format!(
                    "{name}: no table {wrong}; a file of this format has one table"
                )),
                "{message}"
            );
        }
    }
}

#[test]
fn a_column_has_one_direction() {
    let options = Options {
        lower: vec!["A x".into()],
        higher: vec!["a-x".into()],
        ..Options::default()
    };
    let message = read_with("t.csv", "Model,A x,B\nm,1,2\n", &options).unwrap_err();
    assert!(
        message.starts_with("t.csv:1: column `A x`: both lower and higher scores"),
        "{message}"
    );
}

#[test]
fn json_that_is_neither_number_nor_text_is_said() {
    for text in [
        r#"[{"model": "m", "open": true, "A": 1}, {"model": "n", "open": false, "A": 2, "tags": ["x"]}]"#,
        r#"[{"model": "m", "A": 1, "more": {"open": true, "tags": []}}, {"model": "n", "A": 2}]"#,
        r#"{"m": {"A": 1, "open": true}, "n": {"A": 2, "tags": {}}}"#,
    ] {
        let table = read("t.json", text);
        assert_eq!((systems(&table), tasks(&table)), (vec!["m", "n"], vec!["A"]));
        assert!(
            table
                .notes
                .iter()
                .any(|note| note == "neither numbers nor text, not used: open, tags"),
            "{:?}",
            table.notes
        );
    }
    let table = read("t.csv", "Model,Open,A\nm,true,1\nn,false,2\n");
    assert!(table.notes[0].contains("not used: Open (text)"), "{:?}", table.notes);
}

#[test]
fn json_is_read_as_it_is_written() {
    let table = read(
        "t.json",
        r#"[{"model": "m", "A": -1, "B": 18446744073709551615, "C": 1.5e-3, "D": null}, {"model": "n", "A": 2, "B": 0, "C": "2", "D": 1}]"#,
    );
    assert_eq!(scores(&table)[0][..3], [-1.0, 18_446_744_073_709_551_615.0, 0.0015]);
    assert!(table.tasks[3].is_missing(0));
}
