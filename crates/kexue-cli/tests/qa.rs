//! `kexue ask`, `kexue qa` and `kexue vocab` as a user meets them.

mod common;

use assert_cmd::Command;
use common::kexue;
use std::fs;
use std::path::Path;

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

    // The questions have answers, or cannot be scored.
    fs::write(folder.join("plain.jsonl"), "{\"question\": \"蓝城有多大？\"}\n").unwrap();
    let (code, _, errors) = kexue(
        folder,
        &[&["qa", "eval", "--questions", "plain.jsonl"], &model[..]].concat(),
    );
    assert_eq!(code, 3);
    assert!(
        errors.contains("plain.jsonl: has questions without answers"),
        "{errors}"
    );
    // What is pinned is answered by every command.
    let (code, ..) = kexue(folder, &["kg", "pin", "kg.idx", "赤城有多少人", "赤城", "面积"]);
    assert_eq!(code, 0);
    let (_, out, _) = kexue(
        folder,
        &[&["qa", "predict", "--questions", "q.tsv"], &model[..]].concat(),
    );
    assert_eq!(
        out.lines().next().unwrap(),
        r#"{"id":0,"answer":"赤城 ||| 面积 ||| 0平方公里"}"#
    );
    // Of nothing that the graph knows, nothing is known.
    let (code, out, _) = kexue(
        folder,
        &[&["ask", "纽约有多大？", "--min-confidence", "0"], &model[..]].concat(),
    );
    assert_eq!(
        (code, out.as_str()),
        (1, "I don't know: the question has no name that is in the graph\n")
    );

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
        errors.contains("rescoring was not learned: only 2 held-out questions"),
        "{errors}"
    );
    let model = ["--kg", "kg.idx", "--model", "run"];
    let learned = [&["ask", "蓝城有多大？", "--rescore", "learned"], &model[..]].concat();
    let (code, _, errors) = kexue(folder, &learned);
    assert_eq!(code, 2);
    assert!(
        errors.contains("--rescore learned needs the model's reranker.txt"),
        "{errors}"
    );

    fs::write(
        folder.join("many.tsv"),
        fs::read_to_string(folder.join("q.tsv")).unwrap().repeat(12),
    )
    .unwrap();
    let fit = [
        &[
            "qa",
            "fit",
            "--questions",
            "many.tsv",
            "--hold-out",
            "0",
            "--known",
            "q.tsv",
        ],
        &model[..],
    ]
    .concat();
    let (code, out, errors) = kexue(folder, &fit);
    assert_eq!(code, 0, "{errors}");
    assert!(
        out.starts_with("rescoring learned on 240 held-out questions (0 without"),
        "{out}"
    );
    assert!(folder.join("run/reranker.txt").exists());
    let (code, out, _) = kexue(folder, &[&learned[..], &["--explain"]].concat());
    assert_eq!(
        (code, out.contains("\nWhy 蓝城 · 面积 comes before 蓝城 · 人口:\n")),
        (0, true),
        "{out}"
    );
    // What training did not learn, its repetition does not take away.
    let learned_weights = fs::read(folder.join("run/reranker.txt")).unwrap();
    let (code, _, errors) = kexue(folder, &train);
    assert_eq!(code, 0);
    assert!(errors.contains("its rescoring is kept"), "{errors}");
    assert_eq!(fs::read(folder.join("run/reranker.txt")).unwrap(), learned_weights);
    // It is used unless another way is asked for.
    let asked = |more: &[&str]| kexue(folder, &[&["ask", "蓝城有多大？", "--json"], &model[..], more].concat()).1;
    assert_eq!(asked(&[]), asked(&["--rescore", "learned"]));
    assert_ne!(asked(&[]), asked(&["--rescore", "exact"]));
    assert_eq!(asked(&["--look-ahead", "allowed"]), asked(&["--rescore", "exact"]));

    fs::write(folder.join("run/reranker.txt"), "sense = 1.0\n").unwrap();
    let (code, _, errors) = kexue(folder, &learned);
    assert_eq!(code, 3);
    assert!(
        errors.contains(
            "run/reranker.txt: has no line `+++` between its weights and its counts; `kexue qa fit` rewrites"
        ),
        "{errors}"
    );
    // As the message says.
    assert_eq!(kexue(folder, &fit).0, 0);
    assert_eq!(kexue(folder, &learned).0, 0);
    // So it is with the file of an earlier version, which is gone then.
    fs::rename(folder.join("run/reranker.txt"), folder.join("run/reranker.toml")).unwrap();
    let (code, _, errors) = kexue(folder, &learned);
    assert_eq!(code, 3);
    assert!(errors.contains("`kexue qa fit` writes reranker.txt"), "{errors}");
    assert_eq!(kexue(folder, &fit).0, 0);
    assert_eq!(kexue(folder, &learned).0, 0);
    assert!(!folder.join("run/reranker.toml").exists());
}

