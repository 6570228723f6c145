//! The outermost layer of every request: rate limits, problem documents, headers, metrics and logs.

use crate::app::App;
use crate::fault::Fault;
use crate::language::Language;
use crate::log::Entry;
use crate::metrics;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// The address of the client at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub SocketAddr);

/// The questions of a request, attached to the response for the log.
#[derive(Clone)]
pub(crate) struct Asked(pub Arc<[String]>);

/// The page loads scripts, styles and data from this service only, cannot be framed, and submits no forms.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The client's address: that of the connection, or the one that the proxy states.
fn client(app: &App, headers: &HeaderMap, peer: Option<Peer>) -> Option<IpAddr> {
    let forwarded = || {
        let value = headers.get_all("x-forwarded-for").iter().next_back()?;
        value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    let named = app.settings.behind_proxy.then(forwarded).flatten();
    named.or(peer.map(|peer| peer.0.ip()))
}

/// The name of a method for metrics. Unknown methods share one name, so that clients cannot create metrics without limit.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Handles a request and its response as described above.
pub(crate) async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let language = Language::of(request.headers());
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("(none)", |route| route.as_str()).to_owned();
    let client = client(&app, request.headers(), request.extensions().get().copied());
    // Probes and monitoring are not limited.
    let is_counted = !matches!(route.as_str(), "/healthz" | "/readyz" | "/metrics");
    let over = client
        .filter(|_| is_counted)
        .and_then(|client| app.rates.count(client).err());
    let mut response = match over {
        Some(wait) => Fault::TooMany(wait).into_response(),
        None => next.run(request).await,
    };
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        response = fault.render(language, response);
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // The next change may alter the response.
    response
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let (status, seconds) = (response.status().as_u16(), start.elapsed().as_secs_f64());
    app.metrics.seconds.observe(seconds);
    let asked = response.extensions().get::<Asked>();
    if app.log.is_on() {
        let entry = Entry {
            method,
            route: &route,
            status,
            milliseconds: (seconds * 1e6).round() / 1e3,
            client: client.map(|client| client.to_string()).unwrap_or_default(),
            questions: asked.filter(|_| app.settings.log_questions).map(|asked| &*asked.0),
        };
        app.log.request(&entry);
    }
    let labels = metrics::Request { route, method, status };
    app.metrics.requests.get_or_create(&labels).inc();
    response
}
