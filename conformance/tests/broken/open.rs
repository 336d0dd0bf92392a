//! Opening indexes that do one thing wrong, and what they do wrong when they are opened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use xs_core::{Batch, Create, Error, ErrorKind, Frame, FrameId, Location, Result, Store, StoreFactory};

use crate::flaw::StoreFlaw;
use crate::store::{FlawedStore, newest};
use crate::table;

/// What flaws remember of a place, as long as their factory lives.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Acknowledged, and not stored.
    pub(crate) unstored: Vec<Batch>,
    /// Frames of the last commit that failed.
    pub(crate) failed: Vec<Arc<Frame>>,
    pub(crate) removed: Vec<Frame>,
    /// Ids that a get has not found.
    pub(crate) missing: BTreeSet<FrameId>,
    /// Frames that the pages of the last scan have given.
    pub(crate) given: usize,
    /// What every further owner gets.
    shared: Option<Arc<dyn Store>>,
}

/// Opens indexes with one flaw.
#[derive(Debug)]
pub(crate) struct FlawedStoreFactory {
    inner: Arc<dyn StoreFactory>,
    flaw: StoreFlaw,
    notes: Mutex<BTreeMap<PathBuf, Arc<Mutex<Notes>>>>,
}

impl FlawedStoreFactory {
    pub(crate) fn new(inner: Arc<dyn StoreFactory>, flaw: StoreFlaw) -> Self {
        Self { inner, flaw, notes: Mutex::default() }
    }

    async fn open_inner(&self, location: &Location, create: Create) -> Result<Arc<dyn Store>> {
        let create = if self.flaw == StoreFlaw::MakesUpAMissingStore { Create::IfMissing } else { create };
        let error = match self.inner.open(location, create).await {
            Ok(store) => return Ok(store),
            Err(error) => error,
        };
        match (self.flaw, error.kind()) {
            (StoreFlaw::StartsAnewAfterDamage, ErrorKind::Corrupt) => {
                std::fs::remove_dir_all(&location.place).unwrap();
                self.inner.open(location, Create::IfMissing).await
            }
            (StoreFlaw::CallsDamageADefect, ErrorKind::Corrupt) => {
                Err(Error::new(ErrorKind::Internal, error.to_string()))
            }
            (StoreFlaw::ReadsANewerFormat, ErrorKind::Unsupported) => {
                table::make_current(&location.place);
                self.inner.open(location, create).await
            }
            (StoreFlaw::ChangesANewerFormat, ErrorKind::Unsupported) => {
                table::make_current(&location.place);
                Err(error)
            }
            (StoreFlaw::NamesNoVersions, ErrorKind::Unsupported) => {
                Err(Error::new(ErrorKind::Unsupported, "this index has another format"))
            }
            _ => Err(error),
        }
    }
}

#[async_trait]
impl StoreFactory for FlawedStoreFactory {
    fn scheme(&self) -> &str {
        self.inner.scheme()
    }

    fn check(&self, location: &Location) -> Result<()> {
        self.inner.check(location)
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Store>> {
        let notes = Arc::clone(self.notes.lock().unwrap().entry(location.place.clone()).or_default());
        let shared = notes.lock().unwrap().shared.clone();
        let inner = match shared {
            Some(shared) => shared,
            None => self.open_inner(location, create).await?,
        };
        match self.flaw {
            StoreFlaw::LetsTwoOwnersIn => notes.lock().unwrap().shared = Some(Arc::clone(&inner)),
            StoreFlaw::LosesTheNewestOnReopen => {
                let remove = newest(&*inner).await?.into_iter().collect();
                inner.commit(Batch { remove, ..Batch::default() }).await?;
            }
            StoreFlaw::BringsTheRemovedBack => {
                let mut removed = std::mem::take(&mut notes.lock().unwrap().removed);
                removed.sort_by_key(|frame| frame.id);
                let insert = removed.into_iter().map(Arc::new).collect();
                inner.commit(Batch { insert, ..Batch::default() }).await?;
            }
            _ => {}
        }
        Ok(Arc::new(FlawedStore::new(inner, self.flaw, notes)))
    }
}
