//! `kexue kg` from the outside: what it prints, and how it exits.

mod common;

use assert_cmd::Command;
use common::kexue;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("facts.tsv"),
        "水（化合物）\t化学式\tH₂O\n水（歌曲）\t演唱\t甲\n水（歌曲）\t演唱\t乙\n水（歌曲）\t演唱\t乙\n",
    )
    .unwrap();
    folder
}

#[test]
fn build_look_change_and_compact() {
    let folder = folder();
    let run = |arguments: &[&str]| kexue(folder.path(), arguments);
    let (code, out, _) = run(&["kg", "build", "facts.tsv", "-o", "my.idx"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("read 4 triples, skipped 0 lines, dropped 1 repeated, merged 1 into keys of others\n2 keys · 1 subjects · 2 relations · 2 senses"), "{out}");

    let (code, out, _) = run(&["kg", "complete", "my.idx", "水"]);
    assert_eq!(
        (code, out.as_str()),
        (0, "水（化合物）\t化学式\tH₂O\n水（歌曲）\t演唱\t甲 | 乙\n")
    );
    let (code, out, _) = run(&["kg", "complete", "水\t演唱", "--kg", "my.idx", "--json"]);
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "{\"subject\":\"水\",\"sense\":\"歌曲\",\"relation\":\"演唱\",\"objects\":[\"甲\",\"乙\"]}\n"
    );
    assert_eq!(run(&["kg", "complete", "火", "--kg", "my.idx"]).0, 1);
    assert_eq!(run(&["kg", "complete", "my.idx"]).0, 2);
    assert_eq!(run(&["kg", "verify", "my.idx"]).1, "my.idx: sound, 2 keys\n");
    assert!(run(&["kg", "info", "my.idx"]).1.contains("order       spm\n"));

    let changed = |arguments: &[&str]| {
        let (code, out, error) = run(&[&["kg"], arguments].concat());
        assert_eq!((code, error.as_str()), (0, ""), "{arguments:?}");
        out
    };
    assert_eq!(
        changed(&["add", "my.idx", "火", "颜色", "红"]),
        "my.idx.log: added 火\t颜色\t红\n"
    );
    let (code, out, error) = run(&["kg", "add", "my.idx", "火", "颜色", "红"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(error, "nothing to change\n");
    assert_eq!(run(&["kg", "complete", "火", "--kg", "my.idx"]).1, "火\t颜色\t红\n");
    assert_eq!(
        changed(&["replace", "my.idx", "火", "颜色", "橙", "黄"]),
        "my.idx.log: replaced with 火\t颜色\t橙 | 黄\n"
    );
    assert_eq!(
        changed(&["remove", "my.idx", "水（歌曲）"]),
        "my.idx.log: removed 水（歌曲）\n"
    );
    assert_eq!(
        changed(&["pin", "my.idx", "火是什么颜色？", "火", "颜色"]),
        "my.idx.log: pinned 火是什么颜色？ to 火\t颜色\n"
    );
    assert_eq!(
        changed(&["pin", "my.idx", "火呢？", "火", "颜色"]),
        "my.idx.log: pinned 火呢？ to 火\t颜色\n"
    );
    assert_eq!(changed(&["unpin", "my.idx", "火呢"]), "my.idx.log: unpinned 火呢\n");
    assert_eq!(
        run(&["kg", "verify", "my.idx"]).1,
        "my.idx: sound, 2 keys\nmy.idx.log: sound, 6 changes; 2 keys with them\n"
    );
    let verified: serde_json::Value = serde_json::from_str(&run(&["kg", "verify", "my.idx", "--json"]).1).unwrap();
    assert_eq!(
        verified,
        serde_json::json!({"changes": 6, "keys": 2, "keys_with_changes": 2, "sound": true, "unfinished_bytes": 0})
    );
    let info = run(&["kg", "info", "my.idx"]).1;
    assert!(info.starts_with("my.idx\nkeys        2\nsubjects    1\n"), "{info}");
    assert!(
        info.ends_with("\nmy.idx.log\nchanges     6, of 2 subjects\nwith them\nkeys        2\npins        1\n"),
        "{info}"
    );
    // An unfinished change is reported.
    let log = folder.path().join("my.idx.log");
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, [&whole[..], b"half a change"].concat()).unwrap();
    let left_out = "my.idx.log: the last 13 bytes are ignored, since they are an incomplete change\n";
    for verb in ["verify", "info"] {
        assert!(run(&["kg", verb, "my.idx"]).1.ends_with(left_out), "{verb}");
    }
    for (verb, pointer) in [("verify", "/unfinished_bytes"), ("info", "/changes/unfinished_bytes")] {
        let said: serde_json::Value = serde_json::from_str(&run(&["kg", verb, "my.idx", "--json"]).1).unwrap();
        assert_eq!(said.pointer(pointer), Some(&13.into()), "{verb}");
    }
    std::fs::write(&log, &whole).unwrap();
    // What was acknowledged is not lost by the way.
    let (code, out, error) = run(&["kg", "build", "facts.tsv", "-o", "my.idx"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(error.starts_with("kexue: my.idx.log: this log holds "), "{error}");
    let (code, _, error) = run(&["kg", "pin", "my.idx", "水是谁唱的？", "水（歌曲）", "演唱"]);
    assert_eq!(code, 3);
    assert_eq!(
        error,
        "kexue: my.idx: the graph has no fact `水（歌曲）` `演唱` to pin the question to; add it first with `kexue kg add`\n"
    );
    assert_eq!(
        run(&["kg", "compact", "my.idx"]).1,
        "my.idx: 2 keys; all changes are merged\n"
    );
    assert_eq!(
        run(&["kg", "complete", "", "--kg", "my.idx"]).1,
        "火\t颜色\t橙 | 黄\n水（化合物）\t化学式\tH₂O\n"
    );
}

#[test]
fn what_complete_prints_it_takes_back() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("facts.tsv"),
        "水（化合物）\t化学式\tH₂O\n水（歌曲）\t演唱\t甲\n水（歌曲）\t演唱\t乙\n水（歌曲）\t词\t甲\n水\t词\t丙\n水（歌曲）（现场）\t演唱\t甲\n水星\t词\t丙\n",
    )
    .unwrap();
    for order in ["spm", "smp"] {
        let run = |arguments: &[&str]| kexue(folder.path(), arguments);
        assert_eq!(
            run(&["kg", "build", "facts.tsv", "-o", "my.idx", "--order", order]).0,
            0
        );
        let complete = |prefix: &str| {
            let (code, out, error) = run(&["kg", "complete", prefix, "--kg", "my.idx"]);
            assert_eq!((code, error.as_str()), (0, ""), "{prefix}");
            let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let all = complete("");
        assert_eq!(all.len(), 6);
        for line in &all {
            assert_eq!(complete(line), std::slice::from_ref(line), "{order}");
            let (names, _) = line.rsplit_once('\t').unwrap();
            assert!(complete(names).contains(line), "{order} {names}");
        }
        assert_eq!(
            complete("水（歌曲）"),
            [
                "水（歌曲）\t演唱\t甲 | 乙",
                "水（歌曲）\t词\t甲",
                "水（歌曲）（现场）\t演唱\t甲"
            ]
        );
        assert_eq!(complete("水（歌曲）\t演唱\t甲"), ["水（歌曲）\t演唱\t甲 | 乙"]);
        let (code, out, error) = run(&["kg", "complete", "水（歌曲）", "--kg", "my.idx", "--limit", "1"]);
        assert_eq!(
            (code, out.lines().count(), error.as_str()),
            (0, 1, "1 of 3 facts; --limit shows more\n")
        );
        assert_eq!(run(&["kg", "complete", "水（歌）", "--kg", "my.idx"]).0, 1);
        assert_eq!(run(&["kg", "complete", "水（歌曲）\t演唱\t丙", "--kg", "my.idx"]).0, 1);
    }
}

#[test]
fn what_complete_prints_it_takes_back_whatever_names_hold() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("facts.jsonl"),
        concat!(
            r#"{"subject":"a\tb","relation":"p\tq","object":"x"}"#,
            "\n",
            r#"{"subject":"a","relation":"b\tp","object":"y"}"#,
            "\n",
            r#"{"subject":"s","relation":"p","object":"l1\nl2\tq"}"#,
            "\n",
            r#"{"subject":"C:\\new","relation":"p","object":["1 | 2","\\"]}"#,
            "\n",
        ),
    )
    .unwrap();
    let run = |arguments: &[&str]| kexue(folder.path(), arguments);
    assert_eq!(run(&["kg", "build", "facts.jsonl", "-o", "my.idx"]).0, 0);
    let complete = |prefix: &str| run(&["kg", "complete", prefix, "--kg", "my.idx"]).1;
    let all = complete("");
    let mut lines: Vec<&str> = all.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "C:\\\\new\tp\t1 | 2 | \\\\",
            "a\tb\\tp\ty",
            "a\\tb\tp\\tq\tx",
            "s\tp\tl1\\nl2\\tq"
        ]
    );
    for line in lines {
        assert_eq!(complete(line), format!("{line}\n"));
    }
    // As it is typed, where no escape is meant.
    assert_eq!(complete("C:\\"), "C:\\\\new\tp\t1 | 2 | \\\\\n");
}

