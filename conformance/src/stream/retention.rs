//! E6 and E7: what TTLs remove.

use std::path::Path;
use std::sync::Arc;

use futures::StreamExt as _;
use xs_core::{
    Direction, ErrorKind, Filter, Frame, ManualClock, Pattern, ReadOptions, Settings, Store, Topic, TopicPage, Ttl,
};

use crate::tools::{Pair, START_MS, history, ids, new, read, scan_all};
use crate::transport::Handle;

crate::suite::cases!(Pair:
    E6_an_expired_frame_is_never_returned,
    E6_a_frame_expires_in_the_hands_of_its_reader,
    E6_expired_frames_are_reclaimed_though_nobody_reads,
    E6_expired_frames_are_reclaimed_after_a_reopen,
    E7_last_n_holds_when_the_append_is_acknowledged,
    E7_last_n_holds_for_a_large_topic,
    E7_last_n_holds_within_a_batch,
    E7_expired_and_removed_frames_do_not_count,
    E7_last_n_holds_across_a_reopen,
    E7_a_refused_append_cuts_nothing,
    E7_a_cut_that_fails_answers_for_itself_alone,
);

/// A stream, and its index from behind.
async fn open(pair: &Pair, dir: &Path, clock: &ManualClock) -> (Handle, Arc<dyn Store>) {
    let parts = pair.parts(dir, clock).await.unwrap();
    let store = Arc::clone(&parts.store);
    (pair.open_parts(dir, parts, Settings::default()).await, store)
}

fn brief(ms: u64) -> xs_core::NewFrame {
    new("a.b").ttl(Ttl::Time { ms })
}

fn last(n: u64) -> xs_core::NewFrame {
    new("a.b").ttl(Ttl::Last(n.try_into().unwrap()))
}

async fn append(stream: &Handle, frame: xs_core::NewFrame) -> Frame {
    stream.append(frame, ()).await.unwrap()
}

/// Waits until background work has left this many frames in the index: a bound by progress, which
/// the time limit of the suite ends, not by time.
async fn left(store: &dyn Store, frames: usize) {
    while scan_all(store, &Pattern::All, Direction::Ascending, 1000).await.unwrap().len() != frames {
        tokio::task::yield_now().await;
    }
}

async fn E6_an_expired_frame_is_never_returned(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let (stream, _) = open(pair, dir, &clock).await;
    let kept = append(&stream, new("a.b")).await;
    let expired = append(&stream, brief(100)).await;
    let at_once = append(&stream, brief(0)).await;
    assert_eq!(stream.get(at_once.id).await.unwrap(), None);
    clock.advance(99);
    assert_eq!(stream.get(expired.id).await.unwrap(), Some(expired.clone()));
    assert_eq!(ids(&history(&stream).await), [kept.id, expired.id]);
    clock.advance(1);
    assert_eq!(stream.get(expired.id).await.unwrap(), None);
    for filter in ["*", "a.b", "a.*"] {
        let filter: Filter = filter.parse().unwrap();
        let select = || ReadOptions::default().filter(filter.clone());
        assert_eq!(ids(&read(&stream, select()).await), [kept.id]);
        assert_eq!(ids(&read(&stream, select().last(2)).await), [kept.id]);
        assert_eq!(ids(&read(&stream, select().limit(2)).await), [kept.id]);
        assert_eq!(stream.last(filter).await.unwrap(), Some(kept.clone()));
    }
    let tails = stream.topics(TopicPage { limit: 9, ..TopicPage::default() }).await.unwrap();
    assert_eq!(tails.into_iter().map(|tail| tail.last).collect::<Vec<_>>(), std::slice::from_ref(&kept));
    stream.remove(kept.id).await.unwrap();
    assert!(stream.topics(TopicPage { limit: 9, ..TopicPage::default() }).await.unwrap().is_empty());
}

async fn E6_a_frame_expires_in_the_hands_of_its_reader(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let (stream, _) = open(pair, dir, &clock).await;
    let kept = append(&stream, new("a.b")).await;
    append(&stream, brief(100)).await;
    clock.advance(99);
    // It has been fetched together with the first.
    let mut reader = stream.read(ReadOptions::default());
    assert_eq!(reader.next().await.unwrap().unwrap(), kept);
    clock.advance(1);
    assert!(reader.next().await.is_none());
}

