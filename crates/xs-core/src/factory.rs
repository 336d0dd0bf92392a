//! Choosing parts at run time: locations, factories, and the registry that finds one by scheme.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Cas, Error, ErrorKind, Result, Store};

/// Where a part lives: a scheme that names its kind, and a place that this kind understands.
///
/// ```
/// use xs_core::Location;
/// let location = Location::new("fjall", "./clipboard-store/index");
/// assert_eq!(location.to_string(), "fjall:./clipboard-store/index");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Names the factory, such as `fjall` or `fs`.
    pub scheme: String,
    /// A directory, or what else the factory takes.
    pub place: PathBuf,
}

impl Location {
    /// The place `place` of the kind `scheme`.
    pub fn new(scheme: impl Into<String>, place: impl AsRef<Path>) -> Self {
        Self { scheme: scheme.into(), place: place.as_ref().to_owned() }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.place.display())
    }
}

/// Whether an open may make what is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Make it where it is missing.
    IfMissing,
    /// `NotFound` where it is missing: a store that had data must not come back empty.
    Never,
}

/// Opens a [`Store`].
#[async_trait]
pub trait StoreFactory: Send + Sync + fmt::Debug + 'static {
    /// The scheme that it answers to.
    fn scheme(&self) -> &str;

    /// Opens the index at `location`, becoming its one owner.
    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Store>>;
}

/// Opens a [`Cas`].
#[async_trait]
pub trait CasFactory: Send + Sync + fmt::Debug + 'static {
    /// The scheme that it answers to.
    fn scheme(&self) -> &str;

    /// Opens the content store at `location`.
    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Cas>>;
}

/// The factories that a program can choose from at run time. Nothing registers itself.
///
/// ```
/// use std::sync::Arc;
/// use xs_core::{Registry, memory::{MemoryCasFactory, MemoryStoreFactory}};
/// let mut registry = Registry::new();
/// registry.register_store(Arc::new(MemoryStoreFactory::new()));
/// registry.register_cas(Arc::new(MemoryCasFactory::new()));
/// assert!(registry.store("memory").is_ok());
/// assert!(registry.store("punch-cards").is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Registry {
    stores: BTreeMap<String, Arc<dyn StoreFactory>>,
    cas: BTreeMap<String, Arc<dyn CasFactory>>,
}

impl Registry {
    /// A registry that knows no factory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a factory of indexes, in place of one with the same scheme.
    pub fn register_store(&mut self, factory: Arc<dyn StoreFactory>) {
        self.stores.insert(factory.scheme().to_owned(), factory);
    }

    /// Adds a factory of content stores, in place of one with the same scheme.
    pub fn register_cas(&mut self, factory: Arc<dyn CasFactory>) {
        self.cas.insert(factory.scheme().to_owned(), factory);
    }

    /// The factory of indexes of this scheme, or `Unsupported`, naming those that there are.
    pub fn store(&self, scheme: &str) -> Result<&Arc<dyn StoreFactory>> {
        self.stores.get(scheme).ok_or_else(|| unknown("index", scheme, self.stores.keys()))
    }

    /// The factory of content stores of this scheme, or `Unsupported`, naming those that there are.
    pub fn cas(&self, scheme: &str) -> Result<&Arc<dyn CasFactory>> {
        self.cas.get(scheme).ok_or_else(|| unknown("content store", scheme, self.cas.keys()))
    }
}

fn unknown<'a>(part: &str, scheme: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known: Vec<&str> = known.map(String::as_str).collect();
    Error::new(ErrorKind::Unsupported, format!("this build has no {part} {scheme:?}; it has: {}", known.join(", ")))
}
