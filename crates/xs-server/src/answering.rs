//! What holds for every route: its requests are counted, and parameters that it does not know are refused.
//!
//! It is done around the handler and not by a middleware around the router: a middleware has the whole request in a
//! box of its own, on the way of every append, and has to find out which route it was.

use std::future::ready;
use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use futures::future::{BoxFuture, Either, FutureExt as _};
use xs_wire::Params;

use crate::error::ApiError;
use crate::routes::App;

/// A handler that answers at a route.
#[derive(Clone)]
pub(crate) struct Answering<H> {
    pub(crate) handler: H,
    /// By which its requests are counted.
    pub(crate) route: &'static str,
    /// Whether the handler looks at parameters. Where it does not, there are none.
    pub(crate) has_parameters: bool,
}

impl<H> Answering<H> {
    /// Whatever the request asks for, the handler refuses it.
    pub(crate) fn refusing(route: &'static str, handler: H) -> Self {
        Self { handler, route, has_parameters: true }
    }
}

impl<T, H: Handler<T, Arc<App>>> Handler<T, Arc<App>> for Answering<H> {
    type Future = BoxFuture<'static, Response>;

    fn call(self, request: Request, app: Arc<App>) -> Self::Future {
        let Self { handler, route, has_parameters } = self;
        let method = request.method().clone();
        let refused = match has_parameters {
            true => None,
            false => Params::parse(request.uri().query()).finish().err(),
        };
        let answer = match refused {
            Some(error) => Either::Left(ready(ApiError::from(error).into_response())),
            None => Either::Right(handler.call(request, Arc::clone(&app))),
        };
        let counted = move |response: Response| {
            app.counters.answered(route, &method, &response);
            response
        };
        answer.map(counted).boxed()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tokio::sync::watch;
    use tower::ServiceExt as _;
    use xs::memory::{MemoryCas, MemoryStore};
    use xs::{EventStream, Settings};

    use super::*;
    use crate::metrics::render;

    #[tokio::test]
    async fn requests_are_counted_by_route_and_not_by_path() {
        let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
        let stream = EventStream::open(store, cas, Settings::default()).await.unwrap();
        let app = App::new(stream, watch::channel(false).1);
        let here = Answering { handler: async || "here", route: "/thing/{id}", has_parameters: false };
        let nowhere = async || ApiError::not_found("there is no such route");
        let router = Router::new().route("/thing/{id}", get(here)).fallback(Answering::refusing("none", nowhere));
        let router: Router = router.with_state(Arc::clone(&app));
        for (method, path) in
            [("GET", "/thing/1"), ("GET", "/thing/2"), ("GET", "/thing/3?a=b"), ("BREW", "/a"), ("BROIL", "/b")]
        {
            let request = http::Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap();
        }
        let text = render(&app.stream, &app.counters);
        let mut requests: Vec<&str> = text.lines().filter(|line| line.starts_with("xs_requests_total")).collect();
        requests.sort_unstable();
        assert_eq!(
            requests,
            [
                r#"xs_requests_total{route="/thing/{id}",method="GET",status="2xx"} 2"#,
                r#"xs_requests_total{route="/thing/{id}",method="GET",status="4xx"} 1"#,
                r#"xs_requests_total{route="none",method="other",status="4xx"} 2"#,
            ]
        );
        assert!(text.contains(r#"xs_errors_total{kind="NotFound"} 2"#), "{text}");
        assert!(text.contains(r#"xs_errors_total{kind="InvalidInput"} 1"#), "{text}");
    }
}
