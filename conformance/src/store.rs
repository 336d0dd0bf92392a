//! S1 to S12: what every index does.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use xs_core::{
    Batch, ContentHash, Create, Direction, Durability, ErrorKind, FrameId, IdRange, Meta, Pattern, Scan, Store, Topic,
    TopicPage, Ttl,
};

use crate::results::refused;
use crate::tools::{DIRECTIONS, frame, id, ids, insert, new, pattern, remove, scan_all};
use crate::{StoreSubject, damage, model};

crate::suite::cases!(StoreSubject:
    S1_a_refused_batch_changes_nothing,
    S2_both_durabilities_survive_a_close,
    S2_a_commit_tells_no_sync_that_was_not,
    S3_scans_are_strictly_ordered,
    S4_a_page_holds_at_most_its_limit,
    S4_a_page_ends_after_its_bytes,
    S4_bounds_are_exact,
    S5_reads_see_what_was_committed,
    S5_the_last_id_outlives_its_frame,
    S6_pages_are_stable,
    S6_topics_are_listed_while_others_commit,
    S7_patterns_select_what_they_say,
    S8_removal_leaves_no_trace,
    S9_a_second_open_is_locked,
    S9_an_open_waits_for_an_owner_on_its_way_out,
    S9_a_missing_store_is_not_made_up,
    S10_frames_come_back_as_they_went_in,
    S11_damage_never_goes_unnoticed,
    S11_a_file_cut_short_never_goes_unnoticed,
    S12_a_newer_format_is_refused,
    S_what_a_store_cannot_do_it_refuses,
    S_topics_come_in_pages_with_their_last_frame,
    S_expiring_frames_come_soonest_first,
    S_references_to_content_are_known,
    S_any_sequence_of_operations_does_what_the_model_does,
);

