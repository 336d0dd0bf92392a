//! [`Cas`] over a directory.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use xs_core::{
    ByteRange, Capabilities, Cas, CasWriter, ContentHash, ContentInfo, ContentPage, ContentReader, Create, OwnerLock,
    Result, blocking, dirs,
};

use crate::error::{closed, convert, missing};
use crate::layout::Layout;
use crate::reader::chunks;
use crate::writer::FsWriter;

/// A content store in a directory.
#[derive(Debug)]
pub struct FsCas {
    layout: Layout,
    /// `None` once closed.
    lock: Arc<RwLock<Option<OwnerLock>>>,
}

impl FsCas {
    /// Opens the content store in `dir`, becoming its one owner. Blocks.
    pub fn open(dir: &Path, create: Create) -> Result<Self> {
        let lock = OwnerLock::of_directory(dir, create, "content store")?;
        Ok(Self { layout: Layout::open(dir)?, lock: Arc::new(RwLock::new(Some(lock))) })
    }

    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Layout) -> Result<T> + Send + 'static,
    {
        let (layout, lock) = (self.layout.clone(), Arc::clone(&self.lock));
        blocking::run(move || {
            // Held for reading while the work goes on, so that `close` waits for it.
            match &*lock.read().unwrap_or_else(PoisonError::into_inner) {
                Some(_) => work(&layout),
                None => Err(closed()),
            }
        })
        .await
    }
}

fn info(hash: ContentHash, metadata: &fs::Metadata) -> ContentInfo {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified_ms = modified.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or_default();
    ContentInfo { hash, size: metadata.len(), modified_ms }
}

fn unless_missing<T>(result: io::Result<T>, hash: ContentHash, path: &Path) -> Result<T> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => missing(hash),
        _ => convert("reading", path, error),
    })
}

/// The content of one shard after `after`, in order.
fn list_shard(layout: &Layout, shard: u16, after: Option<ContentHash>) -> Result<Vec<ContentHash>> {
    let dir = layout.shard(shard);
    let mut hashes = Vec::new();
    for entry in fs::read_dir(&dir).map_err(|error| convert("reading", &dir, error))? {
        let entry = entry.map_err(|error| convert("reading", &dir, error))?;
        // What has another name is not ours.
        hashes.extend(Layout::hash_of(shard, &entry.file_name()).filter(|hash| Some(*hash) > after));
    }
    hashes.sort_unstable();
    Ok(hashes)
}

fn list(layout: &Layout, after: Option<ContentHash>, limit: usize) -> Result<ContentPage> {
    let first = after.map_or(0, |hash| layout.shard_of(hash).1);
    let mut page = ContentPage::default();
    for shard in Layout::shards_from(first) {
        for hash in list_shard(layout, shard, after)? {
            if page.items.len() == limit {
                return Ok(page);
            }
            let path = layout.path(hash);
            match fs::metadata(&path) {
                Ok(metadata) => page.items.push(info(hash, &metadata)),
                // Removed since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(convert("reading", &path, error)),
            }
        }
    }
    page.complete = true;
    Ok(page)
}

#[async_trait]
impl Cas for FsCas {
    fn name(&self) -> &str {
        "fs"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().persistent(true).exclusive(true)
    }

    async fn writer(&self) -> Result<Box<dyn CasWriter>> {
        match *self.lock.read().unwrap_or_else(PoisonError::into_inner) {
            Some(_) => Ok(Box::new(FsWriter::new(self.layout.clone()))),
            None => Err(closed()),
        }
    }

    async fn reader(&self, hash: ContentHash, range: ByteRange) -> Result<ContentReader> {
        let path = self.layout.path(hash);
        self.run(move |_| {
            let file = unless_missing(File::open(&path), hash, &path)?;
            let metadata = file.metadata().map_err(|error| convert("reading", &path, error))?;
            let range = range.within(metadata.len())?;
            Ok(ContentReader::new(info(hash, &metadata), range.clone(), chunks(file, path, hash, range)))
        })
        .await
    }

    async fn stat(&self, hash: ContentHash) -> Result<ContentInfo> {
        let path = self.layout.path(hash);
        self.run(move |_| Ok(info(hash, &unless_missing(fs::metadata(&path), hash, &path)?))).await
    }

    async fn list(&self, after: Option<ContentHash>, limit: usize) -> Result<ContentPage> {
        self.run(move |layout| list(layout, after, limit)).await
    }

    async fn remove(&self, hash: ContentHash) -> Result<()> {
        self.run(move |layout| {
            let path = layout.path(hash);
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(convert("removing", &path, error)),
                Ok(()) => {
                    let (shard, _) = layout.shard_of(hash);
                    dirs::sync(&shard).map_err(|error| convert("syncing", &shard, error))
                }
            }
        })
        .await
    }

    async fn close(&self) -> Result<()> {
        let lock = Arc::clone(&self.lock);
        blocking::run(move || {
            drop(lock.write().unwrap_or_else(PoisonError::into_inner).take());
            Ok(())
        })
        .await
    }

    fn closing(&self) {
        if let Some(lock) = &*self.lock.read().unwrap_or_else(PoisonError::into_inner) {
            lock.release_soon();
        }
    }
}
