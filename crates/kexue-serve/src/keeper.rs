//! The only thread that changes what is served: it writes facts and pins, and opens graph and model again.

use crate::ServeError;
use crate::fault::{Fault, Unwritable};
use crate::settings::Source;
use crate::store::{Snapshot, Store};
use kexue_kg::{Change, Fact, GraphWriter};
use serde::Serialize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Maximum number of orders that wait for the thread.
const WAITING: usize = 64;

/// A fact in the form of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FactView {
    /// The subject with its sense in full-width brackets, as it is written in changes.
    pub subject: String,
    pub relation: String,
    pub objects: Vec<String>,
}

impl FactView {
    pub fn new(fact: Fact) -> Self {
        Self {
            subject: fact.full_subject(),
            relation: fact.relation,
            objects: fact.objects,
        }
    }
}

/// A pinned question and its fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PinView {
    pub question: String,
    pub subject: String,
    pub relation: String,
}

/// The fact or pin that a change affects, before or after it. A client undoes the change by sending the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Stood {
    Fact(Option<FactView>),
    Pin(Option<PinView>),
}

/// A change that was made and is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Changed {
    /// False if there was nothing to change.
    pub changed: bool,
    pub before: Stood,
    pub after: Stood,
}

enum Order {
    Changes(Vec<Change>, oneshot::Sender<Result<Vec<Changed>, Fault>>),
    Reload(oneshot::Sender<Result<u64, Fault>>),
}

/// Sends orders to the thread.
#[derive(Clone)]
pub(crate) struct Keeper {
    orders: SyncSender<Order>,
}

impl Keeper {
    /// Starts the thread. If `writes`, it takes the lock of the graph and may change it.
    ///
    /// # Errors
    /// If another program is changing the graph, or a file cannot be opened.
    pub fn start(store: Arc<Store>, writes: bool) -> Result<Self, ServeError> {
        let writer = match store.source() {
            Source::Files { kg, .. } if writes => {
                let writer = GraphWriter::open(kg)?;
                // Others may have changed the graph before the lock was taken.
                store.refresh()?;
                Some(writer)
            }
            _ => None,
        };
        let (orders, receiver) = sync_channel(WAITING);
        let state = State { store, writes, writer };
        std::thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || state.run(&receiver))
            .map_err(|source| ServeError::System {
                what: "start a thread",
                source,
            })?;
        Ok(Self { orders })
    }

    fn order(&self, order: Order) -> Result<(), Fault> {
        self.orders.try_send(order).map_err(|error| match error {
            TrySendError::Full(_) => Fault::Busy(Duration::from_secs(1)),
            TrySendError::Disconnected(_) => Fault::Internal,
        })
    }

    /// Makes changes in order, up to the first that fails. They are on disk and served when this returns.
    pub async fn change(&self, changes: Vec<Change>) -> Result<Vec<Changed>, Fault> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Changes(changes, reply))?;
        answer.await.unwrap_or(Err(Fault::Internal))
    }

    /// Opens graph and model again, and returns the generation that is then served.
    pub async fn reload(&self) -> Result<u64, Fault> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Reload(reply))?;
        answer.await.unwrap_or(Err(Fault::Internal))
    }
}

struct State {
    store: Arc<Store>,
    writes: bool,
    writer: Option<GraphWriter>,
}

impl State {
    fn run(mut self, orders: &Receiver<Order>) {
        for order in orders {
            match order {
                Order::Changes(changes, reply) => {
                    let made = self.change(&changes);
                    let _ = reply.send(made);
                }
                Order::Reload(reply) => {
                    let generation = self.reload();
                    let _ = reply.send(generation);
                }
            }
        }
    }

    fn change(&mut self, changes: &[Change]) -> Result<Vec<Changed>, Fault> {
        let Source::Files { kg, .. } = self.store.source() else {
            return Err(Fault::ReadOnly(Unwritable::Embedded));
        };
        if !self.writes {
            return Err(Fault::ReadOnly(Unwritable::NoTokens));
        }
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            // Another program had the lock when the graph was last opened.
            None => {
                let writer = GraphWriter::open(kg).map_err(|error| Fault::of_change(&error))?;
                self.store.refresh().map_err(served)?;
                writer
            }
        };
        let made = changes.iter().map(|change| self.make(&mut writer, change)).collect();
        self.writer = Some(writer);
        made
    }

    fn make(&self, writer: &mut GraphWriter, change: &Change) -> Result<Changed, Fault> {
        let now = self.store.current();
        let before = stood(&now, change)?;
        if let (Change::Pin { subject, relation, .. }, Stood::Pin(_)) = (change, &before)
            && now.graph.key_of(subject, relation).map_err(Fault::of_damage)?.is_none()
        {
            return Err(Fault::NotFound {
                what: [
                    "fact with this subject and relation".to_owned(),
                    "主体和关系都相符的事实".to_owned(),
                ],
            });
        }
        let changed = writer.apply(change).map_err(|error| Fault::of_change(&error))?;
        let then = match changed {
            true => self.store.refresh().map_err(served)?,
            false => now,
        };
        Ok(Changed {
            changed,
            before,
            after: stood(&then, change)?,
        })
    }

    /// Opens graph and model again. The lock on the old index is kept until the new one has been checked.
    fn reload(&mut self) -> Result<u64, Fault> {
        let refused = |error: ServeError| Fault::NotReloaded(error.to_string());
        let old = self.store.current().graph.container().identity();
        let next = self.store.reload().map_err(refused)?;
        if let (true, Source::Files { kg, .. }) = (self.writes, self.store.source())
            && (self.writer.is_none() || next.graph.container().identity() != old)
        {
            self.writer = None;
            match GraphWriter::open(kg) {
                Ok(writer) => self.writer = Some(writer),
                Err(error) => crate::log::complain(&format!("the new index is served, but cannot be changed: {error}")),
            }
        }
        Ok(next.generation)
    }
}

/// A change is on disk, but the graph cannot be opened with it.
fn served(error: ServeError) -> Fault {
    crate::log::complain(&format!(
        "a change is on disk, but the graph cannot be opened again: {error}"
    ));
    Fault::Internal
}

/// The fact or pin that a change affects, as it is in a snapshot.
fn stood(snapshot: &Snapshot, change: &Change) -> Result<Stood, Fault> {
    let graph = &snapshot.graph;
    match change {
        Change::Add { subject, relation, .. }
        | Change::Replace { subject, relation, .. }
        | Change::Remove {
            subject,
            relation: Some(relation),
            ..
        } => {
            let key = graph.key_of(subject, relation).map_err(Fault::of_damage)?;
            let fact = key.map(|key| graph.fact(key)).transpose().map_err(Fault::of_damage)?;
            Ok(Stood::Fact(fact.map(FactView::new)))
        }
        Change::Pin { question, .. } | Change::Unpin { question } => {
            let pinned = graph.pinned(question).map_err(Fault::of_damage)?;
            Ok(Stood::Pin(pinned.map(|(_, fact)| {
                let FactView { subject, relation, .. } = FactView::new(fact);
                PinView {
                    question: question.clone(),
                    subject,
                    relation,
                }
            })))
        }
        Change::Remove { relation: None, .. } | Change::Alias { .. } | Change::Unalias { .. } => Ok(Stood::Fact(None)),
    }
}
