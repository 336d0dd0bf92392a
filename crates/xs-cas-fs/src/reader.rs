//! Content on its way out: read in chunks on the blocking pool, hashed there, verified at the end.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use xs_core::{ContentHash, Result, Verifier, blocking};

use crate::error::convert;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks that are read in one crossing to the blocking pool: the most that a reader holds.
const CHUNKS_AT_ONCE: usize = 4;

/// The bytes of `range` of the content in `file`. All of the file is read, whatever the range, since
/// only all of it can be verified.
pub(crate) fn chunks(
    file: File,
    path: PathBuf,
    hash: ContentHash,
    range: Range<u64>,
) -> BoxStream<'static, Result<Bytes>> {
    let reading = Reading { file, path, verifier: Some(Verifier::new(hash, range)) };
    futures::stream::try_unfold(reading, |mut reading| async {
        if reading.verifier.is_none() {
            return Ok(None);
        }
        blocking::run(move || Ok(Some((reading.next()?, reading)))).await
    })
    .map_ok(|chunks| futures::stream::iter(chunks.into_iter().map(Ok)))
    .try_flatten()
    .boxed()
}

struct Reading {
    file: File,
    path: PathBuf,
    /// `None` after the end.
    verifier: Option<Verifier>,
}

impl Reading {
    fn next(&mut self) -> Result<Vec<Bytes>> {
        let mut chunks = Vec::new();
        // Counted by what is read and not by what is wanted, so that a reader that is dropped stops
        // soon also while it reads its way to a range.
        for _ in 0..CHUNKS_AT_ONCE {
            let Some(verifier) = &mut self.verifier else { break };
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            let read = self.file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
            match read.map_err(|error| convert("reading", &self.path, error))? {
                0 => chunks.extend(self.verifier.take().map_or(Ok(None), Verifier::finish)?),
                _ => chunks.extend(verifier.push(chunk.into())),
            }
        }
        Ok(chunks)
    }
}
