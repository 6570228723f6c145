//! `kexue mlm` as a user meets it: what it refuses, and how it tells runs apart.

mod common;

use kexue_nn::{Head, Model, NormPlacement, Positions, Precision, Pretrained, TransformerConfig};
use std::fs;
use std::path::Path;

/// Runs a command given as it is typed.
fn kexue(folder: &Path, command: &str) -> (i32, String, String) {
    common::kexue(folder, &command.split_whitespace().collect::<Vec<_>>())
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text: String = "甲乙丙丁戊己庚辛".chars().cycle().take(3000).collect();
    fs::write(folder.path().join("a.txt"), text).unwrap();
    folder
}

const SMALL: &str = "--d-model 16 --layers 1 --heads 1 --length 16 --batch-size 4 --validate-every 2";

/// Trains a small model for a few steps, and says what was printed.
fn train(folder: &Path, out: &str, flags: &str) -> String {
    let steps = if flags.contains("--steps") { "" } else { "--steps 2" };
    let command = format!("mlm train --texts a.txt --out {out} {SMALL} {steps} {flags}");
    let (code, printed, errors) = kexue(folder, &command);
    assert_eq!(code, 0, "{command}: {errors}");
    printed
}

#[test]
fn a_command_line_that_cannot_be_is_refused_by_its_flag() {
    let folder = folder();
    let refused = |command: &str, expected: &[&str]| {
        let (code, _, errors) = kexue(folder.path(), command);
        assert_eq!(code, 2, "{command}: {errors}");
        for expected in expected {
            assert!(errors.contains(expected), "{command}: {errors}");
        }
    };
    for (flags, expected) in [
        ("--length 18446744073709551615", "--length: must be at most 65536"),
        ("--gap 18446744073709551615", "--gap: must be at most 1048576"),
        ("--learning-rate inf", "--learning-rate: must be a positive number"),
        ("--learning-rate 3e38", "--learning-rate: must be at most 1e6"),
        ("--attention-base 64", "--attention-scale"),
        (
            "--attention-base 64 --attention-scale ordinary",
            "--attention-base needs --attention-scale entropy-invariant",
        ),
        ("--precision bf16", "--precision bf16 is for GPUs"),
        // Without support for GPUs, without a driver, or without so many of them.
        ("--device cuda:99", "--device cuda:99: "),
        (
            "--init t5 --attention-scale ordinary",
            "--attention-scale cannot be used with --init t5",
        ),
        ("--init deepnet --norm pre", "--init deepnet needs --norm deep-norm"),
        ("--mask-rate 0", "--mask-rate: must be above 0"),
        ("--initial-std 1e200", "must be a number within 1.2e-38 and 3.4e38"),
    ] {
        refused(&format!("mlm train --texts a.txt --out x {flags}"), &[expected]);
    }
    // Where the system says how much memory there is.
    if Path::new("/proc/meminfo").exists() {
        for (flags, expected) in [
            ("--d-model 65536 --heads 1024", "--d-model, --layers, --d-ffn"),
            ("--layers 1024 --d-model 4096", "--d-model, --layers, --d-ffn"),
            ("--batch-size 1048576", "--batch-size, --length"),
        ] {
            let command = format!("mlm train --texts a.txt --out x {flags}");
            refused(&command, &["GB of memory, and the machine has", expected]);
        }
    }
    train(folder.path(), "run", "");
    for (flags, expected) in [
        ("--tokens 0", "--tokens must be 1 or more"),
        ("--lengths 18446744073709551615", "none of 18446744073709551615 tokens"),
    ] {
        refused(&format!("mlm eval --model run --texts a.txt {flags}"), &[expected]);
    }
    assert!(!folder.path().join("x").exists(), "nothing was made");
    let eval = "mlm eval --model run --texts a.txt --lengths 8 --report run/model.safetensors";
    let (code, _, errors) = kexue(folder.path(), eval);
    assert!(code == 3 && errors.contains("would overwrite an input"), "{errors}");
}

#[test]
fn a_run_that_diverges_says_so_and_leaves_no_broken_weights() {
    let folder = folder();
    let (code, out, errors) = kexue(
        folder.path(),
        "mlm train --texts a.txt --out x --d-model 16 --layers 2 --heads 2 --length 16 --batch-size 4 --validate-every 10 \
         --learning-rate 1e5 --warmup 0 --steps 40",
    );
    assert_eq!((code, out.as_str()), (3, ""), "{errors}");
    assert!(
        errors.contains("is not finite: the run has diverged; lower the learning rate"),
        "{errors}"
    );
    let left = |name: &str| folder.path().join("x").join(name).exists();
    assert!(left("config.toml") && !left("checkpoint.bin") && !left("model.safetensors"));
}

