//! `GET /v1/entities/{name}`: what the graph says of a subject.

use crate::app::{App, damaged};
use crate::body::Queried;
use crate::fault::Fault;
use crate::store::Snapshot;
use axum::extract::{Path, State};
use axum::response::Response;
use kexue_kg::split_sense;
use kexue_text::SEP;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Facts shown at a time.
const MOST: usize = 200;
/// The farthest fact: no subject has so many.
const FARTHEST: usize = 1_000_000_000;
/// Objects of a fact that are looked up as subjects.
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
    /// Facts in all, of this sense where one was asked for.
    total: usize,
    facts: Vec<FactOf>,
}

#[derive(Serialize)]
struct FactOf {
    /// The subject with its sense, as changes name it.
    subject: String,
    sense: Option<String>,
    relation: String,
    objects: Vec<String>,
    /// Those of the objects that are subjects themselves.
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
        return Err(Fault::invalid(
            "limit",
            format!("is not within 1 and {MOST}"),
            format!("不在 1 与 {MOST} 之间"),
        ));
    }
    let offset = query.offset.unwrap_or(0);
    if offset > FARTHEST {
        return Err(Fault::invalid(
            "offset",
            format!("is more than {FARTHEST}"),
            format!("大于 {FARTHEST}"),
        ));
    }
    let found = app
        .look_up(move |snapshot| read(snapshot, &name, offset, limit))
        .await?;
    super::json(&found)
}

fn read(snapshot: &Snapshot, name: &str, offset: usize, limit: usize) -> Result<Entity, Fault> {
    let graph = &snapshot.graph;
    let keys_of = |name: &str| -> Result<Vec<u64>, Fault> {
        let mut tokens = graph.vocabulary().encode(name);
        tokens.push(SEP);
        let mut keys = Vec::new();
        if let Some(at) = graph.index().find(&tokens).map_err(damaged)? {
            let visited = graph.index().completions(at, &mut |_, key| {
                keys.push(key);
                ControlFlow::Continue(())
            });
            visited.map_err(damaged)?;
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
                    subject: match &fact.sense {
                        Some(sense) => format!("{}（{sense}）", fact.subject),
                        None => fact.subject.clone(),
                    },
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
    visited.map_err(damaged)?;
    if entity.total == 0 {
        return Err(Fault::NotFound {
            what: [format!("subject “{name}”"), format!("主体“{name}”")],
        });
    }
    for fact in &mut entity.facts {
        for object in fact.objects.iter().take(LOOKED_UP) {
            let is_subject = graph.has_subject(object).map_err(damaged)?
                || graph.has_subject(split_sense(object).0).map_err(damaged)?;
            if is_subject {
                fact.entities.push(object.clone());
            }
        }
    }
    Ok(entity)
}
