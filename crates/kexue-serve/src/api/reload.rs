//! `POST /v1/reload`: graph and model are opened anew.

use crate::app::App;
use crate::fault::Fault;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use std::sync::Arc;

pub(crate) async fn reload(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let generation = app.reload().await?;
    super::json(&json!({ "generation": generation }))
}
