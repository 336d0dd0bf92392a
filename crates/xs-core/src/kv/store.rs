//! The blocking driver: a [`KvEngine`] as a [`Store`].

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;

use super::codec::Decoder;
use super::keys::Tail;
use super::{FORMAT, KvBatch, KvEngine, KvOp, KvSnapshot, Space, codec, keys, plan};
use crate::{
    Batch, Capabilities, Committed, ContentHash, Direction, Durability, Error, ErrorKind, Frame, FrameId, OwnerLock,
    PageBuilder, Result, Scan, ScanPage, Store, TopicPage, TopicTail, blocking,
};

/// A [`Store`] over an ordered key-value engine.
#[derive(Debug)]
pub struct KvStore<E: KvEngine> {
    shared: Arc<Shared<E>>,
    name: String,
    capabilities: Capabilities,
}

#[derive(Debug)]
struct Shared<E> {
    /// Calls hold it for reading; `close` takes the engine out, and so waits for those under way.
    owned: RwLock<Option<Owned<E>>>,
    tail: Mutex<Tail>,
}

/// The lock is released after the engine has gone: fields drop in this order.
#[derive(Debug)]
struct Owned<E> {
    engine: E,
    lock: Option<OwnerLock>,
}

impl<E: KvEngine> KvStore<E> {
    /// Makes a store of an engine that was just opened, and of the lock that makes this process
    /// its owner. Blocks.
    ///
    /// `Unsupported` when its format is newer than [`FORMAT`]; nothing is changed then. `Corrupt`
    /// when commits are missing that the engine knows to have been durable.
    pub fn open(engine: E, lock: Option<OwnerLock>) -> Result<Self> {
        let snapshot = engine.snapshot()?;
        let format = snapshot.get(Space::Index, keys::FORMAT_KEY)?;
        let tail = snapshot.get(Space::Index, keys::TAIL_KEY)?;
        let durable = engine.durable_sequence()?.unwrap_or_default();
        let lost = |ends_at| {
            Error::corrupt(format!(
                "the index ends at commit {ends_at}, but commit {durable} was acknowledged: its log is damaged"
            ))
        };
        let tail = match (format, tail) {
            // Not even the first commit can be read: this is not a store yet to be made.
            (None, None) if durable > 0 => return Err(lost(0)),
            (None, None) => {
                refuse_foreign(&snapshot)?;
                drop(snapshot);
                create(&engine)?;
                Tail::EMPTY
            }
            (Some(format), tail) => {
                check_format(engine.name(), format.as_ref())?;
                let tail = tail.ok_or_else(|| Error::corrupt("the tail record of the index is missing"))?;
                Tail::decode(tail.as_ref())?
            }
            (None, Some(_)) => return Err(Error::corrupt("the format record of the index is missing")),
        };
        if durable > tail.sequence {
            return Err(lost(tail.sequence));
        }
        Ok(Self {
            name: engine.name().to_owned(),
            capabilities: engine.capabilities(),
            shared: Arc::new(Shared { owned: RwLock::new(Some(Owned { engine, lock })), tail: Mutex::new(tail) }),
        })
    }

    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&E, &Mutex<Tail>) -> Result<T> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        blocking::run(move || {
            let owned = shared.owned.read().unwrap_or_else(PoisonError::into_inner);
            match &*owned {
                Some(owned) => work(&owned.engine, &shared.tail),
                None => Err(Error::closed()),
            }
        })
        .await
    }

    async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&E::Snapshot) -> Result<T> + Send + 'static,
    {
        self.run(move |engine, _| work(&engine.snapshot()?)).await
    }
}

/// A format record is the first thing ever written: entries without one are somebody else's.
fn refuse_foreign<S: KvSnapshot>(snapshot: &S) -> Result<()> {
    for space in [Space::Frames, Space::Index] {
        snapshot.range(space, &[], &[0xff; 64], Direction::Ascending, &mut |_, _| {
            Err(Error::corrupt("the index holds entries but no format record"))
        })?;
    }
    Ok(())
}

fn create<E: KvEngine>(engine: &E) -> Result<()> {
    let put = |key: &[u8], value| KvOp::Put { space: Space::Index, key: key.to_vec(), value };
    let ops = vec![put(keys::FORMAT_KEY, FORMAT.to_be_bytes().to_vec()), put(keys::TAIL_KEY, Tail::EMPTY.encode())];
    engine.apply(KvBatch { ops, durability: Durability::Sync, sequence: 0 }).map(drop)
}

