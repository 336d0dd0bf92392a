//! The one writer.

use rusqlite::Connection;
use xs_core::kv::Note;
use xs_core::kv::keys::Tail;
use xs_core::{Batch, Committed, Durability, Error, ErrorKind, Frame, Result};

use crate::connection::{Place, set_durability};
use crate::read;
use crate::row;

/// The connection that writes, and what it knows.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) note: Note,
    pub(crate) tail: Tail,
    /// What the connection is set to.
    durability: Durability,
    /// A commit failed: what is stored is uncertain until it is opened again.
    failed: bool,
    /// Something was committed since the last sync.
    unsynced: bool,
}

impl Writer {
    pub(crate) fn new(connection: Connection, note: Note, tail: Tail) -> Self {
        Self { connection, note, tail, durability: Durability::Sync, failed: false, unsynced: false }
    }

    /// Stores and removes, whole or not at all.
    pub(crate) fn commit(&mut self, place: &Place, batch: &Batch) -> Result<Committed> {
        if batch.is_empty() {
            return Ok(Committed::default());
        }
        self.check_failed(place)?;
        let last_id = batch.check(self.tail.last_id, |id| Ok(read::get(&self.connection, place, id)?.is_some()))?;
        let mut removed = Vec::new();
        for id in &batch.remove {
            removed.extend(read::get(&self.connection, place, *id)?);
        }
        let next = Tail { sequence: self.tail.sequence + 1, last_id };
        let committed = self.write(place, batch.durability, |connection| {
            for frame in &removed {
                delete(connection, frame)?;
            }
            for frame in &batch.insert {
                insert(connection, frame)?;
            }
            update_tail(connection, next)
        })?;
        self.tail = next;
        if batch.durability == Durability::Sync {
            self.note.write(next.sequence);
        }
        Ok(committed)
    }

    /// Makes durable what was committed as `Buffered`, by one more commit, with a sync. It has to
    /// change something: SQLite writes, and syncs, nothing for a row that stays as it is.
    pub(crate) fn sync(&mut self, place: &Place) -> Result<()> {
        if self.failed || !self.unsynced {
            return Ok(());
        }
        let next = Tail { sequence: self.tail.sequence + 1, ..self.tail };
        self.write(place, Durability::Sync, |connection| update_tail(connection, next))?;
        self.tail = next;
        self.note.write(next.sequence);
        Ok(())
    }

    /// Writes the database anew, without the space that removed rows took.
    pub(crate) fn compact(&mut self, place: &Place) -> Result<()> {
        self.check_failed(place)?;
        let moved = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.connection
            .execute("VACUUM", ())
            .and_then(|_| self.connection.query_row(moved, (), |_| Ok(())))
            .map_err(|error| place.writing(error))
    }

    fn check_failed(&self, place: &Place) -> Result<()> {
        match self.failed {
            true => {
                Err(Error::new(ErrorKind::Unavailable, format!("an earlier write to {place} failed; open it again")))
            }
            false => Ok(()),
        }
    }

    /// One transaction. When it fails, nothing of it shows, and no other one follows: after a sync
    /// that failed nobody knows what of the log is on the disk.
    fn write(
        &mut self,
        place: &Place,
        durability: Durability,
        changes: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Committed> {
        let begun = (|| {
            if self.durability != durability {
                set_durability(&self.connection, durability)?;
                self.durability = durability;
            }
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())
        })();
        // Another program is at it. Nothing was changed, and a later commit may get through.
        if let Err(error) = begun {
            return Err(place.writing(error));
        }
        let written = (|| {
            changes(&self.connection)?;
            let mut commit = self.connection.prepare_cached("COMMIT")?;
            match durability {
                Durability::Sync => Committed::timed(|| commit.execute(()).map(drop)),
                Durability::Buffered => commit.execute(()).map(|_| Committed::default()),
            }
        })();
        self.unsynced = durability != Durability::Sync;
        written.map_err(|error| {
            self.failed = true;
            if let (false, Err(error)) = (self.connection.is_autocommit(), self.connection.execute("ROLLBACK", ())) {
                tracing::warn!(%error, "rolling back failed; it happens when the index is opened again");
            }
            let error = place.writing(error);
            Error::new(ErrorKind::Unavailable, error.to_string()).with_source(error)
        })
    }
}

fn update_tail(connection: &Connection, tail: Tail) -> rusqlite::Result<()> {
    let update = "UPDATE stream SET sequence = ?1, last_id = ?2, checksum = ?3 WHERE only_row = 1";
    connection.prepare_cached(update)?.execute(row::of_tail(tail)).map(drop)
}

fn insert(connection: &Connection, frame: &Frame) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO frames VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(row::of_frame(frame))?;
    let id = frame.id.to_string();
    for ancestor in frame.topic.ancestors() {
        connection.prepare_cached("INSERT INTO ancestors VALUES (?1, ?2)")?.execute((ancestor, &id))?;
    }
    Ok(())
}

fn delete(connection: &Connection, frame: &Frame) -> rusqlite::Result<()> {
    let id = frame.id.to_string();
    connection.prepare_cached("DELETE FROM frames WHERE id = ?1")?.execute((&id,))?;
    for ancestor in frame.topic.ancestors() {
        let delete = "DELETE FROM ancestors WHERE ancestor = ?1 AND id = ?2";
        connection.prepare_cached(delete)?.execute((ancestor, &id))?;
    }
    Ok(())
}
