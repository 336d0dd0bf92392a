//! Opening an SQLite index by location.

use std::sync::Arc;

use async_trait::async_trait;
use xs_core::{Create, Location, OwnerLock, Result, Store, StoreFactory, blocking};

use crate::store::SqliteStore;

/// How an SQLite index uses the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteSettings {
    /// Bytes of pages that each connection caches; there is one that writes, and at most four that
    /// read.
    pub cache_bytes: usize,
    /// Whether SQLite's `integrity_check` runs when the index is opened, which looks at every row
    /// and every index entry. Without it a damaged index page goes unnoticed; a damaged row does not,
    /// since it has a checksum.
    pub check_on_open: bool,
    /// How long a commit waits for a write of another program, which had better not be there, in
    /// milliseconds.
    pub busy_ms: u64,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self { cache_bytes: 4 * 1024 * 1024, check_on_open: true, busy_ms: 5000 }
    }
}

impl SqliteSettings {
    /// With this much of pages in memory for each connection.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// With so much patience with other programs that write.
    #[must_use]
    pub fn busy_ms(mut self, ms: u64) -> Self {
        self.busy_ms = ms;
        self
    }

    /// With or without a check of everything when it is opened.
    #[must_use]
    pub fn check_on_open(mut self, check: bool) -> Self {
        self.check_on_open = check;
        self
    }
}

/// Opens SQLite indexes: the scheme `sqlite`, the place a directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqliteFactory {
    settings: SqliteSettings,
}

impl SqliteFactory {
    /// A factory whose indexes use the machine like this.
    pub fn new(settings: SqliteSettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl StoreFactory for SqliteFactory {
    fn scheme(&self) -> &str {
        "sqlite"
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Store>> {
        let (dir, settings) = (location.place.clone(), self.settings);
        blocking::run(move || {
            let lock = OwnerLock::of_directory(&dir, create, "sqlite index")?;
            Ok(Arc::new(SqliteStore::open(&dir, create, settings, lock)?) as Arc<dyn Store>)
        })
        .await
    }
}
