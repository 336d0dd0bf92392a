//! E1, E2, E4, E5, E9 to E12: the write side.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::{FutureExt as _, StreamExt as _};
use tokio::task::JoinHandle;
use xs_core::{
    AppendOptions, ByteRange, Content, ContentHash, Direction, Durability, Error, ErrorKind, Expect, Follow, Frame,
    ManualClock, NewFrame, PULSE_TOPIC, Pattern, ReadOptions, Settings, THRESHOLD_TOPIC, Topic, Ttl,
};

use crate::tools::{Pair, START_MS, history, id, ids, new, read, scan_all, settle, topics, until};
use crate::transport::{Handle, Reader};
use crate::{Gate, GatedStore};

crate::suite::cases!(Pair:
    E1_ids_increase_whatever_the_clock_does,
    E1_ids_increase_after_the_newest_frame_was_removed,
    E1_ids_increase_over_many_appenders,
    E2_nothing_shows_before_it_is_stored,
    E2_what_was_appended_is_there_after_a_reopen,
    E2_each_append_can_say_how_durable_it_is,
    E4_many_frames_are_appended_together_or_not_at_all,
    E5_a_condition_has_one_winner,
    E5_a_condition_sees_what_readers_see,
    E5_a_batch_can_have_many_conditions,
    E9_close_finishes_what_waits,
    E9_dropping_the_last_clone_closes,
    E9_closing_needs_no_runtime,
    E10_a_failed_commit_shows_nothing_and_latches,
    E10_a_refused_batch_does_not_latch,
    E11_appenders_share_commits,
    E12_import_keeps_ids_and_is_quiet,
    E12_import_refuses_conflicts_and_the_future,
    E_content_comes_back_and_empty_content_is_none,
    E_content_that_breaks_off_leaves_nothing,
    E_last_and_get_and_topics_agree_with_history,
    E_oversized_batches_and_metas_are_refused,
);

async fn gated(pair: &Pair, dir: &Path) -> (Handle, Arc<Gate>) {
    gated_at(pair, dir, &ManualClock::at(START_MS)).await
}

async fn gated_at(pair: &Pair, dir: &Path, clock: &ManualClock) -> (Handle, Arc<Gate>) {
    let gate = Gate::open();
    let mut parts = pair.parts(dir, clock).await.unwrap();
    parts.store = Arc::new(GatedStore::new(parts.store, Arc::clone(&gate)));
    (pair.open_parts(dir, parts, Settings::default()).await, gate)
}

async fn append(stream: &Handle, topic: &str) -> Frame {
    stream.append(new(topic), ()).await.unwrap()
}

/// An append that is on its way, by itself.
fn start(stream: &Handle, frame: NewFrame, expect: Option<Expect>) -> JoinHandle<xs_core::Result<Frame>> {
    let stream = stream.clone();
    tokio::spawn(async move { stream.append_if(frame, Content::none(), expect).await })
}

/// Waits until so many requests wait behind the commit that is held up.
async fn queued(stream: &Handle, requests: u64) {
    until(|| stream.behind.stats().queue_requests == requests).await;
}

const HEARTBEAT_MS: u64 = 1000;
const HEARTBEAT: Follow = Follow::Pulse(Duration::from_millis(HEARTBEAT_MS));

/// Shows that there is nothing for a follower: lets its heartbeat come, which nothing came before. That
/// heartbeat has begun: the follower has received something.
async fn nothing_before_the_heartbeat(live: &mut Reader, clock: &ManualClock) {
    assert!(live.next().now_or_never().is_none());
    clock.advance(HEARTBEAT_MS);
    assert_eq!(live.next().await.unwrap().unwrap().topic.as_str(), PULSE_TOPIC);
}

async fn E1_ids_increase_whatever_the_clock_does(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let mut all = Vec::new();
    for round in 0..4u64 {
        let stream = pair.open_at(dir, &clock).await;
        for step in 0..20 {
            // Forward, back, far back, and standing still.
            clock.set(START_MS + [0, 5, 3, 0, 9][usize::try_from(step % 5).unwrap()] - 100_000 * round);
            all.push(append(&stream, "a").await.id);
        }
        stream.close().await.unwrap();
    }
    assert!(all.is_sorted_by(|a, b| a < b));
    let stream = pair.open(dir).await;
    assert_eq!(ids(&history(&stream).await), all);
}

