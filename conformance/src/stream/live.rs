//! E3: readers and followers.

use std::path::Path;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use xs_core::{Filter, Follow, Frame, FrameId, ManualClock, PULSE_TOPIC, ReadOptions, Settings, THRESHOLD_TOPIC, Ttl};

use crate::tools::{Pair, START_MS, ids, new, read, settle, topics};
use crate::transport::{Handle, Reader};

crate::suite::cases!(Pair:
    E3_follow_crosses_the_seam,
    E3_follow_survives_lag,
    E3_many_followers_race_many_appenders,
    E3_a_resumed_follower_neither_skips_nor_repeats,
    E3_a_follower_that_never_reads_costs_nothing,
    E3_ephemeral_frames_are_live_only,
    E3_the_threshold_marks_the_seam,
    E3_pulses_come_at_the_heartbeat,
    E3_read_options_do_what_they_say,
    E3_limit_counts_history_and_live_together,
    E3_last_takes_the_newest_of_what_is_selected,
    E3_history_comes_in_pages_without_seams,
    E3_a_read_ends_at_the_tail_that_it_began_with,
);

/// The topic of the frame with this number.
fn turn(n: usize) -> &'static str {
    ["a", "a.b", "b"][n % 3]
}

async fn fill(stream: &Handle, n: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    for n in 0..n {
        frames.push(stream.append(new(turn(n)), ()).await.unwrap());
    }
    frames
}

/// As [`fill`], at once.
async fn fill_at_once(stream: &Handle, n: usize) -> Vec<Frame> {
    stream.append_all((0..n).map(|n| new(turn(n))).collect()).await.unwrap()
}

async fn take(reader: &mut Reader, n: usize) -> Vec<Frame> {
    reader.take(n).try_collect().await.unwrap()
}

async fn E3_follow_crosses_the_seam(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let mut expected = fill(&stream, 20).await;
    // Appends before the first poll, between polls in history, and after history.
    let mut live = stream.read(ReadOptions::follow());
    expected.extend(fill(&stream, 5).await);
    let mut seen = take(&mut live, 7).await;
    expected.extend(fill(&stream, 5).await);
    seen.extend(take(&mut live, 23).await);
    assert!(live.next().now_or_never().is_none());
    // To the very last: one that came late, or twice, would stand before it.
    expected.extend(fill(&stream, 5).await);
    seen.extend(take(&mut live, 5).await);
    assert_eq!(seen, expected);
}

/// A stream with a window so small that every follower leaves it.
async fn narrow(pair: &Pair, dir: &Path) -> Handle {
    let parts = pair.parts(dir, &ManualClock::at(START_MS)).await.unwrap();
    pair.open_parts(dir, parts, Settings::default().window_frames(4)).await
}

async fn E3_follow_survives_lag(pair: &Pair, dir: &Path) {
    let stream = narrow(pair, dir).await;
    let mut expected = fill(&stream, 3).await;
    let filter: Filter = "a.*,b".parse().unwrap();
    let mut all = stream.read(ReadOptions::follow());
    let mut some = stream.read(ReadOptions::follow().filter(filter.clone()));
    let (mut seen_all, mut seen_some) = (take(&mut all, 3).await, take(&mut some, 2).await);
    for burst in [1, 4, 5, 50, 3000, 2] {
        let new = fill(&stream, burst).await;
        let selected = new.iter().filter(|frame| filter.matches(&frame.topic)).count();
        expected.extend(new);
        // Read in two parts, so that the window moves while a follower is behind it.
        seen_all.extend(take(&mut all, burst / 2).await);
        seen_some.extend(take(&mut some, selected / 2).await);
        let more = fill(&stream, 9).await;
        let also = more.iter().filter(|frame| filter.matches(&frame.topic)).count();
        expected.extend(more);
        seen_all.extend(take(&mut all, burst - burst / 2 + 9).await);
        seen_some.extend(take(&mut some, selected - selected / 2 + also).await);
        // More at once than the window holds: whoever keeps up leaves it, too.
        let more = fill_at_once(&stream, 30).await;
        let also = more.iter().filter(|frame| filter.matches(&frame.topic)).count();
        expected.extend(more);
        seen_all.extend(take(&mut all, 30).await);
        seen_some.extend(take(&mut some, also).await);
    }
    assert_eq!(seen_all, expected);
    expected.retain(|frame| filter.matches(&frame.topic));
    assert_eq!(seen_some, expected);
    // One that came late, or twice, would stand before the next.
    let next = stream.append(new("b"), ()).await.unwrap();
    assert_eq!(take(&mut all, 1).await, std::slice::from_ref(&next));
    assert_eq!(take(&mut some, 1).await, [next]);
}

