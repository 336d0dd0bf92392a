//! The journal index of xs: an append-only log, and all that it says in memory.
//!
//! An example of a backend outside of xs, written against its public interface alone. It is not for large stores: every
//! record is held in memory, and the log only grows.

mod engine;
pub use engine::{JournalEngine, JournalSnapshot};

use std::sync::Arc;

use xs_core::kv::KvStore;
use xs_core::{Create, Error, Location, OwnerLock, Result, Store, StoreFactory, blocking, dirs};

/// Opens journals: the scheme `journal`, the place a directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalFactory;

#[async_trait::async_trait]
impl StoreFactory for JournalFactory {
    fn scheme(&self) -> &str {
        "journal"
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Store>> {
        let dir = location.place.clone();
        let open = move || -> Result<Arc<dyn Store>> {
            match create {
                Create::IfMissing => dirs::create_all(&dir),
                Create::Never => dir.join(engine::NAME).metadata().map(drop),
            }
            .map_err(|error| Error::io(format_args!("opening the journal in {}", dir.display()), error))?;
            // Before the engine, which may cut the log: only its one owner knows where it ends.
            let lock = OwnerLock::acquire(&dir.join("owner.lock"))?;
            Ok(Arc::new(KvStore::open(JournalEngine::open(&dir, create)?, Some(lock))?))
        };
        blocking::run(open).await
    }
}
