//! Every form of file, and what cannot be read in one way only.

use kexue_rank::read::{self, DecimalMark, MetricRows, Options, Parentheses};
use kexue_rank::{Direction, Error, Selection, Table};

fn read(name: &str, text: &str) -> Table {
    read::read_bytes(name, text.as_bytes(), &Options::default()).unwrap()
}

fn refusal(name: &str, text: &str) -> String {
    read::read_bytes(name, text.as_bytes(), &Options::default())
        .unwrap_err()
        .to_string()
}

fn scores(table: &Table) -> Vec<Vec<f64>> {
    (0..table.systems.len())
        .map(|row| table.tasks.iter().map(|task| task.score(row)).collect())
        .collect()
}

fn systems(table: &Table) -> Vec<&str> {
    table.systems.iter().map(|system| system.name.as_str()).collect()
}

fn tasks(table: &Table) -> Vec<&str> {
    table.tasks.iter().map(|task| task.name.as_str()).collect()
}

#[test]
fn the_same_table_in_every_form() {
    let forms = [
        ("t.csv", "Model,A,B\nx,90.5,80\ny,70,60.25\n"),
        ("t.csv", "Model;A;B\nx;90,5;80\ny;70;60,25\n"),
        ("t.tsv", "Model\tA\tB\nx\t90.5\t80\ny\t70\t60.25\n"),
        ("t.txt", "Model|A|B\nx|90.5|80\ny|70|60.25\n"),
        (
            "t.md",
            "Some words.\n\n| Model | A | B |\n|:--|--:|---|\n| **x** | **90.5** | 80 |\n| y | 70 | `60.25` |\n\nMore | words\n",
        ),
        (
            "t.tex",
            "\\begin{table}\\begin{tabular}{lrr}\\toprule\nModel & A & B \\\\ \\midrule % header\n\
             \\textbf{x} & \\textbf{90.5} & $80$ \\\\\ny & 70 & \\underline{60.25} \\\\[2pt]\n\\bottomrule\\end{tabular}\\end{table}",
        ),
        (
            "t.json",
            r#"[{"model": "x", "A": 90.5, "B": 80}, {"model": "y", "A": 70, "B": 60.25}]"#,
        ),
        ("t.json", r#"{"x": {"A": 90.5, "B": 80}, "y": {"A": 70, "B": 60.25}}"#),
        (
            "t.json",
            r#"[{"task": "T", "datasets": [{"dataset": "D", "sota": {"metrics": ["A", "B"], "rows": [
                {"model_name": "x", "metrics": {"A": "90.5", "B": "80"}},
                {"model_name": "y", "metrics": {"A": "70", "B": "60.25"}}]}}], "subtasks": []}]"#,
        ),
        (
            "t.json",
            r#"{"title": "T", "header": [{"value": "Model/adapter"}, {"value": "A", "lower_is_better": false}, {"value": "B"}],
                "rows": [[{"value": "x"}, {"value": 90.5}, {"value": 80}], [{"value": "y"}, {"value": 70}, {"value": 60.25}]]}"#,
        ),
    ];
    for (name, text) in forms {
        let table = read(name, text);
        assert_eq!(systems(&table), ["x", "y"], "{text}");
        assert_eq!(tasks(&table), ["A", "B"], "{text}");
        assert_eq!(scores(&table), [[90.5, 80.0], [70.0, 60.25]], "{text}");
    }
}

#[test]
fn columns_are_guessed_and_said() {
    let table = read(
        "t.csv",
        "Rank,Name,Model,URL,Score,CoLA,F1\n1,Team,x,,80.0,70.0,90/91\n,Team,y,,79.5,-,88/90\n",
    );
    assert_eq!(systems(&table), ["x", "y"]);
    assert_eq!(tasks(&table), ["CoLA", "F1"]);
    assert_eq!(table.claims[0].name, "Score");
    assert!(!table.systems[1].ranked && table.systems[0].ranked);
    assert_eq!(table.tasks[1].metrics, [[90.0, 88.0], [91.0, 90.0]]);
    assert!(table.tasks[0].is_missing(1));
    let notes = table.notes.join("\n");
    for said in [
        "named by `Model`",
        "CoLA, F1 (2 metrics)",
        "averages: Score",
        "not used: Name (text), URL",
        "rows without a rank",
    ] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
}