async fn S1_a_refused_batch_changes_nothing(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    insert(&*store, [frame(5, "a"), frame(7, "b")]).await.unwrap();
    let refused = Batch {
        insert: vec![Arc::new(frame(6, "c.d")), Arc::new(frame(7, "c"))],
        remove: vec![id(5)],
        durability: Durability::Sync,
    };
    assert_eq!(store.commit(refused).await.unwrap_err().kind(), ErrorKind::Conflict);
    let unordered = Batch { insert: vec![Arc::new(frame(9, "c.d")), Arc::new(frame(8, "c.d"))], ..Batch::default() };
    assert_eq!(store.commit(unordered).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let all = scan_all(&*store, &Pattern::All, Direction::Ascending, 10).await.unwrap();
    assert_eq!(all, [frame(5, "a"), frame(7, "b")]);
    assert_eq!(scan_all(&*store, &pattern("c.*"), Direction::Ascending, 10).await.unwrap(), []);
    assert_eq!(store.last_id().await.unwrap(), id(7));
}

async fn S2_both_durabilities_survive_a_close(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    for (number, durability) in [(1, Durability::Sync), (2, Durability::Buffered)] {
        let insert = vec![Arc::new(frame(number, "a"))];
        store.commit(Batch { insert, durability, ..Batch::default() }).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let store = subject.open_as(dir, Create::Never).await.unwrap();
    assert_eq!(ids(&scan_all(&*store, &Pattern::All, Direction::Ascending, 9).await.unwrap()), [id(1), id(2)]);
}

/// A store may keep to itself how long it synced, but not make it up.
async fn S2_a_commit_tells_no_sync_that_was_not(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    let persistent = store.capabilities().persistent;
    for (number, durability) in [(1, Durability::Sync), (2, Durability::Buffered), (3, Durability::Sync)] {
        let batch = Batch { insert: vec![Arc::new(frame(number, "a"))], durability, ..Batch::default() };
        let since = Instant::now();
        let sync = store.commit(batch).await.unwrap().sync;
        let took = since.elapsed();
        assert!(persistent || sync.is_none(), "what keeps nothing told a sync of {sync:?}");
        assert!(sync.is_none_or(|sync| sync <= took), "a sync of {sync:?} in a commit of {took:?}");
    }
}

async fn reopen(subject: &StoreSubject, dir: &Path, store: &dyn Store) -> Arc<dyn Store> {
    store.close().await.unwrap();
    subject.open(dir).await.unwrap()
}

/// Frames over topics of several depths, with ids that are not dense.
async fn fill(store: &dyn Store) -> Vec<xs_core::Frame> {
    let topics = ["a", "a.b", "a.b.c", "a.bc", "a-b", "b", "b.a.b.c", "aa", "a.b", "A.b"];
    let frames: Vec<_> =
        (0..100u64).map(|n| frame(n * n % 1009 * 3 + n, topics[usize::try_from(n % 10).unwrap()])).collect();
    let mut sorted = frames;
    sorted.sort_by_key(|frame| frame.id);
    for chunk in sorted.chunks(7) {
        insert(store, chunk.to_vec()).await.unwrap();
    }
    sorted
}

const PATTERNS: [&str; 12] =
    ["*", "a", "a.*", "a.b", "a.b.*", "a.b.c", "a.b.c.*", "b.*", "b.a.*", "aa", "A.*", "nothing.*"];

async fn S3_scans_are_strictly_ordered(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    fill(&*store).await;
    for text in PATTERNS {
        let up = ids(&scan_all(&*store, &pattern(text), Direction::Ascending, 6).await.unwrap());
        assert!(up.is_sorted_by(|a, b| a < b), "{text}");
        let mut down = ids(&scan_all(&*store, &pattern(text), Direction::Descending, 6).await.unwrap());
        down.reverse();
        assert_eq!(up, down, "{text}");
    }
}

async fn S4_a_page_holds_at_most_its_limit(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    let frames = fill(&*store).await;
    for text in PATTERNS {
        for direction in DIRECTIONS {
            for limit in [1, 2, 99, 100, 101, 1000] {
                let page = store.scan(Scan { direction, ..Scan::new(pattern(text), limit) }).await.unwrap();
                let selected = frames.iter().filter(|frame| pattern(text).matches(&frame.topic)).count();
                assert_eq!(page.frames.len(), selected.min(limit), "{text} {direction:?} {limit}");
                assert!(page.complete || selected >= limit, "{text} {direction:?} {limit}");
            }
        }
    }
}

async fn S4_a_page_ends_after_its_bytes(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    let big = |n| new("a.b").meta("x".repeat(10_000).into()).with_id(id(n));
    insert(&*store, (1..=20).map(big)).await.unwrap();
    for (bytes_max, frames) in [(1, 1), (15_000, 2), (1_000_000, 20)] {
        for text in ["*", "a.b", "a.*"] {
            let page = store.scan(Scan { bytes_max, ..Scan::new(pattern(text), 100) }).await.unwrap();
            assert_eq!((page.frames.len(), page.complete), (frames, frames == 20), "{text} {bytes_max}");
        }
    }
}

async fn S4_bounds_are_exact(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    let frames = fill(&*store).await;
    let some = [FrameId::MIN, frames[0].id, frames[40].id, id(1), frames[99].id, FrameId::MAX];
    let bounds: Vec<_> =
        some.iter().flat_map(|id| [Bound::Included(*id), Bound::Excluded(*id)]).chain([Bound::Unbounded]).collect();
    for text in ["*", "a.b", "a.*"] {
        for start in &bounds {
            for end in &bounds {
                let range = IdRange { start: *start, end: *end };
                let mut expected: Vec<_> = frames
                    .iter()
                    .filter(|frame| pattern(text).matches(&frame.topic) && range.contains(frame.id))
                    .map(|frame| frame.id)
                    .collect();
                for direction in DIRECTIONS {
                    let scan = Scan { range, direction, ..Scan::new(pattern(text), 1000) };
                    assert_eq!(ids(&store.scan(scan).await.unwrap().frames), expected, "{text} {range:?}");
                    expected.reverse();
                }
            }
        }
    }
}

async fn S5_reads_see_what_was_committed(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    assert_eq!(store.last_id().await.unwrap(), FrameId::MIN);
    assert_eq!(store.get(id(1)).await.unwrap(), None);
    for number in 1..50 {
        insert(&*store, [frame(number, "a.b")]).await.unwrap();
        assert_eq!(store.get(id(number)).await.unwrap(), Some(frame(number, "a.b")));
        for text in ["*", "a.b", "a.*"] {
            let newest = Scan { direction: Direction::Descending, ..Scan::new(pattern(text), 1) };
            assert_eq!(ids(&store.scan(newest).await.unwrap().frames), [id(number)]);
        }
        assert_eq!(store.last_id().await.unwrap(), id(number));
    }
}

async fn S5_the_last_id_outlives_its_frame(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    insert(&*store, [frame(3, "a"), frame(9, "a")]).await.unwrap();
    remove(&*store, [id(3), id(9)]).await.unwrap();
    insert(&*store, [frame(5, "a")]).await.unwrap();
    assert_eq!(store.last_id().await.unwrap(), id(9));
    store.close().await.unwrap();
    let store = subject.open(dir).await.unwrap();
    assert_eq!(store.last_id().await.unwrap(), id(9));
}

async fn S6_pages_are_stable(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    let before: Vec<_> = (1..=60).map(|n| frame(n * 10, "a.b")).collect();
    insert(&*store, before.clone()).await.unwrap();
    let mut used: BTreeSet<u64> = (1..=60).map(|n| n * 10).collect();
    for (text, direction) in
        [("*", Direction::Ascending), ("a.b", Direction::Descending), ("a.*", Direction::Ascending)]
    {
        let mut seen = Vec::new();
        let mut range = IdRange::ALL;
        loop {
            let page = store.scan(Scan { range, direction, ..Scan::new(pattern(text), 4) }).await.unwrap();
            let Some(last) = page.frames.last() else { break };
            range = range.beyond(last.id, direction);
            seen.extend(ids(&page.frames));
            // Around the cursor, and far beyond it; each number is used once.
            let near = u64::try_from(last.id.to_u128() >> 32).unwrap() / 10 * 10;
            for from in [near, near + 1000] {
                let free = (from..).find(|number| used.insert(*number)).unwrap();
                insert(&*store, [frame(free, "a.b")]).await.unwrap();
            }
            if page.complete {
                break;
            }
        }
        seen.sort_unstable();
        let distinct: BTreeSet<_> = seen.iter().copied().collect();
        assert_eq!(distinct.len(), seen.len(), "{text}: a frame came twice");
        assert!(before.iter().all(|frame| distinct.contains(&frame.id)), "{text}: a frame was skipped");
    }
}

/// The list of topics is of one moment: a topic whose only frame goes meanwhile is in it or not.
async fn S6_topics_are_listed_while_others_commit(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    insert(&*store, [frame(1, "a"), frame(2, "z")]).await.unwrap();
    let committing = async {
        for n in 10..200 {
            insert(&*store, [frame(n, "m.n")]).await.unwrap();
            remove(&*store, [id(n)]).await.unwrap();
        }
    };
    let listing = async {
        loop {
            let tails = store.topics(TopicPage { limit: 9, ..TopicPage::default() }).await.unwrap();
            let names: Vec<_> = tails.iter().map(|tail| tail.topic.as_str()).collect();
            assert!(names == ["a", "z"] || names == ["a", "m.n", "z"], "{names:?}");
            assert!(tails.iter().all(|tail| tail.last.topic == tail.topic), "{tails:?}");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = committing => {}
        () = listing => {}
    }
}

async fn S7_patterns_select_what_they_say(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    let frames = fill(&*store).await;
    for text in PATTERNS {
        let expected: Vec<_> = frames.iter().filter(|frame| pattern(text).matches(&frame.topic)).cloned().collect();
        for direction in DIRECTIONS {
            let mut found = scan_all(&*store, &pattern(text), direction, 9).await.unwrap();
            found.sort_by_key(|frame| frame.id);
            assert_eq!(found, expected, "{text}");
        }
    }
}

async fn S8_removal_leaves_no_trace(subject: &StoreSubject, dir: &Path) {
    let mut store = subject.open(dir).await.unwrap();
    let hash = ContentHash::of(b"content");
    let rich = |n| new("a.b.c").hash(hash).ttl(Ttl::Time { ms: 50 }).meta(1.into()).with_id(id(n));
    insert(&*store, [rich(1), rich(2), frame(3, "z")]).await.unwrap();
    remove(&*store, [id(1), id(404)]).await.unwrap();
    assert!(store.is_referenced(hash).await.unwrap());
    remove(&*store, [id(2), id(1)]).await.unwrap();
    for reopened in [false, true] {
        if reopened {
            store = reopen(subject, dir, &*store).await;
        }
        assert_eq!(store.get(id(1)).await.unwrap(), None);
        for text in ["a.b.c", "a.*", "a.b.*"] {
            for direction in DIRECTIONS {
                assert_eq!(scan_all(&*store, &pattern(text), direction, 9).await.unwrap(), [], "{text}");
            }
        }
        assert_eq!(ids(&scan_all(&*store, &Pattern::All, Direction::Ascending, 9).await.unwrap()), [id(3)]);
        let tails = store.topics(TopicPage { limit: 9, ..TopicPage::default() }).await.unwrap();
        assert_eq!(tails.iter().map(|tail| tail.topic.as_str()).collect::<Vec<_>>(), ["z"]);
        assert_eq!(store.expiring(u64::MAX, 9).await.unwrap(), []);
        assert!(!store.is_referenced(hash).await.unwrap());
    }
}

async fn S9_a_second_open_is_locked(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    insert(&*store, [frame(1, "a")]).await.unwrap();
    assert_eq!(subject.open(dir).await.unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(store.get(id(1)).await.unwrap(), Some(frame(1, "a")), "a refused owner disturbed the first");
    store.close().await.unwrap();
    store.close().await.unwrap();
    for result in [store.get(id(1)).await.map(drop), insert(&*store, [frame(2, "a")]).await] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Closed);
    }
    // Closed, though a handle is still there; then dropped without being closed.
    let second = subject.open(dir).await.unwrap();
    drop(store);
    assert_eq!(second.get(id(1)).await.unwrap(), Some(frame(1, "a")));
    drop(second);
    let third = subject.open(dir).await.unwrap();
    assert_eq!(third.get(id(1)).await.unwrap(), Some(frame(1, "a")));
}

async fn S9_an_open_waits_for_an_owner_on_its_way_out(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    store.closing();
    let (second, ()) = tokio::join!(subject.open(dir), async {
        crate::tools::settle().await;
        store.close().await.unwrap();
    });
    second.unwrap();
}

async fn S9_a_missing_store_is_not_made_up(subject: &StoreSubject, dir: &Path) {
    let place = dir.join("missing");
    assert_eq!(subject.open_as(&place, Create::Never).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!place.exists());
}

async fn S10_frames_come_back_as_they_went_in(subject: &StoreSubject, dir: &Path) {
    let long = format!("t{}", ".x-9_Y".repeat(42));
    let metas = [
        "{\"z\":1,\"a\": 2.50 ,\"a\":1e400}",
        "\"\\ud800 \\u0000 é\u{1f980}\"",
        "[\n 1,\r\n2 ]",
        "0",
        "\"\"",
        "{}",
        "false",
    ];
    let ttls = [
        None,
        Some(Ttl::Forever),
        Some(Ttl::Time { ms: 0 }),
        Some(Ttl::Time { ms: u64::MAX }),
        Some(Ttl::Last(3.try_into().unwrap())),
    ];
    let mut frames = Vec::new();
    for (number, meta) in metas.iter().enumerate() {
        let mut frame = new(if number % 2 == 0 { "a" } else { &long }).meta_text(meta).unwrap();
        frame.ttl = ttls[number % ttls.len()];
        frame.hash = (number % 3 == 0).then(|| ContentHash::of(meta.as_bytes()));
        frames.push(frame.with_id(id(number as u64)));
    }
    frames.push(new(&long).meta("m".repeat(1_000_000).into()).with_id(FrameId::from_u128(u128::MAX - 1)));
    frames.push(frame(0, "a"));
    frames.sort_by_key(|frame| frame.id);
    frames.dedup_by_key(|frame| frame.id);
    let mut store = subject.open(dir).await.unwrap();
    insert(&*store, frames.clone()).await.unwrap();
    for reopened in [false, true] {
        if reopened {
            store = reopen(subject, dir, &*store).await;
        }
        assert_eq!(scan_all(&*store, &Pattern::All, Direction::Ascending, 3).await.unwrap(), frames);
        for frame in &frames {
            assert_eq!(store.get(frame.id).await.unwrap().as_ref(), Some(frame));
            let exact = Pattern::Exact(frame.topic.clone());
            assert!(scan_all(&*store, &exact, Direction::Descending, 9).await.unwrap().contains(frame));
        }
    }
    assert_eq!(Meta::parse(metas[0]).unwrap().unwrap().as_str(), metas[0]);
}

async fn S11_damage_never_goes_unnoticed(subject: &StoreSubject, dir: &Path) {
    damage::every_flip_is_seen(subject, dir).await;
}

async fn S11_a_file_cut_short_never_goes_unnoticed(subject: &StoreSubject, dir: &Path) {
    damage::every_cut_is_seen(subject, dir).await;
}

async fn S12_a_newer_format_is_refused(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    insert(&*store, [frame(1, "a")]).await.unwrap();
    store.close().await.unwrap();
    let current = store.format();
    let persistent = store.capabilities().persistent;
    drop(store);
    let Some(make_newer) = subject.make_newer else {
        assert!(!persistent, "a persistent index has a format, and the suite needs a way to make a newer one");
        return refused("persistent");
    };
    let newer = {
        let dir = dir.to_owned();
        tokio::task::spawn_blocking(move || make_newer(&dir)).await.unwrap()
    };
    assert!(newer > current);
    // What a lock file says, and what an engine maps to share it, is no data.
    let bytes = |name: &PathBuf| std::fs::read(dir.join(name)).unwrap();
    let is_data = |name: &PathBuf| !["lock", "shm", "wal"].iter().any(|end| name.to_string_lossy().ends_with(end));
    let files = || -> Vec<_> {
        let data = crate::tools::files_below(dir).into_iter().filter(is_data);
        data.map(|name| (bytes(&name), name)).filter(|(bytes, _)| !bytes.is_empty()).collect()
    };
    let before = files();
    for _ in 0..2 {
        let error = subject.open(dir).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(text.contains(&newer.to_string()) && text.contains(&current.to_string()), "{text}");
        assert!(files() == before, "a store of a newer format was refused, and changed");
    }
}

async fn S_what_a_store_cannot_do_it_refuses(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    let capabilities = store.capabilities();
    assert!(capabilities.exclusive, "an index has one owner (S9)");
    let frames = fill(&*store).await;
    let (kept, gone) = frames.split_at(10);
    remove(&*store, ids(gone)).await.unwrap();
    match (capabilities.compact, store.compact().await) {
        (true, result) => result.unwrap(),
        (false, result) => {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Unsupported);
            refused("compact");
        }
    }
    insert(&*store, [frame(100_000, "late")]).await.unwrap();
    let store = reopen(subject, dir, &*store).await;
    let all = scan_all(&*store, &Pattern::All, Direction::Ascending, 9).await.unwrap();
    assert_eq!(all[..10], *kept);
    assert_eq!(all[10..], [frame(100_000, "late")]);
}

async fn S_topics_come_in_pages_with_their_last_frame(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    let frames = fill(&*store).await;
    let mut names: Vec<&str> = frames.iter().map(|frame| frame.topic.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for limit in [1, 2, 100] {
        for prefix in ["", "a", "a.", "a.b", "b.a.b.c", "c", "a\0", "\u{ff}", " "] {
            let mut found = Vec::new();
            let mut page = TopicPage { prefix: prefix.to_owned(), after: None, limit };
            loop {
                let tails = store.topics(page.clone()).await.unwrap();
                assert!(tails.len() <= limit);
                page.after = tails.last().map(|tail| tail.topic.clone());
                let end = tails.len() < limit;
                found.extend(tails);
                if end {
                    break;
                }
            }
            let expected: Vec<_> = names.iter().filter(|name| name.starts_with(prefix)).copied().collect();
            assert_eq!(found.iter().map(|tail| tail.topic.as_str()).collect::<Vec<_>>(), expected, "{prefix}");
            for tail in found {
                let last = frames.iter().rfind(|frame| frame.topic == tail.topic).unwrap();
                assert_eq!(&tail.last, last);
            }
        }
    }
    let after = Some(Topic::parse("aaa").unwrap());
    let tails = store.topics(TopicPage { prefix: "a".to_owned(), after, limit: 9 }).await.unwrap();
    assert!(tails.is_empty(), "a page after the last topic of a prefix");
}

async fn S_expiring_frames_come_soonest_first(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    let at = |n: u64, ms| new("a").ttl(Ttl::Time { ms }).with_id(FrameId::from_u128(u128::from(n) << 80));
    let frames = [at(100, 50), at(110, 10), at(120, 0), at(130, u64::MAX)];
    insert(&*store, frames.clone()).await.unwrap();
    insert(&*store, [new("a").ttl(Ttl::Forever).with_id(FrameId::from_u128(500 << 80))]).await.unwrap();
    let due = |before, limit| store.expiring(before, limit);
    let [a, b, c, d] = frames.map(|frame| frame.id);
    assert_eq!(due(u64::MAX, 9).await.unwrap(), [(120, b), (120, c), (150, a), (u64::MAX, d)]);
    assert_eq!(due(149, 9).await.unwrap(), [(120, b), (120, c)]);
    assert_eq!(due(150, 9).await.unwrap().len(), 3);
    assert_eq!(due(119, 9).await.unwrap(), []);
    assert_eq!(due(u64::MAX, 1).await.unwrap(), [(120, b)]);
}

async fn S_references_to_content_are_known(subject: &StoreSubject, dir: &Path) {
    let store = subject.open(dir).await.unwrap();
    let hash = |n: u8| ContentHash::from_bytes([n; 32]);
    insert(&*store, [new("a").hash(hash(7)).with_id(id(1)), frame(2, "a")]).await.unwrap();
    assert!(store.is_referenced(hash(7)).await.unwrap());
    assert!(!store.is_referenced(hash(6)).await.unwrap());
    assert!(!store.is_referenced(hash(255)).await.unwrap());
}

async fn S_any_sequence_of_operations_does_what_the_model_does(subject: &StoreSubject, dir: &Path) {
    model::agrees(subject, dir).await;
}
