//! Content on S3 beside object_store alone, against one server in this process.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt as _, WriteMultipart};
use xs::cas_object::ObjectCasFactory;
use xs::{ByteRange, Cas, CasFactory, ContentHash, Create, Location};
use xs_test_s3::{ACCESS_KEY, BUCKET, SECRET_KEY, Server};

use crate::read::resident_kib;
use crate::{Bar, judge, median, seconds};

const ROUNDS: usize = 7;
const LARGE_BYTES: usize = 64 << 20;
const PART_BYTES: usize = 5 << 20;
/// What both sides send or read at once.
const PARALLEL: usize = 3;
const SMALL_BYTES: usize = 4096;
const SMALL: usize = 1000;
const TASKS: usize = 32;
const HUGE_MIB: usize = 1024;

/// Bytes that nobody has stored before.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..length.div_ceil(8)).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length).collect()
}

async fn open(endpoint: &str, place: &Path) -> xs::Result<Arc<dyn Cas>> {
    let location = Location::new("s3", place).remote(format!("{BUCKET}/xs")).setting("endpoint", endpoint);
    let location = location.setting("timeout_ms", "60000");
    ObjectCasFactory::s3().keys(ACCESS_KEY, SECRET_KEY).open(&location, Create::IfMissing).await
}

async fn put(cas: &dyn Cas, content: &[u8]) -> xs::Result<ContentHash> {
    let mut writer = cas.writer().await?;
    for chunk in content.chunks(1 << 20) {
        writer.write(chunk.to_vec().into()).await?;
    }
    writer.finish().await
}

/// Takes all bytes, and holds none.
async fn get(cas: &dyn Cas, hash: ContentHash) -> xs::Result<usize> {
    let mut reader = cas.reader(hash, ByteRange::FULL).await?;
    let mut bytes = 0;
    while let Some(chunk) = reader.try_next().await? {
        bytes += chunk.len();
    }
    Ok(bytes)
}

async fn bare_put(store: &AmazonS3, key: &Key, content: &[u8]) -> object_store::Result<()> {
    let upload = store.put_multipart(key).await?;
    let mut write = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    for chunk in content.chunks(1 << 20) {
        write.wait_for_capacity(PARALLEL).await?;
        write.write(chunk);
    }
    write.finish().await.map(drop)
}

async fn bare_get(store: &AmazonS3, key: &Key) -> object_store::Result<usize> {
    let size = store.head(key).await?.size;
    let ranges = (0..size).step_by(PART_BYTES).map(|start| start..size.min(start + PART_BYTES as u64));
    let parts = stream::iter(ranges).map(|range| store.get_range(key, range)).buffered(PARALLEL);
    parts.try_fold(0, |sum, bytes| async move { Ok(sum + bytes.len()) }).await
}

