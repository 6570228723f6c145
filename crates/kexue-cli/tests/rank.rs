//! `kexue rank` as a user meets it.

mod common;

use assert_cmd::Command;
use std::fs;
use std::path::Path;

fn kexue(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    common::kexue(folder, &[&["rank"], arguments].concat())
}

const TABLE: &str =
    "Model,A,B,C,AM,HM\nx,90.0,50.0,-,70.00,64.29\ny,60.0,70.0,80.0,70.00,69.04\nz,40.0,45.0,50.0,45.00,44.63\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.csv"), TABLE).unwrap();
    folder
}

#[test]
fn means_over_unequal_columns_are_refused() {
    let folder = folder();
    let (code, out, errors) = kexue(folder.path(), &["show", "t.csv"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(
        errors.contains("t.csv: 3 systems named by `Model`; 3 tasks: A, B, C; averages: AM, HM"),
        "{errors}"
    );
    assert!(
        errors.contains("x: C\n") && errors.contains("--columns common"),
        "{errors}"
    );
}

#[test]
fn show_common_columns() {
    let folder = folder();
    let (code, out, errors) = kexue(folder.path(), &["show", "t.csv", "--columns", "common", "--quiet"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    insta::assert_snapshot!(out, @r"
    #  system     AM     GM  #     HM  #
    1  x       70.00  67.08  1  64.29  2
    2  y       65.00  64.81  2  64.62  1
    3  z       42.50  42.43  3  42.35  3

    2 tasks: A, B
    ");
    let (_, out, _) = kexue(
        folder.path(),
        &["show", "t.csv", "--without", "C", "-q", "--json", "--mean", "0.5,-inf"],
    );
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["systems"][0]["system"], "x");
    assert_eq!(value["systems"][1]["means"]["min"]["average"], 60.0);
    let (_, out, _) = kexue(folder.path(), &["show", "t.csv", "--drop-rows", "-q", "--markdown"]);
    assert!(out.starts_with("| # | system | AM |"), "{out}");
}

#[test]
fn flips_with_a_picture() {
    let folder = folder();
    let (code, out, _) = kexue(
        folder.path(),
        &[
            "flips",
            "t.csv",
            "--columns",
            "A,B",
            "-q",
            "--html",
            "page.html",
            "--resamples",
            "100",
        ],
    );
    assert_eq!(code, 0);
    assert!(
        out.contains("1 of 3 pairs changes its order") && out.contains("2 of 3 pairs never swap"),
        "{out}"
    );
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert_eq!(page.matches("role=\"img\"").count(), 3);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        2,
        "no temporary file is left"
    );
    let (_, out, _) = kexue(
        folder.path(),
        &[
            "flips",
            "t.csv",
            "--columns",
            "A,B",
            "-q",
            "--json",
            "--resamples",
            "10",
        ],
    );
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["flips"][0]["ahead"], "x");
    assert_eq!(value["flips"][0]["swaps"].as_array().unwrap().len(), 1);
}

#[test]
fn a_limit_cuts_what_is_printed_and_no_page() {
    let folder = folder();
    let rows: Vec<String> = (0..13)
        .map(|row| format!("s{row},{},{}\n", 10 + row, 60 - 2 * row))
        .collect();
    fs::write(folder.path().join("many.csv"), format!("Model,A,B\n{}", rows.concat())).unwrap();
    let page = |limit: &str| {
        let arguments = [
            "flips",
            "many.csv",
            "-q",
            "--limit",
            limit,
            "--html",
            "page.html",
            "--resamples",
            "50",
        ];
        let (code, out, errors) = kexue(folder.path(), &arguments);
        assert_eq!(code, 0, "{errors}");
        (out, fs::read_to_string(folder.path().join("page.html")).unwrap())
    };
    let ((short, cut), (long, whole)) = (page("5"), page("0"));
    assert_eq!(cut, whole);
    assert!(
        whole.contains("1–13</title>") && whole.contains("<p>13 systems by"),
        "all ranks and systems"
    );
    assert!(short.len() < long.len());
}

#[test]
fn columns_left_out_are_not_judged() {
    let folder = folder();
    fs::write(
        folder.path().join("time.csv"),
        "Model,Time (s),Acc (%),Note (1)\nx,3,90,5 (4)\ny,4,80,6 (5)\n",
    )
    .unwrap();
    let arguments = ["show", "time.csv", "-q", "--mean", "am", "--without"];
    let (code, out, errors) = kexue(folder.path(), &[&arguments[..], &["Time (s),Note (1)"]].concat());
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("1 task: Acc (%)"), "{out}");
    let (code, _, errors) = kexue(folder.path(), &[&arguments[..], &["Time (s),Note (1),Typo"]].concat());
    assert!(code == 3 && errors.contains("no column is called `Typo`"), "{errors}");
    let (code, out, errors) = kexue(folder.path(), &["show", "time.csv", "-q", "--columns", "Acc (%)"]);
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("1 task: Acc (%)"), "{out}");
    let (code, _, errors) = kexue(folder.path(), &["check", "t.csv", "-q", "--without", "Typo"]);
    assert!(code == 3 && errors.contains("no column is called `Typo`"), "{errors}");
}

