//! Following: a follower survives what happens to its server.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;
use support::{Fake, Running, client, error, frame, id, place};
use tokio::task::JoinError;
use xs_client::{Client, ClientOptions, Endpoint, FrameStream};
use xs_core::{ErrorKind, Follow, Frame, NewFrame, PULSE_TOPIC, ReadOptions, THRESHOLD_TOPIC, Topic};

fn topic() -> Topic {
    Topic::parse("t").unwrap()
}

async fn append(client: &Client, numbers: std::ops::Range<u32>) {
    for n in numbers {
        client.append(NewFrame::new(topic()).meta(json!(n)), ()).await.unwrap();
    }
}

async fn numbers(frames: &mut FrameStream, count: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let frame = frames.next().await.unwrap().unwrap();
        numbers.push(frame.meta.unwrap().to().unwrap());
    }
    numbers
}

#[cfg(unix)]
#[tokio::test]
async fn a_follower_misses_and_repeats_nothing_while_its_server_restarts() {
    let (dir, path) = place();
    let server = Running::start(&path).await;
    let near = client(Endpoint::path(&path));
    append(&near, 0..3).await;
    let mut all = near.read(ReadOptions::follow().filter(topic()));
    let mut new = near.read(ReadOptions::new_only().filter(topic()));
    let mut five = near.read(ReadOptions { last: Some(1), ..ReadOptions::follow().filter(topic()).limit(5) });
    let mut nothing_yet = near.read(ReadOptions::new_only().filter(topic()));
    assert_eq!(numbers(&mut all, 3).await, [0, 1, 2]);
    assert_eq!(numbers(&mut five, 1).await, [2]);
    new.connect().await.unwrap();
    nothing_yet.connect().await.unwrap();
    append(&near, 3..5).await;
    assert_eq!(numbers(&mut all, 2).await, [3, 4]);
    assert_eq!(numbers(&mut new, 2).await, [3, 4]);
    server.stop().await;

    // Appended while the follower has no server.
    let elsewhere = dir.path().join("elsewhere");
    let away = Running::start_at(&path, &elsewhere).await;
    append(&client(Endpoint::path(&elsewhere)), 5..8).await;
    away.stop().await;

    let server = Running::start(&path).await;
    assert_eq!(numbers(&mut all, 3).await, [5, 6, 7]);
    assert_eq!(numbers(&mut new, 3).await, [5, 6, 7]);
    assert_eq!(numbers(&mut five, 4).await, [3, 4, 5, 6]);
    assert!(five.next().await.is_none());
    append(&near, 8..10).await;
    assert_eq!(numbers(&mut all, 2).await, [8, 9]);
    assert_eq!(numbers(&mut new, 2).await, [8, 9]);
    assert_eq!(numbers(&mut nothing_yet, 7).await, [3, 4, 5, 6, 7, 8, 9]);
    server.stop().await;
}

#[tokio::test]
async fn a_follower_of_an_empty_store_sees_what_is_new() {
    let (_dir, path) = place();
    let server = Running::start(&path).await;
    let client = client(server.tcp.clone());
    let mut new = client.read(ReadOptions::new_only().filter(topic()).limit(2));
    new.connect().await.unwrap();
    append(&client, 0..2).await;
    assert_eq!(numbers(&mut new, 2).await, [0, 1]);
    assert!(new.next().await.is_none());
    server.stop().await;
}

#[tokio::test]
async fn synthetic_frames_come_as_they_are_asked_for() {
    let (_dir, path) = place();
    let server = Running::start(&path).await;
    let client = client(server.tcp.clone());
    append(&client, 0..1).await;
    let follow = Follow::Pulse(Duration::from_millis(5));
    let options = ReadOptions { threshold: true, follow, ..ReadOptions::follow().filter(topic()) };
    let mut frames = client.read(options);
    let mut topics = Vec::new();
    for _ in 0..4 {
        topics.push(frames.next().await.unwrap().unwrap().topic.to_string());
    }
    assert_eq!(topics, ["t", THRESHOLD_TOPIC, PULSE_TOPIC, PULSE_TOPIC]);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_goes_silent_is_left() {
    let fake = Fake::start().await;
    let options = ClientOptions::new()
        .heartbeat(Duration::from_millis(20))
        .backoff_min(Duration::from_millis(1))
        .backoff_max(Duration::from_millis(2));
    let client = Client::with_options(fake.endpoint(), options).unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let mut talk = fake.accept().await;
            let head = talk.head().await;
            assert!(head.starts_with("GET /?follow=20"), "{head}");
            talk.begin().await;
            // One frame for each connection, and then nothing more.
            let n = (1..3).rev().find(|n| head.contains(&format!("after={}", id(*n)))).unwrap_or(0);
            talk.frames(&[frame(n + 1)]).await;
            talk.gone().await;
        }
    });
    let frames: Vec<Frame> = client.read(ReadOptions::follow().limit(3)).map(Result::unwrap).collect().await;
    assert_eq!(frames, [frame(1), frame(2), frame(3)]);
    serving.abort();
}

