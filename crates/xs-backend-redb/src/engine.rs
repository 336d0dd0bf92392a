//! redb as a [`KvEngine`].

use std::fmt;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{AccessGuard, Builder, Database, ReadOnlyTable, ReadableDatabase as _, TableDefinition};
use xs_core::kv::keys::FORMAT_KEY;
use xs_core::kv::{KvBatch, KvEngine, KvOp, KvSnapshot, Note, Noted, Space, Visit, check_format};
use xs_core::{Capabilities, Committed, Create, Direction, Error, ErrorKind, Result, dirs};

use crate::error::{convert, damaged};
use crate::factory::RedbSettings;
use crate::rehearsal;
use crate::timed::{self, SyncTime};

const FILE: &str = "index.redb";

type Bytes = &'static [u8];
const FRAMES: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("frames");
const INDEX: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("index");

/// A redb database with one table for frames and one for the index.
///
/// What each durability promises, by redb's `Durability`
/// (<https://docs.rs/redb/4.5.0/redb/enum.Durability.html>): `Sync` commits with `Immediate`, which
/// is "guaranteed to be persistent as soon as `commit` returns". `Buffered` does the same: redb's
/// other level, `None`, keeps a commit in the memory of the process until the next `Immediate` one,
/// so a killed process would lose it, which `Buffered` must survive. Commits are redb's default, in
/// one phase with checksums (`WriteTransaction::set_two_phase_commit`): one sync for each.
///
/// A snapshot is a read transaction, and lives for one page. While it lives, redb keeps the pages
/// that newer commits replaced; afterwards they are used again.
pub struct RedbEngine {
    database: Database,
    syncs: SyncTime,
    path: Arc<Path>,
    note: Note,
    /// The number of the last applied batch.
    applied: Mutex<u64>,
    /// A write failed: what is stored is uncertain until it is opened again.
    failed: AtomicBool,
}

impl RedbEngine {
    /// Opens the database in `dir`, which exists. Blocks. The caller holds the lock that makes it
    /// the only owner.
    pub fn open(dir: &Path, create: Create, settings: RedbSettings) -> Result<Self> {
        let path = dir.join(FILE);
        let length = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if create == Create::Never && !path.exists() {
            return Err(Error::new(ErrorKind::NotFound, format!("no redb index is in {}", dir.display())));
        }
        let noted = Noted::read_supported("redb", dir)?;
        let mut builder = Builder::new();
        builder.set_cache_size(settings.cache_bytes);
        let (database, syncs) = match (length, noted) {
            (0, Some(_)) => return Err(damaged(&path)),
            (0, None) => make(&builder, dir, &path)?,
            _ => {
                inspect(&rehearsal::open(&path, settings.cache_bytes, settings.check_on_open)?, &path)?;
                timed::open(&builder, &path).map_err(|error| convert("opening", &path, error))?
            }
        };
        let engine = Self {
            database,
            syncs,
            note: Note::open(dir)?,
            path: path.into(),
            applied: Mutex::new(0),
            failed: AtomicBool::new(false),
        };
        engine.tables()?;
        Ok(engine)
    }

    /// Makes the tables of a database that has none.
    fn tables(&self) -> Result<()> {
        let doing = |error: redb::Error| convert("opening", &self.path, error);
        let read = self.database.begin_read().map_err(|error| doing(error.into()))?;
        if read.list_tables().map_err(|error| doing(error.into()))?.next().is_some() {
            return Ok(());
        }
        drop(read);
        let write = self.database.begin_write().map_err(|error| doing(error.into()))?;
        for table in [FRAMES, INDEX] {
            write.open_table(table).map(drop).map_err(|error| doing(error.into()))?;
        }
        write.commit().map_err(|error| doing(error.into()))
    }

    fn write(&self, batch: &KvBatch) -> std::result::Result<(), redb::Error> {
        let write = self.database.begin_write()?;
        {
            let (mut frames, mut index) = (write.open_table(FRAMES)?, write.open_table(INDEX)?);
            for op in &batch.ops {
                let table = match op {
                    KvOp::Put { space: Space::Frames, .. } | KvOp::Delete { space: Space::Frames, .. } => &mut frames,
                    KvOp::Put { space: Space::Index, .. } | KvOp::Delete { space: Space::Index, .. } => &mut index,
                };
                match op {
                    KvOp::Put { key, value, .. } => drop(table.insert(&**key, &**value)?),
                    KvOp::Delete { key, .. } => drop(table.remove(&**key)?),
                }
            }
        }
        Ok(write.commit()?)
    }
}

