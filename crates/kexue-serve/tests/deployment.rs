//! The files for deployment name what exists. They are not part of the crate's package, where these tests do nothing.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether the crate is in its repository.
fn is_packaged() -> bool {
    !root().join("deploy").exists()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The lines of an instruction, without its name; continued lines are joined.
fn instructions(dockerfile: &str, name: &str) -> Vec<String> {
    let joined = dockerfile.replace("\\\n", " ");
    let lines = joined
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn the_dockerfile_copies_files_that_exist_and_builds_a_package_that_exists() {
    if is_packaged() {
        return;
    }
    let dockerfile = read("deploy/Dockerfile");
    let stages: Vec<String> = instructions(&dockerfile, "FROM")
        .iter()
        .filter_map(|from| from.split_once(" AS ").map(|(_, name)| name.to_owned()))
        .collect();
    let mut copied = 0;
    for copy in instructions(&dockerfile, "COPY") {
        let words: Vec<&str> = copy.split_whitespace().collect();
        let (flags, names): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.starts_with("--"));
        let from = flags.iter().find_map(|flag| flag.strip_prefix("--from="));
        match from {
            Some(stage) => assert!(stages.iter().any(|known| known == stage), "no stage {stage}"),
            None => {
                for source in &names[..names.len() - 1] {
                    assert!(root().join(source).exists(), "{source} does not exist");
                    copied += 1;
                }
            }
        }
    }
    assert!(copied > 0);
    let built = instructions(&dockerfile, "RUN").join("\n");
    let package = built
        .split(" -p ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap();
    let manifest = read(&format!("crates/{package}/Cargo.toml"));
    assert!(manifest.contains(&format!("name = \"{package}\"")), "{manifest}");
    // The binary that is copied out of the build is the one that the package has.
    assert!(built.contains("target/release/kexue ") && manifest.contains("name = \"kexue\""));
    // `--locked` needs the lock file, and the base image the compiler that the workspace asks for.
    assert!(root().join("Cargo.lock").exists());
    let workspace = read("Cargo.toml");
    let version = workspace
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    let version = version.trim_matches('"');
    assert!(
        dockerfile.contains(&format!("FROM rust:{version}-")),
        "the image has another Rust than {version}"
    );
}

#[test]
fn nothing_that_the_build_needs_is_left_out_of_the_image() {
    if is_packaged() {
        return;
    }
    let ignored = read("deploy/Dockerfile.dockerignore");
    for pattern in ignored
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let name = pattern.trim_start_matches("**/");
        assert!(
            ["target", ".git", "fuzz/corpus", "fuzz/artifacts"].contains(&name),
            "is {pattern} needed by the build?"
        );
    }
}

#[test]
fn the_unit_uses_flags_that_the_command_has() {
    if is_packaged() {
        return;
    }
    let unit = read("deploy/kexue-serve.service");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let source = read("crates/kexue-cli/src/serve.rs");
    let flags: Vec<&str> = command
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--"))
        .collect();
    assert!(flags.len() > 3);
    for flag in flags {
        let field = format!("    {}: ", flag.replace('-', "_"));
        assert!(source.contains(&field), "`kexue serve` has no --{flag}");
    }
}
