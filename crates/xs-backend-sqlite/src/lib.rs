//! The SQLite index of xs: frames as rows of real tables, which any SQLite tool can query.
//!
//! ```text
//! <dir>/owner.lock   held while the index is open
//! <dir>/store.db     the database, in WAL mode, with -wal and -shm beside it while it is open
//! <dir>/durable      how far it is known to be durable
//! ```
//!
//! ```
//! use xs_backend_sqlite::SqliteFactory;
//! use xs_core::{Create, Location, StoreFactory};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let location = Location::new("sqlite", dir.path().join("index"));
//! let store = SqliteFactory::default().open(&location, Create::IfMissing).await?;
//! assert_eq!(store.name(), "sqlite");
//! store.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Querying a store that a server has open
//!
//! Readers do not disturb the server, nor it them: `sqlite3 -readonly store/index/store.db`. Only a
//! reader that stays within one transaction for long makes the log grow until it ends. The tables
//! are in [`schema`]. Only read them: every row carries a checksum of its frame, so a row
//! that was changed by hand is `Corrupt`.
//!
//! How many frames each topic holds, and when the last of each came:
//!
//! ```sql
//! SELECT topic, count(*) AS frames, datetime(max(timestamp_ms) / 1000, 'unixepoch') AS last
//! FROM frames GROUP BY topic ORDER BY frames DESC;
//! ```
//!
//! The last ten frames whose meta says something, here `source`:
//!
//! ```sql
//! SELECT id, topic, meta ->> '$.source' AS source
//! FROM frames WHERE meta ->> '$.source' = 'keyboard' ORDER BY id DESC LIMIT 10;
//! ```
//!
//! Frames of an hour, and of everything below a topic:
//!
//! ```sql
//! SELECT f.id, f.topic, f.meta FROM ancestors AS a JOIN frames AS f ON f.id = a.id
//! WHERE a.ancestor = 'clip' AND f.timestamp_ms >= unixepoch('now', '-1 hour') * 1000 ORDER BY f.id;
//! ```
//!
//! Content that more than one frame refers to:
//!
//! ```sql
//! SELECT hash, count(*) AS frames, min(topic) AS first_topic
//! FROM frames WHERE hash IS NOT NULL GROUP BY hash HAVING frames > 1 ORDER BY frames DESC;
//! ```
//!
//! What expires within a day:
//!
//! ```sql
//! SELECT id, topic, datetime(expires_ms / 1000, 'unixepoch') AS expires
//! FROM frames WHERE expires_ms < unixepoch('now', '+1 day') * 1000 ORDER BY expires_ms;
//! ```
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)
)]

mod commit;
mod connection;
mod error;
mod factory;
mod read;
mod row;
pub mod schema;
mod store;

pub use factory::{SqliteFactory, SqliteSettings};
pub use store::SqliteStore;