#[test]
fn votes() {
    let folder = folder();
    let (code, _, errors) = kexue(folder.path(), &["vote", "t.csv", "-q"]);
    assert_eq!(code, 3, "{errors}");
    assert!(
        errors.contains("t.csv:2: x: C") && errors.contains("--missing last") && !errors.contains("a mean would"),
        "{errors}"
    );
    let (code, out, _) = kexue(
        folder.path(),
        &["vote", "t.csv", "-q", "--missing", "last", "--rule", "borda,condorcet"],
    );
    assert_eq!(code, 0);
    assert!(
        out.contains("Borda") && out.contains("Condorcet  y") && !out.contains("plurality"),
        "{out}"
    );
    let (_, out, _) = kexue(
        folder.path(),
        &["vote", "t.csv", "-q", "--missing", "pairwise", "--json"],
    );
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["rules"].as_array().unwrap().len(), 8);
}

#[test]
fn what_is_written_takes_the_place_of_no_table() {
    let folder = folder();
    let table = fs::read(folder.path().join("t.csv")).unwrap();
    for (verb, flag) in [("show", "--html"), ("flips", "--html"), ("check", "--report")] {
        for (out, expected) in [
            ("t.csv", "t.csv: this would overwrite an input"),
            ("no/page", "no/page: there is no folder no; create it first"),
        ] {
            let (code, printed, errors) = kexue(folder.path(), &[verb, "t.csv", flag, out]);
            assert_eq!((code, printed.as_str()), (3, ""), "{verb}: {errors}");
            assert!(errors.contains(expected), "{verb}: {errors}");
        }
    }
    assert_eq!(fs::read(folder.path().join("t.csv")).unwrap(), table);
}

