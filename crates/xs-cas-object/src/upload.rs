//! Uploads in parts, and those that nobody completed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartUpload as _, ObjectStoreExt as _};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use xs_core::{Clock as _, ContentHash, Error, ErrorKind, Result, SystemClock, blocking};

use crate::layout::SHARDS;
use crate::reader::is_sound;
use crate::remote::{Failure, Remote};
use crate::sums::Summing;

/// The most parts of one upload, on S3.
const PARTS_MAX: u64 = 10_000;
/// Sizes of parts are multiples of this.
const PART_STEP_BYTES: u64 = 64 * 1024;

/// An upload that is under way, as its note has it.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    key: String,
    upload: String,
}

/// How large the parts of content of this size are.
fn part_bytes(part: usize, size: u64) -> u64 {
    (part as u64).max(size.div_ceil(PARTS_MAX).next_multiple_of(PART_STEP_BYTES))
}

/// Puts the content of `file`, of this name and size, under its key.
pub(crate) async fn in_parts(remote: &Arc<Remote>, hash: ContentHash, size: u64, file: File) -> Result<()> {
    let sums = match &remote.backend.multipart {
        Some(multipart) => noted(remote, Arc::clone(multipart), hash, size, file).await?,
        None => staged(remote, hash, size, file).await?,
    };
    let stored = remote.put(&remote.layout.sums(hash), sums).await;
    stored.map_err(|failure| remote.failed("storing content in", &failure))
}

/// Memory of parts that have been sent, for those to come: without it, each part would be taken
/// from and given back to the system, or kept by the allocator of whichever thread had it.
type Buffers = Arc<Mutex<Vec<Vec<u8>>>>;

/// The bytes of one part, whose memory goes back when they are dropped.
struct Part {
    bytes: Vec<u8>,
    buffers: Buffers,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.bytes));
    }
}

/// Stores the checksums of content that is there without them, from `file`.
pub(crate) async fn sums_of(remote: &Arc<Remote>, hash: ContentHash, size: u64, file: File) -> Result<()> {
    let key = remote.layout.sums(hash);
    match remote.head(&key).await {
        Err(failure) if failure.is_missing() => {}
        Err(failure) => return Err(remote.failed("storing content in", &failure)),
        Ok(_) => return Ok(()),
    }
    let mut parts = Parts::new(remote, size, file);
    while parts.left > 0 {
        (_, _, parts) = parts.next().await?;
    }
    let stored = remote.put(&key, parts.summing.finish(hash, size)).await;
    stored.map_err(|failure| remote.failed("storing content in", &failure))
}

/// The parts of a file, in order, and its checksums at the end.
struct Parts {
    file: File,
    buffers: Buffers,
    left: u64,
    part: u64,
    number: usize,
    summing: Summing,
}

impl Parts {
    fn new(remote: &Remote, size: u64, file: File) -> Self {
        let part = part_bytes(remote.settings.part_bytes, size);
        Self { file, buffers: Buffers::default(), left: size, part, number: 0, summing: Summing::new(size) }
    }

    /// The next part and its number, of content that has some left, read on the blocking pool.
    async fn next(mut self) -> Result<(usize, Bytes, Self)> {
        blocking::run(move || {
            let length = self.part.min(self.left);
            let used = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut bytes = used.unwrap_or_else(|| Vec::with_capacity(usize::try_from(length).unwrap_or_default()));
            bytes.clear();
            let failed = |error| Error::new(ErrorKind::Unavailable, format!("reading the temporary file: {error}"));
            self.file.by_ref().take(length).read_to_end(&mut bytes).map_err(failed)?;
            if bytes.len() as u64 != length {
                return Err(Error::new(ErrorKind::Internal, "the temporary file of content ends early"));
            }
            self.summing.update(&bytes);
            self.left -= length;
            let number = self.number;
            self.number += 1;
            let part = Bytes::from_owner(Part { bytes, buffers: Arc::clone(&self.buffers) });
            Ok((number, part, self))
        })
        .await
    }
}

/// Parts in parallel, under an upload whose id is noted while it is under way. Gives the checksums.
async fn noted(
    remote: &Arc<Remote>,
    multipart: Arc<dyn MultipartStore>,
    hash: ContentHash,
    size: u64,
    file: File,
) -> Result<Bytes> {
    let failed = |failure| remote.failed("storing content in", &failure);
    let key = remote.layout.content(hash);
    let id = remote.call(0, multipart.create_multipart(&key)).await.map_err(failed)?;
    let mut upload = Upload {
        remote: Arc::clone(remote),
        multipart: Arc::clone(&multipart),
        key,
        id,
        note: remote.layout.upload(hash),
        armed: true,
    };
    upload.write_note().await.map_err(failed)?;
    let mut noted_at = Instant::now();
    let mut parts = Parts::new(remote, size, file);
    let mut ids = BTreeMap::new();
    // Tasks, since each part is hashed once more to be signed; they end with this set.
    let mut under_way = JoinSet::new();
    loop {
        while parts.left > 0 && under_way.len() < remote.settings.parallel {
            let (number, bytes, rest) = parts.next().await?;
            parts = rest;
            let (remote, multipart) = (Arc::clone(remote), Arc::clone(&multipart));
            let (key, id) = (upload.key.clone(), upload.id.clone());
            under_way.spawn(async move {
                let length = bytes.len() as u64;
                let part = remote.call(length, multipart.put_part(&key, &id, number, bytes.into())).await;
                part.map(|part| (number, part))
            });
        }
        if noted_at.elapsed() > remote.settings.abandoned / 4 {
            // Written again, so that nobody takes a long upload for one that was abandoned.
            upload.write_note().await.map_err(failed)?;
            noted_at = Instant::now();
        }
        match under_way.join_next().await {
            Some(Ok(part)) => ids.extend([part.map_err(failed)?]),
            Some(Err(error)) => return Err(Error::new(ErrorKind::Internal, "sending a part failed").with_source(error)),
            None => break,
        }
    }
    let ids: Vec<PartId> = ids.into_values().collect();
    let completed = remote.call(size / 64, multipart.complete_multipart(&upload.key, &upload.id, ids)).await;
    if let Err(failure) = completed {
        // The answer may have been lost, not the upload. Where there was none, nothing can be asked.
        if matches!(failure, Failure::TimedOut(_)) || !is_sound(remote, hash).await.unwrap_or(false) {
            return Err(failed(failure));
        }
    }
    upload.armed = false;
    if let Err(failure) = remote.delete(&upload.note).await {
        tracing::debug!(error = %remote.failed("tidying", &failure), "the note of an upload stays until it is swept");
    }
    Ok(parts.summing.finish(hash, size))
}