#[test]
fn flags_name_columns() {
    let text = "id,who,A,B,note\n1,x,1.0,2.0,fine\n2,y,3.0,4.0,\n";
    let options = Options {
        system: vec!["who".into()],
        tasks: vec!["b".into()],
        ..Options::default()
    };
    let table = read::read_bytes("t.csv", text.as_bytes(), &options).unwrap();
    assert_eq!((systems(&table), tasks(&table)), (vec!["x", "y"], vec!["B"]));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_with_its_place() {
    for (text, place, words) in [
        (
            "Model,A\nx,\"1,234\"\ny,5\n",
            "t.csv:2: column `A`",
            "thousands or decimals",
        ),
        ("Model;A\nx;85,3\ny;1.234\n", "t.csv:3: column `A`", "thousands"),
        ("Model,A\nx,93.4 (2)\n", "t.csv:2: column `A`", "parentheses"),
        ("Model,A\nx,93.4\ny,91/92\n", "t.csv:2: column `A`", "more metrics"),
        ("Model,A\nx,93.4%\ny,0.91\n", "t.csv:3: column `A`", "fraction"),
        (
            "Model,A\nx,93.4\ny,see text\nz,91\n",
            "t.csv:3: column `A`",
            "not a number",
        ),
        ("Model,A\nx,90,5\n", "t.csv:2", "3 cells where the header has 2"),
        ("Model,A,B\nx,90\n", "t.csv:2", "2 cells where the header has 3"),
        (
            "Model,WER\nx,5.4\n",
            "t.csv:1: column `WER`",
            "whether a higher or a lower score is better",
        ),
    ] {
        let message = refusal("t.csv", text);
        assert!(
            message.starts_with(place) && message.contains(words),
            "{text}: {message}"
        );
        assert!(message.contains("; "), "what to do: {message}");
    }
}

#[test]
fn flags_decide_what_is_unclear() {
    let with = |text: &str, options: Options| read::read_bytes("t.csv", text.as_bytes(), &options).unwrap();
    let comma = Options {
        decimal: Some(DecimalMark::Comma),
        ..Options::default()
    };
    assert_eq!(scores(&with("Model;A\nx;1,234\n", comma.clone())), [[1.234]]);
    assert_eq!(scores(&with("Model;A\nx;1.234\ny;5,5\n", comma)), [[1234.0], [5.5]]);
    let point = Options {
        decimal: Some(DecimalMark::Point),
        ..Options::default()
    };
    assert_eq!(scores(&with("Model;A\nx;1,234\n", point)), [[1234.0]]);
    let error = Options {
        parentheses: Parentheses::Error,
        ..Options::default()
    };
    let table = with("Model,A\nx,93.4 (0.2)\n", error);
    assert_eq!(table.tasks[0].errors, Some(vec![0.2]));
    let lower = Options {
        lower: vec!["WER".into()],
        ..Options::default()
    };
    assert_eq!(with("Model,WER\nx,5.4\n", lower).tasks[0].direction, Direction::Lower);
}

#[test]
fn decimal_commas_thousands_percent_signs_and_errors_are_said() {
    let table = read(
        "t.csv",
        "Model;A;B;C;D\nx;85,3;1,234,567;93.4%;90.1 ± 0.3\ny;91,25;2,000,000;91.0%;88.0\n",
    );
    assert_eq!(scores(&table)[0], [85.3, 1_234_567.0, 93.4, 90.1]);
    let notes = table.notes.join("\n");
    for said in [
        "A: decimal commas in 2 cells",
        "B: thousands separators in 2 cells",
        "C: percent signs",
        "D: 1 of 2 scores have an error",
    ] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
}

#[test]
fn arrows_say_which_way_is_better() {
    let table = read(
        "t.md",
        "| System | BLEU ↑ | PPL ↓ |\n|---|---|---|\n| x | 30 | 12 |\n| y | 31 | 14 |\n",
    );
    assert_eq!(tasks(&table), ["BLEU", "PPL"]);
    assert_eq!(table.tasks[1].direction, Direction::Lower);
    let error = table.select(&Selection::default()).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

#[test]
fn latex_headings_become_groups() {
    let table = read(
        "t.tex",
        "\\begin{tabular}{lcccc}\n & \\multicolumn{2}{c}{Easy} & \\multicolumn{2}{c}{Hard} \\\\\n\\cmidrule(lr){2-3}\n\
         \\multirow{2}{*}{Method} & A & B & C & D$\\downarrow$ \\\\ \\midrule\n\
         \\multicolumn{5}{l}{\\textit{Single models}} \\\\\nBase~\\cite{x} & 1.0 & 2.0 & 3.0 & $4.0_{\\pm 0.1}$ \\\\\n\
         Ours & \\textbf{1.5} & 2.5 & -- & 3.5 \\\\ \\end{tabular}",
    );
    assert_eq!(systems(&table), ["Base", "Ours"]);
    assert_eq!(tasks(&table), ["A", "B", "C", "D"]);
    assert_eq!(
        table
            .tasks
            .iter()
            .map(|task| task.group.as_deref().unwrap())
            .collect::<Vec<_>>(),
        ["Easy", "Easy", "Hard", "Hard"]
    );
    assert_eq!(table.tasks[3].direction, Direction::Lower);
    assert!(table.tasks[2].is_missing(1));
    assert!(
        table.notes.iter().any(|note| note.contains("Single models")),
        "{:?}",
        table.notes
    );
}

#[test]
fn a_latex_cell_over_several_rows_stands_in_each() {
    let table = read(
        "t.tex",
        "\\begin{tabular}{llcc}\nSize & Model & A & B \\\\\n\\multirow{2}{*}{Large} & x & 1 & \\multirow{2}{*}{5.5} \\\\\n & y & 3 & \\\\\n\
         Base & z & 4 & 6 \\\\\n\\end{tabular}",
    );
    assert_eq!(systems(&table), ["x", "y", "z"]);
    assert_eq!(scores(&table), [[1.0, 5.5], [3.0, 5.5], [4.0, 6.0]]);
}

#[test]
fn lines_are_counted_whatever_ends_them() {
    for text in [
        "Model,A\r\nx,1\r\n\r\ny,bad\r\nz,2\r\n",
        "\n\nModel,A\ny,bad\nz,2\n",
        "Model,A\n\"x\nx\",1\ny,bad\nz,2\n",
    ] {
        assert!(
            refusal("t.csv", text).starts_with("t.csv:4: column `A`: `bad`"),
            "{}",
            refusal("t.csv", text)
        );
    }
}

#[test]
fn columns_that_may_be_metrics_of_one_task_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, "Model,CB-a,CB-b,MNLI-m,AX-b\nx,1,2,3,4\n").unwrap();
    let table = read::read_paths(&[&path], &Options::default(), None).unwrap();
    assert!(
        table
            .notes
            .last()
            .unwrap()
            .ends_with("unless you merge them: CB=CB-a,CB-b"),
        "{:?}",
        table.notes
    );
}

