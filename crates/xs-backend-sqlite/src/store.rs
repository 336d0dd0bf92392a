//! SQLite as a [`Store`].

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use rusqlite::Connection;
use xs_core::kv::{Note, Noted};
use xs_core::{
    Batch, Capabilities, Committed, ContentHash, Create, Error, ErrorKind, Frame, FrameId, OwnerLock, Result, Scan,
    ScanPage, Store, TopicPage, TopicTail, blocking, dirs,
};

use crate::commit::Writer;
use crate::connection::{Place, Readers, begin_writing, writer};
use crate::error::damaged;
use crate::factory::SqliteSettings;
use crate::read;
use crate::schema::{self, FORMAT, Found};

/// An index of frames in an SQLite database.
///
/// What each durability promises, by SQLite's `synchronous` in WAL mode
/// (<https://www.sqlite.org/pragma.html#pragma_synchronous>): `Sync` commits with `FULL`, which syncs
/// the log at each commit; `Buffered` with `NORMAL`, which hands the log to the operating system, so
/// that it survives a killed process, and a power loss takes the newest commits and no others, since
/// every frame of the log carries a checksum of all before it.
///
/// The sync that a commit tells is the `COMMIT` of `Sync`: writing the log and syncing it, and now
/// and then moving the log into the database.
#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    place: Place,
    /// Calls hold it for reading; `close` takes the connections out, and so waits for those under way.
    owned: RwLock<Option<Owned>>,
}

/// The lock is released after the connections are closed: fields drop in this order. The writer is
/// the last connection, so it moves the log into the database.
#[derive(Debug)]
struct Owned {
    readers: Readers,
    writer: Mutex<Writer>,
    lock: OwnerLock,
}

impl SqliteStore {
    /// Opens the database in `dir`, of which `lock` makes this process the one owner. Blocks.
    pub fn open(dir: &Path, create: Create, settings: SqliteSettings, lock: OwnerLock) -> Result<Self> {
        let place = Place::new(dir);
        if create == Create::Never && !place.path().exists() {
            return Err(Error::new(ErrorKind::NotFound, format!("no sqlite index is in {}", dir.display())));
        }
        let noted = Noted::read(dir);
        let doing = |error| place.opening(error);
        let mut connection = writer(&place, settings).map_err(doing)?;
        let tail = match schema::find(&connection, &place, noted.is_some())? {
            Found::Nothing => {
                begin_writing(&connection).map_err(doing)?;
                schema::create(&mut connection).map_err(doing)?;
                dirs::sync(dir).map_err(|error| Error::io(format_args!("syncing {}", dir.display()), error))?;
                xs_core::kv::keys::Tail::EMPTY
            }
            Found::Stream(tail) => {
                let durable = noted.map_or(0, |noted| noted.sequence);
                if durable > tail.sequence {
                    let lost = format!("it ends at commit {}, but commit {durable} was acknowledged", tail.sequence);
                    return Err(damaged(&place, &lost));
                }
                if settings.check_on_open {
                    check(&connection, &place)?;
                }
                begin_writing(&connection).map_err(doing)?;
                tail
            }
        };
        let owned = Owned {
            readers: Readers::new(place.clone(), settings),
            writer: Mutex::new(Writer::new(connection, Note::open(dir)?, tail)),
            lock,
        };
        Ok(Self { shared: Arc::new(Shared { place, owned: RwLock::new(Some(owned)) }) })
    }

    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Owned, &Place) -> Result<T> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        blocking::run(move || {
            let owned = shared.owned.read().unwrap_or_else(PoisonError::into_inner);
            let closed = || Error::new(ErrorKind::Closed, "the sqlite index is closed; open it again");
            work(owned.as_ref().ok_or_else(closed)?, &shared.place)
        })
        .await
    }

    async fn read<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &Place) -> Result<T> + Send + 'static,
    {
        self.run(move |owned, place| owned.readers.read(|connection| read(connection, place))).await
    }

    async fn write<T, F>(&self, write: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Writer, &Place) -> Result<T> + Send + 'static,
    {
        self.run(move |owned, place| write(&mut owned.writer.lock().unwrap_or_else(PoisonError::into_inner), place))
            .await
    }
}

/// Has SQLite look at every page, row and index entry.
fn check(connection: &Connection, place: &Place) -> Result<()> {
    let said: String = connection
        .query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))
        .map_err(|error| place.opening(error))?;
    match said.as_str() {
        "ok" => Ok(()),
        said => Err(damaged(place, said)),
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn name(&self) -> &str {
        "sqlite"
    }

    fn format(&self) -> u32 {
        FORMAT
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().persistent(true).exclusive(true).compact(true)
    }

    fn blocks(&self) -> bool {
        true
    }

    async fn last_id(&self) -> Result<FrameId> {
        self.write(|writer, _| Ok(writer.tail.last_id)).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed> {
        self.write(move |writer, place| writer.commit(place, &batch)).await
    }

    async fn get(&self, id: FrameId) -> Result<Option<Frame>> {
        self.read(move |connection, place| read::get(connection, place, id)).await
    }

    async fn scan(&self, scan: Scan) -> Result<ScanPage> {
        self.read(move |connection, place| read::scan(connection, place, &scan)).await
    }

    async fn topics(&self, page: TopicPage) -> Result<Vec<TopicTail>> {
        self.read(move |connection, place| read::topics(connection, place, &page)).await
    }

    async fn expiring(&self, before_ms: u64, limit: usize) -> Result<Vec<(u64, FrameId)>> {
        self.read(move |connection, place| read::expiring(connection, place, before_ms, limit)).await
    }

    async fn is_referenced(&self, hash: ContentHash) -> Result<bool> {
        self.read(move |connection, place| read::is_referenced(connection, place, hash)).await
    }

    async fn compact(&self) -> Result<()> {
        self.write(|writer, place| writer.compact(place)).await
    }

    async fn close(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        blocking::run(move || {
            let taken = shared.owned.write().unwrap_or_else(PoisonError::into_inner).take();
            let Some(Owned { readers, writer, lock }) = taken else { return Ok(()) };
            let mut writer = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
            let synced = writer.sync(&shared.place);
            drop((readers, writer, lock));
            synced
        })
        .await
    }

    fn closing(&self) {
        if let Some(owned) = &*self.shared.owned.read().unwrap_or_else(PoisonError::into_inner) {
            owned.lock.release_soon();
        }
    }
}
