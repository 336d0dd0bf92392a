//! The contents of an export: fetched once each, under their names when they are whole and on the disk.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::TryStreamExt as _;
use tokio::io::AsyncWriteExt as _;
use xs::{ByteRange, ContentHash, ContentHasher, Error, ErrorKind, Frame, FrameId};
use xs_client::Client;
use xs_wire::BareStatus;

use crate::archive::{self, Loss, Why};
use crate::failure::{Failure, Result};

/// Before a content is asked for once more. Of a store that has lost many, each takes so long.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

pub(super) struct Contents {
    client: Client,
    dir: PathBuf,
    /// Whether the export goes on without what cannot be had.
    allow_missing: bool,
    /// Contents that are being fetched: whoever comes later waits, and finds them there.
    under_way: Mutex<HashMap<ContentHash, Arc<tokio::sync::Mutex<()>>>>,
    /// Contents that the export goes on without.
    lost: Mutex<HashSet<ContentHash>>,
}

/// What became of the content of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// It has none.
    Nothing,
    /// It was there.
    There,
    /// It was fetched: so many bytes.
    New(u64),
    /// The frame was removed, or has expired, and its content with it.
    Gone,
    /// It cannot be had.
    Lost(Loss),
    /// It cannot be had, as was found for another frame.
    KnownLost,
}

/// Why a content was not fetched.
enum Unfetched {
    /// It cannot be had from this store, or not now.
    Lost(Why, Failure),
    /// Anything else.
    Failed(Failure),
}

impl Contents {
    pub(super) fn new(client: Client, dir: PathBuf, allow_missing: bool) -> Self {
        Self { client, dir, allow_missing, under_way: Mutex::default(), lost: Mutex::default() }
    }

    /// Sees to it that the content of a frame is there.
    pub(super) async fn fetch_for(&self, frame: &Frame) -> Result<Fetched> {
        let Some(hash) = frame.hash else { return Ok(Fetched::Nothing) };
        let mine = Arc::clone(lock(&self.under_way).entry(hash).or_default());
        let turn = mine.lock().await;
        let fetched = self.fetch_in_turn(hash, frame.id).await;
        drop(turn);
        let mut under_way = lock(&self.under_way);
        drop(mine);
        // Whoever still waits holds on to it, and keeps those out who come later.
        if under_way.get(&hash).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            under_way.remove(&hash);
        }
        fetched
    }

    async fn fetch_in_turn(&self, hash: ContentHash, frame: FrameId) -> Result<Fetched> {
        let is_lost = lock(&self.lost).contains(&hash);
        if is_lost {
            return Ok(Fetched::KnownLost);
        }
        if let Ok(true) = tokio::fs::try_exists(archive::content(&self.dir, hash)).await {
            return Ok(Fetched::There);
        }
        let of_content = |failure: Failure| failure.context(format_args!("content {hash} of frame {frame}"));
        let (why, failure) = match self.fetch(hash).await {
            Ok(bytes) => return Ok(Fetched::New(bytes)),
            Err(Unfetched::Failed(failure)) => return Err(of_content(failure)),
            Err(Unfetched::Lost(why, failure)) => (why, failure),
        };
        if matches!(why, Why::Missing | Why::Unreadable) {
            // A frame that has gone since it was listed takes its content along. And a server that cannot answer
            // this either has lost more than a content.
            let there = self.client.get(frame).await.map_err(|error| of_content(Failure::of_call(&error)))?;
            if there.is_none() {
                return Ok(Fetched::Gone);
            }
        }
        if !self.allow_missing {
            return Err(failure.context(format_args!(
                "content {hash} of frame {frame} {why}, and --allow-missing exports the rest without it"
            )));
        }
        match lock(&self.lost).insert(hash) {
            true => Ok(Fetched::Lost(Loss { hash, why, frame })),
            false => Ok(Fetched::KnownLost),
        }
    }

    /// Fetches a content, and says how many bytes it has. What may have been the moment, or the connection, is
    /// asked for once more.
    async fn fetch(&self, hash: ContentHash) -> Result<u64, Unfetched> {
        let mut fetched = self.fetch_once(hash).await;
        if matches!(fetched, Err(Unfetched::Lost(Why::BrokenOff | Why::Unreadable | Why::Altered, _))) {
            tokio::time::sleep(RETRY_PAUSE).await;
            fetched = self.fetch_once(hash).await;
        }
        if matches!(fetched, Err(Unfetched::Lost(..))) {
            // Most of what is lost was never begun.
            let _ = tokio::fs::remove_file(archive::partial(&self.dir, hash)).await;
        }
        fetched
    }

    async fn fetch_once(&self, hash: ContentHash) -> Result<u64, Unfetched> {
        let partial = archive::partial(&self.dir, hash);
        let writing =
            |error: std::io::Error| Unfetched::Failed(Failure::io(&format!("writing {}", partial.display()), &error));
        let mut chunks = self.client.content(hash, ByteRange::FULL).await.map_err(|error| self.refused(&error))?;
        let mut file = tokio::fs::File::create(&partial).await.map_err(writing)?;
        let mut hasher = ContentHasher::new();
        let mut bytes = 0;
        while let Some(chunk) = chunks.try_next().await.map_err(|error| broken_off(&error))? {
            hasher.update(&chunk);
            bytes += chunk.len() as u64;
            file.write_all(&chunk).await.map_err(writing)?;
        }
        if hasher.finish() != hash {
            return Err(altered());
        }
        file.flush().await.map_err(writing)?;
        file.sync_all().await.map_err(writing)?;
        drop(file);
        tokio::fs::rename(&partial, archive::content(&self.dir, hash)).await.map_err(writing)?;
        Ok(bytes)
    }

    /// Of an answer that is none of its bytes. Only a server of xs knows what a store holds.
    fn refused(&self, error: &Error) -> Unfetched {
        let failure = Failure::of_call(error);
        let is_own_word = std::error::Error::source(error).is_none();
        match (error.kind(), BareStatus::of(error)) {
            (ErrorKind::NotFound, Some(BareStatus(status))) => Unfetched::Failed(Failure::new(format!(
                "{status} was answered at {}, and not by a server of xs: is something in between?",
                self.client.endpoint()
            ))),
            (ErrorKind::NotFound, None) => Unfetched::Lost(Why::Missing, failure),
            (ErrorKind::Corrupt, None) => Unfetched::Lost(Why::Damaged, failure),
            (ErrorKind::Unavailable, None) if is_own_word => Unfetched::Lost(Why::Unreadable, failure),
            _ => Unfetched::Failed(failure),
        }
    }
}

/// Of an answer that has begun. A server that finds damage then has no other way to say so than to end it, and
/// other bytes come to light at this end.
fn broken_off(error: &Error) -> Unfetched {
    let failure = Failure::of_call(error);
    match error.kind() {
        ErrorKind::Unavailable => Unfetched::Lost(Why::BrokenOff, failure),
        ErrorKind::Corrupt => altered(),
        _ => Unfetched::Failed(failure),
    }
}

fn altered() -> Unfetched {
    Unfetched::Lost(Why::Altered, Failure::new("the server took it for whole, so something on the way changes it"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
