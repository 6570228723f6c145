//! `kexue finetune` as a user meets it: a comparison from end to end, predictions, and what it refuses.

mod common;

use kexue_nn::{Model, NormPlacement, Positions, Precision, Pretrained, TransformerConfig};
use std::fs;
use std::path::Path;

/// Runs a command given as it is typed.
fn kexue(folder: &Path, command: &str) -> (i32, String, String) {
    common::kexue(folder, &command.split_whitespace().collect::<Vec<_>>())
}

const WORDS: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\nbad\nfilm\nthe\na\n";

/// A small BERT as Hugging Face has it, and reviews.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = TransformerConfig {
        d_model: 16,
        layers: 2,
        heads: 2,
        d_ffn: 16,
        norm_placement: NormPlacement::Post,
        positions: Positions::Learned,
        max_positions: 16,
        token_types: 2,
        ..TransformerConfig::new(10)
    };
    let model = Model::new(config, &mut kexue_train::generator(1, 0, 0)).unwrap();
    let bert = folder.path().join("bert");
    Pretrained::new(model).save(&bert, Precision::Single).unwrap();
    fs::write(bert.join("vocab.txt"), WORDS).unwrap();
    let rows = [
        "the good film",
        "good good",
        "a good the",
        "bad film",
        "the bad",
        "a bad film",
    ];
    let line = |(at, text): (usize, &&str)| format!("{}\t{text}\n", if at < 3 { "yes" } else { "no" });
    let lines: String = rows.iter().enumerate().map(line).collect();
    fs::write(
        folder.path().join("train.tsv"),
        format!("label\ttext\n{}", lines.repeat(3)),
    )
    .unwrap();
    fs::write(folder.path().join("dev.tsv"), format!("label\ttext\n{lines}")).unwrap();
    folder
}

const TRAIN: &str = "finetune train --model bert --train train.tsv --dev dev.tsv --text text --label label";
const SHORT: &str = "--epochs 2 --batch-size 6 --learning-rate 1e-2 --dropout 0";

#[test]
fn methods_are_compared_and_a_finished_comparison_is_not_run_again() {
    let folder = folder();
    let command = format!("{TRAIN} {SHORT} --out out --seeds 2 --compare none,child-f:0.25,child-d:0.3");
    let (code, printed, errors) = kexue(folder.path(), &command);
    assert_eq!(code, 0, "{errors}");
    for expected in [
        "best validation",
        "last validation",
        "child-f:0.25",
        "lr:0.5",
        "minus none",
        "out/report.html",
    ] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    let out = folder.path().join("out");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("dots are seeds") && page.contains("share of the parameters that child-d:0.3 trains"));
    let weights = |method: &str, seed: u64| out.join(method).join(format!("seed-{seed}/model.safetensors")).exists();
    let methods = ["none", "child-f-0.25", "child-d-0.3", "lr-0.5"];
    let kept = methods
        .iter()
        .flat_map(|method| [0, 1].map(|seed| weights(method, seed)));
    assert_eq!(kept.filter(|is_there| *is_there).count(), 1, "the best model alone");
    let json = fs::read_to_string(out.join("comparison.json")).unwrap();
    let again = kexue(folder.path(), &command);
    assert_eq!((again.0, again.1), (0, printed));
    assert_eq!(fs::read_to_string(out.join("comparison.json")).unwrap(), json);

    let (code, _, errors) = kexue(folder.path(), "finetune predict --model out --input dev.tsv");
    assert_eq!(code, 3);
    assert!(errors.contains("holds a comparison: name one of its runs"), "{errors}");
    let (code, _, errors) = kexue(folder.path(), &format!("{command} --weight-decay 0.1"));
    assert_eq!(code, 3);
    assert!(
        errors.contains("train.weight_decay is 0.01 there and 0.1 here"),
        "{errors}"
    );
}

