//! What answers.

use axum::extract::State;
use serde_json::json;

use super::{App, json};
use crate::error::ApiResult;

pub(super) async fn version(State(app): State<App>) -> ApiResult {
    let (index, format, cas) = app.stream.parts();
    let version = env!("CARGO_PKG_VERSION");
    Ok(json(json!({"version": version, "index": index, "cas": cas, "format": format}).to_string()))
}
