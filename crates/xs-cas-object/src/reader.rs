//! Content on its way out.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use xs_core::{ByteRange, ContentHash, ContentInfo, ContentReader, Error, ErrorKind, Result, Verifier, blocking};

use crate::error::{is_bad_range, missing};
use crate::remote::{Failure, Remote, info};
use crate::sums::{CHUNK_BYTES, Sums};

/// Bytes that are asked for at once. With three in flight, one held back and one on its way to the
/// caller, a reader holds 5 MiB.
const READ_BYTES: u64 = CHUNK_BYTES;
/// Bytes whose hash takes less time than to hand them to another thread, and back.
const INLINE_BYTES: usize = 16 * 1024;

/// The bytes of `range` of this content.
pub(crate) async fn open(remote: &Arc<Remote>, hash: ContentHash, range: ByteRange) -> Result<ContentReader> {
    if range == ByteRange::FULL {
        let (found, first) = first(remote, hash).await?;
        return Ok(ContentReader::new(found, 0..found.size, whole(remote, found, 0..found.size, Some(first))));
    }
    let found = remote.stat(hash).await?;
    let range = range.within(found.size)?;
    let chunks = match part_of(remote, &found, &range).await {
        Some(sums) => chunks(remote, hash, sums, range.clone()),
        None => whole(remote, found, range.clone(), None),
    };
    Ok(ContentReader::new(found, range, chunks))
}

/// The first bytes, and with them, in the same call, what is known of the content.
async fn first(remote: &Remote, hash: ContentHash) -> Result<(ContentInfo, Bytes)> {
    match remote.get_range(&remote.layout.content(hash), 0..READ_BYTES).await {
        Ok((meta, bytes)) => Ok((info(hash, &meta), bytes)),
        Err(failure) if failure.is_missing() => Err(missing(hash)),
        Err(Failure::Refused(error)) if is_bad_range(&error) => {
            // No range of what is empty is a good one.
            let found = remote.stat(hash).await?;
            match found.size {
                0 => Ok((found, Bytes::new())),
                _ => Err(remote.failed("reading", &Failure::Refused(error))),
            }
        }
        Err(failure) => Err(remote.failed("reading", &failure)),
    }
}

/// The checksums to read `range` with, where that takes less than reading all.
async fn part_of(remote: &Remote, found: &ContentInfo, range: &Range<u64>) -> Option<Sums> {
    if found.size <= CHUNK_BYTES || *range == (0..found.size) || range.is_empty() {
        return None;
    }
    let hash = found.hash;
    match remote.get(&remote.layout.sums(hash)).await {
        Ok(bytes) => {
            let sums = Sums::decode(&bytes, hash, found.size);
            if sums.is_none() {
                tracing::warn!(%hash, "the checksums of content are not its own; a range of it costs reading all of it");
            }
            sums
        }
        Err(failure) => {
            if !failure.is_missing() {
                tracing::warn!(%hash, error = %remote.failed("reading the checksums of", &failure), "reading all instead");
            }
            None
        }
    }
}

async fn fetch(remote: Arc<Remote>, hash: ContentHash, range: Range<u64>) -> Result<Bytes> {
    match remote.get_range(&remote.layout.content(hash), range).await {
        Ok((_, bytes)) => Ok(bytes),
        Err(failure) if failure.is_missing() => Err(missing(hash)),
        Err(failure) => Err(remote.failed("reading", &failure)),
    }
}

/// Pieces of at most `length` of a range.
fn pieces(range: Range<u64>, length: u64) -> impl Iterator<Item = Range<u64>> + Send {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let piece = start..range.end.min(start + length);
        start = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The bytes of `range`, of all bytes of the content, which are hashed. `first` is what of them is
/// there already.
fn whole(
    remote: &Arc<Remote>,
    found: ContentInfo,
    range: Range<u64>,
    first: Option<Bytes>,
) -> BoxStream<'static, Result<Bytes>> {
    let ContentInfo { hash, size, .. } = found;
    let start = first.as_ref().map_or(0, |first| first.len() as u64);
    let (remote, parallel) = (Arc::clone(remote), remote.settings.parallel);
    let rest = stream::iter(pieces(start..size, READ_BYTES)).map(move |piece| fetch(Arc::clone(&remote), hash, piece));
    let all = stream::iter(first.map(Ok)).chain(rest.buffered(parallel)).boxed();
    stream::try_unfold((all, Some(Verifier::new(hash, range))), |(mut all, verifier)| async {
        let Some(mut verifier) = verifier else { return Ok::<_, Error>(None) };
        let (chunk, verifier) = match all.try_next().await? {
            None => (verifier.finish()?, None),
            Some(bytes) if bytes.len() <= INLINE_BYTES => (verifier.push(bytes), Some(verifier)),
            // Hashing a mebibyte takes too long for a thread that has others waiting.
            Some(bytes) => {
                blocking::run(move || {
                    let chunk = verifier.push(bytes);
                    Ok((chunk, Some(verifier)))
                })
                .await?
            }
        };
        Ok(Some((chunk, (all, verifier))))
    })
    .try_filter_map(|chunk| async { Ok(chunk) })
    .boxed()
}

/// The bytes of `range`, and no more than the chunks that it touches.
fn chunks(remote: &Arc<Remote>, hash: ContentHash, sums: Sums, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
    let (remote, parallel) = (Arc::clone(remote), remote.settings.parallel);
    let at_once = (READ_BYTES / sums.chunk()).max(1);
    stream::iter(pieces(sums.chunks_of(range.clone()), at_once))
        .map(move |numbers| {
            let (remote, sums, range) = (Arc::clone(&remote), sums.clone(), range.clone());
            async move {
                let of = sums.bytes_of(numbers.clone());
                let bytes = fetch(remote, hash, of.clone()).await?;
                if !sums.match_chunks(numbers, &bytes) {
                    let damaged = format!("content {hash} is damaged between bytes {} and {}", of.start, of.end);
                    return Err(Error::new(ErrorKind::Corrupt, damaged));
                }
                let within = |at: u64| usize::try_from(at.clamp(of.start, of.end) - of.start).unwrap_or(bytes.len());
                Ok(bytes.slice(within(range.start)..within(range.end)))
            }
        })
        .buffered(parallel)
        .boxed()
}

/// Reads content back, and says whether it is what its name says.
pub(crate) async fn is_sound(remote: &Arc<Remote>, hash: ContentHash) -> Result<bool> {
    let all = async {
        let mut reader = open(remote, hash, ByteRange::FULL).await?;
        while reader.try_next().await?.is_some() {}
        Ok(())
    };
    match all.await {
        Ok(()) => Ok(true),
        Err(error) if matches!(Error::kind(&error), ErrorKind::Corrupt | ErrorKind::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}
