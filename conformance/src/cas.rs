//! C1 to C10: what every content store does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use xs_core::{ByteRange, Cas, ContentHash, ContentInfo, Create, ErrorKind, Result};

use crate::CasSubject;
use crate::results::refused;
use crate::tools::files_below;

crate::suite::cases!(CasSubject:
    C1_content_is_there_after_a_close,
    C2_damaged_content_is_never_given_out_as_good,
    C2_storing_damaged_content_again_heals_it,
    C3_the_same_content_is_stored_once,
    C4_large_content_streams_in_small_chunks,
    C5_ranges_give_what_they_say,
    C6_missing_content_is_not_found,
    C7_an_abandoned_writer_leaves_nothing,
    C8_list_gives_every_hash_once,
    C9_removal_is_idempotent,
    C10_names_cannot_leave_the_store,
    C_a_second_open_is_locked_or_shares,
    C_a_missing_store_is_not_made_up,
);

async fn put(cas: &dyn Cas, content: &[u8]) -> ContentHash {
    let mut writer = cas.writer().await.unwrap();
    for chunk in content.chunks(300_000) {
        writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn get(cas: &dyn Cas, hash: ContentHash) -> Result<Bytes> {
    cas.reader(hash, ByteRange::FULL).await?.bytes().await
}

/// Bytes that repeat nowhere soon.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

const SIZES: [usize; 9] = [0, 1, 1000, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 1 << 20, (1 << 20) + 1, 3_500_000];

async fn C1_content_is_there_after_a_close(subject: &CasSubject, dir: &Path) {
    let cas = subject.open(dir).await.unwrap();
    let mut stored = Vec::new();
    for size in SIZES {
        let content = noise(size as u64, size);
        let hash = put(&*cas, &content).await;
        assert_eq!(hash, ContentHash::of(&content));
        if cas.capabilities().persistent {
            assert!(object_of(subject, dir, &content).await.is_some(), "content was named before it was stored");
        }
        stored.push((hash, content));
    }
    cas.close().await.unwrap();
    cas.close().await.unwrap();
    assert_eq!(cas.stat(stored[0].0).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(cas.writer().await.unwrap_err().kind(), ErrorKind::Closed);
    let cas = subject.open_as(dir, Create::Never).await.unwrap();
    for (hash, content) in stored {
        assert_eq!(get(&*cas, hash).await.unwrap(), content);
        assert_eq!(cas.stat(hash).await.unwrap().size, content.len() as u64);
    }
}

/// The object that holds exactly these bytes; `None` where nothing lies behind the store.
async fn object_of(subject: &CasSubject, dir: &Path, content: &[u8]) -> Option<String> {
    for (name, size) in subject.behind.objects(dir).await {
        if size == content.len() as u64 && subject.behind.read(dir, &name).await == content {
            return Some(name);
        }
    }
    None
}

async fn C2_damaged_content_is_never_given_out_as_good(subject: &CasSubject, dir: &Path) {
    let cas = subject.open(dir).await.unwrap();
    for size in [1, 1000, 256 * 1024, 700_000] {
        let content = noise(1, size);
        let hash = put(&*cas, &content).await;
        let Some(object) = object_of(subject, dir, &content).await else {
            assert!(!cas.capabilities().persistent, "a persistent content store has objects to damage");
            return refused("persistent");
        };
        let flip = |at: usize| {
            let mut damaged = content.clone();
            damaged[at] ^= 4;
            damaged
        };
        let longer = [&content[..], b"x"].concat();
        for damaged in [flip(0), flip(size - 1), flip(size / 2), content[..size - 1].to_vec(), longer, Vec::new()] {
            subject.behind.write(dir, &object, damaged.into()).await;
            let error = get(&*cas, hash).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{size}: {error}");
            assert!(error.to_string().contains(&hash.to_string()), "{error}");
            // Not even the sound half of it comes whole.
            let range = ByteRange { start: 0, end: Some(size as u64 / 2 + 1) };
            let reader = cas.reader(hash, range).await.unwrap();
            let given: Vec<_> = reader.map_ok(|chunk| chunk.len()).collect().await;
            assert!(given.last().unwrap().is_err(), "{size}");
            let bytes: usize = given.iter().flatten().sum();
            assert!(bytes < size / 2 + 1, "{size}: all of the range was given out before it was verified");
        }
        subject.behind.write(dir, &object, content.clone().into()).await;
        assert_eq!(get(&*cas, hash).await.unwrap(), content);
    }
}

async fn C2_storing_damaged_content_again_heals_it(subject: &CasSubject, dir: &Path) {
    let cas = subject.open(dir).await.unwrap();
    let content = noise(2, 5000);
    let hash = put(&*cas, &content).await;
    let mut flipped = content.clone();
    flipped[4000] ^= 1;
    for damaged in [b"damaged".to_vec(), flipped] {
        if let Some(object) = object_of(subject, dir, &content).await {
            subject.behind.write(dir, &object, damaged.into()).await;
            assert!(get(&*cas, hash).await.is_err());
        }
        put(&*cas, &content).await;
        assert_eq!(get(&*cas, hash).await.unwrap(), content);
    }
}

async fn all(cas: &dyn Cas, limit: usize) -> Vec<ContentInfo> {
    let mut found: Vec<ContentInfo> = Vec::new();
    loop {
        let page = cas.list(found.last().map(|info| info.hash), limit).await.unwrap();
        assert!(page.items.len() <= limit);
        found.extend(page.items);
        if page.complete {
            return found;
        }
    }
}

async fn C3_the_same_content_is_stored_once(subject: &CasSubject, dir: &Path) {
    let cas = subject.open(dir).await.unwrap();
    let content = noise(3, 400_000);
    let hashes = join_all((0..16).map(|_| put(&*cas, &content))).await;
    assert!(hashes.iter().all(|hash| *hash == ContentHash::of(&content)));
    put(&*cas, &content).await;
    assert_eq!(all(&*cas, 10).await.len(), 1);
    let copies = subject.behind.objects(dir).await.iter().filter(|(_, size)| *size >= 400_000).count();
    assert_eq!(copies, usize::from(cas.capabilities().persistent));
}

async fn C4_large_content_streams_in_small_chunks(subject: &CasSubject, dir: &Path) {
    const CHUNKS: u64 = 48;
    const CHUNK_BYTES: usize = 1 << 20;
    let cas = subject.open(dir).await.unwrap();
    let mut writer = cas.writer().await.unwrap();
    for seed in 0..CHUNKS {
        writer.write(noise(seed, CHUNK_BYTES).into()).await.unwrap();
    }
    let hash = writer.finish().await.unwrap();
    let mut reader = cas.reader(hash, ByteRange::FULL).await.unwrap();
    assert_eq!(reader.info().size, CHUNKS * CHUNK_BYTES as u64);
    let mut hasher = xs_core::ContentHasher::new();
    while let Some(chunk) = reader.next().await {
        let chunk = chunk.unwrap();
        assert!(chunk.len() <= 8 << 20, "a chunk of {} bytes", chunk.len());
        hasher.update(&chunk);
    }
    assert_eq!(hasher.finish(), hash);
}

async fn C5_ranges_give_what_they_say(subject: &CasSubject, dir: &Path) {
    let cas = subject.open(dir).await.unwrap();
    for size in SIZES {
        let content = noise(5, size);
        let hash = put(&*cas, &content).await;
        let size = size as u64;
        for start in [0, 1, size / 2, size.saturating_sub(1), size, size + 1] {
            for end in [None, Some(0), Some(1), Some(size / 2), Some(size), Some(size + 9), Some(u64::MAX)] {
                let clamped = end.unwrap_or(size).min(size);
                let result = cas.reader(hash, ByteRange { start, end }).await;
                if start > clamped {
                    assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput, "{start} {end:?} of {size}");
                    continue;
                }
                let reader = result.unwrap();
                assert_eq!(reader.range(), start..clamped);
                let part = &content[usize::try_from(start).unwrap()..usize::try_from(clamped).unwrap()];
                assert_eq!(reader.bytes().await.unwrap(), part, "{start} {end:?} of {size}");
            }
        }
    }
}

async fn C6_missing_content_is_not_found(subject: &CasSubject, dir: &Path) {
    let cas = subject.open(dir).await.unwrap();
    let hash = ContentHash::of(b"never stored");
    for error in [cas.stat(hash).await.unwrap_err(), cas.reader(hash, ByteRange::FULL).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(&hash.to_string()));
    }
}

async fn C7_an_abandoned_writer_leaves_nothing(subject: &CasSubject, dir: &Path) {
    let cas = subject.open(dir).await.unwrap();
    for size in [0, 10, 5_000_000] {
        let mut writer = cas.writer().await.unwrap();
        writer.write(noise(7, size).into()).await.unwrap();
        drop(writer);
    }
    assert!(all(&*cas, 10).await.is_empty());
    // One that was abandoned by a process that is gone: its leftovers are found by the next open.
    let mut writer = cas.writer().await.unwrap();
    writer.write(noise(8, 5_000_000).into()).await.unwrap();
    cas.close().await.unwrap();
    std::mem::forget(writer);
    let cas = subject.open(dir).await.unwrap();
    assert!(all(&*cas, 10).await.is_empty());
    let left: Vec<_> = subject.behind.objects(dir).await.into_iter().filter(|(_, size)| *size >= 1000).collect();
    assert!(left.is_empty(), "{left:?}");
}

async fn C8_list_gives_every_hash_once(subject: &CasSubject, dir: &Path) {
    let cas = subject.open(dir).await.unwrap();
    let mut stored = BTreeMap::new();
    for n in 0..60u32 {
        let content = vec![b'x'; n as usize];
        stored.insert(put(&*cas, &content).await, u64::from(n));
    }
    for limit in [1, 7, 60, 1000] {
        let found = all(&*cas, limit).await;
        assert!(found.iter().all(|info| info.modified_ms > 0));
        let found: Vec<_> = found.into_iter().map(|info| (info.hash, info.size)).collect();
        assert_eq!(found, stored.clone().into_iter().collect::<Vec<_>>());
    }
}

async fn C9_removal_is_idempotent(subject: &CasSubject, dir: &Path) {
    let cas = subject.open(dir).await.unwrap();
    let (gone, kept) = (put(&*cas, b"gone").await, put(&*cas, b"kept").await);
    for _ in 0..2 {
        cas.remove(gone).await.unwrap();
        assert_eq!(cas.stat(gone).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(get(&*cas, kept).await.unwrap(), "kept");
    assert_eq!(all(&*cas, 9).await.len(), 1);
}

async fn C10_names_cannot_leave_the_store(subject: &CasSubject, dir: &Path) {
    // What is no digest is no hash; what is one is never taken for a path.
    for text in ["sha256-../../../../../../../../../../../etc/passwd=", "sha256-/etc/passwd", "../x", "sha256-"] {
        assert!(text.parse::<ContentHash>().is_err(), "{text}");
    }
    let inside = dir.join("inside");
    let cas = subject.open(&inside).await.unwrap();
    for seed in 0..40u8 {
        cas.remove(ContentHash::from_bytes([seed.wrapping_mul(37); 32])).await.unwrap();
        put(&*cas, &[seed]).await;
    }
    let outside: Vec<_> = files_below(dir).into_iter().filter(|path| !path.starts_with("inside")).collect();
    assert!(outside.is_empty(), "{outside:?}");
}

async fn C_a_second_open_is_locked_or_shares(subject: &CasSubject, dir: &Path) {
    let cas = subject.open(dir).await.unwrap();
    let hash = put(&*cas, b"kept").await;
    match (cas.capabilities().exclusive, subject.open(dir).await) {
        (true, second) => assert_eq!(second.unwrap_err().kind(), ErrorKind::Locked),
        (false, second) => {
            let second = second.unwrap();
            assert_eq!(get(&*second, hash).await.unwrap(), "kept");
            let late = put(&*second, b"late").await;
            assert_eq!(get(&*cas, late).await.unwrap(), "late");
            // What one of them does not know of is not what the other has left behind.
            assert_eq!(all(&*cas, 9).await.len(), 2);
            refused("exclusive");
        }
    }
    drop(cas);
    let cas: Arc<dyn Cas> = subject.open(dir).await.unwrap();
    assert_eq!(get(&*cas, hash).await.unwrap(), "kept");
}

async fn C_a_missing_store_is_not_made_up(subject: &CasSubject, dir: &Path) {
    let place = dir.join("missing");
    assert_eq!(subject.open_as(&place, Create::Never).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!place.exists());
}