/// Runs `work` for each number up to `SMALL`, from so many tasks; seconds.
async fn from_tasks<F: Future<Output = ()> + Send + 'static>(work: impl Fn(usize) -> F + Send + Sync + 'static) -> f64 {
    let start = Instant::now();
    let work = Arc::new(work);
    let tasks = (0..TASKS).map(|task| {
        let work = Arc::clone(&work);
        tokio::spawn(async move {
            for n in (task..SMALL).step_by(TASKS) {
                work(n).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a task");
    }
    seconds(start)
}

pub(crate) async fn run() -> xs::Result<()> {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let server = Server::start(&dir.path().join("s3"));
    let store = AmazonS3Builder::new().with_endpoint(server.endpoint()).with_allow_http(true).with_bucket_name(BUCKET);
    let store = store.with_access_key_id(ACCESS_KEY).with_secret_access_key(SECRET_KEY).build().expect("a store");
    let store = Arc::new(store);
    let cas = open(&server.endpoint(), &dir.path().join("place")).await?;
    let (mut large_in, mut large_out, mut small_in, mut small_out) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut last = [0.0; 8];
    for round in 0..ROUNDS as u64 {
        let content = noise(round + 1, LARGE_BYTES);
        let key = Key::from(format!("bare/{round}"));
        let timed = Instant::now();
        bare_put(&store, &key, &content).await.expect("a put");
        let bare_in = seconds(timed);
        let timed = Instant::now();
        let hash = put(&*cas, &content).await?;
        let ours_in = seconds(timed);
        let timed = Instant::now();
        assert_eq!(bare_get(&store, &key).await.expect("a get"), LARGE_BYTES);
        let bare_out = seconds(timed);
        let timed = Instant::now();
        assert_eq!(get(&*cas, hash).await?, LARGE_BYTES);
        let ours_out = seconds(timed);
        cas.remove(hash).await?;
        store.delete(&key).await.expect("a removal");

        let contents: Arc<Vec<Vec<u8>>> =
            Arc::new((0..SMALL as u64).map(|n| noise(round << 20 | n, SMALL_BYTES)).collect());
        let key = move |n: usize| Key::from(format!("small/{round}/{n}"));
        let (to, of) = (Arc::clone(&store), Arc::clone(&contents));
        let bare_small_in = from_tasks(move |n| {
            let (to, content) = (Arc::clone(&to), of[n].clone());
            async move { drop(to.put(&key(n), content.into()).await.expect("a put")) }
        })
        .await;
        let (to, of) = (Arc::clone(&cas), Arc::clone(&contents));
        let ours_small_in = from_tasks(move |n| {
            let (to, of) = (Arc::clone(&to), Arc::clone(&of));
            async move { assert_eq!(put(&*to, &of[n]).await.expect("a put"), ContentHash::of(&of[n])) }
        })
        .await;
        let from = Arc::clone(&store);
        let bare_small_out = from_tasks(move |n| {
            let from = Arc::clone(&from);
            async move { drop(from.get(&key(n)).await.expect("a get").bytes().await.expect("bytes")) }
        })
        .await;
        let (from, of) = (Arc::clone(&cas), Arc::clone(&contents));
        let ours_small_out = from_tasks(move |n| {
            let (from, hash) = (Arc::clone(&from), ContentHash::of(&of[n]));
            async move { assert_eq!(get(&*from, hash).await.expect("a get"), SMALL_BYTES) }
        })
        .await;
        large_in.push(bare_in / ours_in);
        large_out.push(bare_out / ours_out);
        small_in.push(bare_small_in / ours_small_in);
        small_out.push(bare_small_out / ours_small_out);
        last = [bare_in, ours_in, bare_out, ours_out, bare_small_in, ours_small_in, bare_small_out, ours_small_out];
    }
    println!(
        "content: last round, seconds, bare and xs: 64 MiB in {:.2} {:.2}, out {:.2} {:.2}; 1,000 of 4 KiB in {:.2} {:.2}, out {:.2} {:.2}",
        last[0], last[1], last[2], last[3], last[4], last[5], last[6], last[7]
    );
    for (what, ratios, bar) in [
        ("64 MiB in", large_in, 0.7),
        ("64 MiB out", large_out, 0.7),
        ("1,000 of 4 KiB in", small_in, 0.8),
        ("1,000 of 4 KiB out", small_out, 0.8),
    ] {
        judge(&format!("content: {what}, rate in that of object_store alone"), median(ratios), "", Bar::AtLeast(bar));
    }
    let exe = std::env::current_exe().expect("this program");
    let child = Command::new(exe).args(["content-child", &server.endpoint()]).status().expect("a child");
    if !child.success() {
        crate::MISSED.store(true, std::sync::atomic::Ordering::Relaxed);
    }
    cas.close().await
}

/// What a large content holds in memory, in and out.
pub(crate) async fn child(endpoint: &str) -> xs::Result<()> {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let cas = open(endpoint, dir.path()).await?;
    let idle = resident_kib();
    let mut peak = idle;
    let mut writer = cas.writer().await?;
    for n in 0..HUGE_MIB {
        writer.write(noise(n as u64, 1 << 20).into()).await?;
        peak = peak.max(resident_kib());
    }
    let storing = tokio::spawn(writer.finish());
    while !storing.is_finished() {
        peak = peak.max(resident_kib());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let hash = storing.await.expect("a task")?;
    let mut reader = cas.reader(hash, ByteRange::FULL).await?;
    let mut bytes = 0;
    while let Some(chunk) = reader.try_next().await? {
        bytes += chunk.len();
        peak = peak.max(resident_kib());
    }
    assert_eq!(bytes, HUGE_MIB << 20);
    let mib = (peak - idle) as f64 / 1024.0;
    judge("content: memory for 1 GiB in and out", mib, " MiB", Bar::AtMost(64.0));
    cas.remove(hash).await
}