async fn E3_many_followers_race_many_appenders(pair: &Pair, dir: &Path) {
    const APPENDERS: usize = 6;
    const FRAMES: usize = 60;
    let stream = narrow(pair, dir).await;
    let followers: Vec<_> = (0..8)
        .map(|n| {
            let reader = stream.read(ReadOptions::follow().limit((APPENDERS * FRAMES) as u64));
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut reader = reader;
                while let Some(frame) = reader.try_next().await.unwrap() {
                    seen.push(frame);
                    // Each lags in its own way.
                    if seen.len() % (n + 2) == 0 {
                        settle().await;
                    }
                }
                seen
            })
        })
        .collect();
    let appenders = (0..APPENDERS).map(|n| {
        let stream = stream.clone();
        async move {
            for _ in 0..FRAMES {
                stream.append(new(&format!("t{n}")), ()).await.unwrap();
            }
        }
    });
    futures::future::join_all(appenders).await;
    let all = read(&stream, ReadOptions::default()).await;
    assert_eq!(all.len(), APPENDERS * FRAMES);
    for follower in followers {
        assert_eq!(follower.await.unwrap(), all);
    }
}

async fn E3_a_resumed_follower_neither_skips_nor_repeats(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let mut stream = pair.open_at(dir, &clock).await;
    let mut expected = Vec::new();
    let mut seen: Vec<Frame> = Vec::new();
    let mut resume: Option<FrameId> = None;
    for round in 0..12usize {
        expected.extend(fill(&stream, round % 4).await);
        let options = ReadOptions {
            threshold: true,
            after: resume,
            follow: Follow::Pulse(Duration::from_millis(5)),
            ..ReadOptions::default()
        };
        let mut reader = stream.read(options);
        loop {
            let frame = reader.try_next().await.unwrap().unwrap();
            resume = Some(frame.id);
            if frame.topic.as_str() == THRESHOLD_TOPIC {
                break;
            }
            seen.push(frame);
        }
        // Resuming after any kind of frame that was seen: a stored one, the threshold, a pulse.
        for _ in 0..round % 3 {
            let mut pulse = Box::pin(reader.try_next());
            assert!(pulse.as_mut().now_or_never().is_none());
            clock.advance(5);
            resume = Some(pulse.await.unwrap().unwrap().id);
        }
        if round % 2 == 0 {
            expected.extend(fill(&stream, 1).await);
            let frame = reader.try_next().await.unwrap().unwrap();
            resume = Some(frame.id);
            seen.push(frame);
        }
        // Also over a restart with a clock that has stepped back.
        if round % 5 == 4 {
            drop(reader);
            stream.close().await.unwrap();
            clock.set(START_MS - 1_000_000);
            stream = pair.open_at(dir, &clock).await;
        }
    }
    assert_eq!(seen, expected);
}

async fn E3_a_follower_that_never_reads_costs_nothing(pair: &Pair, dir: &Path) {
    let stream = narrow(pair, dir).await;
    let mut idle = stream.begin(ReadOptions::follow()).await;
    let mut begun = stream.begin(ReadOptions::new_only()).await;
    assert!(begun.next().now_or_never().is_none());
    // Neither holds up appends, and neither is cut off when it comes to read after all.
    let expected = fill(&stream, 2500).await;
    assert_eq!(take(&mut idle, 2500).await, expected);
    assert_eq!(take(&mut begun, 2500).await, expected);
}

async fn E3_ephemeral_frames_are_live_only(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let mut live = stream.begin(ReadOptions::follow()).await;
    let kept = stream.append(new("a"), ()).await.unwrap();
    let passing = stream.append(new("a").ttl(Ttl::Ephemeral), "content").await.unwrap();
    let later = stream.append(new("a"), ()).await.unwrap();
    assert!(kept.id < passing.id && passing.id < later.id);
    assert_eq!(ids(&take(&mut live, 3).await), [kept.id, passing.id, later.id]);
    assert_eq!(ids(&read(&stream, ReadOptions::default()).await), [kept.id, later.id]);
    assert_eq!(stream.get(passing.id).await.unwrap(), None);
}