#[test]
fn a_model_predicts_and_is_measured() {
    let folder = folder();
    let (code, printed, errors) = kexue(
        folder.path(),
        &format!("{TRAIN} {} --out out", SHORT.replace("--epochs 2", "--epochs 30")),
    );
    assert_eq!(code, 0, "{errors}");
    assert!(
        printed.contains("accuracy 100.00") && errors.contains("18 examples to train on, 6 to validate on, 2 labels")
    );
    assert!(folder.path().join("out/config.json").exists() && !folder.path().join("out/checkpoint.bin").exists());

    fs::write(
        folder.path().join("new.jsonl"),
        "{\"text\": \"a good film\"}\n{\"text\": \"bad\"}\n",
    )
    .unwrap();
    let predict = "finetune predict --model out --input new.jsonl --format json-lines";
    let (code, printed, errors) = kexue(folder.path(), predict);
    assert_eq!(code, 0, "{errors}");
    let lines: Vec<Vec<&str>> = printed.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines[0], ["index", "prediction", "no", "yes"]);
    assert_eq!(
        (lines[1][..2].to_vec(), lines[2][..2].to_vec()),
        (vec!["0", "yes"], vec!["1", "no"])
    );
    let shares: f64 = lines[1][2..].iter().map(|share| share.parse::<f64>().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-5);
    let (_, json, _) = kexue(folder.path(), &format!("{predict} --json"));
    assert!(
        json.starts_with("{\"index\":0,\"prediction\":\"yes\",\"probabilities\":{\"no\":"),
        "{json}"
    );
    assert_eq!(kexue(folder.path(), &format!("{predict} --out p.tsv")).0, 0);
    assert_eq!(fs::read_to_string(folder.path().join("p.tsv")).unwrap(), printed);
    let (code, _, errors) = kexue(folder.path(), &format!("{predict} --out new.jsonl"));
    assert_eq!(code, 3);
    assert!(errors.contains("would overwrite an input"), "{errors}");
    for file in ["model.safetensors", "config.toml", "tokenizer.json"] {
        let (code, _, errors) = kexue(folder.path(), &format!("{predict} --out out/{file}"));
        assert!(code == 3 && errors.contains("would overwrite an input"), "{errors}");
    }

    let small = folder.path().join("small");
    fs::create_dir(&small).unwrap();
    for file in fs::read_dir(folder.path().join("out")).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), small.join(file.file_name())).unwrap();
    }
    let (code, _, errors) = kexue(folder.path(), "shrink out/model.safetensors -o small/model.safetensors");
    assert!(code == 0 && errors.contains(" MB instead of "), "{errors}");
    let (code, of_small, errors) = kexue(folder.path(), &predict.replace("--model out", "--model small"));
    assert_eq!(code, 0, "{errors}");
    let predicted = |table: &str| -> Vec<String> { table.lines().map(|line| line[..4].to_owned()).collect() };
    assert_eq!(predicted(&of_small), predicted(&printed));
    assert_ne!(of_small, printed);
    let (code, _, errors) = kexue(folder.path(), "shrink dev.tsv -o x.safetensors");
    assert_eq!(code, 3);
    assert!(errors.contains("dev.tsv: not a readable file of weights"), "{errors}");
    let (code, _, errors) = kexue(
        folder.path(),
        "shrink small/model.safetensors -o small/model.safetensors",
    );
    assert_eq!(code, 3);
    assert!(errors.contains("would overwrite an input"), "{errors}");

    let (code, printed, _) = kexue(folder.path(), "finetune eval --model out --input dev.tsv --json");
    assert_eq!(code, 0);
    assert!(printed.contains("\"examples\":6,\"accuracy\":100.0"), "{printed}");
    let (code, _, errors) = kexue(
        folder.path(),
        "finetune eval --model out --input new.jsonl --format json-lines",
    );
    assert_eq!(code, 3);
    assert!(errors.contains("new.jsonl:1: there is no field `label`"), "{errors}");
}

#[test]
fn numbers_are_predicted_and_examples_held_out() {
    let folder = folder();
    let rows: String = (0..20)
        .map(|at| format!("{},{}\n", at % 4, ["a", "the", "good", "bad"][at % 4]))
        .collect();
    fs::write(folder.path().join("scores.csv"), format!("score,words\n{rows}")).unwrap();
    let columns = "--text words --label score --regression --hold-out 5";
    let command = format!("finetune train --model bert --train scores.csv {columns} {SHORT} --out out");
    let (code, printed, errors) = kexue(folder.path(), &command);
    assert_eq!(code, 0, "{errors}");
    assert!(printed.contains("pearson") && printed.contains("spearman"), "{printed}");
    assert!(
        errors.contains("16 examples to train on, 4 to validate on, numbers to predict"),
        "{errors}"
    );
    let (code, printed, _) = kexue(folder.path(), "finetune predict --model out --input scores.csv");
    assert_eq!((code, printed.lines().count()), (0, 21));
}

#[test]
fn a_run_of_masked_language_models_is_a_start() {
    let folder = folder();
    let text: String = "甲乙丙丁戊己庚辛".chars().cycle().take(3000).collect();
    fs::write(folder.path().join("a.txt"), text).unwrap();
    let small = "--d-model 16 --layers 1 --heads 1 --length 16 --batch-size 4 --validate-every 2 --steps 2";
    assert_eq!(
        kexue(folder.path(), &format!("mlm train --texts a.txt --out mlm {small}")).0,
        0
    );
    fs::write(folder.path().join("c.tsv"), "甲乙\t1\n丙丁\t0\n".repeat(6)).unwrap();
    let command =
        "finetune train --model mlm --train c.tsv --dev c.tsv --no-header --text 1 --label 2 --epochs 1 --out out";
    let (code, _, errors) = kexue(folder.path(), command);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(kexue(folder.path(), "finetune eval --model out --input c.tsv").0, 0);
    assert!(
        !folder.path().join("out/config.json").exists(),
        "pre-norm: nothing for transformers"
    );
}

