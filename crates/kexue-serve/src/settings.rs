//! How to serve.

use crate::tokens::Tokens;
use kexue_qa::SearchOptions;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The graph and the model to answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Those that come with the crate: countries and chemical elements.
    Embedded,
    /// Files, which are opened again at each reload.
    Files {
        /// A graph built by `kexue kg build`.
        kg: PathBuf,
        /// The folder of a model trained by `kexue qa train`; the embedded model where there is none.
        model: Option<PathBuf>,
    },
}

/// Turns a model's own search options into those that are used, or says what is wrong.
pub type Adjust = Arc<dyn Fn(SearchOptions) -> Result<SearchOptions, String> + Send + Sync>;

/// How to serve.
#[derive(Clone)]
pub struct Settings {
    /// The address to listen at; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What to answer with.
    pub source: Source,
    /// How to search.
    pub adjust: Adjust,
    /// Tokens that allow writing and reading. Without, nothing can be written.
    pub write_tokens: Tokens,
    /// Tokens that allow reading. Without, everybody may read.
    pub read_tokens: Tokens,
    /// The least confidence of an answer that is given, where a request does not say.
    pub min_confidence: f64,
    /// Threads that decode. Each decodes batches of its own.
    pub workers: usize,
    /// Questions that one thread decodes together at most.
    pub batch: usize,
    /// Questions that may wait. Beyond, requests are refused.
    pub queue: usize,
    /// Questions in one request.
    pub questions: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// Time that a request may take unless it says so, and at most.
    pub deadline: Duration,
    /// Time for a request's head to arrive, and for a connection to stay open without a request.
    pub head_time: Duration,
    /// Time for a request's body to arrive.
    pub body_time: Duration,
    /// Time without progress after which a response is given up.
    pub write_time: Duration,
    /// Connections at a time.
    pub connections: usize,
    /// Requests per second of one client (an IPv4 address, or the first 64 bits of an IPv6 address); 0 for no limit.
    pub rate: u32,
    /// Whether the client's address is the last one of the header `X-Forwarded-For`, which a proxy in front must set.
    pub behind_proxy: bool,
    /// Origins of other pages that may use the API in a browser.
    pub cors: Vec<String>,
    /// Time for requests to finish once the service is told to end.
    pub drain_time: Duration,
    /// Time between being told to end and closing the door, in which `/readyz` already says no.
    pub drain_delay: Duration,
    /// Whether requests are logged.
    pub log: bool,
    /// Whether logs hold the texts of questions.
    pub log_questions: bool,
    /// Whether SIGTERM and SIGINT end the service and SIGHUP reloads.
    pub signals: bool,
}

impl Default for Settings {
    /// On port 8080 of loopback, with the embedded graph and model; nothing can be written.
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            source: Source::Embedded,
            adjust: Arc::new(Ok),
            write_tokens: Tokens::default(),
            read_tokens: Tokens::default(),
            min_confidence: 0.5,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            batch: 4,
            queue: 256,
            questions: 64,
            body: 256 << 10,
            deadline: Duration::from_secs(10),
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            write_time: Duration::from_secs(20),
            connections: 1024,
            rate: 0,
            behind_proxy: false,
            cors: Vec::new(),
            drain_time: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            log: true,
            log_questions: false,
            signals: false,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
