//! [`kexue_kg::KnowledgeGraph`] for Python.

use crate::errors::{Raise, raise_kg};
use kexue_kg::{
    BuildOptions, Change, CsvEscape, Fact, Format, GraphBuilder, GraphWriter, ImportOptions, KnowledgeGraph, import,
};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{RwLock, RwLockReadGuard};

/// Subject, sense, relation, objects.
type FactParts = (String, Option<String>, String, Vec<String>);

fn parts(fact: Fact) -> FactParts {
    (fact.subject, fact.sense, fact.relation, fact.objects)
}

/// Collects triples for a graph.
#[pyclass(module = "kexue._kexue")]
pub(crate) struct GraphTriples {
    builder: Option<GraphBuilder>,
}

#[pymethods]
impl GraphTriples {
    #[new]
    fn new(inverse: bool, fold_case: bool, memory: Option<u64>, folder: Option<PathBuf>) -> Self {
        Self {
            builder: Some(GraphBuilder::new(BuildOptions {
                inverse,
                fold_case,
                memory,
                temporary: folder,
                ..BuildOptions::default()
            })),
        }
    }

    fn add(&mut self, triples: Vec<(String, String, String)>) -> PyResult<()> {
        let builder = self.builder.as_mut().ok_or_else(used)?;
        triples
            .iter()
            .try_for_each(|(subject, relation, object)| builder.add(subject, relation, object))
            .map_err(raise_kg)
    }

    /// Reads files of triples.
    #[allow(clippy::too_many_arguments)]
    fn read(
        &mut self,
        py: Python<'_>,
        paths: Vec<PathBuf>,
        format: Option<&str>,
        columns: Option<[String; 3]>,
        header: bool,
        skip_bad: bool,
        csv_escape: Option<&str>,
    ) -> PyResult<()> {
        let builder = self.builder.as_mut().ok_or_else(used)?;
        let options = ImportOptions {
            format: format.map(|name| name.parse::<Format>().raise()).transpose()?,
            columns,
            header,
            skip_bad,
            csv_escape: match csv_escape {
                Some(name) => name.parse::<CsvEscape>().raise()?,
                None => CsvEscape::default(),
            },
            ..ImportOptions::default()
        };
        py.detach(|| import(&paths, &options, builder, &|_| {}))
            .map(drop)
            .map_err(raise_kg)
    }

    fn finish(&mut self, py: Python<'_>, path: Option<PathBuf>) -> PyResult<Graph> {
        let builder = self.builder.take().ok_or_else(used)?;
        py.detach(|| match &path {
            Some(path) => {
                builder.finish(path)?;
                KnowledgeGraph::open(path)
            }
            None => KnowledgeGraph::from_bytes(builder.finish_bytes()?.1),
        })
        .map(|graph| Graph::new(graph, path))
        .map_err(raise_kg)
    }
}

fn used() -> PyErr {
    crate::errors::KexueError::new_err("the builder has made its graph; use a new one")
}

/// A graph of facts.
#[pyclass(frozen, module = "kexue._kexue")]
pub(crate) struct Graph {
    graph: RwLock<KnowledgeGraph>,
    path: Option<PathBuf>,
}

impl Graph {
    pub fn new(graph: KnowledgeGraph, path: Option<PathBuf>) -> Self {
        Self {
            graph: RwLock::new(graph),
            path,
        }
    }

    /// Only without the interpreter's lock: who writes may wait for it.
    pub fn read(&self) -> RwLockReadGuard<'_, KnowledgeGraph> {
        self.graph.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn refreshed(&self) -> Result<(), kexue_kg::KgError> {
        let mut graph = self.graph.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        graph.refresh()
    }
}

#[pymethods]
impl Graph {
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| KnowledgeGraph::open(&path))
            .map(|graph| Self::new(graph, Some(path)))
            .map_err(raise_kg)
    }

    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.path.clone()
    }

    fn count(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.read().index().len())
    }

    fn fact(&self, py: Python<'_>, key: u64) -> PyResult<FactParts> {
        py.detach(|| self.read().fact(key)).map(parts).map_err(raise_kg)
    }

    fn key_of(&self, py: Python<'_>, subject: &str, relation: &str) -> PyResult<Option<u64>> {
        py.detach(|| self.read().key_of(subject, relation)).map_err(raise_kg)
    }

    /// The first facts that begin with a prefix, with their keys, and how many there are.
    fn complete(&self, py: Python<'_>, prefix: &str, limit: u64) -> PyResult<(Vec<(u64, FactParts)>, u64)> {
        py.detach(|| {
            let graph = self.read();
            let (keys, count) = graph.complete(prefix, limit)?;
            let facts = keys
                .into_iter()
                .map(|key| Ok((key, parts(graph.fact(key)?))))
                .collect::<Result<_, kexue_kg::KgError>>()?;
            Ok((facts, count))
        })
        .map_err(raise_kg)
    }

    /// Makes changes, given as JSON, and reads them; returns of each whether it changed anything.
    fn apply(&self, py: Python<'_>, changes: &str) -> PyResult<Vec<bool>> {
        let changes: Vec<Change> = serde_json::from_str(changes).raise()?;
        let path = self.on_disk()?;
        py.detach(|| {
            let made: Result<Vec<bool>, kexue_kg::KgError> = (|| {
                let mut writer = GraphWriter::open(path)?;
                changes.iter().map(|change| writer.apply(change)).collect()
            })();
            // What came before a change that failed was made.
            self.refreshed()?;
            made
        })
        .map_err(raise_kg)
    }

    fn compact(&self, py: Python<'_>) -> PyResult<()> {
        let path = self.on_disk()?;
        py.detach(|| {
            GraphWriter::open(path)?.compact(None)?;
            self.refreshed()
        })
        .map_err(raise_kg)
    }

    fn refresh(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.refreshed()).map_err(raise_kg)
    }
}

impl Graph {
    fn on_disk(&self) -> PyResult<&PathBuf> {
        self.path.as_ref().ok_or_else(|| {
            crate::errors::KexueError::new_err(
                "a graph in memory cannot be changed; build it into a file and open that",
            )
        })
    }
}
