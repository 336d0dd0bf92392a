//! `last`, and pages, on a topic of a million frames beside one of a thousand.

use std::time::Instant;

use futures::TryStreamExt as _;
use xs::{EventStream, Filter, Frame, FrameId, OpenOptions, ReadOptions, Topic};

use crate::{Bar, fill, judge, median, seconds};

const ROUNDS: usize = 15;
const REPEATS: usize = 200;
const SMALL: usize = 1000;
const PAGE: u64 = 100;

/// A topic, and the pattern that selects it from above.
struct Side {
    topic: Topic,
    below: Filter,
    /// Ids all over the topic, with a page behind each.
    places: Vec<FrameId>,
}

impl Side {
    async fn new(stream: &EventStream, name: &str, frames: usize) -> xs::Result<Self> {
        let topic = Topic::parse(&format!("{name}.frames"))?;
        let step = (frames - PAGE as usize - 1) / 16;
        let mut all = stream.read(ReadOptions::default().filter(topic.clone()));
        let (mut places, mut n) = (Vec::new(), 0);
        while let Some(frame) = all.try_next().await? {
            if n % step == 0 && n + 1 + PAGE as usize <= frames {
                places.push(frame.id);
            }
            n += 1;
        }
        Ok(Self { topic, below: format!("{name}.*").parse()?, places })
    }

    async fn last(&self, stream: &EventStream) -> xs::Result<f64> {
        let start = Instant::now();
        for _ in 0..REPEATS {
            assert!(stream.last(self.topic.clone()).await?.is_some());
        }
        Ok(seconds(start))
    }

    /// Pages after ids, of the topic by its name or from above.
    async fn pages(&self, stream: &EventStream, filter: Filter) -> xs::Result<f64> {
        let start = Instant::now();
        for n in 0..REPEATS {
            let options = ReadOptions::default().filter(filter.clone()).after(self.places[n % self.places.len()]);
            let frames: Vec<Frame> = stream.read(options.limit(PAGE)).try_collect().await?;
            assert_eq!(frames.len() as u64, PAGE);
        }
        Ok(seconds(start))
    }

    /// The newest page, which is found from the end.
    async fn newest(&self, stream: &EventStream) -> xs::Result<f64> {
        let start = Instant::now();
        for _ in 0..REPEATS {
            let options = ReadOptions::default().filter(self.topic.clone()).last(PAGE);
            let frames: Vec<Frame> = stream.read(options).try_collect().await?;
            assert_eq!(frames.len() as u64, PAGE);
        }
        Ok(seconds(start))
    }
}

pub(crate) async fn run(index: &str, frames: usize) -> xs::Result<()> {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let stream = OpenOptions::new().index(index).open(dir.path().join("xs")).await?;
    fill(&stream, "large.frames", frames / 2).await?;
    fill(&stream, "small.frames", SMALL).await?;
    fill(&stream, "large.frames", frames - frames / 2).await?;
    let (large, small) = (Side::new(&stream, "large", frames).await?, Side::new(&stream, "small", SMALL).await?);
    let (mut last, mut page, mut below, mut newest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        last.push(large.last(&stream).await? / small.last(&stream).await?);
        let of = |side: &Side| Filter::from(side.topic.clone());
        page.push(large.pages(&stream, of(&large)).await? / small.pages(&stream, of(&small)).await?);
        let (a, b) = (large.below.clone(), small.below.clone());
        below.push(large.pages(&stream, a).await? / small.pages(&stream, b).await?);
        newest.push(large.newest(&stream).await? / small.newest(&stream).await?);
    }
    let costs = [
        ("last", last),
        ("a page of 100 after an id", page),
        ("a page of 100 after an id, by a prefix", below),
        ("the newest 100", newest),
    ];
    for (what, ratios) in costs {
        let what = format!("{index}: queries: {what} on a topic of {frames}, in that of one of {SMALL}");
        judge(&what, median(ratios), "", Bar::AtMost(2.0));
    }
    stream.close().await
}
