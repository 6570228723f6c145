//! Training on several processes. Needs a build with `--features mpi`, and `mpirun`; without one, the tests say so and pass.
#![cfg(feature = "mpi")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn has_mpirun() -> bool {
    let found = Command::new("mpirun")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    if !found {
        println!("skipped: there is no mpirun; `apt-get install openmpi-bin` brings it");
    }
    found
}

/// A text in which each character has one successor.
fn texts(folder: &Path) {
    let line: String = "甲乙丙丁戊己庚辛".chars().cycle().take(600).collect();
    let documents: String = (0..12).map(|at| format!("== {at} ==\n{line}\n")).collect();
    std::fs::write(folder.join("texts.txt"), documents).unwrap();
}

fn command(folder: &Path, processes: usize, out: &str, steps: &str) -> Command {
    let kexue = env!("CARGO_BIN_EXE_kexue");
    let mut command = match processes {
        1 => Command::new(kexue),
        _ => {
            let mut command = Command::new("mpirun");
            // As root in a container, more processes than cores, no network.
            command.args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]);
            command.args(["--mca", "btl", "self,vader", "-n", &processes.to_string(), kexue]);
            command
        }
    };
    command.current_dir(folder).env("RAYON_NUM_THREADS", "1").args([
        "mlm",
        "train",
        "--texts",
        "texts.txt",
        "--out",
        out,
    ]);
    command.args([
        "--layers",
        "1",
        "--d-model",
        "16",
        "--heads",
        "2",
        "--length",
        "16",
        "--batch-size",
        "8",
        "--hold-out",
        "4",
    ]);
    command.args([
        "--steps",
        steps,
        "--validate-every",
        "10",
        "--warmup",
        "5",
        "--shards",
        "4",
    ]);
    command
}

fn succeed(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const FILES: [&str; 6] = [
    "config.toml",
    "vocab.txt",
    "metrics.jsonl",
    "model.safetensors",
    "checkpoint.bin",
    "report.html",
];

fn same(folder: &Path, one: &str, other: &str) {
    for name in FILES {
        let read = |run: &str| std::fs::read(folder.join(run).join(name)).unwrap();
        assert!(read(one) == read(other), "{name} of {one} and {other}");
    }
}

#[test]
fn one_two_and_three_processes_write_the_same_files() {
    if !has_mpirun() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    texts(folder);
    let alone = succeed(command(folder, 1, "one", "25").output().unwrap());
    for (processes, out) in [(2, "two"), (3, "three")] {
        let output = command(folder, processes, out, "25").output().unwrap();
        let notes = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(notes.matches("optimizer: ").count(), 1, "only the first talks: {notes}");
        assert_eq!(succeed(output).replace(out, "one"), alone);
        same(folder, "one", out);
    }
}

#[test]
fn the_last_checkpoint_of_a_lost_run_resumes_on_another_number_of_processes() {
    if !has_mpirun() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    texts(folder);
    let mut lost = command(folder, 2, "lost", "300")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !folder.join("lost/checkpoint.bin").exists() {
        std::thread::sleep(Duration::from_millis(5));
        assert!(lost.try_wait().unwrap().is_none(), "it runs");
    }
    // One of the two processes is lost: mpirun ends the other and says so.
    let children = Command::new("pgrep")
        .args(["-P", &lost.id().to_string()])
        .output()
        .unwrap();
    let children = String::from_utf8_lossy(&children.stdout).into_owned();
    let last = children.lines().last().expect("mpirun has children").to_owned();
    assert!(Command::new("kill").args(["-9", &last]).status().unwrap().success());
    let output = lost.wait_with_output().unwrap();
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && notes.contains("signal 9"), "{notes}");
    succeed(command(folder, 3, "lost", "300").output().unwrap());
    succeed(command(folder, 1, "whole", "300").output().unwrap());
    same(folder, "whole", "lost");
}

#[test]
fn an_error_of_any_process_ends_all_with_its_exit_code() {
    if !has_mpirun() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    texts(folder.path());
    let output = command(folder.path(), 2, "run", "10")
        .args(["--freeze", "nothing.*"])
        .output()
        .unwrap();
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(notes.contains("no parameter's name matches `nothing.*`"), "{notes}");
    assert_eq!(output.status.code(), Some(2), "{notes}");
    // Only the first has the folder, and finds it occupied.
    std::fs::create_dir(folder.path().join("run")).unwrap();
    std::fs::write(folder.path().join("run/model.safetensors"), "theirs").unwrap();
    let output = command(folder.path(), 2, "run", "10").output().unwrap();
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(notes.contains("model.safetensors: is of no run"), "{notes}");
    assert_eq!(output.status.code(), Some(3), "{notes}");
}
