//! What xs costs beside the bare engine, and its server beside xs in process, as ratios within one run.
//!
//! `cargo run --release -- append|read|queries|server|content|start|all [index] [frames]`; without a
//! word, all of them, on every index. Each pair of figures is taken in turns, several times, and the
//! median of the ratios is what counts: the machine is not quiet. `start` times the built program,
//! `../target/release/xs` or what `XS_BIN` names. Ends with 1 when a bar is missed.

mod append;
mod bare;
mod content;
mod queries;
mod read;
mod server;
mod start;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use xs::{BatchOptions, Durability, EventStream, Frame, NewFrame};

/// Frames in the large topic, where nothing else is said.
const FRAMES: usize = 1_000_000;

#[tokio::main]
async fn main() -> xs::Result<()> {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_else(|| "all".to_owned());
    // Processes of their own, so that their memory is their own.
    match what.as_str() {
        "read-child" => read::child(Path::new(&args.next().expect("a path"))).await?,
        "server-child" => {
            let (store, socket) = (args.next().expect("a path"), args.next().expect("a path"));
            server::child(Path::new(&store), Path::new(&socket)).await?;
        }
        "content-child" => content::child(&args.next().expect("an endpoint")).await?,
        _ => {}
    }
    let only = args.next();
    let frames = args.next().map_or(FRAMES, |n| n.parse().expect("a number of frames"));
    let wanted = |word| what == word || what == "all";
    for index in bare::INDEXES.into_iter().filter(|index| only.as_deref().is_none_or(|only| only == *index)) {
        if wanted("append") {
            append::run(index).await?;
        }
        if wanted("read") {
            read::run(index, frames).await?;
        }
        if wanted("queries") {
            queries::run(index, frames).await?;
        }
        if wanted("server") {
            server::run(index, frames).await?;
        }
    }
    if wanted("content") && only.is_none() {
        content::run().await?;
    }
    if wanted("start") && only.is_none() {
        tokio::task::block_in_place(start::run);
    }
    if MISSED.load(Ordering::Relaxed) {
        std::process::exit(1);
    }
    Ok(())
}

/// A frame as an application writes it.
fn new_frame(topic: &str, n: usize) -> NewFrame {
    let meta = serde_json::json!({"sequence": n, "source": "bench", "path": "/usr/share/doc/readme"});
    Frame::topic(topic).expect("a topic").meta(meta)
}

/// Appends many frames, as fast as it goes.
async fn fill(stream: &EventStream, topic: &str, frames: usize) -> xs::Result<()> {
    let options = BatchOptions { durability: Some(Durability::Buffered), ..BatchOptions::default() };
    for start in (0..frames).step_by(1000) {
        let batch = (start..frames.min(start + 1000)).map(|n| new_frame(topic, n)).collect();
        stream.append_all(batch, options.clone()).await?;
    }
    Ok(())
}

/// Prints a figure beside its bar, and remembers whether it is past it.
fn judge(what: &str, value: f64, unit: &str, bar: Bar) {
    let (met, text) = match bar {
        Bar::AtMost(bar) => (value <= bar, format!("at most {bar}")),
        Bar::AtLeast(bar) => (value >= bar, format!("at least {bar}")),
    };
    println!("{what}: {value:.2}{unit} ({}, bar: {text})", if met { "met" } else { "MISSED" });
    if !met {
        MISSED.store(true, Ordering::Relaxed);
    }
}

enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

static MISSED: AtomicBool = AtomicBool::new(false);

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}
