//! The sequencer: the write side of a stream.
//!
//! It takes the requests that wait, checks conditions, gives out ids, adds what TTLs remove, commits
//! one batch, hands it to live readers and answers the callers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::limits::{GROUP_FRAMES_MAX, IMPORT_AHEAD_MS};
use super::open::Shared;
use super::queue::{Append, Appended, Removal, Request};
use super::retention::{self, Kept};
use super::{Expect, reader};
use crate::{
    Batch, Durability, Error, ErrorKind, ExpectFailed, Filter, Frame, FrameId, IdSource, NewFrame, Result, Topic, Ttl,
};

/// A group of appends on its way to one commit.
#[derive(Debug, Default)]
struct Group {
    /// In the order of their ids.
    frames: Vec<Pending>,
    remove: Vec<FrameId>,
    /// Topics with more frames than one batch removes: everything before the id goes.
    cut: Vec<(Topic, FrameId)>,
    durability: Option<Durability>,
    answers: Vec<(oneshot::Sender<Appended>, Appended)>,
    /// Held until the answers are out, so that what is being committed counts too.
    permits: Vec<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Pending {
    frame: Arc<Frame>,
    /// Not, when it is ephemeral or a later frame of its group pushes it out.
    store: bool,
}

/// The write side of a stream.
#[derive(Debug)]
pub(super) struct Sequencer {
    pub(super) shared: Arc<Shared>,
    pub(super) ids: Box<dyn IdSource>,
    /// The greatest id given out or imported.
    pub(super) last_id: FrameId,
    pub(super) kept: Kept,
}

impl Sequencer {
    fn check_writable(&self) -> Result<()> {
        self.shared.check_commits(ErrorKind::Closed)
    }

    /// Takes appends from the front of what waits, commits them together, and answers them. Gives how
    /// many those were.
    pub(super) async fn append_group(&mut self, first: Append, waiting: &mut VecDeque<Request>) -> usize {
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(append) = next.take() {
            let Append { frames, expect, durability, reply, is_blocking: _, _permit: permit } = append;
            group.permits.push(permit);
            let result = match self.check_writable() {
                Ok(()) => self.prepare(&mut group, frames, &expect).await,
                Err(error) => Err(error),
            };
            if result.is_ok() {
                group.durability = group.durability.max(Some(durability));
            }
            group.answers.push((reply, result));
            if group.frames.len() < GROUP_FRAMES_MAX {
                next = match waiting.pop_front() {
                    Some(Request::Append(append)) => Some(append),
                    Some(other) => {
                        waiting.push_front(other);
                        None
                    }
                    None => None,
                };
            }
        }
        self.shared.counters.waiting(waiting.len());
        let Group { frames, remove, cut, durability, answers, permits } = group;
        let durability = durability.unwrap_or_default();
        let appends = answers.iter().filter(|(_, prepared)| prepared.is_ok()).count();
        let result = self.commit_group(frames, remove, durability, appends).await;
        let uncut = if result.is_ok() { self.cut_all(cut, durability).await } else { Vec::new() };
        self.kept.shrink();
        let answered = answers.len();
        for (reply, prepared) in answers {
            // A caller that has gone away is no reason to stop.
            let _ = reply.send(match &result {
                Ok(()) => prepared.and_then(|frames| check_cut(&uncut, frames)),
                // Whoever lost to a frame of this group lost to one that does not exist.
                Err(error) => Err(error.duplicate()),
            });
        }
        drop(permits);
        answered
    }

