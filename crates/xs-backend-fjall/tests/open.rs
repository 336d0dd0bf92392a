//! What is refused, and left as it is, what an interrupted making leaves, and what a commit tells.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use xs_backend_fjall::{FjallFactory, FjallSettings};
use xs_core::{Batch, Create, Durability, ErrorKind, Frame, FrameId, Location, Result, Store, StoreFactory};

async fn open(dir: &Path, create: Create) -> Result<Arc<dyn Store>> {
    FjallFactory::default().open(&Location::new("fjall", dir), create).await
}

async fn store_with_a_frame(dir: &Path) {
    let store = open(dir, Create::IfMissing).await.unwrap();
    let frame = Frame::topic("a").unwrap().with_id(FrameId::from_u128(1 << 32));
    store.commit(Batch { insert: vec![Arc::new(frame)], ..Batch::default() }).await.unwrap();
    store.close().await.unwrap();
}

fn names_and_bytes(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(names_and_bytes(&path)),
            false if path.extension().is_some_and(|extension| extension == "lock") => {}
            false => found.push((path.display().to_string(), fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_newer_format_is_refused_before_anything_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    store_with_a_frame(dir.path()).await;
    let newer = xs_core::kv::Noted { format: 9, sequence: 1 };
    fs::write(dir.path().join("durable"), newer.encode()).unwrap();
    // What fjall would repair when it opens.
    let journal = dir.path().join("0.jnl");
    let mut bytes = fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes.truncate(end);
    bytes.extend([1, 2, 3]);
    fs::write(&journal, bytes).unwrap();
    let before = names_and_bytes(dir.path());
    let error = open(dir.path(), Create::Never).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains('9') && error.to_string().contains("up to 1"), "{error}");
    assert!(names_and_bytes(dir.path()) == before, "a refused store was changed");
}

#[tokio::test]
async fn a_keyspace_that_is_gone_is_corrupt() {
    for keyspace in ["1", "2"] {
        let dir = tempfile::tempdir().unwrap();
        store_with_a_frame(dir.path()).await;
        fs::remove_dir_all(dir.path().join("keyspaces").join(keyspace)).unwrap();
        for _ in 0..2 {
            let error = open(dir.path(), Create::Never).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{keyspace}: {error}");
        }
    }
}

#[tokio::test]
async fn a_making_that_was_killed_is_made_again() {
    for left in ["no version", "an empty version"] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), Create::IfMissing).await.unwrap());
        fs::remove_file(dir.path().join("durable")).unwrap();
        match left {
            "no version" => fs::remove_file(dir.path().join("version")).unwrap(),
            _ => fs::write(dir.path().join("version"), "").unwrap(),
        }
        open(dir.path(), Create::IfMissing).await.unwrap();
        store_with_a_frame(dir.path()).await;
    }
    // But a store that lost its version is not made anew.
    let dir = tempfile::tempdir().unwrap();
    store_with_a_frame(dir.path()).await;
    fs::remove_file(dir.path().join("version")).unwrap();
    assert!(open(dir.path(), Create::IfMissing).await.is_err());
    assert!(dir.path().join("0.jnl").exists());
}

#[tokio::test]
async fn a_commit_that_syncs_tells_how_long() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Create::IfMissing).await.unwrap();
    for (n, durability, tells) in [(1, Durability::Sync, true), (2, Durability::Buffered, false)] {
        let frame = Frame::topic("a").unwrap().with_id(FrameId::from_u128(n << 32));
        let batch = Batch { insert: vec![Arc::new(frame)], durability, ..Batch::default() };
        assert_eq!(store.commit(batch).await.unwrap().sync.is_some(), tells, "{durability:?}");
    }
}

#[tokio::test]
async fn little_memory_makes_tables_soon() {
    let dir = tempfile::tempdir().unwrap();
    let factory = FjallFactory::new(FjallSettings::default().memtable_bytes(16 * 1024));
    let store = factory.open(&Location::new("fjall", dir.path()), Create::IfMissing).await.unwrap();
    let has_tables = |keyspace: &str| {
        let tables = fs::read_dir(dir.path().join("keyspaces").join(keyspace).join("tables"));
        tables.is_ok_and(|tables| tables.count() > 0)
    };
    // Flushing is fjall's to time: appended to until it has.
    let mut n = 0;
    while !(has_tables("1") && has_tables("2")) {
        n += 1;
        assert!(n < 100_000, "nothing was flushed");
        let frame = Frame::topic("a.b").unwrap().meta("x".repeat(1000).into()).with_id(FrameId::from_u128(n << 32));
        let durability = Durability::Buffered;
        store.commit(Batch { insert: vec![Arc::new(frame)], durability, ..Batch::default() }).await.unwrap();
    }
    store.close().await.unwrap();
    let store = open(dir.path(), Create::Never).await.unwrap();
    assert_eq!(store.last_id().await.unwrap(), FrameId::from_u128(n << 32));
}