#[test]
fn a_damaged_checkpoint_is_named_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = small(folder);
    assert_eq!(kexue(folder, &train).0, 0);
    let checkpoint = folder.join("run/checkpoint.bin");
    let good = fs::read(&checkpoint).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [&good[..good.len() / 2], &good[..3], &[], &flipped[..]] {
        fs::write(&checkpoint, bad).unwrap();
        let (code, out, errors) = kexue(folder, &train);
        assert_eq!((code, out.as_str()), (3, ""), "{} bytes: {errors}", bad.len());
        assert!(errors.contains("run/checkpoint.bin: "), "{} bytes: {errors}", bad.len());
        assert_eq!(fs::read(&checkpoint).unwrap(), bad, "nothing is written over it");
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_saves_and_the_same_command_ends_with_the_same_bytes() {
    use std::io::{BufRead as _, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Long enough that Ctrl-C comes before its end.
    let longer = |flag| if flag == "150" { "600" } else { flag };
    let train: Vec<&str> = small(folder).into_iter().map(longer).collect();
    assert_eq!(kexue(folder, &train).0, 0);
    let names = ["config.toml", "metrics.jsonl", "model.safetensors", "report.html"];
    let read = || names.map(|name| fs::read(folder.join("run").join(name)).unwrap());
    let whole = read();
    fs::remove_dir_all(folder.join("run")).unwrap();

    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("kexue"))
        .current_dir(folder)
        .args(&train)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    // The first validation.
    let begun = errors
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.starts_with("step 50"));
    assert!(begun.is_some());
    let process = child.id().to_string();
    let killed = std::process::Command::new("kill").args(["-INT", &process]).status();
    assert!(killed.unwrap().success());
    let rest: Vec<String> = errors.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    let said = rest.last().unwrap();
    assert!(said.contains("and saved; run the same command to continue"), "{said}");
    assert_ne!(read()[1], whole[1], "it was cut short");

    assert_eq!(kexue(folder, &train).0, 0);
    for ((name, found), expected) in names.iter().zip(read()).zip(whole) {
        assert!(found == expected, "{name} differs");
    }
}

/// Runs commands that must fail with a code, and lists what they say.
fn refusals(folder: &Path, expected: i32, commands: &[&str]) -> String {
    let mut wrong = Vec::new();
    let mut refusal = |command: &&str| {
        let (code, out, errors) = kexue(folder, &command.split(' ').collect::<Vec<_>>());
        if (code, out.as_str()) != (expected, "") || errors.contains("panicked") {
            wrong.push(format!("{command}: {code} {errors}"));
        }
        format!("$ kexue {command}\n{errors}\n")
    };
    let said = commands.iter().map(&mut refusal).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    said
}

