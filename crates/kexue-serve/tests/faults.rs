//! Faulty clients and a full disk: the service continues.

mod common;

use common::{GraphFile, Service, escaped, quiet, read_response, writable, write_request};
use kexue_serve::Settings;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::process::Command;
use std::time::{Duration, Instant};

fn hurried() -> Settings {
    Settings {
        head_time: Duration::from_millis(300),
        body_time: Duration::from_millis(300),
        write_time: Duration::from_millis(500),
        body: 4096,
        ..quiet()
    }
}

fn is_well(service: &Service) {
    let answer = service.post("/v1/ask", r#"{"question":"法国的首都是哪里？"}"#);
    assert_eq!((answer.status, &answer.json()["known"]), (200, &json!(true)));
}

#[test]
fn slow_clients_are_cut_off() {
    let service = Service::start(hurried());
    let start = Instant::now();
    // A head that arrives byte by byte and never ends; no head; a connection that stays open after its request; a body that stops.
    let mut dripping = service.connect();
    dripping.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").unwrap();
    let silent = service.connect();
    let mut idle = service.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut stopped = service.connect();
    let head = b"POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"question\"";
    stopped.write_all(head).unwrap();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(100));
        let _ = dripping.write_all(b"x");
    }
    assert_eq!(read_response(stopped).status, 408);
    for mut stream in [dripping, silent, idle] {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    is_well(&service);
}

#[test]
fn clients_that_do_not_read_are_cut_off() {
    let service = Service::start(Settings {
        connections: 4,
        questions: 64,
        body: 1 << 20,
        ..hurried()
    });
    // Responses that fill all buffers, for as many clients as there may be connections.
    let body = json!({ "questions": vec!["法国的首都是哪里？"; 64], "explain": true, "top": 100 }).to_string();
    let streams: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = service.connect();
            stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
            let head = format!(
                "POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let request = head + &body;
            for _ in 0..200 {
                if stream.write_all(request.as_bytes()).is_err() {
                    break;
                }
            }
            stream
        })
        .collect();
    is_well(&service);
    drop(streams);
}

#[test]
fn half_open_connections_are_closed() {
    let service = Service::start(hurried());
    // The client closes its side before, during and after a request.
    let quiet = service.connect();
    quiet.shutdown(Shutdown::Write).unwrap();
    let mut middle = service.connect();
    middle
        .write_all(b"POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Le")
        .unwrap();
    middle.shutdown(Shutdown::Write).unwrap();
    let mut after = service.connect();
    write_request(&mut after, "GET", "/healthz", &[], "");
    after.shutdown(Shutdown::Write).unwrap();
    for stream in [quiet, middle, after] {
        read_response(stream);
    }
    is_well(&service);
}

#[test]
fn garbage_is_refused() {
    let service = Service::start(hurried());
    let mut garbage: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /v1/entities/%FF%FE HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET /%00/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
        b"POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}".to_vec(),
        b"POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        [&b"GET / HTTP/1.1\r\nX: "[..], &[b'a'; 500_000], b"\r\n\r\n"].concat(),
        [b"GET /".to_vec(), vec![b'a'; 500_000], b" HTTP/1.1\r\n\r\n".to_vec()].concat(),
        [b"GET / HTTP/1.1\r\n".to_vec(), b"A: b\r\n".repeat(1000), b"\r\n".to_vec()].concat(),
    ];
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    garbage.push(noise.take(5000).collect());
    for bytes in garbage {
        let mut stream = service.connect();
        // The service may close the connection before it has read everything.
        let _ = stream.write_all(&bytes);
        let status = read_response(stream).status;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        assert!(status == 0 || (400..500).contains(&status), "{status}: {shown}");
    }
    is_well(&service);
}

#[test]
fn oversized_bodies_are_refused() {
    let service = Service::start(hurried());
    let long = json!({ "question": "x".repeat(5000) }).to_string();
    let announced = service.post("/v1/ask", &long);
    assert_eq!((announced.status, announced.problem().as_str()), (413, "too-large"));
    // Without a declared length, in chunks.
    let mut stream = service.connect();
    let head = b"POST /v1/ask HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head).unwrap();
    for _ in 0..10 {
        if stream
            .write_all(format!("3e8\r\n{}\r\n", " ".repeat(1000)).as_bytes())
            .is_err()
        {
            break;
        }
    }
    assert_eq!(read_response(stream).status, 413);
    // A declared length larger than any memory, and no body.
    let mut stream = service.connect();
    let head =
        b"POST /v1/ask HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999999\r\n\r\n";
    stream.write_all(head).unwrap();
    assert_eq!(read_response(stream).status, 413);
    is_well(&service);
}

