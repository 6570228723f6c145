//! The log: one JSON object per line, on standard error.
//!
//! A separate thread writes it, so that requests do not wait for a slow reader. Lines that do not fit into its queue are dropped and counted.

use serde::Serialize;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{SystemTime, UNIX_EPOCH};

/// Maximum number of waiting lines.
const WAITING: usize = 4096;

/// A request, as it is logged.
#[derive(Serialize)]
pub(crate) struct Entry<'e> {
    pub method: &'e str,
    pub route: &'e str,
    pub status: u16,
    pub milliseconds: f64,
    pub client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub questions: Option<&'e [String]>,
}

#[derive(Serialize)]
struct Line<'e> {
    /// Seconds since 1970.
    time: f64,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'e str>,
    #[serde(flatten)]
    entry: Option<&'e Entry<'e>>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn line(level: &'static str, message: Option<&str>, entry: Option<&Entry<'_>>, dropped: u64) -> String {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = Line {
        time: (time.as_secs_f64() * 1000.0).round() / 1000.0,
        level,
        message,
        entry,
        dropped,
    };
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

/// The log of requests.
pub(crate) struct Log {
    lines: Option<SyncSender<String>>,
    dropped: AtomicU64,
}

impl Log {
    /// Starts the thread if requests are logged.
    pub fn start(wanted: bool) -> std::io::Result<Self> {
        let lines = match wanted {
            false => None,
            true => {
                let (lines, receiver) = sync_channel::<String>(WAITING);
                std::thread::Builder::new().name("log".to_owned()).spawn(move || {
                    for line in receiver {
                        let _ = std::io::stderr().write_all(line.as_bytes());
                    }
                })?;
                Some(lines)
            }
        };
        Ok(Self {
            lines,
            dropped: AtomicU64::new(0),
        })
    }

    pub fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Logs a request.
    pub fn request(&self, entry: &Entry<'_>) {
        let Some(lines) = &self.lines else { return };
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let level = if entry.status >= 500 { "error" } else { "info" };
        if lines.try_send(line(level, None, Some(entry), dropped)).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }
}

/// Logs an error that does not belong to a request, even if requests are not logged.
pub(crate) fn complain(message: &str) {
    let _ = std::io::stderr().write_all(line("error", Some(message), None, 0).as_bytes());
}

/// Logs an event that does not belong to a request.
pub(crate) fn note(message: &str) {
    let _ = std::io::stderr().write_all(line("info", Some(message), None, 0).as_bytes());
}
