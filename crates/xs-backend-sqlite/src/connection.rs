//! Connections: one that writes, and a small pool of those that read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use xs_core::{Durability, Error, Result};

use crate::error::convert;
use crate::factory::SqliteSettings;

/// The most connections that read at once; more readers wait for one of them.
const READERS_MAX: usize = 4;
/// Pages of the log after which what is in it moves to the database.
const CHECKPOINT_PAGES: i64 = 1000;
/// The log is cut to this size when it starts anew, whatever one large commit has made of it.
const LOG_BYTES_MAX: i64 = 16 * 1024 * 1024;
/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS: usize = 32;

/// Where the database is.
#[derive(Clone, Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(dir: &Path) -> Self {
        Self(dir.join("store.db"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn opening(&self, error: rusqlite::Error) -> Error {
        convert("opening", true, self, error)
    }

    pub(crate) fn reading(&self, error: rusqlite::Error) -> Error {
        convert("reading", false, self, error)
    }

    pub(crate) fn writing(&self, error: rusqlite::Error) -> Error {
        convert("writing to", false, self, error)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sqlite index {}", self.0.display())
    }
}

/// Opens the connection that writes. It changes nothing by itself, not even the log of an owner
/// that was killed, until [`begin_writing`].
pub(crate) fn writer(place: &Place, settings: SqliteSettings) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(place.path(), flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    shared_settings(&connection, settings)?;
    Ok(connection)
}

/// Makes ready for commits a database that was found sound.
pub(crate) fn begin_writing(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    if mode != "wal" {
        // As on a filesystem without shared memory. Without the log, nothing that is said here holds.
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        return Err(rusqlite::Error::SqliteFailure(code, Some(format!("its journal mode is {mode}, not wal"))));
    }
    // Where a plain sync stops at the drive's cache; elsewhere it means nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX)?;
    set_durability(connection, Durability::Sync)
}

/// What the next commits promise.
pub(crate) fn set_durability(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let synchronous = match durability {
        Durability::Sync => "FULL",
        Durability::Buffered => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)
}

fn reader(place: &Place, settings: SqliteSettings) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(place.path(), flags)?;
    shared_settings(&connection, settings)?;
    Ok(connection)
}

fn shared_settings(connection: &Connection, settings: SqliteSettings) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_millis(settings.busy_ms))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // A page whose cells do not add up is found when it is read.
    connection.pragma_update(None, "cell_size_check", true)?;
    // A negative number is in KiB.
    let kib = i64::try_from(settings.cache_bytes / 1024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kib.max(1))
}

/// Connections that read.
#[derive(Debug)]
pub(crate) struct Readers {
    place: Place,
    settings: SqliteSettings,
    /// Those that are free, and how many more may be opened.
    free: Mutex<(Vec<Connection>, usize)>,
    given_back: Condvar,
}

impl Readers {
    pub(crate) fn new(place: Place, settings: SqliteSettings) -> Self {
        Self { place, settings, free: Mutex::new((Vec::new(), READERS_MAX)), given_back: Condvar::new() }
    }

    /// Reads with a connection of its own, waiting for one if need be.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.take()?;
        let borrowed = Borrowed { readers: self, connection: Some(connection) };
        borrowed.connection.as_ref().map_or_else(|| Err(self.place.reading(rusqlite::Error::InvalidQuery)), read)
    }

    fn take(&self) -> Result<Connection> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = free.0.pop() {
                return Ok(connection);
            }
            if free.1 > 0 {
                let connection = reader(&self.place, self.settings).map_err(|error| self.place.reading(error))?;
                free.1 -= 1;
                return Ok(connection);
            }
            free = self.given_back.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Gives the connection back also when the read panics.
struct Borrowed<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let mut free = self.readers.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.0.extend(self.connection.take());
        self.readers.given_back.notify_one();
    }
}
