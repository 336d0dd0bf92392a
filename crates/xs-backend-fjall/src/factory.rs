//! Opening a fjall index by location.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use xs_core::kv::KvStore;
use xs_core::{Create, Error, ErrorKind, Location, OwnerLock, Result, Store, StoreFactory, blocking};

use crate::engine::FjallEngine;

/// How a fjall index uses the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FjallSettings {
    /// Bytes of blocks that are cached. What a long read leaves in memory is little more than this.
    pub cache_bytes: u64,
    /// Bytes of new entries that each keyspace holds in memory before they become a table.
    pub memtable_bytes: u64,
    /// Threads that flush and compact.
    pub worker_threads: usize,
}

impl Default for FjallSettings {
    fn default() -> Self {
        Self { cache_bytes: 16 * 1024 * 1024, memtable_bytes: 64 * 1024 * 1024, worker_threads: 2 }
    }
}

impl FjallSettings {
    /// With this much of new entries in memory.
    #[must_use]
    pub fn memtable_bytes(mut self, bytes: u64) -> Self {
        self.memtable_bytes = bytes;
        self
    }
}

/// Opens fjall indexes: the scheme `fjall`, the place a directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct FjallFactory {
    settings: FjallSettings,
}

impl FjallFactory {
    /// A factory whose indexes use the machine like this.
    pub fn new(settings: FjallSettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl StoreFactory for FjallFactory {
    fn scheme(&self) -> &str {
        "fjall"
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Store>> {
        let (dir, settings) = (location.place.clone(), self.settings);
        blocking::run(move || open(&dir, create, settings)).await
    }
}

fn open(dir: &Path, create: Create, settings: FjallSettings) -> Result<Arc<dyn Store>> {
    let lock = OwnerLock::of_directory(dir, create, "fjall index")?;
    // On some damaged files fjall gives up by a panic while it recovers; nothing of it lives on.
    let engine = catch_unwind(AssertUnwindSafe(|| FjallEngine::open(dir, create, settings))).unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Corrupt, format!("the fjall index in {} cannot be recovered", dir.display())))
    })?;
    Ok(Arc::new(KvStore::open(engine, Some(lock))?))
}
