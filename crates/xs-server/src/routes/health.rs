//! `GET /healthz` and `GET /metrics`: for whoever watches the server. They read memory, and answer
//! whatever the disk does.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse as _;
use http::{HeaderMap, StatusCode, header};
use xs::{Error, ErrorKind};

use super::App;
use crate::error::{ApiError, ApiResult};
use crate::exposition::Exposition;
use crate::metrics;

/// An answer of a moment ago says nothing.
const NOT_KEPT: &str = "no-store";

pub(super) async fn healthz(State(app): State<Arc<App>>) -> ApiResult {
    app.stream.health().map_err(|error| unhealthy(&error))?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, NOT_KEPT)];
    Ok((headers, r#"{"status":"ok"}"#).into_response())
}

/// In words of its own: the usual ones of these kinds say to try again, which does not help here. The
/// reason may name files, and is in the log since the commit failed.
fn unhealthy(error: &Error) -> ApiError {
    let kind = error.kind();
    let message = match kind {
        ErrorKind::Closed => "the store is closed",
        _ => "a commit failed, so writes are refused until the server is started again; its log says why",
    };
    ApiError::new(kind, message).with_status(StatusCode::SERVICE_UNAVAILABLE)
}

pub(super) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> ApiResult {
    let form = Exposition::accepted(&headers);
    let text = form.of(metrics::render(&app.stream, &app.counters));
    let text = text.ok_or_else(|| ApiError::new(ErrorKind::Internal, "the metrics are not whole"))?;
    let headers =
        [(header::CONTENT_TYPE, form.content_type()), (header::CACHE_CONTROL, NOT_KEPT), (header::VARY, "Accept")];
    Ok((headers, text).into_response())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::response::Response;
    use http::Request;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use xs::memory::{MemoryCas, MemoryStore};
    use xs::{EventStream, Settings};

    use super::*;

    async fn get(router: &Router, path: &str) -> Response {
        let request = Request::get(path).body(Body::empty()).unwrap();
        TowerToHyperService::new(router.clone()).call(request).await.unwrap()
    }

    async fn text(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn health_is_that_of_the_stream() {
        let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
        let stream = EventStream::open(store, cas, Settings::default()).await.unwrap();
        let router = crate::router(stream.clone());
        let response = get(&router, "/healthz").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response).await, r#"{"status":"ok"}"#);
        stream.close().await.unwrap();
        let response = get(&router, "/healthz").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        assert!(text(response).await.contains(r#""kind":"Closed""#));
        // Both were counted, and the closed stream can still be asked.
        let response = get(&router, "/metrics").await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], Exposition::Prometheus.content_type());
        let text = text(response).await;
        for line in [
            r#"xs_requests_total{route="/healthz",method="GET",status="2xx"} 1"#,
            r#"xs_requests_total{route="/healthz",method="GET",status="5xx"} 1"#,
            r#"xs_errors_total{kind="Closed"} 1"#,
            "xs_healthy 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn a_latched_stream_is_told_from_one_that_may_recover() {
        let latched = Error::new(ErrorKind::Unavailable, "a commit failed (/home/me/store: no space)");
        let response = unhealthy(&latched).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let text = text(response).await;
        assert!(text.contains(r#""kind":"Unavailable""#) && text.contains("started again"), "{text}");
        assert!(!text.contains("/home/me"), "{text}");
    }
}
