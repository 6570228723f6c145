//! What is served: a graph and a model, replaced as a whole.

use crate::ServeError;
use crate::settings::{Adjust, Source};
use kexue_kg::KnowledgeGraph;
use kexue_qa::{SearchOptions, Trained, embedded, open_run};
use std::sync::{Arc, PoisonError, RwLock};

/// A graph and the model that answers from it, as they were at one moment. A request keeps the one it began with.
pub(crate) struct Snapshot {
    pub graph: KnowledgeGraph,
    pub model: Arc<Trained>,
    pub search: Arc<SearchOptions>,
    /// Rises with every change of graph or model.
    pub generation: u64,
}

/// What is served now.
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

    /// Opens graph and model again, checked from beginning to end. What is served stays if they cannot be used.
    pub fn reload(&self) -> Result<Arc<Snapshot>, ServeError> {
        let next = load(&self.source, &self.adjust, self.current().generation + 1)?;
        next.graph.verify(&|_| {})?;
        Ok(self.replace(next))
    }

    /// Reads the changes of the graph since it was opened.
    pub fn refresh(&self) -> Result<Arc<Snapshot>, ServeError> {
        let now = self.current();
        let Source::Files { kg, .. } = &self.source else {
            return Ok(now);
        };
        Ok(self.replace(Snapshot {
            graph: KnowledgeGraph::open(kg)?,
            model: now.model.clone(),
            search: now.search.clone(),
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
    let (graph, trained) = match source {
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
    let search = adjust(trained.config.search.clone()).map_err(|problem| ServeError::Setting {
        field: "adjust",
        problem,
    })?;
    Ok(Snapshot {
        graph,
        model: Arc::new(trained),
        search: Arc::new(search),
        generation,
    })
}
