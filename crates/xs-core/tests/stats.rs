//! What a stream counts, and what it says of its health.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use support::{Gated, shut};
use xs_core::memory::MemoryCas;
use xs_core::{
    AppendOptions, BatchOptions, ByteRange, Content, Durability, ErrorKind, EventStream, Expect, Frame, FrameId,
    Histogram, ManualClock, NewFrame, Parts, RandomIds, ReadOptions, Settings, Stats, Store, Topic,
};

const NOW_MS: u64 = 1_700_000_000_000;

async fn over(store: Arc<dyn Store>, clock: ManualClock, settings: Settings) -> EventStream {
    let cas = Arc::new(MemoryCas::new());
    let parts = Parts { store, cas, clock: Arc::new(clock), ids: Box::new(RandomIds::seeded(1)) };
    EventStream::open_parts(parts, settings).await.unwrap()
}

async fn open() -> EventStream {
    over(Gated::open(), ManualClock::at(NOW_MS), Settings::default()).await
}

fn new(topic: &str) -> NewFrame {
    Frame::topic(topic).unwrap()
}

fn lasting(topic: &str, ttl: &str) -> NewFrame {
    new(topic).ttl(ttl.parse().unwrap())
}

async fn append(stream: &EventStream, frames: usize) {
    for _ in 0..frames {
        stream.append(new("a"), ()).await.unwrap();
    }
}

