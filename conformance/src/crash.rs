//! S1 and S2 under a real kill: a child process commits, and is killed in the middle.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

use xs_core::{Batch, Direction, Durability, Frame, Pattern};

use crate::results::refused;
use crate::tools::{frame, id, pattern, scan_all};
use crate::{StoreSubject, child};

crate::suite::cases!(StoreSubject: S1_S2_a_killed_process_loses_nothing_acknowledged);

pub(crate) const COMMIT: &str = "commit until killed";
/// Frames in a batch of the child: a half one would show.
const FRAMES: u64 = 5;
/// Kills of one place, each after some more acknowledged batches than the one before.
const KILLS: u64 = 6;

/// Commits batch after batch, telling each on standard output, until it is killed.
pub(crate) async fn commit(subject: &StoreSubject, place: &Path) {
    let store = subject.open(place).await.unwrap();
    let mut next = u64::try_from(store.last_id().await.unwrap().to_u128() >> 32).unwrap() / FRAMES;
    loop {
        let durability = if next.is_multiple_of(2) { Durability::Sync } else { Durability::Buffered };
        let insert = batch(next).into_iter().map(Arc::new).collect();
        store.commit(Batch { insert, durability, ..Batch::default() }).await.unwrap();
        println!("{next}");
        next += 1;
    }
}

fn batch(number: u64) -> Vec<Frame> {
    (1..=FRAMES).map(|n| frame(number * FRAMES + n, "a.b")).collect()
}

async fn S1_S2_a_killed_process_loses_nothing_acknowledged(subject: &StoreSubject, dir: &Path) {
    {
        let store = subject.open(dir).await.unwrap();
        if !store.capabilities().persistent {
            return refused("persistent");
        }
        store.close().await.unwrap();
    }
    let mut acknowledged = None;
    for kill in 0..KILLS {
        let (subject_name, place) = (subject.name.clone(), dir.to_owned());
        let last = tokio::task::spawn_blocking(move || commit_and_kill(&subject_name, &place, 3 + 11 * kill));
        acknowledged = acknowledged.max(last.await.unwrap());
        let store = subject.open(dir).await.unwrap();
        let all = scan_all(&*store, &Pattern::All, Direction::Ascending, 100).await.unwrap();
        assert_eq!(all.len() as u64 % FRAMES, 0, "half a batch is there");
        let batches = all.len() as u64 / FRAMES;
        assert!(acknowledged.is_some_and(|last| last < batches), "batch {acknowledged:?} is lost: {batches} are there");
        let expected: Vec<_> = (0..batches).flat_map(batch).collect();
        assert_eq!(all, expected);
        assert_eq!(scan_all(&*store, &pattern("a.*"), Direction::Ascending, 100).await.unwrap(), expected);
        assert_eq!(store.last_id().await.unwrap(), id(batches * FRAMES));
        store.close().await.unwrap();
    }
}

/// Kills a child after it has acknowledged so many batches; gives the last that it acknowledged.
fn commit_and_kill(subject: &str, place: &Path, batches: u64) -> Option<u64> {
    let mut child = child::command(COMMIT, subject, place).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = None;
    for _ in 0..batches {
        last = Some(lines.next().expect("the child ended by itself").unwrap().parse().unwrap());
    }
    child.kill().unwrap();
    // What it still said before the kill was acknowledged too; a line cut short was not.
    for line in lines.map_while(Result::ok) {
        last = line.parse().ok().max(last);
    }
    child.wait().unwrap();
    last
}