async fn E3_the_threshold_marks_the_seam(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let with = |options| ReadOptions { threshold: true, ..options };
    let mut empty = stream.read(with(ReadOptions::follow()));
    let threshold = empty.try_next().await.unwrap().unwrap();
    assert_eq!((threshold.topic.as_str(), threshold.ttl), (THRESHOLD_TOPIC, Some(Ttl::Ephemeral)));
    let frames = fill(&stream, 3).await;
    assert!(threshold.id < frames[0].id);
    let mut live = stream.begin(with(ReadOptions::follow().filter("b".parse::<Filter>().unwrap()))).await;
    let later = fill(&stream, 3).await;
    let seen = take(&mut live, 3).await;
    assert_eq!(topics(&seen), ["b", THRESHOLD_TOPIC, "b"], "a filter does not filter it");
    assert!(seen[1].id > frames[2].id && seen[1].id < later[0].id);
    // Not without following, not for what is new only, not unless asked for, and once.
    assert_eq!(read(&stream, with(ReadOptions::default())).await.len(), 6);
    for (options, before) in [(with(ReadOptions::new_only()), 0), (ReadOptions::follow(), 6)] {
        let mut reader = stream.begin(options).await;
        let last = stream.append(new("last"), ()).await.unwrap();
        let seen = take(&mut reader, before + 1).await;
        assert_eq!(seen[before], last, "a frame too many");
        stream.remove(last.id).await.unwrap();
    }
    assert_eq!(stream.get(threshold.id).await.unwrap(), None);
}

async fn E3_pulses_come_at_the_heartbeat(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let stream = pair.open_at(dir, &clock).await;
    let first = stream.append(new("a"), ()).await.unwrap();
    let follow = Follow::Pulse(Duration::from_millis(100));
    let filter: Filter = "a".parse().unwrap();
    let mut live = stream.read(ReadOptions { follow, threshold: true, ..ReadOptions::default().filter(filter) });
    let seen = take(&mut live, 2).await;
    // When this comes, the heartbeat has begun.
    assert_eq!((&seen[0], seen[1].topic.as_str()), (&first, THRESHOLD_TOPIC));
    let mut pulses = Vec::new();
    for _ in 0..3 {
        assert!(live.next().now_or_never().is_none());
        clock.advance(99);
        assert!(live.next().now_or_never().is_none());
        clock.advance(1);
        pulses.extend(take(&mut live, 1).await);
    }
    assert_eq!(topics(&pulses), [PULSE_TOPIC; 3]);
    let next = stream.append(new("a"), ()).await.unwrap();
    let mut order = ids(&seen);
    order.extend(ids(&pulses));
    order.push(next.id);
    assert!(order.is_sorted_by(|a, b| a < b));
    // Frames that keep coming do not put the heartbeat off.
    clock.advance(60);
    assert_eq!(take(&mut live, 1).await, [next]);
    clock.advance(39);
    let next = stream.append(new("a"), ()).await.unwrap();
    assert_eq!(take(&mut live, 1).await, [next]);
    clock.advance(1);
    assert_eq!(topics(&take(&mut live, 1).await), [PULSE_TOPIC]);
}

