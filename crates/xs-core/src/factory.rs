//! Choosing parts at run time: locations, factories, and the registry that finds one by scheme.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Cas, Error, ErrorKind, Result, Store};

/// Where a part lives: a scheme that names its kind, a directory that it has for itself on this
/// machine, and, for a part that lives elsewhere, where.
///
/// ```
/// use xs_core::Location;
/// let location = Location::new("fjall", "./clipboard-store/index");
/// assert_eq!(location.to_string(), "fjall:./clipboard-store/index");
/// let location = Location::new("s3", "./clipboard-store/cas").remote("bucket/prefix").setting("region", "eu-north-1");
/// assert_eq!(location.to_string(), "s3://bucket/prefix");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Location {
    /// Names the factory, such as `fjall` or `fs`.
    pub scheme: String,
    /// A directory. A part that lives elsewhere may keep there what it needs on this machine, and
    /// must do without what it kept.
    pub place: PathBuf,
    /// What a URL says between its scheme and its settings, such as `bucket/prefix`; empty for a
    /// part that lives in its place.
    pub remote: String,
    /// Settings of this kind of part by name. They are written into the store's manifest, so
    /// credentials are never among them.
    pub settings: BTreeMap<String, String>,
}

impl Location {
    /// The place `place` of the kind `scheme`.
    pub fn new(scheme: impl Into<String>, place: impl AsRef<Path>) -> Self {
        Self {
            scheme: scheme.into(),
            place: place.as_ref().to_owned(),
            remote: String::new(),
            settings: BTreeMap::new(),
        }
    }

    /// Living there.
    #[must_use]
    pub fn remote(mut self, remote: impl Into<String>) -> Self {
        self.remote = remote.into();
        self
    }

    /// With this setting.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// `InvalidInput` when it says more than a scheme and a place: for kinds that know no more.
    pub fn check_plain(&self) -> Result<()> {
        let Self { scheme, remote, settings, .. } = self;
        match settings.keys().next() {
            Some(name) => Err(Error::invalid(format!("{scheme} has no setting {name:?}: it has none"))),
            None if remote.is_empty() => Ok(()),
            None => Err(Error::invalid(format!(
                "{scheme} lives in the store's own directory, not in {remote:?}: say {scheme:?} alone"
            ))),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.remote.as_str() {
            "" => write!(f, "{}:{}", self.scheme, self.place.display()),
            remote => write!(f, "{}://{remote}", self.scheme),
        }
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

    /// Refuses, with `InvalidInput` and before anything is made, a location that cannot be opened
    /// because of how it is written: an unknown setting, a remote place where there is none.
    fn check(&self, location: &Location) -> Result<()> {
        location.check_plain()
    }

    /// Opens the index at `location`, becoming its one owner.
    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Store>>;
}

/// Opens a [`Cas`].
#[async_trait]
pub trait CasFactory: Send + Sync + fmt::Debug + 'static {
    /// The scheme that it answers to.
    fn scheme(&self) -> &str;

    /// As [`StoreFactory::check`].
    fn check(&self, location: &Location) -> Result<()> {
        location.check_plain()
    }

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