/// An upload that is aborted unless it is completed.
struct Upload {
    remote: Arc<Remote>,
    multipart: Arc<dyn MultipartStore>,
    key: Path,
    id: String,
    note: Path,
    armed: bool,
}

impl Upload {
    async fn write_note(&self) -> std::result::Result<(), Failure> {
        let note = Note { key: self.key.to_string(), upload: self.id.clone() };
        self.remote.put(&self.note, serde_json::to_vec(&note).unwrap_or_default().into()).await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.armed {
            let (remote, multipart) = (Arc::clone(&self.remote), Arc::clone(&self.multipart));
            let (key, id, note) = (self.key.clone(), self.id.clone(), self.note.clone());
            self.remote.in_background(async move { abort(&remote, &*multipart, &key, &id, &note).await });
        }
    }
}

/// Aborts an upload, and removes its note once there is nothing to abort any more.
async fn abort(remote: &Remote, multipart: &dyn MultipartStore, key: &Path, id: &String, note: &Path) {
    let aborted = match remote.call(0, multipart.abort_multipart(key, id)).await {
        Err(failure) if !failure.is_missing() => Err(failure),
        _ => remote.delete(note).await,
    };
    if let Err(failure) = aborted {
        let error = remote.failed("aborting an upload to", &failure);
        tracing::warn!(%error, "its note stays, and whoever opens the store later tries again");
    }
}

/// Through object_store's own staged file, for a folder. Gives the checksums.
async fn staged(remote: &Arc<Remote>, hash: ContentHash, size: u64, file: File) -> Result<Bytes> {
    let failed = |failure| remote.failed("storing content in", &failure);
    let store = &remote.backend.store;
    let mut upload = remote.call(0, store.put_multipart(&remote.layout.content(hash))).await.map_err(failed)?;
    let mut parts = Parts::new(remote, size, file);
    let stored = async {
        while parts.left > 0 {
            let (_, bytes, rest) = parts.next().await?;
            parts = rest;
            remote.call(bytes.len() as u64, upload.put_part(bytes.into())).await.map_err(failed)?;
        }
        remote.call(size, upload.complete()).await.map_err(failed)?;
        Ok::<_, Error>(parts.summing.finish(hash, size))
    }
    .await;
    if stored.is_err() {
        let _ = remote.call(0, upload.abort()).await;
    }
    stored
}

/// Aborts what was abandoned: uploads whose notes are old, and staged files of a folder.
pub(crate) async fn sweep(remote: &Arc<Remote>) {
    if let Err(error) = sweep_notes(remote).await {
        tracing::warn!(%error, "looking for abandoned uploads failed");
    }
    if let Some(folder) = remote.backend.folder.clone() {
        let abandoned = remote.settings.abandoned;
        let swept = blocking::run(move || {
            for shard in 0..SHARDS {
                sweep_folder(&folder.join("content").join(format!("{shard:02x}")), abandoned);
            }
            Ok(())
        });
        let _ = swept.await;
    }
}

async fn sweep_notes(remote: &Arc<Remote>) -> Result<()> {
    let Some(multipart) = remote.backend.multipart.clone() else { return Ok(()) };
    let failed = |failure| remote.failed("looking for abandoned uploads in", &failure);
    let mut notes = remote.backend.store.list(Some(&remote.layout.uploads()));
    let abandoned_ms = u64::try_from(remote.settings.abandoned.as_millis()).unwrap_or(u64::MAX);
    while let Some(meta) = remote.call(0, notes.try_next()).await.map_err(failed)? {
        let since_ms = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or_default();
        if since_ms.saturating_add(abandoned_ms) > SystemClock.now_ms() {
            continue;
        }
        let note = match remote.get(&meta.location).await {
            Ok(note) => note,
            // Its owner was faster.
            Err(failure) if failure.is_missing() => continue,
            Err(failure) => return Err(failed(failure)),
        };
        match serde_json::from_slice::<Note>(&note) {
            Ok(Note { key, upload }) => {
                abort(remote, &*multipart, &Path::from(key), &upload, &meta.location).await;
            }
            Err(_) => tracing::warn!(key = %meta.location, "this is no note of an upload"),
        }
    }
    Ok(())
}

/// Removes the files that object_store stages beside their target as `<name>#<n>`.
fn sweep_folder(shard: &std::path::Path, abandoned: Duration) {
    for entry in fs::read_dir(shard).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|at| at.elapsed().ok());
        if entry.file_name().to_string_lossy().contains('#') && age.is_some_and(|age| age >= abandoned) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_content_has_too_many_parts() {
        for size in [1u64, 6 << 20, 50 << 30, 5 << 40] {
            assert!(size.div_ceil(part_bytes(5 << 20, size)) <= PARTS_MAX, "{size}");
        }
        assert_eq!(part_bytes(5 << 20, 1 << 30), 5 << 20);
    }
}
