//! `kexue vae` as a user meets it: from files to densities, and what it refuses.

mod common;

use std::fs;
use std::path::Path;

fn kexue(folder: &Path, command: &str) -> (i32, String, String) {
    common::kexue(folder, &command.split_whitespace().collect::<Vec<_>>())
}

/// A table whose second column follows the first, and a set of 4 × 4 images that are a bright row or column.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "height,weight\n".to_owned();
    for line in 0..300 {
        let x = ((line * 37) % 101) as f32 / 50.0 - 1.0;
        table += &format!("{},{}\n", 170.0 + 10.0 * x, 70.0 + 12.0 * x + ((line * 53) % 7) as f32);
    }
    fs::write(folder.path().join("people.csv"), table).unwrap();
    let idx = |images: &[[u8; 16]]| {
        let header = [
            [0, 0, 8, 3],
            (images.len() as u32).to_be_bytes(),
            [0, 0, 0, 4],
            [0, 0, 0, 4],
        ]
        .concat();
        [header, images.concat()].concat()
    };
    let image = |number: usize| -> [u8; 16] {
        std::array::from_fn(|at| {
            let (line, row) = (number % 4, (number / 4).is_multiple_of(2));
            if (if row { at / 4 } else { at % 4 }) == line {
                255
            } else {
                0
            }
        })
    };
    let images: Vec<[u8; 16]> = (0..200).map(image).collect();
    fs::write(folder.path().join("lines"), idx(&images)).unwrap();
    let noise: Vec<[u8; 16]> = (0..40)
        .map(|n: usize| std::array::from_fn(|at| if (n * 7 + at * at * 3) % 5 < 2 { 255 } else { 0 }))
        .collect();
    fs::write(folder.path().join("noise"), idx(&noise)).unwrap();
    folder
}

fn done(folder: &Path, command: &str) -> (String, String) {
    let (code, printed, errors) = kexue(folder, command);
    assert_eq!(code, 0, "{command}: {errors}");
    (printed, errors)
}

/// The column of a CSV text.
fn column(text: &str, name: &str) -> Vec<String> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let at = lines.next().unwrap().iter().position(|cell| *cell == name).unwrap();
    lines.map(|cells| cells[at].to_owned()).collect()
}

fn numbers(text: &str, name: &str) -> Vec<f64> {
    column(text, name).iter().map(|cell| cell.parse().unwrap()).collect()
}

const SMALL: &str = "--layer 12:3 --batch-size 10 --hold-out 10 --learning-rate 0.01 --decay constant";