/// What a format record says: `Unsupported`, with both versions, when it is of a newer format than
/// [`FORMAT`]. For an engine that changes files when it opens them, and so looks before.
pub fn check_format(engine: &str, bytes: &[u8]) -> Result<()> {
    let format = bytes.try_into().map(u32::from_be_bytes);
    match format.map_err(|_| Error::corrupt("the format record of the index is damaged"))? {
        0 => Err(Error::corrupt("the format record of the index is damaged: there is no format 0")),
        format => refuse_newer(engine, format),
    }
}

pub(super) fn refuse_newer(engine: &str, format: u32) -> Result<()> {
    match format <= FORMAT {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Unsupported,
            format!("the {engine} index has format {format}; this build reads up to {FORMAT}: use a newer xs"),
        )),
    }
}

fn commit<E: KvEngine>(engine: &E, tail: &Mutex<Tail>, batch: &Batch) -> Result<Committed> {
    if batch.is_empty() {
        return Ok(Committed::default());
    }
    // Held to the end: commits have numbers, and so an order.
    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    // Only what is removed or imported has to be looked up first.
    let looks_up = !batch.remove.is_empty() || batch.insert.iter().any(|frame| frame.id <= tail.last_id);
    let snapshot = if looks_up { Some(engine.snapshot()?) } else { None };
    let stored = |key: &[u8]| snapshot.as_ref().map_or(Ok(None), |snapshot| snapshot.get(Space::Frames, key));
    // Only an imported frame can be at or below the greatest id.
    let last_id = batch.check(tail.last_id, |id| Ok(stored(&keys::frame(id))?.is_some()))?;
    let mut ops = Vec::with_capacity(batch.insert.len() * 4 + batch.remove.len() * 4 + 1);
    for id in &batch.remove {
        let key = keys::frame(*id);
        if let Some(record) = stored(&key)? {
            let frame = codec::decode(*id, record.as_ref())?;
            ops.push(KvOp::Delete { space: Space::Frames, key });
            ops.extend(keys::index_entries(&frame).into_iter().map(|key| KvOp::Delete { space: Space::Index, key }));
        }
    }
    for frame in &batch.insert {
        let key = keys::frame(frame.id);
        ops.push(KvOp::Put { space: Space::Frames, key, value: codec::encode(frame) });
        let entries = keys::index_entries(frame).into_iter();
        ops.extend(entries.map(|key| KvOp::Put { space: Space::Index, key, value: Vec::new() }));
    }
    let next = Tail { sequence: tail.sequence + 1, last_id };
    ops.push(KvOp::Put { space: Space::Index, key: keys::TAIL_KEY.to_vec(), value: next.encode() });
    let batch = KvBatch { ops, durability: batch.durability, sequence: next.sequence };
    let committed = engine.apply(batch).map_err(uncertain)?;
    *tail = next;
    Ok(committed)
}

/// Whatever an engine says of a failed write, only reads before it can promise that nothing changed.
fn uncertain(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Closed | ErrorKind::Internal => error,
        _ => Error::new(ErrorKind::Unavailable, error.to_string()).with_source(error),
    }
}

fn fetch<S: KvSnapshot>(snapshot: &S, decoder: &mut Decoder, id: FrameId) -> Result<Frame> {
    match snapshot.get(Space::Frames, &keys::frame(id))? {
        Some(record) => decoder.decode(id, record.as_ref()),
        None => Err(Error::corrupt(format!("frame {id} is in the index, but its record is missing"))),
    }
}

fn scan<S: KvSnapshot>(snapshot: &S, scan: &Scan) -> Result<ScanPage> {
    let mut page = PageBuilder::new(scan);
    let Some(plan) = plan::plan(scan) else { return Ok(page.finish(true)) };
    let mut complete = true;
    let mut decoder = Decoder::default();
    snapshot.range(plan.space, &plan.first, &plan.last, scan.direction, &mut |key, value| {
        let id = keys::id_of(key)?;
        let frame = match plan.space {
            Space::Frames => decoder.decode(id, value)?,
            Space::Index => fetch(snapshot, &mut decoder, id)?,
        };
        match page.push(frame) {
            true => Ok(ControlFlow::Continue(())),
            false => {
                complete = false;
                Ok(ControlFlow::Break(()))
            }
        }
    })?;
    Ok(page.finish(complete))
}

