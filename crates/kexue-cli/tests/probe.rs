//! `kexue probe` as a user meets it.

mod common;

use common::kexue;
use kexue_nn::{Head, Model, NormPlacement, Positions, Precision, Pretrained, TransformerConfig};
use std::fs;
use std::path::Path;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("text.txt"),
        "天地玄黄宇宙洪荒日月盈昃辰宿列张\n".repeat(50),
    )
    .unwrap();
    folder
}

const SMALL: [&str; 8] = ["--layers", "2", "--d-model", "16", "--heads", "2", "--length", "12"];

#[test]
fn probes_a_preset_on_text_and_writes_the_page() {
    let folder = folder();
    let start = [
        "probe",
        "--preset",
        "bert",
        "--texts",
        "text.txt",
        "--steps",
        "4",
        "--warmup",
        "2",
        "--compare",
        "deep-norm",
    ];
    let (code, out, errors) = kexue(folder.path(), &[&start[..], &SMALL].concat());
    assert_eq!(code, 0, "{errors}");
    for expected in [
        "2 layers of width 16, norms: post",
        "0.017593",
        "1 feed-forward",
        "post, 2 steps of warm-up",
        "deep-norm, no warm-up",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let page = fs::read_to_string(folder.path().join("probe.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("what is left of the input") && page.contains("Probe of Bert"));

    let (code, out, _) = kexue(
        folder.path(),
        &[&["probe", "--preset", "gpt2", "--json"][..], &SMALL].concat(),
    );
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["architecture"]["objective"].as_str()), (0, Some("causal")));
    assert_eq!(json["mean"]["sublayers"].as_array().map(Vec::len), Some(4));
    assert_eq!(json["verdict"]["identity_vanishes"], false);
}

#[test]
fn probes_a_trained_model_as_it_is() {
    let folder = folder();
    let train = [
        "mlm",
        "train",
        "--texts",
        "text.txt",
        "--out",
        "run",
        "--steps",
        "2",
        "--hold-out",
        "0",
        "--batch-size",
        "2",
    ];
    let (code, _, errors) = kexue(folder.path(), &[&train[..], &SMALL].concat());
    assert_eq!(code, 0, "{errors}");
    let probe = ["probe", "--model", "run", "--texts", "text.txt", "--length", "12"];
    let (code, out, errors) = kexue(folder.path(), &probe);
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("2 layers of width 16, norms: pre"), "{out}");
    let page = fs::read_to_string(folder.path().join("probe.html")).unwrap();
    assert!(
        out.contains("\nAs loaded, loss ") && page.contains(">As loaded</h2>"),
        "{out}"
    );
    assert!(
        !out.contains("efore the first step") && !page.contains("efore the first step"),
        "{out}"
    );
    // The page of an earlier probe of the run is replaced, a file of the run is not.
    for (out, expected) in [
        ("run/probe.html", 0),
        ("run/probe.html", 0),
        ("run/model.safetensors", 3),
        ("run/vocab.txt", 3),
    ] {
        let (code, _, errors) = kexue(folder.path(), &[&probe[..], &["-o", out]].concat());
        assert_eq!(code, expected, "{out}: {errors}");
    }
    let (code, _, errors) = kexue(folder.path(), &[&probe[..], &["--layers", "3"]].concat());
    assert_eq!(code, 2);
    assert!(errors.contains("a saved model cannot be changed"), "{errors}");
}

#[test]
fn probes_a_hugging_face_model_on_text() {
    let folder = folder();
    let at = |name: &str| folder.path().join("model").join(name);
    fs::create_dir(at("")).unwrap();
    fs::write(at("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n天\n地\n玄\n黄\n").unwrap();
    let configuration = TransformerConfig {
        d_model: 16,
        layers: 2,
        heads: 2,
        d_ffn: 32,
        positions: Positions::Learned,
        max_positions: 12,
        token_types: 2,
        norm_placement: NormPlacement::Post,
        head: Head::DenseNorm,
        ..TransformerConfig::new(9)
    };
    let model = Model::new(configuration, &mut kexue_train::generator(0, 0, 0)).unwrap();
    Pretrained::new(model).save(at(""), Precision::Single).unwrap();
    let texts = ["--texts", "text.txt", "--length", "12"];
    let (code, out, errors) = kexue(folder.path(), &[&["probe", "--model", "model"], &texts[..]].concat());
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("2 layers of width 16, norms: post"), "{out}");
    let (code, _, errors) = kexue(folder.path(), &["probe", "--model", "model", "--length", "13"]);
    assert_eq!(
        (code, errors.contains("more than the model's 12 positions")),
        (2, true),
        "{errors}"
    );
    // A tokenizer of another model.
    fs::write(
        at("vocab.txt"),
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n天\n地\n玄\n黄\n宇\n",
    )
    .unwrap();
    let (code, _, errors) = kexue(folder.path(), &[&["probe", "--model", "model"], &texts[..]].concat());
    assert_eq!(code, 3);
    assert!(
        errors.contains("model: its tokenizer has 10 tokens, and the model 9"),
        "{errors}"
    );
    fs::remove_file(at("vocab.txt")).unwrap();
    let (code, _, errors) = kexue(folder.path(), &[&["probe", "--model", "model"], &texts[..]].concat());
    assert_eq!(code, 3);
    assert!(errors.contains("neither tokenizer.json nor vocab.txt"), "{errors}");
}

