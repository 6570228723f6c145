//! The addresses of the service.

mod ask;
mod change;
mod complete;
mod entities;
mod facts;
mod health;
mod model;
mod page;
mod pins;
mod reload;

pub use ask::AskRequest;
pub use facts::{NewFacts, Replacement};
pub use pins::Pinning;

use crate::app::App;
use crate::around::around;
use crate::fault::Fault;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

/// The routes of all addresses, with their layers.
pub(crate) fn routes(app: &Arc<App>) -> Router {
    let reading = Router::new()
        .route("/v1/ask", post(ask::ask))
        .route("/v1/complete", get(complete::complete))
        .route("/v1/entities/{name}", get(entities::entity))
        .route("/v1/model", get(model::model))
        .route_layer(from_fn_with_state(app.clone(), may_read));
    let writing = Router::new()
        .route("/v1/facts", post(facts::add).put(facts::replace).delete(facts::remove))
        .route("/v1/pins", put(pins::pin).delete(pins::unpin))
        .route("/v1/reload", post(reload::reload))
        .route_layer(from_fn_with_state(app.clone(), may_write));
    let open = page::routes()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics));
    let cors = app
        .settings
        .cors
        .iter()
        .filter_map(|origin| origin.parse::<HeaderValue>().ok());
    let cors = CorsLayer::new()
        .allow_origin(cors.collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE])
        .expose_headers([RETRY_AFTER]);
    let routes = reading
        .merge(writing)
        .merge(open)
        .fallback(async || Fault::NoSuchPath)
        .method_not_allowed_fallback(async || Fault::NoSuchMethod)
        .layer(CatchPanicLayer::custom(|_| Fault::Internal.into_response()));
    let routes = match app.settings.cors.is_empty() {
        true => routes,
        false => routes.layer(cors),
    };
    routes
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app.clone())
}

async fn may_read(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let settings = &app.settings;
    let open = settings.read_tokens.is_empty();
    match open || settings.read_tokens.allow(request.headers()) || settings.write_tokens.allow(request.headers()) {
        true => next.run(request).await,
        false => Fault::Unauthorized.into_response(),
    }
}

async fn may_write(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let Some(why) = app.unwritable() {
        return Fault::ReadOnly(why).into_response();
    }
    match app.settings.write_tokens.allow(request.headers()) {
        true => next.run(request).await,
        false => Fault::Unauthorized.into_response(),
    }
}