#[test]
fn inputs_without_facts_are_named() {
    let folder = folder();
    let run = |arguments: &[&str]| kexue(folder.path(), arguments);
    for name in ["empty.tsv", "none.nt", "other.csv"] {
        std::fs::write(
            folder.path().join(name),
            if name == "none.nt" { "# nothing\n" } else { "" },
        )
        .unwrap();
    }
    let (code, _, error) = run(&["kg", "build", "empty.tsv", "none.nt", "other.csv", "-o", "e.idx"]);
    assert_eq!(
        (code, error.as_str()),
        (
            3,
            "kexue: empty.tsv, none.nt, other.csv: no facts found; expected lines of subject, relation and object\n"
        )
    );
    let (code, _, error) = run(&["kg", "build", "empty.tsv", "facts.tsv", "-o", "e.idx"]);
    assert_eq!((code, error.as_str()), (0, "empty.tsv: no facts found\n"));
    std::fs::write(folder.path().join("bad.tsv"), "x\ny\n").unwrap();
    let (code, _, error) = run(&["kg", "build", "bad.tsv", "--skip-bad", "-o", "f.idx"]);
    assert_eq!(code, 3);
    assert!(
        error.starts_with("kexue: bad.tsv: no facts found")
            && error.contains("2 lines were skipped, the first: bad.tsv:1: "),
        "{error}"
    );
    std::fs::write(
        folder.path().join("pointer.tsv"),
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    )
    .unwrap();
    let (code, _, error) = run(&["kg", "build", "pointer.tsv", "-o", "f.idx"]);
    assert_eq!(code, 3);
    assert!(
        error.starts_with("kexue: pointer.tsv: this is a Git LFS pointer"),
        "{error}"
    );
    // What is no index is named, whatever asks for it.
    let (code, _, error) = run(&["ask", "?", "--kg", "facts.tsv", "--model", "."]);
    assert_eq!(code, 3);
    assert!(
        error.contains("facts.tsv: this is text with three fields a line: triples, not an index; build an index with `kexue kg build`"),
        "{error}"
    );
}