/// A folder of files that cannot be used, beside those of `small` and a model trained on them.
fn with_bad_files(folder: &Path) {
    let (code, _, errors) = kexue(folder, &small(folder));
    assert_eq!(code, 0, "{errors}");
    let write = |name: &str, content: &[u8]| {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), content).unwrap();
    };
    write("two.tsv", "谁？\t赤城\t人口\n有\t两栏\n".as_bytes());
    write("nobody.tsv", "谁？\t\t人口\n".as_bytes());
    write("entity.tsv", b"a question\twith two fields\n");
    write("json.jsonl", b"{\"question\": 3}\n");
    write("answer.jsonl", b"{\"question\": \"x\", \"answer\": \"S ||| P\"}\n");
    write("latin.tsv", b"caf\xe9\ta\tb\n");
    write("other.tsv", "谁？\t不在\t图里\n".as_bytes());
    write("blank.jsonl", b"{\"question\": \" \", \"answer\": \"S ||| P ||| O\"}\n");
    write(
        "nameless.jsonl",
        b"{\"question\": \"x\", \"answer\": \" ||| P ||| O\"}\n",
    );
    write("unanswered.tsv", b"who [a] b\t\n");
    write(
        "long.tsv",
        format!("谁？\t赤城\t人口\n{}\t赤城\t人口\n", "长".repeat(600)).as_bytes(),
    );
    write("empty.tsv", b"");
    write("none.txt.tsv", b"# no templates\n");
    write("empty.idx", b"");
    write(
        "text.idx",
        &b"not an index, but long enough to be read as one. ".repeat(10),
    );
    write("templates.tsv", "人口\t没有主语\n".as_bytes());
    write("relation.tsv", "海拔\t{S}多高？\n".as_bytes());
    let run = |name: &str| fs::read(folder.join("run").join(name)).unwrap();
    let good = ["config.toml", "vocab.txt", "model.safetensors"];
    let broken: [(&str, &str, Vec<u8>); 6] = [
        ("no-toml", "config.toml", b"version = 1\n".to_vec()),
        (
            "wide",
            "config.toml",
            String::from_utf8(run("config.toml"))
                .unwrap()
                .replace("d_model = 32", "d_model = 48")
                .into(),
        ),
        ("no-vocab", "vocab.txt", b"kexue-vocabulary 1 keep-case\n".to_vec()),
        ("short", "model.safetensors", run("model.safetensors")[..1000].to_vec()),
        ("noise", "model.safetensors", b"x".to_vec()),
        (
            "weights",
            "reranker.txt",
            b"[weights]\nsense = 1.0\n[lacking]\n[counted]\nxxh3 = \"2d06800538d394c2\"\nwords = 0\nquestions = {all = 0, unanswerable = 0, relations = {}}\n\
              phrases = {unanswerable = {questions = 0, words = 0, distinct = 0}, relations = {}}\n\n+++\n"
                .to_vec(),
        ),
    ];
    for (name, file, content) in broken {
        for good in good {
            write(&format!("{name}/{good}"), &run(good));
        }
        write(&format!("{name}/{file}"), &content);
    }
    let (code, ..) = kexue(folder, &["kg", "build", "kg.tsv", "-o", "counted.idx"]);
    assert_eq!(code, 0);
    // The heads of packed files, and no more.
    write("cut.tsv.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03");
    write("cut.tsv.zst", b"\x28\xb5\x2f\xfd\x04");
    fs::create_dir(folder.join("folder")).unwrap();
    let mut damaged = fs::read(folder.join("kg.idx")).unwrap();
    let middle = damaged.len() / 2;
    damaged.truncate(middle);
    write("half.idx", &damaged);
}

