//! The graph and the model that come with the crate: countries and chemical elements, in Chinese and English.
//!
//! The graph is built from `data/default/triples.tsv`, the model trained on questions out of `data/default/templates.tsv`; `docs/qa.md` has
//! the commands.

use crate::rerank::{RERANKER_FILE, Reranker};
use crate::run::check_vocabulary;
use crate::{Result, Trained};
use kexue_kg::KnowledgeGraph;
use kexue_output::write_file;
use kexue_train::TrainError;
use std::path::Path;

const GRAPH: &[u8] = include_bytes!("../data/default/graph.index");
const CONFIG: &str = include_str!("../data/default/model/config.toml");
const VOCABULARY: &str = include_str!("../data/default/model/vocab.txt");
const WEIGHTS: &[u8] = include_bytes!("../data/default/model/model.safetensors");
const RERANKER: &str = include_str!("../data/default/model/reranker.txt");

/// The embedded graph and the model for it.
///
/// # Errors
/// Never, unless the program was built from damaged files.
pub fn embedded() -> Result<(KnowledgeGraph, Trained)> {
    let graph = KnowledgeGraph::from_bytes(GRAPH)?;
    let folder = Path::new("(embedded)");
    let mut trained = Trained::from_parts(CONFIG, VOCABULARY, WEIGHTS, folder)?;
    trained.config.search.reranker = Some(Reranker::from_text(RERANKER, &folder.join(RERANKER_FILE))?.into());
    check_vocabulary(&trained, &graph)?;
    Ok((graph, trained))
}

/// Writes the embedded graph to the file `graph.index` of a folder, and the model to its folder `model`, to change or serve them.
///
/// # Errors
/// If a file cannot be written.
pub fn write_embedded(folder: &Path) -> Result<()> {
    let model = folder.join("model");
    std::fs::create_dir_all(&model).map_err(|source| crate::Error::Io {
        path: model.clone(),
        source,
    })?;
    write_file(&folder.join("graph.index"), GRAPH).map_err(TrainError::from)?;
    for (name, content) in [
        ("config.toml", CONFIG.as_bytes()),
        ("vocab.txt", VOCABULARY.as_bytes()),
        ("model.safetensors", WEIGHTS),
        (RERANKER_FILE, RERANKER.as_bytes()),
    ] {
        write_file(&model.join(name), content).map_err(TrainError::from)?;
    }
    Ok(())
}
