//! A store whose commits can be held up, counted and made to fail.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use xs_core::{
    Batch, Capabilities, Committed, ContentHash, Direction, Error, ErrorKind, Frame, FrameId, Pattern, Result, Scan,
    ScanPage, Store, Topic, TopicPage, TopicTail,
};

/// What happens to the commits of a [`GatedStore`].
#[derive(Debug)]
pub struct Gate {
    pass: Semaphore,
    waiting: AtomicUsize,
    fail: AtomicBool,
    /// Frames inserted by each commit that was let through.
    groups: Mutex<Vec<usize>>,
    /// A topic whose scans fail: in both directions, or ascending only.
    bad: Mutex<Option<Topic>>,
    bad_ascending: AtomicBool,
    bad_descending: AtomicBool,
}

impl Gate {
    /// A gate that lets everything through.
    pub fn open() -> Arc<Self> {
        Arc::new(Self {
            pass: Semaphore::new(Semaphore::MAX_PERMITS),
            waiting: AtomicUsize::new(0),
            fail: AtomicBool::new(false),
            groups: Mutex::default(),
            bad: Mutex::default(),
            bad_ascending: AtomicBool::new(false),
            bad_descending: AtomicBool::new(false),
        })
    }

    /// Holds up commits from now on.
    pub fn shut(&self) {
        self.pass.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets `commits` more through.
    pub fn pass(&self, commits: usize) {
        self.pass.add_permits(commits);
    }

    /// Commits that are being held up.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Makes commits fail, as a failed sync does, from now on.
    pub fn fail(&self) {
        self.fail.store(true, Ordering::SeqCst);
    }

    /// Names the topic whose scans can be made to fail, as damage does.
    pub fn break_topic(&self, topic: &str) {
        *self.bad.lock().unwrap() = Some(Topic::parse(topic).unwrap());
    }

    /// Makes scans of that topic fail, or work again.
    pub fn break_reads(&self, fail: bool) {
        self.bad_ascending.store(fail, Ordering::SeqCst);
        self.bad_descending.store(fail, Ordering::SeqCst);
    }

    /// Makes only ascending scans of that topic fail.
    pub fn break_ascending(&self) {
        self.bad_ascending.store(true, Ordering::SeqCst);
    }

    fn check(&self, scan: &Scan) -> Result<()> {
        let fails = match scan.direction {
            Direction::Ascending => &self.bad_ascending,
            Direction::Descending => &self.bad_descending,
        };
        match (&scan.pattern, &*self.bad.lock().unwrap()) {
            (Pattern::Exact(topic), Some(bad)) if topic == bad && fails.load(Ordering::SeqCst) => {
                Err(Error::new(ErrorKind::Corrupt, format!("a frame of {bad} is damaged")))
            }
            _ => Ok(()),
        }
    }

    /// Frames inserted by each commit so far.
    pub fn groups(&self) -> Vec<usize> {
        self.groups.lock().unwrap().clone()
    }
}

/// A store behind a [`Gate`].
#[derive(Debug)]
pub struct GatedStore {
    store: Arc<dyn Store>,
    gate: Arc<Gate>,
}

impl GatedStore {
    /// Puts `store` behind `gate`.
    pub fn new(store: Arc<dyn Store>, gate: Arc<Gate>) -> Self {
        Self { store, gate }
    }
}

#[async_trait]
impl Store for GatedStore {
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
        self.gate.waiting.fetch_add(1, Ordering::SeqCst);
        self.gate.pass.acquire().await.unwrap().forget();
        self.gate.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.gate.fail.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the disk did not sync"));
        }
        self.gate.groups.lock().unwrap().push(batch.insert.len());
        self.store.commit(batch).await
    }

    async fn get(&self, id: FrameId) -> Result<Option<Frame>> {
        self.store.get(id).await
    }

    async fn scan(&self, scan: Scan) -> Result<ScanPage> {
        self.gate.check(&scan)?;
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

    async fn compact(&self) -> Result<()> {
        self.store.compact().await
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }

    fn closing(&self) {
        self.store.closing();
    }
}
