//! What the suite is run on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::tools::files_below;
use async_trait::async_trait;
use bytes::Bytes;
use xs_core::kv::{FORMAT, KvBatch, KvEngine, KvOp, Space, keys};
use xs_core::memory::{MemoryCasFactory, MemoryStoreFactory};
use xs_core::{Cas, CasFactory, Create, Durability, Location, Result, Store, StoreFactory};

/// Rewrites the closed store at a place as a newer format would have left it, and gives the number
/// of that format.
pub type MakeNewer = fn(&Path) -> u32;

/// Rewrites what lies under a [`KvStore`](xs_core::kv::KvStore) as a newer format would have left
/// it, for the [`MakeNewer`] of an index on the key-value layer. Gives the number of that format.
pub fn make_newer(engine: &impl KvEngine) -> u32 {
    let newer = FORMAT + 41;
    let put = KvOp::Put { space: Space::Index, key: keys::FORMAT_KEY.to_vec(), value: newer.to_be_bytes().to_vec() };
    engine.apply(KvBatch { ops: vec![put], durability: Durability::Sync, sequence: 0 }).unwrap();
    newer
}

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

    /// The memory reference, to pair a content store with.
    pub fn memory() -> Self {
        Self::new("memory", Arc::new(MemoryStoreFactory::new()))
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
    pub(crate) behind: Arc<dyn Behind>,
}

impl CasSubject {
    /// The content stores that `factory` opens.
    pub fn new(name: impl Into<String>, factory: Arc<dyn CasFactory>) -> Self {
        Self { name: name.into(), factory, behind: Arc::new(Files) }
    }

    /// The memory reference, to pair an index with.
    pub fn memory() -> Self {
        Self::new("memory", Arc::new(MemoryCasFactory::new()))
    }

    /// With a look behind the content store, where what it stores is not in files below its place.
    #[must_use]
    pub fn behind(mut self, behind: Arc<dyn Behind>) -> Self {
        self.behind = behind;
        self
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

/// What lies behind a content store, as whoever damages it sees it: objects with names and bytes.
#[async_trait]
pub trait Behind: Send + Sync + fmt::Debug {
    /// Every object that belongs to the store at this place, and its size in bytes.
    async fn objects(&self, place: &Path) -> Vec<(String, u64)>;

    /// The bytes of an object.
    async fn read(&self, place: &Path, name: &str) -> Bytes;

    /// Puts these bytes in place of an object's.
    async fn write(&self, place: &Path, name: &str, bytes: Bytes);

    /// Whether the store's own process makes objects durable, and so can be watched doing it. Where
    /// a server does, its answer has to do.
    fn is_local(&self) -> bool {
        false
    }
}

/// The files below a place.
#[derive(Debug)]
struct Files;

#[async_trait]
impl Behind for Files {
    async fn objects(&self, place: &Path) -> Vec<(String, u64)> {
        let with_size = |path: PathBuf| {
            let size = std::fs::metadata(place.join(&path)).unwrap().len();
            (path.to_str().unwrap().to_owned(), size)
        };
        files_below(place).into_iter().map(with_size).collect()
    }

    async fn read(&self, place: &Path, name: &str) -> Bytes {
        std::fs::read(place.join(name)).unwrap().into()
    }

    async fn write(&self, place: &Path, name: &str, bytes: Bytes) {
        std::fs::write(place.join(name), bytes).unwrap();
    }

    fn is_local(&self) -> bool {
        true
    }
}
