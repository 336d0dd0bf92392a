//! `xs.toml`: what a store was made with, so that reopening it needs only its path.
//!
//! ```toml
//! format = 1
//! index = "fjall"
//! cas = "s3://bucket/prefix"
//!
//! [cas-settings]
//! region = "eu-north-1"
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind as Io, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xs_core::{Error, ErrorKind, Location, Result, dirs};

use crate::parts::parse;

/// The newest layout of a store directory that this build knows.
const FORMAT: u32 = 1;
const NAME: &str = "xs.toml";
/// The manifest of a store that is being made. Nothing was stored while it has this name.
const UNFINISHED: &str = "xs.toml.new";

/// What an unfinished store is a copy of; see [`CopyOf`].
const COPY: &str = "xs-copy.toml";

/// What a store is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    index: String,
    cas: String,
    #[serde(rename = "index-settings", default, skip_serializing_if = "BTreeMap::is_empty")]
    index_settings: BTreeMap<String, String>,
    #[serde(rename = "cas-settings", default, skip_serializing_if = "BTreeMap::is_empty")]
    cas_settings: BTreeMap<String, String>,
}

/// A part without its settings, as the user names it.
pub(crate) fn name(location: &Location) -> String {
    match location.remote.as_str() {
        "" => location.scheme.clone(),
        remote => format!("{}://{remote}", location.scheme),
    }
}

fn located(name: &str, settings: &BTreeMap<String, String>, place: PathBuf) -> Result<Location> {
    let location = parse(name, &place)?;
    Ok(settings.iter().fold(location, |location, (name, value)| location.setting(name, value)))
}

/// What is in a directory that is to be opened.
pub(crate) enum Found {
    Store(Manifest),
    /// Nothing, or a store whose making was interrupted.
    Nothing,
}

impl Manifest {
    /// A store of these parts, whose settings were found to hold no credentials.
    pub(crate) fn new(index: &Location, cas: &Location) -> Self {
        Self {
            format: FORMAT,
            index: name(index),
            cas: name(cas),
            index_settings: index.settings.clone(),
            cas_settings: cas.settings.clone(),
        }
    }

    /// Where its index is, in a store at `dir`.
    pub(crate) fn index(&self, dir: &Path) -> Result<Location> {
        located(&self.index, &self.index_settings, dir.join("index"))
    }

    /// Where its content is, in a store at `dir`.
    pub(crate) fn cas(&self, dir: &Path) -> Result<Location> {
        located(&self.cas, &self.cas_settings, dir.join("cas"))
    }

    /// Says what is in `dir`, changing nothing. `InvalidInput` when it is something else than a
    /// store, such as the beginning of a copy, unless it is one of what `copied` says; `Unsupported`
    /// when it is a store of a newer format.
    pub(crate) fn find(dir: &Path, copied: Option<&CopyOf>) -> Result<Found> {
        match fs::read_to_string(dir.join(NAME)) {
            Ok(text) => Self::parse(dir, &text).map(Found::Store),
            Err(error) if error.kind() == Io::NotFound => Self::nothing(dir, copied),
            Err(error) if error.kind() == Io::NotADirectory => {
                Err(Error::new(ErrorKind::InvalidInput, format!("{} is a file; a store is a directory", dir.display())))
            }
            Err(error) if error.kind() == Io::InvalidData => {
                Err(Error::new(ErrorKind::Corrupt, format!("{} is not text", dir.join(NAME).display())))
            }
            Err(error) => Err(Error::io(format_args!("reading {}", dir.join(NAME).display()), error)),
        }
    }

