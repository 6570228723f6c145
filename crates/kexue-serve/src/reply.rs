//! JSON as the body of a response.

use crate::fault::Fault;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

/// A response with a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Response, Fault> {
    let body = serde_json::to_vec(value).map_err(|_| Fault::Internal)?;
    Ok(of_body(body))
}

/// The same with a line break at the end, as commands print it.
pub(crate) fn json_line(value: &impl Serialize) -> Result<Response, Fault> {
    let mut body = serde_json::to_vec(value).map_err(|_| Fault::Internal)?;
    body.push(b'\n');
    Ok(of_body(body))
}

fn of_body(body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