#[test]
fn the_model_of_another_program_is_not_overwritten() {
    let folder = folder();
    let at = |name: &str| folder.path().join("theirs").join(name);
    fs::create_dir(at("")).unwrap();
    let configuration = TransformerConfig {
        d_model: 16,
        layers: 1,
        heads: 1,
        d_ffn: 32,
        positions: Positions::Learned,
        max_positions: 16,
        token_types: 2,
        norm_placement: NormPlacement::Post,
        head: Head::DenseNorm,
        ..TransformerConfig::new(9)
    };
    let model = Model::new(configuration, &mut kexue_train::generator(0, 0, 0)).unwrap();
    Pretrained::new(model).save(at(""), Precision::Single).unwrap();
    let before = fs::read(at("model.safetensors")).unwrap();
    let command = format!("mlm train --texts a.txt --out theirs {SMALL} --steps 2");
    let (code, _, errors) = kexue(folder.path(), &command);
    assert_eq!(code, 3);
    assert!(errors.contains("theirs/model.safetensors: is of no run"), "{errors}");
    assert!(before == fs::read(at("model.safetensors")).unwrap() && !at("config.toml").exists());

    let (code, _, errors) = kexue(
        folder.path(),
        &format!("mlm train --texts a.txt --out a.txt {SMALL} --steps 2"),
    );
    assert_eq!(code, 3);
    assert!(
        errors.contains("a.txt: is a file, and a run needs a folder"),
        "{errors}"
    );
}

#[test]
fn a_damaged_run_names_the_file() {
    let folder = folder();
    train(folder.path(), "run", "");
    let path = |name: &str| folder.path().join("run").join(name);
    let eval = || {
        let (code, _, errors) = kexue(folder.path(), "mlm eval --model run --texts a.txt --lengths 8");
        assert_eq!(code, 3, "{errors}");
        errors
    };
    let config = fs::read_to_string(path("config.toml")).unwrap();
    for (before, after, expected) in [
        (
            "heads = 1",
            "heads = 3",
            "run/config.toml: [model] heads: 3 heads do not",
        ),
        ("rate = 0.15", "rate = nan", "run/config.toml: rate: must be above 0"),
        ("std = 0.02", "std = nan", "run/config.toml: [model] initializer"),
    ] {
        assert!(config.contains(before), "{config}");
        fs::write(path("config.toml"), config.replace(before, after)).unwrap();
        let errors = eval();
        assert!(errors.contains(expected), "{errors}");
    }
    fs::write(path("config.toml"), config).unwrap();
    let weights = fs::read(path("model.safetensors")).unwrap();
    fs::write(path("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    let errors = eval();
    assert!(
        errors.contains("run/model.safetensors: not a readable file"),
        "{errors}"
    );
    // To be resumed, too.
    let (code, _, errors) = kexue(
        folder.path(),
        &format!("mlm train --texts a.txt --out run {SMALL} --steps 2"),
    );
    assert_eq!(code, 3);
    assert!(
        errors.contains("run/model.safetensors: not a readable file"),
        "{errors}"
    );
    // A file where a folder is wanted.
    let (_, _, errors) = kexue(folder.path(), "mlm eval --model a.txt --texts a.txt");
    assert!(
        errors.contains("a.txt: is a file: give the folder of a run of kexue mlm train"),
        "{errors}"
    );
}

#[test]
fn weights_to_start_from_mean_the_same() {
    let folder = folder();
    train(folder.path(), "ntk", "--init ntk");
    for (flags, expected) in [
        ("--init lecun", "was trained with a different --init (only ntk's"),
        ("--init t5", "was trained with a different --init (only ntk's"),
        (
            "--init ntk --attention-scale entropy-invariant",
            "was trained with a different --attention-scale",
        ),
    ] {
        let command = format!("mlm train --texts a.txt --out x {SMALL} --start ntk {flags}");
        let (code, _, errors) = kexue(folder.path(), &command);
        assert_eq!(code, 3, "{errors}");
        assert!(errors.contains(expected), "{errors}");
    }
    train(folder.path(), "again", "--init ntk --start ntk");
}

#[test]
fn a_hugging_face_model_is_where_training_starts_and_what_comes_out() {
    let folder = folder();
    let path = folder.path();
    train(path, "pre", "");
    let (code, _, errors) = kexue(path, "mlm export --model pre --out hf");
    assert_eq!(code, 3, "{errors}");
    let expected = "pre: `transformers` computes only norms after the branches; train with --norm post";
    assert!(errors.contains(expected), "{errors}");
    train(path, "ours", "--norm post");
    let (code, _, errors) = kexue(path, "mlm export --model ours --out hf");
    assert_eq!(code, 0, "{errors}");
    // Its tokens and its shape, whatever the defaults are.
    let command = "mlm train --texts a.txt --out next --length 16 --batch-size 4 --steps 1 --validate-every 1 --learning-rate 1e-20 --average 0 --start hf";
    let (code, _, errors) = kexue(path, command);
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains(", 0 are fresh"), "{errors}");
    assert!(path.join("next/tokenizer.json").exists() && !path.join("next/vocab.txt").exists());
    let (code, printed, errors) = kexue(path, "mlm eval --model next --texts a.txt --lengths 16 --all-documents");
    assert_eq!(code, 0, "{errors}");
    assert!(printed.contains("16"), "{printed}");
    let (code, _, errors) = kexue(path, "mlm export --model next --out back");
    assert_eq!(code, 0, "{errors}");
    let [there, back] = ["hf", "back"].map(|name| Pretrained::load(path.join(name)).unwrap().model);
    let mut pairs = there.values().iter().zip(back.values());
    assert!(
        pairs.all(|(there, back)| (there - back).abs() < 1e-15),
        "a step too small to be seen"
    );
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        let [there, back] = ["hf", "back"].map(|run| fs::read_to_string(path.join(run).join(name)).unwrap());
        assert_eq!(there, back, "{name}");
    }
    for (flags, expected) in [
        (
            "--vocab next/tokenizer.json",
            "--vocab cannot be used with this --start",
        ),
        ("--heads 2", "was trained with a different --heads"),
    ] {
        let (code, _, errors) = kexue(
            path,
            &format!("mlm train --texts a.txt --out x --length 16 --start hf {flags}"),
        );
        assert!(code != 0 && errors.contains(expected), "{errors}");
    }
    let (code, _, errors) = kexue(path, "mlm export --model next --out back");
    assert_eq!(code, 3, "{errors}");
    assert!(errors.contains("config.json: is already there"), "{errors}");
}