async fn E6_expired_frames_are_reclaimed_though_nobody_reads(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let (stream, store) = open(pair, dir, &clock).await;
    append(&stream, new("kept")).await;
    append(&stream, brief(10_000)).await;
    // A sooner one, after housekeeping has begun to wait for the later one.
    let frames = (0..2000).map(|_| brief(1_000)).collect();
    stream.append_all(frames).await.unwrap();
    left(&*store, 2002).await;
    clock.advance(1_000);
    left(&*store, 2).await;
    clock.advance(9_000);
    left(&*store, 1).await;
    assert!(store.expiring(u64::MAX, 1).await.unwrap().is_empty());
    // Appends go between, and the stream is none the worse.
    append(&stream, new("kept")).await;
    assert_eq!(history(&stream).await.len(), 2);
}

async fn E6_expired_frames_are_reclaimed_after_a_reopen(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let (stream, store) = open(pair, dir, &clock).await;
    append(&stream, brief(10)).await;
    drop(store);
    stream.close().await.unwrap();
    clock.advance(10);
    let (_stream, store) = open(pair, dir, &clock).await;
    left(&*store, 0).await;
}

async fn E7_last_n_holds_when_the_append_is_acknowledged(pair: &Pair, dir: &Path) {
    let (stream, store) = open(pair, dir, &ManualClock::at(START_MS)).await;
    let mut appended = Vec::new();
    append(&stream, new("a")).await;
    append(&stream, new("a.b.c")).await;
    for n in [3, 3, 3, 3, 1, 2, 5, 5, 5, 5, 5, 2, 1000, 1, 1] {
        appended.push(append(&stream, last(n)).await.id);
        let topic = Topic::parse("a.b").unwrap();
        let kept = ids(&read(&stream, ReadOptions::default().filter(topic.clone())).await);
        assert!(kept.len() as u64 <= n);
        assert!(appended.ends_with(&kept), "not the newest");
        let stored = scan_all(&*store, &Pattern::Exact(topic), Direction::Ascending, 99).await.unwrap();
        assert_eq!(ids(&stored), kept);
    }
    // Other topics are left alone.
    assert_eq!(history(&stream).await.len(), 3);
}

async fn E7_last_n_holds_for_a_large_topic(pair: &Pair, dir: &Path) {
    let (stream, store) = open(pair, dir, &ManualClock::at(START_MS)).await;
    let frames = stream.append_all((0..3000).map(|_| new("a.b")).collect()).await.unwrap();
    let newest = append(&stream, last(3)).await;
    assert_eq!(ids(&history(&stream).await), [frames[2998].id, frames[2999].id, newest.id]);
    assert_eq!(scan_all(&*store, &Pattern::All, Direction::Ascending, 999).await.unwrap().len(), 3);
    let more = append(&stream, last(3)).await;
    assert_eq!(ids(&history(&stream).await), [frames[2999].id, newest.id, more.id]);
}

async fn E7_last_n_holds_within_a_batch(pair: &Pair, dir: &Path) {
    let (stream, store) = open(pair, dir, &ManualClock::at(START_MS)).await;
    let mut live = stream.begin(ReadOptions::new_only()).await;
    append(&stream, new("a.b")).await;
    let batch = vec![last(2), last(2), new("a.b"), last(2), last(2), new("c")];
    let batch = stream.append_all(batch).await.unwrap();
    assert_eq!(ids(&history(&stream).await), ids(&batch[3..]));
    assert_eq!(scan_all(&*store, &Pattern::All, Direction::Ascending, 99).await.unwrap().len(), 3);
    // Live readers see every one of them all the same.
    for n in 0..7 {
        let frame = live.next().await.unwrap().unwrap();
        assert!(n == 0 || frame == batch[n - 1]);
    }
    // Many callers in one group.
    futures::future::join_all((0..20).map(|_| append(&stream, last(1)))).await;
    assert_eq!(history(&stream).await.len(), 2);
}