/// The first key from one end of a range.
fn first_key<S: KvSnapshot>(snapshot: &S, first: &[u8], last: &[u8], direction: Direction) -> Result<Option<Vec<u8>>> {
    let mut found = None;
    snapshot.range(Space::Index, first, last, direction, &mut |key, _| {
        found = Some(key.to_vec());
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// Jumps from topic to topic: its cost follows from the topics, not from their frames.
fn topics<S: KvSnapshot>(snapshot: &S, page: &TopicPage) -> Result<Vec<TopicTail>> {
    let mut found = Vec::new();
    let end = keys::topics_end(&page.prefix);
    let mut from = keys::topics_from(&page.prefix);
    if let Some(after) = &page.after {
        from = from.max(keys::topics_after(after));
    }
    // A prefix that no topic can have would be taken for the keys of one.
    let possible = page.prefix.bytes().all(|byte| byte.is_ascii_graphic());
    while possible && found.len() < page.limit && from <= end {
        let Some(key) = first_key(snapshot, &from, &end, Direction::Ascending)? else { break };
        let topic = keys::topic_of(&key)?;
        let (least, greatest) = (keys::topic(&topic, FrameId::MIN), keys::topic(&topic, FrameId::MAX));
        let newest = first_key(snapshot, &least, &greatest, Direction::Descending)?.unwrap_or(key);
        from = keys::topics_after(&topic);
        found.push(TopicTail { last: fetch(snapshot, &mut Decoder::default(), keys::id_of(&newest)?)?, topic });
    }
    Ok(found)
}

fn expiring<S: KvSnapshot>(snapshot: &S, before_ms: u64, limit: usize) -> Result<Vec<(u64, FrameId)>> {
    let mut found = Vec::new();
    let (first, last) = (keys::expiry(0, FrameId::MIN), keys::expiry(before_ms, FrameId::MAX));
    snapshot.range(Space::Index, &first, &last, Direction::Ascending, &mut |key, _| {
        found.push((keys::expiry_of(key)?, keys::id_of(key)?));
        Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}

#[async_trait]
impl<E: KvEngine> Store for KvStore<E> {
    fn name(&self) -> &str {
        &self.name
    }

    fn format(&self) -> u32 {
        FORMAT
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn blocks(&self) -> bool {
        true
    }

    async fn last_id(&self) -> Result<FrameId> {
        Ok(self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner).last_id)
    }

    async fn commit(&self, batch: Batch) -> Result<Committed> {
        self.run(move |engine, tail| commit(engine, tail, &batch)).await
    }

    async fn get(&self, id: FrameId) -> Result<Option<Frame>> {
        self.read(move |snapshot| match snapshot.get(Space::Frames, &keys::frame(id))? {
            Some(record) => codec::decode(id, record.as_ref()).map(Some),
            None => Ok(None),
        })
        .await
    }

    async fn scan(&self, request: Scan) -> Result<ScanPage> {
        self.read(move |snapshot| scan(snapshot, &request)).await
    }

    async fn topics(&self, page: TopicPage) -> Result<Vec<TopicTail>> {
        self.read(move |snapshot| topics(snapshot, &page)).await
    }

    async fn expiring(&self, before_ms: u64, limit: usize) -> Result<Vec<(u64, FrameId)>> {
        self.read(move |snapshot| expiring(snapshot, before_ms, limit)).await
    }

    async fn is_referenced(&self, hash: ContentHash) -> Result<bool> {
        let (first, last) = (keys::content(hash, FrameId::MIN), keys::content(hash, FrameId::MAX));
        self.read(move |snapshot| Ok(first_key(snapshot, &first, &last, Direction::Ascending)?.is_some())).await
    }

    async fn compact(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        blocking::run(move || {
            let mut owned = shared.owned.write().unwrap_or_else(PoisonError::into_inner);
            owned.as_mut().map_or_else(|| Err(Error::closed()), |owned| owned.engine.compact())
        })
        .await
    }

    async fn close(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        blocking::run(move || {
            let taken = shared.owned.write().unwrap_or_else(PoisonError::into_inner).take();
            taken.map_or(Ok(()), |owned| owned.engine.sync())
        })
        .await
    }

    fn closing(&self) {
        if let Some(lock) = self
            .shared
            .owned
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .and_then(|owned| owned.lock.as_ref())
        {
            lock.release_soon();
        }
    }
}
