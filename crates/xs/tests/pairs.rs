//! Every pair that this build has: made by name, reopened by path, refused by another name.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::fs;
use std::path::Path;

use xs::{ByteRange, ErrorKind, Frame, OpenOptions, ReadOptions};

const INDEXES: [(&str, bool); 3] =
    [("fjall", cfg!(feature = "fjall")), ("redb", cfg!(feature = "redb")), ("sqlite", cfg!(feature = "sqlite"))];
const CONTENTS: [(&str, bool); 2] = [("fs", cfg!(feature = "cas-fs")), ("file", cfg!(feature = "cas-object"))];

fn built(parts: &'static [(&'static str, bool)]) -> impl Iterator<Item = &'static str> + Clone {
    parts.iter().filter(|(_, built)| *built).map(|(scheme, _)| *scheme)
}

async fn refused(path: &Path, options: OpenOptions) -> (ErrorKind, String) {
    let error = options.open(path).await.unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn a_pair_is_chosen_by_name_and_reopened_by_path() {
    for index in built(&INDEXES) {
        for cas in built(&CONTENTS) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("store");
            let stream = OpenOptions::new().index(index).cas(cas).open(&path).await.unwrap();
            let frame = stream.append(Frame::topic("a.b").unwrap(), "content").await.unwrap();
            assert_eq!(stream.parts(), (index, 1, cas));
            stream.close().await.unwrap();
            let stream = xs::open(&path).await.unwrap();
            assert_eq!(stream.parts(), (index, 1, cas));
            assert_eq!(stream.get(frame.id).await.unwrap().as_ref(), Some(&frame));
            let content = stream.content(frame.hash.unwrap(), ByteRange::FULL).await.unwrap();
            assert_eq!(content.bytes().await.unwrap(), "content");
            stream.close().await.unwrap();
            // The directory may move: the manifest says nothing of where it is.
            let moved = dir.path().join("moved");
            fs::rename(&path, &moved).unwrap();
            let stream = xs::open(&moved).await.unwrap();
            assert_eq!(stream.last(xs::Filter::all()).await.unwrap(), Some(frame));
            stream.close().await.unwrap();
            for other in built(&INDEXES).filter(|other| *other != index) {
                let (kind, message) = refused(&moved, OpenOptions::new().index(other)).await;
                assert_eq!(kind, ErrorKind::InvalidInput);
                assert!(message.contains(index) && message.contains(other) && message.contains("copy"), "{message}");
            }
        }
    }
}

#[tokio::test]
async fn a_part_that_this_build_lacks_says_what_to_do_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for (index, built) in INDEXES {
        if !built {
            let (kind, message) = refused(&path, OpenOptions::new().index(index)).await;
            assert_eq!(kind, ErrorKind::Unsupported);
            assert!(message.contains(&format!("feature {index}")), "{message}");
        }
    }
    if !cfg!(feature = "cas-object") {
        let (kind, message) = refused(&path, OpenOptions::new().cas("s3://bucket/prefix")).await;
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(message.contains("feature cas-object"), "{message}");
    }
    let (kind, message) = refused(&path, OpenOptions::new().index("rebd")).await;
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("rebd") && message.contains("it has:"), "{message}");
    assert!(!path.exists());
}

#[tokio::test]
async fn settings_of_a_part_that_has_none_are_refused_and_make_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for index in built(&INDEXES) {
        for text in [format!("{index}:?cache=1"), format!("{index}://elsewhere")] {
            let (kind, message) = refused(&path, OpenOptions::new().index(text)).await;
            assert_eq!(kind, ErrorKind::InvalidInput, "{message}");
        }
    }
    assert!(!path.exists());
}

#[cfg(feature = "cas-object")]
#[tokio::test]
async fn what_is_wrong_in_a_url_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for (url, names) in [
        ("s3://", "bucket"),
        ("s3://bucket/../x", "prefix"),
        ("s3://bucket?regoin=x", "regoin"),
        ("s3://bucket?endpoint=localhost", "endpoint"),
        ("s3://bucket?secret_access_key=hunter2", "environment"),
        ("s3://key:hunter2@bucket", "environment"),
        ("file:relative", "absolute"),
    ] {
        let (kind, message) = refused(&path, OpenOptions::new().cas(url)).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{url}: {message}");
        assert!(message.contains(names) && !message.contains("hunter2"), "{url}: {message}");
        assert!(!path.exists(), "{url}");
    }
}

#[cfg(feature = "cas-object")]
#[tokio::test]
async fn settings_are_written_into_the_store_and_count_when_it_is_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let (path, folder) = (dir.path().join("store"), dir.path().join("shared"));
    let url = format!("file:{}?spool_bytes_max=20", folder.display());
    let stream = OpenOptions::new().cas(&url).open(&path).await.unwrap();
    stream.append(Frame::topic("a").unwrap(), "small enough").await.unwrap();
    stream.close().await.unwrap();
    let manifest = fs::read_to_string(path.join("xs.toml")).unwrap();
    assert!(manifest.contains("[cas-settings]") && manifest.contains("spool_bytes_max = \"20\""), "{manifest}");
    let large = "too large for what the store says".to_owned();
    let stream = xs::open(&path).await.unwrap();
    let error = stream.append(Frame::topic("a").unwrap(), large.clone()).await.unwrap_err();
    assert!(error.to_string().contains("spool_bytes_max"), "{error}");
    stream.close().await.unwrap();
    // For this time only.
    let larger = OpenOptions::new().cas(format!("file:{}?spool_bytes_max=100", folder.display()));
    let stream = larger.open(&path).await.unwrap();
    stream.append(Frame::topic("a").unwrap(), large).await.unwrap();
    assert_eq!(
        futures::TryStreamExt::try_collect::<Vec<_>>(stream.read(ReadOptions::default())).await.unwrap().len(),
        2
    );
    stream.close().await.unwrap();
    assert_eq!(fs::read_to_string(path.join("xs.toml")).unwrap(), manifest);
}
