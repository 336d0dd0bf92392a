//! The file of a database, whose syncs are timed.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{BackendError, Builder, Database, DatabaseError, StorageBackend};

/// Nanoseconds that the syncs of a file took since they were last looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct SyncTime(Arc<AtomicU64>);

impl SyncTime {
    /// How long they took, and from now on those that follow. `None`: there were none.
    pub(crate) fn take(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.0.swap(0, Ordering::Relaxed))).filter(|time| !time.is_zero())
    }

    fn add(&self, time: Duration) {
        // A sync that took no time by the clock is one all the same.
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }
}

/// Opens the database at `path`, which is there and not empty, as [`Builder::open`] does.
pub(crate) fn open(builder: &Builder, path: &Path) -> Result<(Database, SyncTime), DatabaseError> {
    let file = File::options().read(true).write(true).open(path)?;
    let syncs = SyncTime::default();
    let backend = Timed { file: FileBackend::new(file)?, syncs: syncs.clone() };
    Ok((builder.create_with_backend(backend)?, syncs))
}

/// redb's own backend, every call of which goes through as it is: without one of those for locks, redb
/// would take the file for one that cannot be locked.
#[derive(Debug)]
struct Timed {
    file: FileBackend,
    syncs: SyncTime,
}

impl StorageBackend for Timed {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let since = Instant::now();
        let synced = self.file.sync_data();
        self.syncs.add(since.elapsed());
        synced
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
