//! A store whose commits and pages can be held up, and can fail.
#![allow(dead_code, clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use xs_core::memory::MemoryStore;
use xs_core::{
    Batch, Capabilities, Committed, ContentHash, Error, ErrorKind, Frame, FrameId, Result, Scan, ScanPage, Store,
    TopicPage, TopicTail,
};

/// A store in memory behind two gates.
#[derive(Debug)]
pub(crate) struct Gated {
    store: MemoryStore,
    pub(crate) commits: Semaphore,
    pub(crate) pages: Semaphore,
    /// Commits that have come here so far.
    pub(crate) begun: AtomicUsize,
    pub(crate) failing: AtomicBool,
    /// Every page has a damaged frame.
    pub(crate) damaged: AtomicBool,
    /// What a commit tells of its sync; nothing where it is 0.
    pub(crate) sync_us: AtomicU64,
}

impl Gated {
    /// One that lets everything through.
    pub(crate) fn open() -> Arc<Self> {
        Arc::new(Self {
            store: MemoryStore::new(),
            commits: Semaphore::new(Semaphore::MAX_PERMITS),
            pages: Semaphore::new(Semaphore::MAX_PERMITS),
            begun: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            sync_us: AtomicU64::new(0),
        })
    }
}

/// Lets nothing more through this gate.
pub(crate) fn shut(gate: &Semaphore) {
    gate.forget_permits(Semaphore::MAX_PERMITS);
}

#[async_trait]
impl Store for Gated {
    fn name(&self) -> &str {
        self.store.name()
    }

    fn format(&self) -> u32 {
        self.store.format()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn last_id(&self) -> Result<FrameId> {
        self.store.last_id().await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.commits.acquire().await.unwrap().forget();
        if self.failing.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the disk did not sync"));
        }
        let committed = self.store.commit(batch).await?;
        match self.sync_us.load(Ordering::SeqCst) {
            0 => Ok(committed),
            sync_us => Ok(committed.sync(Some(Duration::from_micros(sync_us)))),
        }
    }

    async fn get(&self, id: FrameId) -> Result<Option<Frame>> {
        self.store.get(id).await
    }

    async fn scan(&self, scan: Scan) -> Result<ScanPage> {
        self.pages.acquire().await.unwrap().forget();
        if self.damaged.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Corrupt, "a frame at /home/me is damaged"));
        }
        self.store.scan(scan).await
    }

    async fn topics(&self, page: TopicPage) -> Result<Vec<TopicTail>> {
        self.store.topics(page).await
    }

    async fn expiring(&self, before_ms: u64, limit: usize) -> Result<Vec<(u64, FrameId)>> {
        self.store.expiring(before_ms, limit).await
    }

    async fn is_referenced(&self, hash: ContentHash) -> Result<bool> {
        self.store.is_referenced(hash).await
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }
}
