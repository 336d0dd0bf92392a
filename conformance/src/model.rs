//! Random sequences of operations, on the memory reference and on the subject.

use std::path::Path;
use std::sync::Arc;

use xs_core::memory::MemoryStore;
use xs_core::{Batch, Direction, Durability, Store, TopicPage, Ttl};

use crate::StoreSubject;
use crate::tools::{frame, id, pattern, scan_all};

/// Sequences, and operations in each.
const SEQUENCES: u64 = 24;
const OPERATIONS: usize = 60;

/// Runs the same random operations on both, and compares all that can be read after some of them.
/// A failure names the seed.
pub(crate) async fn agrees(subject: &StoreSubject, dir: &Path) {
    for seed in 0..SEQUENCES {
        let mut random = fastrand::Rng::with_seed(seed);
        let place = dir.join(seed.to_string());
        let model = MemoryStore::new();
        let mut store = subject.open(&place).await.unwrap();
        for step in 0..OPERATIONS {
            match random.u8(..10) {
                0..=6 => {
                    let batch = batch(&mut random);
                    let expected = model.commit(batch.clone()).await.map_err(|error| error.kind());
                    let actual = store.commit(batch.clone()).await.map_err(|error| error.kind());
                    assert_eq!(actual, expected, "seed {seed}, step {step}: {batch:?}");
                }
                7 => {
                    store.close().await.unwrap();
                    store = subject.open(&place).await.unwrap();
                }
                _ => same(&*store, &model, &mut random, &format!("seed {seed}, step {step}")).await,
            }
        }
        same(&*store, &model, &mut random, &format!("seed {seed}, at the end")).await;
    }
}

const TOPICS: [&str; 6] = ["a", "a.b", "a.b.c", "b", "b.c", "ab"];

fn batch(random: &mut fastrand::Rng) -> Batch {
    let mut numbers: Vec<u64> = (0..random.usize(..4)).map(|_| random.u64(..200)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let insert = numbers.into_iter().map(|number| {
        let mut frame = frame(number, TOPICS[random.usize(..TOPICS.len())]);
        frame.ttl = random.bool().then(|| Ttl::Time { ms: random.u64(..100) });
        Arc::new(frame)
    });
    let insert: Vec<_> = insert.collect();
    let remove = (0..random.usize(..3)).map(|_| id(random.u64(..200)));
    // What one batch both inserts and removes has no order to go by.
    let remove = remove.filter(|id| insert.iter().all(|frame| frame.id != *id)).collect();
    Batch { insert, remove, durability: if random.bool() { Durability::Sync } else { Durability::Buffered } }
}

async fn same(store: &dyn Store, model: &dyn Store, random: &mut fastrand::Rng, when: &str) {
    let limit = random.usize(1..40);
    for text in ["*", "a", "a.*", "a.b", "a.b.*", "b.*", "ab.*"] {
        for direction in [Direction::Ascending, Direction::Descending] {
            let expected = scan_all(model, &pattern(text), direction, limit).await.unwrap();
            let actual = scan_all(store, &pattern(text), direction, limit).await.unwrap();
            assert_eq!(actual, expected, "{when}: {text}");
        }
    }
    let page = TopicPage { limit: random.usize(1..9), ..TopicPage::default() };
    assert_eq!(store.topics(page.clone()).await.unwrap(), model.topics(page).await.unwrap(), "{when}");
    let before = random.u64(..400);
    assert_eq!(store.expiring(before, limit).await.unwrap(), model.expiring(before, limit).await.unwrap(), "{when}");
    assert_eq!(store.last_id().await.unwrap(), model.last_id().await.unwrap(), "{when}");
    let some = id(random.u64(..200));
    assert_eq!(store.get(some).await.unwrap(), model.get(some).await.unwrap(), "{when}");
}
