//! Random sequences of operations, on the memory reference and on the subject. A sequence that shows
//! a difference is made as short as it gets before it is reported.
//!
//! `XS_MODEL_CASES` says how many sequences are tried, `XS_MODEL_SEED` from which seed.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use xs_core::memory::MemoryStore;
use xs_core::{Batch, Direction, Durability, Frame, Store, TopicPage, Ttl};

use crate::StoreSubject;
use crate::suite::words;
use crate::tools::{frame, id, pattern, scan_all};

/// Sequences where the environment does not say.
const CASES: u32 = 32;
const OPERATIONS: usize = 60;

fn number<T: std::str::FromStr>(variable: &str, default: T) -> T {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How many sequences are tried.
pub(crate) fn cases() -> u32 {
    number("XS_MODEL_CASES", CASES)
}

/// Tries so many random values, until one makes `case` panic, and then panics with the smallest such.
pub(crate) async fn check<S, F>(
    cases: u32,
    strategy: impl FnOnce() -> S + Send + 'static,
    case: impl Fn(u32, S::Value) -> F + Send + 'static,
) where
    S: Strategy,
    F: Future<Output = ()>,
{
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(number("XS_MODEL_SEED", 0)),
        max_shrink_iters: 500,
        failure_persistence: None,
        ..Config::default()
    };
    let runtime = tokio::runtime::Handle::current();
    let checking = tokio::task::spawn_blocking(move || {
        let tried = AtomicU32::new(0);
        let run = |value| {
            let number = tried.fetch_add(1, Ordering::Relaxed);
            let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(case(number, value))));
            ran.map_err(|panic| TestCaseError::fail(words(&*panic)))
        };
        TestRunner::new(config).run(&strategy(), run).map_err(|error| error.to_string())
    });
    if let Err(found) = checking.await.unwrap() {
        panic!("{found}");
    }
}

/// What is done to both.
#[derive(Clone, Debug)]
enum Operation {
    Commit { insert: Vec<Frame>, remove: Vec<u64>, sync: bool },
    Reopen,
    Compare { limit: usize, topics: usize, before_ms: u64, number: u64 },
}

const TOPICS: [&str; 6] = ["a", "a.b", "a.b.c", "b", "b.c", "ab"];

fn operations() -> impl Strategy<Value = Operation> {
    let frames = (0..200u64, prop::sample::select(&TOPICS[..]), prop::option::of(0..100u64));
    let frames =
        frames.prop_map(|(number, topic, ms)| Frame { ttl: ms.map(|ms| Ttl::Time { ms }), ..frame(number, topic) });
    let insert = prop::collection::vec(frames, 0..4).prop_map(|mut frames| {
        frames.sort_by_key(|frame| frame.id);
        frames.dedup_by_key(|frame| frame.id);
        frames
    });
    let commit = (insert, prop::collection::vec(0..200u64, 0..3), any::<bool>());
    prop_oneof![
        7 => commit.prop_map(|(insert, remove, sync)| Operation::Commit { insert, remove, sync }),
        1 => Just(Operation::Reopen),
        2 => (1..40usize, 1..9usize, 0..400u64, 0..200u64).prop_map(|(limit, topics, before_ms, number)| {
            Operation::Compare { limit, topics, before_ms, number }
        }),
    ]
}

/// Runs the same operations on both, and compares all that can be read after some of them.
pub(crate) async fn agrees(subject: &StoreSubject, dir: &Path) {
    let (subject, dir) = (subject.clone(), dir.to_owned());
    check(
        cases(),
        || prop::collection::vec(operations(), 1..OPERATIONS),
        move |number, operations| {
            let (subject, place) = (subject.clone(), dir.join(number.to_string()));
            async move { agree(&subject, &place, &operations).await }
        },
    )
    .await;
}

async fn agree(subject: &StoreSubject, place: &Path, operations: &[Operation]) {
    let model = MemoryStore::new();
    let mut store = subject.open(place).await.unwrap();
    for operation in operations {
        match operation {
            Operation::Commit { insert, remove, sync } => {
                let inserted: Vec<_> = insert.iter().map(|frame| frame.id).collect();
                let batch = Batch {
                    insert: insert.iter().cloned().map(Arc::new).collect(),
                    // What one batch both inserts and removes has no order to go by.
                    remove: remove.iter().map(|number| id(*number)).filter(|id| !inserted.contains(id)).collect(),
                    durability: if *sync { Durability::Sync } else { Durability::Buffered },
                };
                let expected = model.commit(batch.clone()).await.map(drop).map_err(|error| error.kind());
                assert_eq!(store.commit(batch).await.map(drop).map_err(|error| error.kind()), expected);
            }
            Operation::Reopen => {
                store.close().await.unwrap();
                store = subject.open(place).await.unwrap();
            }
            Operation::Compare { limit, topics, before_ms, number } => {
                same(&*store, &model, *limit, *topics, *before_ms, *number).await;
            }
        }
    }
    same(&*store, &model, 7, 9, 300, 0).await;
    store.close().await.unwrap();
}

async fn same(store: &dyn Store, model: &dyn Store, limit: usize, topics: usize, before_ms: u64, number: u64) {
    for text in ["*", "a", "a.*", "a.b", "a.b.*", "b.*", "ab.*"] {
        for direction in [Direction::Ascending, Direction::Descending] {
            let expected = scan_all(model, &pattern(text), direction, limit).await.unwrap();
            assert_eq!(scan_all(store, &pattern(text), direction, limit).await.unwrap(), expected, "{text}");
        }
    }
    let page = TopicPage { limit: topics, ..TopicPage::default() };
    assert_eq!(store.topics(page.clone()).await.unwrap(), model.topics(page).await.unwrap());
    let due = (store.expiring(before_ms, limit).await.unwrap(), model.expiring(before_ms, limit).await.unwrap());
    assert_eq!(due.0, due.1);
    assert_eq!(store.last_id().await.unwrap(), model.last_id().await.unwrap());
    assert_eq!(store.get(id(number)).await.unwrap(), model.get(id(number)).await.unwrap());
}
