//! Calls to the storage, each within its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};
use xs_core::{ContentHash, ContentInfo, Error, Result};

use crate::backend::Backend;
use crate::error::{convert, is_unsupported, timed_out};
use crate::layout::Layout;
use crate::settings::ObjectSettings;

/// The slowest transfer that is still waited for, in bytes a second.
const RATE_MIN: u64 = 256 * 1024;

/// The time that a transfer may take beside the time-out of a call.
pub(crate) fn allowance(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / RATE_MIN)
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    TimedOut(Duration),
    Refused(StoreError),
}

impl Failure {
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused(StoreError::NotFound { .. }))
    }

    /// A create-only put met an object; also its own, when an answer was lost and it was repeated.
    fn exists(&self) -> bool {
        matches!(self, Self::Refused(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }))
    }
}

/// One store.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) backend: Backend,
    pub(crate) layout: Layout,
    pub(crate) settings: ObjectSettings,
    /// How errors name it.
    place: String,
    /// Whether the server is thought to know create-only puts.
    creates: AtomicBool,
}

impl Remote {
    pub(crate) fn new(backend: Backend, layout: Layout, settings: ObjectSettings, place: String) -> Self {
        Self { backend, layout, settings, place, creates: AtomicBool::new(true) }
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Waits for a call that transfers so many bytes: as long as the time-out says, and longer for
    /// many bytes, but only where the server is found to answer at all.
    pub(crate) async fn call<T>(
        &self,
        bytes: u64,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> std::result::Result<T, Failure> {
        let timeout = self.settings.timeout;
        let limit = timeout + allowance(bytes);
        let deadline = tokio::time::Instant::now() + limit;
        let mut call = std::pin::pin!(call);
        if allowance(bytes) > Duration::ZERO {
            if let Ok(done) = tokio::time::timeout(timeout / 2, &mut call).await {
                return done.map_err(Failure::Refused);
            }
            let marker = self.layout.marker();
            let alive = tokio::time::timeout(timeout / 2, self.backend.store.head(&marker));
            // The transfer goes on meanwhile.
            let alive = tokio::select! {
                done = &mut call => return done.map_err(Failure::Refused),
                alive = alive => alive.is_ok(),
            };
            if !alive {
                return Err(Failure::TimedOut(timeout));
            }
        }
        match tokio::time::timeout_at(deadline, call).await {
            Ok(result) => result.map_err(Failure::Refused),
            Err(_) => Err(Failure::TimedOut(limit)),
        }
    }

    /// The error of a call that failed while `doing` something.
    pub(crate) fn failed(&self, doing: &str, failure: &Failure) -> Error {
        self.failure(doing, false, failure)
    }

    /// The same while the store is being opened.
    pub(crate) fn not_opened(&self, failure: &Failure) -> Error {
        self.failure("opening", true, failure)
    }

    fn failure(&self, doing: &str, opening: bool, failure: &Failure) -> Error {
        match failure {
            Failure::TimedOut(limit) => timed_out(doing, &self.place, *limit),
            Failure::Refused(error) => convert(doing, opening, &self.place, error),
        }
    }

    /// All of a small object.
    pub(crate) async fn get(&self, key: &Path) -> std::result::Result<Bytes, Failure> {
        self.call(0, async { self.backend.store.get(key).await?.bytes().await }).await
    }

    /// Some bytes of an object, less where it ends, and what is known of all of it.
    pub(crate) async fn get_range(
        &self,
        key: &Path,
        range: std::ops::Range<u64>,
    ) -> std::result::Result<(ObjectMeta, Bytes), Failure> {
        let length = range.end.saturating_sub(range.start);
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        self.call(length, async {
            let found = self.backend.store.get_opts(key, options).await?;
            Ok((found.meta.clone(), found.bytes().await?))
        })
        .await
    }

    pub(crate) async fn head(&self, key: &Path) -> std::result::Result<ObjectMeta, Failure> {
        self.call(0, self.backend.store.head(key)).await
    }

    pub(crate) async fn put(&self, key: &Path, bytes: Bytes) -> std::result::Result<(), Failure> {
        self.call(bytes.len() as u64, self.backend.store.put(key, bytes.into())).await.map(drop)
    }

    /// Puts an object where there is none, and says whether there was one. A server that does not
    /// know such puts overwrites it, in silence or because it is asked to.
    pub(crate) async fn create(&self, key: &Path, bytes: Bytes) -> std::result::Result<bool, Failure> {
        if self.creates.load(Ordering::Relaxed) {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let payload = PutPayload::from(bytes.clone());
            match self.call(bytes.len() as u64, self.backend.store.put_opts(key, payload, options)).await {
                Ok(_) => return Ok(true),
                Err(failure) if failure.exists() => return Ok(false),
                Err(Failure::Refused(error)) if is_unsupported(&error) => self.creates.store(false, Ordering::Relaxed),
                Err(failure) => return Err(failure),
            }
        }
        self.put(key, bytes).await.map(|()| true)
    }

    /// Removes an object; one that is not there is no error.
    pub(crate) async fn delete(&self, key: &Path) -> std::result::Result<(), Failure> {
        match self.call(0, self.backend.store.delete(key)).await {
            Err(failure) if !failure.is_missing() => Err(failure),
            _ => Ok(()),
        }
    }

    /// Runs on when its caller is gone, if there is a runtime.
    pub(crate) fn in_background(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(work);
        }
    }

    /// What is known of content.
    pub(crate) async fn stat(&self, hash: ContentHash) -> Result<ContentInfo> {
        match self.head(&self.layout.content(hash)).await {
            Ok(meta) => Ok(info(hash, &meta)),
            Err(failure) if failure.is_missing() => Err(crate::error::missing(hash)),
            Err(failure) => Err(self.failed("reading", &failure)),
        }
    }
}

pub(crate) fn info(hash: ContentHash, meta: &ObjectMeta) -> ContentInfo {
    let modified_ms = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or_default();
    ContentInfo { hash, size: meta.size, modified_ms }
}
