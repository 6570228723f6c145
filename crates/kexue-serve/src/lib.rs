//! Question answering over a knowledge graph as an HTTP service (article 8802), with a page that shows how each answer was found.
//!
//! [`Server`] opens a graph and a model and serves them on one address: questions by `POST /v1/ask`, the page at `/`, the description of the API
//! at `/openapi.json`. Read `server.rs` first (starting, serving, shutting down), then `batcher.rs` (decoding questions in batches), `keeper.rs`
//! (changing facts and reloading files) and `api/` (the handler of each address).
//!
//! ```
//! use kexue_serve::{Ended, Server, Settings};
//! use std::io::{Read as _, Write as _};
//!
//! let server = Server::bind(Settings { listen: ([127, 0, 0, 1], 0).into(), log: false, ..Settings::default() })?;
//! let (address, handle) = (server.address(), server.handle());
//! let running = std::thread::spawn(|| server.run());
//!
//! let mut stream = std::net::TcpStream::connect(address)?;
//! let body = r#"{"question":"法国的首都是哪里？"}"#;
//! write!(
//!     stream,
//!     "POST /v1/ask HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
//!     body.len()
//! )?;
//! let mut response = String::new();
//! stream.read_to_string(&mut response)?;
//! assert!(response.contains("巴黎"));
//!
//! handle.shut_down();
//! assert_eq!(running.join().unwrap()?, Ended::Told);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod api;
mod app;
mod around;
mod batcher;
mod body;
mod error;
mod fault;
mod keeper;
mod language;
mod log;
mod metrics;
mod rate;
mod reply;
mod server;
mod settings;
mod store;
mod tokens;

pub use api::{AskRequest, NewFacts, Pinning, Replacement};
pub use body::parse;
pub use error::ServeError;
pub use fault::{Fault, Unwritable};
pub use language::Language;
pub use server::{Ended, Handle, Server};
pub use settings::{Adjust, Settings, Source};
pub use tokens::Tokens;
