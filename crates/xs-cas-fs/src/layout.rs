//! Where content lies: paths from hashes and back. A hash is 32 bytes, so no path leaves the store
//! (C10).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use xs_core::{ContentHash, Result, dirs};

use crate::error::opening;

const SHARDS: u16 = 256;

/// The directories of one store.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Makes what is missing, durably, and clears what abandoned writers left (C7). The caller
    /// holds the lock, so every temporary file is abandoned.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let layout = Self { dir: dir.to_owned() };
        let tmp = layout.tmp();
        make_dir(&tmp)?;
        for entry in fs::read_dir(&tmp).map_err(|error| opening("reading", &tmp, error))? {
            let path = entry.map_err(|error| opening("reading", &tmp, error))?.path();
            fs::remove_file(&path).map_err(|error| opening("clearing", &path, error))?;
        }
        for shard in 0..SHARDS {
            make_dir(&dir.join(format!("{shard:02x}")))?;
        }
        dirs::sync(dir).map_err(|error| opening("syncing", dir, error))?;
        Ok(layout)
    }

    fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// A path for content on its way in, that nobody else was given.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.tmp().join(format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)))
    }

    /// Where this content lies.
    pub(crate) fn path(&self, hash: ContentHash) -> PathBuf {
        let hex = hash.to_hex();
        let (shard, name) = hex.split_at(2);
        self.dir.join(shard).join(name)
    }

    /// The directory of the shard of this content, and the number of that shard.
    pub(crate) fn shard_of(&self, hash: ContentHash) -> (PathBuf, u16) {
        let [first, ..] = *hash.as_bytes();
        (self.shard(u16::from(first)), u16::from(first))
    }

    pub(crate) fn shard(&self, number: u16) -> PathBuf {
        self.dir.join(format!("{number:02x}"))
    }

    /// The numbers of the shards from `first` on.
    pub(crate) fn shards_from(first: u16) -> std::ops::Range<u16> {
        first..SHARDS
    }

    /// The content of this name in this shard; `None` when it is no name of content.
    pub(crate) fn hash_of(shard: u16, name: &std::ffi::OsStr) -> Option<ContentHash> {
        ContentHash::from_hex(&format!("{shard:02x}{}", name.to_str()?))
    }
}

fn make_dir(dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(opening("creating", dir, error)),
        _ => Ok(()),
    }
}
