//! Metrics for Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Request {
    pub route: String,
    pub method: &'static str,
    pub status: u16,
}

/// The metrics, and the registry that prints them.
pub(crate) struct Metrics {
    registry: Registry,
    pub requests: Family<Request, Counter>,
    pub seconds: Histogram,
    pub questions: Counter,
    pub waiting: Gauge,
    pub batch_size: Histogram,
    pub cancelled: Counter,
    pub late: Counter,
    pub connections: Gauge,
    pub generation: Gauge,
    pub reloads_failed: Counter,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("kexue");
        let metrics = Self {
            requests: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 16)),
            questions: Counter::default(),
            waiting: Gauge::default(),
            batch_size: Histogram::new(exponential_buckets(1.0, 2.0, 8)),
            cancelled: Counter::default(),
            late: Counter::default(),
            connections: Gauge::default(),
            generation: Gauge::default(),
            reloads_failed: Counter::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Responses sent", metrics.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time from receiving a request's head to its response",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register("questions", "Questions answered", metrics.questions.clone());
        registry.register("questions_waiting", "Questions in the queue", metrics.waiting.clone());
        registry.register(
            "batch_size",
            "Questions decoded in one batch",
            metrics.batch_size.clone(),
        );
        registry.register(
            "questions_cancelled",
            "Questions that were not decoded because their client had disconnected",
            metrics.cancelled.clone(),
        );
        registry.register(
            "questions_late",
            "Questions that were not decoded because their deadline had passed",
            metrics.late.clone(),
        );
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register(
            "generation",
            "Increases with every change of the graph or the model",
            metrics.generation.clone(),
        );
        registry.register("reloads_failed", "Reloads that failed", metrics.reloads_failed.clone());
        Self { registry, ..metrics }
    }

    /// All metrics in the text format of OpenMetrics.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
