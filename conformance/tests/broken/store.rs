//! Indexes that do one thing wrong, over sound ones.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use xs_core::{
    Batch, Capabilities, Committed, ContentHash, Direction, Durability, Error, ErrorKind, Frame, FrameId, IdRange,
    Meta, PageBuilder, Pattern, Result, Scan, ScanPage, Store, Topic, TopicPage, TopicTail, Ttl,
};

use crate::flaw::StoreFlaw;
use crate::open::Notes;

/// How long [`StoreFlaw::ClosesUnannounced`] takes: longer than the next owner takes to come.
const CLOSING: Duration = Duration::from_millis(100);

/// What [`StoreFlaw::MakesUpASync`] tells: longer than any case runs.
const MADE_UP: Duration = Duration::from_secs(24 * 60 * 60);

/// The id of the newest stored frame.
pub(crate) async fn newest(store: &dyn Store) -> Result<Option<FrameId>> {
    let scan = Scan { direction: Direction::Descending, ..Scan::new(Pattern::All, 1) };
    Ok(store.scan(scan).await?.frames.first().map(|frame| frame.id))
}

#[derive(Debug)]
pub(crate) struct FlawedStore {
    inner: Arc<dyn Store>,
    flaw: StoreFlaw,
    notes: Arc<Mutex<Notes>>,
    /// Closed, though `inner` is not.
    closed: AtomicBool,
}

impl FlawedStore {
    pub(crate) fn new(inner: Arc<dyn Store>, flaw: StoreFlaw, notes: Arc<Mutex<Notes>>) -> Self {
        Self { inner, flaw, notes, closed: AtomicBool::new(false) }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }

    fn check_open(&self) -> Result<()> {
        match self.closed.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Closed, "the index is closed")),
            false => Ok(()),
        }
    }

    async fn store_all(&self, batches: Vec<Batch>) -> Result<Committed> {
        for batch in batches {
            self.inner.commit(batch).await?;
        }
        Ok(Committed::default())
    }

    /// The batch without its last frame, after the last frame of the one before.
    fn hold_back(&self, batch: Batch) -> Batch {
        let mut notes = self.notes();
        let held = std::mem::take(&mut notes.unstored).into_iter().flat_map(|batch| batch.insert);
        let mut insert: Vec<_> = held.chain(batch.insert).collect();
        notes.unstored.extend(insert.pop().map(|last| Batch { insert: vec![last], ..Batch::default() }));
        Batch { insert, ..batch }
    }

    /// Commits, and notes what was there of the frames to remove.
    async fn commit_and_note(&self, batch: Batch) -> Result<Committed> {
        let mut removed = Vec::new();
        for id in &batch.remove {
            removed.extend(self.inner.get(*id).await?);
        }
        let committed = self.inner.commit(batch).await?;
        self.notes().removed.extend(removed);
        Ok(committed)
    }

    /// The page of the frames of every topic that `selects`.
    async fn select(&self, scan: Scan, selects: impl Fn(&Topic) -> bool + Send) -> Result<ScanPage> {
        let mut page = PageBuilder::new(&scan);
        let whole = Scan { pattern: Pattern::All, limit: usize::MAX, bytes_max: usize::MAX, ..scan };
        for frame in self.inner.scan(whole).await?.frames {
            if selects(&frame.topic) && !page.push(frame) {
                return Ok(page.finish(false));
            }
        }
        Ok(page.finish(true))
    }

    /// The page after as many frames as the pages before have given.
    async fn scan_by_position(&self, scan: Scan) -> Result<ScanPage> {
        let mut page = PageBuilder::new(&scan);
        let from = match scan.direction {
            Direction::Ascending => scan.range.start,
            Direction::Descending => scan.range.end,
        };
        let whole = Scan { range: IdRange::ALL, limit: usize::MAX, bytes_max: usize::MAX, ..scan };
        let frames = self.inner.scan(whole).await?.frames;
        let mut notes = self.notes();
        if from == Bound::Unbounded {
            notes.given = 0;
        }
        for frame in frames.into_iter().skip(notes.given) {
            notes.given += 1;
            if !page.push(frame) {
                return Ok(page.finish(false));
            }
        }
        Ok(page.finish(true))
    }

    /// The last page of a scan with the removed frames that the scan selects.
    async fn scan_with_removed(&self, scan: Scan) -> Result<ScanPage> {
        let mut page = self.inner.scan(scan.clone()).await?;
        if page.complete {
            let notes = self.notes();
            let selected = |frame: &&Frame| scan.pattern.matches(&frame.topic) && scan.range.contains(frame.id);
            page.frames.extend(notes.removed.iter().filter(selected).cloned());
        }
        Ok(page)
    }
}

/// The frame as it is stored instead.
fn altered(flaw: StoreFlaw, frame: Arc<Frame>) -> Arc<Frame> {
    let mut frame = Arc::unwrap_or_clone(frame);
    if flaw == StoreFlaw::SpellsOutTheTtl {
        frame.ttl = Some(frame.ttl.unwrap_or(Ttl::Forever));
    } else if let Some(Ok(value)) = frame.meta.as_ref().map(Meta::to_value) {
        frame.meta = Meta::parse(&value.to_string()).unwrap();
    }
    Arc::new(frame)
}

