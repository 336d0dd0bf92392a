//! Content written by hand to where the filesystem store keeps it, with one step left out.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use xs_core::{CasWriter, ContentHash, Result, dirs};

use crate::flaw::CasFlaw;

/// Where the filesystem store in `place` keeps this content.
pub(crate) fn path(place: &Path, hash: ContentHash) -> PathBuf {
    let hex = hash.to_hex();
    let (shard, name) = hex.split_at(2);
    place.join(shard).join(name)
}

/// Gathers all content in memory, then writes it under its name.
#[derive(Debug)]
pub(crate) struct PlainWriter {
    place: PathBuf,
    flaw: CasFlaw,
    /// Tells writers apart.
    number: u64,
    bytes: Vec<u8>,
}

impl PlainWriter {
    pub(crate) fn new(place: PathBuf, flaw: CasFlaw) -> Self {
        static WRITERS: AtomicU64 = AtomicU64::new(0);
        Self { place, flaw, number: WRITERS.fetch_add(1, Ordering::Relaxed), bytes: Vec::new() }
    }

    /// Where its bytes are while it writes, if anywhere.
    fn unfinished(&self) -> Option<PathBuf> {
        let leaves = self.flaw == CasFlaw::LeavesWhatWasAbandoned;
        leaves.then(|| self.place.join(format!("unfinished-{}", self.number)))
    }
}

#[async_trait]
impl CasWriter for PlainWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&bytes);
        if let Some(unfinished) = self.unfinished() {
            fs::write(unfinished, &self.bytes).unwrap();
        }
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<ContentHash> {
        let hash = ContentHash::of(&self.bytes);
        let path = path(&self.place, hash);
        if self.flaw == CasFlaw::KeepsWhatIsThere && path.exists() {
            return Ok(hash);
        }
        let mut file = File::create(&path).unwrap();
        file.write_all(&self.bytes).unwrap();
        if self.flaw != CasFlaw::SyncsNothing {
            file.sync_all().unwrap();
        }
        if !matches!(self.flaw, CasFlaw::SyncsNothing | CasFlaw::SyncsNoName) {
            dirs::sync(path.parent().unwrap()).unwrap();
        }
        if self.flaw == CasFlaw::StoresACopyPerWriter {
            fs::write(path.with_extension(self.number.to_string()), &self.bytes).unwrap();
        }
        if let Some(unfinished) = self.unfinished() {
            let _ = fs::remove_file(unfinished);
        }
        Ok(hash)
    }
}
