//! Reads bodies and queries of requests. Bodies are JSON and limited in size and time.

use crate::app::App;
use crate::fault::Fault;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use std::sync::Arc;

/// Reads a value from the bytes of a body.
///
/// # Errors
/// [`Fault::BadBody`] with the problem and its position.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| Fault::BadBody(error.to_string()))
}

/// Reads a field that may be missing but not `null`; for `#[serde(default, deserialize_with = …)]`.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads such a field as a non-negative integer, which may be written as `3.0`: in JSON that is the same number.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = f64::deserialize(deserializer)?;
    // Up to this limit, floats represent every integer.
    match number.fract() == 0.0 && (0.0..=9e15).contains(&number) {
        true => Ok(Some(number as u64)),
        false => Err(serde::de::Error::custom(format!(
            "{number} is not a non-negative integer"
        ))),
    }
}

/// A JSON body.
pub(crate) struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Fault> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Fault::NotJson);
        }
        parse(&read(request, app).await?).map(Self)
    }
}

async fn read(request: Request, app: &App) -> Result<Bytes, Fault> {
    let (most, time) = (app.settings.body, app.settings.body_time);
    let body = request.into_body();
    // If the declared length is too long, do not wait for the body.
    if body.size_hint().lower() > most as u64 {
        return Err(Fault::TooLarge(most));
    }
    let collected = tokio::time::timeout(time, Limited::new(body, most).collect()).await;
    match collected.map_err(|_| Fault::SlowBody(time))? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::TooLarge(most)),
        Err(error) => Err(Fault::BadBody(error.to_string())),
    }
}

/// The query of a URL.
pub(crate) struct Queried<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Queried<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Fault> {
        let query = Query::try_from_uri(&parts.uri);
        let Query(value) = query.map_err(|error| Fault::BadQuery(error.body_text()))?;
        Ok(Self(value))
    }
}
