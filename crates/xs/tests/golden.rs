//! Stores that earlier builds have written, one for each index and format, are opened and read by
//! this one.
//!
//! `XS_MAKE_GOLDEN=1` writes those that are missing, as after a change of a format; those that are
//! there are never written again. Journals of fjall are kept without the zeros that they end with.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]
#![cfg(all(feature = "fjall", feature = "redb", feature = "sqlite", feature = "cas-fs"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt as _;
use xs::{
    ByteRange, ContentHash, Create, EventStream, Filter, Frame, ManualClock, OpenOptions, RandomIds, ReadOptions,
    Settings, TopicPage, Ttl,
};

/// Every index, with every format that it has had.
const GOLDEN: [&str; 3] = ["fjall-1", "redb-1", "sqlite-1"];

/// When these stores were written: a day in 2026.
const WRITTEN_MS: u64 = 1_790_000_000_000;

/// What a journal of fjall is preallocated to.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;

const CONTENT: &str = "content that an earlier build has stored";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn copy_tree(from: &Path, to: &Path, copy: &dyn Fn(&Path, &Path)) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &target, copy),
            false => copy(&entry.path(), &target),
        }
    }
}

fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jnl")
}

async fn open(path: &Path, create: Create, index: &str) -> EventStream {
    let options = OpenOptions::new().create(create).index(index).cas("fs");
    let mut parts = options.open_parts(path).await.unwrap();
    parts.clock = Arc::new(ManualClock::at(WRITTEN_MS));
    parts.ids = Box::new(RandomIds::seeded(1));
    EventStream::open_parts(parts, Settings::default()).await.unwrap()
}

async fn write(path: &Path, index: &str) {
    let stream = open(path, Create::IfMissing, index).await;
    let new = |topic: &str| Frame::topic(topic).unwrap();
    stream.append(new("clip.add").meta_text("{\"z\": 1.50, \"a\": \"é\"}").unwrap(), CONTENT).await.unwrap();
    stream.append(new("clip.add").ttl(Ttl::Time { ms: 1_000_000_000_000 }), ()).await.unwrap();
    for n in 0..5 {
        stream.append(new("clip.kept").meta(n.into()).ttl(Ttl::Last(2.try_into().unwrap())), ()).await.unwrap();
    }
    let gone = stream.append(new("gone.and.removed"), "its content stays").await.unwrap();
    stream.append(new("deep.er.than.that").ttl(Ttl::Forever), ()).await.unwrap();
    stream.remove(gone.id).await.unwrap();
    let frames: Vec<Frame> = stream.read(ReadOptions::default()).try_collect().await.unwrap();
    let lines: String = frames.iter().map(|frame| frame.to_json().unwrap() + "\n").collect();
    stream.close().await.unwrap();
    fs::write(path.join("frames.jsonl"), lines).unwrap();
}

async fn make(name: &str, index: &str) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), index).await;
    copy_tree(dir.path(), &golden(name), &|from, to| {
        let mut bytes = fs::read(from).unwrap();
        if is_journal(from) {
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        }
        if from.extension().is_none_or(|extension| extension != "lock") {
            fs::write(to, bytes).unwrap();
        }
    });
}

#[tokio::test]
async fn what_earlier_builds_have_written_is_read() {
    for name in GOLDEN {
        let index = name.split('-').next().unwrap();
        if std::env::var_os("XS_MAKE_GOLDEN").is_some() && !golden(name).exists() {
            make(name, index).await;
        }
        let dir = tempfile::tempdir().unwrap();
        copy_tree(&golden(name), dir.path(), &|from, to| {
            fs::copy(from, to).unwrap();
            if is_journal(from) {
                fs::File::options().write(true).open(to).unwrap().set_len(JOURNAL_BYTES).unwrap();
            }
        });
        let lines = fs::read_to_string(dir.path().join("frames.jsonl")).unwrap();
        let expected: Vec<Frame> = lines.lines().map(|line| Frame::from_json(line).unwrap()).collect();
        assert_eq!(expected.len(), 5, "{name}");
        let stream = open(dir.path(), Create::Never, index).await;
        let read = async |filter: &str| -> Vec<Frame> {
            let options = ReadOptions::default().filter(filter.parse::<Filter>().unwrap());
            stream.read(options).try_collect().await.unwrap()
        };
        assert_eq!(read("*").await, expected, "{name}");
        for filter in ["clip.*", "clip.add", "clip.kept", "deep.er.*", "gone.*"] {
            let filter_of = filter.parse::<Filter>().unwrap();
            let selected: Vec<_> = expected.iter().filter(|frame| filter_of.matches(&frame.topic)).cloned().collect();
            assert_eq!(read(filter).await, selected, "{name}: {filter}");
        }
        let content = stream.content(expected[0].hash.unwrap(), ByteRange::FULL).await.unwrap();
        assert_eq!(content.bytes().await.unwrap(), CONTENT, "{name}");
        assert_eq!(stream.content_info(ContentHash::of(b"its content stays")).await.unwrap().size, 17, "{name}");
        let topics = stream.topics(TopicPage { limit: 9, ..TopicPage::default() }).await.unwrap();
        assert_eq!(topics.len(), 3, "{name}");
        // It goes on from there: ids increase, and what is kept of a topic still is.
        let kept = Frame::topic("clip.kept").unwrap().ttl(Ttl::Last(2.try_into().unwrap()));
        let next = stream.append(kept, ()).await.unwrap();
        assert!(expected.iter().all(|frame| frame.id < next.id), "{name}");
        assert_eq!(read("clip.kept").await.len(), 2, "{name}");
        stream.close().await.unwrap();
        open(dir.path(), Create::Never, index).await.close().await.unwrap();
    }
}
