//! Opening a store by its path.

use std::path::{Path, PathBuf};

use xs_core::{Create, Error, ErrorKind, EventStream, Location, OwnerLock, Parts, Registry, Result, Settings, dirs};

use crate::manifest::{Found, Manifest, lock_file};
use crate::parts::{DEFAULT_CAS, DEFAULT_INDEX, registry};

/// Opens the store in the directory `path`, making it there if nothing is.
///
/// See [`OpenOptions::open`] for what can go wrong.
pub async fn open(path: impl AsRef<Path>) -> Result<EventStream> {
    OpenOptions::new().open(path).await
}

/// How a store is opened.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> xs::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("store");
/// use xs::{Durability, OpenOptions, Settings};
/// let stream = OpenOptions::new()
///     .index("fjall")
///     .cas("fs")
///     .settings(Settings::default().durability(Durability::Buffered))
///     .open(&path)
///     .await?;
/// # stream.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    index: Option<String>,
    cas: Option<String>,
    create: Create,
    settings: Settings,
    registry: Registry,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { index: None, cas: None, create: Create::IfMissing, settings: Settings::default(), registry: registry() }
    }
}

impl OpenOptions {
    /// Of any parts, made if missing, with default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for this index: a new store gets it, another than the store has is refused.
    #[must_use]
    pub fn index(mut self, scheme: impl Into<String>) -> Self {
        self.index = Some(scheme.into());
        self
    }

    /// Asks for this content store, likewise.
    #[must_use]
    pub fn cas(mut self, scheme: impl Into<String>) -> Self {
        self.cas = Some(scheme.into());
        self
    }

    /// Whether a store may be made where there is none.
    #[must_use]
    pub fn create(mut self, create: Create) -> Self {
        self.create = create;
        self
    }

    /// How the stream behaves.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Which factories there are, in place of [`registry`](crate::registry).
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Opens the store in the directory `path`.
    ///
    /// `Locked` while somebody has it open; `InvalidInput` when `path` is a file, something else
    /// than a store, cannot be written, or is a store of other parts; `Unsupported` when it was
    /// written by a newer xs or has parts that this build lacks; `NotFound` when nothing is there
    /// and nothing may be made; `Corrupt` when it is damaged.
    pub async fn open(&self, path: impl AsRef<Path>) -> Result<EventStream> {
        EventStream::open_parts(self.open_parts(path).await?, self.settings).await
    }

    /// Opens the parts of the store in the directory `path`, for a caller that puts a clock or ids
    /// of its own beside them.
    pub async fn open_parts(&self, path: impl AsRef<Path>) -> Result<Parts> {
        let dir = path.as_ref().to_owned();
        let this = self.clone();
        let (lock, manifest, create, dir) = xs_core::blocking::run(move || this.prepare(dir)).await?;
        let (store, cas) = (self.registry.store(&manifest.index)?, self.registry.cas(&manifest.cas)?);
        let store = store.open(&Location::new(&manifest.index, dir.join("index")), create).await?;
        let cas = match cas.open(&Location::new(&manifest.cas, dir.join("cas")), create).await {
            Ok(cas) => cas,
            Err(error) => {
                // Its lock is given back before the error is, so that a retry does not meet it.
                store.close().await?;
                return Err(error);
            }
        };
        xs_core::blocking::run(move || {
            if create == Create::IfMissing {
                Manifest::finish(&dir)?;
            }
            drop(lock);
            Ok(())
        })
        .await?;
        Ok(Parts::new(store, cas))
    }

    /// Finds out what is there, or begins to make it. Blocks.
    fn prepare(&self, dir: PathBuf) -> Result<(OwnerLock, Manifest, Create, PathBuf)> {
        if let Found::Nothing = Manifest::find(&dir)? {
            if self.create == Create::Never {
                return Err(Error::new(ErrorKind::NotFound, format!("no store is in {}", dir.display())));
            }
            dirs::create_all(&dir).map_err(|error| Error::io(format_args!("creating {}", dir.display()), error))?;
        }
        let lock = OwnerLock::acquire(&lock_file(&dir))?;
        // Again, now that nobody else is at it.
        let (manifest, create) = match Manifest::find(&dir)? {
            // A part that is gone is damage, and must not come back empty.
            Found::Store(manifest) => (manifest, Create::Never),
            Found::Nothing => {
                let index = self.index.as_deref().unwrap_or(DEFAULT_INDEX);
                let cas = self.cas.as_deref().unwrap_or(DEFAULT_CAS);
                (Manifest::new(index, cas), Create::IfMissing)
            }
        };
        for (part, asked, has) in [("index", &self.index, &manifest.index), ("content store", &self.cas, &manifest.cas)]
        {
            if asked.as_ref().is_some_and(|asked| asked != has) {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!(
                        "the store in {} has the {part} {has}, not {}: leave the choice out, or make another store",
                        dir.display(),
                        asked.as_deref().unwrap_or_default()
                    ),
                ));
            }
        }
        self.registry.store(&manifest.index)?;
        self.registry.cas(&manifest.cas)?;
        if create == Create::IfMissing {
            manifest.begin(&dir)?;
        }
        Ok((lock, manifest, create, dir))
    }
}
