//! What the suite is run on.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use xs_core::{Cas, CasFactory, Create, Location, Result, Store, StoreFactory};

/// Rewrites the closed store at a place as a newer format would have left it, and gives the number
/// of that format.
pub type MakeNewer = fn(&Path) -> u32;

/// An index under test.
#[derive(Clone)]
pub struct StoreSubject {
    pub(crate) name: String,
    pub(crate) factory: Arc<dyn StoreFactory>,
    pub(crate) make_newer: Option<MakeNewer>,
}

impl StoreSubject {
    /// The indexes that `factory` opens.
    pub fn new(name: impl Into<String>, factory: Arc<dyn StoreFactory>) -> Self {
        Self { name: name.into(), factory, make_newer: None }
    }

    /// With a way to make a store of a newer format, which a persistent index needs (S12).
    #[must_use]
    pub fn make_newer(mut self, make_newer: MakeNewer) -> Self {
        self.make_newer = Some(make_newer);
        self
    }

    pub(crate) async fn open(&self, place: &Path) -> Result<Arc<dyn Store>> {
        self.open_as(place, Create::IfMissing).await
    }

    pub(crate) async fn open_as(&self, place: &Path, create: Create) -> Result<Arc<dyn Store>> {
        self.factory.open(&Location::new(self.factory.scheme(), place), create).await
    }
}

impl fmt::Debug for StoreSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSubject").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A content store under test.
#[derive(Clone)]
pub struct CasSubject {
    pub(crate) name: String,
    pub(crate) factory: Arc<dyn CasFactory>,
}

impl CasSubject {
    /// The content stores that `factory` opens.
    pub fn new(name: impl Into<String>, factory: Arc<dyn CasFactory>) -> Self {
        Self { name: name.into(), factory }
    }

    pub(crate) async fn open(&self, place: &Path) -> Result<Arc<dyn Cas>> {
        self.open_as(place, Create::IfMissing).await
    }

    pub(crate) async fn open_as(&self, place: &Path, create: Create) -> Result<Arc<dyn Cas>> {
        self.factory.open(&Location::new(self.factory.scheme(), place), create).await
    }
}

impl fmt::Debug for CasSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CasSubject").field("name", &self.name).finish_non_exhaustive()
    }
}