#[test]
fn a_finished_run_goes_on_with_more_steps() {
    let folder = folder();
    train(folder.path(), "long", "--decay constant --steps 6");
    train(folder.path(), "short", "--decay constant --steps 2");
    train(folder.path(), "short", "--decay constant --steps 6");
    for name in ["config.toml", "metrics.jsonl", "model.safetensors", "report.html"] {
        let read = |run: &str| fs::read(folder.path().join(run).join(name)).unwrap();
        assert!(read("long") == read("short"), "{name}");
    }
    train(folder.path(), "cosine", "");
    let command = format!("mlm train --texts a.txt --out cosine {SMALL} --steps 6");
    let (code, _, errors) = kexue(folder.path(), &command);
    assert_eq!(code, 3, "{errors}");
    assert!(
        errors.contains("ends at step 2, and its learning rate falls towards that step"),
        "{errors}"
    );
}

#[test]
fn why_nothing_was_measured_is_said() {
    let folder = folder();
    for (out, flags, expected) in [
        (
            "a",
            "--length 16 --hold-out 0",
            "--hold-out 0 holds nothing out: the weights of step 2",
        ),
        (
            "b",
            "--length 16 --validate-on 0",
            "--validate-on 0 reads no held-out tokens",
        ),
        (
            "c",
            "--length 500",
            "no held-out document is as long as a sequence, 500 tokens",
        ),
    ] {
        let command = format!(
            "mlm train --texts a.txt --out {out} --d-model 16 --layers 1 --heads 1 --batch-size 2 --steps 2 --warmup 200 {flags}"
        );
        let (code, printed, errors) = kexue(folder.path(), &command);
        assert_eq!(code, 0, "{errors}");
        assert!(printed.starts_with(expected), "{printed}");
        // Before the work, too.
        let start = expected.split(": ").next().unwrap();
        assert!(errors.contains(&format!("no validation: {start}")), "{errors}");
        assert!(
            errors.contains("--warmup 200 is not shorter than --steps 2"),
            "{errors}"
        );
    }
    // A flag that is on by default can be given without a value.
    train(folder.path(), "words", "--whole-words");
    train(folder.path(), "tokens", "--whole-words false");
    let read = |out: &str| fs::read_to_string(folder.path().join(out).join("config.toml")).unwrap();
    assert!(read("words").contains("whole_words = true") && read("tokens").contains("whole_words = false"));
}