async fn E1_ids_increase_after_the_newest_frame_was_removed(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let stream = pair.open_at(dir, &clock).await;
    let removed = append(&stream, "a").await.id;
    stream.remove(removed).await.unwrap();
    stream.close().await.unwrap();
    clock.set(1_000);
    let stream = pair.open_at(dir, &clock).await;
    assert!(append(&stream, "a").await.id > removed);
}

async fn E1_ids_increase_over_many_appenders(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let appenders = (0..8).map(|appender| {
        let stream = stream.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..25 {
                mine.push(append(&stream, &format!("a.t{appender}")).await.id);
            }
            assert!(mine.is_sorted_by(|a, b| a < b), "an appender saw its ids step back");
            mine
        })
    });
    let mut all: Vec<_> = join_all(appenders).await.into_iter().flat_map(Result::unwrap).collect();
    all.sort_unstable();
    assert_eq!(ids(&history(&stream).await), all);
}

async fn E2_nothing_shows_before_it_is_stored(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let (stream, gate) = gated_at(pair, dir, &clock).await;
    let first = append(&stream, "a").await;
    let mut live = stream.begin(ReadOptions { follow: HEARTBEAT, ..ReadOptions::new_only() }).await;
    let second = append(&stream, "a").await;
    assert_eq!(live.next().await.unwrap().unwrap(), second);
    gate.shut();
    let third = start(&stream, new("a"), None);
    until(|| gate.waiting() == 1).await;
    // Committed by nobody yet: neither acknowledged nor shown to any kind of reader.
    nothing_before_the_heartbeat(&mut live, &clock).await;
    assert_eq!(ids(&history(&stream).await), [first.id, second.id]);
    assert_eq!(stream.last(Topic::parse("a").unwrap()).await.unwrap(), Some(second.clone()));
    settle().await;
    assert!(!third.is_finished());
    gate.pass(1);
    let third = third.await.unwrap().unwrap();
    assert_eq!(live.next().await.unwrap().unwrap(), third);
    assert_eq!(ids(&history(&stream).await), [first.id, second.id, third.id]);
}

async fn E2_what_was_appended_is_there_after_a_reopen(pair: &Pair, dir: &Path) {
    let mut appended = Vec::new();
    for durability in [Durability::Sync, Durability::Buffered] {
        let parts = pair.parts(dir, &ManualClock::at(START_MS)).await.unwrap();
        let stream = pair.open_parts(dir, parts, Settings::default().durability(durability)).await;
        appended.push(stream.append(new("a"), "content").await.unwrap());
        stream.close().await.unwrap();
    }
    is_all_there(pair, dir, &appended).await;
}

async fn E2_each_append_can_say_how_durable_it_is(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let mut appended = Vec::new();
    for durability in [Durability::Sync, Durability::Buffered] {
        let options = AppendOptions { durability: Some(durability), expect: None };
        appended.push(stream.behind.append_with(new("a"), "content", options).await.unwrap());
    }
    stream.close().await.unwrap();
    is_all_there(pair, dir, &appended).await;
}

async fn is_all_there(pair: &Pair, dir: &Path, appended: &[Frame]) {
    let stream = pair.open(dir).await;
    assert_eq!(history(&stream).await, appended);
    let hash = appended[0].hash.unwrap();
    assert_eq!(stream.content(hash, ByteRange::FULL).await.unwrap().bytes().await.unwrap(), "content");
}

async fn E4_many_frames_are_appended_together_or_not_at_all(pair: &Pair, dir: &Path) {
    let (stream, gate) = gated(pair, dir).await;
    let many = |n: usize| (0..n).map(|n| new(["a", "b.c", "d"][n % 3])).collect::<Vec<_>>();
    let batches = join_all((0..6).map(|n| stream.append_all(many(5 + n)))).await;
    let all = history(&stream).await;
    for batch in batches {
        let batch = batch.unwrap();
        let start = all.iter().position(|frame| frame.id == batch[0].id).unwrap();
        assert_eq!(all[start..start + batch.len()], batch, "not contiguous");
    }
    gate.fail();
    assert!(stream.append_all(many(9)).await.is_err());
    assert_eq!(history(&stream).await, all);
    let none = stream.append_all(Vec::new()).await.unwrap();
    assert!(none.is_empty());
}

