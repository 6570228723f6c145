//! `/v1/pins`: questions with a fixed answer.

use super::change;
use crate::app::App;
use crate::body::{Json, Queried};
use crate::fault::Fault;
use axum::extract::State;
use axum::response::Response;
use kexue_kg::Change;
use serde::Deserialize;
use std::sync::Arc;

/// The body of `PUT`: a question, and the fact that answers it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinning {
    question: String,
    subject: String,
    relation: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unpinning {
    question: String,
}

pub(crate) async fn pin(State(app): State<Arc<App>>, Json(pin): Json<Pinning>) -> Result<Response, Fault> {
    let pin = Change::Pin {
        question: pin.question,
        subject: pin.subject,
        relation: pin.relation,
    };
    change::make(&app, pin).await
}

pub(crate) async fn unpin(State(app): State<Arc<App>>, Queried(pin): Queried<Unpinning>) -> Result<Response, Fault> {
    change::make(&app, Change::Unpin { question: pin.question }).await
}
