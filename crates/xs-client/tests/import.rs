//! Imports: of frames that come slowly, and to who is no server of xs.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde_json::json;
use support::{Fake, Running, client, frame, id, place};
use xs_client::Client;
use xs_core::{Error, ErrorKind, Frame, Result, Ttl};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// What the next request, an import, is answered with when all of it has come.
async fn answer(fake: &Fake, kind: &str, body: &str) {
    let mut talk = fake.accept().await;
    assert!(talk.head().await.starts_with("POST /import "));
    // The chunk of no bytes that ends it.
    talk.until(b"\r\n0\r\n\r\n").await;
    talk.answer(&format!("200 OK\r\ncontent-type: {kind}"), body).await;
}

async fn import(client: &Client, frames: &[Frame]) -> Result<u64> {
    client.import(stream::iter(frames.to_vec()).map(Ok)).await
}

fn lines(frames: &[Frame]) -> String {
    frames.iter().map(|frame| format!("{}\n", frame.to_json().unwrap())).collect()
}

#[tokio::test]
async fn whoever_does_not_answer_with_the_frames_has_not_stored_them() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    let frames: Vec<Frame> = (1..=3).map(frame).collect();
    let (one, all) = (&frames[..1], &frames[..]);
    let html = "<html>Welcome</html>".to_owned();
    for (frames, kind, body) in [
        (one, "text/html", html.clone()),
        (one, JSON, String::new()),
        (one, JSON, lines(&all[1..2])),
        (all, "text/html", html.clone()),
        (all, "text/html", String::new()),
        (all, NDJSON, html),
        (all, NDJSON, lines(&[frame(4)])),
        (all, NDJSON, lines(one) + "{\"topic\":"),
    ] {
        let (imported, ()) = tokio::join!(import(&client, frames), answer(&fake, kind, &body));
        let error = imported.unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("not understood"), "{error}");
    }
    for (frames, kind, body) in [
        (one, JSON, one[0].to_json().unwrap()),
        (all, NDJSON, lines(all)),
        // One is gone again.
        (all, NDJSON, lines(&[frame(1), frame(3)])),
    ] {
        let (imported, ()) = tokio::join!(import(&client, frames), answer(&fake, kind, &body));
        assert_eq!(imported.unwrap(), frames.len() as u64);
    }
}

#[tokio::test]
async fn an_answer_of_any_length_is_read_to_its_end() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    let frames: Vec<Frame> = (1..=8).map(frame).collect();
    let large: Vec<Frame> = (1..=8).map(|n| Frame { meta: large_meta(), ..frame(n) }).collect();
    // What is wrong comes last.
    let body = lines(&large) + "no frame\n";
    let (imported, ()) = tokio::join!(import(&client, &frames), answer(&fake, NDJSON, &body));
    assert_eq!(imported.unwrap_err().kind(), ErrorKind::Unsupported);
}

/// A meta of which a few make an answer long.
fn large_meta() -> Option<xs_core::Meta> {
    Frame::topic("t").unwrap().meta(json!("x".repeat(100_000))).meta
}

#[tokio::test]
async fn an_answer_before_the_end_of_what_is_sent_is_none() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    // More than any buffer takes.
    let endless = stream::repeat_with(|| Ok(Frame { meta: large_meta(), ..frame(1) }));
    let (imported, ()) = tokio::join!(client.import(endless), async {
        let mut talk = fake.accept().await;
        talk.head().await;
        talk.answer(&format!("200 OK\r\ncontent-type: {JSON}"), &frame(1).to_json().unwrap()).await;
        talk.gone().await;
    });
    let error = imported.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("before"), "{error}");
}

#[tokio::test]
async fn frames_that_pause_are_stored_as_they_come() {
    let (_dir, path) = place();
    let server = Running::start(&path).await;
    let client = client(server.tcp.clone());
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let live = stream::poll_fn(move |cx| receiver.poll_recv(cx)).map(Ok);
    let feeding = async {
        for n in 1..=3 {
            sender.send(frame(n)).unwrap();
            // It comes to be there although the frames have no end yet.
            while client.get(id(n)).await.unwrap().is_none() {
                tokio::task::yield_now().await;
            }
        }
        drop(sender);
    };
    let imported = async { tokio::join!(client.import(live), feeding) };
    let (imported, ()) = tokio::time::timeout(Duration::from_secs(60), imported).await.unwrap();
    assert_eq!(imported.unwrap(), 3);
    server.stop().await;
}

#[tokio::test]
async fn what_has_expired_is_imported_and_ephemeral_frames_are_refused() {
    let (_dir, path) = place();
    let server = Running::start(&path).await;
    let client = client(server.tcp.clone());
    let with = |ttl, n| Frame { ttl: Some(ttl), ..frame(n) };
    // Their time was in 1970.
    let expired: Vec<Frame> = (1..=3).map(|n| with(Ttl::Time { ms: 1 }, n)).collect();
    assert_eq!(import(&client, &expired).await.unwrap(), 3);
    assert_eq!(import(&client, &expired[..1]).await.unwrap(), 1);
    let twice = [frame(7), frame(7), frame(6)];
    assert_eq!(import(&client, &twice).await.unwrap(), 3);
    let error: Error = import(&client, &[frame(8), with(Ttl::Ephemeral, 9)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    server.stop().await;
}
