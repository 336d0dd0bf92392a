//! Opening a store by its path.

use std::path::{Path, PathBuf};

use xs_core::{Create, Error, ErrorKind, EventStream, Location, OwnerLock, Parts, Registry, Result, Settings, dirs};

use crate::manifest::{CopyOf, Found, Manifest, lock_file, name};
use crate::parts::{default_cas, default_index, parse, registry, with_feature};

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
/// let settings = Settings::default().durability(Durability::Buffered);
/// let stream = OpenOptions::new().settings(settings).open(&path).await?;
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

    /// Asks for this index, such as `redb`: a new store gets it, another than the store has is
    /// refused.
    #[must_use]
    pub fn index(mut self, index: impl Into<String>) -> Self {
        self.index = Some(index.into());
        self
    }

    /// Asks for this content store, such as `fs` or `s3://bucket/prefix?region=eu-north-1`, likewise.
    ///
    /// The settings behind the `?` are written into a new store, so that its path is enough later;
    /// for one that is there, they count this time only. Credentials are no settings: they come from
    /// the environment.
    #[must_use]
    pub fn cas(mut self, cas: impl Into<String>) -> Self {
        self.cas = Some(cas.into());
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

    pub(crate) fn registry_ref(&self) -> &Registry {
        &self.registry
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
        let (parts, opened) = self.open_unfinished(path.as_ref(), None).await?;
        opened.finish().await?;
        Ok(parts)
    }

    /// Opens the parts of a store, which is not one yet, if it is new, before it is finished.
    /// `copied` is what it is to become a copy of.
    pub(crate) async fn open_unfinished(&self, path: &Path, copied: Option<CopyOf>) -> Result<(Parts, Opened)> {
        let (this, dir) = (self.clone(), path.to_owned());
        let prepared = xs_core::blocking::run(move || this.prepare(dir, copied)).await?;
        let Prepared { index, cas, opened } = prepared;
        let store = self.registry.store(&index.scheme)?.open(&index, opened.create).await?;
        match self.registry.cas(&cas.scheme)?.open(&cas, opened.create).await {
            Ok(cas) => Ok((Parts::new(store, cas), opened)),
            Err(error) => {
                // Its lock is given back before the error is, so that a retry does not meet it.
                store.close().await?;
                Err(error)
            }
        }
    }

    /// Finds out what is there, or begins to make it. Blocks.
    fn prepare(&self, dir: PathBuf, copied: Option<CopyOf>) -> Result<Prepared> {
        let found = Manifest::find(&dir, copied.as_ref())?;
        // What cannot be opened is refused before anything is made.
        self.locate(&dir, &found)?;
        if let Found::Nothing = found {
            if self.create == Create::Never {
                return Err(Error::new(ErrorKind::NotFound, format!("no store is in {}", dir.display())));
            }
            dirs::create_private(&dir).map_err(|error| Error::io(format_args!("creating {}", dir.display()), error))?;
        }
        let lock = OwnerLock::acquire(&lock_file(&dir))?;
        // Again, now that nobody else is at it.
        let found = Manifest::find(&dir, copied.as_ref())?;
        let (index, cas) = self.locate(&dir, &found)?;
        let create = match found {
            // A part that is gone is damage, and must not come back empty.
            Found::Store(_) => Create::Never,
            Found::Nothing => {
                let manifest = Manifest::new(&index, &cas);
                if let Some(copied) = &copied {
                    Manifest::begin_copy(&dir, copied)?;
                }
                manifest.begin(&dir)?;
                Create::IfMissing
            }
        };
        Ok(Prepared { index, cas, opened: Opened { lock, create, dir } })
    }

    /// Where the parts are, or will be.
    pub(crate) fn locate(&self, dir: &Path, found: &Found) -> Result<(Location, Location)> {
        let (index, cas) = match found {
            Found::Store(manifest) => (Some(manifest.index(dir)?), Some(manifest.cas(dir)?)),
            Found::Nothing => (None, None),
        };
        let index = choose("index", dir, index, self.index.as_deref(), default_index())?;
        let cas = choose("content store", dir, cas, self.cas.as_deref(), default_cas())?;
        self.registry.store(&index.scheme).map_err(|error| with_feature(&index.scheme, error))?.check(&index)?;
        self.registry.cas(&cas.scheme).map_err(|error| with_feature(&cas.scheme, error))?.check(&cas)?;
        Ok((index, cas))
    }
}

/// A store that is about to be opened.
struct Prepared {
    index: Location,
    cas: Location,
    opened: Opened,
}

/// A store whose parts are open; nobody else opens it meanwhile.
pub(crate) struct Opened {
    lock: OwnerLock,
    create: Create,
    dir: PathBuf,
}

impl Opened {
    /// Whether it was there before.
    pub(crate) fn is_store(&self) -> bool {
        self.create == Create::Never
    }

    /// Makes it a store, if it is new.
    pub(crate) async fn finish(self) -> Result<()> {
        xs_core::blocking::run(move || {
            if self.create == Create::IfMissing {
                Manifest::finish(&self.dir)?;
            }
            drop(self.lock);
            Ok(())
        })
        .await
    }
}

/// The part that a store has, with the settings that are asked for, or the one that it gets.
fn choose(part: &str, dir: &Path, has: Option<Location>, asked: Option<&str>, default: &str) -> Result<Location> {
    let place = dir.join(if part == "index" { "index" } else { "cas" });
    let asked = asked.map(|asked| parse(asked, &place)).transpose()?;
    match (has, asked) {
        (None, None) => Ok(Location::new(default, place)),
        (Some(has), None) => Ok(has),
        (None, Some(asked)) => Ok(asked),
        (Some(mut has), Some(asked)) if name(&has) == name(&asked) => {
            has.settings.extend(asked.settings);
            Ok(has)
        }
        (Some(has), Some(asked)) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "the store in {} has the {part} {}, not {}: leave the choice out, make another store, or copy this \
                 one into a store of other parts",
                dir.display(),
                name(&has),
                name(&asked),
            ),
        )),
    }
}
