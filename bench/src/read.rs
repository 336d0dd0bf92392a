//! Reading everything, beside a bare scan of the same keyspace, and what that holds in memory.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use futures::TryStreamExt as _;
use xs::{OpenOptions, ReadOptions};

use crate::bare;
use crate::{Bar, fill, judge, median, seconds};

const ROUNDS: usize = 5;

/// Entries a second, and how many.
fn bare_scan(index: &str, dir: &Path) -> (f64, usize) {
    let mut engine = bare::open(index, dir);
    let start = Instant::now();
    let (count, bytes) = engine.scan();
    std::hint::black_box(bytes);
    (count as f64 / seconds(start), count)
}

/// Frames a second, and how many.
async fn read_all(path: &Path) -> xs::Result<(f64, usize)> {
    let start = Instant::now();
    let stream = xs::open(path).await?;
    println!("{}: open: {:.2} s", stream.parts().0, seconds(start));
    let start = Instant::now();
    let mut frames = stream.read(ReadOptions::default());
    let mut count = 0;
    while let Some(frame) = frames.try_next().await? {
        count += 1;
        std::hint::black_box(frame);
    }
    let rate = count as f64 / seconds(start);
    stream.close().await?;
    Ok((rate, count))
}

pub(crate) async fn run(index: &str, frames: usize) -> xs::Result<()> {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let path = dir.path().join("xs");
    let stream = OpenOptions::new().index(index).open(&path).await?;
    fill(&stream, "bench.read", frames).await?;
    stream.close().await?;
    let (mut ratios, mut last) = (Vec::new(), (0.0, 0.0));
    for _ in 0..ROUNDS {
        let (bare, entries) = tokio::task::block_in_place(|| bare_scan(index, &path.join("index")));
        let (ours, count) = read_all(&path).await?;
        assert_eq!((count, entries), (frames, frames));
        ratios.push(ours / bare);
        last = (bare, ours);
    }
    println!("{index}: read: last round, frames/s: bare scan {:.0}, EventStream::read {:.0}", last.0, last.1);
    judge(
        &format!("{index}: read: {frames} frames, rate in that of a bare scan"),
        median(ratios),
        "",
        Bar::AtLeast(0.5),
    );
    let exe = std::env::current_exe().expect("this program");
    let child = Command::new(exe).arg("read-child").arg(&path).status().expect("a child");
    if !child.success() {
        crate::MISSED.store(true, std::sync::atomic::Ordering::Relaxed);
    }
    Ok(())
}

/// Memory in KiB, as the system counts it.
pub(crate) fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// What reading everything holds beyond the idle stream.
pub(crate) async fn child(path: &Path) -> xs::Result<()> {
    let stream = xs::open(path).await?;
    stream.last(xs::Filter::all()).await?;
    let idle = resident_kib();
    let mut frames = stream.read(ReadOptions::default());
    let (mut peak, mut count) = (idle, 0usize);
    while let Some(frame) = frames.try_next().await? {
        std::hint::black_box(frame);
        count += 1;
        if count.is_multiple_of(500) {
            peak = peak.max(resident_kib());
        }
    }
    let mib = |kib: usize| kib as f64 / 1024.0;
    let what =
        format!("{}: read: memory for {count} frames above the idle stream's {:.1} MiB", stream.parts().0, mib(idle));
    judge(&what, mib(peak - idle), " MiB", Bar::AtMost(32.0));
    drop(frames);
    stream.close().await
}