#[test]
fn check_says_no_with_exit_code_1() {
    let folder = folder();
    let (code, out, _) = kexue(folder.path(), &["check", "t.csv", "-q", "--report", "review.md"]);
    assert_eq!(code, 1);
    assert!(
        out.contains("x: arithmetic mean of 2 columns, because C is missing"),
        "{out}"
    );
    let report = fs::read_to_string(folder.path().join("review.md")).unwrap();
    assert!(
        report.starts_with("# Averages claimed in t.csv\n") && report.contains("| x | 70.00 |"),
        "{report}"
    );

    fs::write(
        folder.path().join("honest.csv"),
        "Model,A,B,Avg\nx,90.0,50.0,70.0\ny,60.0,71.0,65.5\n",
    )
    .unwrap();
    let (code, out, _) = kexue(folder.path(), &["check", "honest.csv", "-q"]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("Every average is reproduced by one rule over the same columns"),
        "{out}"
    );
    let (_, out, _) = kexue(folder.path(), &["check", "honest.csv", "-q", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["consistent"], true);
}

#[test]
fn a_wrong_command_line_is_exit_code_2_and_bad_input_3() {
    let folder = folder();
    for arguments in [
        &["show"][..],
        &["show", "t.csv", "--mean", "mode"],
        &["show", "t.csv", "--json", "--markdown"],
        &["flips", "t.csv", "--level", "2"],
        &["show", "t.csv", "--merge", "nothing"],
        &["show", "t.csv", "--lower-as", "sideways"],
        &["show", "t.csv", "--weight", "A=-1"],
        &["show", "t.csv", "--delimiter", "ab"],
        &["show", "t.csv", "--lower", "A", "--higher", "B,A"],
        &["flips", "t.csv", "--resamples", "0"],
        &["flips", "t.csv", "-q", "--columns", "A,B", "--resamples", "99999999999"],
        &["vote", "t.csv", "--rule", "veto"],
        &["tell", "t.csv"],
    ] {
        let (code, out, errors) = kexue(folder.path(), arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {errors}");
    }
    for (arguments, words) in [
        (&["show", "none.csv"][..], "none.csv"),
        (
            &["show", "t.csv", "--columns", "D"],
            "no column is called `D`; there are: Model, A, B, C",
        ),
        (
            &["show", "t.csv", "--systems", "w"],
            "no system is called `w`; there are: x, y, z",
        ),
        (&["check", "t.csv", "--without", "AM,HM"], "no column of averages"),
        (&["show", "t.csv", "--table", "2"], "has one table; leave --table out"),
    ] {
        let (code, _, errors) = kexue(folder.path(), arguments);
        assert_eq!(code, 3, "{arguments:?}: {errors}");
        assert!(errors.contains(words), "{errors}");
    }
}

#[test]
fn advice_names_flags_that_there_are() {
    let folder = folder();
    fs::write(folder.path().join("zero.csv"), "Model,A,B\nx,90,0\ny,60,70\n").unwrap();
    let (code, _, errors) = kexue(folder.path(), &["show", "zero.csv", "-q", "--mean", "hm"]);
    assert!(
        code == 3 && errors.contains("or use the arithmetic mean, the median or the minimum (--mean am)"),
        "{errors}"
    );
    let (code, _, errors) = kexue(folder.path(), &["flips", "zero.csv", "-q"]);
    assert!(
        code == 3 && errors.contains("or rank by a single mean") && !errors.contains("--mean"),
        "{errors}"
    );
    let most = ["flips", "t.csv", "-q", "--columns", "A,B", "--resamples", "99999999999"];
    let (_, _, errors) = kexue(folder.path(), &most);
    assert!(
        errors.contains("--resamples 99999999999 is more than 44739242, the maximum for 3 systems"),
        "{errors}"
    );
}

#[test]
fn files_that_disagree_are_an_error_until_one_is_believed() {
    let folder = folder();
    fs::write(folder.path().join("u.csv"), "Model,A,B\nx,90.0,51.0\ny,60.0,70.0\n").unwrap();
    let (code, _, errors) = kexue(folder.path(), &["show", "t.csv", "u.csv", "-q"]);
    assert_eq!(code, 3);
    assert!(errors.contains("B of x: 50 in t.csv:2, 51 in u.csv:2"), "{errors}");
    let (code, out, errors) = kexue(
        folder.path(),
        &[
            "show",
            "t.csv",
            "u.csv",
            "--prefer",
            "last",
            "--columns",
            "A,B",
            "--mean",
            "am",
        ],
    );
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("the last one is used: B of x"), "{errors}");
    assert!(out.contains("70.50"), "{out}");
}

#[test]
fn standard_input_is_a_file() {
    let output = Command::cargo_bin("kexue")
        .unwrap()
        .args(["rank", "show", "-", "--columns", "common", "-q"])
        .write_stdin(format!("\u{feff}{TABLE}"))
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_page_shows_what_the_command_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // The published package has no pages.
    if !root.join("docs").exists() {
        return;
    }
    let page = fs::read_to_string(root.join("docs/rank.md")).unwrap();
    let tables = root.join("crates/kexue-rank/tests/tables");
    let mut commands = 0;
    for block in page
        .split("```console\n$ kexue rank ")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
    {
        let (command, shown) = block.split_once('\n').unwrap();
        let (_, out, errors) = kexue(&tables, &command.split_whitespace().collect::<Vec<_>>());
        let printed = out + &errors;
        match shown.strip_suffix("…\n") {
            Some(start) => assert!(printed.starts_with(start), "{command}:\n{printed}"),
            None => assert_eq!(printed, shown, "{command}"),
        }
        commands += 1;
    }
    assert_eq!(commands, 7);
}
