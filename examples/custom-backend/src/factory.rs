//! Opening a journal by its location.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use xs_core::kv::KvStore;
use xs_core::{Create, Error, ErrorKind, Location, OwnerLock, Result, Store, StoreFactory, blocking, dirs};

use crate::engine::{JournalEngine, NAME};

/// Opens journals: the scheme `journal`, the place a directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalFactory;

#[async_trait]
impl StoreFactory for JournalFactory {
    fn scheme(&self) -> &str {
        "journal"
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Store>> {
        let dir = location.place.clone();
        blocking::run(move || open(&dir, create)).await
    }
}

fn open(dir: &Path, create: Create) -> Result<Arc<dyn Store>> {
    if create == Create::IfMissing {
        dirs::create_all(dir).map_err(|error| Error::io(format_args!("creating {}", dir.display()), error))?;
    } else if !dir.join(NAME).exists() {
        return Err(Error::new(ErrorKind::NotFound, format!("no journal is in {}", dir.display())));
    }
    // Before anything is read: opening may cut the log, and only its one owner knows what is its end.
    let lock = OwnerLock::acquire(&dir.join("owner.lock"))?;
    Ok(Arc::new(KvStore::open(JournalEngine::open(dir, create)?, Some(lock))?))
}
