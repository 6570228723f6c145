//! The state that all handlers share.

use crate::batcher::Batcher;
use crate::fault::{Fault, Unwritable};
use crate::keeper::Keeper;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::rate::Rates;
use crate::settings::{Settings, Source};
use crate::store::{Snapshot, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Maximum number of look-ups in the graph at a time. Each runs on a thread for blocking work.
pub(crate) const LOOKUPS: usize = 32;

/// The state that all handlers share.
pub(crate) struct App {
    pub settings: Settings,
    pub store: Arc<Store>,
    pub batcher: Batcher,
    pub keeper: Keeper,
    pub metrics: Arc<Metrics>,
    pub log: Log,
    pub rates: Rates,
    pub draining: AtomicBool,
    pub lookups: Semaphore,
}

impl App {
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Why nobody can change the graph, if so.
    pub fn unwritable(&self) -> Option<Unwritable> {
        match self.store.source() {
            Source::Embedded => Some(Unwritable::Embedded),
            Source::Files { .. } if self.settings.write_tokens.is_empty() => Some(Unwritable::NoTokens),
            Source::Files { .. } => None,
        }
    }

    /// Reads from the graph, on another thread than those that serve connections.
    pub async fn look_up<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let _permit = self
            .lookups
            .try_acquire()
            .map_err(|_| Fault::Busy(Duration::from_secs(1)))?;
        let snapshot = self.store.current();
        let read = tokio::task::spawn_blocking(move || read(&snapshot)).await;
        read.unwrap_or(Err(Fault::Internal))
    }

    /// Opens graph and model again.
    pub async fn reload(&self) -> Result<u64, Fault> {
        let loaded = self.keeper.reload().await;
        match &loaded {
            Ok(generation) => {
                self.metrics.generation.set(*generation as i64);
                crate::log::note(&format!("reloaded: generation {generation}"));
            }
            Err(fault) => {
                self.metrics.reloads_failed.inc();
                crate::log::complain(&format!("not reloaded: {}", fault.for_log()));
            }
        }
        loaded
    }
}
