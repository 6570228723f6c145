//! `/healthz`, `/readyz` and `/metrics`, for orchestrators and monitoring.

use crate::app::App;
use crate::fault::Fault;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;

/// The process is running.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// The service accepts requests.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Fault> {
    match app.is_draining() {
        false => Ok("ready\n"),
        true => Err(Fault::Draining),
    }
}

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let text = app.metrics.text().map_err(|_| Fault::Internal)?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
