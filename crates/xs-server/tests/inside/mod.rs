//! The routes over a store in memory, called inside this process.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use futures::StreamExt as _;
use http::{HeaderMap, Request};
use serde_json::Value;
use tower::ServiceExt as _;
use xs::memory::{MemoryCas, MemoryStore};
use xs::{ContentHash, EventStream, Frame, Settings};

/// The id of a frame that every store here begins with.
pub(crate) const ID: &str = "03d4q1qhbiv09ovtuhokw5yxv";
/// Its topic.
pub(crate) const TOPIC: &str = "seed.one";
/// Its content.
pub(crate) const CONTENT: &str = "hello clipboard";

pub(crate) struct Api {
    pub(crate) router: Router,
    pub(crate) stream: EventStream,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Api {
    pub(crate) async fn new() -> Self {
        let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
        let stream = EventStream::open(store, cas, Settings::default()).await.unwrap();
        stream.put(CONTENT).await.unwrap();
        let frame = Frame::topic(TOPIC).unwrap().hash(ContentHash::of(CONTENT.as_bytes()));
        stream.import(vec![frame.with_id(ID.parse().unwrap())]).await.unwrap();
        Self { router: xs_server::router(stream.clone()), stream }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(crate) async fn call(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(request(method, target, headers, Body::empty())).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.call("GET", target, &[]).await
    }

    pub(crate) async fn post(&self, target: &str, body: impl Into<Body>) -> Answer {
        self.send(request("POST", target, &[], body.into())).await
    }

    /// The body of a response that may never end.
    pub(crate) async fn stream(&self, target: &str, headers: &[(&str, &str)]) -> BodyDataStream {
        let response = self.router.clone().oneshot(request("GET", target, headers, Body::empty())).await.unwrap();
        assert_eq!(response.status(), 200, "{target}");
        response.into_body().into_data_stream()
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The message of an error, which has to be one.
    pub(crate) fn refusal(&self) -> String {
        assert!(self.status >= 400, "{}", self.status);
        assert_eq!(self.header("content-type"), "application/json");
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

/// What comes until it holds this text.
pub(crate) async fn until(chunks: &mut BodyDataStream, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let chunk = chunks.next().await.unwrap_or_else(|| panic!("it ended: {seen}"));
        seen.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    seen
}