#[tokio::test]
async fn what_may_pass_is_waited_for_and_the_rest_is_told() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    let serving = tokio::spawn(async move {
        for (status, kind) in [
            ("503 Service Unavailable", "Unavailable"),
            ("503 Service Unavailable", "Closed"),
            ("500 Internal Server Error", "Internal"),
        ] {
            let mut talk = fake.accept().await;
            talk.head().await;
            talk.answer(status, &error(kind, "not now")).await;
        }
        // A connection that is closed unasked, an answer that is cut, one that ends.
        drop(fake.accept().await);
        let mut talk = fake.accept().await;
        talk.head().await;
        talk.begin().await;
        talk.frames(&[frame(1)]).await;
        drop(talk);
        let mut talk = fake.accept().await;
        talk.head().await;
        talk.begin().await;
        talk.frames(&[frame(1), frame(2)]).await;
        talk.end().await;
        drop(talk);
        let mut talk = fake.accept().await;
        let head = talk.head().await;
        assert!(head.contains(&format!("after={}", id(2))), "{head}");
        talk.answer("400 Bad Request", &error("InvalidInput", "parameter after is bad")).await;
        talk.gone().await;
    });
    let mut frames = client.read(ReadOptions::follow());
    assert_eq!(frames.next().await.unwrap().unwrap(), frame(1));
    assert_eq!(frames.next().await.unwrap().unwrap(), frame(2));
    let error = frames.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidInput, "parameter after is bad"));
    assert!(frames.next().await.is_none());
    drop((frames, client));
    serving.await.unwrap();
}

#[tokio::test]
async fn the_last_few_are_those_that_there_were_before_anything_broke() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    let serving = tokio::spawn(async move {
        let line = |n| format!("{}\n", frame(n).to_json().unwrap());
        for (n, of) in [(4, ""), (3, "&topic=t")] {
            let mut talk = fake.accept().await;
            let head = talk.head().await;
            let last = if of.is_empty() { 1 } else { 2 };
            assert!(head.starts_with(&format!("GET /?limit=1&last={last}{of} ")), "{head}");
            talk.answer("200 OK", &line(n)).await;
        }
        // Two connections, the first of which gives nothing. Meanwhile, more are appended than were wanted.
        for appended in [0, 9] {
            let mut talk = fake.accept().await;
            let head = talk.head().await;
            assert!(head.contains(&format!("from={}&limit=7&topic=t ", id(3))), "{head}");
            talk.begin().await;
            if appended > 0 {
                talk.frames(&(3..=appended).map(frame).collect::<Vec<_>>()).await;
                talk.gone().await;
            }
        }
    });
    let frames = client.read(ReadOptions::follow().filter(topic()).last(2).limit(7));
    let reading = async { Ok::<_, JoinError>(frames.map(Result::unwrap).collect::<Vec<Frame>>().await) };
    let (frames, ()) = tokio::try_join!(reading, serving).unwrap();
    assert_eq!(frames, (3..=9).map(frame).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_no_frame_ends_a_read_behind_the_frames_before_it() {
    for options in [ReadOptions::default(), ReadOptions::follow()] {
        let fake = Fake::start().await;
        let client = client(fake.endpoint());
        let mut frames = client.read(options);
        let (_, mut talk) = tokio::join!(frames.connect(), async {
            let mut talk = fake.accept().await;
            talk.head().await;
            talk.begin().await;
            talk
        });
        let lines = format!("{}\nno frame\n", frame(1).to_json().unwrap());
        talk.send(&format!("{:x}\r\n{lines}\r\n", lines.len())).await;
        assert_eq!(frames.next().await.unwrap().unwrap(), frame(1));
        let error = frames.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(frames.next().await.is_none());
    }
}

#[tokio::test]
async fn dropping_a_follower_ends_its_connection() {
    let fake = Fake::start().await;
    let client = client(fake.endpoint());
    let mut frames = client.read(ReadOptions::follow());
    let (connected, mut talk) = tokio::join!(frames.connect(), async {
        let mut talk = fake.accept().await;
        talk.head().await;
        talk.begin().await;
        talk
    });
    connected.unwrap();
    drop(frames);
    talk.gone().await;
}

#[tokio::test]
async fn the_first_attempt_can_be_told_apart() {
    let (_dir, path) = place();
    let client = client(Endpoint::path(&path));
    let mut frames = client.read(ReadOptions::follow().filter(topic()).limit(1));
    if cfg!(unix) {
        let error = frames.connect().await.unwrap_err();
        assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("xs serve"), "{error}");
        // It is no end: with a server, it goes on.
        let server = Running::start(&path).await;
        append(&client, 0..1).await;
        assert_eq!(numbers(&mut frames, 1).await, [0]);
        server.stop().await;
    }
}
