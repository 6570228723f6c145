//! `POST /v1/reload`: opens graph and model again.

use crate::app::App;
use crate::fault::Fault;
use crate::reply;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use std::sync::Arc;

pub(crate) async fn reload(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let generation = app.reload().await?;
    reply::json(&json!({ "generation": generation }))
}
