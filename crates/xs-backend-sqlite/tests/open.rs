//! What is refused when it is opened, and what other programs see of an open store.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use xs_backend_sqlite::{SqliteFactory, SqliteSettings};
use xs_core::{
    Batch, ContentHash, Create, Durability, ErrorKind, Frame, FrameId, Location, NewFrame, Result, Store, StoreFactory,
    Ttl,
};

async fn open(dir: &Path, create: Create) -> Result<Arc<dyn Store>> {
    let factory = SqliteFactory::new(SqliteSettings::default().busy_ms(1));
    factory.open(&Location::new("sqlite", dir), create).await
}

async fn insert(store: &dyn Store, number: u128, frame: NewFrame) -> Result<()> {
    let frame = frame.with_id(FrameId::from_u128(number << 32));
    store.commit(Batch { insert: vec![Arc::new(frame)], ..Batch::default() }).await.map(drop)
}

fn new(topic: &str) -> NewFrame {
    Frame::topic(topic).unwrap()
}

#[tokio::test]
async fn a_database_of_another_application_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let other = Connection::open(&path).unwrap();
    other.execute("CREATE TABLE songs (title TEXT)", ()).unwrap();
    other.execute("INSERT INTO songs VALUES ('Tupelo')", ()).unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    for create in [Create::IfMissing, Create::Never] {
        let error = open(dir.path(), create).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("another application"), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn what_is_no_database_is_corrupt_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    fs::write(&path, "milk, eggs, bread\n".repeat(400)).unwrap();
    let error = open(dir.path(), Create::IfMissing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "milk, eggs, bread\n".repeat(400));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(open(dir.path(), Create::IfMissing).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_damaged_log_of_a_killed_owner_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Create::IfMissing).await.unwrap();
    for n in 1..=20 {
        insert(&*store, n, new("a")).await.unwrap();
    }
    // What a kill leaves: the files as they are now.
    let killed = tempfile::tempdir().unwrap();
    for file in ["store.db", "store.db-wal", "durable"] {
        fs::copy(dir.path().join(file), killed.path().join(file)).unwrap();
    }
    let log = killed.path().join("store.db-wal");
    let sound = fs::read(&log).unwrap();
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&log, &damaged).unwrap();
    for _ in 0..2 {
        let error = open(killed.path(), Create::Never).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(fs::read(&log).unwrap(), damaged);
    }
    fs::write(&log, &sound).unwrap();
    let recovered = open(killed.path(), Create::Never).await.unwrap();
    assert!(recovered.get(FrameId::from_u128(20 << 32)).await.unwrap().is_some());
}