    fn nothing(dir: &Path, copied: Option<&CopyOf>) -> Result<Found> {
        let doing = |error| Error::io(format_args!("reading {}", dir.display()), error);
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == Io::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(doing(error)),
        };
        let names: Vec<_> =
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>().map_err(doing)?;
        if let Some(begun) = CopyOf::read(dir)?
            && copied != Some(&begun)
        {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "{} holds the beginning of a copy of {} into index {} and content store {}: go on with that copy, \
                     or remove the directory",
                    dir.display(),
                    begun.from,
                    begun.index,
                    begun.cas,
                ),
            ));
        }
        // What an attempt leaves that came no further than to write this.
        const BEFORE: [&str; 4] = [LOCK_NAME, COPY, "xs.toml.tmp", "xs-copy.tmp"];
        match names.iter().any(|name| name == UNFINISHED)
            || names.iter().all(|name| BEFORE.iter().any(|before| name == before))
        {
            true => Ok(Found::Nothing),
            false => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("{} is not a store: it has no {NAME}, and it is not empty", dir.display()),
            )),
        }
    }

    fn parse(dir: &Path, text: &str) -> Result<Self> {
        /// Read first, since a newer manifest may look different.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let damaged = |error: toml::de::Error| {
            Error::new(ErrorKind::Corrupt, format!("{} cannot be read: {}", dir.join(NAME).display(), error.message()))
                .with_source(error)
        };
        match toml::from_str(text).map_err(damaged)? {
            Format { format } if format > FORMAT => Err(Error::new(
                ErrorKind::Unsupported,
                format!("{} has format {format}; this build reads up to {FORMAT}: use a newer xs", dir.display()),
            )),
            Format { .. } => toml::from_str(text).map_err(damaged),
        }
    }

    /// Notes that the making of a store begins.
    pub(crate) fn begin(&self, dir: &Path) -> Result<()> {
        let path = dir.join(UNFINISHED);
        let begun: Option<Self> = fs::read_to_string(&path).ok().and_then(|text| toml::from_str(&text).ok());
        if begun.is_some_and(|begun| (&begun.index, &begun.cas) != (&self.index, &self.cas)) {
            // Another attempt, of other parts, came no further. Nothing was stored in them.
            for part in ["index", "cas"] {
                match fs::remove_dir_all(dir.join(part)) {
                    Err(error) if error.kind() != Io::NotFound => {
                        return Err(Error::io(format_args!("clearing {}", dir.join(part).display()), error));
                    }
                    _ => {}
                }
            }
        }
        write(&path, self)?;
        sync_dir(dir)
    }

    /// Notes that what is being made is a copy.
    pub(crate) fn begin_copy(dir: &Path, copied: &CopyOf) -> Result<()> {
        match CopyOf::read(dir)? {
            Some(begun) if begun == *copied => Ok(()),
            _ => {
                write(&dir.join(COPY), copied)?;
                sync_dir(dir)
            }
        }
    }

    /// Makes the store one, after its parts have been made.
    pub(crate) fn finish(dir: &Path) -> Result<()> {
        let path = dir.join(NAME);
        fs::rename(dir.join(UNFINISHED), &path)
            .map_err(|error| Error::io(format_args!("writing {}", path.display()), error))?;
        sync_dir(dir)?;
        // Beside a manifest it means nothing, so it does not matter when it goes.
        let _ = fs::remove_file(dir.join(COPY));
        Ok(())
    }
}

/// What a directory that is not yet a store becomes a copy of, so that another attempt goes on with
/// it, and nothing else takes it for empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopyOf {
    /// The absolute path of the other store.
    pub(crate) from: String,
    pub(crate) index: String,
    pub(crate) cas: String,
}

impl CopyOf {
    fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(COPY);
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map(Some).map_err(|error| {
                Error::new(ErrorKind::Corrupt, format!("{} cannot be read: {}", path.display(), error.message()))
            }),
            Err(error) if error.kind() == Io::NotFound => Ok(None),
            Err(error) => Err(Error::io(format_args!("reading {}", path.display()), error)),
        }
    }
}

/// Writes a file of a store that is being made, durably but for its name.
fn write(path: &Path, content: &impl Serialize) -> Result<()> {
    let doing = |error| Error::io(format_args!("writing {}", path.display()), error);
    let text = toml::to_string(content)
        .map_err(|error| Error::new(ErrorKind::Internal, "writing the manifest").with_source(error))?;
    // Whole, or not at all: what a kill cuts short is another file.
    let unfinished = path.with_extension("tmp");
    let mut file = File::create(&unfinished).map_err(doing)?;
    let head = "# What this store is made of. xs reads it; changing it does not change the store.\n";
    file.write_all(head.as_bytes()).and_then(|()| file.write_all(text.as_bytes())).map_err(doing)?;
    file.sync_all().map_err(doing)?;
    fs::rename(&unfinished, path).map_err(doing)
}

const LOCK_NAME: &str = "xs.lock";

/// The lock that is held while a store is being opened.
pub(crate) fn lock_file(dir: &Path) -> PathBuf {
    dir.join(LOCK_NAME)
}

fn sync_dir(dir: &Path) -> Result<()> {
    dirs::sync(dir).map_err(|error| Error::io(format_args!("syncing {}", dir.display()), error))
}
