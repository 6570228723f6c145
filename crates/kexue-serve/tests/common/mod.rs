//! A service on a free port, and a client that sends arbitrary requests.

#![allow(dead_code)]

use kexue_kg::{BuildOptions, GraphBuilder};
use kexue_qa::embedded;
use kexue_serve::{Ended, Handle, Server, Settings, Source, Tokens};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// The header of a JSON body.
pub const JSON: (&str, &str) = ("Content-Type", "application/json");

pub const TOKEN: &str = "a-token-for-these-tests";

/// A service that ends with its test.
pub struct Service {
    pub address: SocketAddr,
    pub handle: Handle,
    running: Option<JoinHandle<Ended>>,
}

/// Settings for tests: any port of this machine, no log.
pub fn quiet() -> Settings {
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        log: false,
        workers: 2,
        ..Settings::default()
    }
}

/// The same for an index file, with a token that allows changes.
pub fn writable(kg: &Path) -> Settings {
    Settings {
        source: Source::Files {
            kg: kg.to_path_buf(),
            model: None,
        },
        write_tokens: Tokens::of(&[TOKEN]),
        ..quiet()
    }
}

/// An index file in a temporary folder, with the facts of the embedded graph.
pub struct GraphFile {
    folder: TempDir,
    pub path: PathBuf,
}

impl GraphFile {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.idx");
        write_graph(&path, &[]);
        Self { folder, path }
    }

    /// Another file in the same folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A service that may change the graph.
    pub fn serve(&self) -> Service {
        Service::start(writable(&self.path))
    }
}

/// Writes the facts of the embedded graph and others to an index with the same vocabulary.
pub fn write_graph(path: &Path, more: &[(&str, &str, &str)]) {
    let (graph, _) = embedded().unwrap();
    let mut builder = GraphBuilder::new(BuildOptions {
        vocabulary: Some(graph.vocabulary().clone()),
        ..BuildOptions::default()
    });
    let added = graph.visit_facts(&mut |_, fact| {
        for object in &fact.objects {
            builder.add(&fact.subject, &fact.relation, object).unwrap();
        }
        ControlFlow::Continue(())
    });
    added.unwrap();
    for (subject, relation, object) in more {
        builder.add(subject, relation, object).unwrap();
    }
    builder.finish(path).unwrap();
}

impl Service {
    pub fn start(settings: Settings) -> Self {
        let server = Server::bind(settings).unwrap();
        Self {
            address: server.address(),
            handle: server.handle(),
            running: Some(std::thread::spawn(|| server.run().unwrap())),
        }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &str) -> Response {
        self.send("POST", path, &[JSON], body)
    }

    /// Asks, and does not read the response.
    pub fn begin_asking(&self, body: &str) -> TcpStream {
        let mut stream = self.connect();
        write_request(&mut stream, "POST", "/v1/ask", &[JSON], body);
        stream
    }

    /// Sends the token, too.
    pub fn edit(&self, method: &str, path: &str, body: &str) -> Response {
        let token = format!("Bearer {TOKEN}");
        self.send(method, path, &[JSON, ("Authorization", &token)], body)
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut stream = self.connect();
        write_request(&mut stream, method, path, headers, body);
        read_response(stream)
    }

    pub fn end(mut self) -> Ended {
        self.handle.shut_down();
        self.running.take().unwrap().join().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.handle.shut_down();
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

pub fn write_request(stream: &mut TcpStream, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
}

/// Reads until the other side closes the connection.
pub fn read_response(mut stream: TcpStream) -> Response {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    Response::of(&bytes)
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or(0),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The last part of a problem's type.
    pub fn problem(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status);
        let kind = document["type"].as_str().unwrap();
        kind.strip_prefix("urn:kexue:problem:").unwrap().to_owned()
    }
}

/// A text as it is written in a URL.
pub fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
