//! What answers.

use axum::extract::State;

use super::{App, json};
use crate::error::ApiResult;
use crate::wire::{VersionJson, to_json};

pub(super) async fn version(State(app): State<App>) -> ApiResult {
    let (index, format, cas) = app.stream.parts();
    let version = env!("CARGO_PKG_VERSION");
    Ok(json(to_json(&VersionJson { version, index, cas, format })?))
}