fn actual(error: &Error) -> Option<xs_core::FrameId> {
    assert_eq!(error.kind(), ErrorKind::Conflict);
    error.expect_failed().expect("the actual last id").actual
}

async fn E5_a_condition_has_one_winner(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let mut expect = Expect::Empty;
    for _ in 0..5 {
        let racing = (0..8).map(|_| stream.append_with(new("account.7"), (), expect));
        let (won, lost): (Vec<_>, Vec<_>) = join_all(racing).await.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 7));
        let winner = won.into_iter().next().unwrap().unwrap();
        for error in lost.into_iter().map(Result::unwrap_err) {
            assert_eq!(actual(&error), Some(winner.id));
        }
        append(&stream, "account.8").await;
        expect = Expect::Last(winner.id);
    }
    let topic = Topic::parse("account.7").unwrap();
    assert_eq!(read(&stream, ReadOptions::default().filter(topic)).await.len(), 5);
}

async fn E5_a_condition_sees_what_readers_see(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let stream = pair.open_at(dir, &clock).await;
    let error = stream.append_with(new("a"), (), Expect::Last(id(1))).await.unwrap_err();
    assert_eq!(actual(&error), None);
    let first = stream.append(new("a").ttl(Ttl::Time { ms: 10 }), ()).await.unwrap();
    stream.append(new("a").ttl(Ttl::Ephemeral), ()).await.unwrap();
    let error = stream.append_with(new("a"), (), Expect::Empty).await.unwrap_err();
    assert_eq!(actual(&error), Some(first.id));
    clock.advance(10);
    let second = stream.append_with(new("a"), (), Expect::Empty).await.unwrap();
    stream.remove(second.id).await.unwrap();
    stream.append_with(new("a"), (), Expect::Empty).await.unwrap();
}

async fn E5_a_batch_can_have_many_conditions(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let a = append(&stream, "a").await;
    let topic = |name| Topic::parse(name).unwrap();
    let both = |a, b| vec![(topic("a"), a), (topic("b"), b)];
    let frames = || vec![new("a"), new("b")];
    let error = stream.append_all_if(frames(), both(Expect::Last(a.id), Expect::Last(a.id))).await.unwrap_err();
    assert_eq!(error.expect_failed().unwrap().topic, topic("b"));
    assert_eq!(ids(&history(&stream).await), [a.id]);
    let done = stream.append_all_if(frames(), both(Expect::Last(a.id), Expect::Empty)).await.unwrap();
    assert_eq!(ids(&history(&stream).await), [a.id, done[0].id, done[1].id]);
}

async fn E9_close_finishes_what_waits(pair: &Pair, dir: &Path) {
    let (stream, gate) = gated(pair, dir).await;
    let mut live = stream.read(ReadOptions::new_only());
    gate.shut();
    let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(append(&stream, "a"))).collect();
    for append in &mut waiting {
        assert!(append.as_mut().now_or_never().is_none());
    }
    let clone = stream.clone();
    let closing = tokio::spawn(async move { clone.close().await });
    settle().await;
    gate.pass(9);
    let appended = join_all(waiting).await;
    closing.await.unwrap().unwrap();
    for frame in &appended {
        assert_eq!(live.next().await.unwrap().unwrap(), *frame);
    }
    assert!(live.next().await.is_none(), "a follower goes on after its stream has closed");
    stream.close().await.unwrap();
    for error in [stream.append(new("a"), ()).await.unwrap_err(), stream.get(appended[0].id).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
    let stream = pair.open(dir).await;
    assert_eq!(history(&stream).await, appended);
}

