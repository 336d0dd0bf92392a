//! Opening a redb index by location.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use xs_core::kv::KvStore;
use xs_core::{Create, Location, OwnerLock, Result, Store, StoreFactory, blocking};

use crate::engine::RedbEngine;
use crate::error::damaged;

/// How a redb index uses the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedbSettings {
    /// Bytes of pages that are cached.
    pub cache_bytes: usize,
    /// Whether every page is checked when the index is opened, for the time that reading the file
    /// takes. Without it a damaged page goes unnoticed unless a frame's own record lies in it.
    pub check_on_open: bool,
}

impl Default for RedbSettings {
    fn default() -> Self {
        Self { cache_bytes: 16 * 1024 * 1024, check_on_open: true }
    }
}

impl RedbSettings {
    /// With this much of pages in memory.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// With or without a check of every page when it is opened.
    #[must_use]
    pub fn check_on_open(mut self, check: bool) -> Self {
        self.check_on_open = check;
        self
    }
}

/// Opens redb indexes: the scheme `redb`, the place a directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedbFactory {
    settings: RedbSettings,
}

impl RedbFactory {
    /// A factory whose indexes use the machine like this.
    pub fn new(settings: RedbSettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl StoreFactory for RedbFactory {
    fn scheme(&self) -> &str {
        "redb"
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Store>> {
        let (dir, settings) = (location.place.clone(), self.settings);
        blocking::run(move || open(&dir, create, settings)).await
    }
}

fn open(dir: &Path, create: Create, settings: RedbSettings) -> Result<Arc<dyn Store>> {
    let lock = OwnerLock::of_directory(dir, create, "redb index")?;
    // On some damaged files redb gives up by a panic; nothing of it lives on.
    let engine = catch_unwind(AssertUnwindSafe(|| RedbEngine::open(dir, create, settings)))
        .unwrap_or_else(|_| Err(damaged(dir)))?;
    Ok(Arc::new(KvStore::open(engine, Some(lock))?))
}
