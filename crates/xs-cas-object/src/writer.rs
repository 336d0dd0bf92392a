//! Content on its way in: gathered in memory, then in a file without a name, until its hash is known.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use xs_core::{CasWriter, Clock as _, ContentHash, ContentHasher, Error, ErrorKind, Result, SystemClock, blocking};

use crate::reader::is_sound;
use crate::remote::Remote;
use crate::sums::{CHUNK_BYTES, Summing};
use crate::upload;

/// Bytes that are gathered before they cross to the blocking pool, once content is spooled.
const GATHER_BYTES: usize = 1024 * 1024;
/// Content up to this size is hashed where it is: crossing over would cost more.
const HASH_HERE_BYTES: usize = 64 * 1024;
/// Content that was stored longer ago is stored again, so that the time of its last storing is
/// right to that much.
const REFRESH_MS: u64 = 60 * 60 * 1000;

/// Gathers bytes, and writes them to a file as they become many.
#[derive(Debug)]
pub(crate) struct ObjectWriter {
    remote: Arc<Remote>,
    /// Where the file is made.
    dir: PathBuf,
    gathered: BytesMut,
    size: u64,
    spool: Spool,
}

#[derive(Debug)]
enum Spool {
    /// Not needed so far.
    Memory,
    File(Spooled),
    /// On the blocking pool, or lost by an error there.
    Away,
}

#[derive(Debug)]
struct Spooled {
    file: File,
    hasher: ContentHasher,
}

fn failed(what: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{what} the temporary file of content: {error}")).with_source(error)
}

impl ObjectWriter {
    pub(crate) fn new(remote: Arc<Remote>, dir: PathBuf) -> Self {
        Self { remote, dir, gathered: BytesMut::new(), size: 0, spool: Spool::Memory }
    }

    /// Moves what is gathered into the file.
    async fn flush(&mut self) -> Result<()> {
        let bytes = self.gathered.split().freeze();
        let (spool, dir) = (std::mem::replace(&mut self.spool, Spool::Away), self.dir.clone());
        self.spool = blocking::run(move || {
            let mut spooled = match spool {
                Spool::File(spooled) => spooled,
                Spool::Memory => Spooled {
                    // It has no name: nothing is left behind, however the process ends.
                    file: tempfile::tempfile_in(dir).map_err(|error| failed("creating", error))?,
                    hasher: ContentHasher::new(),
                },
                Spool::Away => return Err(Error::new(ErrorKind::Closed, "an earlier write of this content failed")),
            };
            spooled.file.write_all(&bytes).map_err(|error| failed("writing", error))?;
            spooled.hasher.update(&bytes);
            Ok(Spool::File(spooled))
        })
        .await?;
        Ok(())
    }
}

#[async_trait]
impl CasWriter for ObjectWriter {
    async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        let max = self.remote.settings.spool_bytes_max;
        if self.size > max {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("content is larger than {max} bytes: raise spool_bytes_max"),
            ));
        }
        while !bytes.is_empty() {
            let room = match self.spool {
                Spool::Memory => self.remote.settings.part_bytes,
                Spool::File(_) | Spool::Away => GATHER_BYTES,
            };
            let now = bytes.split_to(room.saturating_sub(self.gathered.len()).min(bytes.len()));
            self.gathered.extend_from_slice(&now);
            if self.gathered.len() >= room && !bytes.is_empty() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<ContentHash> {
        if matches!(self.spool, Spool::Memory) {
            return store_small(&self.remote, self.gathered.split().freeze()).await;
        }
        self.flush().await?;
        let Spool::File(Spooled { mut file, hasher }) = std::mem::replace(&mut self.spool, Spool::Away) else {
            return Err(Error::new(ErrorKind::Closed, "an earlier write of this content failed"));
        };
        let (hash, file) = blocking::run(move || {
            file.rewind().map_err(|error| failed("reading", error))?;
            Ok((hasher.finish(), file))
        })
        .await?;
        match is_fresh(&self.remote, hash, self.size).await? {
            true => upload::sums_of(&self.remote, hash, self.size, file).await.map(|()| hash),
            false => upload::in_parts(&self.remote, hash, self.size, file).await.map(|()| hash),
        }
    }
}

/// Whether this content is there, sound, and stored not long ago.
async fn is_fresh(remote: &Arc<Remote>, hash: ContentHash, size: u64) -> Result<bool> {
    let found = match remote.stat(hash).await {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let fresh = found.size == size && found.modified_ms + REFRESH_MS > SystemClock.now_ms();
    Ok(fresh && is_sound(remote, hash).await?)
}

/// Stores content that is in memory.
async fn store_small(remote: &Arc<Remote>, bytes: Bytes) -> Result<ContentHash> {
    let (hash, sums) = match bytes.len() {
        0..=HASH_HERE_BYTES => (ContentHash::of(&bytes), None),
        _ => {
            let bytes = bytes.clone();
            blocking::run(move || Ok(hash_and_sum(&bytes))).await?
        }
    };
    let key = remote.layout.content(hash);
    let storing = |failure| remote.failed("storing content in", &failure);
    let created = remote.create(&key, bytes.clone()).await.map_err(storing)?;
    if !created && !is_fresh(remote, hash, bytes.len() as u64).await? {
        remote.put(&key, bytes).await.map_err(storing)?;
    }
    if let Some(sums) = sums {
        remote.put(&remote.layout.sums(hash), sums).await.map_err(storing)?;
    }
    Ok(hash)
}

fn hash_and_sum(bytes: &Bytes) -> (ContentHash, Option<Bytes>) {
    let (hash, size) = (ContentHash::of(bytes), bytes.len() as u64);
    let sums = (size > CHUNK_BYTES).then(|| {
        let mut summing = Summing::new(size);
        summing.update(bytes);
        summing.finish(hash, size)
    });
    (hash, sums)
}
