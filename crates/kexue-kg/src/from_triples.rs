//! Builds a graph in memory from triples in memory.

use crate::build::GraphBuilder;
use crate::error::KgError;
use crate::graph::KnowledgeGraph;
use crate::options::BuildOptions;

impl KnowledgeGraph {
    /// Builds an index in memory, for small graphs.
    ///
    /// # Errors
    /// If there are no triples.
    pub fn from_triples<'a>(
        triples: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
        options: &BuildOptions,
    ) -> Result<Self, KgError> {
        let mut builder = GraphBuilder::new(options.clone());
        for (subject, relation, object) in triples {
            builder.add(subject, relation, object)?;
        }
        Self::from_bytes(builder.finish_bytes()?.1)
    }
}
