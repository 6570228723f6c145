//! `kexue serve` as a process: the same answers as `kexue ask`, signals, and recovery after SIGKILL.
#![cfg(unix)]

mod common;

use common::kexue;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Service {
    process: Child,
    address: String,
}

impl Service {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_with(folder, arguments, &[])
    }

    fn start_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_kexue"))
            .current_dir(folder)
            .envs(variables.iter().copied())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("kexue serve: http://")
            .unwrap_or_else(|| panic!("{line}"));
        let address = address.to_owned();
        // Read the log, or the service would write into a closed pipe.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self { process, address }
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        stream
            .write_all(format!("{head}{headers}\r\n{body}").as_bytes())
            .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    fn ask(&self, question: &str) -> String {
        let body = format!("{{\"question\":{question:?}}}");
        let response = self.send("POST", "/v1/ask", "Content-Type: application/json\r\n", &body);
        response.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.process.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    fn end(mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.process.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The embedded graph and its model, as files.
fn write_files(folder: &Path) {
    kexue_qa::write_embedded(folder).unwrap();
    fs::rename(folder.join("graph.index"), folder.join("my.idx")).unwrap();
    fs::rename(folder.join("model"), folder.join("run")).unwrap();
    fs::write(folder.join("tokens"), "0123456789abcdef\n").unwrap();
}

const FILES: [&str; 6] = ["--kg", "my.idx", "--model", "run", "--token-file", "tokens"];

#[test]
fn answers_are_those_of_ask() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[]);
    for question in [
        "法国的首都是哪里？",
        "capital of France and Germany",
        "Who is the president of France?",
    ] {
        let (_, expected, _) = kexue(folder.path(), &["ask", question, "--json"]);
        assert_eq!(service.ask(question), expected);
    }
    assert_eq!(service.end("-TERM"), Some(0));
    let service = Service::start(
        folder.path(),
        &["--beam", "1", "--rescore", "exact", "--min-confidence", "0.9"],
    );
    let question = "What is the capital of Australia?";
    let flags = ["--beam", "1", "--rescore", "exact", "--min-confidence", "0.9"];
    let (_, expected, _) = kexue(folder.path(), &[&["ask", question, "--json"], &flags[..]].concat());
    assert_eq!(service.ask(question), expected);
    assert_eq!(service.end("-INT"), Some(130));
}

#[test]
fn acknowledged_facts_survive_being_killed() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    let headers = "Content-Type: application/json\r\nAuthorization: Bearer 0123456789abcdef\r\n";
    let mut service = Service::start(folder.path(), &FILES);
    let (code, _, errors) = kexue(folder.path(), &["kg", "add", "my.idx", "a", "b", "c"]);
    assert_eq!(code, 3, "{errors}");
    assert!(errors.contains("another program is changing this graph"), "{errors}");
    for round in 0..5 {
        for number in 0..5 {
            let fact = format!(r#"{{"subject":"城{round}","relation":"编号","object":"{number}"}}"#);
            let response = service.send("POST", "/v1/facts", headers, &fact);
            assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        }
        // SIGKILL leaves no time to write anything.
        assert_eq!(service.end("-KILL"), None);
        service = Service::start(folder.path(), &FILES);
        let answer = service.ask(&format!("城{round}的编号"));
        assert!(answer.contains(r#""objects":["0","1","2","3","4"]"#), "{answer}");
    }
}

#[test]
fn a_hangup_loads_files_anew() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    let service = Service::start(folder.path(), &FILES[..4]);
    assert_eq!(
        kexue(folder.path(), &["kg", "add", "my.idx", "新国", "首都", "新城"]).0,
        0
    );
    let has = || {
        service
            .send("GET", "/v1/entities/%E6%96%B0%E5%9B%BD", "", "")
            .starts_with("HTTP/1.1 200")
    };
    assert!(!has());
    service.signal("-HUP");
    let start = std::time::Instant::now();
    while !has() {
        assert!(start.elapsed() < std::time::Duration::from_secs(20));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Deadlines and rate limits use the monotonic clock.
#[test]
fn a_clock_that_jumps_disturbs_nobody() {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    if !Path::new(library).exists() {
        eprintln!("skipped: the library of faketime is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    fs::write(&clock, "+0\n").unwrap();
    let variables = [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let service = Service::start_with(folder.path(), &["--rate-limit", "1000"], &variables);
    for offset in ["+0", "+3650d", "-3650d", "+1h"] {
        fs::write(&clock, format!("{offset}\n")).unwrap();
        for _ in 0..10 {
            assert!(
                service.ask("法国的首都是哪里？").contains(r#""known":true"#),
                "{offset}"
            );
        }
    }
    assert_eq!(service.end("-TERM"), Some(0));
}

#[test]
fn what_cannot_be_served_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    for (arguments, code, message) in [
        (
            &["--min-confidence", "2"][..],
            2,
            "--min-confidence must be between 0 and 1",
        ),
        (&["--workers", "0"], 2, "--workers must be within 1 and 1024"),
        (
            &["--connections", "2305843009213693952"],
            2,
            "--connections must be within 1 and",
        ),
        (
            &["--max-questions", "999"],
            2,
            "--max-questions is larger than the queue",
        ),
        (&["--deadline=-1"], 2, "--deadline is -1; expected seconds"),
        (&["--cors-origin", "*"], 2, "--cors-origin * is not an origin"),
        (
            &["--token-file", "tokens"],
            2,
            "--token-file needs --kg: the embedded graph cannot be changed",
        ),
        (&["--kg", "none.idx"], 3, "none.idx"),
        (&["--kg", "my.idx", "--token-file", "my.idx"], 3, "my.idx"),
        (&["--prior", "3"], 2, "--prior needs --mentions prior"),
    ] {
        let (found, _, errors) = kexue(
            folder.path(),
            &[&["serve", "--listen", "127.0.0.1:0"], arguments].concat(),
        );
        assert_eq!(found, code, "{errors}");
        assert!(errors.contains(message), "{errors}");
    }
    let first = Service::start(folder.path(), &FILES);
    let (code, _, errors) = kexue(
        folder.path(),
        &[&["serve", "--listen", "127.0.0.1:0"], &FILES[..]].concat(),
    );
    assert!(
        code == 3 && errors.contains("another program is changing this graph"),
        "{errors}"
    );
    let (code, _, errors) = kexue(folder.path(), &["serve", "--listen", &first.address]);
    assert!(code == 3 && errors.contains("cannot listen on"), "{errors}");
}
