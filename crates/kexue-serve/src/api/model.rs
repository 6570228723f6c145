//! `GET /v1/model`: describes the graph, the model and the limits.

use crate::app::App;
use crate::fault::Fault;
use crate::reply::json;
use crate::settings::Source;
use crate::store::Snapshot;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use kexue_nn::Layout;
use kexue_qa::SearchOptions;
use serde::Serialize;
use std::sync::Arc;

/// Example questions for the embedded graph, in Chinese and English.
const EXAMPLES: [&str; 8] = [
    "法国的首都是哪里？",
    "What is the capital of Australia?",
    "金的熔点是多少？",
    "Which element has the symbol Fe?",
    "日本用什么货币？",
    "What language do they speak in Brazil?",
    "capital of France and Germany",
    "中国的国家主席是谁？",
];

#[derive(Serialize)]
struct About {
    version: &'static str,
    generation: u64,
    embedded: bool,
    /// Whether the service has tokens that allow changes.
    writable: bool,
    /// Whether the token of this request allows changes.
    may_write: bool,
    graph: Graph,
    model: Model,
    search: SearchOptions,
    reranked: bool,
    min_confidence: f64,
    limits: Limits,
    examples: Vec<String>,
}

#[derive(Serialize)]
struct Graph {
    facts: u64,
    subjects: u64,
    relations: u64,
    changes: u64,
    pins: usize,
}

#[derive(Serialize)]
struct Model {
    parameters: usize,
    layers: usize,
    d_model: usize,
    vocabulary: usize,
}

#[derive(Serialize)]
struct Limits {
    questions: usize,
    body: usize,
    deadline_ms: u64,
}

pub(crate) async fn model(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Fault> {
    let settings = &app.settings;
    let (embedded, writable) = (app.store.source() == &Source::Embedded, app.unwritable().is_none());
    let may_write = writable && settings.write_tokens.allow(&headers);
    let limits = Limits {
        questions: settings.questions,
        body: settings.body,
        deadline_ms: settings.deadline.as_millis() as u64,
    };
    let min_confidence = settings.min_confidence;
    let about = app
        .look_up(move |snapshot| {
            let graph = &snapshot.graph;
            let config = &snapshot.model.config.model;
            Ok(About {
                version: env!("CARGO_PKG_VERSION"),
                generation: snapshot.generation,
                embedded,
                writable,
                may_write,
                graph: Graph {
                    facts: graph.index().len(),
                    subjects: graph.facts().subjects(),
                    relations: graph.facts().relations(),
                    changes: graph.changes().0,
                    pins: graph.pins().count(),
                },
                model: Model {
                    // A model for inference has a part of them packed only.
                    parameters: Layout::new(config).len(),
                    layers: config.layers,
                    d_model: config.d_model,
                    vocabulary: config.vocab_size,
                },
                search: snapshot.model.config.search.clone(),
                reranked: snapshot.model.config.search.reranker.is_some(),
                min_confidence,
                limits,
                examples: examples(snapshot, embedded)?,
            })
        })
        .await?;
    json(&about)
}

/// Example questions. For a graph other than the embedded one they are built from facts at regular distances.
fn examples(snapshot: &Snapshot, embedded: bool) -> Result<Vec<String>, Fault> {
    if embedded {
        return Ok(EXAMPLES.map(str::to_owned).to_vec());
    }
    let graph = &snapshot.graph;
    let (facts, wanted) = (graph.index().len(), 6);
    let mut examples = Vec::new();
    for place in 0..wanted.min(facts) {
        let fact = graph
            .fact((2 * place + 1) * facts / (2 * wanted.min(facts)))
            .map_err(Fault::of_damage)?;
        let joint = match fact.relation.is_ascii() && fact.subject.is_ascii() {
            true => " ",
            false => "的",
        };
        examples.push(format!("{}{joint}{}", fact.subject, fact.relation));
    }
    Ok(examples)
}