#[test]
fn several_tables_of_a_file_are_chosen_by_number() {
    let text = "| M | A |\n|---|---|\n| x | 1 |\n\n| M | B |\n|---|---|\n| x | 2 |\n";
    let message = refusal("t.md", text);
    assert!(message.contains("2 tables") && message.contains("`table`"), "{message}");
    let second = Options {
        table: Some(2),
        ..Options::default()
    };
    assert_eq!(
        tasks(&read::read_bytes("t.md", text.as_bytes(), &second).unwrap()),
        ["B"]
    );
}

const HARNESS: &str = r#"{
    "results": {
        "mmlu": {"acc,none": 0.5, "acc_stderr,none": 0.01, "alias": "mmlu"},
        "mmlu_law": {"acc,none": 0.4, "acc_stderr,none": 0.02, "alias": " - law"},
        "mmlu_math": {"acc,none": 0.6, "acc_stderr,none": 0.03, "alias": " - math"},
        "hellaswag": {"alias": "hellaswag", "acc,none": 0.55, "acc_stderr,none": 0.005, "acc_norm,none": 0.7, "acc_norm_stderr,none": "N/A"},
        "wikitext": {"word_perplexity,none": 12.5, "word_perplexity_stderr,none": "N/A"}
    },
    "group_subtasks": {"mmlu": ["mmlu_law", "mmlu_math"], "hellaswag": []},
    "higher_is_better": {"wikitext": {"word_perplexity": false}},
    "config": {"model": "hf", "model_args": "pretrained=org/model-7b,dtype=auto"}
}"#;

