//! Opening a database without touching its file.
//!
//! redb repairs what it opens, and checks the checksums of its pages only when it does, or when it
//! is asked to. So the file is opened and checked once with every write kept in memory: damage is
//! refused before anything is changed, and a lookup never meets a page that was not found sound.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Builder, Database, StorageBackend};
use xs_core::Result;

use crate::error::convert;

/// Bytes of a block that is kept in memory once it was written to.
const BLOCK_BYTES: u64 = 4096;

/// Opens the database at `path` as far as memory goes: its file is not changed, whatever is done to
/// the database. With `check`, for the time that reading the file takes, every page is checked.
pub(crate) fn open(path: &Path, cache_bytes: usize, check: bool) -> Result<Database> {
    let doing = |error| convert("checking", path, redb::Error::Io(error));
    let file = File::open(path).map_err(doing)?;
    // As redb locks it. Held until the rehearsal is over.
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(convert("opening", path, redb::Error::DatabaseAlreadyOpen)),
        Err(TryLockError::Error(error)) => return Err(doing(error)),
    }
    let length = file.metadata().map_err(doing)?.len();
    let backend = Rehearsal { file, state: Mutex::new(State { length, stored: length, blocks: BTreeMap::new() }) };
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes).set_check_integrity_on_open(check);
    builder.create_with_backend(backend).map_err(|error| convert("checking", path, error))
}

/// A file that is read, and blocks in memory that lie over it.
#[derive(Debug)]
struct Rehearsal {
    file: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    length: u64,
    /// What of the file still counts: it was never cut shorter than this.
    stored: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Drop for Rehearsal {
    /// Closing the file is not enough: a process that another thread is about to start holds its lock, too,
    /// until it has become another program.
    fn drop(&mut self) {
        // Where this fails, the lock ends with the file all the same, only later.
        let _ = self.file.unlock();
    }
}

impl Rehearsal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One block as it is now.
    fn block(&self, state: &State, number: u64) -> io::Result<Vec<u8>> {
        if let Some(block) = state.blocks.get(&number) {
            return Ok(block.clone());
        }
        let mut block = vec![0; usize::try_from(BLOCK_BYTES).map_err(io::Error::other)?];
        let start = number * BLOCK_BYTES;
        let stored = usize::try_from(state.stored.saturating_sub(start).min(BLOCK_BYTES)).map_err(io::Error::other)?;
        if let Some(there) = block.get_mut(..stored) {
            read_at(&self.file, there, start)?;
        }
        Ok(block)
    }
}

/// The numbers of the blocks that a range touches, and where the range lies in each.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let end = offset + length as u64;
    (offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)).filter_map(move |number| {
        let start = number * BLOCK_BYTES;
        let (first, last) = (offset.max(start), end.min(start + BLOCK_BYTES));
        let within = |at: u64, base: u64| usize::try_from(at - base).ok();
        Some((number, within(first, start)?..within(last, start)?, within(first, offset)?..within(last, offset)?))
    })
}

fn beyond() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends early")
}

impl StorageBackend for Rehearsal {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > state.length) {
            return Err(beyond());
        }
        for (number, of_block, of_out) in pieces(offset, out.len()) {
            let block = self.block(&state, number)?;
            if let (Some(from), Some(to)) = (block.get(of_block), out.get_mut(of_out)) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.length, length);
        if length < before {
            state.stored = state.stored.min(length);
            state.blocks.retain(|number, _| number * BLOCK_BYTES < length);
            // What lies behind the end of the last block comes back as zeros.
            let last = length / BLOCK_BYTES;
            let mut block = self.block(&state, last)?;
            if let Some(rest) = usize::try_from(length % BLOCK_BYTES).ok().and_then(|at| block.get_mut(at..)) {
                rest.fill(0);
            }
            state.blocks.insert(last, block);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > state.length) {
            return Err(beyond());
        }
        for (number, of_block, of_data) in pieces(offset, data.len()) {
            let mut block = self.block(&state, number)?;
            if let (Some(to), Some(from)) = (block.get_mut(of_block), data.get(of_data)) {
                to.copy_from_slice(from);
            }
            state.blocks.insert(number, block);
        }
        Ok(())
    }

    // The file is locked already.
    fn try_lock_range(&self, _: std::ops::Bound<u64>, _: std::ops::Bound<u64>) -> Result<bool, redb::BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: std::ops::Bound<u64>, _: std::ops::Bound<u64>) -> Result<(), redb::BackendError> {
        Ok(())
    }
}

#[cfg(unix)]
fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_was_written_and_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let stored: Vec<u8> = (0..10_000u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, &stored).unwrap();
        let rehearsal = Rehearsal {
            file: File::open(&path).unwrap(),
            state: Mutex::new(State { length: 10_000, stored: 10_000, blocks: BTreeMap::new() }),
        };
        let mut model = stored.clone();
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let offset = random.usize(..model.len());
            let length = random.usize(..=(model.len() - offset).min(9000));
            match random.u8(..4) {
                0 => {
                    let data: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
                    rehearsal.write(offset as u64, &data).unwrap();
                    model[offset..offset + length].copy_from_slice(&data);
                }
                1 => {
                    let length = random.usize(1..20_000);
                    rehearsal.set_len(length as u64).unwrap();
                    model.resize(length, 0);
                }
                _ => {
                    let mut out = vec![0; length];
                    rehearsal.read(offset as u64, &mut out).unwrap();
                    assert!(out == model[offset..offset + length]);
                }
            }
        }
        assert!(rehearsal.read(model.len() as u64, &mut [0]).is_err());
        assert_eq!(std::fs::read(path).unwrap(), stored);
    }
}
