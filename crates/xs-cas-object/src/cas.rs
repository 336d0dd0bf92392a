//! [`Cas`] over object storage.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::{ObjectMeta, path::Path};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use xs_core::{
    ByteRange, Capabilities, Cas, CasWriter, ContentHash, ContentInfo, ContentPage, ContentReader, Create, Error,
    ErrorKind, Result,
};

use crate::error::closed;
use crate::layout::SHARDS;
use crate::remote::{Remote, info};
use crate::writer::ObjectWriter;
use crate::{reader, upload};

/// The version of the keys that this build writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// What `xs.json` holds.
#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
}

/// A content store on object storage.
#[derive(Debug)]
pub struct ObjectCas {
    scheme: String,
    remote: Arc<Remote>,
    /// Where temporary files are made.
    dir: PathBuf,
    closed: AtomicBool,
    /// When abandoned uploads were last looked for, and who may be at it still.
    sweeping: Mutex<Option<(Instant, AbortHandle)>>,
}

/// How often abandoned uploads are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

impl Drop for ObjectCas {
    fn drop(&mut self) {
        if let Some((_, task)) = self.sweeping.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl ObjectCas {
    pub(crate) async fn open(scheme: String, remote: Remote, dir: PathBuf, create: Create) -> Result<Self> {
        let remote = Arc::new(remote);
        let marker = remote.layout.marker();
        match remote.get(&marker).await {
            Ok(bytes) => check_format(&remote, &bytes)?,
            Err(failure) if failure.is_missing() => {
                // A bucket that is missing gives the same answer; listing tells.
                let mut listed = remote.backend.store.list(Some(&remote.layout.contents()));
                remote.call(0, listed.try_next()).await.map_err(|failure| remote.not_opened(&failure))?;
                if create == Create::Never {
                    return Err(Error::new(ErrorKind::NotFound, format!("no content store is in {}", remote.place())));
                }
                let text = serde_json::to_vec(&Marker { format: FORMAT }).unwrap_or_default();
                remote.put(&marker, text.into()).await.map_err(|failure| remote.not_opened(&failure))?;
            }
            Err(failure) => return Err(remote.not_opened(&failure)),
        }
        let cas = Self { scheme, remote, dir, closed: AtomicBool::new(false), sweeping: Mutex::new(None) };
        cas.sweep_sometimes();
        Ok(cas)
    }

    /// Looks for abandoned uploads in the background, when it is opened and then every hour or so that
    /// it is written to.
    fn sweep_sometimes(&self) {
        let mut sweeping = self.sweeping.lock().unwrap_or_else(PoisonError::into_inner);
        if sweeping.as_ref().is_none_or(|(since, _)| since.elapsed() > SWEEP_EVERY)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let remote = Arc::clone(&self.remote);
            let task = runtime.spawn(async move { upload::sweep(&remote).await });
            *sweeping = Some((Instant::now(), task.abort_handle()));
        }
    }

    fn remote(&self) -> Result<&Arc<Remote>> {
        match self.closed.load(Ordering::Acquire) {
            false => Ok(&self.remote),
            true => Err(closed()),
        }
    }
}

fn check_format(remote: &Remote, bytes: &[u8]) -> Result<()> {
    match serde_json::from_slice(bytes) {
        Ok(Marker { format: 1..=FORMAT }) => Ok(()),
        Ok(Marker { format }) if format > FORMAT => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the content store in {} has format {format}; this build reads up to {FORMAT}: use a newer xs",
                remote.place()
            ),
        )),
        _ => {
            Err(Error::new(ErrorKind::Corrupt, format!("{} in {} is damaged", remote.layout.marker(), remote.place())))
        }
    }
}

/// Takes up to `limit` and one more, to know whether it is the end.
async fn take(
    remote: &Remote,
    mut listed: BoxStream<'static, object_store::Result<ObjectMeta>>,
    after: Option<ContentHash>,
    limit: usize,
) -> Result<Vec<ContentInfo>> {
    let mut items: Vec<ContentInfo> = Vec::new();
    while items.len() <= limit {
        let next = remote.call(0, listed.try_next()).await;
        let Some(meta) = next.map_err(|failure| remote.failed("listing", &failure))? else { break };
        let Some(hash) = remote.layout.hash_of(&meta.location) else { continue };
        if after.is_none_or(|after| hash > after) {
            items.push(info(hash, &meta));
        }
    }
    Ok(items)
}

#[async_trait]
impl Cas for ObjectCas {
    fn name(&self) -> &str {
        &self.scheme
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().persistent(self.remote.backend.persistent)
    }

    async fn writer(&self) -> Result<Box<dyn CasWriter>> {
        let remote = Arc::clone(self.remote()?);
        self.sweep_sometimes();
        Ok(Box::new(ObjectWriter::new(remote, self.dir.clone())))
    }

    async fn reader(&self, hash: ContentHash, range: ByteRange) -> Result<ContentReader> {
        reader::open(self.remote()?, hash, range).await
    }

    async fn stat(&self, hash: ContentHash) -> Result<ContentInfo> {
        self.remote()?.stat(hash).await
    }

    async fn list(&self, after: Option<ContentHash>, limit: usize) -> Result<ContentPage> {
        let remote = self.remote()?;
        let store = &remote.backend.store;
        let mut items = Vec::new();
        if remote.backend.folder.is_none() {
            let above = remote.layout.contents();
            let listed = match after {
                Some(after) => store.list_with_offset(Some(&above), &remote.layout.content(after)),
                None => store.list(Some(&above)),
            };
            items = take(remote, listed, after, limit).await?;
        } else {
            // A folder lists in no order: a shard of it is sorted here.
            let first = after.map_or(0, |after| after.as_bytes().first().copied().unwrap_or_default());
            for shard in u16::from(first)..SHARDS {
                let listed = store.list(Some(&remote.layout.shard(shard)));
                let mut found = take(remote, listed.boxed(), after, usize::MAX - 1).await?;
                found.sort_unstable_by_key(|info| info.hash);
                items.extend(found);
                if items.len() > limit {
                    break;
                }
            }
        }
        let sorted = items.windows(2).all(|pair| matches!(pair, [a, b] if a.hash < b.hash));
        if !sorted {
            let place = remote.place();
            return Err(Error::new(ErrorKind::Unsupported, format!("{place} does not list its keys in their order")));
        }
        let complete = items.len() <= limit;
        items.truncate(limit);
        Ok(ContentPage { items, complete })
    }

    async fn remove(&self, hash: ContentHash) -> Result<()> {
        let remote = self.remote()?;
        // The content first: checksums without it are nothing.
        let keys: [Path; 2] = [remote.layout.content(hash), remote.layout.sums(hash)];
        for key in keys {
            remote.delete(&key).await.map_err(|failure| remote.failed("removing content from", &failure))?;
        }
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}
