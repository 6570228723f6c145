//! One change of the graph by one request.

use crate::app::App;
use crate::fault::Fault;
use crate::reply::json;
use axum::response::Response;
use kexue_kg::Change;

/// Makes the change, and responds with what was there before and what is there now.
pub(crate) async fn make(app: &App, change: Change) -> Result<Response, Fault> {
    let mut made = app.keeper.change(vec![change]).await?;
    json(&made.pop().ok_or(Fault::Internal)?)
}
