//! Appends by those who block: they drive the sequencer themselves where nobody else does.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use futures::TryStreamExt as _;
use tokio::runtime::{Builder, Runtime};
use xs_core::memory::{MemoryCas, MemoryStore};
use xs_core::{
    AppendOptions, ErrorKind, EventStream, Expect, Filter, Frame, FrameId, IdSource, Parts, RandomIds, ReadOptions,
    Result, Settings, Topic, Ttl, blocking,
};

/// Ids, and the threads on which they were given out; or a panic, when that is asked for.
#[derive(Debug)]
struct Watched {
    ids: RandomIds,
    threads: Arc<Mutex<Vec<ThreadId>>>,
    panics: Arc<AtomicBool>,
}

impl IdSource for Watched {
    fn next(&mut self, now_ms: u64, after: FrameId) -> Result<FrameId> {
        assert!(!self.panics.load(Ordering::Relaxed), "boom");
        self.threads.lock().unwrap().push(std::thread::current().id());
        self.ids.next(now_ms, after)
    }
}

struct Fixture {
    runtime: Runtime,
    stream: EventStream,
    threads: Arc<Mutex<Vec<ThreadId>>>,
    panics: Arc<AtomicBool>,
}

impl Fixture {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (threads, panics) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let ids = Watched { ids: RandomIds::new(), threads: Arc::clone(&threads), panics: Arc::clone(&panics) };
        let parts = Parts::new(Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
        let parts = Parts { ids: Box::new(ids), ..parts };
        let stream = runtime.block_on(EventStream::open_parts(parts, Settings::default())).unwrap();
        Self { runtime, stream, threads, panics }
    }

    fn here<T>(&self, call: impl Future<Output = T>) -> T {
        blocking::block_on(&self.runtime, call)
    }
}

fn frame(topic: &str) -> xs_core::NewFrame {
    Frame::topic(topic).unwrap()
}

#[test]
fn who_blocks_and_is_alone_commits_by_itself() {
    let fixture = Fixture::new();
    let Fixture { runtime, stream, threads, .. } = &fixture;
    let one = fixture.here(stream.append(frame("a"), "content")).unwrap();
    let other = runtime.block_on(stream.append(frame("a"), "content")).unwrap();
    let third = fixture.here(stream.append(frame("a"), ())).unwrap();
    assert!(one.id < other.id && other.id < third.id && one.hash == other.hash);
    let threads = threads.lock().unwrap();
    let here = std::thread::current().id();
    assert_eq!(threads.first(), Some(&here));
    assert_ne!(threads.get(1), Some(&here));
    assert_eq!(stream.stats().groups.count, 3);
}

#[test]
fn a_sequencer_that_was_left_in_the_middle_takes_no_more() {
    let fixture = Fixture::new();
    let Fixture { runtime, stream, panics, .. } = &fixture;
    fixture.here(stream.append(frame("a"), ())).unwrap();
    panics.store(true, Ordering::Relaxed);
    assert!(catch_unwind(AssertUnwindSafe(|| fixture.here(stream.append(frame("a"), ())))).is_err());
    panics.store(false, Ordering::Relaxed);
    assert_eq!(stream.health().unwrap_err().kind(), ErrorKind::Unavailable);
    let kind = |result: Result<Frame>| result.unwrap_err().kind();
    assert_eq!(kind(fixture.here(stream.append(frame("a"), ()))), ErrorKind::Closed);
    assert_eq!(kind(runtime.block_on(stream.append(frame("a"), ()))), ErrorKind::Closed);
    // It has closed, as far as that goes, and can be opened again.
    runtime.block_on(stream.close()).unwrap();
}

#[test]
fn who_blocks_and_who_does_not_share_one_order() {
    const EACH: usize = 100;
    let fixture = Arc::new(Fixture::new());
    let topic = Topic::parse("one.winner").unwrap();
    let work = |name: String| {
        let (stream, topic) = (fixture.stream.clone(), topic.clone());
        async move {
            let mut ids = Vec::new();
            for _ in 0..EACH {
                ids.push(stream.append(frame(&name), ()).await.unwrap().id);
                stream.append(frame("newest").ttl("last:3".parse::<Ttl>().unwrap()), ()).await.unwrap();
                let newest: Vec<_> = stream
                    .read(ReadOptions::default().filter("newest".parse::<Filter>().unwrap()))
                    .try_collect()
                    .await
                    .unwrap();
                assert!(newest.len() <= 3, "{} frames", newest.len());
            }
            let options = AppendOptions::expect(Expect::Empty);
            (ids, stream.append_with(frame(topic.as_str()), (), options).await.is_ok())
        }
    };
    let tasks: Vec<_> = (0..4).map(|n| fixture.runtime.spawn(work(format!("task.{n}")))).collect();
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let (fixture, work) = (Arc::clone(&fixture), work(format!("thread.{n}")));
            std::thread::spawn(move || fixture.here(work))
        })
        .collect();
    let mut done: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    done.extend(tasks.into_iter().map(|task| fixture.runtime.block_on(task).unwrap()));
    assert_eq!(done.iter().filter(|(_, won)| *won).count(), 1);
    let all = ReadOptions::default().filter("task.*,thread.*".parse::<Filter>().unwrap());
    let frames: Vec<_> = fixture.runtime.block_on(fixture.stream.read(all).try_collect()).unwrap();
    assert!(frames.iter().map(|frame| frame.id).is_sorted_by(|one, next| one < next));
    let mut ids: Vec<_> = done.into_iter().flat_map(|(ids, _)| ids).collect();
    assert_eq!(ids.len(), 8 * EACH);
    ids.sort();
    assert_eq!(frames.iter().map(|frame| frame.id).collect::<Vec<_>>(), ids);
}
