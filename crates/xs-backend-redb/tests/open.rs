//! What is refused when it is opened, how large the file becomes, and what a commit tells.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use xs_backend_redb::RedbFactory;
use xs_core::{Batch, Create, Durability, ErrorKind, Frame, FrameId, Location, Result, Store, StoreFactory};

async fn open(dir: &Path, create: Create) -> Result<Arc<dyn Store>> {
    RedbFactory::default().open(&Location::new("redb", dir), create).await
}

fn id(number: u128) -> FrameId {
    FrameId::from_u128(number << 32)
}

fn batch(insert: Option<u128>, remove: Option<u128>) -> Batch {
    let meta = "x".repeat(500);
    let insert = insert.map(|n| Arc::new(Frame::topic("a.b").unwrap().meta(meta.into()).with_id(id(n))));
    Batch {
        insert: insert.into_iter().collect(),
        remove: remove.map(id).into_iter().collect(),
        durability: Durability::Buffered,
    }
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.redb");
    let shopping = "milk, eggs, bread\n".repeat(4000);
    fs::write(&path, &shopping).unwrap();
    for create in [Create::IfMissing, Create::Never] {
        let error = open(dir.path(), create).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), shopping);
    }
}

#[tokio::test]
async fn a_database_of_another_application_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.redb");
    let songs: redb::TableDefinition<'_, &str, &str> = redb::TableDefinition::new("songs");
    let other = redb::Database::create(&path).unwrap();
    let write = other.begin_write().unwrap();
    write.open_table(songs).unwrap().insert("title", "Tupelo").unwrap();
    write.commit().unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    for create in [Create::IfMissing, Create::Never] {
        let error = open(dir.path(), create).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("another application"), "{error}");
    }
    assert!(fs::read(&path).unwrap() == before, "a refused file was changed");
}

#[tokio::test]
async fn a_database_that_another_program_has_open_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Create::IfMissing).await.unwrap();
    store.commit(batch(Some(1), None)).await.unwrap();
    store.close().await.unwrap();
    let other = redb::Database::open(dir.path().join("index.redb")).unwrap();
    assert_eq!(open(dir.path(), Create::Never).await.unwrap_err().kind(), ErrorKind::Locked);
    drop(other);
    assert!(open(dir.path(), Create::Never).await.unwrap().get(id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn damage_is_refused_before_anything_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Create::IfMissing).await.unwrap();
    for n in 1..200 {
        store.commit(batch(Some(n), None)).await.unwrap();
    }
    store.close().await.unwrap();
    let path = dir.path().join("index.redb");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(64).position(|window| window == [b'x'; 64]).unwrap();
    *bytes.get_mut(at + 30).unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        assert_eq!(open(dir.path(), Create::Never).await.unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(fs::read(&path).unwrap() == bytes, "a refused file was changed");
    }
}

#[tokio::test]
async fn an_open_database_is_locked_for_other_programs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.redb");
    // Made, and opened again.
    for create in [Create::IfMissing, Create::Never] {
        let store = open(dir.path(), create).await.unwrap();
        assert!(matches!(redb::Database::open(&path), Err(redb::DatabaseError::DatabaseAlreadyOpen)));
        store.close().await.unwrap();
        drop(redb::Database::open(&path).unwrap());
    }
}

/// A sync for each commit: `Buffered` has one, too.
#[tokio::test]
async fn a_commit_tells_how_long_it_synced() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Create::IfMissing).await.unwrap();
    for (n, durability) in [(1, Durability::Sync), (2, Durability::Buffered)] {
        let committed = store.commit(Batch { durability, ..batch(Some(n), None) }).await.unwrap();
        assert!(committed.sync.is_some(), "{durability:?}");
    }
}

/// What `last:1` does to a file: every append removes the frame before it.
#[tokio::test]
async fn frames_that_come_and_go_do_not_grow_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Create::IfMissing).await.unwrap();
    let size = || fs::metadata(dir.path().join("index.redb")).unwrap().len();
    store.commit(batch(Some(1), None)).await.unwrap();
    let mut sizes = Vec::new();
    for n in 2..=1200 {
        store.commit(batch(Some(n), Some(n - 1))).await.unwrap();
        if n % 400 == 0 {
            sizes.push(size());
        }
    }
    let (first, last) = (*sizes.first().unwrap(), *sizes.last().unwrap());
    assert_eq!(first, last, "{sizes:?}");
    // Many at once, removed again, leave space that only compaction gives back.
    let insert: Vec<_> = (10_000..20_000).flat_map(|n| batch(Some(n), None).insert).collect();
    let ids = insert.iter().map(|frame| frame.id).collect();
    store.commit(Batch { insert, ..batch(None, None) }).await.unwrap();
    store.commit(Batch { remove: ids, ..batch(None, None) }).await.unwrap();
    let grown = size();
    store.compact().await.unwrap();
    assert!(size() * 2 < grown, "compaction left {} of {grown} bytes", size());
    assert!(store.get(id(1200)).await.unwrap().is_some());
    store.close().await.unwrap();
}
