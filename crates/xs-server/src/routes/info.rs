//! What answers, and how it is spoken to.

use std::sync::Arc;
use std::sync::OnceLock;

use axum::extract::State;
use axum::response::IntoResponse as _;
use http::header;
use utoipa::openapi::Content;
use xs_wire::{Version, to_json};

use super::{App, json};
use crate::error::ApiResult;
use crate::openapi::{self, About, HTML, JSON, answer, schema};

pub(super) async fn version(State(app): State<Arc<App>>) -> ApiResult {
    let (index, format, cas) = app.stream.parts();
    Ok(json(to_json(&Version::new(env!("CARGO_PKG_VERSION"), index, format, cas))?))
}

pub(super) fn about_version() -> About {
    About::new("version", "server", "What answers, and what its store is made of")
        .answers("200", answer("The version").content(JSON, schema("Version")))
}

/// The description of the routes. It is made once, of the list that the router is made of.
pub(super) async fn openapi() -> ApiResult {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = match TEXT.get() {
        Some(text) => text,
        None => {
            let text = to_json(&openapi::describe(super::routes()))?;
            TEXT.get_or_init(|| text)
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response())
}

pub(super) fn about_openapi() -> About {
    About::new("openapi", "server", "This description")
        .answers("200", answer("OpenAPI 3.1").content(JSON, Content::default()))
}

pub(super) fn about_healthz() -> About {
    About::new("healthz", "server", "Whether the store takes writes")
        .more(
            "Reads memory only, and needs no token. 503 once a commit has failed: the server has to be started again.",
        )
        .answers("200", answer("It does").content(JSON, schema("Health")))
}

pub(super) fn about_metrics() -> About {
    let metrics = || openapi::text("Metrics, each with its help");
    let answer = answer("Prometheus' text format 0.0.4, or OpenMetrics 1.0.0 where `Accept` asks for it")
        .content(openapi::TEXT, metrics())
        .content("application/openmetrics-text", metrics());
    About::new("metrics", "server", "Numbers, as Prometheus takes them")
        .answers("200", openapi::with_headers(answer, &["Vary"]))
}

pub(super) fn about_console() -> About {
    About::new("console", "server", "The web console")
        .more("The same page for everybody: it needs no token, and asks for one when the server does.")
        .header("If-None-Match", "The ETag of the page that is known already", openapi::string())
        .answers("200", answer("A page").content(HTML, openapi::text("HTML")))
        .answers("304", answer("It is known"))
}

pub(super) fn about_console_file() -> About {
    About::new("console-file", "server", "A part of the web console")
        .path("file", "Its name", openapi::string())
        .header("If-None-Match", "The ETag of the file that is known already", openapi::string())
        .answers("200", answer("Its bytes").content("*/*", openapi::binary("What its type says")))
        .answers("304", answer("It is known"))
        .refuses(&["404"])
}