fn included(bound: Bound<FrameId>) -> Bound<FrameId> {
    match bound {
        Bound::Excluded(id) => Bound::Included(id),
        bound => bound,
    }
}

#[async_trait]
impl Store for FlawedStore {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn format(&self) -> u32 {
        self.inner.format()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn last_id(&self) -> Result<FrameId> {
        self.check_open()?;
        match self.flaw {
            StoreFlaw::ForgetsTheLastIdOfTheRemoved => Ok(newest(&*self.inner).await?.unwrap_or(FrameId::MIN)),
            _ => self.inner.last_id().await,
        }
    }

    async fn commit(&self, mut batch: Batch) -> Result<Committed> {
        self.check_open()?;
        let durability = batch.durability;
        match self.flaw {
            StoreFlaw::CommitsFrameByFrame => {
                let remove = std::mem::take(&mut batch.remove);
                self.inner.commit(Batch { remove, durability, ..Batch::default() }).await?;
                for frame in batch.insert {
                    self.inner.commit(Batch { insert: vec![frame], durability, ..Batch::default() }).await?;
                }
                return Ok(Committed::default());
            }
            StoreFlaw::HoldsBackTheLastFrame => batch = self.hold_back(batch),
            StoreFlaw::KeepsOnlyTheFirstFrame => batch.insert.truncate(1),
            StoreFlaw::OverwritesUnderATakenId => {
                let remove = batch.insert.iter().map(|frame| frame.id).collect();
                self.inner.commit(Batch { remove, durability, ..Batch::default() }).await?;
            }
            StoreFlaw::StoresWithTheNextCommit => {
                let before = std::mem::replace(&mut self.notes().unstored, vec![batch]);
                return self.store_all(before).await;
            }
            StoreFlaw::KeepsBufferedInMemory if durability == Durability::Buffered => {
                self.notes().unstored.push(batch);
                return Ok(Committed::default());
            }
            StoreFlaw::SyncsNothing => batch.durability = Durability::Buffered,
            StoreFlaw::SyncsForEachFrame => {
                let frames = batch.insert.len();
                let durability = batch.durability;
                self.inner.commit(batch).await?;
                // Removing what is not there changes no frame, and is synced all the same.
                let again = Batch { remove: vec![FrameId::MAX], durability, ..Batch::default() };
                return self.store_all(vec![again; frames.saturating_sub(1)]).await;
            }
            StoreFlaw::ShowsAFailedCommit => {
                let frames = batch.insert.clone();
                let result = self.inner.commit(batch).await;
                self.notes().failed = if result.is_err() { frames } else { Vec::new() };
                return result;
            }
            StoreFlaw::KeepsMetaAsAValue | StoreFlaw::SpellsOutTheTtl => {
                batch.insert = batch.insert.into_iter().map(|frame| altered(self.flaw, frame)).collect();
            }
            StoreFlaw::IgnoresRemovalsBesideInserts if !batch.insert.is_empty() => batch.remove.clear(),
            StoreFlaw::RefusesToRemoveWhatIsMissing => {
                for id in &batch.remove {
                    if self.inner.get(*id).await?.is_none() {
                        return Err(Error::new(ErrorKind::NotFound, format!("no frame has the id {id}")));
                    }
                }
            }
            StoreFlaw::KeepsTheRecord
            | StoreFlaw::KeepsTheTopicEntry
            | StoreFlaw::KeepsTheAncestorEntry
            | StoreFlaw::KeepsTheExpiryEntry
            | StoreFlaw::KeepsTheContentEntry
            | StoreFlaw::BringsTheRemovedBack => return self.commit_and_note(batch).await,
            _ => {}
        }
        match (self.flaw, self.inner.commit(batch).await) {
            (StoreFlaw::AcknowledgesAFailedSync, Err(error)) if error.kind() == ErrorKind::Unavailable => {
                Ok(Committed::default())
            }
            (StoreFlaw::MakesUpASync, Ok(committed)) => Ok(committed.sync(Some(MADE_UP))),
            (StoreFlaw::ReportsARefusalAsAFailure, Err(error)) if error.kind() == ErrorKind::Conflict => {
                Err(Error::new(ErrorKind::Unavailable, error.to_string()))
            }
            (_, result) => result,
        }
    }

    async fn get(&self, id: FrameId) -> Result<Option<Frame>> {
        self.check_open()?;
        let mut found = self.inner.get(id).await?;
        match self.flaw {
            StoreFlaw::OverwritesUnderATakenId | StoreFlaw::ReportsARefusalAsAFailure => {
                let newest = self.inner.last_id().await?;
                found = found.filter(|frame| frame.id != newest);
            }
            StoreFlaw::RemembersWhatWasMissing => {
                let mut notes = self.notes();
                if found.is_none() {
                    notes.missing.insert(id);
                }
                found = found.filter(|frame| !notes.missing.contains(&frame.id));
            }
            StoreFlaw::ShowsAFailedCommit => {
                let notes = self.notes();
                let failed = notes.failed.iter().find(|frame| frame.id == id);
                found = found.or(failed.map(|frame| Frame::clone(frame)));
            }
            StoreFlaw::KeepsTheRecord => {
                found = found.or(self.notes().removed.iter().find(|frame| frame.id == id).cloned());
            }
            StoreFlaw::GivesNoTtl => found = found.map(|frame| Frame { ttl: None, ..frame }),
            _ => {}
        }
        Ok(found)
    }