#[test]
fn runs_are_seeds_of_one_row_only_where_nothing_else_differs() {
    let folder = folder();
    for (out, flags) in [
        ("o0", "--seed 0"),
        ("o1", "--seed 1"),
        ("g0", "--seed 0 --gap 8"),
        ("s0", "--seed 0 --steps 4"),
        ("e0", "--seed 0 --attention-scale entropy-invariant"),
        ("h0", "--seed 0 --attention-scale entropy-invariant --gap 8"),
    ] {
        train(folder.path(), out, flags);
    }
    let eval = "mlm eval --texts a.txt --lengths 8 --model o0 o1 g0 s0 e0 h0";
    let (code, out, errors) = kexue(folder.path(), eval);
    assert_eq!(code, 0, "{errors}");
    for expected in [
        "ordinary, steps 2, no gap (2 runs)",
        "ordinary, steps 2, gap 8 (1 runs)",
        "ordinary, steps 4, no gap (1 runs)",
        "entropy-invariant, base 512, no gap (1 runs)",
        "entropy-invariant, base 512, gap 8 (1 runs)",
        // Each with the ordinary one of its own settings, and no other pairs.
        "ordinary, clip 16 at inference, steps 2, no gap (2 pairs)",
        "ordinary, clip 16 at inference, steps 2, gap 8 (1 pairs)",
        "ordinary, clip 16 at inference, steps 4, no gap (1 pairs)",
        "entropy-invariant, base 512, no gap (1 pairs)",
        "entropy-invariant, base 512, gap 8 (1 pairs)",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    assert_eq!(out.matches("pairs)").count(), 5, "{out}");

    let (_, out, _) = kexue(folder.path(), &format!("{eval} --json"));
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    let row = |at: usize| (&rows[at]["attention_scale"], &rows[at]["runs"][0]["folder"]);
    assert_eq!(rows[0]["name"], "ordinary, steps 2, no gap");
    assert_eq!(rows[0]["runs"][1]["folder"], "o1");
    assert_eq!(row(2), (&"ordinary".into(), &"g0".into()));
    // Of one scale alone nothing has to be told apart.
    let (_, out, _) = kexue(folder.path(), "mlm eval --texts a.txt --lengths 8 --model o0 e0");
    assert!(
        out.contains("ordinary (1 runs)") && out.contains("entropy-invariant, base 512 (1 pairs)"),
        "{out}"
    );
}

#[test]
fn distances_that_do_not_occur_cannot_be_cut() {
    let folder = folder();
    train(folder.path(), "run", "");
    let measured = |flags: &str| {
        let command = format!("mlm eval --model run --texts a.txt --lengths 16,32 --json {flags}");
        let (code, out, errors) = kexue(folder.path(), &command);
        assert_eq!(code, 0, "{errors}");
        let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
        [0, 1].map(|length| rows[0]["runs"][0]["lengths"][length].clone())
    };
    let whole = measured("");
    assert_eq!(measured("--max-distance 31"), whole);
    let cut = measured("--max-distance 15");
    assert_eq!(cut[0], whole[0], "16 tokens are at most 15 apart");
    assert_ne!(cut[1], whole[1]);
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_the_work() {
    let folder = folder();
    train(folder.path(), "run", "");
    for (report, expected) in [
        (
            "no/dir/x.html",
            "no/dir/x.html: there is no folder no/dir; create it first",
        ),
        ("run", "run: this is a folder; name a file to write"),
        ("a.txt", "a.txt: this would overwrite an input"),
    ] {
        let command = format!("mlm eval --model run --texts a.txt --lengths 8 --report {report}");
        let (code, out, errors) = kexue(folder.path(), &command);
        assert_eq!((code, out.as_str()), (3, ""));
        assert!(
            errors.contains(expected) && !errors.contains("sequences of"),
            "{errors}"
        );
    }
}