async fn E7_expired_and_removed_frames_do_not_count(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let (stream, _) = open(pair, dir, &clock).await;
    let a = append(&stream, last(3)).await;
    let b = append(&stream, last(3)).await;
    let expired = append(&stream, brief(10)).await;
    let passing = append(&stream, new("a.b").ttl(Ttl::Ephemeral)).await;
    clock.advance(10);
    let c = append(&stream, last(3)).await;
    assert_eq!(ids(&history(&stream).await), [a.id, b.id, c.id], "{expired:?} or {passing:?} was counted");
    stream.remove(b.id).await.unwrap();
    let d = append(&stream, last(3)).await;
    assert_eq!(ids(&history(&stream).await), [a.id, c.id, d.id]);
    let imported = new("a.b").with_id(crate::tools::id(1));
    stream.import(vec![imported]).await.unwrap();
    let e = append(&stream, last(3)).await;
    assert_eq!(ids(&history(&stream).await), [c.id, d.id, e.id]);
}

async fn E7_last_n_holds_across_a_reopen(pair: &Pair, dir: &Path) {
    let mut appended = Vec::new();
    for _ in 0..6 {
        let (stream, store) = open(pair, dir, &ManualClock::at(START_MS)).await;
        appended.push(append(&stream, last(2)).await.id);
        let kept = ids(&history(&stream).await);
        assert_eq!(kept, appended[appended.len().saturating_sub(2)..]);
        drop(store);
        stream.close().await.unwrap();
    }
}

/// A stream over an index of which one topic cannot be read.
async fn with_a_bad_topic(pair: &Pair, dir: &Path, topic: &str) -> (Handle, Arc<crate::Gate>) {
    let mut parts = pair.parts(dir, &ManualClock::at(START_MS)).await.unwrap();
    let gate = crate::Gate::open();
    gate.break_topic(topic);
    parts.store = Arc::new(crate::GatedStore::new(parts.store, Arc::clone(&gate)));
    (pair.open_parts(dir, parts, Settings::default()).await, gate)
}

async fn E7_a_refused_append_cuts_nothing(pair: &Pair, dir: &Path) {
    let (stream, gate) = with_a_bad_topic(pair, dir, "bad").await;
    let kept = stream.append_all((0..3000).map(|_| new("a.b")).collect()).await.unwrap();
    gate.break_reads(true);
    let refused = || stream.append_all(vec![last(1), new("bad").ttl(Ttl::Last(1.try_into().unwrap()))]);
    // Alone, and with others in its group.
    assert!(refused().await.is_err());
    let (result, other) = tokio::join!(refused(), stream.append(new("other"), ()));
    assert!(result.is_err());
    other.unwrap();
    gate.break_reads(false);
    assert_eq!(read(&stream, ReadOptions::default().filter("a.b".parse::<Filter>().unwrap())).await, kept);
    // And the topic is cut when it is to be.
    append(&stream, last(2)).await;
    assert_eq!(read(&stream, ReadOptions::default().filter("a.b".parse::<Filter>().unwrap())).await.len(), 2);
}

async fn E7_a_cut_that_fails_answers_for_itself_alone(pair: &Pair, dir: &Path) {
    let (stream, gate) = with_a_bad_topic(pair, dir, "a.b").await;
    stream.append_all((0..3000).map(|_| new("a.b")).collect()).await.unwrap();
    // The newest can be read, those that are to go cannot.
    gate.break_ascending();
    let (uncut, other) = tokio::join!(append_result(&stream, last(3)), stream.append(new("other"), ()));
    let error = uncut.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    // What is damaged, a server tells its log and no stranger.
    let text = error.to_string();
    assert_eq!(text.contains("is stored") && text.contains("a.b"), pair.in_process(), "{text}");
    other.unwrap();
    gate.break_reads(false);
    // Nothing is latched, and what was left undone is done by the next.
    append(&stream, last(3)).await;
    assert_eq!(read(&stream, ReadOptions::default().filter("a.b".parse::<Filter>().unwrap())).await.len(), 3);
}

async fn append_result(stream: &Handle, frame: xs_core::NewFrame) -> xs_core::Result<Frame> {
    stream.append(frame, ()).await
}
