//! `last`, and a page after an id, on a topic of a million frames beside one of a thousand.

use std::time::Instant;

use futures::TryStreamExt as _;
use xs::{EventStream, Frame, FrameId, ReadOptions, Topic};

use crate::{fill, median, seconds};

const ROUNDS: usize = 15;
const REPEATS: usize = 200;
const SMALL: usize = 1000;
const PAGE: u64 = 100;

async fn last(stream: &EventStream, topic: &Topic) -> xs::Result<f64> {
    let start = Instant::now();
    for _ in 0..REPEATS {
        assert!(stream.last(topic.clone()).await?.is_some());
    }
    Ok(seconds(start) / REPEATS as f64)
}

async fn page(stream: &EventStream, topic: &Topic, after: &[FrameId]) -> xs::Result<f64> {
    let start = Instant::now();
    for n in 0..REPEATS {
        let options = ReadOptions::default().filter(topic.clone()).after(after[n % after.len()]).limit(PAGE);
        let frames: Vec<Frame> = stream.read(options).try_collect().await?;
        assert_eq!(frames.len() as u64, PAGE);
    }
    Ok(seconds(start) / REPEATS as f64)
}

/// Ids all over a topic, with a page behind each.
async fn places(stream: &EventStream, topic: &Topic, frames: usize) -> xs::Result<Vec<FrameId>> {
    let step = (frames - PAGE as usize - 1) / 16;
    let mut all = stream.read(ReadOptions::default().filter(topic.clone()));
    let (mut found, mut n) = (Vec::new(), 0);
    while let Some(frame) = all.try_next().await? {
        if n % step == 0 && n + 1 + PAGE as usize <= frames {
            found.push(frame.id);
        }
        n += 1;
    }
    Ok(found)
}

pub(crate) async fn run(frames: usize) -> xs::Result<()> {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let stream = xs::open(dir.path().join("xs")).await?;
    let (large, small) = (Topic::parse("bench.large")?, Topic::parse("bench.small")?);
    fill(&stream, large.as_str(), frames / 2).await?;
    fill(&stream, small.as_str(), SMALL).await?;
    fill(&stream, large.as_str(), frames - frames / 2).await?;
    let places = (places(&stream, &large, frames).await?, places(&stream, &small, SMALL).await?);
    let (mut lasts, mut pages, mut costs) = (Vec::new(), Vec::new(), [0.0; 4]);
    for _ in 0..ROUNDS {
        let a = last(&stream, &large).await?;
        let b = last(&stream, &small).await?;
        let c = page(&stream, &large, &places.0).await?;
        let d = page(&stream, &small, &places.1).await?;
        lasts.push(a / b);
        pages.push(c / d);
        costs = [a, b, c, d].map(|cost| cost * 1e6);
    }
    println!(
        "queries: last round, us: last {:.0} and {:.0}, page of {PAGE} {:.0} and {:.0}",
        costs[0], costs[1], costs[2], costs[3]
    );
    println!("queries: last on a topic of {frames} costs {:.2} of one of {SMALL} (bar: at most 2)", median(lasts));
    println!(
        "queries: a page of {PAGE} after an id on a topic of {frames} costs {:.2} of one of {SMALL} (bar: at most 2)",
        median(pages)
    );
    stream.close().await
}
