//! S2, C1 and E10 at the system's edge: a shim around `fsync` and `fdatasync` tells of each sync of
//! a child, or makes it fail. A kill shows what is in the page cache; only this shows what has left
//! it. Linux only: elsewhere the cases pass without having looked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use xs_core::{Batch, Durability, ErrorKind};

use crate::tools::{frame, id};
use crate::{CasSubject, StoreSubject, child};

crate::suite::cases!(StoreSubject:
    S2_a_sync_commit_is_synced_before_it_is_acknowledged,
    S2_a_commit_whose_sync_failed_shows_nothing,
);

pub(crate) mod cas {
    use super::*;
    crate::suite::cases!(CasSubject: C1_content_is_synced_before_it_is_named);

    /// The file, then the directory that holds its name.
    async fn C1_content_is_synced_before_it_is_named(subject: &CasSubject, dir: &Path) {
        if !subject.open(&dir.join("cas")).await.unwrap().capabilities().persistent || !cfg!(target_os = "linux") {
            return;
        }
        let syncs = watch(STORE, &subject.name, dir, "cas").await;
        // The first is the opening.
        assert_eq!(syncs.len(), 1 + COUNT);
        assert!(syncs.iter().skip(1).all(|syncs| *syncs >= 2), "content was named after {syncs:?} syncs");
    }
}

pub(crate) const COMMIT: &str = "commit and tell";
pub(crate) const FAIL: &str = "commit while syncs fail";
pub(crate) const STORE: &str = "store content and tell";

const COUNT: usize = 12;
/// The file whose presence makes syncs fail.
const BROKEN: &str = "XS_CONFORMANCE_BROKEN_DISK";
/// What the shim says of a sync, on standard output, between the lines of the child.
const SYNCED: &str = "synced";
const ACKNOWLEDGED: &str = "acknowledged";

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int shim(const char *name, int fd) {
    const char *broken = getenv("XS_CONFORMANCE_BROKEN_DISK");
    if (broken && access(broken, F_OK) == 0) { errno = EIO; return -1; }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd);
    if (result == 0 && write(1, "synced\n", 7) != 7) abort();
    return result;
}
int fsync(int fd) { return shim("fsync", fd); }
int fdatasync(int fd) { return shim("fdatasync", fd); }
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
        let broken = dir.join("broken");
        let mut command = child::command(task, &subject, &place);
        command.env("LD_PRELOAD", shim(&dir)).env(BROKEN, &broken);
        let output = command.output().unwrap();
        let _ = std::fs::remove_file(broken);
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
    store.commit(Batch { insert: vec![Arc::new(frame(number, "a"))], durability, ..Batch::default() }).await
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
        return;
    }
    let syncs = watch(COMMIT, &subject.name, dir, "index").await;
    // The first is the opening.
    assert_eq!(syncs.len(), 1 + COUNT);
    assert!(syncs.iter().all(|syncs| *syncs >= 1), "commits were acknowledged after {syncs:?} syncs");
}

async fn is_watched(subject: &StoreSubject, dir: &Path) -> bool {
    let store = subject.open(&dir.join("index")).await.unwrap();
    let persistent = store.capabilities().persistent;
    store.close().await.unwrap();
    persistent && cfg!(target_os = "linux")
}

pub(crate) async fn fail(subject: &StoreSubject, place: &Path) {
    let store = subject.open(place).await.unwrap();
    commit_one(&*store, 1, Durability::Sync).await.unwrap();
    std::fs::write(std::env::var_os(BROKEN).unwrap(), "").unwrap();
    let error = commit_one(&*store, 2, Durability::Sync).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(store.get(id(2)).await.unwrap(), None, "a commit whose sync failed is visible");
    assert_eq!(store.last_id().await.unwrap(), id(1));
    // An engine that goes on after that could acknowledge what it has lost.
    commit_one(&*store, 3, Durability::Sync).await.unwrap_err();
    assert_eq!(store.get(id(1)).await.unwrap(), Some(frame(1, "a")));
    let _ = store.close().await;
    println!("{ACKNOWLEDGED}");
}

async fn S2_a_commit_whose_sync_failed_shows_nothing(subject: &StoreSubject, dir: &Path) {
    if !is_watched(subject, dir).await {
        return;
    }
    assert_eq!(watch(FAIL, &subject.name, dir, "index").await.len(), 1);
    // On a disk that works again, what was acknowledged is there, and there is room for more.
    let store = subject.open(&dir.join("index")).await.unwrap();
    assert_eq!(store.get(id(1)).await.unwrap(), Some(frame(1, "a")));
    commit_one(&*store, 9, Durability::Sync).await.unwrap();
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
