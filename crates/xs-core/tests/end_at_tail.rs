//! Followers that are told to follow no further.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use support::{Gated, shut};
use xs_core::memory::MemoryCas;
use xs_core::{EventStream, Filter, Follow, Frame, FrameId, ReadOptions, Reader, Settings, THRESHOLD_TOPIC, limits};

/// A stream whose pages come when they are let through.
async fn open(window_frames: usize) -> (EventStream, Arc<Gated>) {
    let store = Gated::open();
    shut(&store.pages);
    let settings = Settings::default().window_frames(window_frames);
    let stream = EventStream::open(Arc::<Gated>::clone(&store), Arc::new(MemoryCas::new()), settings).await.unwrap();
    (stream, store)
}

async fn append(stream: &EventStream, topic: &str, frames: usize) -> Vec<FrameId> {
    let mut ids = Vec::new();
    for _ in 0..frames {
        ids.push(stream.append(Frame::topic(topic).unwrap(), ()).await.unwrap().id);
    }
    ids
}

async fn rest(reader: Reader) -> Vec<Frame> {
    tokio::time::timeout(Duration::from_secs(60), reader.try_collect()).await.expect("it ends").unwrap()
}

fn ids(frames: &[Frame]) -> Vec<FrameId> {
    frames.iter().map(|frame| frame.id).collect()
}

#[tokio::test]
async fn one_that_lags_is_given_everything_first() {
    let (stream, store) = open(2).await;
    let mut lagging = stream.read(ReadOptions::new_only());
    assert!(lagging.next().now_or_never().is_none());
    let appended = append(&stream, "a", 20).await;
    lagging.end_at_tail();
    // It has left the live window, and the store takes its time.
    assert!(lagging.next().now_or_never().is_none());
    store.pages.add_permits(100);
    assert_eq!(ids(&rest(lagging).await), appended);
}

#[tokio::test]
async fn one_in_history_comes_to_what_is_live() {
    let (stream, store) = open(100).await;
    let mut appended = append(&stream, "a", 5).await;
    let mut reader = stream.read(ReadOptions { threshold: true, ..ReadOptions::follow() });
    assert!(reader.next().now_or_never().is_none());
    appended.extend(append(&stream, "a", 5).await);
    reader.end_at_tail();
    assert!(reader.next().now_or_never().is_none(), "it ended before its first page");
    store.pages.add_permits(100);
    let mut given = rest(reader).await;
    assert_eq!(given.remove(5).topic.as_str(), THRESHOLD_TOPIC);
    assert_eq!(ids(&given), appended);
}

#[tokio::test]
async fn one_that_has_seen_everything_ends_at_once() {
    let (stream, _store) = open(100).await;
    let other: Filter = "b".parse().unwrap();
    let mut empty = stream.read(ReadOptions::new_only());
    let mut unmatched = stream.read(ReadOptions::new_only().filter(other.clone()));
    let mut beating = stream.read(ReadOptions {
        follow: Follow::Pulse(Duration::from_secs(3600)),
        ..ReadOptions::new_only().filter(other)
    });
    empty.end_at_tail();
    assert!(empty.next().now_or_never().is_some_and(|end| end.is_none()));
    append(&stream, "a", 10).await;
    for reader in [&mut unmatched, &mut beating] {
        assert!(reader.next().now_or_never().is_none());
        reader.end_at_tail();
        for _ in 0..2 {
            assert!(reader.next().now_or_never().is_some_and(|end| end.is_none()));
        }
    }
    assert_eq!(stream.stats().followers, 0);
}

#[tokio::test]
async fn what_is_appended_for_ever_does_not_keep_it() {
    let (stream, _store) = open(limits::WINDOW_FRAMES_MAX).await;
    let mut reader = stream.read(ReadOptions::new_only());
    let appended = append(&stream, "a", 3).await;
    reader.end_at_tail();
    append(&stream, "a", 4 * limits::LIVE_FRAMES).await;
    let given = ids(&rest(reader).await);
    assert!(given.starts_with(&appended) && given.len() <= limits::LIVE_FRAMES, "{}", given.len());
}
