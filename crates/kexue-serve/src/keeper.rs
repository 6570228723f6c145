//! The one thread that changes what is served: it writes facts and pins, and loads graph and model anew.

use crate::ServeError;
use crate::fault::Fault;
use crate::settings::Source;
use crate::store::{Snapshot, Store};
use kexue_kg::{Change, Fact, GraphWriter, KgError};
use serde::Serialize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Changes that may wait for the disk.
const WAITING: usize = 64;

/// A fact as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FactView {
    /// The subject with its sense in full-width brackets, as it is written in changes.
    pub subject: String,
    pub relation: String,
    pub objects: Vec<String>,
}

impl FactView {
    pub fn new(fact: Fact) -> Self {
        let subject = match &fact.sense {
            Some(sense) => format!("{}（{sense}）", fact.subject),
            None => fact.subject,
        };
        Self {
            subject,
            relation: fact.relation,
            objects: fact.objects,
        }
    }
}

/// What a question is pinned to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PinView {
    pub question: String,
    pub subject: String,
    pub relation: String,
}

/// What stood at the place of a change. With it a client undoes the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Stood {
    Fact(Option<FactView>),
    Pin(Option<PinView>),
}

/// A change that was made, and is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Changed {
    /// False where there was nothing to change.
    pub changed: bool,
    pub before: Stood,
    pub after: Stood,
}

enum Order {
    Changes(Vec<Change>, oneshot::Sender<Result<Vec<Changed>, Fault>>),
    Reload(oneshot::Sender<Result<u64, Fault>>),
}

/// The way to the thread.
#[derive(Clone)]
pub(crate) struct Keeper {
    orders: SyncSender<Order>,
}

impl Keeper {
    /// Starts the thread; with the right to write, if the graph is a file and may be changed.
    ///
    /// # Errors
    /// If another program writes to the graph.
    pub fn start(store: Arc<Store>, writes: bool) -> Result<Self, ServeError> {
        let writer = match store.source() {
            Source::Files { kg, .. } if writes => {
                let writer = GraphWriter::open(kg)?;
                // What others changed until the lock was taken.
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

    /// Makes changes, which are on disk and served when this returns; in order, up to the first that fails.
    pub async fn change(&self, changes: Vec<Change>) -> Result<Vec<Changed>, Fault> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Changes(changes, reply))?;
        answer.await.unwrap_or(Err(Fault::Internal))
    }

    /// Loads graph and model anew, and returns the generation that is then served.
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
            return Err(Fault::ReadOnly);
        };
        if !self.writes {
            return Err(Fault::ReadOnly);
        }
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            // Another program had the graph when it was loaded last.
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
            && now.graph.key_of(subject, relation).map_err(damaged)?.is_none()
        {
            return Err(Fault::NotFound {
                what: ["such fact to pin".to_owned(), "这条可以固定的事实".to_owned()],
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

    /// The lock on the old index stays until the new one is known to be good.
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
                Err(error) => crate::log::complain(&format!("the new index is served, but cannot be written: {error}")),
            }
        }
        Ok(next.generation)
    }
}

/// A change is on disk, but cannot be shown.
fn served(error: ServeError) -> Fault {
    crate::log::complain(&format!(
        "a change is on disk, but the graph cannot be opened anew: {error}"
    ));
    Fault::Internal
}

fn damaged(error: KgError) -> Fault {
    crate::log::complain(&format!("the graph cannot be read: {error}"));
    Fault::Internal
}

/// What stands where a change is made.
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
            let key = graph.key_of(subject, relation).map_err(damaged)?;
            let fact = key.map(|key| graph.fact(key)).transpose().map_err(damaged)?;
            Ok(Stood::Fact(fact.map(FactView::new)))
        }
        Change::Pin { question, .. } | Change::Unpin { question } => {
            let pinned = graph.pinned(question).map_err(damaged)?;
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
