//! Durable appends, beside commits of the same keys to bare fjall.

use std::path::Path;
use std::time::Instant;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use futures::future::join_all;
use xs::kv::codec;
use xs::kv::keys::{self, Tail};
use xs::{EventStream, FrameId, IdSource, RandomIds};

use crate::{Bar, judge, median, new_frame, seconds};

const ROUNDS: usize = 9;
const COMMITS: usize = 400;
const APPENDERS: usize = 64;
const TOPIC: &str = "bench.append";

struct Bare {
    database: Database,
    frames: Keyspace,
    index: Keyspace,
    ids: RandomIds,
    last: FrameId,
    sequence: u64,
}

impl Bare {
    fn open(dir: &Path) -> Self {
        let database = Database::builder(dir).cache_size(16 << 20).worker_threads(2).open().expect("fjall");
        let open = |name| database.keyspace(name, KeyspaceCreateOptions::default).expect("a keyspace");
        let (frames, index) = (open("frames"), open("index"));
        Self { frames, index, database, ids: RandomIds::new(), last: FrameId::MIN, sequence: 0 }
    }

    /// Commits so many frames, with every key that xs writes for them.
    fn commit(&mut self, frames: usize) {
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), frames * 4);
        for n in 0..frames {
            self.last = self.ids.next(1_800_000_000_000 + self.sequence, self.last).expect("an id");
            let frame = new_frame(TOPIC, n).with_id(self.last);
            batch.insert(&self.frames, keys::frame(frame.id), codec::encode(&frame));
            for key in keys::index_entries(&frame) {
                batch.insert(&self.index, key, Vec::new());
            }
        }
        self.sequence += 1;
        let tail = Tail { sequence: self.sequence, last_id: self.last };
        batch.insert(&self.index, keys::TAIL_KEY.to_vec(), tail.encode());
        batch.durability(Some(PersistMode::SyncData)).commit().expect("a commit");
    }
}

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

fn bare(bare: &mut Bare, batch: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..COMMITS {
        bare.commit(batch);
    }
    (COMMITS * batch) as f64 / seconds(start)
}

pub(crate) async fn run() -> xs::Result<()> {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let mut engine = Bare::open(&dir.path().join("bare"));
    let stream = xs::open(dir.path().join("xs")).await?;
    let (mut one_cost, mut many_gain, mut bare_gain) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = [0.0; 4];
    for _ in 0..ROUNDS {
        let bare_one = tokio::task::block_in_place(|| bare(&mut engine, 1));
        let one = appenders(&stream, 1, COMMITS).await?;
        let bare_many = tokio::task::block_in_place(|| bare(&mut engine, APPENDERS));
        let many = appenders(&stream, APPENDERS, COMMITS).await?;
        one_cost.push(bare_one / one);
        many_gain.push(many / one);
        bare_gain.push(bare_many / bare_one);
        last = [bare_one, one, bare_many, many];
    }
    println!(
        "append: last round, frames/s: bare {:.0}, one appender {:.0}, bare batches of 64 {:.0}, 64 appenders {:.0}",
        last[0], last[1], last[2], last[3]
    );
    println!("append: bare batches of 64 reach {:.1} times a bare commit", median(bare_gain));
    judge("append: one appender, in bare commits", median(one_cost), "", Bar::AtMost(1.3));
    judge("append: 64 appenders, in one appender", median(many_gain), "", Bar::AtLeast(12.0));
    stream.close().await
}
