//! S2, E11, C1 and E10 at the system's edge: a shim around `fsync`, `fdatasync` and the writes of a child
//! tells of each sync, or makes them fail. A kill shows what is in the page cache; only this shows what has left
//! it. Linux only: elsewhere the cases pass without having looked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use xs_core::{Batch, Durability, ErrorKind};

use crate::results::refused;
use crate::tools::{frame, id};
use crate::{CasSubject, StoreSubject, child};

crate::suite::cases!(StoreSubject:
    S2_a_sync_commit_is_synced_before_it_is_acknowledged,
    S2_a_commit_whose_sync_failed_shows_nothing,
    S2_a_commit_on_a_full_disk_shows_nothing,
    E11_a_batch_costs_the_syncs_of_one_commit,
);

pub(crate) mod cas {
    use super::*;
    crate::suite::cases!(CasSubject: C1_content_is_synced_before_it_is_named);

    /// The file, then the directory that holds its name.
    async fn C1_content_is_synced_before_it_is_named(subject: &CasSubject, dir: &Path) {
        let persistent = subject.open(&dir.join("cas")).await.unwrap().capabilities().persistent;
        if !persistent || !subject.behind.is_local() || !cfg!(target_os = "linux") {
            return refused(if persistent { "of a disk here" } else { "persistent" });
        }
        let syncs = watch(STORE, &subject.name, dir, "cas").await;
        // The first is the opening.
        assert_eq!(syncs.len(), 1 + COUNT);
        assert!(syncs.iter().skip(1).all(|syncs| *syncs >= 2), "content was named after {syncs:?} syncs");
    }
}

pub(crate) const COMMIT: &str = "commit and tell";
pub(crate) const FAIL: &str = "commit while syncs fail";
pub(crate) const FILL: &str = "commit on a full disk";
pub(crate) const GROUP: &str = "commit one, then many, and tell";
pub(crate) const STORE: &str = "store content and tell";

