//! A look at fjall's journals before fjall opens them, changing nothing.
//!
//! fjall cuts a journal off at the first place that it cannot read, and so destroys what lies
//! behind it. Only what a crash, or a full disk, left of a commit that was not durable may be so: an
//! end behind which nothing durable is missing. Anything else is damage, and is refused before it is
//! made worse.
//!
//! A journal of fjall 3 is a row of batches in preallocated space. Integers are little-endian:
//!
//! ```text
//! batch    01 count(4) seqno(8)  item × count  03 checksum(8) "FJL" 03
//! item     02 type(1) compression(1) keyspace(8) key length(2) value length(4) stored length(4) key value
//!          04 keyspace(8)                       (a keyspace is cleared)
//! ```
//!
//! The checksum is the XXH3 of the items. Each batch of xs holds one [`Tail`], whose numbers have
//! no gaps. Source: `src/journal/entry.rs` of the crate fjall, version 3.1.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use xs_core::kv::keys::{TAIL_KEY, Tail};
use xs_core::{Error, ErrorKind, Result};

/// One batch: where it ends, and what it says of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Batch {
    length: usize,
    seqno: u64,
    sequence: Option<u64>,
}

/// `Corrupt` when a journal in `dir` cannot be read where a crash could not have left it so.
pub(crate) fn check(dir: &Path, noted: u64) -> Result<()> {
    let mut last: Option<Batch> = None;
    for path in journals(dir)? {
        let doing = |error| Error::io(format_args!("reading {}", path.display()), error);
        let damaged = |at: u64, what: &str| {
            Error::new(
                ErrorKind::Corrupt,
                format!("the journal {} is damaged at byte {at}: {what}; it was left as it is", path.display()),
            )
        };
        let mut window = Window { file: File::open(&path).map_err(doing)?, bytes: Vec::new(), start: 0, at: 0 };
        while let Some(batch) = window.next().map_err(doing)? {
            let at = window.position() - batch.length as u64;
            if last.is_some_and(|last| last.seqno >= batch.seqno) {
                return Err(damaged(at, "its batches are out of order"));
            }
            let follows = |last: Batch| match (last.sequence, batch.sequence) {
                (Some(last), Some(next)) => next == last + 1,
                _ => true,
            };
            if !last.is_none_or(follows) {
                return Err(damaged(at, "a commit is missing"));
            }
            last = Some(batch);
        }
        let at = window.position();
        if window.is_blank().map_err(doing)? {
            continue;
        }
        let known = last.and_then(|last| last.sequence);
        if known.is_some_and(|known| known < noted) || holds_durable(&window.rest(at).map_err(doing)?, noted) {
            return Err(damaged(at, "it ends early, before commits that were acknowledged"));
        }
        // If a newer journal follows, its first commit has to be the next one all the same.
        tracing::warn!(journal = %path.display(), at, "the journal ends in what a crash left; that is cut off");
    }
    Ok(())
}

/// What preallocated space holds.
const ZEROS: [u8; 4096] = [0; 4096];

/// Bytes that are read at a time.
const READ_BYTES: u64 = 4 * 1024 * 1024;

/// The part of a journal that is looked at: what of it is read, and no batch has been made of yet.
struct Window {
    file: File,
    bytes: Vec<u8>,
    /// Where in `bytes` the next batch starts, and where in the file that is.
    start: usize,
    at: u64,
}