    /// Checks one append and adds its frames to the group, or leaves the group as it was.
    async fn prepare(&mut self, group: &mut Group, frames: Vec<NewFrame>, expect: &[(Topic, Expect)]) -> Appended {
        let now_ms = self.shared.clock.now_ms();
        for (topic, expect) in expect {
            let actual = self.last_of(group, topic, now_ms).await?;
            let expected = match expect {
                Expect::Empty => None,
                Expect::Last(id) => Some(*id),
            };
            if actual != expected {
                return Err(ExpectFailed { topic: topic.clone(), actual }.into());
            }
        }
        // What can fail comes first: ids, and what is stored of topics that are to be cut.
        let mut last_id = self.last_id;
        let mut ids = Vec::with_capacity(frames.len());
        for _ in &frames {
            last_id = self.ids.next(now_ms, last_id)?;
            ids.push(last_id);
        }
        let mut found: Vec<(Topic, retention::Newest)> = Vec::new();
        for frame in &frames {
            if let Some(Ttl::Last(n)) = frame.ttl
                && !self.kept.holds(&frame.topic)
                && !found.iter().any(|(topic, _)| *topic == frame.topic)
            {
                let newest = retention::newest(&*self.shared.store, &frame.topic, n.get(), now_ms).await?;
                found.push((frame.topic.clone(), newest));
            }
        }
        // From here on nothing fails, so nothing of a refused append is left behind.
        self.last_id = last_id;
        for (topic, retention::Newest { mut ids, older }) in found {
            if let (true, Some((oldest, _))) = (older, ids.front()) {
                group.cut.push((topic.clone(), *oldest));
            }
            let pending = group.frames.iter().filter(|pending| pending.store && pending.frame.topic == topic);
            ids.extend(pending.map(|pending| (pending.frame.id, pending.frame.expires_at_ms())));
            self.kept.remember(&topic, ids);
        }
        let mut appended = Vec::with_capacity(frames.len());
        for (new, id) in frames.into_iter().zip(ids) {
            let frame = Arc::new(new.with_id(id));
            appended.push(Arc::clone(&frame));
            let store = frame.ttl != Some(Ttl::Ephemeral);
            group.frames.push(Pending { frame: Arc::clone(&frame), store });
            if store {
                self.kept.push(&frame);
            }
            if let Some(Ttl::Last(n)) = frame.ttl {
                for gone in self.kept.cut(&frame.topic, n.get(), now_ms) {
                    match group.frames.binary_search_by_key(&gone, |pending| pending.frame.id) {
                        Ok(at) => group.frames.iter_mut().skip(at).take(1).for_each(|pending| pending.store = false),
                        Err(_) => group.remove.push(gone),
                    }
                }
            }
        }
        Ok(appended)
    }

    /// The id of the newest frame of a topic, that of this group included.
    async fn last_of(&self, group: &Group, topic: &Topic, now_ms: u64) -> Result<Option<FrameId>> {
        let pending = group.frames.iter().rev().map(|pending| (pending.store, &pending.frame));
        let newest = pending
            .filter(|(store, frame)| *store && frame.topic == *topic && !frame.is_expired(now_ms))
            .map(|(_, frame)| frame.id)
            .next();
        match newest {
            Some(id) => Ok(Some(id)),
            // A frame is only removed by its group when a newer one of its topic is in it.
            None => Ok(reader::last(&self.shared, &Filter::from(topic.clone())).await?.map(|frame| frame.id)),
        }
    }

    /// Commits the frames of so many appends, and shows them.
    async fn commit_group(
        &mut self,
        frames: Vec<Pending>,
        remove: Vec<FrameId>,
        durability: Durability,
        appends: usize,
    ) -> Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        let insert: Vec<_> = frames.iter().filter(|frame| frame.store).map(|frame| Arc::clone(&frame.frame)).collect();
        let tail = insert.last().map_or(FrameId::MIN, |frame| frame.id);
        let soonest = insert.iter().filter_map(|frame| frame.expires_at_ms()).min();
        let (stored, removed) = (insert.len(), remove.len());
        self.commit(Batch { insert, remove, durability }).await?;
        let ephemeral = frames.iter().filter(|pending| pending.frame.ttl == Some(Ttl::Ephemeral)).count();
        let counters = &self.shared.counters;
        counters.appended_frames.add(frames.len() - ephemeral);
        counters.ephemeral_frames.add(ephemeral);
        // What a later frame of its own group pushed out came and went.
        counters.expired_frames.add(removed + (frames.len() - ephemeral - stored));
        if stored > 0 {
            counters.groups.record(appends as u64);
        }
        self.shared.window.publish(frames.into_iter().map(|pending| pending.frame), tail);
        self.shared.expiry.stored(soonest);
        Ok(())
    }

    /// Removes all of each topic before an id, in steps, and gives the topics where that failed.
    async fn cut_all(&mut self, cut: Vec<(Topic, FrameId)>, durability: Durability) -> Vec<(Topic, Error)> {
        let mut failed = Vec::new();
        for (topic, oldest) in cut {
            if let Err(error) = self.cut(&topic, oldest, durability).await {
                // It is not known whole any more, so the next append looks again.
                self.kept.forget(&topic);
                failed.push((topic, error));
            }
        }
        failed
    }

    async fn cut(&mut self, topic: &Topic, oldest: FrameId, durability: Durability) -> Result<()> {
        let mut removed = Vec::new();
        loop {
            let remove = retention::older(&*self.shared.store, topic, oldest).await?;
            if remove.is_empty() {
                return Ok(());
            }
            if remove == removed {
                let message = format!("frames of topic {topic} were removed, and are there all the same");
                return Err(Error::new(ErrorKind::Internal, message));
            }
            removed.clone_from(&remove);
            self.commit(Batch { insert: Vec::new(), remove, durability }).await?;
            self.shared.counters.expired_frames.add(removed.len());
        }
    }

