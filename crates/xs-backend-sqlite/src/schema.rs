//! The tables, and how a database is known to be one of xs.
//!
//! `application_id` is [`APPLICATION_ID`], `user_version` the [`FORMAT`]. Ids are their 25
//! characters, which sort as ids do; hashes and TTLs are their text forms; meta is the JSON text
//! that the appender sent. `checksum` is the CRC-32C that ends the frame's binary form
//! ([`xs_core::kv::codec`]); that of `stream` covers its other columns.
//!
//! `ancestors` holds a frame by each name that its topic lies below: `a.b.c` by `a` and `a.b`. It
//! is what makes a page of `a.*` cost the page.

use rusqlite::Connection;
use xs_core::kv::keys::Tail;
use xs_core::{Error, ErrorKind, Result};

use crate::connection::Place;
use crate::error::damaged;
use crate::row;

/// The version of the tables that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// `xsdb` in ASCII, as the `file` tool finds it at offset 68.
pub const APPLICATION_ID: u32 = 0x7873_6462;

/// The statements that make the tables, in order.
pub const TABLES: [&str; 6] = [
    "CREATE TABLE stream (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    sequence INTEGER NOT NULL,
    last_id TEXT NOT NULL,
    checksum INTEGER NOT NULL
) STRICT",
    "CREATE TABLE frames (
    id TEXT PRIMARY KEY NOT NULL,
    topic TEXT NOT NULL,
    hash TEXT,
    meta TEXT,
    ttl TEXT,
    timestamp_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID",
    "CREATE INDEX frames_by_topic ON frames (topic, id)",
    "CREATE INDEX frames_by_hash ON frames (hash) WHERE hash IS NOT NULL",
    "CREATE INDEX frames_by_expiry ON frames (expires_ms, id) WHERE expires_ms IS NOT NULL",
    "CREATE TABLE ancestors (
    ancestor TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (ancestor, id)
) STRICT, WITHOUT ROWID",
];

/// What is in a database that was opened.
pub(crate) enum Found {
    /// Nothing yet.
    Nothing,
    /// The tables, and so far.
    Stream(Tail),
}

/// Says what is in the database, changing nothing. `Unsupported` when it is of a newer format,
/// `InvalidInput` when it is of another application, `Corrupt` when it is damaged. `ours` says that
/// there is other evidence that it is one of xs.
pub(crate) fn find(connection: &Connection, place: &Place, ours: bool) -> Result<Found> {
    let doing = |error| place.opening(error);
    let application: u32 = connection.query_row("PRAGMA application_id", (), |row| row.get(0)).map_err(doing)?;
    let version: u32 = connection.query_row("PRAGMA user_version", (), |row| row.get(0)).map_err(doing)?;
    let tables = tables(connection).map_err(doing)?;
    match (application, version) {
        (0, 0) if tables.is_empty() && !ours => return Ok(Found::Nothing),
        (APPLICATION_ID, FORMAT) => {}
        (APPLICATION_ID, version) if version > FORMAT => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the sqlite index has format {version}; this build reads up to {FORMAT}: use a newer xs"),
            ));
        }
        (other, _) if other != APPLICATION_ID && !ours => {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("{place} is an SQLite database of another application (application_id {other:#x})"),
            ));
        }
        _ => return Err(damaged(place, "its header is not that of an index")),
    }
    // A byte that was flipped in the text of the schema can leave valid SQL of another meaning.
    let same = tables.len() == TABLES.len() && TABLES.iter().all(|table| tables.iter().any(|found| found == table));
    if !same {
        return Err(damaged(place, "its tables are not those of an index"));
    }
    let read = "SELECT sequence, last_id, checksum FROM stream WHERE only_row = 1";
    let tail = connection.query_row(read, (), row::tail).map_err(doing)?;
    tail.map(Found::Stream).ok_or_else(|| damaged(place, "its row of the stream is"))
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    statement.query_map((), |row| row.get(0))?.collect()
}

/// Makes the tables, all or none.
pub(crate) fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for table in TABLES {
        transaction.execute(table, ())?;
    }
    transaction.execute("INSERT INTO stream VALUES (1, ?1, ?2, ?3)", row::of_tail(Tail::EMPTY))?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}