impl Window {
    /// The next batch; `None` where no whole one follows. Holds little more than a batch.
    fn next(&mut self) -> io::Result<Option<Batch>> {
        loop {
            let bytes = self.bytes.get(self.start..).unwrap_or_default();
            if let Some(batch) = parse(bytes) {
                self.start += batch.length;
                self.at += batch.length as u64;
                return Ok(Some(batch));
            }
            // What does not start like a batch does not become one.
            if !matches!(bytes, [] | [1, ..]) || self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    fn position(&self) -> u64 {
        self.at
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.file.by_ref().take(READ_BYTES).read_to_end(&mut self.bytes)
    }

    /// Whether nothing but preallocated space follows.
    fn is_blank(&mut self) -> io::Result<bool> {
        loop {
            // Block by block, because most of a journal is blank, and comparing blocks is fast.
            let rest = self.bytes.get(self.start..).unwrap_or_default();
            if rest.chunks(ZEROS.len()).any(|block| ZEROS.get(..block.len()) != Some(block)) {
                return Ok(false);
            }
            self.start = self.bytes.len();
            if !seek_data(&mut self.file)? || self.fill()? == 0 {
                return Ok(true);
            }
        }
    }

    /// All that follows, in memory: for a journal that is damaged, or was torn by a crash.
    fn rest(&mut self, from: u64) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(from))?;
        let mut rest = Vec::new();
        self.file.read_to_end(&mut rest)?;
        Ok(rest)
    }
}

/// Passes over space of the file that was never written, where the system can tell, and says whether
/// there is anything behind it.
#[cfg(target_os = "linux")]
fn seek_data(file: &mut File) -> io::Result<bool> {
    let at = file.stream_position()?;
    match rustix::fs::seek(&*file, rustix::fs::SeekFrom::Data(at)) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NXIO) => Ok(false),
        // Not every filesystem knows; then all of it is read.
        Err(_) => file.seek(SeekFrom::Start(at)).map(|_| true),
    }
}

#[cfg(not(target_os = "linux"))]
fn seek_data(_: &mut File) -> io::Result<bool> {
    Ok(true)
}

