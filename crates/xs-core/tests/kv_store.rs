//! What `KvStore` makes of an engine: its costs counted, and what it does with damaged entries.
//! The engine is a map, so it is also the smallest example of one.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use xs_core::kv::{FORMAT, KvBatch, KvEngine, KvOp, KvSnapshot, KvStore, Space, Visit, codec, keys};
use xs_core::{
    Batch, Capabilities, Committed, ContentHash, Direction, Durability, Error, ErrorKind, Frame, FrameId, IdRange,
    Pattern, Result, Scan, Store, TopicPage, Ttl,
};

/// What a sync of the map takes, as it says.
const SYNC: Duration = Duration::from_millis(3);

type Entries = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

#[derive(Clone, Debug, Default)]
struct Map {
    entries: Arc<Mutex<Arc<Entries>>>,
    /// Keys that were looked at.
    visited: Arc<AtomicUsize>,
    failing: Arc<AtomicBool>,
    durable: Option<u64>,
}

impl KvEngine for Map {
    type Snapshot = View;

    fn name(&self) -> &str {
        "map"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn apply(&self, batch: KvBatch) -> Result<Committed> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "no space"));
        }
        let mut entries = self.entries.lock().unwrap();
        let entries = Arc::make_mut(&mut entries);
        for op in batch.ops {
            match op {
                KvOp::Put { space, key, value } => drop(entries.insert((space.tag(), key), value)),
                KvOp::Delete { space, key } => drop(entries.remove(&(space.tag(), key))),
            }
        }
        Ok(Committed::default().sync((batch.durability == Durability::Sync).then_some(SYNC)))
    }

    fn snapshot(&self) -> Result<View> {
        Ok(View { entries: Arc::clone(&self.entries.lock().unwrap()), visited: Arc::clone(&self.visited) })
    }

    fn durable_sequence(&self) -> Result<Option<u64>> {
        Ok(self.durable)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

struct View {
    entries: Arc<Entries>,
    visited: Arc<AtomicUsize>,
}

impl KvSnapshot for View {
    type Value = Vec<u8>;

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.visited.fetch_add(1, Ordering::SeqCst);
        Ok(self.entries.get(&(space.tag(), key.to_vec())).cloned())
    }

    fn range(
        &self,
        space: Space,
        first: &[u8],
        last: &[u8],
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let bound = |key: &[u8]| Bound::Included((space.tag(), key.to_vec()));
        let mut entries = self.entries.range((bound(first), bound(last)));
        while let Some(((_, key), value)) = match direction {
            Direction::Ascending => entries.next(),
            Direction::Descending => entries.next_back(),
        } {
            self.visited.fetch_add(1, Ordering::SeqCst);
            if visit(key, value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

impl Map {
    fn edit(&self, change: impl FnOnce(&mut Entries)) {
        change(Arc::make_mut(&mut self.entries.lock().unwrap()));
    }

    fn open(&self) -> Result<KvStore<Map>> {
        KvStore::open(self.clone(), None)
    }
}

fn id(number: u64) -> FrameId {
    FrameId::from_u128(u128::from(number) << 32)
}

fn frame(number: u64, topic: &str) -> Frame {
    Frame::topic(topic).unwrap().with_id(id(number))
}

async fn insert(store: &dyn Store, frames: impl IntoIterator<Item = Frame>) -> Result<()> {
    store.commit(Batch { insert: frames.into_iter().map(Arc::new).collect(), ..Batch::default() }).await.map(drop)
}

/// S4 by counting: a page looks at its frames and at one entry for each, wherever it lies.
#[tokio::test]
async fn a_page_costs_the_page_and_not_the_topic() {
    let map = Map::default();
    let store = map.open().unwrap();
    for batch in 0..50u64 {
        let topics = ["a.b", "a.b.c", "a.b", "z", "a.b"];
        insert(&store, (0..200).map(|n| frame(batch * 200 + n, topics[usize::try_from(n % 5).unwrap()])))
            .await
            .unwrap();
    }
    for pattern in ["*", "a.b", "a.*", "a.b.*", "z"] {
        for direction in [Direction::Ascending, Direction::Descending] {
            for (start, end) in [
                (Bound::Unbounded, Bound::Unbounded),
                (Bound::Excluded(id(9_000)), Bound::Unbounded),
                (Bound::Unbounded, Bound::Included(id(9_000))),
                (Bound::Included(id(5_000)), Bound::Excluded(id(5_900))),
            ] {
                for limit in [1, 20] {
                    let before = map.visited.load(Ordering::SeqCst);
                    let range = IdRange { start, end };
                    let scan = Scan { range, direction, ..Scan::new(pattern.parse().unwrap(), limit) };
                    assert_eq!(store.scan(scan).await.unwrap().frames.len(), limit);
                    let visited = map.visited.load(Ordering::SeqCst) - before;
                    assert!(visited <= 2 * limit, "{pattern} {direction:?} {range:?}: {visited} for {limit}");
                }
            }
        }
    }
    // Topics cost the topics; a commit of new frames looks at nothing.
    let before = map.visited.load(Ordering::SeqCst);
    assert_eq!(store.topics(TopicPage { limit: 9, ..TopicPage::default() }).await.unwrap().len(), 3);
    assert!(map.visited.load(Ordering::SeqCst) - before <= 4 * 3);
    let before = map.visited.load(Ordering::SeqCst);
    insert(&store, [frame(1_000_000, "a.b")]).await.unwrap();
    assert_eq!(map.visited.load(Ordering::SeqCst), before);
}

/// S11 by hand: whatever is wrong with an entry is named, on every way that leads to it.
#[tokio::test]
async fn damaged_entries_are_corrupt_and_named() {
    type Damage<'a> = (&'a str, Box<dyn Fn(&mut Entries)>);
    let rich = || Frame::topic("a.b").unwrap().hash(ContentHash::of(b"x")).ttl(Ttl::Time { ms: 5 }).with_id(id(7));
    let key = || (Space::Frames.tag(), keys::frame(id(7)));
    let named = id(7).to_string();
    let damages: [Damage<'_>; 5] = [
        ("a flipped bit", Box::new(move |entries| entries.get_mut(&key()).unwrap()[5] ^= 1)),
        ("a record cut short", Box::new(move |entries| entries.get_mut(&key()).unwrap().truncate(3))),
        ("an empty record", Box::new(move |entries| entries.get_mut(&key()).unwrap().clear())),
        (
            "another frame's record",
            Box::new(move |entries| {
                entries.insert(key(), codec::encode(&frame(8, "a.b")));
            }),
        ),
        ("a missing record", Box::new(move |entries| drop(entries.remove(&key())))),
    ];
    for (damage, apply) in damages {
        let map = Map::default();
        let store = map.open().unwrap();
        insert(&store, [frame(1, "z"), rich()]).await.unwrap();
        map.edit(|entries| apply(entries));
        let mut results = Vec::new();
        for pattern in ["a.b", "a.*"] {
            results.push(store.scan(Scan::new(pattern.parse().unwrap(), 9)).await.map(drop));
        }
        results.push(store.topics(TopicPage { limit: 9, ..TopicPage::default() }).await.map(drop));
        if damage != "a missing record" {
            results.push(store.get(id(7)).await.map(drop));
            results.push(store.scan(Scan::new(Pattern::All, 9)).await.map(drop));
            results.push(store.commit(Batch { remove: vec![id(7)], ..Batch::default() }).await.map(drop));
        }
        for result in results {
            let error = result.expect_err(damage);
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{damage}");
            assert!(error.to_string().contains(&named), "{damage}: {error}");
        }
        // What is not damaged can still be read.
        assert_eq!(store.get(id(1)).await.unwrap(), Some(frame(1, "z")));
    }
    let map = Map::default();
    let store = map.open().unwrap();
    let garbage = [&[4][..], &[1; 20]].concat();
    map.edit(|entries| drop(entries.insert((Space::Index.tag(), garbage), Vec::new())));
    assert_eq!(store.expiring(u64::MAX, 9).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn what_was_durable_and_is_gone_is_noticed_on_open() {
    let map = Map::default();
    let store = map.open().unwrap();
    for number in 1..=3 {
        insert(&store, [frame(number, "a")]).await.unwrap();
    }
    drop(store);
    assert!(Map { durable: Some(3), ..map.clone() }.open().is_ok());
    let error = Map { durable: Some(4), ..map.clone() }.open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("commit 3") && error.to_string().contains("commit 4"), "{error}");
    let error = Map { durable: Some(1), ..Map::default() }.open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "an index that lost even its first commit was made anew");
}

#[test]
fn records_about_the_store_are_checked_on_open() {
    let key = |key: &[u8]| (Space::Index.tag(), key.to_vec());
    let tail = keys::Tail::EMPTY.encode();
    let version = |version: u32| version.to_be_bytes().to_vec();
    for (format, tail, kind) in [
        (Some(version(FORMAT + 1)), Some(tail.clone()), ErrorKind::Unsupported),
        (Some(version(FORMAT + 1)), None, ErrorKind::Unsupported),
        (Some(version(0)), Some(tail.clone()), ErrorKind::Corrupt),
        (Some(vec![1]), Some(tail.clone()), ErrorKind::Corrupt),
        (Some(version(FORMAT)), None, ErrorKind::Corrupt),
        (Some(version(FORMAT)), Some(vec![0; 28]), ErrorKind::Corrupt),
        (None, Some(tail), ErrorKind::Corrupt),
    ] {
        let map = Map::default();
        map.edit(|entries| {
            entries.extend(format.clone().map(|value| (key(keys::FORMAT_KEY), value)));
            entries.extend(tail.clone().map(|value| (key(keys::TAIL_KEY), value)));
        });
        let before = Arc::clone(&map.entries.lock().unwrap());
        assert_eq!(map.open().unwrap_err().kind(), kind, "{format:?} {tail:?}");
        assert_eq!(*map.entries.lock().unwrap(), before, "a refused store was changed");
    }
    let map = Map::default();
    map.edit(|entries| drop(entries.insert((Space::Frames.tag(), vec![7]), vec![7])));
    assert_eq!(map.open().unwrap_err().kind(), ErrorKind::Corrupt, "somebody else's entries were taken for a store");
}

#[tokio::test]
async fn what_the_engine_tells_of_its_sync_reaches_the_caller() {
    let store = Map::default().open().unwrap();
    for (number, durability, sync) in [(1, Durability::Sync, Some(SYNC)), (2, Durability::Buffered, None)] {
        let batch = Batch { insert: vec![Arc::new(frame(number, "a"))], durability, ..Batch::default() };
        assert_eq!(store.commit(batch).await.unwrap().sync, sync);
    }
    assert_eq!(store.commit(Batch::default()).await.unwrap(), Committed::default(), "nothing was to be synced");
}

#[tokio::test]
async fn a_commit_that_the_engine_refuses_changes_nothing() {
    let map = Map::default();
    let store = map.open().unwrap();
    insert(&store, [frame(1, "a")]).await.unwrap();
    map.failing.store(true, Ordering::SeqCst);
    assert_eq!(insert(&store, [frame(2, "a")]).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.last_id().await.unwrap(), id(1));
    map.failing.store(false, Ordering::SeqCst);
    // The number of the failed commit is given again, so that none is missing.
    insert(&store, [frame(2, "a")]).await.unwrap();
    drop(store);
    assert!(Map { durable: Some(2), ..map.clone() }.open().is_ok());
    assert!(Map { durable: Some(3), ..map }.open().is_err());
}
