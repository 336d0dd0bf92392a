//! Content on its way in.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use xs_core::{CasWriter, ContentHash, ContentHasher, Result, blocking, dirs};

use crate::error::convert;
use crate::layout::Layout;

/// Bytes that are gathered before they cross to the blocking pool. Content up to this size crosses
/// once.
const GATHER_BYTES: usize = 1024 * 1024;

/// Gathers bytes, and writes them to a temporary file as they become many.
#[derive(Debug)]
pub(crate) struct FsWriter {
    gathered: BytesMut,
    /// `None` only while it is on the blocking pool, or after an error there.
    spool: Option<Spool>,
}

impl FsWriter {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { gathered: BytesMut::new(), spool: Some(Spool { layout, hasher: ContentHasher::new(), file: None }) }
    }

    async fn flush(&mut self) -> Result<()> {
        let bytes = self.gathered.split().freeze();
        let mut spool = self.spool.take().ok_or_else(failed)?;
        let spool = blocking::run(move || {
            spool.write(&bytes)?;
            Ok(spool)
        });
        self.spool = Some(spool.await?);
        Ok(())
    }
}

fn failed() -> xs_core::Error {
    xs_core::Error::new(xs_core::ErrorKind::Closed, "an earlier write of this content failed")
}

#[async_trait]
impl CasWriter for FsWriter {
    async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let room = GATHER_BYTES - self.gathered.len();
            self.gathered.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.gathered.len() == GATHER_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<ContentHash> {
        let bytes = self.gathered.split().freeze();
        let mut spool = self.spool.take().ok_or_else(failed)?;
        blocking::run(move || {
            spool.write(&bytes)?;
            spool.finish()
        })
        .await
    }
}

impl Drop for FsWriter {
    fn drop(&mut self) {
        // Removing a file blocks. Without a runtime, or when it is ending, the next open clears it.
        if let (Some(spool), Ok(runtime)) = (self.spool.take(), tokio::runtime::Handle::try_current())
            && spool.file.is_some()
        {
            runtime.spawn_blocking(move || drop(spool));
        }
    }
}

/// A temporary file and the hash of what is in it. Blocking. Dropped, it removes the file.
#[derive(Debug)]
struct Spool {
    layout: Layout,
    hasher: ContentHasher,
    file: Option<(File, PathBuf)>,
}

impl Spool {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.file.is_none() {
            let path = self.layout.temporary();
            let file = File::create_new(&path).map_err(|error| convert("creating", &path, error))?;
            self.file = Some((file, path));
        }
        if let Some((file, path)) = &mut self.file {
            file.write_all(bytes).map_err(|error| convert("writing", path, error))?;
            self.hasher.update(bytes);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<ContentHash> {
        let hash = std::mem::take(&mut self.hasher).finish();
        let (shard, _) = self.layout.shard_of(hash);
        let target = self.layout.path(hash);
        if let Some((file, path)) = &self.file {
            file.sync_all().map_err(|error| convert("syncing", path, error))?;
            fs::rename(path, &target).map_err(|error| convert("naming", &target, error))?;
        }
        self.file = None;
        // Without this the name could be lost with the power, and with it content whose hash a
        // frame already holds.
        dirs::sync(&shard).map_err(|error| convert("syncing", &shard, error))?;
        Ok(hash)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Some((_, path)) = self.file.take() {
            // What cannot be removed now is cleared by the next open.
            let _ = fs::remove_file(path);
        }
    }
}
