//! One owner for a location: a lock file, and what this process knows of its own locks.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Create, Error, ErrorKind, Result, dirs};

/// The locks that this process holds, and whether each is about to be released.
static HELD: Mutex<BTreeMap<PathBuf, bool>> = Mutex::new(BTreeMap::new());
static RELEASED: Condvar = Condvar::new();

fn held() -> MutexGuard<'static, BTreeMap<PathBuf, bool>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ownership of a location, held by an exclusive lock on a file in it and released by drop, or by
/// the system when the process ends. The file holds the owner's process id and stays.
#[derive(Debug)]
pub struct OwnerLock {
    key: PathBuf,
    file: Option<File>,
}

impl OwnerLock {
    /// Takes the lock at `path`, whose directory exists. Blocks only while an owner in this
    /// process is about to release it ([`release_soon`](Self::release_soon)); `Locked`, with the
    /// owner's process id where it is known, when there is another owner.
    pub fn acquire(path: &Path) -> Result<Self> {
        let doing = |error| Error::io(format_args!("locking {}", path.display()), error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(doing)?;
        let key = path.canonicalize().map_err(doing)?;
        let mut table = free(&key)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(doing(error)),
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Where a lock also keeps others from reading, the owner stays unknown.
                let _ = file.read_to_string(&mut owner);
                return Err(match owner.trim() {
                    "" => locked(&key, "another process"),
                    id => locked(&key, &format!("process {id}")),
                });
            }
        }
        note_owner(&mut file).map_err(doing)?;
        table.insert(key.clone(), false);
        Ok(Self { key, file: Some(file) })
    }

    /// Takes the lock of a part that has the directory `dir` for itself, making the directory where
    /// that is allowed. `NotFound`, with nothing made, where it is not. `part` says what it is, for
    /// the error.
    pub fn of_directory(dir: &Path, create: Create, part: &str) -> Result<Self> {
        match create {
            Create::IfMissing => {
                dirs::create_all(dir).map_err(|error| Error::io(format_args!("creating {}", dir.display()), error))?;
            }
            Create::Never if !dir.is_dir() => {
                return Err(Error::new(ErrorKind::NotFound, format!("no {part} is in {}", dir.display())));
            }
            Create::Never => {}
        }
        Self::acquire(&dir.join("owner.lock"))
    }

    /// Takes the lock of a place that only this process knows, by its name.
    pub fn acquire_in_process(name: impl Into<PathBuf>) -> Result<Self> {
        let key = name.into();
        free(&key)?.insert(key.clone(), false);
        Ok(Self { key, file: None })
    }

    /// Says that a drop is about to follow, so that a new owner in this process waits for it.
    pub fn release_soon(&self) {
        if let Some(releasing) = held().get_mut(&self.key) {
            *releasing = true;
        }
    }
}

/// The table of locks once `key` is not in it, having waited for an owner that is on its way out.
fn free(key: &Path) -> Result<MutexGuard<'static, BTreeMap<PathBuf, bool>>> {
    let mut table = held();
    loop {
        match table.get(key) {
            None => return Ok(table),
            Some(true) => table = RELEASED.wait(table).unwrap_or_else(PoisonError::into_inner),
            Some(false) => return Err(locked(key, "this process")),
        }
    }
}

fn note_owner(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn locked(path: &Path, owner: &str) -> Error {
    Error::new(ErrorKind::Locked, format!("{} is held by {owner}; stop it or choose another store", path.display()))
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        let mut table = held();
        if let Some(Err(error)) = self.file.as_ref().map(File::unlock) {
            tracing::warn!(path = %self.key.display(), %error, "unlocking failed; the lock ends with its file");
        }
        table.remove(&self.key);
        RELEASED.notify_all();
    }
}
