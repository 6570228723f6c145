//! What commands write, and where: links, pipes, full disks, and two processes in one run's folder.
#![cfg(unix)]

mod common;

use common::kexue;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    // So many characters that their vocabulary is longer than the blocks of a disk.
    let text: String = ('一'..).take(4000).collect();
    fs::write(folder.path().join("a.txt"), text).unwrap();
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn outputs_go_where_links_lead_and_through_pipes() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let vocab = |out: &str| kexue(folder.path(), &["vocab", "a.txt", "-o", out]);
    assert_eq!(vocab("v.txt").0, 0);
    let expected = fs::read(at("v.txt")).unwrap();

    fs::write(at("real"), "old").unwrap();
    fs::set_permissions(at("real"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("real", at("link")).unwrap();
    fs::write(at("link.partial"), "the user's").unwrap();
    assert_eq!(vocab("link").0, 0);
    assert!(at("link").is_symlink() && fs::read(at("real")).unwrap() == expected);
    assert_eq!(fs::metadata(at("real")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(at("link.partial")).unwrap(), "the user's");

    let (code, out, _) = vocab("/dev/stdout");
    assert_eq!((code, out.as_bytes()), (0, &expected[..]));
    assert_eq!(vocab("/dev/null").0, 0);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    if cfg!(target_os = "linux") {
        let (code, _, errors) = vocab("/dev/full");
        assert_eq!(code, 3);
        assert!(errors.starts_with("kexue: /dev/full: "), "{errors}");
    }
    let shell = Command::new("sh")
        .current_dir(folder.path())
        .args([
            "-c",
            "{ echo before; $KEXUE vocab a.txt -o /dev/stdout; echo after; } > log",
        ])
        .env("KEXUE", assert_cmd::cargo::cargo_bin("kexue"))
        .output()
        .unwrap();
    assert!(shell.status.success());
    let log = fs::read(at("log")).unwrap();
    assert_eq!(log, [b"before\n", &expected[..], b"after\n"].concat());
}

/// A file may grow to one block, as on a full disk.
#[test]
fn a_full_disk_leaves_the_old_file_and_no_part_of_the_new_one() {
    let folder = folder();
    fs::write(folder.path().join("v.txt"), "old").unwrap();
    for out in ["v.txt", "new.txt"] {
        let output = Command::new("sh")
            .current_dir(folder.path())
            .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$KEXUE\" vocab a.txt -o $OUT"])
            .env("KEXUE", assert_cmd::cargo::cargo_bin("kexue"))
            .env("OUT", out)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{errors}");
        assert!(errors.starts_with(&format!("kexue: {out}: ")), "{errors}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("v.txt")).unwrap(), "old");
    assert_eq!(names(folder.path()), ["a.txt", "v.txt"]);
}

#[test]
fn texts_may_begin_with_a_byte_order_mark_but_not_be_empty_or_pointers() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("plain.txt"), "甲乙\n").unwrap();
    fs::write(at("mark.txt"), "\u{feff}甲乙\n").unwrap();
    fs::write(at("empty.txt"), "").unwrap();
    fs::write(at("blank.txt"), "\u{feff}\n \n").unwrap();
    fs::write(
        at("pointer.txt"),
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    )
    .unwrap();
    let vocab = |text: &str, out: &str| kexue(folder.path(), &["vocab", text, "-o", out]);
    assert_eq!((vocab("plain.txt", "a").0, vocab("mark.txt", "b").0), (0, 0));
    assert_eq!(fs::read(at("a")).unwrap(), fs::read(at("b")).unwrap());
    // A vocabulary that an editor has marked is still one.
    fs::write(
        at("marked"),
        [&b"\xef\xbb\xbf"[..], &fs::read(at("a")).unwrap()].concat(),
    )
    .unwrap();
    let mlm = "mlm train --texts plain.txt --vocab marked --out run --d-model 16 --layers 1 --heads 1 --steps 1 --length 4 --hold-out 0";
    let (code, _, errors) = kexue(folder.path(), &mlm.split(' ').collect::<Vec<_>>());
    assert_eq!(code, 0, "{errors}");
    for (text, expected) in [
        ("empty.txt", "kexue: empty.txt: holds no text\n"),
        ("blank.txt", "kexue: blank.txt: holds no text\n"),
        ("pointer.txt", "kexue: pointer.txt: this is a Git LFS pointer"),
    ] {
        let (code, _, errors) = vocab(text, "c");
        assert_eq!(code, 3);
        assert!(errors.starts_with(expected), "{errors}");
    }
    assert!(!at("c").exists());
}

const TRAIN: &str = "mlm train --texts a.txt --out run --d-model 16 --layers 1 --heads 1 --length 16 --batch-size 4 --validate-every 2 --steps 1000000";

/// Starts a training, and waits until its metrics are longer than they were.
fn training(folder: &Path) -> Child {
    let metrics = || fs::read(folder.join("run/metrics.jsonl")).map_or(0, |bytes| bytes.len());
    let before = metrics();
    let child = Command::new(assert_cmd::cargo::cargo_bin("kexue"))
        .current_dir(folder)
        .args(TRAIN.split(' '))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while metrics() <= before {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing was trained");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn a_run_has_one_process_at_a_time() {
    let folder = folder();
    let mut first = training(folder.path());
    let (code, out, errors) = kexue(folder.path(), &TRAIN.split(' ').collect::<Vec<_>>());
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(errors.contains("run: another process is writing here"), "{errors}");
    // Killed without warning, it leaves no lock behind.
    first.kill().unwrap();
    first.wait().unwrap();
    let mut second = training(folder.path());
    let interrupted = Command::new("kill").args(["-INT", &second.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    assert_eq!(second.wait().unwrap().code(), Some(130));
    let metrics = fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    let steps: Vec<u64> = metrics
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["step"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert!(steps.len() >= 2 && steps.is_sorted(), "{steps:?}");
}
