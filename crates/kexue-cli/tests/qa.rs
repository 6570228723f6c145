//! `kexue ask`, `kexue qa` and `kexue vocab` as a user meets them.

use assert_cmd::Command;
use std::fs;
use std::path::Path;

fn kexue(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("kexue")
        .unwrap()
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A graph of a few dozen facts, questions about it, and the flags of a model that trains in a second.
fn small(folder: &Path) -> Vec<&'static str> {
    let (mut triples, mut questions) = (String::new(), String::new());
    for (index, name) in ["赤", "橙", "黄", "绿", "青", "蓝", "紫", "黑", "白", "灰"]
        .iter()
        .enumerate()
    {
        triples += &format!("{name}城\t人口\t{index}万\n{name}城\t面积\t{index}平方公里\n");
        questions += &format!("{name}城有多少人？\t{name}城\t人口\n{name}城有多大？\t{name}城\t面积\n");
    }
    fs::write(folder.join("kg.tsv"), triples).unwrap();
    fs::write(folder.join("q.tsv"), questions).unwrap();
    let (code, _, errors) = kexue(folder, &["vocab", "kg.tsv", "q.tsv", "-o", "vocab.txt"]);
    assert_eq!(code, 0, "{errors}");
    let (code, _, errors) = kexue(
        folder,
        &["kg", "build", "kg.tsv", "--vocab", "vocab.txt", "-o", "kg.idx"],
    );
    assert_eq!(code, 0, "{errors}");
    let train = "qa train --kg kg.idx --questions q.tsv --out run --d-model 32 --layers 1 --heads 2 --steps 150 --batch-size 16 \
                 --warmup 10 --learning-rate 5e-3 --dropout 0 --average 0.9 --validate-every 50 --initial-std 0.1";
    train.split_whitespace().collect()
}

#[test]
fn train_evaluate_predict_ask() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = small(folder);
    let (code, out, errors) = kexue(folder, &train);
    assert_eq!((code, out.as_str()), (0, "run\n"), "{errors}");
    for name in [
        "config.toml",
        "vocab.txt",
        "model.safetensors",
        "metrics.jsonl",
        "report.html",
        "checkpoint.bin",
    ] {
        assert!(folder.join("run").join(name).exists(), "{name}");
    }

    let model = ["--kg", "kg.idx", "--model", "run"];
    let (code, out, errors) = kexue(
        folder,
        &[&["qa", "eval", "--questions", "q.tsv", "--json"], &model[..]].concat(),
    );
    assert_eq!(code, 0, "{errors}");
    let scores: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(scores["scores"]["score"].as_f64().unwrap() > 90.0, "{out}");

    let (code, out, _) = kexue(
        folder,
        &[&["qa", "predict", "--questions", "q.tsv"], &model[..]].concat(),
    );
    assert_eq!(code, 0);
    assert_eq!(out.lines().count(), 20);
    assert_eq!(
        out.lines().next().unwrap(),
        r#"{"id":0,"answer":"赤城 ||| 人口 ||| 0万"}"#
    );

    let (code, out, _) = kexue(folder, &[&["ask", "蓝城有多少人？"], &model[..]].concat());
    assert_eq!(code, 0);
    assert_eq!(out.lines().next().unwrap(), "5万");
    let (code, out, _) = kexue(
        folder,
        &[&["ask", "蓝城有多少人？", "--min-confidence", "1"], &model[..]].concat(),
    );
    assert_eq!((code, out.lines().next().unwrap()), (1, "I don't know"));

    // The same folder and settings: nothing left to do. Other settings: refused.
    let (code, ..) = kexue(folder, &train);
    assert_eq!(code, 0);
    let (code, _, errors) = kexue(folder, &[&train[..], &["--seed", "7"]].concat());
    assert_eq!(code, 3);
    assert!(
        errors.contains("run/config.toml: the folder holds a run with other settings"),
        "{errors}"
    );
}

#[test]
fn rescoring_is_learned_kept_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = small(folder);
    let (code, _, errors) = kexue(folder, &train);
    assert_eq!(code, 0);
    assert!(
        errors.contains("rescoring is not learned: only 2 held-out questions"),
        "{errors}"
    );
    let model = ["--kg", "kg.idx", "--model", "run"];
    let learned = [&["ask", "蓝城有多大？", "--rescore", "learned"], &model[..]].concat();
    let (code, _, errors) = kexue(folder, &learned);
    assert_eq!(code, 2);
    assert!(
        errors.contains("--rescore learned needs the model's reranker.toml"),
        "{errors}"
    );

    fs::write(
        folder.join("many.tsv"),
        fs::read_to_string(folder.join("q.tsv")).unwrap().repeat(12),
    )
    .unwrap();
    let fit = [&["qa", "fit", "--questions", "many.tsv", "--hold-out", "0"], &model[..]].concat();
    let (code, out, errors) = kexue(folder, &fit);
    assert_eq!(code, 0, "{errors}");
    assert!(
        out.starts_with("rescoring learned on 240 held-out questions (0 without"),
        "{out}"
    );
    assert!(folder.join("run/reranker.toml").exists());
    let (code, out, _) = kexue(folder, &[&learned[..], &["--explain"]].concat());
    assert_eq!(
        (code, out.lines().rfind(|line| line.contains("because")).is_some()),
        (0, true),
        "{out}"
    );
    // It is used unless another way is asked for.
    let asked = |more: &[&str]| kexue(folder, &[&["ask", "蓝城有多大？", "--json"], &model[..], more].concat()).1;
    assert_eq!(asked(&[]), asked(&["--rescore", "learned"]));
    assert_ne!(asked(&[]), asked(&["--rescore", "exact"]));
    assert_eq!(asked(&["--look-ahead", "allowed"]), asked(&["--rescore", "exact"]));

    fs::write(folder.join("run/reranker.toml"), "sense = 1.0\n").unwrap();
    let (code, _, errors) = kexue(folder, &learned);
    assert_eq!(code, 3);
    assert!(
        errors.contains("run/reranker.toml: has no weight of `subject_log_probability`"),
        "{errors}"
    );
}

