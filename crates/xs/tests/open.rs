//! Opening what is there, what is not, and what is something else.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]
#![cfg(all(feature = "fjall", feature = "cas-fs"))]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use xs::memory::{MemoryCasFactory, MemoryStoreFactory};
use xs::{Create, ErrorKind, Frame, OpenOptions, ReadOptions, blocking};

/// What is in a directory, to see that a refusal has changed nothing.
fn tree(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.path().display().to_string();
        match entry.file_type().unwrap().is_dir() {
            true => {
                found.push((name, Vec::new()));
                found.extend(tree(&entry.path()));
            }
            // A lock file names who last held it.
            false if !name.ends_with(".lock") => found.push((name, fs::read(entry.path()).unwrap())),
            false => {}
        }
    }
    found.sort();
    found
}

async fn refused(path: &Path, options: &OpenOptions) -> (ErrorKind, String) {
    let error = options.open(path).await.unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn a_store_reopens_by_its_path_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/in/store");
    let stream = xs::open(&path).await.unwrap();
    let frame = stream.append(Frame::topic("a").unwrap(), "content").await.unwrap();
    assert_eq!(stream.parts(), ("fjall", 1, "fs"));
    drop(stream);
    let stream = OpenOptions::new().create(Create::Never).open(&path).await.unwrap();
    assert_eq!(stream.get(frame.id).await.unwrap(), Some(frame));
    assert!(fs::read_to_string(path.join("xs.toml")).unwrap().contains("index = \"fjall\""));
}

#[tokio::test]
async fn a_file_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "precious").unwrap();
    for path in [path.clone(), path.join("below")] {
        let (kind, message) = refused(&path, &OpenOptions::new()).await;
        assert_eq!(kind, ErrorKind::InvalidInput);
        assert!(message.contains("is a file"), "{message}");
    }
    assert_eq!(fs::read_to_string(path).unwrap(), "precious");
}

#[tokio::test]
async fn a_directory_of_other_things_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "precious").unwrap();
    let before = tree(dir.path());
    let (kind, message) = refused(dir.path(), &OpenOptions::new()).await;
    assert_eq!(kind, ErrorKind::InvalidInput);
    assert!(message.contains("not a store"), "{message}");
    assert_eq!(tree(dir.path()), before);
}

#[tokio::test]
async fn an_empty_directory_becomes_a_store() {
    let dir = tempfile::tempdir().unwrap();
    xs::open(dir.path()).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_place_that_cannot_be_written_is_refused() {
    // Not even root can make a directory there.
    let (kind, message) = refused(Path::new("/sys/kernel/no-store-here"), &OpenOptions::new()).await;
    assert_eq!(kind, ErrorKind::InvalidInput, "{message}");
    assert!(message.contains("/sys/kernel/no-store-here"), "{message}");
}

#[tokio::test]
async fn nothing_is_made_where_nothing_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("missing");
    let (kind, _) = refused(&path, &OpenOptions::new().create(Create::Never)).await;
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_newer_store_is_refused_with_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    xs::open(dir.path()).await.unwrap().close().await.unwrap();
    let manifest = dir.path().join("xs.toml");
    fs::write(&manifest, "format = 7\nparts = { index = 'quantum' }\n").unwrap();
    let before = tree(dir.path());
    let (kind, message) = refused(dir.path(), &OpenOptions::new()).await;
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains('7') && message.contains("up to 1"), "{message}");
    assert_eq!(tree(dir.path()), before);
}

#[tokio::test]
async fn a_damaged_manifest_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    xs::open(dir.path()).await.unwrap().close().await.unwrap();
    for text in [&b""[..], b"format = ", b"format = 1", b"format = 'one'", b"\xff\xfe"] {
        fs::write(dir.path().join("xs.toml"), text).unwrap();
        assert_eq!(refused(dir.path(), &OpenOptions::new()).await.0, ErrorKind::Corrupt);
    }
}

#[tokio::test]
async fn a_part_that_is_gone_does_not_come_back_empty() {
    for part in ["index", "cas"] {
        let dir = tempfile::tempdir().unwrap();
        let stream = xs::open(dir.path()).await.unwrap();
        stream.append(Frame::topic("a").unwrap(), "content").await.unwrap();
        stream.close().await.unwrap();
        fs::remove_dir_all(dir.path().join(part)).unwrap();
        // Twice: the refusal itself has made nothing, and holds no lock.
        for _ in 0..2 {
            let (kind, message) = refused(dir.path(), &OpenOptions::new()).await;
            assert_eq!(kind, ErrorKind::NotFound, "{message}");
            assert!(message.contains(part), "{message}");
        }
    }
}

#[tokio::test]
async fn other_parts_than_it_has_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    xs::open(dir.path()).await.unwrap().close().await.unwrap();
    let mut registry = xs::registry();
    registry.register_store(Arc::new(MemoryStoreFactory::new()));
    let (kind, message) = refused(dir.path(), &OpenOptions::new().registry(registry).index("memory")).await;
    assert_eq!(kind, ErrorKind::InvalidInput);
    assert!(message.contains("fjall") && message.contains("memory"), "{message}");
    let (kind, message) = refused(dir.path(), &OpenOptions::new().cas("s3")).await;
    assert_eq!(kind, ErrorKind::InvalidInput, "{message}");
}

