//! [`kexue_qa::ask`] for Python.

use crate::errors::{KexueError, Raise, raise_qa};
use crate::graph::Graph;
use kexue_qa::{AskOptions, Trained, ask, embedded, open_run};
use pyo3::prelude::*;
use std::path::PathBuf;

/// A model that answers from a graph.
#[pyclass(frozen, module = "kexue._kexue")]
pub(crate) struct Asker {
    graph: Py<Graph>,
    trained: Trained,
}

#[pymethods]
impl Asker {
    #[staticmethod]
    fn open(py: Python<'_>, graph: Py<Graph>, model: PathBuf) -> PyResult<Self> {
        let shared = graph.get();
        let trained = py.detach(|| open_run(&model, &shared.read())).map_err(raise_qa)?;
        Ok(Self { graph, trained })
    }

    /// The embedded graph and its model.
    #[staticmethod]
    fn embedded(py: Python<'_>) -> PyResult<Self> {
        let (graph, trained) = py.detach(embedded).map_err(raise_qa)?;
        Ok(Self {
            graph: Py::new(py, Graph::new(graph, None))?,
            trained,
        })
    }

    fn graph(&self, py: Python<'_>) -> Py<Graph> {
        self.graph.clone_ref(py)
    }

    /// The answers as JSON.
    fn ask(
        &self,
        py: Python<'_>,
        questions: Vec<String>,
        min_confidence: f64,
        top: usize,
        explain: bool,
    ) -> PyResult<String> {
        if !(0.0..=1.0).contains(&min_confidence) {
            return Err(KexueError::new_err(format!(
                "min_confidence must be within 0 and 1; found {min_confidence}"
            )));
        }
        let options = AskOptions {
            min_confidence,
            top,
            explain,
            ..AskOptions::new(self.trained.config.search.clone())
        };
        let graph = self.graph.get();
        let answers = py
            .detach(|| {
                let questions: Vec<&str> = questions.iter().map(String::as_str).collect();
                ask(&graph.read(), &self.trained.model, &options, &questions)
            })
            .map_err(raise_qa)?;
        serde_json::to_string(&answers).raise()
    }
}