#[test]
fn the_settings_of_a_run_are_given_back() {
    let folder = folder();
    let run = |command: &str| {
        let (code, _, errors) = kexue(folder.path(), command);
        assert_eq!(code, 0, "{errors}");
    };
    run(&format!(
        "{TRAIN} {SHORT} --out first --compare child-f:0.25 --weight-decay 0.5"
    ));
    run("finetune train --config first/config.toml --out same");
    let read = |run: &str| fs::read(folder.path().join(run).join("model.safetensors")).unwrap();
    assert!(read("first") == read("same"));
    run("finetune train --config first --out other --learning-rate 0.125");
    let changed = common::changed_lines(&folder.path().join("first"), &folder.path().join("other"));
    assert_eq!(changed, ["learning_rate = 0.125"]);
}

#[test]
fn bad_input_is_named_by_file_line_and_column() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("empty.tsv", "");
    write("header.tsv", "label\ttext\n");
    write("other.tsv", "class\ttext\nyes\tgood\nno\tbad\n");
    write("short.tsv", "label\ttext\nyes\tgood\nno\n");
    write("unknown.tsv", "label\ttext\nyes\tgood\nmaybe\tbad\n");
    write("single.tsv", "label\ttext\nyes\tgood\nyes\tbad\n");
    write("data.bin", "label\ttext\n");
    let train = |files: &str| format!("finetune train --model bert {files} --text text --label label --out x");
    for (files, expected) in [
        ("--train empty.tsv --dev dev.tsv", "empty.tsv: holds no examples"),
        ("--train header.tsv --dev dev.tsv", "header.tsv: holds no examples"),
        ("--train train.tsv --dev none.tsv", "none.tsv"),
        (
            "--train other.tsv --dev dev.tsv",
            "other.tsv:2: there is no column `label`; there are `class`, `text`",
        ),
        (
            "--train short.tsv --dev dev.tsv",
            "short.tsv:3: column `text` is missing: the line has 1 fields",
        ),
        (
            "--train train.tsv --dev unknown.tsv",
            "unknown.tsv:3: column `label`: label \"maybe\" is not a label of the training examples: \"no\", \"yes\"",
        ),
        (
            "--train single.tsv --dev dev.tsv",
            "single.tsv: column `label` holds only the label \"yes\"",
        ),
        (
            "--train train.tsv --dev dev.tsv --regression",
            "train.tsv:2: column `label`: \"yes\" is not a number",
        ),
        (
            "--train data.bin --dev dev.tsv",
            "data.bin: the name does not tell the format",
        ),
    ] {
        let (code, _, errors) = kexue(folder.path(), &train(files));
        assert_eq!(code, 3, "{files}: {errors}");
        assert!(errors.contains(expected), "{files}: {errors}");
    }
    let (code, _, errors) = kexue(
        folder.path(),
        &train("--train train.tsv --dev dev.tsv").replace("bert", "."),
    );
    assert_eq!(code, 3);
    assert!(errors.contains("holds neither config.toml nor config.json"), "{errors}");
    // A text that is too long is cut, counted and told.
    write(
        "long.tsv",
        &format!("label\ttext\nyes\t{}\nno\tbad\n", "good ".repeat(30)),
    );
    let (code, _, errors) = kexue(
        folder.path(),
        &train("--train long.tsv --dev dev.tsv --max-length 9 --epochs 1"),
    );
    assert_eq!(code, 0, "{errors}");
    assert!(
        errors.contains("long.tsv: 1 of 2 examples are longer than 9 tokens and were cut"),
        "{errors}"
    );
}

#[test]
fn a_command_line_that_cannot_be_is_refused_by_its_flag() {
    let folder = folder();
    for (flags, expected) in [
        ("--compare child-f:0", "`child-f:0` needs a positive number"),
        ("--compare child-f:0.3+child-d:0.3", "duplicates or conflicts"),
        ("--compare dropout:0.3", "is not known; a method is parts joined by +"),
        (
            "--compare child-d:0.3 --fisher-samples 0",
            "--fisher-samples: must be at least 1",
        ),
        ("--seeds 0", "--seeds must be 1 or more"),
        ("--epochs 0", "--epochs must be more than 0"),
        ("--warmup 3", "--warmup must be a share"),
        ("--max-length 2", "--max-length"),
        ("--max-length 17", "--max-length: is more than the model's positions"),
        ("--metrics pearson", "is not a number"),
        ("--learning-rate nan", "--learning-rate: must be a positive number"),
        ("--dropout 1", "--dropout"),
        ("--hold-out 1", "cannot be used with"),
        ("--freeze nothing.*", "no parameter's name matches `nothing.*`"),
    ] {
        let (code, _, errors) = kexue(folder.path(), &format!("{TRAIN} --out x {flags}"));
        let expected_code = if flags.contains("pearson") { 3 } else { 2 };
        assert_eq!(code, expected_code, "{flags}: {errors}");
        assert!(errors.contains(expected), "{flags}: {errors}");
    }
    let (code, _, errors) = kexue(folder.path(), "finetune train --model bert --train train.tsv --out x");
    assert_eq!(code, 2);
    assert!(
        errors.contains("name the columns by --preset, or by --text and --label"),
        "{errors}"
    );
}
