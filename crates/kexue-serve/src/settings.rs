//! The settings of a service.

use crate::ServeError;
use crate::tokens::Tokens;
use kexue_qa::Trained;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The graph and the model to answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Those embedded in the crate: countries and chemical elements.
    Embedded,
    /// Files, which are opened again on each reload.
    Files {
        /// A graph built by `kexue kg build`.
        kg: PathBuf,
        /// The folder of a model trained by `kexue qa train`; without it, the embedded model.
        model: Option<PathBuf>,
    },
}

/// Adjusts an opened model, such as its search options and its device.
pub type Adjust = Arc<dyn Fn(&mut Trained) -> Result<(), ServeError> + Send + Sync>;

/// The settings of a service.
#[derive(Clone)]
pub struct Settings {
    /// The address to listen on. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The graph and the model.
    pub source: Source,
    /// Adjusts the model whenever it is opened.
    pub adjust: Adjust,
    /// Tokens that allow changes and reading. Without them, nothing can be changed.
    pub write_tokens: Tokens,
    /// Tokens that allow reading. Without them, everybody may read.
    pub read_tokens: Tokens,
    /// The lowest confidence of an answer that is given, unless a request states another.
    pub min_confidence: f64,
    /// Number of decoding threads. Each decodes its own batches.
    pub workers: usize,
    /// Maximum number of questions in a batch.
    pub batch: usize,
    /// Maximum number of waiting questions. Further requests are refused.
    pub queue: usize,
    /// Maximum number of questions in a request.
    pub questions: usize,
    /// Maximum size of a request's body, in bytes.
    pub body: usize,
    /// Maximum time for a request. Requests may state a shorter one.
    pub deadline: Duration,
    /// Maximum time for the head of a request to arrive, and for a connection without a request.
    pub head_time: Duration,
    /// Maximum time for the body of a request to arrive.
    pub body_time: Duration,
    /// Maximum time without progress while a response is sent.
    pub write_time: Duration,
    /// Maximum number of open connections.
    pub connections: usize,
    /// Maximum number of requests per second from one client (an IPv4 address, or the first 64 bits of an IPv6 address); 0 means no limit.
    pub rate: u32,
    /// Whether to take the client's address from the last entry of the header `X-Forwarded-For`, which a proxy in front must set.
    pub behind_proxy: bool,
    /// Origins of other pages whose scripts may use the API.
    pub cors: Vec<String>,
    /// Maximum time for requests to finish when the service is told to end.
    pub drain_time: Duration,
    /// Time during which the service still accepts connections after it is told to end. `/readyz` already returns 503.
    pub drain_delay: Duration,
    /// Whether to log requests.
    pub log: bool,
    /// Whether to log the texts of questions.
    pub log_questions: bool,
    /// Whether SIGTERM and SIGINT end the service and SIGHUP reloads.
    pub signals: bool,
}

impl Default for Settings {
    /// Serves the embedded graph and model on port 8080 of loopback. Nothing can be changed.
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            source: Source::Embedded,
            adjust: Arc::new(|_| Ok(())),
            write_tokens: Tokens::default(),
            read_tokens: Tokens::default(),
            min_confidence: 0.5,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            // Larger batches answer at most a tenth more questions at capacity, but the slowest answers at half of it wait much longer.
            batch: 2,
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
