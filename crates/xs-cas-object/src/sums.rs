//! Checksums of the chunks of one content, so that a range can be read without the rest.
//!
//! ```text
//! offset   bytes  what
//! 0        4      "xss1"
//! 4        32     SHA-256 of the content
//! 36       8      size of the content, big-endian
//! 44       8      bytes of a chunk, big-endian; the last one is what is left
//! 52       16 n   XXH3 (128 bits) of each chunk, big-endian
//! 52+16n   16     XXH3 (128 bits) of all bytes before
//! ```

use std::ops::Range;

use bytes::Bytes;
use xs_core::ContentHash;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

const MAGIC: &[u8; 4] = b"xss1";
/// The size of a chunk, and the largest content that has no checksums: it is one chunk.
pub(crate) const CHUNK_BYTES: u64 = 1 << 20;
/// The most chunks: beyond, they grow, so that the checksums stay below a mebibyte or so.
const CHUNKS_MAX: u64 = 1 << 16;

/// How large the chunks of content of `size` bytes are.
fn chunk_bytes(size: u64) -> u64 {
    CHUNK_BYTES * size.div_ceil(CHUNK_BYTES * CHUNKS_MAX).max(1)
}

/// Takes the bytes of content in order.
pub(crate) struct Summing {
    chunk: u64,
    hasher: Xxh3,
    /// Bytes that the chunk at hand still takes.
    left: u64,
    sums: Vec<u8>,
}

impl Summing {
    pub(crate) fn new(size: u64) -> Self {
        let chunk = chunk_bytes(size);
        Self { chunk, hasher: Xxh3::new(), left: chunk, sums: Vec::new() }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let length = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (now, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
            self.hasher.update(now);
            self.left -= now.len() as u64;
            bytes = rest;
            if self.left == 0 {
                self.end_chunk();
            }
        }
    }

    fn end_chunk(&mut self) {
        self.sums.extend(self.hasher.digest128().to_be_bytes());
        self.hasher.reset();
        self.left = self.chunk;
    }

    /// The checksums of content of this name and size.
    pub(crate) fn finish(mut self, hash: ContentHash, size: u64) -> Bytes {
        if self.left < self.chunk {
            self.end_chunk();
        }
        let mut bytes = Vec::with_capacity(68 + self.sums.len());
        bytes.extend(MAGIC);
        bytes.extend(hash.as_bytes());
        bytes.extend(size.to_be_bytes());
        bytes.extend(self.chunk.to_be_bytes());
        bytes.extend(&self.sums);
        bytes.extend(xxh3_128(&bytes).to_be_bytes());
        bytes.into()
    }
}

/// The checksums of one content.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    size: u64,
    chunk: u64,
    sums: Bytes,
}

impl Sums {
    /// Those with these bytes; `None` when they are damaged, or of other content.
    pub(crate) fn decode(bytes: &Bytes, hash: ContentHash, size: u64) -> Option<Self> {
        let (body, checksum) = bytes.split_last_chunk::<16>()?;
        if xxh3_128(body) != u128::from_be_bytes(*checksum) {
            return None;
        }
        let (magic, rest) = body.split_first_chunk::<4>()?;
        let (of, rest) = rest.split_first_chunk::<32>()?;
        let (its_size, rest) = rest.split_first_chunk::<8>()?;
        let (chunk, sums) = rest.split_first_chunk::<8>()?;
        let (its_size, chunk) = (u64::from_be_bytes(*its_size), u64::from_be_bytes(*chunk));
        let same = magic == MAGIC && of == hash.as_bytes() && its_size == size && chunk == chunk_bytes(size);
        let whole = sums.len() as u64 == size.div_ceil(chunk.max(1)) * 16;
        (same && whole).then(|| Self { size, chunk, sums: bytes.slice_ref(sums) })
    }

    /// Bytes of a chunk.
    pub(crate) fn chunk(&self) -> u64 {
        self.chunk
    }

    /// The chunks that a range touches.
    pub(crate) fn chunks_of(&self, range: Range<u64>) -> Range<u64> {
        range.start / self.chunk..range.end.div_ceil(self.chunk)
    }

    /// The bytes of some chunks.
    pub(crate) fn bytes_of(&self, chunks: Range<u64>) -> Range<u64> {
        chunks.start * self.chunk..(chunks.end * self.chunk).min(self.size)
    }

    /// Whether these are the bytes of some chunks.
    pub(crate) fn match_chunks(&self, chunks: Range<u64>, bytes: &[u8]) -> bool {
        let expected = self.bytes_of(chunks.clone());
        if bytes.len() as u64 != expected.end - expected.start {
            return false;
        }
        let at =
            |number: u64| usize::try_from(number * 16).ok().and_then(|at| self.sums.get(at..)?.first_chunk::<16>());
        let Ok(length) = usize::try_from(self.chunk) else { return false };
        chunks
            .zip(bytes.chunks(length))
            .all(|(number, chunk)| at(number).is_some_and(|sum| u128::from_be_bytes(*sum) == xxh3_128(chunk)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        fastrand::Rng::with_seed(length as u64).fill(&mut bytes);
        bytes
    }

    fn sums_of(content: &[u8], step: usize) -> (ContentHash, Bytes) {
        let mut summing = Summing::new(content.len() as u64);
        content.chunks(step).for_each(|bytes| summing.update(bytes));
        let hash = ContentHash::of(content);
        (hash, summing.finish(hash, content.len() as u64))
    }

    #[test]
    fn every_damaged_chunk_is_found_whatever_the_steps() {
        for length in [1, 1 << 20, (1 << 20) + 1, (3 << 20) - 1] {
            let mut content = content(length);
            let (hash, bytes) = sums_of(&content, 300_000);
            assert_eq!(sums_of(&content, 1 << 20).1, bytes);
            let sums = Sums::decode(&bytes, hash, length as u64).unwrap();
            let all = sums.chunks_of(0..length as u64);
            assert!(sums.match_chunks(all.clone(), &content));
            for at in [0, length / 2, length - 1] {
                content[at] ^= 1;
                assert!(!sums.match_chunks(all.clone(), &content), "{at} of {length}");
                content[at] ^= 1;
            }
            let last = sums.chunks_of(length as u64 - 1..length as u64);
            let of_last = sums.bytes_of(last.clone());
            assert!(sums.match_chunks(last, &content[of_last.start as usize..]));
        }
    }

    #[test]
    fn damaged_checksums_are_none() {
        let content = content(3_000_000);
        let (hash, bytes) = sums_of(&content, 1000);
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 4;
            assert!(Sums::decode(&damaged.into(), hash, 3_000_000).is_none());
            assert!(Sums::decode(&bytes.slice(..at), hash, 3_000_000).is_none());
        }
        assert!(Sums::decode(&bytes, ContentHash::of(b"other"), 3_000_000).is_none());
        assert!(Sums::decode(&bytes, hash, 3_000_001).is_none());
    }

    #[test]
    fn the_checksums_of_the_largest_content_are_small() {
        for size in [1u64, 64 << 30, (64 << 30) + 1, 5 << 40] {
            assert!(size.div_ceil(chunk_bytes(size)) <= CHUNKS_MAX, "{size}");
        }
        assert_eq!(chunk_bytes(64 << 30), CHUNK_BYTES);
    }
}