#[test]
fn images_are_learned_ranked_told_apart_and_drawn() {
    let folder = folder();
    let train = format!("vae train --data lines --out run {SMALL} --epochs 60 --bound iwae --draws 3");
    let (printed, _) = done(folder.path(), &train);
    assert!(
        printed.contains("best held-out bound") && printed.contains("active units"),
        "{printed}"
    );
    for name in ["reconstructions.png", "samples.png", "traversals.png"] {
        assert!(
            fs::read(folder.path().join("run").join(name))
                .unwrap()
                .starts_with(b"\x89PNG")
        );
    }
    let report = fs::read_to_string(folder.path().join("run/report.html")).unwrap();
    assert!(
        report.contains("data:image/png;base64,")
            && report.contains("Active units")
            && report.contains("held out bound")
    );

    let density = "vae density --model run --data lines --against noise --limit 40 --samples 400 --block 50";
    let (ranking, errors) = done(folder.path(), &format!("{density} --report density.html"));
    let logs = numbers(&ranking, "log_density");
    assert!(logs.len() == 80 && logs.is_sorted(), "outliers first");
    // Noise is what is unlikely.
    assert!(
        column(&ranking, "set")[..30].iter().all(|set| set == "against"),
        "{ranking}"
    );
    assert!(
        errors.contains("AUROC by log-density: ") && errors.contains("AUROC by corrected score: "),
        "{errors}"
    );
    assert!(
        fs::read_to_string(folder.path().join("density.html"))
            .unwrap()
            .contains("bound by draws")
    );
    // Another batch size and number of threads change nothing; a smaller precision takes more draws.
    let (same, _) = done(folder.path(), &format!("{density} --batch 3"));
    assert_eq!(same, ranking);
    let (few, _) = done(folder.path(), &format!("{density} --precision 0.3"));
    let draws = |text: &str| numbers(text, "draws").iter().sum::<f64>();
    assert!(draws(&few) < draws(&ranking));
    let (lines, _) = done(folder.path(), &format!("{density} --json"));
    assert_eq!(lines.lines().count(), 80);
    assert!(
        lines
            .lines()
            .all(|line| line.starts_with("{\"rank\":") && line.contains("\"k_hat\":"))
    );
    let (_, errors) = done(
        folder.path(),
        "vae density --model run --data lines --limit 2 --samples 500 --check 1 --temperatures 60 --out d.csv",
    );
    assert!(
        errors.contains("by annealing") && errors.contains("in both directions"),
        "{errors}"
    );

    done(
        folder.path(),
        "vae sample --model run --count 6 --columns 3 --out grid.png",
    );
    assert!(
        fs::read(folder.path().join("grid.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
    let (code, _, errors) = kexue(folder.path(), "vae sample --model run --out rows.csv");
    assert!(
        code == 2 && errors.contains("the samples are images; name a .png file"),
        "{errors}"
    );
}

#[test]
fn tables_keep_their_units() {
    let folder = folder();
    done(
        folder.path(),
        &format!("vae train --data people.csv --out run {SMALL} --epochs 20"),
    );
    let (ranking, _) = done(folder.path(), "vae density --model run --data people.csv --samples 300");
    // Two columns of standard deviations of about 6 and 7: a normal density has −½·log(2πe·σ²) a column.
    let logs = numbers(&ranking, "log_density");
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    assert!((-6.8..-4.0).contains(&mean), "{mean}");
    assert!(column(&ranking, "sample")[0].starts_with("people.csv:"));
    done(
        folder.path(),
        "vae sample --model run --count 200 --draw --out rows.csv",
    );
    let rows = fs::read_to_string(folder.path().join("rows.csv")).unwrap();
    let heights = numbers(&rows, "height");
    let mean = heights.iter().sum::<f64>() / heights.len() as f64;
    assert!(heights.len() == 200 && (mean - 170.0).abs() < 4.0, "{mean}");
    // The settings of a run go to other data, and what follows from the data does not.
    let more: String = (0..100)
        .map(|line| format!("{},{},{}\n", line % 9, line % 11, 1000 + line % 13))
        .collect();
    fs::write(folder.path().join("more.csv"), format!("a,b,c\n{more}")).unwrap();
    done(
        folder.path(),
        "vae train --config run --data more.csv --steps 2 --out more",
    );
    let changed = common::changed_lines(&folder.path().join("run"), &folder.path().join("more"));
    assert!(changed.contains(&"dimensions = 3".to_owned()), "{changed:?}");
    let config = fs::read_to_string(folder.path().join("more/config.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    let preparation = &config["vae"]["preparation"];
    assert_eq!(preparation["columns"].as_array().unwrap().len(), 3);
    let mean = preparation["means"][2].as_float().unwrap();
    assert!((1000.0..1013.0).contains(&mean), "{mean}");
}

#[test]
fn an_interrupted_training_is_the_same_as_one_without_interruption() {
    let folder = folder();
    let train = |out: &str, more: &str| {
        format!("vae train --data lines --out {out} {SMALL} --steps 40 --validate-every 10 {more}")
    };
    done(folder.path(), &train("whole", ""));
    done(folder.path(), &train("parts", ""));
    // What a kill after the second validation leaves.
    let read = |run: &str, name: &str| fs::read(folder.path().join(run).join(name)).unwrap();
    for name in ["model.safetensors", "metrics.jsonl", "checkpoint.bin", "config.toml"] {
        assert_eq!(read("whole", name), read("parts", name), "{name}");
    }
    // The same command on a finished run changes nothing; another seed is another run.
    done(folder.path(), &train("whole", ""));
    assert_eq!(read("whole", "model.safetensors"), read("parts", "model.safetensors"));
    let (code, _, errors) = kexue(folder.path(), &train("whole", "--seed 3"));
    assert!(code == 3 && errors.contains("train.seed"), "{errors}");
    // The settings of a run are given back, and overridden by flags.
    done(folder.path(), "vae train --config whole --out again");
    assert_eq!(read("whole", "model.safetensors"), read("again", "model.safetensors"));
    done(
        folder.path(),
        "vae train --config whole --steps 2 --adam-epsilon 0.125 --out other",
    );
    let other = common::changed_lines(&folder.path().join("whole"), &folder.path().join("other"));
    assert_eq!(other, ["epsilon = 0.125", "steps = 2"]);
}

#[test]
fn what_cannot_be_is_refused_by_flag_or_by_file_and_line() {
    let folder = folder();
    let at = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    at("text.csv", "a,b\n1,x\n");
    at("hole.csv", "a,b\n1,2\n3,\n");
    at("constant.csv", "a,b\n1,2\n1,3\n");
    at("large.csv", "a,b\n0.5,2\n0.1,0\n");
    at("other.csv", "height,age\n1,2\n2,3\n");
    done(
        folder.path(),
        &format!("vae train --data people.csv --out run {SMALL} --epochs 1"),
    );
    for (command, code, expected) in [
        (
            "vae train --data text.csv --out x",
            3,
            "text.csv:2: column 2 (`b`) is `x`",
        ),
        (
            "vae train --data hole.csv --out x",
            3,
            "hole.csv:3: column 2 (`b`) is empty",
        ),
        (
            "vae train --data constant.csv --out x",
            3,
            "column 1 (`a`) is 1 in every line",
        ),
        (
            "vae train --data large.csv --likelihood bernoulli --out x",
            3,
            "large.csv:2: column 2 (`b`) is 2",
        ),
        ("vae train --data nothing --out x", 3, "nothing: "),
        ("vae train --data people.csv --out x --layer 5", 2, "200,200:50"),
        ("vae train --data people.csv --out x --draws 0", 2, "--draws"),
        ("vae train --data people.csv --out x --beta -1", 2, "--beta"),
        (
            "vae train --data people.csv --out x --bound iwae --beta 2",
            2,
            "--bound",
        ),
        (
            "vae train --data people.csv --out x --convolutions 4",
            2,
            "--convolutions",
        ),
        (
            "vae train --data lines --out x --convolutions 4,4,4",
            2,
            "--convolutions",
        ),
        ("vae train --data people.csv --out x --epochs 0", 2, "--epochs"),
        ("vae train --data people.csv --out x --hold-out 1", 2, "--hold-out"),
        ("vae train --data people.csv --out x --deviation 0", 2, "--deviation"),
        ("vae density --model run --data other.csv", 3, "`age`"),
        (
            "vae density --model run --data lines",
            3,
            "lines: holds images of 1×4×4",
        ),
        ("vae density --model nowhere --data people.csv", 3, "nowhere: "),
        ("vae density --model run --data people.csv --samples 0", 2, "--samples"),
        (
            "vae density --model run --data people.csv --precision 0",
            2,
            "--precision",
        ),
        (
            "vae density --model run --data people.csv --out people.csv",
            3,
            "would overwrite an input",
        ),
        ("vae sample --model run --count 0 --out x.csv", 2, "--count"),
        (
            "vae sample --model run --out x.png",
            2,
            "--out x.png: the samples are rows of a table; name a .csv file",
        ),
        (
            "vae density --model run --data people.csv --check 1 --temperatures 0 --samples 1000000000",
            2,
            "--temperatures",
        ),
        (
            "vae density --model run --data people.csv --out x.csv --report ./x.csv",
            2,
            "--out and --report name one file",
        ),
    ] {
        let (found, _, errors) = kexue(folder.path(), command);
        assert!(
            found == code && errors.contains(expected),
            "{command}: {found}, {errors}"
        );
    }
    // Where the system says how much memory there is.
    if Path::new("/proc/meminfo").exists() {
        for flags in [
            "--layer 1000:1000 --draws 65536 --batch-size 1048576",
            "--layer 1048576,1048576:1048576",
        ] {
            let (code, _, errors) = kexue(folder.path(), &format!("vae train --data people.csv --out x {flags}"));
            assert_eq!(code, 2, "{flags}: {errors}");
            assert!(errors.contains("GB of memory, and the machine has"), "{errors}");
        }
    }
    assert!(!folder.path().join("x").exists() && !folder.path().join("x.csv").exists());
    // No output replaces a file of the run, and other files in its folder may be replaced.
    for command in [
        "vae sample --model run --out run/model.safetensors",
        "vae sample --model run --out ./run/../run/config.toml",
        "vae density --model run --data people.csv -o run/config.toml",
        "vae density --model run --data people.csv --report run/checkpoint.bin",
    ] {
        let (code, _, errors) = kexue(folder.path(), command);
        assert!(code == 3 && errors.contains("would overwrite an input"), "{errors}");
    }
    for _ in 0..2 {
        done(folder.path(), "vae sample --model run --out run/samples.csv");
    }
    // Of a single draw there is no error.
    let (_, errors) = done(folder.path(), "vae density --model run --data people.csv --samples 1");
    assert!(
        errors.contains("nats over the samples, ") && !errors.contains("NaN"),
        "{errors}"
    );
    // Damaged weights.
    fs::write(folder.path().join("run/model.safetensors"), "no weights").unwrap();
    let (code, _, errors) = kexue(folder.path(), "vae density --model run --data people.csv");
    assert!(code == 3 && errors.contains("model.safetensors"), "{errors}");
}
