//! C4 by measure: what a process of its own holds while large content goes in and out. Linux only.

use std::path::Path;

use futures::StreamExt as _;
use xs_core::ByteRange;

use crate::results::refused;
use crate::{CasSubject, child};

crate::suite::cases!(CasSubject: C4_large_content_costs_little_memory);

pub(crate) const STREAM: &str = "stream content and tell";

const CHUNK_BYTES: usize = 1 << 20;
const CHUNKS: usize = 192;
/// 8 MiB for the stream in, as much for the stream out, and what the allocator keeps.
const KIB_MAX: usize = 32 * 1024;

/// The most memory that this process has held, in KiB.
fn peak_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub(crate) async fn stream(subject: &CasSubject, place: &Path) {
    let cas = subject.open(place).await.unwrap();
    let before = peak_kib();
    let mut writer = cas.writer().await.unwrap();
    for n in 0..CHUNKS {
        writer.write(vec![u8::try_from(n).unwrap(); CHUNK_BYTES].into()).await.unwrap();
    }
    let hash = writer.finish().await.unwrap();
    let mut reader = cas.reader(hash, ByteRange::FULL).await.unwrap();
    let mut bytes = 0;
    while let Some(chunk) = reader.next().await {
        bytes += chunk.unwrap().len();
    }
    assert_eq!(bytes, CHUNKS * CHUNK_BYTES);
    println!("{}", peak_kib() - before);
}

async fn C4_large_content_costs_little_memory(subject: &CasSubject, dir: &Path) {
    if !subject.open(&dir.join("cas")).await.unwrap().capabilities().persistent || !cfg!(target_os = "linux") {
        return refused("persistent");
    }
    let (name, place) = (subject.name.clone(), dir.join("cas"));
    // What each thread's own arena keeps is the allocator's affair, and depends on how many threads
    // happened to run.
    let child = move || child::command(STREAM, &name, &place).env("MALLOC_ARENA_MAX", "1").output().unwrap();
    let output = tokio::task::spawn_blocking(child);
    let output = output.await.unwrap();
    assert!(output.status.success());
    let kib: usize = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(kib <= KIB_MAX, "{CHUNKS} MiB in and out took {kib} KiB of memory");
}