    async fn scan(&self, mut scan: Scan) -> Result<ScanPage> {
        self.check_open()?;
        let mut skipped = 0;
        let pattern = scan.pattern.clone();
        match (self.flaw, pattern, scan.direction) {
            (StoreFlaw::IgnoresTheDirection, ..) => scan.direction = Direction::Ascending,
            (StoreFlaw::IgnoresTheLimit, ..) => scan.limit = usize::MAX,
            (StoreFlaw::IgnoresTheBytes, ..) => scan.bytes_max = usize::MAX,
            (StoreFlaw::TakesExcludedForIncluded, ..) => {
                scan.range = IdRange { start: included(scan.range.start), end: included(scan.range.end) };
            }
            // A descending scan would never get beyond its first page.
            (StoreFlaw::ReadsBeyondTheEnd, _, Direction::Ascending) => scan.range.end = Bound::Unbounded,
            (StoreFlaw::PagesByPosition, ..) => return self.scan_by_position(scan).await,
            (StoreFlaw::LagsInATopic, Pattern::Exact(_), Direction::Descending)
                if scan.range.end == Bound::Unbounded =>
            {
                scan.limit += 1;
                skipped = 1;
            }
            (StoreFlaw::TakesAPrefixForAName, Pattern::Below(name), _) => {
                return self.select(scan, move |topic| topic.as_str().starts_with(name.as_str())).await;
            }
            (StoreFlaw::LooksOneLevelDeep, Pattern::Below(name), _) => {
                let below = move |topic: &Topic| {
                    topic.as_str().rsplit_once('.').is_some_and(|(parent, _)| parent == name.as_str())
                };
                return self.select(scan, below).await;
            }
            (StoreFlaw::KeepsTheTopicEntry, Pattern::Exact(_), _)
            | (StoreFlaw::KeepsTheAncestorEntry, Pattern::Below(_), _) => return self.scan_with_removed(scan).await,
            _ => {}
        }
        let mut page = self.inner.scan(scan).await?;
        page.frames.drain(..page.frames.len().min(skipped));
        match self.flaw {
            StoreFlaw::SwapsTwoFrames if page.frames.len() > 1 => page.frames.swap(0, 1),
            StoreFlaw::SaysCompleteTooEarly => page.complete = true,
            StoreFlaw::GivesNoTtl => page.frames.iter_mut().for_each(|frame| frame.ttl = None),
            _ => {}
        }
        Ok(page)
    }

    async fn topics(&self, page: TopicPage) -> Result<Vec<TopicTail>> {
        self.check_open()?;
        let mut tails = self.inner.topics(page).await?;
        if self.flaw == StoreFlaw::GivesNoTtl {
            tails.iter_mut().for_each(|tail| tail.last.ttl = None);
        }
        Ok(tails)
    }

    async fn expiring(&self, before_ms: u64, limit: usize) -> Result<Vec<(u64, FrameId)>> {
        self.check_open()?;
        let mut due = self.inner.expiring(before_ms, limit).await?;
        if self.flaw == StoreFlaw::KeepsTheExpiryEntry {
            let notes = self.notes();
            // Behind what is there, so that what is there is removed all the same.
            let left = notes.removed.iter().filter_map(|frame| Some((frame.expires_at_ms()?, frame.id)));
            due.extend(left.filter(|(at_ms, _)| *at_ms <= before_ms));
            due.truncate(limit);
        }
        Ok(due)
    }

    async fn is_referenced(&self, hash: ContentHash) -> Result<bool> {
        self.check_open()?;
        let referenced = self.inner.is_referenced(hash).await?;
        let keeps = self.flaw == StoreFlaw::KeepsTheContentEntry;
        Ok(referenced || (keeps && self.notes().removed.iter().any(|frame| frame.hash == Some(hash))))
    }

    async fn compact(&self) -> Result<()> {
        self.inner.compact().await
    }

    async fn close(&self) -> Result<()> {
        let unstored = std::mem::take(&mut self.notes().unstored);
        self.store_all(unstored).await?;
        match self.flaw {
            StoreFlaw::KeepsItsLock => {
                self.closed.store(true, Ordering::SeqCst);
                return Ok(());
            }
            // The thread and not the task sleeps: the next owner comes on another thread.
            StoreFlaw::ClosesUnannounced => std::thread::sleep(CLOSING),
            _ => {}
        }
        self.inner.close().await
    }

    fn closing(&self) {
        // Whoever waits for an owner that never goes would wait forever.
        if !matches!(self.flaw, StoreFlaw::KeepsItsLock | StoreFlaw::ClosesUnannounced) {
            self.inner.closing();
        }
    }
}
