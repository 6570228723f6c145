//! The graph and the model that come with the crate: countries and chemical elements, in Chinese and English.
//!
//! The graph is built from `data/default/triples.tsv`, the model trained on questions out of `data/default/templates.tsv`; `docs/qa.md` has
//! the commands.

use crate::rerank::{RERANKER_FILE, Reranker};
use crate::run::check_vocabulary;
use crate::{Result, Trained};
use kexue_kg::KnowledgeGraph;
use std::path::Path;

/// The embedded graph and the model for it.
///
/// # Errors
/// Never, unless the program was built from damaged files.
pub fn embedded() -> Result<(KnowledgeGraph, Trained)> {
    let graph = KnowledgeGraph::from_bytes(&include_bytes!("../data/default/graph.index")[..])?;
    let folder = Path::new("(embedded)");
    let mut trained = Trained::from_parts(
        include_str!("../data/default/model/config.toml"),
        include_str!("../data/default/model/vocab.txt"),
        include_bytes!("../data/default/model/model.safetensors"),
        folder,
    )?;
    let weights = include_str!("../data/default/model/reranker.toml");
    trained.config.search.reranker = Some(Reranker::from_toml(weights, &folder.join(RERANKER_FILE))?.into());
    check_vocabulary(&trained, &graph)?;
    Ok((graph, trained))
}
