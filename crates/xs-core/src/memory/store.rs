//! A [`Store`] in memory.
//!
//! One map for each pattern that anybody can scan, from id to frame. A frame is in the map of
//! [`Pattern::All`], in that of its topic, and in that of each name that its topic lies below.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;

use super::place::{Owned, Places};
use crate::{
    Batch, Capabilities, Committed, ContentHash, Create, Direction, Frame, FrameId, Location, PageBuilder, Pattern,
    Result, Scan, ScanPage, Store, StoreFactory, Topic, TopicPage, TopicTail,
};

#[derive(Debug, Default)]
struct Data {
    frames: BTreeMap<Pattern, BTreeMap<FrameId, Arc<Frame>>>,
    last_id: Option<FrameId>,
}

fn patterns(topic: &Topic) -> Vec<Pattern> {
    let ancestors = topic.ancestors().filter_map(|name| Topic::parse(name).ok()).map(Pattern::Below);
    [Pattern::All, Pattern::Exact(topic.clone())].into_iter().chain(ancestors).collect()
}

impl Data {
    fn all(&self) -> impl Iterator<Item = &Arc<Frame>> {
        self.frames.get(&Pattern::All).into_iter().flat_map(BTreeMap::values)
    }

    fn get(&self, id: FrameId) -> Option<&Arc<Frame>> {
        self.frames.get(&Pattern::All)?.get(&id)
    }

    fn insert(&mut self, frame: Arc<Frame>) {
        self.last_id = self.last_id.max(Some(frame.id));
        for pattern in patterns(&frame.topic) {
            self.frames.entry(pattern).or_default().insert(frame.id, Arc::clone(&frame));
        }
    }

    fn remove(&mut self, id: FrameId) {
        let Some(frame) = self.get(id).cloned() else { return };
        for pattern in patterns(&frame.topic) {
            if let Some(frames) = self.frames.get_mut(&pattern) {
                frames.remove(&id);
                if frames.is_empty() {
                    self.frames.remove(&pattern);
                }
            }
        }
    }
}

/// The reference [`Store`].
///
/// ```
/// use std::sync::Arc;
/// use xs_core::{Batch, Frame, FrameId, Pattern, Scan, Store, memory::MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> xs_core::Result<()> {
/// let store = MemoryStore::new();
/// let frame = Frame::topic("a.b")?.with_id(FrameId::from_u128(1));
/// store.commit(Batch { insert: vec![Arc::new(frame.clone())], ..Batch::default() }).await?;
/// let page = store.scan(Scan::new("a.*".parse::<Pattern>()?, 10)).await?;
/// assert_eq!(page.frames, [frame]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore(Owned<Data>);

impl MemoryStore {
    /// An empty store that nobody else can open.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn name(&self) -> &str {
        "memory"
    }

    fn format(&self) -> u32 {
        1
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().exclusive(true)
    }

    fn blocks(&self) -> bool {
        true
    }

    async fn last_id(&self) -> Result<FrameId> {
        Ok(self.0.data()?.last_id.unwrap_or(FrameId::MIN))
    }

    async fn commit(&self, batch: Batch) -> Result<Committed> {
        let mut data = self.0.data()?;
        // Everything that can be wrong is found before anything is changed.
        batch.check(data.last_id.unwrap_or(FrameId::MIN), |id| Ok(data.get(id).is_some()))?;
        batch.remove.into_iter().for_each(|id| data.remove(id));
        batch.insert.into_iter().for_each(|frame| data.insert(frame));
        Ok(Committed::default())
    }

    async fn get(&self, id: FrameId) -> Result<Option<Frame>> {
        Ok(self.0.data()?.get(id).map(|frame| Frame::clone(frame)))
    }

    async fn scan(&self, scan: Scan) -> Result<ScanPage> {
        let data = self.0.data()?;
        let mut page = PageBuilder::new(&scan);
        let (Some(frames), Some((least, greatest))) = (data.frames.get(&scan.pattern), scan.range.inclusive()) else {
            return Ok(page.finish(true));
        };
        let mut frames = frames.range(least..=greatest);
        while let Some((_, frame)) = match scan.direction {
            Direction::Ascending => frames.next(),
            Direction::Descending => frames.next_back(),
        } {
            if !page.push(Frame::clone(frame)) {
                return Ok(page.finish(false));
            }
        }
        Ok(page.finish(true))
    }

    async fn topics(&self, page: TopicPage) -> Result<Vec<TopicTail>> {
        let data = self.0.data()?;
        let from = match page.after {
            Some(topic) => Bound::Excluded(Pattern::Exact(topic)),
            None => Bound::Excluded(Pattern::All),
        };
        let named = data.frames.range((from, Bound::Unbounded)).filter_map(|(pattern, frames)| match pattern {
            Pattern::Exact(topic) if topic.as_str().starts_with(&page.prefix) => Some((topic, frames)),
            _ => None,
        });
        let tails = named.filter_map(|(topic, frames)| {
            let (_, last) = frames.last_key_value()?;
            Some(TopicTail { topic: topic.clone(), last: Frame::clone(last) })
        });
        Ok(tails.take(page.limit).collect())
    }

    async fn expiring(&self, before_ms: u64, limit: usize) -> Result<Vec<(u64, FrameId)>> {
        let data = self.0.data()?;
        let mut due: Vec<_> = data
            .all()
            .filter_map(|frame| Some((frame.expires_at_ms()?, frame.id)))
            .filter(|(at_ms, _)| *at_ms <= before_ms)
            .collect();
        due.sort_unstable();
        due.truncate(limit);
        Ok(due)
    }

    async fn is_referenced(&self, hash: ContentHash) -> Result<bool> {
        Ok(self.0.data()?.all().any(|frame| frame.hash == Some(hash)))
    }

    async fn close(&self) -> Result<()> {
        self.0.close();
        Ok(())
    }

    fn closing(&self) {
        self.0.closing();
    }
}

/// Opens [`MemoryStore`]s by name. What is at a place stays there as long as the factory lives, so
/// that it can be opened again.
#[derive(Debug, Default)]
pub struct MemoryStoreFactory(Places<Data>);

impl MemoryStoreFactory {
    /// A factory with nothing at any place.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl StoreFactory for MemoryStoreFactory {
    fn scheme(&self) -> &str {
        "memory"
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(MemoryStore(self.0.open(location, create).await?)))
    }
}
