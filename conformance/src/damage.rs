//! S11 from outside: the files of a closed store with bits flipped, cut short, or gone.

use std::fs;
use std::path::{Path, PathBuf};

use xs_core::{Create, Direction, ErrorKind, Frame, Pattern, Result, TopicPage, Ttl};

use crate::StoreSubject;
use crate::tools::{files_below, id, insert, new, pattern, scan_all};

/// Places in each file where a byte is damaged.
const FLIPS_IN_A_FILE: usize = 48;

fn frames() -> Vec<Frame> {
    let one = |n: u64| {
        let frame = new(["a", "a.b", "c"][usize::try_from(n % 3).unwrap()])
            .meta(serde_json::json!({"number": n, "padding": "x".repeat(1500)}));
        frame.ttl(Ttl::Time { ms: n }).with_id(id(n))
    };
    (1..=40).map(one).collect()
}

/// Everything that can be read of a store that is there.
async fn read_all(subject: &StoreSubject, place: &Path) -> Result<(Vec<Frame>, usize)> {
    let store = subject.open_as(place, Create::Never).await?;
    let all = scan_all(&*store, &Pattern::All, Direction::Ascending, 7).await?;
    let mut indexed = 0;
    for text in ["a", "a.*", "c"] {
        indexed += scan_all(&*store, &pattern(text), Direction::Descending, 7).await?.len();
    }
    for frame in &all {
        assert_eq!(store.get(frame.id).await?.as_ref(), Some(frame));
    }
    let topics = store.topics(TopicPage { limit: 9, ..TopicPage::default() }).await?;
    let due = store.expiring(u64::MAX, 100).await?;
    assert_eq!((topics.len(), due.len()), (3, all.len()), "a gap in topics, or in what expires");
    store.close().await?;
    Ok((all, indexed))
}

/// A closed store with frames in it, and its files.
async fn sound(subject: &StoreSubject, sound: &Path) -> Vec<PathBuf> {
    let store = subject.open(sound).await.unwrap();
    for frame in frames() {
        insert(&*store, [frame]).await.unwrap();
    }
    store.close().await.unwrap();
    let persistent = store.capabilities().persistent;
    drop(store);
    assert_eq!(read_all(subject, sound).await.unwrap(), (frames(), 40));
    let files = files_below(sound);
    assert_eq!(!files.is_empty(), persistent, "a persistent store has files, or the suite cannot damage them");
    files
}

/// What was stored comes back, or an error does. Never a panic, never fewer frames in silence,
/// never other ones. Says whether there was an error.
async fn is_seen(subject: &StoreSubject, place: &Path, what: &str) -> bool {
    use ErrorKind::{Corrupt, NotFound, Unsupported};
    match read_all(subject, place).await {
        Ok(found) => {
            assert_eq!(found, (frames(), 40), "{what}: a silent change");
            false
        }
        Err(error) => {
            let kind = error.kind();
            assert!(matches!(kind, Corrupt | NotFound | Unsupported), "{what}: {kind}: {error}");
            true
        }
    }
}

fn copy_anew(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    copy_tree(from, to);
}

/// Whatever byte is damaged.
pub(crate) async fn every_flip_is_seen(subject: &StoreSubject, dir: &Path) {
    let (original, copy) = (dir.join("sound"), dir.join("damaged"));
    let files = sound(subject, &original).await;
    let mut seen = 0;
    for file in &files {
        let bytes = fs::read(original.join(file)).unwrap();
        // Preallocated space behind the data holds nothing to damage.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let step = used.div_ceil(FLIPS_IN_A_FILE).max(1);
        for at in (0..used).step_by(step) {
            copy_anew(&original, &copy);
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(copy.join(file), damaged).unwrap();
            seen += usize::from(is_seen(subject, &copy, &format!("{} at {at}", file.display())).await);
        }
    }
    assert_eq!(seen > 0, !files.is_empty(), "no flip was seen at all");
}

/// Whichever file ends early, or is gone.
pub(crate) async fn every_cut_is_seen(subject: &StoreSubject, dir: &Path) {
    let (original, copy) = (dir.join("sound"), dir.join("damaged"));
    let files = sound(subject, &original).await;
    let mut seen = 0;
    for file in &files {
        let bytes = fs::read(original.join(file)).unwrap();
        let cuts = [None, Some(0), Some(bytes.len() / 3), Some(bytes.len() / 2), bytes.len().checked_sub(1)];
        for cut in cuts {
            copy_anew(&original, &copy);
            match cut {
                None => fs::remove_file(copy.join(file)).unwrap(),
                Some(length) => fs::write(copy.join(file), &bytes[..length]).unwrap(),
            }
            seen += usize::from(is_seen(subject, &copy, &format!("{} cut to {cut:?}", file.display())).await);
        }
    }
    assert_eq!(seen > 0, !files.is_empty(), "no cut was seen at all");
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
