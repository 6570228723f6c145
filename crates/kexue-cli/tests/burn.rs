//! The commands that stand on Burn: `kexue gan` and `kexue penalty`; and what a build without them says.

mod common;

use common::kexue;

#[cfg(not(feature = "burn"))]
#[test]
fn a_build_without_burn_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["gan", "train", "--data", "ring"][..],
        &["penalty", "check"],
        &["gan", "--help"],
    ] {
        let (code, _, error) = kexue(folder.path(), arguments);
        assert_eq!(code, 2);
        assert!(error.contains("--features burn"), "{error}");
    }
}

#[cfg(feature = "burn")]
mod with_burn {
    use super::*;
    use std::fs;

    #[test]
    fn a_gan_is_trained_resumed_sampled_and_measured() {
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &str| kexue(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
        let train = "gan train --data ring --out runs/ring --steps 6 --validate-every 3 --width 8 --layers 1 --samples 64 --critic-steps 2";
        let (code, out, error) = run(train);
        assert_eq!(code, 0, "{error}");
        assert!(out.contains("of 8 modes") && out.contains("largest slope"), "{out}");
        assert!(error.contains("first order"), "{error}");
        // Again: nothing is left to do.
        assert_eq!(run(train).0, 0);
        let (code, _, error) = run(&format!("{train} --seed 1"));
        assert_eq!(code, 3);
        assert!(error.contains("train.seed is 0 there and 1 here"), "{error}");
        let (code, _, error) = run("gan train --config runs/ring --normalizer clip --steps 1 --out runs/clip");
        assert_eq!(code, 0, "{error}");
        let changed = common::changed_lines(&folder.path().join("runs/ring"), &folder.path().join("runs/clip"));
        assert_eq!(changed, ["bound = 0.05", "kind = \"clip\"", "steps = 2"]);

        assert_eq!(run("gan sample --model runs/ring --out a.csv --count 5").0, 0);
        assert_eq!(run("gan sample --model runs/ring --out b.csv --count 5 --seed 0").0, 0);
        let (code, _, error) = run("gan sample --model runs/ring --out a.safetensors");
        assert!(code == 2 && error.contains("name a .csv file"), "{error}");
        for file in ["config.toml", "checkpoint.bin", "model.safetensors"] {
            let (code, _, error) = run(&format!("gan sample --model runs/ring --out runs/ring/{file}"));
            assert!(code == 3 && error.contains("would overwrite an input"), "{error}");
        }
        let samples = fs::read_to_string(folder.path().join("a.csv")).unwrap();
        assert_eq!(samples.lines().count(), 5);
        assert_eq!(samples, fs::read_to_string(folder.path().join("b.csv")).unwrap());

        let (code, out, _) = run("gan eval --model runs/ring --samples 50 --json");
        assert_eq!(code, 0);
        let measured: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(
            measured["slopes"]["largest_gradient"].as_f64().unwrap() <= 1.0001,
            "{out}"
        );
        assert_eq!(
            (&measured["model"], &measured["modes"][1]),
            (&"runs/ring".into(), &8.into())
        );
    }

    #[test]
    fn images_become_a_grid_and_bad_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &str| kexue(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
        let write = |name: &str, side: u8| {
            let pixels = usize::from(side).pow(2) * 20;
            let header = [[0, 0, 8, 3], [0, 0, 0, 20], [0, 0, 0, side], [0, 0, 0, side]].concat();
            let bytes = [header, (0..pixels).map(|place| (place * 7) as u8).collect()].concat();
            fs::write(folder.path().join(name), bytes).unwrap();
        };
        write("images", 16);
        let train = "gan train --data images --out run --steps 2 --width 2 --latent 3 --critic-batch 4 --generator-batch 4 --samples 8";
        let (code, _, error) = run(train);
        assert_eq!(code, 0, "{error}");
        assert_eq!(run("gan sample --model run --out grid.png --count 6 --columns 3").0, 0);
        assert!(
            fs::read(folder.path().join("grid.png"))
                .unwrap()
                .starts_with(b"\x89PNG")
        );
        let page = fs::read_to_string(folder.path().join("run/report.html")).unwrap();
        assert!(page.contains("data:image/png;base64,") && page.contains("slope largest gradient"));

        assert_eq!(run("gan sample --model run --out pixels.safetensors --count 6").0, 0);
        let (code, _, error) = run("gan sample --model run --out pixels.csv");
        assert!(code == 2 && error.contains(".png or .safetensors"), "{error}");
        let (code, _, error) = run("gan compare --generated pixels.safetensors --real pixels.safetensors");
        assert_eq!(code, 3, "{error}");
        assert!(
            error.contains("tensor `images` has the shape [6, 1, 16, 16]; expected [samples, features]"),
            "{error}"
        );
        let features = |numbers: &[f64]| -> String { numbers.iter().map(|x| format!("{x},{}\n", x * x)).collect() };
        fs::write(folder.path().join("a.csv"), features(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])).unwrap();
        let (code, out, _) = run("gan compare --generated a.csv --real a.csv --json");
        assert_eq!(code, 0);
        let quality: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(
            quality["fid"].as_f64().unwrap().abs() < 1e-9 && quality["precision"] == 1.0,
            "{quality}"
        );
        fs::write(folder.path().join("b.csv"), "1\n2\n3\n4\n5\n").unwrap();
        let (code, _, error) = run("gan compare --generated a.csv --real b.csv");
        assert!(
            code == 2 && error.contains("a.csv has 2 features of each sample, but b.csv has 1"),
            "{error}"
        );

        write("odd", 15);
        fs::write(folder.path().join("text"), "hello").unwrap();
        for (arguments, code, problem) in [
            ("--data odd", 2, "images of 15×15 do not fit"),
            ("--data text", 3, "text: holds no images"),
            ("--data missing", 3, "missing"),
            (
                "--data images --critic-norm batch",
                2,
                "--critic-norm: with batch norm, the score of a sample depends",
            ),
            (
                "--data images --epsilon 0 --normalizer gran",
                2,
                "--epsilon: 0 must be a positive number",
            ),
            ("--data images --steps 0", 2, "--steps"),
            (
                "--data images --initial-std 1e200",
                2,
                "must be a number within 1.2e-38 and 3.4e38",
            ),
        ] {
            let (found, _, error) = run(&format!("gan train {arguments} --out other"));
            assert_eq!(found, code, "{arguments}: {error}");
            assert!(error.contains(problem), "{arguments}: {error}");
        }
        // Where the system says how much memory there is.
        if std::path::Path::new("/proc/meminfo").exists() {
            for flags in [
                "--data ring --critic-batch 1048576 --generator-batch 1048576 --width 8192 --layers 64",
                "--data images --critic-batch 1048576 --width 8192",
            ] {
                let (code, _, error) = run(&format!("gan train {flags} --out other"));
                assert_eq!(code, 2, "{flags}: {error}");
                assert!(error.contains("GB of memory, and the machine has"), "{error}");
            }
        }
        assert!(!folder.path().join("other").exists());
    }

