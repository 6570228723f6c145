//! `/v1/facts`: adding, replacing and removing facts.

use crate::app::App;
use crate::body::{Json, Queried};
use crate::fault::Fault;
use crate::keeper::Changed;
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

/// An object to be added to a fact, which is created if need be.
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

/// What is to be removed: an object, or the whole fact.
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
    let change = |fact: NewFact| Change::Add {
        subject: fact.subject,
        relation: fact.relation,
        object: fact.object,
    };
    match facts {
        NewFacts::One(fact) => one(&app, change(fact)).await,
        NewFacts::Many(ManyFacts { facts }) if (1..=MOST).contains(&facts.len()) => {
            let changes = app.keeper.change(facts.into_iter().map(change).collect()).await?;
            super::json(&ManyChanged { changes })
        }
        NewFacts::Many(_) => Err(Fault::invalid(
            "facts",
            format!("must be 1 to {MOST}"),
            format!("须有 1 至 {MOST} 条"),
        )),
    }
}

pub(crate) async fn replace(State(app): State<Arc<App>>, Json(fact): Json<Replacement>) -> Result<Response, Fault> {
    if fact.objects.is_empty() {
        return Err(Fault::invalid(
            "objects",
            "is empty; DELETE removes a fact",
            "是空的；删除事实请用 DELETE",
        ));
    }
    let change = Change::Replace {
        subject: fact.subject,
        relation: fact.relation,
        objects: fact.objects,
    };
    one(&app, change).await
}

pub(crate) async fn remove(State(app): State<Arc<App>>, Queried(fact): Queried<Removal>) -> Result<Response, Fault> {
    let change = Change::Remove {
        subject: fact.subject,
        relation: Some(fact.relation),
        object: fact.object,
    };
    one(&app, change).await
}

/// Makes one change.
pub(crate) async fn one(app: &App, change: Change) -> Result<Response, Fault> {
    let mut made = app.keeper.change(vec![change]).await?;
    super::json(&made.pop().ok_or(Fault::Internal)?)
}
