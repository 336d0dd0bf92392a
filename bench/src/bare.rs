//! The engines alone, writing and reading what xs writes and reads.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition};
use xs::kv::codec;
use xs::kv::keys::{self, Tail};
use xs::{Frame, IdSource, RandomIds};

use crate::new_frame;

/// The indexes that are measured.
pub(crate) const INDEXES: [&str; 3] = ["fjall", "redb", "sqlite"];

const TOPIC: &str = "bench.append";
const CACHE_BYTES: usize = 16 << 20;

/// One engine.
pub(crate) trait Bare: Send {
    /// Commits frames durably, with every entry that xs writes for them.
    fn commit(&mut self, frames: &[Frame], tail: Tail);

    /// Reads every frame's bytes in order; how many frames, and how many bytes.
    fn scan(&mut self) -> (usize, usize);
}

/// Opens an engine in `dir`, in the files of an index of xs where there is one.
pub(crate) fn open(index: &str, dir: &Path) -> Box<dyn Bare> {
    std::fs::create_dir_all(dir).expect("a directory");
    match index {
        "fjall" => Box::new(Fjall::open(dir)),
        "redb" => Box::new(Redb::open(dir)),
        _ => Box::new(Sqlite::open(dir)),
    }
}

/// Makes frames as a stream does.
pub(crate) struct Frames {
    ids: RandomIds,
    tail: Tail,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self { ids: RandomIds::new(), tail: Tail::EMPTY }
    }

    pub(crate) fn commit(&mut self, engine: &mut dyn Bare, count: usize) {
        let frames: Vec<Frame> = (0..count)
            .map(|n| {
                let now_ms = 1_800_000_000_000 + self.tail.sequence;
                self.tail.last_id = self.ids.next(now_ms, self.tail.last_id).expect("an id");
                new_frame(TOPIC, n).with_id(self.tail.last_id)
            })
            .collect();
        self.tail.sequence += 1;
        engine.commit(&frames, self.tail);
    }
}

struct Fjall {
    database: Database,
    frames: Keyspace,
    index: Keyspace,
}

impl Fjall {
    fn open(dir: &Path) -> Self {
        let database = Database::builder(dir).cache_size(CACHE_BYTES as u64).worker_threads(2).open().expect("fjall");
        let open = |name| database.keyspace(name, KeyspaceCreateOptions::default).expect("a keyspace");
        let (frames, index) = (open("frames"), open("index"));
        Self { frames, index, database }
    }
}

impl Bare for Fjall {
    fn commit(&mut self, frames: &[Frame], tail: Tail) {
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), frames.len() * 4);
        for frame in frames {
            batch.insert(&self.frames, keys::frame(frame.id), codec::encode(frame));
            for key in keys::index_entries(frame) {
                batch.insert(&self.index, key, Vec::new());
            }
        }
        batch.insert(&self.index, keys::TAIL_KEY.to_vec(), tail.encode());
        batch.durability(Some(PersistMode::SyncData)).commit().expect("a commit");
    }

    fn scan(&mut self) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        for entry in self.frames.iter() {
            let (key, value) = entry.into_inner().expect("an entry");
            count += 1;
            bytes += key.len() + value.len();
        }
        (count, bytes)
    }
}

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;
const FRAMES: Table = TableDefinition::new("frames");
const INDEX: Table = TableDefinition::new("index");

struct Redb(redb::Database);

impl Redb {
    fn open(dir: &Path) -> Self {
        Self(redb::Builder::new().set_cache_size(CACHE_BYTES).create(dir.join("index.redb")).expect("redb"))
    }
}

impl Bare for Redb {
    fn commit(&mut self, frames: &[Frame], tail: Tail) {
        let write = self.0.begin_write().expect("a transaction");
        {
            let mut table = write.open_table(FRAMES).expect("a table");
            let mut index = write.open_table(INDEX).expect("a table");
            for frame in frames {
                table.insert(&*keys::frame(frame.id), &*codec::encode(frame)).expect("an insert");
                for key in keys::index_entries(frame) {
                    index.insert(&*key, &[][..]).expect("an insert");
                }
            }
            index.insert(keys::TAIL_KEY, &*tail.encode()).expect("an insert");
        }
        write.commit().expect("a commit");
    }

    fn scan(&mut self) -> (usize, usize) {
        let read = self.0.begin_read().expect("a transaction");
        let table = read.open_table(FRAMES).expect("a table");
        let (mut count, mut bytes) = (0, 0);
        for entry in table.iter().expect("an iterator") {
            let (key, value) = entry.expect("an entry");
            count += 1;
            bytes += key.value().len() + value.value().len();
        }
        (count, bytes)
    }
}

struct Sqlite(rusqlite::Connection);

impl Sqlite {
    fn open(dir: &Path) -> Self {
        let connection = rusqlite::Connection::open(dir.join("store.db")).expect("sqlite");
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).expect("a log");
        connection.pragma_update(None, "synchronous", "FULL").expect("a pragma");
        connection.pragma_update(None, "cache_size", -4096).expect("a pragma");
        let made: bool =
            connection.query_row("SELECT count(*) > 0 FROM sqlite_schema", (), |row| row.get(0)).expect("a row");
        if !made {
            for table in xs::backend_sqlite::schema::TABLES {
                connection.execute(table, ()).expect("a table");
            }
            connection.execute("INSERT INTO stream VALUES (1, 0, '', 0)", ()).expect("a row");
        }
        Self(connection)
    }
}

impl Bare for Sqlite {
    fn commit(&mut self, frames: &[Frame], tail: Tail) {
        let write = self.0.transaction().expect("a transaction");
        {
            let mut insert =
                write.prepare_cached("INSERT INTO frames VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)").expect("sql");
            let mut ancestor = write.prepare_cached("INSERT INTO ancestors VALUES (?1, ?2)").expect("sql");
            for frame in frames {
                let id = frame.id.to_string();
                let meta = frame.meta.as_ref().map(xs::Meta::as_str);
                let ms = frame.id.timestamp_ms() as i64;
                let none = None::<String>;
                let row = (&id, frame.topic.as_str(), &none, meta, &none, ms, None::<i64>, codec::checksum_of(frame));
                insert.execute(row).expect("an insert");
                for name in frame.topic.ancestors() {
                    ancestor.execute((name, &id)).expect("an insert");
                }
            }
            let mut update =
                write.prepare_cached("UPDATE stream SET sequence = ?1, last_id = ?2, checksum = ?3").expect("sql");
            update.execute((tail.sequence as i64, tail.last_id.to_string(), tail.checksum())).expect("an update");
        }
        write.commit().expect("a commit");
    }

    fn scan(&mut self) -> (usize, usize) {
        let mut statement = self.0.prepare("SELECT * FROM frames ORDER BY id").expect("sql");
        let mut rows = statement.query(()).expect("rows");
        let (mut count, mut bytes) = (0, 0);
        while let Some(row) = rows.next().expect("a row") {
            count += 1;
            for column in 0..5 {
                bytes += row.get_ref(column).expect("a column").as_str_or_null().expect("text").map_or(0, str::len);
            }
        }
        (count, bytes)
    }
}