    #[test]
    fn the_inequality_is_checked_and_penalties_are_compared() {
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &str| kexue(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
        let (code, out, _) = run("penalty check --networks 108");
        assert_eq!(code, 0);
        assert!(out.contains("0 violations over 108 networks"), "{out}");
        let (code, out, _) = run("penalty check --hidden 5,4 --activation tanh --inputs 6 --samples 7");
        assert_eq!(code, 0);
        assert!(out.starts_with("7 samples") && out.contains("0 violations"), "{out}");

        let lines = (0..60).map(|line| format!("{},{},{}\n", line % 7, line % 5, line % 3));
        fs::write(folder.path().join("a.csv"), lines.collect::<String>()).unwrap();
        let train = "penalty train --data a.csv --test-data a.csv --hidden 6 --steps 8 --validate-every 4 --batch-size 10 --samples 5 --seeds 2 \
                     --regularizer none,input-gradient:0.1,parameter-gradient:0.1,fgm:0.1,sam:0.05 --out runs --json";
        let (code, out, error) = run(train);
        assert_eq!(code, 0, "{error}");
        let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 5);
        assert_eq!(rows[3]["regularizer"], "fgm:0.1");
        assert_eq!(rows[1]["accuracy"].as_array().unwrap().len(), 2);
        let page = fs::read_to_string(folder.path().join("runs/report.html")).unwrap();
        assert!(page.contains("sam:0.05") && page.contains("bracket of the inequality"));
        // The trained network can be checked.
        let (code, out, error) = run("penalty check --data a.csv --model runs/none-seed-0 --samples 3 --json");
        assert_eq!((code, out.lines().count()), (0, 3), "{error}");

        for (arguments, problem) in [
            (
                "penalty train --data a.csv --test-data a.csv --out x --regularizer fog:1",
                "no regulariser `fog`",
            ),
            ("penalty check --config missing.toml", "missing.toml"),
            ("penalty check --hidden 0", "--hidden: a width of 0"),
        ] {
            let (code, _, error) = run(arguments);
            assert!(code == 2 || code == 3, "{error}");
            assert!(error.contains(problem), "{error}");
        }
    }
}