#[test]
fn lm_evaluation_harness() {
    let message = refusal("t.json", HARNESS);
    assert!(
        message.contains("`hellaswag`") && message.contains("acc, acc_norm") && message.contains("`metric`"),
        "{message}"
    );
    let options = Options {
        metric: vec!["acc_norm".into(), "acc".into(), "word_perplexity".into()],
        ..Options::default()
    };
    let table = read::read_bytes("t.json", HARNESS.as_bytes(), &options).unwrap();
    assert_eq!(systems(&table), ["org/model-7b"]);
    assert_eq!(tasks(&table), ["mmlu_law", "mmlu_math", "hellaswag", "wikitext"]);
    assert_eq!(scores(&table), [[0.4, 0.6, 0.7, 12.5]]);
    assert_eq!(table.tasks[0].group.as_deref(), Some("mmlu"));
    assert_eq!(table.tasks[0].errors, Some(vec![0.02]));
    assert_eq!(table.tasks[3].direction, Direction::Lower);
    // Version 0.3 has no filters.
    let old = r#"{"results": {"piqa": {"acc": 0.7, "acc_stderr": 0.01}}, "versions": {"piqa": 0}, "config": {"model": "gpt2"}}"#;
    let table = read("runs/gpt2.json", old);
    assert_eq!((systems(&table), scores(&table)), (vec!["gpt2"], vec![vec![0.7]]));
}

#[test]
fn helm_stats() {
    let stats = r#"[
        {"name": {"name": "exact_match", "split": "test"}, "count": 10, "mean": 0.4},
        {"name": {"name": "exact_match", "split": "valid"}, "count": 10, "mean": 0.9},
        {"name": {"name": "exact_match", "split": "test", "perturbation": {"name": "typos"}}, "mean": 0.3},
        {"name": {"name": "num_output_tokens", "split": "test"}, "mean": 3.0}
    ]"#;
    let options = Options {
        metric: vec!["exact_match".into()],
        ..Options::default()
    };
    let file = "runs/mmlu:subject=anatomy,method=multiple_choice_joint,model=openai_gpt-4/stats.json";
    let table = read::read_bytes(file, stats.as_bytes(), &options).unwrap();
    assert_eq!(systems(&table), ["openai_gpt-4"]);
    assert_eq!(tasks(&table), ["mmlu,subject=anatomy,method=multiple_choice_joint"]);
    assert_eq!(scores(&table), [[0.4]]);
}

#[test]
fn own_metrics() {
    let text = "{\"step\": 100, \"loss\": 2.5, \"lr\": 1e-4}\n{\"step\": 100, \"eval/em\": 40.0, \"eval/f1\": 50.0}\n\
                {\"step\": 200, \"loss\": 2.0}\n{\"step\": 200, \"eval/em\": 45.0, \"eval/f1\": 55.0}\n{\"step\": 300, \"loss\": 1.9}\n";
    let options = Options {
        ignore: vec!["loss".into()],
        ..Options::default()
    };
    let table = read::read_bytes("run/metrics.jsonl", text.as_bytes(), &options).unwrap();
    assert_eq!(systems(&table), ["step 100", "step 200", "step 300"]);
    assert_eq!(tasks(&table), ["eval/em", "eval/f1"]);
    let last = Options {
        metric_rows: Some(MetricRows::Last),
        ..options
    };
    let table = read::read_bytes("run/metrics.jsonl", text.as_bytes(), &last).unwrap();
    assert_eq!((systems(&table), scores(&table)), (vec!["run"], vec![vec![45.0, 55.0]]));
    let message = refusal("m.jsonl", "{\"step\": 1, \"a\": 1}\n{\"a\": 2}\n");
    assert!(message.starts_with("m.jsonl:2: column `step`"), "{message}");
}