#[test]
fn bad_input_is_named_and_exits_with_3() {
    let folder = tempfile::tempdir().unwrap();
    with_bad_files(folder.path());
    let said = refusals(
        folder.path(),
        3,
        &[
            "ask x --kg none.idx --model run",
            "ask x --kg empty.idx --model run",
            "ask x --kg text.idx --model run",
            "ask x --kg half.idx --model run",
            "ask x --kg counted.idx --model run",
            "ask x --kg kg.idx --model nowhere",
            "ask x --kg kg.idx --model no-toml",
            "ask x --kg kg.idx --model wide",
            "ask x --kg kg.idx --model no-vocab",
            "ask x --kg kg.idx --model short",
            "ask x --kg kg.idx --model noise",
            "ask x --kg kg.idx --model weights",
            "ask \u{3000}",
            "ask x --kg folder --model run",
            "ask x --kg kg.idx --model folder",
            "ask x --kg kg.idx --model q.tsv",
            "qa eval --kg kg.idx --model run --questions folder",
            "qa eval --kg kg.idx --model run --questions cut.tsv.gz",
            "qa eval --kg kg.idx --model run --questions cut.tsv.zst",
            "vocab cut.tsv.gz -o v.txt",
            "kg build cut.tsv.gz -o x.idx",
            "kg build cut.tsv.zst -o x.idx",
            "kg build folder --format tsv -o x.idx",
            "kg info folder",
            "kg verify folder",
            "mlm train --texts folder --out new",
            "mlm train --texts cut.tsv.zst --out new",
            "qa train --kg folder --out new --questions q.tsv",
            "qa train --kg kg.idx --out q.tsv --questions q.tsv",
            "qa eval --kg kg.idx --model run --questions none.tsv",
            "qa eval --kg kg.idx --model run --questions two.tsv",
            "qa eval --kg kg.idx --model run --questions nobody.tsv",
            "qa eval --kg kg.idx --model run --questions entity.tsv",
            "qa eval --kg kg.idx --model run --questions json.jsonl",
            "qa eval --kg kg.idx --model run --questions answer.jsonl",
            "qa eval --kg kg.idx --model run --questions blank.jsonl",
            "qa eval --kg kg.idx --model run --questions latin.tsv",
            "qa eval --kg kg.idx --model run --questions empty.tsv",
            "qa eval --kg kg.idx --model run --questions nameless.jsonl",
            "qa eval --kg kg.idx --model run --questions unanswered.tsv",
            "qa eval --kg kg.idx --model run --questions long.tsv",
            "qa predict --kg kg.idx --model run --questions long.tsv",
            "qa train --kg kg.idx --out new --questions q.tsv --valid long.tsv",
            "qa fit --kg kg.idx --model run --questions q.tsv",
            "qa train --kg kg.idx --out new --questions other.tsv",
            "qa train --kg kg.idx --out run --questions q.tsv",
            "qa train --kg kg.idx --out new --questions q.tsv --start nowhere",
            "qa train --kg kg.idx --out new --questions q.tsv --start run --d-model 256 --layers 4 --heads 4",
            "qa train --kg counted.idx --out new --questions q.tsv --start run",
            "qa predict --kg kg.idx --model run --questions latin.tsv",
            "qa predict --kg kg.idx --model run --questions q.tsv -o none/answers.jsonl",
            "qa predict --kg kg.idx --model run --questions q.tsv -o q.tsv",
            "qa predict --kg kg.idx --model run --questions q.tsv -o run",
            "qa expand --kg kg.idx --templates templates.tsv -o templates.tsv",
            "qa expand --kg kg.idx --templates none.txt.tsv -o x.tsv",
            "vocab q.tsv -o q.tsv",
            "qa expand --kg kg.idx --templates none.tsv -o x.tsv",
            "qa expand --kg kg.idx --templates templates.tsv -o x.tsv",
            "qa expand --kg kg.idx --templates relation.tsv -o x.tsv",
            "vocab none.tsv -o v.txt",
            "vocab latin.tsv -o v.txt",
            "mlm train --texts none.txt --out new",
            "mlm train --texts latin.tsv --out new",
            "mlm train --texts empty.tsv --out new",
            "mlm train --texts q.tsv --vocab empty.tsv --out new",
            "mlm eval --model nowhere --texts q.tsv",
            "mlm eval --model run --texts q.tsv",
        ],
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let train =
        |flags: &str| format!("qa train --kg kg.idx --questions q.tsv --out new --d-model 32 --layers 1 {flags}");
    small(folder.path());
    let commands = [
        "--heads 3",
        "--heads 0",
        "--dropout 1.5",
        "--steps many",
        "--steps 0",
        "--learning-rate 0",
        "--learning-rate nan",
        "--batch-size 0",
        "--initial-std 0",
        "--attention-scale warm",
        "--attention-base 1 --attention-scale entropy-invariant",
        "--swap 2",
        "--lexical-prior 1 --loss allowed",
        "--gain-weight nan --look-ahead added",
        "--gain-weight 2 --look-ahead allowed",
        "--prior 2",
        "--beam 0",
        "--valid q.tsv --hold-out 5",
        "--loss none",
        "--hold-out 1",
    ]
    .map(train);
    let mut commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    commands.extend([
        "ask x --min-confidence 2",
        "ask x --kg only",
        "ask x --rescore sometimes",
        "mlm train --texts q.tsv --out new --length 2",
        "mlm eval --model new --texts q.tsv --lengths 2",
        "kg build kg.tsv --columns subject,object -o x.idx",
    ]);
    let said = refusals(folder.path(), 2, &commands);
    insta::assert_snapshot!(said);
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
    let (code, rounded, _) = kexue(
        folder.path(),
        &[
            "ask",
            "法国的首都是哪里？",
            "--json",
            "--top",
            "3",
            "--explain",
            "--precision",
            "int8",
        ],
    );
    assert_eq!(code, 0);
    let rounded: serde_json::Value = serde_json::from_str(&rounded).unwrap();
    assert_eq!(rounded["candidates"][0]["objects"][0], "巴黎");
    assert_ne!(rounded, answer, "the probabilities are not quite the same");

    let piped = Command::cargo_bin("kexue")
        .unwrap()
        .args(["ask"])
        .write_stdin("法国的首都是哪里？\n\n铁的元素符号是什么\n")
        .output()
        .unwrap();
    let text = String::from_utf8(piped.stdout).unwrap();
    let told = Command::cargo_bin("kexue")
        .unwrap()
        .args(["ask", "--json"])
        .write_stdin("铁的元素符号是什么\r\n")
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["question"], "铁的元素符号是什么");
    // Of Hong Kong the graph knows much, but not this.
    let (code, out, _) = kexue(folder.path(), &["ask", "香港的首都是哪里？"]);
    assert_eq!(code, 1);
    assert!(
        out.starts_with("I don't know: the graph lacks the answer with a probability of "),
        "{out}"
    );
    assert!(text.starts_with("巴黎\n") && text.contains("\nFe\n"), "{text}");
}