/// The journals, oldest first.
fn journals(dir: &Path) -> Result<Vec<PathBuf>> {
    let doing = |error| Error::io(format_args!("reading {}", dir.display()), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(doing)? {
        let path = entry.map_err(doing)?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        match number {
            Some(number) if path.extension().is_some_and(|extension| extension == "jnl") => found.push((number, path)),
            _ => {}
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Whether a whole batch that was durable lies somewhere behind a place that cannot be read.
fn holds_durable(bytes: &[u8], noted: u64) -> bool {
    let starts = (0..bytes.len()).filter(|at| bytes.get(*at) == Some(&1));
    let batches = starts.filter_map(|at| parse(bytes.get(at..)?)?.sequence);
    batches.into_iter().any(|sequence| sequence <= noted)
}

/// The batch at the start of `bytes`, if a whole and sound one is there.
fn parse(bytes: &[u8]) -> Option<Batch> {
    let mut reader = Reader(bytes);
    if reader.array::<1>()? != [1] {
        return None;
    }
    let count = u32::from_le_bytes(reader.array()?);
    let seqno = u64::from_le_bytes(reader.array()?);
    let items = reader.0;
    let mut sequence = None;
    for _ in 0..count {
        match reader.array::<1>()? {
            [2] => {
                let _type_compression_keyspace = reader.array::<10>()?;
                let key_length = u16::from_le_bytes(reader.array()?);
                let _value_length = reader.array::<4>()?;
                let stored_length = u32::from_le_bytes(reader.array()?);
                let key = reader.take(usize::from(key_length))?;
                let value = reader.take(usize::try_from(stored_length).ok()?)?;
                if key == TAIL_KEY {
                    sequence = Some(Tail::decode(value).ok()?.sequence);
                }
            }
            [4] => drop(reader.array::<8>()?),
            _ => return None,
        }
    }
    let items = items.get(..items.len() - reader.0.len())?;
    if reader.array::<1>()? != [3] {
        return None;
    }
    let checksum = u64::from_le_bytes(reader.array()?);
    let sound = reader.array()? == *b"FJL\x03" && xxhash_rust::xxh3::xxh3_64(items) == checksum;
    sound.then_some(Batch { length: bytes.len() - reader.0.len(), seqno, sequence })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use xs_core::{Batch as Commit, Create, Durability, Frame, FrameId, Location, Store, StoreFactory};

    async fn open(dir: &Path) -> Result<Arc<dyn Store>> {
        crate::FjallFactory::default().open(&Location::new("fjall", dir), Create::IfMissing).await
    }

    async fn commit(store: &dyn Store, n: u128, durability: Durability) {
        let frame = Frame::topic("a.b").unwrap().with_id(FrameId::from_u128(n << 32));
        store.commit(Commit { insert: vec![Arc::new(frame)], durability, ..Commit::default() }).await.unwrap();
    }

    fn used(bytes: &[u8]) -> usize {
        bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    }

    /// A journal of ten durable commits, and one that was never closed.
    async fn journal(dir: &Path) -> (PathBuf, Vec<u8>) {
        let store = open(dir).await.unwrap();
        for n in 1..=10 {
            commit(&*store, n, Durability::Sync).await;
        }
        drop(store);
        let path = dir.join("0.jnl");
        let mut bytes = fs::read(&path).unwrap();
        // Less preallocated space, which the tests would read again and again.
        bytes.truncate(used(&bytes) + 500);
        fs::write(&path, &bytes).unwrap();
        (path, bytes)
    }

    fn lengths(mut bytes: &[u8]) -> Vec<usize> {
        std::iter::from_fn(|| {
            let batch = parse(bytes)?;
            bytes = &bytes[batch.length..];
            Some(batch.length)
        })
        .collect()
    }

    #[tokio::test]
    async fn every_flipped_byte_is_refused_before_anything_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, sound) = journal(dir.path()).await;
        check(dir.path(), 10).unwrap();
        // A seqno has no checksum: that of the newest batch may grow, and nothing depends on it.
        let newest = used(&sound) - lengths(&sound).last().unwrap();
        for at in (0..used(&sound)).filter(|at| !(newest + 5..newest + 13).contains(at)) {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            let error = check(dir.path(), 10).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{at}");
        }
        // The whole way, too: the refused journal is as it was.
        let mut damaged = sound.clone();
        damaged[used(&sound) / 2] ^= 0xff;
        fs::write(&path, &damaged).unwrap();
        assert_eq!(open(dir.path()).await.unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(fs::read(&path).unwrap() == damaged);
        fs::write(&path, &sound).unwrap();
        let store = open(dir.path()).await.unwrap();
        assert_eq!(store.last_id().await.unwrap(), FrameId::from_u128(10 << 32));
    }

    #[tokio::test]
    async fn what_a_crash_leaves_at_the_end_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let (path, sound) = journal(dir.path()).await;
        // A batch that was being written: any part of it, behind all that was durable.
        let first = parse(&sound).unwrap();
        let next = &sound[first.length..first.length + parse(&sound[first.length..]).unwrap().length];
        for length in 1..next.len() {
            let mut torn = sound.clone();
            let end = used(&sound);
            torn[end..end + length].copy_from_slice(&next[..length]);
            fs::write(&path, &torn).unwrap();
            // Its number is one of the durable ones, but it is not whole.
            check(dir.path(), 10).unwrap();
        }
        let store = open(dir.path()).await.unwrap();
        commit(&*store, 11, Durability::Buffered).await;
    }

    #[tokio::test]
    async fn a_missing_commit_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, sound) = journal(dir.path()).await;
        let lengths = lengths(&sound);
        let start: usize = lengths[..4].iter().sum();
        let mut cut = sound.clone();
        cut.drain(start..start + lengths[4]);
        fs::write(&path, cut).unwrap();
        assert!(check(dir.path(), 10).unwrap_err().to_string().contains("missing"));
        // The same over the end of a journal: torn, and followed by another.
        let torn = used(&sound) - 3;
        fs::write(&path, &sound[..torn]).unwrap();
        fs::write(dir.path().join("1.jnl"), vec![0; 100]).unwrap();
        assert!(check(dir.path(), 10).unwrap_err().to_string().contains("acknowledged"));
        check(dir.path(), 9).unwrap();
        let split: usize = lengths[..6].iter().sum();
        fs::write(&path, &sound[..split - 3]).unwrap();
        fs::write(dir.path().join("1.jnl"), &sound[split..]).unwrap();
        assert!(check(dir.path(), 4).unwrap_err().to_string().contains("missing"));
        fs::write(&path, &sound[..split]).unwrap();
        check(dir.path(), 10).unwrap();
    }
}