#[test]
fn runs_and_benchmarks_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    let one = write("one.csv", "Team,Model,MRPC,CoLA\nT,x,90/92,60\nT,y,91/93,61\n");
    let two = write("two.csv", "Model,MRPC-a,MRPC-b,RTE\nTx,90,92,70\nz,80,82,65\n");
    let table = read::read_paths(&[&one, &two], &Options::default(), None).unwrap();
    assert_eq!(systems(&table), ["x", "y", "z"]);
    assert_eq!(tasks(&table), ["MRPC", "CoLA", "RTE"]);
    assert_eq!(table.tasks[0].metrics, [[90.0, 91.0, 80.0], [92.0, 93.0, 82.0]]);
    assert!(table.tasks[2].is_missing(1));

    // A cell is placed in the file that it is from, not in the one that had its row first.
    let three = write("three.csv", "Model,MRPC-a,MRPC-b,CoLA,RTE\nx,90,92,60,71\n");
    let error = read::read_paths(&[&one, &two, &three], &Options::default(), None).unwrap_err();
    let Error::Disagreement { disagreements } = &error else {
        panic!("{error}")
    };
    assert_eq!(disagreements.len(), 1, "{error}");
    assert!(
        disagreements[0].first.1.ends_with("two.csv:2") && disagreements[0].second.1.ends_with("three.csv:2"),
        "{error}"
    );

    // Folders of runs: each is a system at its last step.
    for (name, em) in [("a", 40), ("b", 42)] {
        write(
            &format!("{name}/metrics.jsonl"),
            &format!("{{\"step\": 1, \"em\": 30}}\n{{\"step\": 2, \"em\": {em}}}\n"),
        );
    }
    let runs = [folder.path().join("a"), folder.path().join("b")];
    let table = read::read_paths(&runs, &Options::default(), None).unwrap();
    assert_eq!(
        (systems(&table), scores(&table)),
        (vec!["a", "b"], vec![vec![40.0], vec![42.0]])
    );

    let options = Options {
        lower: vec!["typo".into()],
        ..Options::default()
    };
    let error = read::read_paths(&[&one], &options, None).unwrap_err();
    assert!(matches!(error, Error::Unknown { .. }), "{error}");
    assert!(matches!(
        read::read_paths(&[folder.path().join("none.csv")], &Options::default(), None),
        Err(Error::Io { .. })
    ));
}

#[test]
fn rows_and_columns_of_one_name_are_told_apart() {
    let table = read("t.csv", "Model,A,A\nx,1,2\nx,3,4\n");
    assert_eq!(
        (systems(&table), tasks(&table)),
        (vec!["x #1", "x #2"], vec!["A", "A #2"])
    );
}

#[test]
fn no_escape_sequence_of_a_file_is_said() {
    let text = "Mod\u{1b}[31mel,\u{7}A,B\nx\u{1b}]0;t\u{7},1,-\ny,2,3\n";
    let table = read("t.csv", text);
    let refused = table.select(&kexue_rank::Selection::default()).unwrap_err().to_string();
    let said = format!(
        "{}{refused}{}",
        table.notes.join("\n"),
        refusal("t.csv", &text.replace("y,2", "y,\u{1b}[2J"))
    );
    assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
}

#[test]
fn encodings() {
    assert_eq!(systems(&read("t.csv", "\u{feff}模型,A\n神仙会,1\n")), ["神仙会"]);
    assert!(
        read::read_bytes("t.csv", b"Model,A\nx,\xff\n", &Options::default())
            .unwrap_err()
            .to_string()
            .starts_with("t.csv:2")
    );
    assert!(
        read::read_bytes("t.csv", b"\xff\xfeM\0", &Options::default())
            .unwrap_err()
            .to_string()
            .contains("UTF-16")
    );
}

#[test]
fn the_printed_table_of_lm_evaluation_harness_is_one_system() {
    let text = "\
|      Tasks      |Version|Filter|n-shot|Metric  |   |Value |   |Stderr|
|-----------------|------:|------|-----:|--------|---|-----:|---|-----:|
|arc_easy         |      1|none  |     0|acc     |↑  |0.4983|±  |0.0103|
|                 |       |none  |     0|acc_norm|↑  |0.4364|±  |0.0102|
|mmlu             |      2|none  |      |acc     |↑  |0.2500|±  |0.0036|
| - formal_logic  |      1|none  |     0|acc     |↑  |0.3000|±  |0.0200|
|wikitext         |      2|none  |     0|word_perplexity|↓  |37.1|±  |   N/A|
";
    let options = Options {
        metric: vec!["acc_norm".to_owned(), "acc".to_owned(), "word_perplexity".to_owned()],
        ..Options::default()
    };
    let table = read::read_bytes("gpt2.md", text.as_bytes(), &options).unwrap();
    assert_eq!(systems(&table), ["gpt2"]);
    assert_eq!(tasks(&table), ["arc_easy", "formal_logic", "wikitext"]);
    assert_eq!(scores(&table), [[0.4364, 0.3, 37.1]]);
    assert_eq!(table.tasks[2].direction, Direction::Lower);
    assert_eq!(table.tasks[0].errors.as_ref().unwrap()[0], 0.0102);
    assert!(
        table
            .notes
            .iter()
            .any(|note| note.contains("averages of other tasks, left out: mmlu"))
    );
    let message = refusal("gpt2.md", text);
    assert!(
        message.contains("it is not clear which metric is the score: acc, acc_norm"),
        "{message}"
    );
}
