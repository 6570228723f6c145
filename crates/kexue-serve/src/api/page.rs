//! The page, and the description of the API.

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A file that is part of the program. Browsers may keep it, and ask each time whether it has changed.
fn file(headers: &HeaderMap, kind: &'static str, text: &'static str) -> Response {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let is_known = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => text.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    response
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files of the page: address, kind, text.
const FILES: [(&str, &str, &str); 8] = [
    ("/", HTML, include_str!("../../page/index.html")),
    ("/api.js", SCRIPT, include_str!("../../page/api.js")),
    ("/app.js", SCRIPT, include_str!("../../page/app.js")),
    ("/dom.js", SCRIPT, include_str!("../../page/dom.js")),
    ("/icon.svg", "image/svg+xml", include_str!("../../page/icon.svg")),
    (
        "/style.css",
        "text/css; charset=utf-8",
        include_str!("../../page/style.css"),
    ),
    ("/texts.js", SCRIPT, include_str!("../../page/texts.js")),
    ("/tree.js", SCRIPT, include_str!("../../page/tree.js")),
];

/// The description of the API, and its address.
const OPENAPI: (&str, &str, &str) = ("/openapi.json", "application/json", include_str!("../openapi.json"));

/// The addresses of all files.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let files = FILES.into_iter().chain([OPENAPI]);
    files.fold(Router::new(), |routes, (path, kind, text)| {
        routes.route(path, get(async move |headers: HeaderMap| file(&headers, kind, text)))
    })
}
