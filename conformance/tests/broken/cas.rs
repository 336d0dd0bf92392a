//! Content stores that do one thing wrong, over sound ones.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use xs_core::{
    ByteRange, Capabilities, Cas, CasFactory, CasWriter, ContentHash, ContentInfo, ContentPage, ContentReader, Create,
    Error, ErrorKind, Location, Result,
};

use crate::flaw::CasFlaw;
use crate::plain::{self, PlainWriter};

/// Opens content stores with one flaw.
#[derive(Debug)]
pub(crate) struct FlawedCasFactory {
    inner: Arc<dyn CasFactory>,
    flaw: CasFlaw,
}

impl FlawedCasFactory {
    pub(crate) fn new(inner: Arc<dyn CasFactory>, flaw: CasFlaw) -> Self {
        Self { inner, flaw }
    }
}

#[async_trait]
impl CasFactory for FlawedCasFactory {
    fn scheme(&self) -> &str {
        self.inner.scheme()
    }

    fn check(&self, location: &Location) -> Result<()> {
        self.inner.check(location)
    }

    async fn open(&self, location: &Location, create: Create) -> Result<Arc<dyn Cas>> {
        let inner = self.inner.open(location, create).await?;
        if self.flaw == CasFlaw::LosesContentOnReopen {
            for info in inner.list(None, 1).await?.items {
                inner.remove(info.hash).await?;
            }
        }
        Ok(Arc::new(FlawedCas { inner, flaw: self.flaw, place: location.place.clone() }))
    }
}

#[derive(Debug)]
struct FlawedCas {
    inner: Arc<dyn Cas>,
    flaw: CasFlaw,
    place: PathBuf,
}

impl FlawedCas {
    /// The stored bytes, as they lie in the file.
    async fn unverified(&self, hash: ContentHash, range: ByteRange) -> Result<ContentReader> {
        let info = self.inner.stat(hash).await?;
        let range = range.within(info.size)?;
        let stored = Bytes::from(std::fs::read(plain::path(&self.place, hash)).unwrap());
        let at = |offset: u64| usize::try_from(offset).unwrap();
        let mut chunks = vec![Ok(stored.slice(at(range.start)..at(range.end)))];
        if self.flaw == CasFlaw::VerifiesTooLate && ContentHash::of(&stored) != hash {
            chunks.push(Err(Error::new(ErrorKind::Corrupt, format!("content {hash} is damaged"))));
        }
        Ok(ContentReader::new(info, range, stream::iter(chunks).boxed()))
    }
}

/// What content that is not there is taken for.
fn empty(hash: ContentHash) -> ContentInfo {
    ContentInfo { hash, size: 0, modified_ms: 1 }
}

#[async_trait]
impl Cas for FlawedCas {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn writer(&self) -> Result<Box<dyn CasWriter>> {
        // Also where it is not used: it says whether the store is open.
        let inner = self.inner.writer().await?;
        let writer: Box<dyn CasWriter> = match self.flaw {
            CasFlaw::ShowsContentWhileItIsWritten | CasFlaw::WritesOutside => {
                let (cas, place) = (Arc::clone(&self.inner), self.place.clone());
                Box::new(FlawedWriter { inner, flaw: self.flaw, cas, place })
            }
            CasFlaw::SyncsNothing
            | CasFlaw::SyncsNoName
            | CasFlaw::KeepsWhatIsThere
            | CasFlaw::StoresACopyPerWriter
            | CasFlaw::GathersInMemory
            | CasFlaw::LeavesWhatWasAbandoned => Box::new(PlainWriter::new(self.place.clone(), self.flaw)),
            _ => inner,
        };
        Ok(writer)
    }

    async fn reader(&self, hash: ContentHash, range: ByteRange) -> Result<ContentReader> {
        match self.flaw {
            CasFlaw::VerifiesNothing | CasFlaw::VerifiesTooLate => self.unverified(hash, range).await,
            CasFlaw::GivesItAllAtOnce => {
                let reader = self.inner.reader(hash, range).await?;
                let (info, range) = (*reader.info(), reader.range());
                let all = reader.bytes().await?;
                Ok(ContentReader::new(info, range, stream::iter([Ok(all)]).boxed()))
            }
            CasFlaw::IgnoresTheRange => self.inner.reader(hash, ByteRange::FULL).await,
            CasFlaw::IncludesTheEnd => {
                let end = range.end.map(|end| end.saturating_add(1));
                self.inner.reader(hash, ByteRange { end, ..range }).await
            }
            CasFlaw::TakesMissingForEmpty => match self.inner.reader(hash, range).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    Ok(ContentReader::new(empty(hash), 0..0, stream::empty().boxed()))
                }
                result => result,
            },
            _ => self.inner.reader(hash, range).await,
        }
    }

    async fn stat(&self, hash: ContentHash) -> Result<ContentInfo> {
        match self.inner.stat(hash).await {
            Err(error) if error.kind() == ErrorKind::NotFound && self.flaw == CasFlaw::TakesMissingForEmpty => {
                Ok(empty(hash))
            }
            result => result,
        }
    }

    async fn list(&self, after: Option<ContentHash>, limit: usize) -> Result<ContentPage> {
        if self.flaw == CasFlaw::SkipsAtThePagesEdge && after.is_some() {
            let page = self.inner.list(after, limit + 1).await?;
            return Ok(ContentPage { items: page.items.into_iter().skip(1).collect(), complete: page.complete });
        }
        let mut page = self.inner.list(after, limit).await?;
        match self.flaw {
            CasFlaw::ListsTheFirstTwice if after.is_none() => {
                if let Some(first) = page.items.first().copied() {
                    page.items.insert(0, first);
                }
                page.complete &= page.items.len() <= limit;
                page.items.truncate(limit);
            }
            CasFlaw::ListsNoTime => page.items.iter_mut().for_each(|info| info.modified_ms = 0),
            _ => {}
        }
        Ok(page)
    }

    async fn remove(&self, hash: ContentHash) -> Result<()> {
        match self.flaw {
            CasFlaw::IgnoresRemovals => return Ok(()),
            CasFlaw::RefusesASecondRemoval => {
                self.inner.stat(hash).await?;
            }
            _ => {}
        }
        self.inner.remove(hash).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }

    fn closing(&self) {
        self.inner.closing();
    }
}

/// Content on its way in, not only to where it belongs.
#[derive(Debug)]
struct FlawedWriter {
    inner: Box<dyn CasWriter>,
    flaw: CasFlaw,
    cas: Arc<dyn Cas>,
    place: PathBuf,
}

#[async_trait]
impl CasWriter for FlawedWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.flaw == CasFlaw::ShowsContentWhileItIsWritten {
            let mut early = self.cas.writer().await?;
            early.write(bytes.clone()).await?;
            early.finish().await?;
        }
        self.inner.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<ContentHash> {
        let Self { inner, flaw, place, .. } = *self;
        let hash = inner.finish().await?;
        if flaw == CasFlaw::WritesOutside {
            std::fs::write(place.with_file_name(hash.to_hex()), "").unwrap();
        }
        Ok(hash)
    }
}
