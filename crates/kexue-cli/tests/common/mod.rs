//! The command as a process.

use assert_cmd::Command;
use std::path::Path;

/// Runs `kexue` in a folder: its exit code, and what it wrote to standard output and standard error.
pub fn kexue(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("kexue")
        .unwrap()
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The lines of a run's config.toml that that of another run has not.
#[allow(dead_code)]
pub fn changed_lines(old: &Path, new: &Path) -> Vec<String> {
    let read = |run: &Path| std::fs::read_to_string(run.join("config.toml")).unwrap();
    let old = read(old);
    let mut changed: Vec<String> = (read(new).lines())
        .filter(|line| !old.lines().any(|old| old == *line))
        .map(str::to_owned)
        .collect();
    changed.sort();
    changed
}
