//! Durable appends beside bare commits of the same engine.

use std::time::Instant;

use futures::future::join_all;
use xs::{EventStream, OpenOptions, blocking};

use crate::bare::{self, Bare, Frames};
use crate::{Bar, judge, median, new_frame, seconds};

const ROUNDS: usize = 9;
const COMMITS: usize = 400;
const APPENDERS: usize = 64;
const TOPIC: &str = "bench.append";

/// Frames a second.
async fn appenders(stream: &EventStream, tasks: usize, frames: usize) -> xs::Result<f64> {
    let start = Instant::now();
    let tasks = (0..tasks).map(|_| {
        let stream = stream.clone();
        tokio::spawn(async move {
            for n in 0..frames {
                stream.append(new_frame(TOPIC, n), ()).await?;
            }
            Ok::<_, xs::Error>(())
        })
    });
    let count = tasks.len() * frames;
    for done in join_all(tasks).await {
        done.expect("a task")?;
    }
    Ok(count as f64 / seconds(start))
}

/// Frames a second of one thread that blocks for each.
fn blocking_appender(stream: &blocking::EventStream) -> f64 {
    let start = Instant::now();
    for n in 0..COMMITS {
        stream.append(new_frame(TOPIC, n), ()).expect("an append");
    }
    COMMITS as f64 / seconds(start)
}

/// Runs what blocks away from the runtime.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    tokio::task::block_in_place(|| std::thread::scope(|scope| scope.spawn(work).join().expect("a thread")))
}

fn commits(engine: &mut dyn Bare, frames: &mut Frames, batch: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..COMMITS {
        frames.commit(engine, batch);
    }
    (COMMITS * batch) as f64 / seconds(start)
}

pub(crate) async fn run(index: &str) -> xs::Result<()> {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let (mut engine, mut frames) = (bare::open(index, &dir.path().join("bare")), Frames::new());
    let stream = OpenOptions::new().index(index).open(dir.path().join("xs")).await?;
    let blocks = aside(|| blocking::open_with(&OpenOptions::new().index(index), dir.path().join("blocking")))?;
    let (mut one_cost, mut blocking_cost, mut many_gain, mut bare_gain) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut last = [0.0; 5];
    for _ in 0..ROUNDS {
        let bare_one = aside(|| commits(&mut *engine, &mut frames, 1));
        let one = appenders(&stream, 1, COMMITS).await?;
        let one_blocking = aside(|| blocking_appender(&blocks));
        let bare_many = aside(|| commits(&mut *engine, &mut frames, APPENDERS));
        let many = appenders(&stream, APPENDERS, COMMITS).await?;
        one_cost.push(bare_one / one);
        blocking_cost.push(bare_one / one_blocking);
        many_gain.push(many / one);
        bare_gain.push(bare_many / bare_one);
        last = [bare_one, one, one_blocking, bare_many, many];
    }
    println!(
        "{index}: append: last round, frames/s: bare {:.0}, one appender {:.0}, one that blocks {:.0}, \
         bare batches of 64 {:.0}, 64 appenders {:.0}",
        last[0], last[1], last[2], last[3], last[4]
    );
    println!("{index}: append: bare batches of 64 reach {:.1} times a bare commit", median(bare_gain));
    let what = format!("{index}: append: one appender that blocks, as a bare commit does, in bare commits");
    judge(&what, median(blocking_cost), "", Bar::AtMost(1.3));
    let what = format!("{index}: append: one appender that awaits, in bare commits");
    judge(&what, median(one_cost), "", Bar::AtMost(1.3));
    judge(&format!("{index}: append: 64 appenders, in one appender"), median(many_gain), "", Bar::AtLeast(12.0));
    aside(move || drop(blocks));
    stream.close().await
}
