//! A [`Cas`] in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use super::place::{Owned, Places};
use crate::{
    ByteRange, Capabilities, Cas, CasFactory, CasWriter, Clock as _, ContentHash, ContentInfo, ContentPage,
    ContentReader, Create, Error, ErrorKind, Location, Result, SystemClock, cas::Verifier,
};

/// How much a reader gives at a time.
const CHUNK_BYTES: usize = 256 * 1024;

type Data = BTreeMap<ContentHash, (Bytes, u64)>;

/// The reference [`Cas`].
///
/// ```
/// use xs_core::{ByteRange, Cas, memory::MemoryCas};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> xs_core::Result<()> {
/// let cas = MemoryCas::new();
/// let mut writer = cas.writer().await?;
/// writer.write("hello".into()).await?;
/// let hash = writer.finish().await?;
/// assert_eq!(cas.reader(hash, ByteRange { start: 1, end: Some(3) }).await?.bytes().await?, "el");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MemoryCas(Owned<Data>);

impl MemoryCas {
    /// An empty content store that nobody else can open.
    pub fn new() -> Self {
        Self::default()
    }

    fn find(&self, hash: ContentHash) -> Result<(Bytes, ContentInfo)> {
        let data = self.0.data()?;
        let (bytes, modified_ms) =
            data.get(&hash).ok_or_else(|| Error::new(ErrorKind::NotFound, format!("content {hash} is not here")))?;
        Ok((bytes.clone(), info(hash, bytes, *modified_ms)))
    }
}

fn info(hash: ContentHash, bytes: &Bytes, modified_ms: u64) -> ContentInfo {
    ContentInfo { hash, size: bytes.len() as u64, modified_ms }
}

#[derive(Debug)]
struct Writer {
    data: Arc<Mutex<Data>>,
    bytes: BytesMut,
}

#[async_trait]
impl CasWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<ContentHash> {
        let bytes = self.bytes.freeze();
        let hash = ContentHash::of(&bytes);
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        data.insert(hash, (bytes, SystemClock.now_ms()));
        Ok(hash)
    }
}

#[async_trait]
impl Cas for MemoryCas {
    fn name(&self) -> &str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().exclusive(true)
    }

    async fn writer(&self) -> Result<Box<dyn CasWriter>> {
        drop(self.0.data()?);
        Ok(Box::new(Writer { data: Arc::clone(&self.0.data), bytes: BytesMut::new() }))
    }

    async fn reader(&self, hash: ContentHash, range: ByteRange) -> Result<ContentReader> {
        let (bytes, info) = self.find(hash)?;
        let range = range.within(info.size)?;
        let mut verifier = Verifier::new(hash, range.clone());
        let mut chunks = Vec::new();
        for start in (0..bytes.len()).step_by(CHUNK_BYTES) {
            chunks.extend(verifier.push(bytes.slice(start..bytes.len().min(start + CHUNK_BYTES))).map(Ok));
        }
        chunks.extend(verifier.finish().transpose());
        Ok(ContentReader::new(info, range, futures::stream::iter(chunks).boxed()))
    }

    async fn stat(&self, hash: ContentHash) -> Result<ContentInfo> {
        self.find(hash).map(|(_, info)| info)
    }

    async fn list(&self, after: Option<ContentHash>, limit: usize) -> Result<ContentPage> {
        let data = self.0.data()?;
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = data.range((after, Bound::Unbounded));
        let items = rest.by_ref().take(limit).map(|(hash, (bytes, at))| info(*hash, bytes, *at)).collect();
        Ok(ContentPage { items, complete: rest.next().is_none() })
    }

    async fn remove(&self, hash: ContentHash) -> Result<()> {
        self.0.data()?.remove(&hash);
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.0.close();
        Ok(())
    }

    fn closing(&self) {
        self.0.closing();
    }
}

/// Opens [`MemoryCas`]es by name. What is at a place stays there as long as the factory lives.
#[derive(Debug, Default)]
pub struct MemoryCasFactory(Places<Data>);

impl MemoryCasFactory {
    /// A factory with nothing at any place.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl CasFactory for MemoryCasFactory {
    fn scheme(&self) -> &str {
        "memory"
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Cas>> {
        Ok(Arc::new(MemoryCas(self.0.open(location, create).await?)))
    }
}
