//! Tells the command which commit it is built from: that of the Git checkout, or of the package. Without either the build goes on.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Builds for development do not ask: each commit would link the command anew.
    let commit = match std::env::var("PROFILE").as_deref() {
        Ok("release") => packaged().or_else(checked_out),
        _ => None,
    };
    println!("cargo::rustc-env=KEXUE_COMMIT={}", commit.unwrap_or_default());
}

/// The commit that `cargo package` wrote down.
fn packaged() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let hash = text.split_once("\"sha1\"")?.1.split('"').nth(1)?;
    hash.get(..12).map(str::to_owned)
}

/// The commit of the checkout that this crate is part of.
fn checked_out() -> Option<String> {
    // A packed crate may lie in somebody else's checkout.
    if !Path::new("../../crates/kexue-cli/build.rs").exists() {
        return None;
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let mut watched = vec!["HEAD".to_owned()];
    watched.extend(git(&["symbolic-ref", "-q", "HEAD"]));
    for name in watched {
        if let Some(path) = git(&["rev-parse", "--git-path", &name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    Some(commit)
}