async fn E9_dropping_the_last_clone_closes(pair: &Pair, dir: &Path) {
    let mut appended = Vec::new();
    for _ in 0..5 {
        let stream = pair.open(dir).await;
        let clone = stream.clone();
        drop(stream);
        appended.push(clone.append(new("a").ttl(Ttl::Time { ms: 1_000_000 }), "x").await.unwrap());
        // Neither a reader in the middle of history nor a follower keeps it open.
        let mut reader = clone.read(ReadOptions::default());
        reader.next().await.unwrap().unwrap();
        let mut follower = clone.read(ReadOptions::new_only());
        assert!(follower.next().now_or_never().is_none());
        drop(clone);
        let reopened = pair.open(dir).await;
        assert!(follower.next().await.is_none());
        assert_eq!(history(&reopened).await, appended);
        reopened.close().await.unwrap();
    }
}

async fn E9_closing_needs_no_runtime(pair: &Pair, dir: &Path) {
    // Dropped while its runtime stands still: this one, which this thread blocks.
    let stream = pair.open(dir).await;
    stream.append(new("a").ttl(Ttl::Time { ms: 1_000_000 }), ()).await.unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| futures::executor::block_on(stream.close()).unwrap()).join().unwrap();
    });
    drop(stream);
    assert_eq!(history(&pair.open(dir).await).await.len(), 1);
}

