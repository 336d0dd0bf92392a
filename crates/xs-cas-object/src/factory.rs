//! Opening a content store on object storage by location.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use object_store::memory::InMemory;
use xs_core::{Cas, CasFactory, Create, Error, Location, Result, blocking, dirs};

use crate::backend::{Keys, connect, split};
use crate::cas::ObjectCas;
use crate::layout::Layout;
use crate::remote::Remote;
use crate::settings::ObjectSettings;

/// Opens content stores on one kind of object storage, by the scheme of its URLs. The location's
/// place is a directory for temporary files.
#[derive(Clone)]
pub struct ObjectCasFactory {
    scheme: &'static str,
    keys: Option<Keys>,
    /// What is in memory, by name, for as long as the factory lives.
    memory: Arc<Mutex<BTreeMap<String, Arc<InMemory>>>>,
}

impl ObjectCasFactory {
    fn new(scheme: &'static str) -> Self {
        Self { scheme, keys: None, memory: Arc::default() }
    }

    /// For S3: with these credentials instead of those of the environment. They are kept in memory.
    #[must_use]
    pub fn keys(mut self, access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        self.keys = Some(Keys { id: access_key_id.into(), secret: secret_access_key.into() });
        self
    }

    /// `s3://bucket/prefix`: S3 and what speaks it.
    pub fn s3() -> Self {
        Self::new("s3")
    }

    /// `az://container/prefix`: Azure Blob Storage.
    pub fn azure() -> Self {
        Self::new("az")
    }

    /// `gs://bucket/prefix`: Google Cloud Storage.
    pub fn google() -> Self {
        Self::new("gs")
    }

    /// `file:/folder`: a folder that several stores share, or `file` alone, in the location's place.
    pub fn file() -> Self {
        Self::new("file")
    }

    /// `memory:name`: for trials; it ends with the process.
    pub fn memory() -> Self {
        Self::new("memory")
    }

    /// One for each kind.
    pub fn all() -> [Self; 5] {
        [Self::s3(), Self::azure(), Self::google(), Self::file(), Self::memory()]
    }

    fn in_memory(&self, name: &str, create: Create) -> Option<Arc<InMemory>> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match create {
            Create::IfMissing => Some(Arc::clone(memory.entry(name.to_owned()).or_default())),
            Create::Never => memory.get(name).map(Arc::clone),
        }
    }
}

impl fmt::Debug for ObjectCasFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectCasFactory").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

#[async_trait]
impl CasFactory for ObjectCasFactory {
    fn scheme(&self) -> &str {
        self.scheme
    }

    fn check(&self, location: &Location) -> Result<()> {
        ObjectSettings::of(location)?;
        split(location).map(drop)
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Cas>> {
        let settings = ObjectSettings::of(location)?;
        let (_, prefix) = split(location)?;
        let (this, wanted, at) = (self.clone(), settings.clone(), location.clone());
        let backend = blocking::run(move || {
            connect(&at, &wanted, this.keys.as_ref(), create, || this.in_memory(&at.remote, create))
        })
        .await?;
        let remote = Remote::new(backend, Layout::new(prefix), settings, location.to_string());
        let dir = location.place.clone();
        let cas = ObjectCas::open(self.scheme.to_owned(), remote, dir.clone(), create).await?;
        blocking::run(move || {
            dirs::create_all(&dir).map_err(|error| Error::io(format_args!("creating {}", dir.display()), error))
        })
        .await?;
        Ok(Arc::new(cas))
    }
}