#[test]
fn bad_input_is_named_and_exits_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = small(folder);
    let fails = |arguments: &[&str], expected: &str| {
        let (code, out, errors) = kexue(folder, arguments);
        assert_eq!((code, out.as_str()), (3, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
        assert!(!errors.contains("panicked"), "{errors}");
    };
    let with = |flag: &str, value: &'static str| -> Vec<&str> {
        let at = train.iter().position(|argument| *argument == flag).unwrap();
        let mut arguments = train.clone();
        arguments[at + 1] = value;
        arguments
    };
    fails(&with("--kg", "none.idx"), "none.idx");
    fails(&with("--questions", "none.tsv"), "none.tsv");
    fs::write(folder.join("bad.tsv"), "a question\twith two fields\n").unwrap();
    fails(
        &with("--questions", "bad.tsv"),
        "bad.tsv:1: the question must name its entity in square brackets",
    );
    fs::write(folder.join("other.tsv"), "谁？\t不在\t图里\n").unwrap();
    fails(
        &with("--questions", "other.tsv"),
        "other.tsv: none of its questions has its fact in the graph",
    );
    fs::write(folder.join("empty.idx"), "").unwrap();
    fails(&with("--kg", "empty.idx"), "empty.idx");
    fails(
        &["ask", "x", "--kg", "kg.idx", "--model", "nowhere"],
        "nowhere/config.toml",
    );
    fails(&["ask", "  "], "the question is empty");

    fs::create_dir(folder.join("model")).unwrap();
    fs::write(folder.join("model/config.toml"), "version = 1\n").unwrap();
    fs::write(folder.join("model/vocab.txt"), "kexue-vocabulary 1 keep-case\n").unwrap();
    fs::write(folder.join("model/model.safetensors"), "x").unwrap();
    fails(
        &["ask", "x", "--kg", "kg.idx", "--model", "model"],
        "model/config.toml: ",
    );
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let train = small(folder.path());
    for (flag, value) in [
        ("--heads", "3"),
        ("--dropout", "1.5"),
        ("--steps", "many"),
        ("--learning-rate", "0"),
    ] {
        let mut arguments = train.clone();
        match train.iter().position(|argument| *argument == flag) {
            Some(at) => arguments[at + 1] = value,
            None => arguments.extend([flag, value]),
        }
        let (code, _, errors) = kexue(folder.path(), &arguments);
        assert_eq!(code, 2, "{flag} {value}: {errors}");
    }
    let (code, _, errors) = kexue(folder.path(), &["ask", "x", "--min-confidence", "2"]);
    assert_eq!(code, 2, "{errors}");
    let (code, ..) = kexue(folder.path(), &["ask", "x", "--kg", "only"]);
    assert_eq!(code, 2);
}

#[test]
fn the_embedded_model_answers_in_both_languages() {
    let folder = tempfile::tempdir().unwrap();
    let first = |question: &str| {
        let (code, out, errors) = kexue(folder.path(), &["ask", question]);
        assert_eq!(code, 0, "{question}: {out} {errors}");
        out.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(first("法国的首都是哪里？"), "巴黎");
    assert_eq!(first("what is the capital of france?"), "Paris");
    assert_eq!(first("铁的元素符号是什么"), "Fe");
    let (code, out, _) = kexue(
        folder.path(),
        &["ask", "法国的首都是哪里？", "--json", "--top", "3", "--explain"],
    );
    assert_eq!(code, 0);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["candidates"][0]["objects"][0], "巴黎");
    assert_eq!(answer["candidates"].as_array().unwrap().len(), 3);
    assert!(answer["choices"].as_array().is_some_and(|choices| !choices.is_empty()));

    let piped = Command::cargo_bin("kexue")
        .unwrap()
        .args(["ask"])
        .write_stdin("法国的首都是哪里？\n\n铁的元素符号是什么\n")
        .output()
        .unwrap();
    let text = String::from_utf8(piped.stdout).unwrap();
    assert!(text.starts_with("巴黎\n") && text.contains("\nFe\n"), "{text}");
}