async fn E10_a_failed_commit_shows_nothing_and_latches(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let (stream, gate) = gated_at(pair, dir, &clock).await;
    let first = append(&stream, "a").await;
    // Two that come while another commit is under way share the next one.
    gate.shut();
    let second = start(&stream, new("a"), None);
    until(|| gate.waiting() == 1).await;
    let conditional = || start(&stream, new("b"), Some(Expect::Empty));
    let (failed, loser) = (conditional(), conditional());
    queued(&stream, 2).await;
    gate.pass(1);
    let second = second.await.unwrap().unwrap();
    let options = ReadOptions { threshold: true, follow: HEARTBEAT, ..ReadOptions::default().after(second.id) };
    let mut live = stream.read(options);
    assert_eq!(live.next().await.unwrap().unwrap().topic.as_str(), THRESHOLD_TOPIC);
    until(|| gate.waiting() == 1).await;
    gate.fail();
    gate.pass(1);
    // The second lost to the first, which then turned out not to be: it must not be told its id.
    assert_eq!(failed.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(loser.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    for error in [
        stream.append(new("a"), ()).await.unwrap_err(),
        stream.append_all(vec![new("a")]).await.unwrap_err(),
        stream.import(vec![new("a").with_id(id(1))]).await.unwrap_err(),
        stream.remove(first.id).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        // What is wrong with its disk, a server tells its log and no stranger.
        assert_eq!(error.to_string().contains("did not sync"), pair.in_process(), "{error}");
    }
    assert_eq!(history(&stream).await, [first.clone(), second.clone()]);
    nothing_before_the_heartbeat(&mut live, &clock).await;
    stream.close().await.unwrap();
    let stream = pair.open(dir).await;
    assert_eq!(history(&stream).await, [first, second]);
    append(&stream, "a").await;
}

async fn E10_a_refused_batch_does_not_latch(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let first = append(&stream, "a").await;
    assert!(stream.append_with(new("a"), (), Expect::Empty).await.is_err());
    assert!(stream.import(vec![new("b").with_id(first.id)]).await.is_err());
    append(&stream, "a").await;
    assert_eq!(history(&stream).await.len(), 2);
}

async fn E11_appenders_share_commits(pair: &Pair, dir: &Path) {
    let (stream, gate) = gated(pair, dir).await;
    gate.shut();
    // The first is on its way to the store before the others come.
    let mut waiting = vec![start(&stream, new("a"), None)];
    until(|| gate.waiting() == 1).await;
    waiting.extend((1..64).map(|_| start(&stream, new("a"), None)));
    queued(&stream, 63).await;
    gate.pass(2);
    for appended in join_all(waiting).await {
        appended.unwrap().unwrap();
    }
    assert_eq!(gate.groups(), [1, 63]);
    // And nobody waits for company.
    gate.pass(1);
    append(&stream, "a").await;
    assert_eq!(gate.groups(), [1, 63, 1]);
}

async fn E12_import_keeps_ids_and_is_quiet(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let mut live = stream.begin(ReadOptions::new_only()).await;
    let day_ms = 24 * 60 * 60 * 1000;
    let at = |ms: u64, topic: &str| {
        new(topic).meta_text("{\"b\": 1.0}").unwrap().with_id(xs_core::FrameId::from_u128(u128::from(ms) << 80 | 77))
    };
    let frames = vec![at(START_MS + day_ms, "late"), at(5, "early"), at(START_MS - 1, "early.b")];
    stream.import(frames.clone()).await.unwrap();
    // The same again, and a mix of what is there and what is not, are no errors.
    stream.import(frames.clone()).await.unwrap();
    stream.import(vec![frames[1].clone(), at(6, "early"), at(6, "early")]).await.unwrap();
    stream.import(Vec::new()).await.unwrap();
    assert_eq!(topics(&history(&stream).await), ["early", "early", "early.b", "late"]);
    assert_eq!(stream.get(frames[1].id).await.unwrap().as_ref(), Some(&frames[1]));
    // So are frames that have been through their JSON form, on one line.
    let lined = new("early").meta_text("[1,\n2]").unwrap().with_id(id(1));
    let line = Frame::from_json(&lined.to_json().unwrap()).unwrap();
    stream.import(vec![lined.clone()]).await.unwrap();
    stream.import(vec![line.clone()]).await.unwrap();
    // The first that came is kept as it came; over a transport, it came on a line.
    let came = if pair.in_process() { lined } else { line };
    assert_eq!(stream.get(came.id).await.unwrap().as_ref(), Some(&came));
    stream.remove(came.id).await.unwrap();
    let next = append(&stream, "a").await;
    assert!(next.id > frames[0].id, "a later id does not exceed an imported one");
    assert_eq!(live.next().await.unwrap().unwrap(), next, "an imported frame was shown to a live reader");
    stream.close().await.unwrap();
    let stream = pair.open(dir).await;
    assert!(append(&stream, "a").await.id > next.id);
}

async fn E12_import_refuses_conflicts_and_the_future(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let first = stream.append(new("a").meta(1.into()), ()).await.unwrap();
    let kind = |result: xs_core::Result<()>| result.unwrap_err().kind();
    let fine = new("b").with_id(id(5));
    for other in [new("b"), new("a").meta(2.into()), new("a").meta(1.into()).ttl(Ttl::Forever)] {
        let conflict = stream.import(vec![fine.clone(), other.with_id(first.id)]).await;
        assert_eq!(kind(conflict), ErrorKind::Conflict);
    }
    let twice = stream.import(vec![fine.clone(), new("c").with_id(fine.id)]).await;
    assert_eq!(kind(twice), ErrorKind::Conflict);
    let day_ms = 24 * 60 * 60 * 1000;
    let ahead = xs_core::FrameId::from_u128(u128::from(START_MS + day_ms + 1) << 80);
    assert_eq!(kind(stream.import(vec![fine.clone(), new("a").with_id(ahead)]).await), ErrorKind::InvalidInput);
    let ephemeral = new("a").ttl(Ttl::Ephemeral).with_id(id(6));
    assert_eq!(kind(stream.import(vec![fine, ephemeral]).await), ErrorKind::InvalidInput);
    assert_eq!(ids(&history(&stream).await), [first.id], "part of a refused import was stored");
}

async fn E_content_comes_back_and_empty_content_is_none(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let frame = stream.append(new("a"), "hello").await.unwrap();
    let same = stream.append(new("b"), Content::reader(&b"hello"[..])).await.unwrap();
    assert_eq!(frame.hash, Some(ContentHash::of(b"hello")));
    assert_eq!(frame.hash, same.hash);
    for none in [Content::none(), "".into(), Content::reader(&b""[..]), Content::stream(futures::stream::empty())] {
        assert_eq!(stream.append(new("a"), none).await.unwrap().hash, None);
    }
    assert_eq!(stream.put("").await.unwrap(), None);
    let hash = stream.put("alone").await.unwrap().unwrap();
    let referring = stream.append(new("a").hash(hash), ()).await.unwrap();
    assert_eq!(referring.hash, Some(hash));
    let wrong = stream.append(new("a").hash(hash), "other").await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::InvalidInput);
    assert_eq!(stream.append(new("a").hash(hash), "alone").await.unwrap().hash, Some(hash));
    assert_eq!(stream.content_info(hash).await.unwrap().size, 5);
    // Never stored, and known: a frame of elsewhere may name it.
    let nothing = ContentHash::of(&[]);
    assert_eq!(stream.content_info(nothing).await.unwrap().size, 0);
    assert!(stream.content(nothing, ByteRange::FULL).await.unwrap().bytes().await.unwrap().is_empty());
}

async fn E_content_that_breaks_off_leaves_nothing(pair: &Pair, dir: &Path) {
    let mut parts = pair.parts(dir, &ManualClock::at(START_MS)).await.unwrap();
    let cas = Arc::clone(&parts.cas);
    parts.clock = Arc::new(ManualClock::at(START_MS));
    let stream = pair.open_parts(dir, parts, Settings::default()).await;
    let broken = |chunks: usize| {
        let good = (0..chunks).map(|_| Ok(Bytes::from(vec![7; 600_000])));
        let cut = std::iter::once(Err(Error::new(ErrorKind::InvalidInput, "the sender went away")));
        Content::stream(futures::stream::iter(good.chain(cut).collect::<Vec<_>>()))
    };
    for chunks in [0, 1, 5] {
        let error = stream.append(new("a"), broken(chunks)).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidInput, "the sender went away"));
    }
    assert!(history(&stream).await.is_empty());
    assert!(cas.list(None, 9).await.unwrap().items.is_empty());
}