const COUNT: usize = 12;
/// Names the file whose presence makes syncs fail, and that which leaves no space to write.
const BROKEN: &str = "XS_CONFORMANCE_BROKEN_DISK";
const FULL: &str = "XS_CONFORMANCE_FULL_DISK";
/// What the shim says of a sync, on standard output, between the lines of the child.
const SYNCED: &str = "synced";
const ACKNOWLEDGED: &str = "acknowledged";

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
static int told(const char *variable) {
    const char *path = getenv(variable);
    return path && access(path, F_OK) == 0;
}
static int shim(const char *name, int fd) {
    if (told("XS_CONFORMANCE_BROKEN_DISK")) { errno = EIO; return -1; }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd);
    ssize_t (*say)(int, const void *, size_t) = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (result == 0 && say(1, "synced\n", 7) != 7) abort();
    return result;
}
int fsync(int fd) { return shim("fsync", fd); }
int fdatasync(int fd) { return shim("fdatasync", fd); }
static int full(int fd) {
    struct stat of;
    if (!told("XS_CONFORMANCE_FULL_DISK") || fstat(fd, &of) != 0 || !S_ISREG(of.st_mode)) return 0;
    errno = ENOSPC;
    return 1;
}
#define WRITES(name, parameters, arguments) \
    ssize_t name parameters { \
        if (full(fd)) return -1; \
        ssize_t (*real) parameters = (ssize_t (*) parameters)dlsym(RTLD_NEXT, #name); \
        return real arguments; \
    }
WRITES(write, (int fd, const void *bytes, size_t count), (fd, bytes, count))
WRITES(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WRITES(pwrite, (int fd, const void *bytes, size_t count, off_t at), (fd, bytes, count, at))
WRITES(pwrite64, (int fd, const void *bytes, size_t count, off64_t at), (fd, bytes, count, at))
"#;

/// Compiles the shim, which needs the C compiler that the engines need anyway.
fn shim(dir: &Path) -> PathBuf {
    let (source, library) = (dir.join("shim.c"), dir.join("shim.so"));
    std::fs::write(&source, SHIM).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").status();
    assert!(compiled.unwrap().success(), "cc cannot compile the shim");
    library
}

/// Runs a child under the shim to its end, and counts the syncs before each line that it says.
async fn watch(task: &'static str, subject: &str, dir: &Path, place: &str) -> Vec<usize> {
    let (subject, dir, place) = (subject.to_owned(), dir.to_owned(), dir.join(place));
    let output = tokio::task::spawn_blocking(move || {
        let (broken, full) = (dir.join("broken"), dir.join("full"));
        let mut command = child::command(task, &subject, &place);
        command.env("LD_PRELOAD", shim(&dir)).env(BROKEN, &broken).env(FULL, &full);
        let output = command.output().unwrap();
        let _ = (std::fs::remove_file(broken), std::fs::remove_file(full));
        output
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut counts = Vec::new();
    let mut syncs = 0;
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        match line {
            SYNCED => syncs += 1,
            ACKNOWLEDGED => counts.push(std::mem::take(&mut syncs)),
            _ => {}
        }
    }
    counts
}

async fn commit_one(store: &dyn xs_core::Store, number: u64, durability: Durability) -> xs_core::Result<()> {
    let insert = vec![Arc::new(frame(number, "a"))];
    store.commit(Batch { insert, durability, ..Batch::default() }).await.map(drop)
}

pub(crate) async fn commit(subject: &StoreSubject, place: &Path) {
    let store = subject.open(place).await.unwrap();
    println!("{ACKNOWLEDGED}");
    for number in 1..=COUNT as u64 {
        commit_one(&*store, number, Durability::Sync).await.unwrap();
        println!("{ACKNOWLEDGED}");
    }
}

async fn S2_a_sync_commit_is_synced_before_it_is_acknowledged(subject: &StoreSubject, dir: &Path) {
    if !is_watched(subject, dir).await {
        return refused("persistent");
    }
    let syncs = watch(COMMIT, &subject.name, dir, "index").await;
    // The first is the opening, which changes nothing.
    assert_eq!(syncs.len(), 1 + COUNT);
    assert!(syncs.iter().skip(1).all(|syncs| *syncs >= 1), "commits were acknowledged after {syncs:?} syncs");
}

/// One frame at a time, then many in a batch.
pub(crate) async fn group(subject: &StoreSubject, place: &Path) {
    commit(subject, place).await;
    let store = subject.open(place).await.unwrap();
    println!("{ACKNOWLEDGED}");
    let insert = (0..64).map(|number| Arc::new(frame(100 + number, "a"))).collect();
    store.commit(Batch { insert, durability: Durability::Sync, ..Batch::default() }).await.unwrap();
    println!("{ACKNOWLEDGED}");
}

/// The part of E11 that is the backend's: appenders share a sync only where a batch is one.
async fn E11_a_batch_costs_the_syncs_of_one_commit(subject: &StoreSubject, dir: &Path) {
    if !is_watched(subject, dir).await {
        return refused("persistent");
    }
    let syncs = watch(GROUP, &subject.name, dir, "index").await;
    let one = syncs[1..=COUNT].iter().max().unwrap();
    let many = syncs.last().unwrap();
    assert!(*many <= 2 * one, "64 frames in a batch cost {many} syncs, and one frame at most {one}");
}

async fn is_watched(subject: &StoreSubject, dir: &Path) -> bool {
    let store = subject.open(&dir.join("index")).await.unwrap();
    let persistent = store.capabilities().persistent;
    store.close().await.unwrap();
    persistent && cfg!(target_os = "linux")
}

/// What a child does while the file that this variable names is there.
async fn fail(subject: &StoreSubject, place: &Path, trouble: &str) {
    let store = subject.open(place).await.unwrap();
    commit_one(&*store, 1, Durability::Sync).await.unwrap();
    std::fs::write(std::env::var_os(trouble).unwrap(), "").unwrap();
    let error = commit_one(&*store, 2, Durability::Sync).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(store.get(id(2)).await.unwrap(), None, "a commit that failed is visible");
    assert_eq!(store.last_id().await.unwrap(), id(1));
    // An engine that goes on after that could acknowledge what it has lost.
    commit_one(&*store, 3, Durability::Sync).await.unwrap_err();
    assert_eq!(store.get(id(1)).await.unwrap(), Some(frame(1, "a")));
    let _ = store.close().await;
    println!("{ACKNOWLEDGED}");
}

pub(crate) async fn fail_syncs(subject: &StoreSubject, place: &Path) {
    fail(subject, place, BROKEN).await;
}

pub(crate) async fn fill_disk(subject: &StoreSubject, place: &Path) {
    fail(subject, place, FULL).await;
}

async fn survives(task: &'static str, subject: &StoreSubject, dir: &Path) {
    if !is_watched(subject, dir).await {
        return refused("persistent");
    }
    assert_eq!(watch(task, &subject.name, dir, "index").await.len(), 1);
    // On a disk that works again, what was acknowledged is there, and there is room for more.
    let store = subject.open(&dir.join("index")).await.unwrap();
    assert_eq!(store.get(id(1)).await.unwrap(), Some(frame(1, "a")));
    commit_one(&*store, 9, Durability::Sync).await.unwrap();
}

async fn S2_a_commit_whose_sync_failed_shows_nothing(subject: &StoreSubject, dir: &Path) {
    survives(FAIL, subject, dir).await;
}

async fn S2_a_commit_on_a_full_disk_shows_nothing(subject: &StoreSubject, dir: &Path) {
    survives(FILL, subject, dir).await;
}

pub(crate) async fn store(subject: &CasSubject, place: &Path) {
    let cas = subject.open(place).await.unwrap();
    // The syncs of the opening are not those of the first content.
    println!("{ACKNOWLEDGED}");
    for number in 0..COUNT {
        let mut writer = cas.writer().await.unwrap();
        // Small, and larger than what is gathered before it is written.
        writer.write(vec![b'x'; 1 + number * 300_000].into()).await.unwrap();
        writer.finish().await.unwrap();
        println!("{ACKNOWLEDGED}");
    }
}
