//! A server whose store failed a commit: it says so to whoever watches, takes nothing more, and is read on. And one
//! whose store is damaged.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

#[path = "../../xs-core/tests/support/mod.rs"]
mod gated;
mod inside;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use gated::{Gated, shut};
use inside::{Answer, Api, ID, request};
use tower::ServiceExt as _;
use xs::memory::MemoryCas;
use xs::{EventStream, Settings};
use xs_server::{Binding, Listener, Server};

/// Status and kind of an error.
fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["kind"].as_str().unwrap().to_owned())
}

/// What `/metrics` says of its health.
async fn healthy(api: &Api) -> String {
    let metrics = api.get("/metrics").await;
    metrics.text().lines().find_map(|line| line.strip_prefix("xs_healthy ")).unwrap().to_owned()
}

#[tokio::test]
async fn after_a_failed_commit_nothing_is_written_and_all_is_read() {
    let gate = Gated::open();
    let stream = EventStream::open(gate.clone(), Arc::new(MemoryCas::new()), Settings::default()).await.unwrap();
    let api = Api { router: xs_server::router(stream.clone()), stream };
    let kept = api.post("/append/kept", "before").await.json();
    let frame = format!("/{}", kept["id"].as_str().unwrap());
    assert_eq!((api.get("/healthz").await.status, healthy(&api).await.as_str()), (200, "1"));

    gate.failing.store(true, Ordering::SeqCst);
    assert_eq!(refused(&api.post("/append/lost", "").await), (503, "Unavailable".to_owned()));
    // A disk that works again changes nothing about what is uncertain.
    gate.failing.store(false, Ordering::SeqCst);

    let answer = api.get("/healthz").await;
    assert_eq!(refused(&answer), (503, "Unavailable".to_owned()));
    let message = answer.refusal();
    assert!(message.contains("writes are refused until the server is started again"), "{message}");
    assert!(!message.contains("the disk did not sync"), "{message}");
    assert_eq!(healthy(&api).await, "0");

    let imported = format!(r#"{{"topic":"lost","id":"{ID}"}}"#);
    for (method, target, body) in [
        ("POST", "/append/lost", ""),
        ("POST", "/append", r#"{"topic":"lost"}"#),
        ("POST", "/import", imported.as_str()),
        ("DELETE", frame.as_str(), ""),
    ] {
        let answer = api.send(request(method, target, &[], Body::from(body.to_owned()))).await;
        assert_eq!(refused(&answer), (503, "Closed".to_owned()), "{method} {target}");
    }

    assert_eq!(api.get("/").await.lines(), std::slice::from_ref(&kept));
    assert_eq!(api.get(&frame).await.json(), kept);
    assert_eq!(api.get("/last/kept").await.json(), kept);
    assert_eq!(api.get("/topics").await.lines()[0]["topic"], "kept");
    let content = api.get(&format!("/cas/{}", kept["hash"].as_str().unwrap())).await;
    assert_eq!((content.status, content.text()), (200, "before"));
    assert_eq!(api.get("/last/lost").await.status, 404);
}

#[tokio::test]
async fn damage_is_answered_also_to_a_follower() {
    let gate = Gated::open();
    let stream = EventStream::open(gate.clone(), Arc::new(MemoryCas::new()), Settings::default()).await.unwrap();
    let api = Api { router: xs_server::router(stream.clone()), stream };
    api.post("/append/a", "").await;
    gate.damaged.store(true, Ordering::SeqCst);
    // Whoever only sees its answer break off comes again, for ever.
    for target in ["/", "/?last=1", "/?follow", "/?follow=100&limit=1", "/last/a", "/last/a?follow", "/last?last=2"] {
        let answer = api.get(target).await;
        assert_eq!(refused(&answer), (500, "Corrupt".to_owned()), "{target}");
        assert!(!answer.refusal().contains("/home/me"), "{}", answer.refusal());
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_not_kept_waiting_for_a_store_that_is_slow() {
    let gate = Gated::open();
    let stream = EventStream::open(gate.clone(), Arc::new(MemoryCas::new()), Settings::default()).await.unwrap();
    let api = Api { router: xs_server::router(stream.clone()), stream };
    api.post("/append/a", "").await;
    shut(&gate.pages);
    let request = request("GET", "/?follow&limit=1", &[], Body::empty());
    let response = api.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    // It comes all the same.
    gate.pages.add_permits(2);
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert!(body.starts_with(b"{\"topic\":\"a\""), "{body:?}");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_at_the_start_does_not_hold_up_the_stop() {
    let gate = Gated::open();
    let stream = EventStream::open(gate.clone(), Arc::new(MemoryCas::new()), Settings::default()).await.unwrap();
    shut(&gate.commits);
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), &Binding::default()).await.unwrap();
    // As soon as it has begun to note its start.
    let stop = async {
        while gate.begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    let error = Server::new(stream, vec![listener]).run(stop).await.unwrap_err();
    assert!(error.to_string().contains("closing the store took longer"), "{error}");
}