async fn E3_read_options_do_what_they_say(pair: &Pair, dir: &Path) {
    let clock = ManualClock::at(START_MS);
    let stream = pair.open_at(dir, &clock).await;
    let all = fill(&stream, 30).await;
    let between = FrameId::from_u128(all[10].id.to_u128() + 1);
    let check = async |options: ReadOptions, expected: &[Frame]| {
        assert_eq!(read(&stream, options.clone()).await, expected, "{options:?}");
    };
    let base = ReadOptions::default;
    check(base(), &all).await;
    check(base().after(all[10].id), &all[11..]).await;
    check(base().after(between), &all[11..]).await;
    check(ReadOptions { from: Some(all[10].id), ..base() }, &all[10..]).await;
    check(ReadOptions { from: Some(between), ..base() }, &all[11..]).await;
    check(ReadOptions { from: Some(all[10].id), ..base().after(all[20].id) }, &all[10..]).await;
    check(base().after(FrameId::MAX), &[]).await;
    check(base().limit(0), &[]).await;
    check(base().limit(4), &all[..4]).await;
    check(base().limit(99), &all).await;
    check(base().after(all[3].id).limit(2), &all[4..6]).await;
    check(base().last(4), &all[26..]).await;
    check(base().last(0), &[]).await;
    check(base().last(99), &all).await;
    check(base().last(4).limit(2), &all[26..28]).await;
    check(base().last(10).after(all[25].id), &all[26..]).await;
    check(ReadOptions { new: true, ..base() }, &[]).await;
    check(ReadOptions { new: true, ..base().last(3) }, &[]).await;
    let filter: Filter = "b,a.*".parse().unwrap();
    let some: Vec<_> = all.iter().filter(|frame| filter.matches(&frame.topic)).cloned().collect();
    check(base().filter(filter.clone()), &some).await;
    check(base().filter(filter.clone()).limit(3).after(some[4].id), &some[5..8]).await;
    check(base().filter(filter.clone()).last(3), &some[17..]).await;
    // What is to be skipped stays skipped when it is appended later.
    let horizon = FrameId::from_u128(u128::from(START_MS + 5) << 80);
    let mut future = stream.begin(ReadOptions { from: Some(horizon), ..ReadOptions::follow() }).await;
    fill(&stream, 3).await;
    clock.advance(10);
    let wanted = fill(&stream, 1).await;
    assert_eq!(take(&mut future, 1).await, wanted);
}

async fn E3_limit_counts_history_and_live_together(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let mut all = fill(&stream, 5).await;
    let options = ReadOptions { threshold: true, ..ReadOptions::follow().limit(7) };
    let mut live = stream.read(options);
    let mut seen = take(&mut live, 6).await;
    all.extend(fill(&stream, 9).await);
    seen.extend(live.try_collect::<Vec<_>>().await.unwrap());
    seen.retain(|frame| frame.topic.as_str() != THRESHOLD_TOPIC);
    assert_eq!(seen, all[..7]);
    // A limit that history fills ends there, without waiting for anything live.
    assert_eq!(read(&stream, ReadOptions::follow().limit(3)).await, all[..3]);
    assert_eq!(read(&stream, ReadOptions::follow().last(2).limit(2)).await, all[12..]);
}

async fn E3_last_takes_the_newest_of_what_is_selected(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let mut all = fill(&stream, 12).await;
    let mut live = stream.begin(ReadOptions::follow().last(3)).await;
    all.extend(fill(&stream, 2).await);
    assert_eq!(take(&mut live, 5).await, all[9..]);
    // More than a page.
    let frames = (0..3000).map(|_| new("c")).collect();
    let many = stream.append_all(frames).await.unwrap();
    assert_eq!(read(&stream, ReadOptions::default().last(2500)).await, many[500..]);
    assert_eq!(read(&stream, ReadOptions::default().last(3001)).await.first(), all.last());
}

async fn E3_history_comes_in_pages_without_seams(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let mut all = Vec::new();
    for n in 0..5 {
        // Skewed, so that one topic of a merge runs dry pages before another.
        let frames = (0..1000).map(|i| new(if i % 100 < n * 20 { "a.b" } else { "c" })).collect();
        all.extend(stream.append_all(frames).await.unwrap());
    }
    // Frames of which few fill a page's bytes.
    for _ in 0..40 {
        all.push(stream.append(new("a.b").meta("x".repeat(100_000).into()), ()).await.unwrap());
    }
    assert_eq!(read(&stream, ReadOptions::default()).await, all);
    for filter in ["c", "a.*", "a.*,c", "c,nothing,a.b,b.*"] {
        let filter: Filter = filter.parse().unwrap();
        let some: Vec<_> = all.iter().filter(|frame| filter.matches(&frame.topic)).cloned().collect();
        assert_eq!(read(&stream, ReadOptions::default().filter(filter.clone())).await, some, "{filter}");
        let last = some[some.len() - 1500..].to_vec();
        assert_eq!(read(&stream, ReadOptions::default().filter(filter).last(1500)).await, last);
    }
}

async fn E3_a_read_ends_at_the_tail_that_it_began_with(pair: &Pair, dir: &Path) {
    let stream = pair.open(dir).await;
    let before = fill(&stream, 4).await;
    let mut reader = stream.read(ReadOptions::default());
    let mut seen = Vec::new();
    while let Some(frame) = reader.try_next().await.unwrap() {
        seen.push(frame);
        fill(&stream, 2).await;
    }
    assert_eq!(seen, before);
}