#[test]
fn a_file_with_backslashes_is_told_how_to_be_read() {
    let folder = folder();
    std::fs::write(folder.path().join("b.csv"), "x,p,\"he said \\\"hi\\\" ok\"\ny,p,v\n").unwrap();
    let run = |arguments: &[&str]| kexue(folder.path(), arguments);
    let (code, _, error) = run(&["kg", "build", "b.csv", "-o", "b.idx"]);
    assert_eq!(code, 3);
    assert!(
        error.ends_with("; if \\\" stands for a quote in this file, use --csv-escape backslash; correct the line, or skip such lines with --skip-bad\n"),
        "{error}"
    );
    assert_eq!(
        run(&["kg", "build", "b.csv", "-o", "b.idx", "--csv-escape", "backslash"]).0,
        0
    );
    assert_eq!(
        run(&["kg", "complete", "x", "--kg", "b.idx"]).1,
        "x\tp\the said \"hi\" ok\n"
    );
}

#[test]
fn headers_are_noticed_and_inputs_kept() {
    let folder = folder();
    let run = |arguments: &[&str]| kexue(folder.path(), arguments);
    std::fs::write(folder.path().join("named.csv"), "head,relation,tail\n甲,父,乙\n").unwrap();
    let (code, out, error) = run(&["kg", "build", "named.csv", "-o", "n.idx"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("read 2 triples"), "{out}");
    assert_eq!(
        error,
        "named.csv:1: `head`, `relation`, `tail` looks like a header but was read as a fact; skip it with --header\n"
    );
    let (code, out, error) = run(&["kg", "build", "named.csv", "-o", "n.idx", "--header"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.starts_with("read 1 triples"), "{out}");
    let (code, _, error) = run(&["kg", "build", "named.csv", "-o", "./named.csv"]);
    assert_eq!(code, 3);
    assert_eq!(
        error,
        "kexue: ./named.csv: this would overwrite an input; name another file\n"
    );
    std::fs::write(folder.path().join("v.txt"), "甲\n").unwrap();
    let vocabulary = std::fs::read(folder.path().join("v.txt")).unwrap();
    let (code, _, error) = run(&["kg", "build", "facts.tsv", "--vocab", "v.txt", "-o", "v.txt"]);
    assert_eq!(
        (code, error.as_str()),
        (3, "kexue: v.txt: this would overwrite an input; name another file\n")
    );
    assert_eq!(std::fs::read(folder.path().join("v.txt")).unwrap(), vocabulary);
    // Before anything is read: the input is not there.
    let (code, _, error) = run(&["kg", "build", "missing.tsv", "-o", "."]);
    assert_eq!(
        (code, error.as_str()),
        (3, "kexue: .: this is a folder; name a file to write\n")
    );
}

#[test]
fn reads_standard_input() {
    let folder = folder();
    let output = Command::cargo_bin("kexue")
        .unwrap()
        .current_dir(folder.path())
        .args(["kg", "build", "-", "-o", "in.idx", "--json", "--inverse"])
        .write_stdin("甲\t父\t乙\n")
        .output()
        .unwrap();
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["read"], 1);
    assert_eq!(report["report"]["keys"], 2);
    // Both directions are changed.
    let run = |arguments: &[&str]| kexue(folder.path(), arguments);
    assert!(run(&["kg", "info", "in.idx"]).1.contains("\ndirections  both\n"));
    assert_eq!(run(&["kg", "add", "in.idx", "丙", "~父", "甲"]).0, 0);
    assert_eq!(run(&["kg", "complete", "甲", "--kg", "in.idx"]).1, "甲\t父\t乙 | 丙\n");
}

#[test]
fn bad_input_is_exit_code_3_and_leaves_nothing() {
    let folder = folder();
    std::fs::write(folder.path().join("bad.tsv"), "a\tb\tc\nx\n").unwrap();
    let run = |arguments: &[&str]| kexue(folder.path(), arguments);
    let (code, out, error) = run(&["kg", "build", "bad.tsv", "-o", "bad.idx"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert_eq!(
        error,
        "kexue: bad.tsv:2: expected subject, relation and object with tabs between them, found 1 field; correct the line, or skip such lines with --skip-bad\n"
    );
    assert!(!folder.path().join("bad.idx").exists());
    let (code, out, error) = run(&["kg", "build", "bad.tsv", "-o", "bad.idx", "--skip-bad"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("read 1 triples, skipped 1 lines"), "{out}");
    assert!(
        error.starts_with("skipped 1 lines, the first: bad.tsv:2: expected"),
        "{error}"
    );

    std::fs::write(
        folder.path().join("not.idx"),
        "something else, longer than a header of an index is, to be sure of that",
    )
    .unwrap();
    let (code, _, error) = run(&["kg", "info", "not.idx"]);
    assert_eq!(code, 3);
    assert_eq!(
        error,
        "kexue: not.idx: this is text, not an index; build an index with `kexue kg build`\n"
    );
    assert_eq!(run(&["kg", "info", "missing.idx"]).0, 3);
    // A change of what is not there leaves no lock beside it.
    let (code, _, error) = run(&["kg", "add", "missing.idx", "a", "b", "c"]);
    assert_eq!(code, 3);
    assert!(error.starts_with("kexue: missing.idx: No such file"), "{error}");
    assert!(!folder.path().join("missing.idx.lock").exists());
    assert_eq!(run(&["kg", "build", "facts.tsv", "-o", "my.idx"]).0, 0);
    let (code, _, error) = run(&["kg", "pin", "my.idx", "？", "水（歌曲）", "演唱"]);
    assert_eq!(code, 3);
    assert!(
        error.starts_with("kexue: change: the question `？` has nothing but spaces and punctuation"),
        "{error}"
    );
    assert_eq!(run(&["kg", "build", "facts.tsv", "-o", "x.idx", "--order", "pms"]).0, 2);
    assert_eq!(
        run(&["kg", "build", "facts.tsv", "-o", "x.idx", "--memory", "much"]).0,
        2
    );
}