    /// Commits; on failure refuses all later writes, unless the store said that it changed nothing.
    async fn commit(&mut self, batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        // The machine's steady clock and not the stream's: that one is for ids and TTLs, counts in
        // milliseconds, may step back, and stands still in a test.
        let (durability, since) = (batch.durability, Instant::now());
        let result = self.shared.store.commit(batch).await;
        let took = since.elapsed();
        let sync = result.as_ref().ok().and_then(|committed| committed.sync);
        self.shared.counters.committed(durability, took, sync);
        if let Err(error) = &result {
            self.kept.clear();
            use ErrorKind::{Conflict, Corrupt, InvalidInput, Locked, NotFound, Unsupported};
            // With these the store says that it has changed nothing.
            if !matches!(error.kind(), InvalidInput | Conflict | Corrupt | Locked | NotFound | Unsupported) {
                tracing::error!(%error, "a commit failed; the stream refuses writes until it is opened again");
                // The first reason stays.
                let _ = self.shared.failed.set(error.to_string());
            }
        }
        result.map(drop)
    }

    /// Removes those of `ids` that can be, and reports the first that cannot.
    pub(super) async fn remove(&mut self, ids: Vec<FrameId>, reason: Removal) -> Result<usize> {
        self.check_writable()?;
        let mut remove = Vec::with_capacity(ids.len());
        let mut refused = None;
        for id in ids {
            // Read first: a damaged frame must not fail a commit that others are in.
            match self.shared.store.get(id).await {
                Ok(Some(frame)) => {
                    self.kept.forget(&frame.topic);
                    remove.push(id);
                }
                Ok(None) => {}
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let durability = self.shared.settings.durability;
        let removed = remove.len();
        self.commit(Batch { insert: Vec::new(), remove, durability }).await?;
        match reason {
            Removal::Call => self.shared.counters.removed_frames.add(removed),
            Removal::Expiry => self.shared.counters.expired_frames.add(removed),
        }
        refused.map_or(Ok(removed), Err)
    }

    pub(super) async fn import(&mut self, mut frames: Vec<Frame>) -> Result<()> {
        self.check_writable()?;
        let horizon_ms = self.shared.clock.now_ms().saturating_add(IMPORT_AHEAD_MS);
        frames.sort_by_key(|frame| frame.id);
        let mut insert: Vec<Arc<Frame>> = Vec::with_capacity(frames.len());
        for frame in frames {
            if frame.id.timestamp_ms() > horizon_ms {
                return Err(Error::invalid(format!(
                    "id {} is more than a day ahead of the clock, and every later id would have to exceed it",
                    frame.id
                )));
            }
            if frame.ttl == Some(Ttl::Ephemeral) {
                return Err(Error::invalid(format!("frame {} is ephemeral, and such are never stored", frame.id)));
            }
            let same_id = match insert.last() {
                Some(last) if last.id == frame.id => Some(Frame::clone(last)),
                _ => self.shared.store.get(frame.id).await?,
            };
            match same_id {
                None => insert.push(Arc::new(frame)),
                Some(stored) if stored.is_same_on_a_line(&frame) => {}
                Some(_) => {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        format!("another frame with id {} is stored already", frame.id),
                    ));
                }
            }
        }
        let Some(newest) = insert.last().map(|frame| frame.id) else { return Ok(()) };
        let topics: Vec<Topic> = insert.iter().map(|frame| frame.topic.clone()).collect();
        let soonest = insert.iter().filter_map(|frame| frame.expires_at_ms()).min();
        let durability = self.shared.settings.durability;
        self.commit(Batch { insert, remove: Vec::new(), durability }).await?;
        self.shared.counters.imported_frames.add(topics.len());
        self.last_id = self.last_id.max(newest);
        topics.iter().for_each(|topic| self.kept.forget(topic));
        self.shared.window.publish([], newest);
        self.shared.expiry.stored(soonest);
        Ok(())
    }
}

/// Tells an append whose topic could not be cut that its frames are stored, but `last:n` does not hold.
fn check_cut(uncut: &[(Topic, Error)], frames: Vec<Arc<Frame>>) -> Appended {
    let cuts = |frame: &Frame| matches!(frame.ttl, Some(Ttl::Last(_)));
    let failed = uncut.iter().find(|(topic, _)| frames.iter().any(|frame| cuts(frame) && frame.topic == *topic));
    match (failed, frames.last()) {
        (Some((topic, error)), Some(last)) => Err(error
            .duplicate()
            .context(format_args!("{} is stored, but older frames of {topic} could not be removed", last.id))),
        _ => Ok(frames),
    }
}