/// Refuses a database that is not an index, or is one of a newer format.
fn inspect(database: &Database, path: &Path) -> Result<()> {
    let doing = |error: redb::Error| convert("opening", path, error);
    let read = database.begin_read().map_err(|error| doing(error.into()))?;
    let open = |table| match read.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(doing(error.into())),
    };
    match (open(FRAMES)?, open(INDEX)?) {
        (Some(_), Some(index)) => match index.get(FORMAT_KEY).map_err(|error| doing(error.into()))? {
            Some(format) => check_format("redb", format.value()),
            None => Ok(()),
        },
        (None, None) if read.list_tables().map_err(|error| doing(error.into()))?.next().is_some() => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("{} is a redb database of another application", path.display()),
        )),
        (None, None) => Ok(()),
        _ => Err(damaged(path)),
    }
}

/// A database that comes into existence whole: made under another name, then renamed.
fn make(builder: &Builder, dir: &Path, path: &Path) -> Result<(Database, SyncTime)> {
    let doing = |error| Error::io(format_args!("creating {}", path.display()), error);
    let unfinished: PathBuf = dir.join("index.redb.new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(doing(error)),
        _ => {}
    }
    drop(builder.create(&unfinished).map_err(|error| convert("creating", path, error))?);
    std::fs::rename(&unfinished, path).map_err(doing)?;
    dirs::sync(dir).map_err(doing)?;
    timed::open(builder, path).map_err(|error| convert("opening", path, error))
}

impl fmt::Debug for RedbEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbEngine").field("path", &self.path).finish_non_exhaustive()
    }
}

impl KvEngine for RedbEngine {
    type Snapshot = RedbSnapshot;

    fn name(&self) -> &str {
        "redb"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().persistent(true).exclusive(true).compact(true)
    }

    fn apply(&self, batch: KvBatch) -> Result<Committed> {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if self.failed.load(Ordering::Acquire) {
            return Err(convert("writing to", &self.path, redb::Error::PreviousIo));
        }
        // Whatever ends it, but success.
        self.failed.store(true, Ordering::Release);
        // What compacting took is not of this commit.
        self.syncs.take();
        let written = catch_unwind(AssertUnwindSafe(|| self.write(&batch)));
        written.map_err(|_| damaged(&self.path))?.map_err(|error| convert("writing to", &self.path, error))?;
        self.failed.store(false, Ordering::Release);
        *applied = batch.sequence;
        self.note.write(batch.sequence);
        Ok(Committed::default().sync(self.syncs.take()))
    }

    fn snapshot(&self) -> Result<RedbSnapshot> {
        let doing = |error: redb::Error| convert("reading", &self.path, error);
        let read = self.database.begin_read().map_err(|error| doing(error.into()))?;
        Ok(RedbSnapshot {
            frames: read.open_table(FRAMES).map_err(|error| doing(error.into()))?,
            index: read.open_table(INDEX).map_err(|error| doing(error.into()))?,
            path: Arc::clone(&self.path),
        })
    }

    fn durable_sequence(&self) -> Result<Option<u64>> {
        Ok(self.note.sequence())
    }

    fn compact(&mut self) -> Result<()> {
        // Each pass moves what it can towards the start of the file.
        while self.database.compact().map_err(|error| convert("compacting", &self.path, error))? {}
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        // Every commit has been synced.
        Ok(())
    }
}

/// A view of a [`RedbEngine`] at one moment.
pub struct RedbSnapshot {
    frames: ReadOnlyTable<Bytes, Bytes>,
    index: ReadOnlyTable<Bytes, Bytes>,
    path: Arc<Path>,
}

impl RedbSnapshot {
    fn table(&self, space: Space) -> &ReadOnlyTable<Bytes, Bytes> {
        match space {
            Space::Frames => &self.frames,
            Space::Index => &self.index,
        }
    }

    /// On pages that were damaged after they were checked, redb may give up by a panic.
    fn guarded<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged(&self.path)))
    }
}

impl fmt::Debug for RedbSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbSnapshot").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A value in a page of a snapshot.
pub struct RedbValue(AccessGuard<'static, Bytes>);

impl fmt::Debug for RedbValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedbValue").field(&self.0.value().len()).finish()
    }
}

impl AsRef<[u8]> for RedbValue {
    fn as_ref(&self) -> &[u8] {
        self.0.value()
    }
}

impl KvSnapshot for RedbSnapshot {
    type Value = RedbValue;

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<RedbValue>> {
        self.guarded(|| {
            let value = self.table(space).get(key).map_err(|error| convert("reading", &self.path, error))?;
            Ok(value.map(RedbValue))
        })
    }

    fn range(
        &self,
        space: Space,
        first: &[u8],
        last: &[u8],
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.guarded(|| {
            // redb takes bounds that cross for a mistake of the caller.
            if first > last {
                return Ok(());
            }
            let doing = |error| convert("reading", &self.path, error);
            let mut entries = self.table(space).range::<&[u8]>(first..=last).map_err(doing)?;
            while let Some(entry) = match direction {
                Direction::Ascending => entries.next(),
                Direction::Descending => entries.next_back(),
            } {
                let (key, value) = entry.map_err(doing)?;
                if visit(key.value(), value.value())? == ControlFlow::Break(()) {
                    break;
                }
            }
            Ok(())
        })
    }
}
