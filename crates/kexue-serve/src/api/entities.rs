//! `GET /v1/entities/{name}`: the facts of a subject.

use crate::app::App;
use crate::body::Queried;
use crate::fault::Fault;
use crate::reply::json;
use crate::store::Snapshot;
use axum::extract::{Path, State};
use axum::response::Response;
use kexue_kg::split_sense;
use kexue_text::SEP;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Maximum number of facts in a response.
const MOST: usize = 200;
/// Maximum offset. No subject has so many facts.
const FARTHEST: usize = 1_000_000_000;
/// Maximum number of objects of a fact that are looked up as subjects.
const LOOKED_UP: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    offset: Option<usize>,
    limit: Option<usize>,
}

/// A subject and its facts.
#[derive(Serialize)]
struct Entity {
    name: String,
    /// Total number of facts, of this sense if one was asked for.
    total: usize,
    facts: Vec<FactOf>,
}

#[derive(Serialize)]
struct FactOf {
    /// The subject with its sense, as it is written in changes.
    subject: String,
    sense: Option<String>,
    relation: String,
    objects: Vec<String>,
    /// The objects that are also subjects.
    entities: Vec<String>,
}

pub(crate) async fn entity(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, axum::extract::rejection::PathRejection>,
    Queried(query): Queried<Query>,
) -> Result<Response, Fault> {
    let Path(name) = name.map_err(|error| Fault::BadQuery(error.body_text()))?;
    let limit = query.limit.unwrap_or(50);
    if !(1..=MOST).contains(&limit) {
        return Err(Fault::out_of_range("limit", 1, MOST as u64));
    }
    let offset = query.offset.unwrap_or(0);
    if offset > FARTHEST {
        return Err(Fault::out_of_range("offset", 0, FARTHEST as u64));
    }
    let found = app
        .look_up(move |snapshot| read(snapshot, &name, offset, limit))
        .await?;
    json(&found)
}

fn read(snapshot: &Snapshot, name: &str, offset: usize, limit: usize) -> Result<Entity, Fault> {
    let graph = &snapshot.graph;
    let keys_of = |name: &str| -> Result<Vec<u64>, Fault> {
        let mut tokens = graph.vocabulary().encode(name);
        tokens.push(SEP);
        let mut keys = Vec::new();
        if let Some(at) = graph.index().find(&tokens).map_err(Fault::of_damage)? {
            let visited = graph.index().completions(at, &mut |_, key| {
                keys.push(key);
                ControlFlow::Continue(())
            });
            visited.map_err(Fault::of_damage)?;
        }
        Ok(keys)
    };
    let mut keys = keys_of(name)?;
    let mut sense = None;
    if keys.is_empty() {
        let (subject, of) = split_sense(name);
        if of.is_some() {
            (keys, sense) = (keys_of(subject)?, of);
        }
    }
    let mut entity = Entity {
        name: String::new(),
        total: 0,
        facts: Vec::new(),
    };
    let visited = graph.visit_keys(&keys, &mut |_, fact| {
        let is_of_sense = sense.is_none_or(|sense| {
            let own = fact.sense.as_deref().unwrap_or_default();
            graph.vocabulary().encode(own) == graph.vocabulary().encode(sense)
        });
        if is_of_sense {
            if entity.total >= offset && entity.facts.len() < limit {
                entity.facts.push(FactOf {
                    subject: fact.full_subject(),
                    sense: fact.sense,
                    relation: fact.relation,
                    objects: fact.objects,
                    entities: Vec::new(),
                });
            }
            entity.total += 1;
            entity.name = fact.subject;
        }
        ControlFlow::Continue(())
    });
    visited.map_err(Fault::of_damage)?;
    if entity.total == 0 {
        return Err(Fault::NotFound {
            what: [format!("subject “{name}”"), format!("名为“{name}”的主体")],
        });
    }
    for fact in &mut entity.facts {
        for object in fact.objects.iter().take(LOOKED_UP) {
            let is_subject = graph.has_subject(object).map_err(Fault::of_damage)?
                || graph.has_subject(split_sense(object).0).map_err(Fault::of_damage)?;
            if is_subject {
                fact.entities.push(object.clone());
            }
        }
    }
    Ok(entity)
}
