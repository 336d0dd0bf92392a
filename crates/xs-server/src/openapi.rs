//! The description of the routes, OpenAPI 3.1.
//!
//! A [`Route`] is declared once, each of its methods with the handler and with what there is to say
//! [`About`] it: the router and the description are made of the same list.

mod schemas;
mod words;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{Next, from_fn};
use axum::routing::MethodRouter;
use utoipa::openapi::path::PathItemBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder, SecurityRequirement};
use xs_wire::Params;

pub(crate) use self::words::{
    About, BYTES, EVENTS, HTML, JSON, NDJSON, TEXT, answer, binary, body, content_hash, count, expect, filter, flag,
    follow, frame_id, meta_text, schema, string, text, topic, ttl, with_headers,
};
use crate::error::ApiResult;
use crate::routes::App;

/// A path, and what answers there.
pub(crate) struct Route {
    path: &'static str,
    methods: MethodRouter<App>,
    item: PathItemBuilder,
}

impl Route {
    pub(crate) fn at(path: &'static str) -> Self {
        Self { path, methods: MethodRouter::new(), item: PathItemBuilder::new() }
    }

    pub(crate) fn get<H: Handler<T, App>, T: 'static>(self, handler: H, about: About) -> Self {
        self.with(HttpMethod::Get, about, |methods| methods.get(handler))
    }

    pub(crate) fn head<H: Handler<T, App>, T: 'static>(self, handler: H, about: About) -> Self {
        self.with(HttpMethod::Head, about, |methods| methods.head(handler))
    }

    pub(crate) fn post<H: Handler<T, App>, T: 'static>(self, handler: H, about: About) -> Self {
        self.with(HttpMethod::Post, about, |methods| methods.post(handler))
    }

    pub(crate) fn delete<H: Handler<T, App>, T: 'static>(self, handler: H, about: About) -> Self {
        self.with(HttpMethod::Delete, about, |methods| methods.delete(handler))
    }

    /// Refuses every parameter in the name of handlers that look at none.
    pub(crate) fn without_parameters(self) -> Self {
        Self { methods: self.methods.layer(from_fn(without_parameters)), ..self }
    }

    fn with(self, method: HttpMethod, about: About, add: impl FnOnce(MethodRouter<App>) -> MethodRouter<App>) -> Self {
        let Self { path, methods, item } = self;
        Self { path, methods: add(methods), item: item.operation(method, about) }
    }
}

async fn without_parameters(request: Request, next: Next) -> ApiResult {
    Params::parse(request.uri().query()).finish()?;
    Ok(next.run(request).await)
}

/// What answers.
pub(crate) fn router(routes: Vec<Route>) -> Router<App> {
    routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, route.methods))
}

/// What is said about it.
pub(crate) fn describe(routes: Vec<Route>) -> OpenApi {
    let paths = routes.into_iter().fold(PathsBuilder::new(), |paths, route| {
        // That a part of a path may hold slashes has no spelling in a description.
        paths.path(route.path.replace("{*", "{"), route.item.build())
    });
    let text = "An event stream store: one append-only stream of frames, durable on disk, with live readers. Every \
                parameter that is not described here is refused.";
    let info = InfoBuilder::new().title("xs").version(env!("CARGO_PKG_VERSION")).description(Some(text));
    let token = |scheme: HttpAuthScheme, description: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(description)).build())
    };
    let components = schemas::components()
        .security_scheme("bearer", token(HttpAuthScheme::Bearer, "A token of the server's token file"))
        .security_scheme("basic", token(HttpAuthScheme::Basic, "Any user name, and a token as the password"));
    let no_scopes = Vec::<String>::new;
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        // Only where the server has tokens, and not at its Unix socket.
        .security(Some([
            SecurityRequirement::default(),
            SecurityRequirement::new("bearer", no_scopes()),
            SecurityRequirement::new("basic", no_scopes()),
        ]))
        .build()
}