/// Waits for the work of others; how long does not matter.
async fn until(stream: &EventStream, done: impl Fn(&Stats) -> bool) -> Stats {
    let waiting = async {
        loop {
            let stats = stream.stats();
            if done(&stats) {
                return stats;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it never comes")
}

/// The ranges that hold values: bound, how many.
fn filled(histogram: &Histogram) -> Vec<(u64, u64)> {
    let bounds = histogram.bounds.iter().copied().chain([u64::MAX]);
    bounds.zip(histogram.counts.iter().copied()).filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn a_new_stream_has_done_nothing() {
    let mut stats = open().await.stats();
    for histogram in [&mut stats.groups, &mut stats.commit_sync, &mut stats.commit_buffered, &mut stats.sync] {
        assert_eq!(histogram.counts, vec![0; histogram.bounds.len() + 1]);
        *histogram = Histogram { bounds: &[], counts: Vec::new(), ..histogram.clone() };
    }
    assert_eq!(stats, Stats::default());
}

#[tokio::test]
async fn appended_frames_are_counted_by_where_they_go() {
    let stream = open().await;
    append(&stream, 2).await;
    let batch = vec![new("a"), lasting("a", "ephemeral"), new("b")];
    stream.append_all(batch, BatchOptions::default()).await.unwrap();
    let stats = stream.stats();
    assert_eq!((stats.appended_frames, stats.ephemeral_frames), (4, 1));
    assert_eq!((filled(&stats.groups), stats.commit_sync.count), (vec![(1, 3)], 3));
    // What is never stored needs no commit.
    stream.append(lasting("a", "ephemeral"), ()).await.unwrap();
    let stats = stream.stats();
    assert_eq!((stats.appended_frames, stats.ephemeral_frames), (4, 2));
    assert_eq!((stats.groups.count, stats.commit_sync.count), (3, 3));
    // What was refused does not count.
    let expect = AppendOptions::expect(Expect::Empty);
    assert!(stream.append_with(new("a"), (), expect).await.is_err());
    assert_eq!(stream.stats(), stats);
}

#[tokio::test]
async fn commits_are_timed_by_their_durability() {
    let stream = open().await;
    append(&stream, 1).await;
    let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
    for _ in 0..2 {
        stream.append_with(new("a"), (), buffered).await.unwrap();
    }
    let stats = stream.stats();
    assert_eq!((stats.commit_sync.count, stats.commit_buffered.count), (1, 2));
}

#[tokio::test]
async fn syncs_are_timed_as_far_as_the_store_tells() {
    let gate = Gated::open();
    let stream = over(gate.clone(), ManualClock::at(NOW_MS), Settings::default()).await;
    append(&stream, 1).await;
    assert_eq!(stream.stats().sync.count, 0);
    gate.sync_us.store(700, Ordering::SeqCst);
    append(&stream, 2).await;
    let stats = stream.stats();
    assert_eq!((filled(&stats.sync), stats.sync.sum), (vec![(1_000, 2)], 1_400));
    assert_eq!(stats.commit_sync.count, 3, "its sync is a part of a commit, and none beside it");
    gate.failing.store(true, Ordering::SeqCst);
    stream.append(new("a"), ()).await.unwrap_err();
    assert_eq!(stream.stats().sync.count, 2, "who fails tells nothing");
}

#[tokio::test]
async fn imported_frames_count_once() {
    let stream = open().await;
    let frame = |n: u128| new("a").with_id(FrameId::from_u128((u128::from(NOW_MS) << 80) + (n << 32)));
    stream.import(vec![frame(1), frame(2)]).await.unwrap();
    stream.import(vec![frame(2), frame(3)]).await.unwrap();
    stream.import(vec![frame(1)]).await.unwrap();
    let stats = stream.stats();
    assert_eq!((stats.imported_frames, stats.appended_frames), (3, 0));
    // Nobody shared those commits.
    assert_eq!((stats.commit_sync.count, stats.groups.count), (2, 0));
}

#[tokio::test]
async fn removed_frames_are_counted_by_who_removed_them() {
    let clock = ManualClock::at(NOW_MS);
    let stream = over(Gated::open(), clock.clone(), Settings::default()).await;
    let frame = stream.append(new("a"), ()).await.unwrap();
    stream.remove(frame.id).await.unwrap();
    stream.remove(frame.id).await.unwrap();
    let stats = stream.stats();
    assert_eq!((stats.removed_frames, stats.expired_frames), (1, 0));

    stream.append(lasting("a", "time:1000"), ()).await.unwrap();
    clock.advance(1000);
    let stats = until(&stream, |stats| stats.expired_frames > 0).await;
    assert_eq!((stats.removed_frames, stats.expired_frames), (1, 1));

    // By the next append, within one batch, and where more are to go than are remembered.
    stream.append(lasting("b", "last:1"), ()).await.unwrap();
    stream.append(lasting("b", "last:1"), ()).await.unwrap();
    assert_eq!(stream.stats().expired_frames, 2);
    let batch = vec![lasting("b", "last:1"), lasting("b", "last:1")];
    stream.append_all(batch, BatchOptions::default()).await.unwrap();
    assert_eq!(stream.stats().expired_frames, 4);
    stream.append_all((0..5).map(|_| new("c")).collect(), BatchOptions::default()).await.unwrap();
    stream.append(lasting("c", "last:2"), ()).await.unwrap();
    let stats = stream.stats();
    assert_eq!(stats.expired_frames, 8);

    let stored: Vec<Frame> = stream.read(ReadOptions::default()).try_collect().await.unwrap();
    let gained = stats.appended_frames + stats.imported_frames - stats.removed_frames - stats.expired_frames;
    assert_eq!(gained, stored.len() as u64);
}

#[tokio::test]
async fn content_is_counted_on_its_way_in_and_out() {
    let stream = open().await;
    let frame = stream.append(new("a"), "hello").await.unwrap();
    let chunks = ["a cli", "", "pboard"].map(|chunk| Ok(chunk.into()));
    stream.put(Content::stream(futures::stream::iter(chunks))).await.unwrap();
    let stats = stream.stats();
    assert_eq!((stats.content_bytes_in, stats.content_bytes_out), (16, 0));
    let hash = frame.hash.unwrap();
    assert_eq!(stream.content(hash, ByteRange::FULL).await.unwrap().bytes().await.unwrap(), "hello");
    let range = ByteRange { start: 1, end: Some(3) };
    assert_eq!(stream.content(hash, range).await.unwrap().bytes().await.unwrap(), "el");
    // Asked for, and not read.
    drop(stream.content(hash, ByteRange::FULL).await.unwrap());
    let stats = stream.stats();
    assert_eq!((stats.content_bytes_in, stats.content_bytes_out), (16, 7));
}

#[tokio::test]
async fn followers_are_counted_until_they_end_or_are_dropped() {
    let stream = open().await;
    append(&stream, 1).await;
    let followers = || stream.stats().followers;
    let history = stream.read(ReadOptions::default());
    assert_eq!(followers(), 0);
    let one = stream.read(ReadOptions::follow());
    let mut two = stream.read(ReadOptions::follow().limit(1));
    assert_eq!(followers(), 2);
    drop((history, one));
    assert_eq!(followers(), 1);
    two.next().await.unwrap().unwrap();
    assert_eq!(followers(), 0, "one that came to its limit follows no more");
    let mut three = stream.read(ReadOptions::new_only());
    stream.close().await.unwrap();
    assert_eq!(followers(), 1);
    assert!(three.next().await.is_none());
    assert_eq!(followers(), 0);
}

#[tokio::test]
async fn lag_is_that_of_the_follower_furthest_behind() {
    let stream = open().await;
    append(&stream, 1).await;
    let lag = || stream.stats().lag_frames_max;
    let mut slow = stream.read(ReadOptions::follow());
    let mut picky = stream.read(ReadOptions::new_only().filter(Topic::parse("b").unwrap()));
    assert_eq!(lag(), 0, "history is not behind");
    append(&stream, 3).await;
    assert_eq!(lag(), 3);
    stream.append(new("b"), ()).await.unwrap();
    assert_eq!(lag(), 4);
    // It has looked at what it did not want, too.
    picky.next().await.unwrap().unwrap();
    assert_eq!(lag(), 4);
    for _ in 0..5 {
        slow.next().await.unwrap().unwrap();
    }
    assert_eq!(lag(), 0);
    // What is imported is not live.
    stream.import(vec![new("a").with_id(FrameId::from_u128(1 << 32))]).await.unwrap();
    assert_eq!(lag(), 0);
    append(&stream, 2).await;
    drop(slow);
    assert_eq!(lag(), 2);
    drop(picky);
    assert_eq!(lag(), 0);
}

#[tokio::test]
async fn who_lags_out_of_the_window_is_behind_until_it_is_back() {
    let settings = Settings::default().window_frames(4);
    let stream = over(Gated::open(), ManualClock::at(NOW_MS), settings).await;
    let mut follower = stream.read(ReadOptions::new_only());
    append(&stream, 50).await;
    assert_eq!(stream.stats().lag_frames_max, 50);
    for _ in 0..50 {
        follower.next().await.unwrap().unwrap();
    }
    assert_eq!(stream.stats().lag_frames_max, 0);
}

#[tokio::test]
async fn appends_that_wait_are_counted_and_share_a_commit() {
    let gate = Gated::open();
    let stream = over(gate.clone(), ManualClock::at(NOW_MS), Settings::default()).await;
    shut(&gate.commits);
    let spawn = || {
        let stream = stream.clone();
        tokio::spawn(async move { stream.append(new("a"), ()).await.unwrap() })
    };
    let mut appends = vec![spawn()];
    until(&stream, |_| gate.begun.load(Ordering::SeqCst) == 1).await;
    assert_eq!(stream.stats().queue_requests, 0, "what is being committed waits no more");
    appends.extend((0..3).map(|_| spawn()));
    let stats = until(&stream, |stats| stats.queue_requests == 3).await;
    assert_eq!((stats.appended_frames, stats.groups.count), (0, 0));
    gate.commits.add_permits(2);
    for append in appends {
        append.await.unwrap();
    }
    let stats = stream.stats();
    assert_eq!((stats.queue_requests, stats.appended_frames), (0, 4));
    assert_eq!((filled(&stats.groups), stats.groups.sum), (vec![(1, 1), (4, 1)], 4));
}

#[tokio::test]
async fn health_tells_of_a_failed_commit_until_the_stream_is_closed() {
    let gate = Gated::open();
    let stream = over(gate.clone(), ManualClock::at(NOW_MS), Settings::default()).await;
    append(&stream, 1).await;
    stream.health().unwrap();
    // An error of the caller is none of the stream.
    let taken = FrameId::from_u128(1 << 32);
    stream.import(vec![new("a").with_id(taken)]).await.unwrap();
    assert_eq!(stream.import(vec![new("b").with_id(taken)]).await.unwrap_err().kind(), ErrorKind::Conflict);
    stream.health().unwrap();

    let before = stream.stats();
    gate.failing.store(true, Ordering::SeqCst);
    stream.append(new("a"), ()).await.unwrap_err();
    let error = stream.health().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the disk did not sync"), "{error}");
    let after = stream.stats();
    assert_eq!((after.appended_frames, &after.groups), (before.appended_frames, &before.groups));
    assert_eq!(after.commit_sync.count, before.commit_sync.count + 1, "a failed commit took its time, too");

    // A disk that works again changes nothing about what is uncertain.
    gate.failing.store(false, Ordering::SeqCst);
    assert_eq!(stream.append(new("a"), ()).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(stream.health().unwrap_err().kind(), ErrorKind::Unavailable);
    stream.close().await.unwrap();
    assert_eq!(stream.health().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(stream.stats(), after, "what was counted can be read still");
}