#[tokio::test]
async fn another_program_that_writes_is_an_error_and_not_a_wait_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Create::IfMissing).await.unwrap();
    insert(&*store, 1, new("a")).await.unwrap();
    let other = Connection::open(dir.path().join("store.db")).unwrap();
    other.execute("BEGIN IMMEDIATE", ()).unwrap();
    let error = insert(&*store, 2, new("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("another program is writing"), "{error}");
    assert!(store.get(FrameId::from_u128(1 << 32)).await.unwrap().is_some());
    // Nothing was changed, so that later commits get through.
    other.execute("ROLLBACK", ()).unwrap();
    insert(&*store, 2, new("a")).await.unwrap();
}

/// What was committed without a sync is synced by the close, also while somebody else has the
/// database open, so that SQLite leaves the log where it is.
#[tokio::test]
async fn a_close_makes_buffered_commits_durable_while_others_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Create::IfMissing).await.unwrap();
    let reader = Connection::open_with_flags(dir.path().join("store.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    assert_eq!(reader.query_row("SELECT count(*) FROM frames", (), |row| row.get::<_, u32>(0)).unwrap(), 0);
    let frame = Arc::new(new("a").with_id(FrameId::from_u128(1 << 32)));
    let batch = Batch { insert: vec![frame], remove: Vec::new(), durability: Durability::Buffered };
    store.commit(batch).await.unwrap();
    let log = || fs::metadata(dir.path().join("store.db-wal")).unwrap().len();
    let before = log();
    store.close().await.unwrap();
    assert!(log() > before, "the close wrote, and so synced, nothing");
    let noted = xs_core::kv::Noted::read(dir.path()).unwrap();
    let stored: i64 = reader.query_row("SELECT sequence FROM stream", (), |row| row.get(0)).unwrap();
    assert_eq!(noted.sequence, stored.cast_unsigned());
    drop(reader);
    let store = open(dir.path(), Create::Never).await.unwrap();
    assert!(store.get(FrameId::from_u128(1 << 32)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_commit_that_syncs_tells_how_long() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Create::IfMissing).await.unwrap();
    for (n, durability, tells) in [(1, Durability::Sync, true), (2, Durability::Buffered, false)] {
        let insert = vec![Arc::new(new("a").with_id(FrameId::from_u128(n << 32)))];
        let batch = Batch { insert, remove: Vec::new(), durability };
        assert_eq!(store.commit(batch).await.unwrap().sync.is_some(), tells, "{durability:?}");
    }
}

#[tokio::test]
async fn a_row_that_was_changed_by_hand_is_corrupt_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let changes = [
        "UPDATE frames SET topic = 'b'",
        "UPDATE frames SET meta = '2'",
        "UPDATE frames SET ttl = 'time:6'",
        "UPDATE frames SET hash = NULL",
        "UPDATE frames SET expires_ms = 1",
        "UPDATE frames SET timestamp_ms = 1",
        "UPDATE frames SET checksum = 1",
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let place = dir.path().join(n.to_string());
        let store = open(&place, Create::IfMissing).await.unwrap();
        let frame = new("a").meta(1.into()).ttl(Ttl::Time { ms: 5 }).hash(ContentHash::of(b"x"));
        insert(&*store, 1, frame).await.unwrap();
        Connection::open(place.join("store.db")).unwrap().execute(change, ()).unwrap();
        let id = FrameId::from_u128(1 << 32);
        let error = store.get(id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{change}: {error}");
        assert!(error.to_string().contains(&id.to_string()), "{error}");
        // It cannot be removed either, which changes nothing and leaves the store usable.
        let remove = Batch { remove: vec![id], ..Batch::default() };
        assert_eq!(store.commit(remove).await.unwrap_err().kind(), ErrorKind::Corrupt);
        insert(&*store, 2, new("c")).await.unwrap();
    }
}

/// The queries of the crate's documentation, on a store that is open.
#[tokio::test]
async fn the_documented_queries_answer() {
    let queries: Vec<&str> = include_str!("../src/lib.rs").split("//! ```sql\n").skip(1).collect();
    let queries = queries.iter().map(|rest| rest.split("//! ```").next().unwrap().replace("//!", ""));
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Create::IfMissing).await.unwrap();
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let source = serde_json::json!({"source": "keyboard"});
    let hash = ContentHash::of(b"shared");
    for (n, frame) in [
        new("clip.add").meta(source).hash(hash),
        new("clip.add").hash(hash).ttl(Ttl::Time { ms: 60_000 }),
        new("other"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = FrameId::from_u128((now_ms << 80) + n as u128);
        let insert = vec![Arc::new(frame.with_id(id))];
        store.commit(Batch { insert, remove: Vec::new(), durability: Durability::Buffered }).await.unwrap();
    }
    let reader = Connection::open_with_flags(dir.path().join("store.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut rows = Vec::new();
    for query in queries {
        let mut statement = reader.prepare(&query).unwrap();
        let first: Vec<String> =
            statement.query_map((), |row| Ok(format!("{:?}", row.get_ref(1)?))).unwrap().map(Result::unwrap).collect();
        rows.push(first.len());
    }
    // Topics; frames with a source; frames below clip; shared content; what expires.
    assert_eq!(rows, [2, 1, 2, 1, 1]);
    let pragma = |name: &str| reader.pragma_query_value(None, name, |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!(pragma("application_id"), xs_backend_sqlite::schema::APPLICATION_ID);
    assert_eq!(pragma("user_version"), xs_backend_sqlite::schema::FORMAT);
    store.close().await.unwrap();
}
