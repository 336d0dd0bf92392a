//! The description of the routes, OpenAPI 3.1.
//!
//! A [`Route`] is declared once, each of its methods with the handler and with what there is to say
//! [`About`] it: the router and the description are made of the same list.

mod schemas;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter};
use http::StatusCode;
use utoipa::openapi::path::PathItemBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder, SecurityRequirement};

pub(crate) use self::words::{
    About, BYTES, EVENTS, HTML, JSON, NDJSON, TEXT, answer, binary, body, content_hash, count, expect, filter, flag,
    follow, frame_id, meta_text, schema, string, text, topic, ttl, with_headers,
};
use crate::answering::Answering;
use crate::error::ApiError;
use crate::routes::App;

/// A path, and what answers there.
pub(crate) struct Route {
    path: &'static str,
    has_parameters: bool,
    methods: MethodRouter<Arc<App>>,
    item: PathItemBuilder,
}

impl Route {
    pub(crate) fn at(path: &'static str) -> Self {
        let methods = MethodRouter::new().fallback(Answering::refusing(path, refuse_method));
        Self { path, has_parameters: true, methods, item: PathItemBuilder::new() }
    }

    /// Refuses every parameter in the name of the handlers that come next, which look at none.
    pub(crate) fn without_parameters(self) -> Self {
        Self { has_parameters: false, ..self }
    }

    pub(crate) fn get<H: Handler<T, Arc<App>>, T: 'static>(self, handler: H, about: About) -> Self {
        self.with((HttpMethod::Get, MethodFilter::GET), handler, about)
    }

    pub(crate) fn head<H: Handler<T, Arc<App>>, T: 'static>(self, handler: H, about: About) -> Self {
        self.with((HttpMethod::Head, MethodFilter::HEAD), handler, about)
    }

    pub(crate) fn post<H: Handler<T, Arc<App>>, T: 'static>(self, handler: H, about: About) -> Self {
        self.with((HttpMethod::Post, MethodFilter::POST), handler, about)
    }

    pub(crate) fn delete<H: Handler<T, Arc<App>>, T: 'static>(self, handler: H, about: About) -> Self {
        self.with((HttpMethod::Delete, MethodFilter::DELETE), handler, about)
    }

    /// Answers a GET of which nothing is said.
    pub(crate) fn get_undescribed<H: Handler<T, Arc<App>>, T: 'static>(self, handler: H) -> Self {
        self.on(MethodFilter::GET, handler)
    }

    fn with<H: Handler<T, Arc<App>>, T: 'static>(
        self,
        (method, filter): (HttpMethod, MethodFilter),
        handler: H,
        about: About,
    ) -> Self {
        let route = self.on(filter, handler);
        Self { item: route.item.operation(method, about), ..route }
    }

    fn on<H: Handler<T, Arc<App>>, T: 'static>(self, filter: MethodFilter, handler: H) -> Self {
        let answering = Answering { handler, route: self.path, has_parameters: self.has_parameters };
        Self { methods: self.methods.on(filter, answering), ..self }
    }
}

async fn refuse_method() -> ApiError {
    ApiError::invalid("this route does not take this method").with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// What answers.
pub(crate) fn router(routes: impl IntoIterator<Item = Route>) -> Router<Arc<App>> {
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
