//! fjall as a [`KvEngine`].

use std::fmt;
use std::fs;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable as _};
use xs_core::kv::{KvBatch, KvEngine, KvOp, KvSnapshot, Note, Noted, Space, Visit};
use xs_core::{Capabilities, Committed, Create, Direction, Durability, Error, ErrorKind, Result};

use crate::error::{OPENING, convert, damaged};
use crate::factory::FjallSettings;
use crate::{journal, tables};

/// The file that fjall makes last.
const VERSION: &str = "version";

/// A fjall database with one keyspace for frames and one for the index.
///
/// What each durability promises, by fjall's `PersistMode`
/// (<https://docs.rs/fjall/3/fjall/enum.PersistMode.html>): `Sync` commits with `SyncData`, so the
/// journal has been through `fdatasync` before anybody sees the batch; `Buffered` commits with
/// `Buffer`, so the journal has been handed to the operating system. A batch is one checksummed
/// entry of the journal, so it is there whole or not at all.
///
/// The sync that a commit tells is fjall's whole commit: writing the journal, its sync, and the
/// memtables. Committed with `Buffer` and synced by a call of its own, a batch would be in the
/// memtables before its sync: after one that failed, a flush could still store a part of it.
pub struct FjallEngine {
    database: Database,
    keyspaces: Keyspaces,
    dir: Arc<Path>,
    note: Note,
    /// The number of the last applied batch.
    applied: Mutex<u64>,
    /// What that batch left, which is what readers get. A snapshot that is taken while a batch is on
    /// its way can hold a part of it: a flush or compaction that ends meanwhile raises fjall's
    /// visible sequence number above that of the batch.
    committed: RwLock<Arc<fjall::Snapshot>>,
}

impl FjallEngine {
    /// Opens the database in `dir`, which exists. Blocks. The caller holds the lock that makes it
    /// the only owner.
    pub fn open(dir: &Path, create: Create, settings: FjallSettings) -> Result<Self> {
        let doing = |error| convert(OPENING, dir, error);
        prepare(dir, create)?;
        let database = Database::builder(dir)
            .cache_size(settings.cache_bytes)
            .worker_threads(settings.worker_threads.max(1))
            .open()
            .map_err(doing)?;
        let keyspace = |name| {
            // What is gone must not come back empty.
            if create == Create::Never && !database.keyspace_exists(name) {
                let gone = format!("the fjall index in {} has lost its {name}", dir.display());
                return Err(Error::new(ErrorKind::Corrupt, gone));
            }
            let options = || KeyspaceCreateOptions::default().max_memtable_size(settings.memtable_bytes);
            database.keyspace(name, options).map_err(doing)
        };
        Ok(Self {
            keyspaces: Keyspaces { frames: keyspace("frames")?, index: keyspace("index")? },
            dir: dir.into(),
            note: Note::open(dir)?,
            applied: Mutex::new(0),
            committed: RwLock::new(Arc::new(database.snapshot())),
            database,
        })
    }
}

#[derive(Clone)]
struct Keyspaces {
    frames: Keyspace,
    index: Keyspace,
}

impl Keyspaces {
    fn of(&self, space: Space) -> &Keyspace {
        match space {
            Space::Frames => &self.frames,
            Space::Index => &self.index,
        }
    }
}

/// Looks at what is in `dir` before fjall does, because fjall repairs what it opens.
fn prepare(dir: &Path, create: Create) -> Result<()> {
    let noted = Noted::read_supported("fjall", dir)?;
    let version = dir.join(VERSION);
    let made = version.metadata().is_ok_and(|metadata| metadata.len() > 0);
    match create {
        Create::Never if !version.exists() => {
            Err(Error::new(ErrorKind::NotFound, format!("no fjall index is in {}", dir.display())))
        }
        // Its making was interrupted, before anything could be stored in it.
        Create::IfMissing if !made && noted.is_none() => clear(dir),
        _ => {
            journal::check(dir, noted.map_or(0, |noted| noted.sequence))?;
            tables::check(dir)
        }
    }
}

/// Removes what fjall makes first.
fn clear(dir: &Path) -> Result<()> {
    let doing = |error| Error::io(format_args!("clearing {}", dir.display()), error);
    let unless_missing = |result: std::io::Result<()>| match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(doing(error)),
        _ => Ok(()),
    };
    for file in ["0.jnl", "lock", VERSION] {
        unless_missing(fs::remove_file(dir.join(file)))?;
    }
    unless_missing(fs::remove_dir_all(dir.join("keyspaces")))
}

impl fmt::Debug for FjallEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallEngine").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl KvEngine for FjallEngine {
    type Snapshot = FjallSnapshot;

    fn name(&self) -> &str {
        "fjall"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().persistent(true).exclusive(true)
    }

    fn apply(&self, batch: KvBatch) -> Result<Committed> {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let mut write = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), batch.ops.len());
        for op in batch.ops {
            match op {
                KvOp::Put { space, key, value } => write.insert(self.keyspaces.of(space), key, value),
                KvOp::Delete { space, key } => write.remove(self.keyspaces.of(space), key),
            }
        }
        let committed = match batch.durability {
            Durability::Sync => Committed::timed(|| write.durability(Some(PersistMode::SyncData)).commit()),
            Durability::Buffered => write.durability(Some(PersistMode::Buffer)).commit().map(|()| Committed::default()),
        }
        .map_err(|error| convert("writing to", &self.dir, error))?;
        // Still holding `applied`, so that no other batch is on its way.
        *self.committed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(self.database.snapshot());
        *applied = batch.sequence;
        if batch.durability == Durability::Sync {
            self.note.write(batch.sequence);
        }
        Ok(committed)
    }

    fn snapshot(&self) -> Result<FjallSnapshot> {
        Ok(FjallSnapshot {
            snapshot: Arc::clone(&self.committed.read().unwrap_or_else(PoisonError::into_inner)),
            keyspaces: self.keyspaces.clone(),
            dir: Arc::clone(&self.dir),
        })
    }

    fn durable_sequence(&self) -> Result<Option<u64>> {
        Ok(self.note.sequence())
    }

    fn sync(&self) -> Result<()> {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        self.database.persist(PersistMode::SyncAll).map_err(|error| convert("closing", &self.dir, error))?;
        if *applied > 0 {
            self.note.write(*applied);
        }
        Ok(())
    }
}

/// A view of a [`FjallEngine`] at one moment.
pub struct FjallSnapshot {
    snapshot: Arc<fjall::Snapshot>,
    keyspaces: Keyspaces,
    dir: Arc<Path>,
}

impl FjallSnapshot {
    /// On some damaged blocks the tree below fjall gives up by a panic.
    fn guarded<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged(&self.dir)))
    }
}

impl fmt::Debug for FjallSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallSnapshot").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl KvSnapshot for FjallSnapshot {
    type Value = fjall::Slice;

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<fjall::Slice>> {
        self.guarded(|| {
            self.snapshot.get(self.keyspaces.of(space), key).map_err(|error| convert("reading", &self.dir, error))
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
            let mut entries = self.snapshot.range(self.keyspaces.of(space), first..=last);
            while let Some(entry) = match direction {
                Direction::Ascending => entries.next(),
                Direction::Descending => entries.next_back(),
            } {
                let (key, value) = entry.into_inner().map_err(|error| convert("reading", &self.dir, error))?;
                if visit(&key, &value)? == ControlFlow::Break(()) {
                    break;
                }
            }
            Ok(())
        })
    }
}