async fn E_last_and_get_and_topics_agree_with_history(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    for n in 0..60 {
        append(&stream, ["a", "a.b", "a.b.c", "b", "c.d"][n % 5]).await;
    }
    let all = history(&stream).await;
    for filter in ["*", "a", "a.*", "b,c.*", "a.b,c.d,b", "nothing", "nothing.*,a"] {
        let filter: xs_core::Filter = filter.parse().unwrap();
        let selected: Vec<_> = all.iter().filter(|frame| filter.matches(&frame.topic)).cloned().collect();
        assert_eq!(stream.last(filter.clone()).await.unwrap().as_ref(), selected.last(), "{filter}");
        assert_eq!(read(&stream, ReadOptions::default().filter(filter.clone())).await, selected, "{filter}");
    }
    let tails = stream.topics(xs_core::TopicPage { limit: 100, ..Default::default() }).await.unwrap();
    let names: Vec<_> = tails.iter().map(|tail| tail.topic.as_str()).collect();
    assert_eq!(names, ["a", "a.b", "a.b.c", "b", "c.d"]);
    for tail in tails {
        assert_eq!(stream.last(tail.topic.clone()).await.unwrap(), Some(tail.last));
    }
    for frame in &all {
        assert_eq!(stream.get(frame.id).await.unwrap().as_ref(), Some(frame));
    }
    assert_eq!(stream.get(id(1)).await.unwrap(), None);
}

async fn E_oversized_batches_and_metas_are_refused(pair: &Pair, dir: &Path) {
    use xs_core::limits::{BATCH_BYTES_MAX, BATCH_CONDITIONS_MAX, BATCH_FRAMES_MAX};
    let parts = pair.parts(dir, &ManualClock::at(START_MS)).await.unwrap();
    let store = Arc::clone(&parts.store);
    let stream = pair.open_parts(dir, parts, Settings::default()).await;
    let many = vec![new("a"); BATCH_FRAMES_MAX + 1];
    let heavy = vec![new("a").meta("x".repeat(1_000_000).into()); BATCH_BYTES_MAX / 1_000_000 + 1];
    let long = vec![new("a").meta("x".repeat(xs_core::META_BYTES_MAX).into())];
    for frames in [many, heavy, long] {
        let error = stream.append_all(frames).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let one_each: Vec<_> = (0..=BATCH_CONDITIONS_MAX).map(|n| new(&format!("one.n{n}"))).collect();
    let too_many = one_each.iter().map(|frame| (frame.topic.clone(), Expect::Empty)).collect();
    let error = stream.append_all_if(one_each, too_many).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(stream.append_all(vec![new("a"); BATCH_FRAMES_MAX]).await.unwrap().len(), BATCH_FRAMES_MAX);
    assert_eq!(scan_all(&*store, &Pattern::All, Direction::Ascending, 1000).await.unwrap().len(), BATCH_FRAMES_MAX);
}