#[test]
fn what_cannot_be_read_or_built_is_named() {
    let folder = folder();
    fs::write(folder.path().join("bad.toml"), "[model]\nlayers = 2\nwidth = 3\n").unwrap();
    fs::write(folder.path().join("odd.toml"), "[model]\nheads = 3\n").unwrap();
    fs::write(folder.path().join("few.toml"), "[model]\nvocab_size = 50\n").unwrap();
    fs::write(folder.path().join("empty.txt"), "\n").unwrap();
    fs::create_dir(folder.path().join("neither")).unwrap();
    let failing = |arguments: &[&str]| {
        let (code, out, errors) = kexue(folder.path(), &[&["probe"], arguments].concat());
        assert_eq!(out, "");
        (code, errors)
    };
    for (arguments, code, expected) in [
        (&["--config", "bad.toml"][..], 3, "bad.toml: "),
        (
            &["--config", "odd.toml"],
            3,
            "odd.toml: model: heads: 3 heads do not divide",
        ),
        (&["--config", "bad.toml"], 3, "line 3"),
        (
            &["--config", "few.toml"],
            3,
            "few.toml: vocab_size: 50 is fewer than the 1000 random tokens: give --vocab-size 50",
        ),
        (&["--config", "none.toml"], 3, "none.toml"),
        (
            &["--model", "neither"],
            3,
            "neither: holds neither config.toml nor config.json: give the folder of a run, or of a Hugging Face model",
        ),
        (
            &["--model", "few.toml"],
            3,
            "few.toml: holds neither config.toml nor config.json: give the folder",
        ),
        (&["--compare", "pre"], 2, "--compare needs --steps"),
        (&["--attention-base", "64"], 2, "--attention-scale"),
        (
            &["--branch-variance", "1e300"],
            2,
            "--branch-variance: must be a positive number, within 1e-12 and 1e12",
        ),
        (&["--texts", "empty.txt"], 3, "empty.txt: holds no text"),
        (&["--model", "nothing"], 3, "nothing"),
        (&["--heads", "5"], 2, "--heads: 5 heads do not divide"),
        (&["--learning-rate", "-1"], 2, "--learning-rate: -1 is not"),
        (&["--seeds", "0"], 2, "seeds: 0 is not within"),
        (
            &["--preset", "bert", "--length", "600"],
            2,
            "length: 600 is more than the model's 512 positions",
        ),
        (&["--preset", "bart"], 2, "bart"),
        (&["--vocab-size", "3"], 2, "vocab_size: 3 is not within 5"),
        (
            &["--vocab-size", "99999999"],
            2,
            "--vocab-size: 99999999 is not within 1",
        ),
        (&["--length", "2"], 2, "length: 2 is not within 3"),
        (
            &["--batch-size", "60000", "--length", "60000"],
            2,
            "are more than 1048576 tokens",
        ),
        (&["--d-model", "100000"], 2, "--d-model: 100000 is not within"),
        (&["--initial-std", "nan"], 2, "'nan' for '--initial-std"),
        (
            &["--branch-variance", "0"],
            2,
            "--branch-variance: must be a positive number",
        ),
        (
            &["--init", "deepnet"],
            2,
            "deep_norm requires a deep_norm norm_placement",
        ),
        (&["--preset", "bert", "--config", "odd.toml"], 2, "cannot be used with"),
        (&["--vocab", "v.txt"], 2, "--texts"),
        (
            &["--out", "no/such/folder/p.html"],
            3,
            "there is no folder no/such/folder; create it first",
        ),
    ] {
        let (found, errors) = failing(arguments);
        assert_eq!(found, code, "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
    }
    // Where the system says how much memory there is.
    if Path::new("/proc/meminfo").exists() {
        for (arguments, expected) in [
            (&["--d-model", "65536", "--heads", "1024"][..], "--d-model, --layers"),
            (&["--length", "65536", "--batch-size", "16"], "--batch-size, --length"),
        ] {
            let (code, errors) = failing(arguments);
            assert_eq!(code, 2, "{arguments:?}: {errors}");
            assert!(
                errors.contains("GB of memory, and the machine has") && errors.contains(expected),
                "{arguments:?}: {errors}"
            );
        }
    }
    let (_, errors) = failing(&["--config", "bad.toml"]);
    assert!(errors.contains("width"), "{errors}");
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_it_with_what_was_measured() {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::Stdio;
    let folder = folder();
    let arguments = ["probe", "--texts", "text.txt", "--steps", "1000000"];
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("kexue"))
        .current_dir(folder.path())
        .args(arguments.iter().chain(&SMALL))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let process = child.id().to_string();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    let begun = errors.next().unwrap().unwrap();
    assert!(begun.contains("Ctrl-C stops it"), "{begun}");
    let killed = std::process::Command::new("kill").args(["-INT", &process]).status();
    assert!(killed.unwrap().success());
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{out}");
    assert!(
        out.contains("1 of 1 cut short, after ") && out.contains("the runs were cut short"),
        "{out}"
    );
    assert!(folder.path().join("probe.html").exists());
}

#[test]
fn a_learning_rate_that_breaks_everything_is_named() {
    let folder = folder();
    let probe = [
        "probe",
        "--preset",
        "bert",
        "--texts",
        "text.txt",
        "--learning-rate",
        "1e10",
        "--steps",
        "25",
    ];
    let (code, out, errors) = kexue(folder.path(), &[&probe[..], &SMALL].concat());
    assert_eq!(code, 0, "{errors}");
    for expected in [
        "(1.00e10) makes the last hidden state non-finite; the first of the warm-up",
        "1 of 1 diverged, at step 1",
        "all runs diverge, with and without it",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    assert!(
        out.contains(". Use a lower learning rate.\n") && !out.contains("needs no changes"),
        "{out}"
    );
}

/// What is suggested can be asked for, and is then what was measured, to the last bit.
#[test]
fn the_flags_of_an_alternative_make_the_model_that_it_measured() {
    let folder = folder();
    let measured = |arguments: &[&str]| -> serde_json::Value {
        let size = ["--d-model", "16", "--heads", "2", "--length", "12"];
        let (code, out, errors) = kexue(folder.path(), &[&["probe", "--json"], &size[..], arguments].concat());
        assert_eq!(code, 0, "{arguments:?}: {errors}");
        serde_json::from_str(&out).unwrap()
    };
    let mut deviations = 0;
    for base in [
        "--layers 6 --preset bert",
        "--layers 24 --preset bert --init xavier",
        "--layers 6 --preset deepnet",
        "--layers 6 --preset gpt2",
        "--layers 6 --preset t5",
    ] {
        let base: Vec<&str> = base.split(' ').collect();
        for alternative in measured(&base)["alternatives"].as_array().unwrap() {
            let change = alternative["change"].as_str().unwrap();
            deviations += usize::from(change.starts_with("--initial-std"));
            let flags = base.iter().copied().chain(change.split(' ')).collect::<Vec<_>>();
            let initial = &measured(&flags)["initial"][0];
            let sublayers = initial["snapshot"]["sublayers"].as_array().unwrap();
            let gradients: Vec<_> = sublayers.iter().map(|sublayer| &sublayer["token_gradient"]).collect();
            let expected = serde_json::json!([
                gradients,
                sublayers.last().unwrap()["identity"],
                initial["full_rate"]["output_change"]
            ]);
            let found = ["token_gradients", "identity", "output_change"].map(|name| &alternative[name]);
            assert_eq!(serde_json::json!(found), expected, "{base:?} {change}");
        }
    }
    assert!(deviations > 0, "a smaller deviation was among them");
}

#[test]
fn weights_that_are_all_zero_have_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let flags =
        "probe --out p.html --norm none --init fixup --d-model 16 --layers 2 --heads 2 --batch-size 2 --length 8";
    let (code, out, errors) = common::kexue(folder.path(), &flags.split(' ').collect::<Vec<_>>());
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("0.000000") && !out.contains("NaN"), "{out}");
    assert!(
        !fs::read_to_string(folder.path().join("p.html"))
            .unwrap()
            .contains("NaN")
    );
}

#[test]
fn the_title_says_what_was_probed_however_the_command_is_written() {
    let folder = folder();
    for command in [
        "probe -o p.html --layers 2 --d-model 16 --heads 2 --length 12 --json",
        "--threads 2 probe --length=12 --heads=2 --d-model=16 --out=p.html --layers=2",
    ] {
        let (code, _, errors) = kexue(folder.path(), &command.split(' ').collect::<Vec<_>>());
        // The second is not refused: the page shows the same probe.
        assert_eq!(code, 0, "{errors}");
        let page = fs::read_to_string(folder.path().join("p.html")).unwrap();
        let title = page.split("<title>").nth(1).unwrap().split('<').next().unwrap();
        assert_eq!(
            title,
            "Probe of a model (--length 12 --d-model 16 --layers 2 --heads 2)"
        );
    }
    let another = "probe --out p.html --layers 1 --d-model 16 --heads 2 --length 12";
    let (code, _, errors) = kexue(folder.path(), &another.split(' ').collect::<Vec<_>>());
    assert_eq!(code, 3, "{errors}");
    assert!(errors.contains("p.html"), "{errors}");
}
