//! The graph and the model that are served, which are replaced together.

use crate::ServeError;
use crate::settings::{Adjust, Source};
use kexue_kg::KnowledgeGraph;
use kexue_qa::{Trained, embedded, open_run};
use std::sync::{Arc, PoisonError, RwLock};

/// A graph and a model at one moment. A request keeps the snapshot that it began with.
pub(crate) struct Snapshot {
    pub graph: KnowledgeGraph,
    pub model: Arc<Trained>,
    /// Increases with every change of the graph or the model.
    pub generation: u64,
}

/// Holds the current snapshot.
pub(crate) struct Store {
    source: Source,
    adjust: Adjust,
    current: RwLock<Arc<Snapshot>>,
}

impl Store {
    /// Opens graph and model.
    pub fn open(source: Source, adjust: Adjust) -> Result<Self, ServeError> {
        let first = load(&source, &adjust, 1)?;
        Ok(Self {
            source,
            adjust,
            current: RwLock::new(Arc::new(first)),
        })
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    pub fn current(&self) -> Arc<Snapshot> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens graph and model again and checks the whole graph. If they cannot be used, the current snapshot stays.
    pub fn reload(&self) -> Result<Arc<Snapshot>, ServeError> {
        let next = load(&self.source, &self.adjust, self.current().generation + 1)?;
        next.graph.verify(&|_| {})?;
        Ok(self.replace(next))
    }

    /// Opens the graph again to read its latest changes.
    pub fn refresh(&self) -> Result<Arc<Snapshot>, ServeError> {
        let now = self.current();
        let Source::Files { kg, .. } = &self.source else {
            return Ok(now);
        };
        Ok(self.replace(Snapshot {
            graph: KnowledgeGraph::open(kg)?,
            model: now.model.clone(),
            generation: now.generation + 1,
        }))
    }

    fn replace(&self, next: Snapshot) -> Arc<Snapshot> {
        let next = Arc::new(next);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next.clone();
        next
    }
}

fn load(source: &Source, adjust: &Adjust, generation: u64) -> Result<Snapshot, ServeError> {
    let (graph, mut trained) = match source {
        Source::Embedded => embedded()?,
        Source::Files { kg, model: Some(model) } => {
            let graph = KnowledgeGraph::open(kg)?;
            let trained = open_run(model, &graph)?;
            (graph, trained)
        }
        Source::Files { kg, model: None } => {
            let graph = KnowledgeGraph::open(kg)?;
            let (_, trained) = embedded()?;
            if !trained.vocabulary.same_tokens(graph.vocabulary()) {
                return Err(kexue_qa::Error::Vocabulary.into());
            }
            (graph, trained)
        }
    };
    adjust(&mut trained)?;
    Ok(Snapshot {
        graph,
        model: Arc::new(trained),
        generation,
    })
}