#[test]
fn a_bad_line_of_a_stream_gets_its_error_and_the_rest_is_answered() {
    let ask = |arguments: &[&str], input: &[u8]| {
        let output = Command::cargo_bin("kexue")
            .unwrap()
            .arg("ask")
            .args(arguments)
            .write_stdin(input)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let long = "a".repeat(3000);
    // The last line is longer than a question is ever read, and has no end.
    let endless = "b".repeat((1 << 20) + 5);
    let lines = [
        "法国的首都是哪里？".as_bytes(),
        b"caf\xe9",
        b"",
        long.as_bytes(),
        "德国的首都是哪里？".as_bytes(),
        endless.as_bytes(),
    ];
    let input = lines.join(&b'\n');
    let (code, out, errors) = ask(&["--json"], &input);
    assert_eq!(code, Some(3));
    let answers: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 5, "{out}");
    assert_eq!(answers[0]["candidates"][0]["objects"][0], "巴黎");
    assert_eq!(
        answers[1],
        serde_json::json!({"line": 2, "error": "the question is not UTF-8 text"})
    );
    assert!(
        answers[2]["line"] == 4 && answers[2]["error"].as_str().unwrap().contains("tokens"),
        "{out}"
    );
    assert_eq!(answers[3]["candidates"][0]["objects"][0], "柏林");
    assert_eq!(
        answers[4],
        serde_json::json!({"line": 6, "error": "the question is longer than 1 MiB"})
    );
    assert_eq!(
        errors,
        "kexue: 3 of 6 lines of standard input are no questions; see their errors\n"
    );

    let (code, out, _) = ask(&[], &input);
    assert_eq!(code, Some(3));
    assert!(out.contains("巴黎\n") && out.contains("柏林\n"), "{out}");
    assert!(
        out.contains("\nerror: line 2: the question is not UTF-8 text\n"),
        "{out}"
    );

    // A byte order mark is no part of a question, nor of an empty line.
    let (code, out, _) = ask(&["--json"], "\u{feff}法国的首都\n".as_bytes());
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["question"]), (Some(0), &serde_json::json!("法国的首都")));
    assert_eq!(ask(&[], "\u{feff}\r\n".as_bytes()).1, "");
    let (code, out, _) = ask(&["--json", "\u{feff}法国的首都"], b"");
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["question"]), (Some(0), &serde_json::json!("法国的首都")));
}

