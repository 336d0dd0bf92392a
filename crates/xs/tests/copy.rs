//! Moving a store between pairs.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]
#![cfg(all(feature = "fjall", feature = "redb", feature = "sqlite", feature = "cas-fs", feature = "cas-object"))]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::TryStreamExt as _;
use xs::{
    BatchOptions, ByteRange, Create, ErrorKind, EventStream, Frame, FrameId, OpenOptions, ReadOptions, Ttl, copy,
};

/// A store with frames of every kind, content large and small, content that no frame refers to, and
/// a last id whose frame was removed.
async fn fill(path: &Path) -> FrameId {
    let stream = xs::open(path).await.unwrap();
    for n in 0..30u32 {
        let frame = Frame::topic(["a", "a.b", "c.d.e"][n as usize % 3]).unwrap().meta(serde_json::json!({"n": n}));
        let frame = if n % 4 == 0 { frame.ttl(Ttl::Last(100.try_into().unwrap())) } else { frame };
        let content = vec![b'x'; n as usize * 40_000];
        stream.append(frame, content).await.unwrap();
    }
    let many = (0..5000).map(|n| Frame::topic("many").unwrap().meta(n.into())).collect();
    stream.append_all(many, BatchOptions::default()).await.unwrap();
    stream.put("nobody refers to this").await.unwrap();
    let last = stream.append(Frame::topic("gone").unwrap(), ()).await.unwrap();
    stream.remove(last.id).await.unwrap();
    stream.close().await.unwrap();
    last.id
}

async fn frames(stream: &EventStream) -> Vec<Frame> {
    stream.read(ReadOptions::default()).try_collect().await.unwrap()
}

/// The same frames, the same content, and later ids.
async fn same(from: &Path, to: &Path, last_id: FrameId) {
    let (one, two) = (xs::open(from).await.unwrap(), xs::open(to).await.unwrap());
    let all = frames(&one).await;
    assert_eq!(frames(&two).await, all);
    for frame in &all {
        if let Some(hash) = frame.hash {
            let of = async |stream: &EventStream| {
                stream.content(hash, ByteRange::FULL).await.unwrap().bytes().await.unwrap()
            };
            assert_eq!(of(&two).await, of(&one).await);
        }
    }
    let lonely = xs::ContentHash::of(b"nobody refers to this");
    assert_eq!(two.content_info(lonely).await.unwrap().size, 21);
    assert!(two.append(Frame::topic("new").unwrap(), ()).await.unwrap().id > last_id);
    one.close().await.unwrap();
    two.close().await.unwrap();
}

#[tokio::test]
async fn a_store_is_copied_from_pair_to_pair() {
    let dir = tempfile::tempdir().unwrap();
    let mut from = dir.path().join("fjall");
    let last_id = fill(&from).await;
    for (index, cas) in [("redb", "file"), ("sqlite", "fs"), ("fjall", "file"), ("sqlite", "file")] {
        let to = dir.path().join(format!("{index}+{cas}"));
        let mut told = Vec::new();
        let options = OpenOptions::new().index(index).cas(cas);
        let copied = copy(&from, &to, &options, |progress| told.push(progress)).await.unwrap();
        assert_eq!((copied.frames, copied.contents, copied.permille), (5030, 30, 1000));
        assert!(told.is_sorted_by_key(|progress| (progress.permille, progress.frames, progress.contents)), "{told:?}");
        assert!(!to.join("xs-copy.toml").exists());
        same(&from, &to, last_id).await;
        // What was appended to the copy goes on to the next one.
        let stream = OpenOptions::new().create(Create::Never).open(&to).await.unwrap();
        assert_eq!((stream.parts().0, stream.parts().2), (index, cas));
        let newest = stream.last(xs::Filter::all()).await.unwrap().unwrap();
        stream.remove(newest.id).await.unwrap();
        stream.close().await.unwrap();
        from = to;
    }
}

/// A file of content in a directory.
fn some_content(cas: &Path) -> Option<std::path::PathBuf> {
    let shards = fs::read_dir(cas).ok()?.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut files = shards.flat_map(|shard| fs::read_dir(shard).unwrap().map(|entry| entry.unwrap().path()));
    files.find(|file| file.file_name().unwrap().len() == 62)
}

#[tokio::test]
async fn a_copy_that_was_cut_short_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let last_id = fill(&from).await;
    let options = OpenOptions::new().index("sqlite");
    // Cut short ever later: in content, between content and frames, in frames.
    for steps in [1, 8, 20, 33, 34, 35] {
        let told = AtomicU64::new(0);
        let copying = copy(&from, &to, &options, |_| {
            told.fetch_add(1, Ordering::SeqCst);
        });
        let mut copying = Box::pin(copying);
        let ended = std::future::poll_fn(|cx| match told.load(Ordering::SeqCst) >= steps {
            true => std::task::Poll::Ready(false),
            false => copying.as_mut().poll(cx).map(|result| result.is_ok()),
        })
        .await;
        drop(copying);
        if ended {
            same(&from, &to, last_id).await;
            fs::remove_dir_all(&to).unwrap();
            continue;
        }
        // It is no store, and nothing else may be made of it.
        for other in [OpenOptions::new(), OpenOptions::new().create(Create::Never)] {
            let error = other.open(&to).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains("beginning of a copy"), "{error}");
        }
        let error = copy(&from, &to, &OpenOptions::new().index("redb"), |_| {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        // What was damaged meanwhile is copied again.
        if let Some(content) = some_content(&to.join("cas")) {
            let length = fs::metadata(&content).unwrap().len();
            fs::write(content, vec![b'?'; usize::try_from(length).unwrap()]).unwrap();
        }
        // What was removed and added meanwhile is so in the copy too.
        let stream = xs::open(&from).await.unwrap();
        let all = frames(&stream).await;
        stream.remove(all[all.len() / 3].id).await.unwrap();
        stream.append(Frame::topic("added").unwrap(), format!("after {steps}")).await.unwrap();
        stream.close().await.unwrap();
    }
    copy(&from, &to, &options, |_| {}).await.unwrap();
    same(&from, &to, last_id).await;
}

#[tokio::test]
async fn what_is_there_is_not_copied_over() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fill(&from).await;
    let refused = async |from: &Path, to: &Path, kind: ErrorKind, words: &str| {
        let error = copy(from, to, &OpenOptions::new(), |_| {}).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(&from, &from, ErrorKind::InvalidInput, "both ends").await;
    refused(&dir.path().join("missing"), &to, ErrorKind::NotFound, "missing").await;
    assert!(!to.exists());
    fs::create_dir(&to).unwrap();
    fs::write(to.join("thesis.tex"), "precious").unwrap();
    refused(&from, &to, ErrorKind::InvalidInput, "not a store").await;
    fs::remove_file(to.join("thesis.tex")).unwrap();
    copy(&from, &to, &OpenOptions::new(), |_| {}).await.unwrap();
    refused(&from, &to, ErrorKind::InvalidInput, "a store already").await;
    let open = xs::open(&from).await.unwrap();
    refused(&from, &dir.path().join("other"), ErrorKind::Locked, "held by").await;
    open.close().await.unwrap();
    // Damaged content is not handed on.
    let hash = xs::ContentHash::of(b"nobody refers to this").to_hex();
    fs::write(from.join("cas").join(&hash[..2]).join(&hash[2..]), "nobody refers to that").unwrap();
    refused(&from, &dir.path().join("other"), ErrorKind::Corrupt, "damaged").await;
}