#[test]
fn a_client_is_limited() {
    let service = Service::start(Settings { rate: 2, ..quiet() });
    let responses: Vec<_> = (0..8).map(|_| service.get("/v1/model")).collect();
    let refused = responses.iter().find(|response| response.status != 200).unwrap();
    assert_eq!((refused.status, refused.problem().as_str()), (429, "too-many-requests"));
    assert!(refused.head.contains("retry-after: 1"));
    assert!((0..20).all(|_| service.get("/healthz").status == 200));

    let proxied = Service::start(Settings {
        rate: 2,
        behind_proxy: true,
        ..quiet()
    });
    let from = |client: &str| {
        proxied
            .send("GET", "/v1/model", &[("X-Forwarded-For", client)], "")
            .status
    };
    assert!((0..8).any(|_| from("203.0.113.9, 192.0.2.1") == 429));
    assert_eq!(from("203.0.113.9, 192.0.2.2"), 200);
}

#[test]
fn headers_keep_others_out() {
    let service = Service::start(Settings {
        cors: vec!["https://example.org".to_owned()],
        ..quiet()
    });
    let page = service.get("/");
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'; script-src 'self'")
    );
    assert!(page.head.contains("x-content-type-options: nosniff"));
    let preflight = |origin: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type"),
        ];
        service.send("OPTIONS", "/v1/ask", &headers, "").head
    };
    assert!(preflight("https://example.org").contains("access-control-allow-origin: https://example.org"));
    assert!(!preflight("https://elsewhere.example").contains("access-control-allow-origin"));
    let none = Service::start(quiet());
    assert!(
        !none
            .send("GET", "/v1/model", &[("Origin", "https://example.org")], "")
            .head
            .contains("access-control")
    );
    // The page loads nothing from other hosts.
    for path in [
        "/",
        "/app.js",
        "/api.js",
        "/dom.js",
        "/texts.js",
        "/tree.js",
        "/style.css",
    ] {
        let file = service.get(path);
        assert_eq!(file.status, 200);
        assert!(
            !file.body.contains("http://") && !file.body.contains("https://"),
            "{path}"
        );
    }
    let tag = page
        .head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();
    assert_eq!(service.send("GET", "/", &[("If-None-Match", &tag)], "").status, 304);
}

#[test]
fn a_full_disk_loses_no_acknowledged_fact() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&disk)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("skipped: no small tmpfs can be mounted here");
        return;
    }
    let _unmount = Unmount(disk.clone());
    let kg = disk.join("graph.idx");
    std::fs::copy(GraphFile::new().path, &kg).unwrap();
    let service = Service::start(Settings {
        body: 1 << 20,
        ..writable(&kg)
    });
    let add = |number: usize| {
        let fact = json!({ "subject": format!("城{number}"), "relation": "简介", "object": "字".repeat(10_000) });
        service.edit("POST", "/v1/facts", &fact.to_string())
    };
    let mut number = 0;
    let refused = loop {
        let response = add(number);
        if response.status != 200 {
            break response;
        }
        number += 1;
        assert!(number < 100, "the disk does not fill");
    };
    assert!(number > 0);
    assert_eq!((refused.status, refused.problem().as_str()), (507, "not-written"));
    is_well(&service);
    let has = |service: &Service, number: usize| {
        service
            .get(&format!("/v1/entities/{}", escaped(&format!("城{number}"))))
            .status
            == 200
    };
    assert!((0..number).all(|number| has(&service, number)) && !has(&service, number));
    // A smaller fact may still fit. The service then starts again from what is on disk.
    let small = service
        .edit("POST", "/v1/facts", r#"{"subject":"小","relation":"r","object":"o"}"#)
        .status;
    drop(service);
    let service = Service::start(writable(&kg));
    assert!((0..number).all(|number| has(&service, number)) && !has(&service, number));
    assert_eq!(
        service.get(&format!("/v1/entities/{}", escaped("小"))).status == 200,
        small == 200
    );
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