#[test]
fn readers_that_close_early_are_no_reason_to_panic() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    let ended = |command: &str| {
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("kexue"))
            .current_dir(folder.path())
            .args(command.split(' '))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        child.wait().unwrap().code()
    };
    assert_eq!(ended("ask 法国的首都是哪里？"), Some(0));
    assert_eq!(
        ended("qa predict --kg kg.idx --model nowhere --questions q.tsv"),
        Some(3)
    );
    assert_eq!(
        ended("qa train --kg kg.idx --questions q.tsv --out new --steps 1 --d-model 8 --layers 1 --heads 1"),
        Some(0)
    );
    assert_eq!(ended("qa eval --kg kg.idx --model new --questions q.tsv"), Some(0));
    assert_eq!(ended("vocab q.tsv -o v.txt"), Some(0));
}

#[test]
fn masked_models_are_trained_measured_and_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = |characters: &str| characters.chars().cycle().take(3000).collect::<String>();
    fs::write(folder.join("a.txt"), text("甲乙丙丁戊己庚辛")).unwrap();
    let train = |out: &str, scale: &str, seed: &str| {
        let flags = "mlm train --texts a.txt --length 16 --d-model 16 --layers 1 --heads 1 --steps 20 --batch-size 4 --validate-every 10 --out";
        let all = [
            flags.split(' ').collect(),
            vec![out, "--attention-scale", scale, "--seed", seed],
        ]
        .concat();
        kexue(folder, &all)
    };
    for seed in ["0", "1"] {
        for scale in ["ordinary", "entropy-invariant"] {
            let (code, out, errors) = train(&format!("{scale}-{seed}"), scale, seed);
            assert_eq!(code, 0, "{errors}");
            // Of one document, the end is held out.
            assert!(
                errors.contains("2850 tokens in 1 documents to train on, 150 in 1 held out"),
                "{errors}"
            );
            assert!(out.starts_with("best accuracy "), "{out}");
        }
    }
    let eval = "mlm eval --texts a.txt --lengths 8,16 --report lengths.html --model ordinary-0 ordinary-1 entropy-invariant-0 entropy-invariant-1";
    let (code, out, errors) = kexue(folder, &eval.split(' ').collect::<Vec<_>>());
    assert_eq!(code, 0, "{errors}");
    assert!(
        out.contains("entropy-invariant, base 512 (2 pairs)") && out.contains("clip 16 at inference (2 runs)"),
        "{out}"
    );
    // At the training's length the clip changes nothing, whatever the order of the runs.
    let paired = out
        .lines()
        .find(|line| line.contains("clip 16 at inference (2 pairs)"))
        .unwrap();
    assert!(paired.contains("0.00 ± 0.00"), "{paired}");
    assert!(
        fs::read_to_string(folder.join("lengths.html"))
            .unwrap()
            .contains("<svg")
    );
    let (code, _, errors) = kexue(
        folder,
        &[
            "mlm",
            "eval",
            "--texts",
            "a.txt",
            "--lengths",
            "8",
            "--model",
            "ordinary-0",
            "ordinary-0",
        ],
    );
    assert_eq!(code, 2);
    assert!(errors.contains("--model ordinary-0 is given twice"), "{errors}");

    // The same command on another text of as many characters is another run.
    fs::write(folder.join("a.txt"), text("子丑寅卯辰巳午未")).unwrap();
    let (code, _, errors) = train("ordinary-0", "ordinary", "0");
    assert_eq!(code, 3);
    assert!(
        errors.contains("ordinary-0/vocab.txt: the folder holds a run with other tokens"),
        "{errors}"
    );
}
