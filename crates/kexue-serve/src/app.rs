//! What the handlers share.

use crate::batcher::Batcher;
use crate::fault::Fault;
use crate::keeper::Keeper;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::rate::Rates;
use crate::settings::Settings;
use crate::store::{Snapshot, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Look-ups in the graph that may run at a time, each on a thread for blocking work.
pub(crate) const LOOKUPS: usize = 32;

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

    /// Whether anybody can write.
    pub fn is_writable(&self) -> bool {
        !self.settings.write_tokens.is_empty() && self.store.source() != &crate::settings::Source::Embedded
    }

    /// Reads from the graph, off the threads that talk to clients.
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

    /// Loads graph and model anew.
    pub async fn reload(&self) -> Result<u64, Fault> {
        let loaded = self.keeper.reload().await;
        match &loaded {
            Ok(generation) => {
                self.metrics.generation.set(*generation as i64);
                crate::log::note(&format!("reloaded: generation {generation}"));
            }
            Err(fault) => {
                self.metrics.reloads_failed.inc();
                crate::log::complain(&format!("not reloaded: {fault:?}"));
            }
        }
        loaded
    }
}

/// The graph could not be read.
pub(crate) fn damaged(error: impl std::fmt::Display) -> Fault {
    crate::log::complain(&format!("the graph cannot be read: {error}"));
    Fault::Internal
}