#[tokio::test]
async fn parts_that_this_build_lacks_are_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let (kind, message) = refused(&path, &OpenOptions::new().index("punch-cards")).await;
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("punch-cards") && message.contains("fjall"), "{message}");
    let (kind, message) = refused(&path, &OpenOptions::new().cas("shoebox")).await;
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("shoebox") && message.contains("fs"), "{message}");
    // The way is free for a better choice.
    xs::open(&path).await.unwrap();
}

#[tokio::test]
async fn parts_of_your_own_are_chosen_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut registry = xs::registry();
    registry.register_store(Arc::new(MemoryStoreFactory::new()));
    registry.register_cas(Arc::new(MemoryCasFactory::new()));
    let options = OpenOptions::new().registry(registry);
    let stream = options.clone().index("memory").cas("memory").open(dir.path()).await.unwrap();
    let frame = stream.append(Frame::topic("a").unwrap(), "content").await.unwrap();
    drop(stream);
    let stream = options.open(dir.path()).await.unwrap();
    assert_eq!(stream.get(frame.id).await.unwrap(), Some(frame));
    drop(stream);
    let (kind, message) = refused(dir.path(), &OpenOptions::new()).await;
    assert_eq!(kind, ErrorKind::Unsupported, "{message}");
}

#[tokio::test]
async fn an_interrupted_making_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    xs::open(&path).await.unwrap().close().await.unwrap();
    // As a kill just before the end would have left it.
    fs::rename(path.join("xs.toml"), path.join("xs.toml.new")).unwrap();
    let stream = xs::open(&path).await.unwrap();
    stream.append(Frame::topic("a").unwrap(), ()).await.unwrap();
    assert!(path.join("xs.toml").exists() && !path.join("xs.toml.new").exists());
}

#[tokio::test]
async fn a_second_owner_in_this_process_is_locked_out() {
    let dir = tempfile::tempdir().unwrap();
    let stream = xs::open(dir.path()).await.unwrap();
    for _ in 0..2 {
        let (kind, message) = refused(dir.path(), &OpenOptions::new()).await;
        assert_eq!(kind, ErrorKind::Locked);
        assert!(message.contains("this process"), "{message}");
    }
    stream.append(Frame::topic("a").unwrap(), ()).await.unwrap();
}

#[test]
fn blocking_twins_do_what_they_are_twins_of() {
    let dir = tempfile::tempdir().unwrap();
    let stream = blocking::open(dir.path()).unwrap();
    let topic = || Frame::topic("a.b").unwrap();
    let first = stream.append(topic(), "content").unwrap();
    let more = stream.append_all(vec![topic(), topic()], Default::default()).unwrap();
    assert_eq!(stream.content(first.hash.unwrap()).unwrap(), b"content");
    assert_eq!(stream.last(more[1].topic.clone()).unwrap().as_ref(), Some(&more[1]));
    let read: Vec<_> = stream.read(ReadOptions::default()).collect::<Result<_, _>>().unwrap();
    assert_eq!(read, [vec![first.clone()], more].concat());
    stream.remove(first.id).unwrap();
    assert_eq!(stream.get(first.id).unwrap(), None);
    stream.import(vec![first.clone()]).unwrap();
    assert_eq!(stream.topics(xs::TopicPage { limit: 9, ..Default::default() }).unwrap().len(), 1);
    // A follower on a thread of its own ends when the stream closes.
    let mut live = stream.read(ReadOptions::new_only());
    let follower = std::thread::spawn(move || (live.next().unwrap().unwrap(), live.next().is_none()));
    let appended = stream.append(topic(), ()).unwrap();
    stream.close().unwrap();
    assert_eq!(follower.join().unwrap(), (appended, true));
    assert_eq!(stream.get(first.id).unwrap_err().kind(), ErrorKind::Closed);
    drop(stream);
    // Dropped without a close, it is closed all the same.
    drop(blocking::open(dir.path()).unwrap());
    assert_eq!(blocking::open(dir.path()).unwrap().get(first.id).unwrap(), Some(first));
}

#[tokio::test]
async fn blocking_within_a_runtime_is_refused_not_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    assert_eq!(blocking::open(&path).unwrap_err().kind(), ErrorKind::InvalidInput);
    let stream = std::thread::spawn(move || blocking::open(path).unwrap()).join().unwrap();
    assert_eq!(stream.append(Frame::topic("a").unwrap(), ()).unwrap_err().kind(), ErrorKind::InvalidInput);
    drop(stream);
}

#[test]
fn the_readme_shows_the_example_that_is_compiled() {
    let (readme, example) = (include_str!("../../../README.md"), include_str!("../examples/clipboard.rs"));
    let (_title, code) = example.split_once('\n').unwrap();
    assert!(readme.contains(&format!("```rust\n{code}```")), "the example of the README is another");
}
