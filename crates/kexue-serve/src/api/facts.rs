//! `/v1/facts`: adding, replacing and removing facts.

use super::change;
use crate::app::App;
use crate::body::{Json, Queried};
use crate::fault::Fault;
use crate::keeper::Changed;
use crate::reply::json;
use axum::extract::State;
use axum::response::Response;
use kexue_kg::Change;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Facts in one request.
const MOST: usize = 256;

/// The body of `POST`: a fact, or several.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum NewFacts {
    /// One fact.
    One(NewFact),
    /// Several facts.
    Many(ManyFacts),
}

/// Several facts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManyFacts {
    facts: Vec<NewFact>,
}

/// An object to add to a fact. The fact is created if there is none.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFact {
    subject: String,
    relation: String,
    object: String,
}

/// The body of `PUT`: all objects of a fact.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    subject: String,
    relation: String,
    objects: Vec<String>,
}

/// What to remove: an object, or the whole fact.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removal {
    subject: String,
    relation: String,
    object: Option<String>,
}

#[derive(Serialize)]
struct ManyChanged {
    changes: Vec<Changed>,
}

pub(crate) async fn add(State(app): State<Arc<App>>, Json(facts): Json<NewFacts>) -> Result<Response, Fault> {
    let added = |fact: NewFact| Change::Add {
        subject: fact.subject,
        relation: fact.relation,
        object: fact.object,
    };
    match facts {
        NewFacts::One(fact) => change::make(&app, added(fact)).await,
        NewFacts::Many(ManyFacts { facts }) if (1..=MOST).contains(&facts.len()) => {
            let changes = app.keeper.change(facts.into_iter().map(added).collect()).await?;
            json(&ManyChanged { changes })
        }
        NewFacts::Many(_) => Err(Fault::invalid(
            "facts",
            format!("must hold 1 to {MOST} facts"),
            format!("须含 1 至 {MOST} 条事实"),
        )),
    }
}

pub(crate) async fn replace(State(app): State<Arc<App>>, Json(fact): Json<Replacement>) -> Result<Response, Fault> {
    if fact.objects.is_empty() {
        return Err(Fault::invalid(
            "objects",
            "is empty; to remove a fact, use DELETE",
            "不能为空；删除事实请用 DELETE",
        ));
    }
    let replaced = Change::Replace {
        subject: fact.subject,
        relation: fact.relation,
        objects: fact.objects,
    };
    change::make(&app, replaced).await
}

pub(crate) async fn remove(State(app): State<Arc<App>>, Queried(fact): Queried<Removal>) -> Result<Response, Fault> {
    let removed = Change::Remove {
        subject: fact.subject,
        relation: Some(fact.relation),
        object: fact.object,
    };
    change::make(&app, removed).await
}
