//! The trait of a content store, and how content goes in and comes out.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use crate::{Capabilities, ContentHash, ContentHasher, Error, ErrorKind, Result};

/// A content-addressed store: what the filesystem and S3 implement.
///
/// * **C1** content is durable before its hash is returned.
/// * **C2** bytes that do not match the hash are never returned as good: the reader ends with
///   `Corrupt`. [`Verifier`] does it.
/// * **C3** the same content twice, also at once from many writers, is stored once.
/// * **C4** any size streams through at most 8 MiB of memory, in and out.
/// * **C5** ranges. **C6** a missing hash is `NotFound`.
/// * **C7** an abandoned writer leaves nothing visible; its leftovers are cleared later.
/// * **C8** list gives every hash once, with size and time. **C9** removal is idempotent.
/// * **C10** no hash can name a place outside the store: a [`ContentHash`] is 32 bytes, never a path.
#[async_trait]
pub trait Cas: Send + Sync + fmt::Debug + 'static {
    /// The scheme under which it is registered, such as `fs`.
    fn name(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Starts storing content.
    async fn writer(&self) -> Result<Box<dyn CasWriter>>;

    /// The bytes of `range` of this content; `NotFound` when it is not there, `InvalidInput` when
    /// the range starts beyond its end.
    async fn reader(&self, hash: ContentHash, range: ByteRange) -> Result<ContentReader>;

    /// Size and time of this content, or `NotFound`.
    async fn stat(&self, hash: ContentHash) -> Result<ContentInfo>;

    /// Content in the order of its hashes, after `after`, at most `limit`.
    async fn list(&self, after: Option<ContentHash>, limit: usize) -> Result<ContentPage>;

    /// Removes this content; what is not there is no error.
    async fn remove(&self, hash: ContentHash) -> Result<()>;

    /// Releases the location. Later calls are `Closed`; closing twice is no error.
    async fn close(&self) -> Result<()>;

    /// As [`Store::closing`](crate::Store::closing).
    fn closing(&self) {}
}

/// Content on its way in. Dropped before [`finish`](Self::finish), it leaves nothing behind.
#[async_trait]
pub trait CasWriter: Send + fmt::Debug {
    /// Takes the next bytes.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the content durable and visible, and names it.
    async fn finish(self: Box<Self>) -> Result<ContentHash>;
}

/// A part of content, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// The byte after the last one; `None`, or beyond the end: to the end.
    pub end: Option<u64>,
}

impl ByteRange {
    /// All of it.
    pub const FULL: Self = Self { start: 0, end: None };

    /// The part of `size` bytes that it selects. `InvalidInput` when it starts beyond the end or
    /// ends before it starts.
    pub fn within(self, size: u64) -> Result<Range<u64>> {
        let end = self.end.unwrap_or(size).min(size);
        match self.start <= end {
            true => Ok(self.start..end),
            false => Err(Error::invalid(format!(
                "range {}..{} does not lie in content of {size} bytes",
                self.start,
                self.end.map_or_else(String::new, |end| end.to_string()),
            ))),
        }
    }
}

/// What is known of content without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentInfo {
    /// Its name.
    pub hash: ContentHash,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last stored, in milliseconds since 1970.
    pub modified_ms: u64,
}

/// One page of a listing.
#[derive(Clone, Debug, Default)]
pub struct ContentPage {
    /// In the order of their hashes.
    pub items: Vec<ContentInfo>,
    /// Whether nothing comes after it.
    pub complete: bool,
}

/// Checks content while it is read, and keeps damage from looking good.
///
/// It takes all bytes of the content, whatever range is wanted, and gives out the wanted ones one
/// chunk late: the last chunk comes only after the hash has been found right. Content that fits
/// one chunk is so never given out unverified, and of larger content no complete copy is.
#[derive(Debug)]
pub struct Verifier {
    hash: ContentHash,
    hasher: ContentHasher,
    range: Range<u64>,
    position: u64,
    held: Option<Bytes>,
}

impl Verifier {
    /// For the bytes of `range` of this content.
    pub fn new(hash: ContentHash, range: Range<u64>) -> Self {
        Self { hash, hasher: ContentHasher::new(), range, position: 0, held: None }
    }

    /// Takes the next bytes of the content; gives what of the range may go out now.
    pub fn push(&mut self, chunk: Bytes) -> Option<Bytes> {
        self.hasher.update(&chunk);
        let length = chunk.len();
        // An offset beyond the chunk's length is clamped to it, whatever the platform's usize.
        let offset = |at: u64| usize::try_from(at.saturating_sub(self.position)).unwrap_or(length).min(length);
        let (start, end) = (offset(self.range.start), offset(self.range.end));
        self.position += length as u64;
        match start < end {
            true => self.held.replace(chunk.slice(start..end)),
            false => None,
        }
    }

    /// At the end of the content: the last bytes of the range, or `Corrupt`.
    pub fn finish(self) -> Result<Option<Bytes>> {
        let actual = self.hasher.finish();
        match actual == self.hash {
            true => Ok(self.held),
            false => Err(Error::corrupt(format!(
                "content {} is damaged: its {} stored bytes hash to {actual}",
                self.hash, self.position
            ))),
        }
    }
}

/// Content on its way out: a stream of chunks, and an [`AsyncRead`].
pub struct ContentReader {
    info: ContentInfo,
    range: Range<u64>,
    chunks: BoxStream<'static, Result<Bytes>>,
    rest: Bytes,
}

impl ContentReader {
    /// The bytes of `range` of this content, verified by whoever makes `chunks`.
    pub fn new(info: ContentInfo, range: Range<u64>, chunks: BoxStream<'static, Result<Bytes>>) -> Self {
        Self { info, range, chunks, rest: Bytes::new() }
    }

    /// Size and time of the whole content.
    pub fn info(&self) -> &ContentInfo {
        &self.info
    }

    /// Which bytes come.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// All bytes of the range at once, in memory.
    pub async fn bytes(mut self) -> Result<Bytes> {
        let mut all = match self.next().await.transpose()? {
            None => return Ok(Bytes::new()),
            Some(first) => bytes::BytesMut::from(first),
        };
        while let Some(chunk) = self.next().await.transpose()? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }
}

impl fmt::Debug for ContentReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentReader").field("info", &self.info).field("range", &self.range).finish()
    }
}

impl Stream for ContentReader {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        match std::mem::take(&mut self.rest) {
            rest if rest.is_empty() => self.chunks.poll_next_unpin(cx),
            rest => Poll::Ready(Some(Ok(rest))),
        }
    }
}

impl AsyncRead for ContentReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.chunks.poll_next_unpin(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(chunk)) => self.rest = chunk,
                Some(Err(error)) => {
                    let kind = match error.kind() {
                        ErrorKind::Corrupt => std::io::ErrorKind::InvalidData,
                        _ => std::io::ErrorKind::Other,
                    };
                    return Poll::Ready(Err(std::io::Error::new(kind, error)));
                }
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(length));
        Poll::Ready(Ok(()))
    }
}

/// Content that an append stores with its frame. Empty content is no content: the frame has no hash.
#[derive(Default)]
pub struct Content(Source);

#[derive(Default)]
enum Source {
    #[default]
    None,
    Bytes(Bytes),
    Stream(BoxStream<'static, Result<Bytes>>),
}

/// How much of a caller's reader is taken at a time.
const READ_BYTES: usize = 256 * 1024;

impl Content {
    /// No content.
    pub fn none() -> Self {
        Self::default()
    }

    /// What `reader` gives until its end. An error of the reader fails the append with
    /// `InvalidInput`, and stores nothing.
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        let chunks = futures::stream::try_unfold(Box::pin(reader), |mut reader| async move {
            let mut chunk = bytes::BytesMut::with_capacity(READ_BYTES);
            match reader.read_buf(&mut chunk).await {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some((chunk.freeze(), reader))),
                Err(error) => Err(Error::invalid(format!("reading the content: {error}")).with_source(error)),
            }
        });
        Self::stream(chunks)
    }

    /// What `chunks` gives until its end. An error fails the append with that error, and stores
    /// nothing.
    pub fn stream(chunks: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self(Source::Stream(chunks.boxed()))
    }

    /// How many bytes it holds, where that is known before they are read: not of a reader or a stream.
    pub fn size(&self) -> Option<u64> {
        match &self.0 {
            Source::None => Some(0),
            Source::Bytes(bytes) => Some(bytes.len() as u64),
            Source::Stream(_) => None,
        }
    }

    /// Its bytes in chunks, none of which is empty, for who sends them elsewhere than to a [`Cas`]. An
    /// error is the last that comes.
    pub fn into_chunks(self) -> BoxStream<'static, Result<Bytes>> {
        let chunks = match self.0 {
            Source::None => return futures::stream::empty().boxed(),
            Source::Bytes(bytes) => futures::stream::iter([Ok(bytes)]).boxed(),
            Source::Stream(chunks) => chunks,
        };
        let is_something = |chunk: &Result<Bytes>| !matches!(chunk, Ok(chunk) if chunk.is_empty());
        chunks.filter(move |chunk| std::future::ready(is_something(chunk))).boxed()
    }

    /// Stores it, if there is any, and names it. `taken` is told the bytes of each chunk.
    pub(crate) async fn store(self, cas: &dyn Cas, taken: impl Fn(usize)) -> Result<Option<ContentHash>> {
        let mut chunks = match self.0 {
            Source::None => return Ok(None),
            Source::Bytes(bytes) => futures::stream::iter([Ok(bytes)]).boxed(),
            Source::Stream(chunks) => chunks,
        };
        let mut writer = None;
        while let Some(chunk) = chunks.next().await.transpose()? {
            if chunk.is_empty() {
                continue;
            }
            taken(chunk.len());
            match &mut writer {
                None => writer.insert(cas.writer().await?).write(chunk).await?,
                Some(writer) => writer.write(chunk).await?,
            }
        }
        match writer {
            None => Ok(None),
            Some(writer) => writer.finish().await.map(Some),
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::None => f.write_str("Content::none"),
            Source::Bytes(bytes) => write!(f, "Content({} bytes)", bytes.len()),
            Source::Stream(_) => f.write_str("Content(stream)"),
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self(Source::Bytes(bytes))
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Bytes::copy_from_slice(text.as_bytes()).into()
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        Bytes::copy_from_slice(bytes).into()
    }
}

impl From<()> for Content {
    fn from((): ()) -> Self {
        Self::none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn content_can_be_taken_elsewhere() {
        let chunks =
            |content: Content| -> Vec<Result<Bytes>> { futures::executor::block_on(content.into_chunks().collect()) };
        for (content, size, texts) in [
            (Content::none(), Some(0), vec![]),
            (Content::from(""), Some(0), vec![]),
            (Content::from("hello"), Some(5), vec!["hello"]),
            (Content::reader(&b"hello"[..]), None, vec!["hello"]),
            (Content::stream(futures::stream::iter(["a", "", "b"].map(|text| Ok(text.into())))), None, vec!["a", "b"]),
        ] {
            assert_eq!(content.size(), size);
            let got: Vec<Bytes> = chunks(content).into_iter().map(Result::unwrap).collect();
            assert_eq!(got, texts);
        }
        let broken = futures::stream::iter([Ok("a".into()), Err(Error::invalid("no more"))]);
        let got = chunks(Content::stream(broken));
        assert!(matches!(&*got, [Ok(_), Err(error)] if error.to_string() == "no more"));
    }

    proptest! {
        #[test]
        fn a_verifier_gives_the_range_and_nothing_before_the_hash_is_right(
            content in prop::collection::vec(any::<u8>(), 0..64),
            cuts in prop::collection::vec(1usize..16, 0..8),
            start in 0u64..70,
            length in 0u64..70,
            damage in any::<Option<(prop::sample::Index, u8)>>(),
        ) {
            let hash = ContentHash::of(&content);
            let range = ByteRange { start, end: Some(start + length) };
            let Ok(range) = range.within(content.len() as u64) else {
                prop_assert!(start > content.len() as u64);
                return Ok(());
            };
            let wanted = content[range.start as usize..range.end as usize].to_vec();
            let mut stored = content.clone();
            if let (Some((at, mask)), false) = (damage, content.is_empty()) {
                stored[at.index(content.len())] ^= mask;
            }
            let mut verifier = Verifier::new(hash, range);
            let mut out = Vec::new();
            let mut rest = Bytes::from(stored.clone());
            for cut in cuts {
                let chunk = rest.split_to(cut.min(rest.len()));
                out.extend(verifier.push(chunk).unwrap_or_default());
            }
            out.extend(verifier.push(rest).unwrap_or_default());
            match verifier.finish() {
                Ok(last) => {
                    out.extend(last.unwrap_or_default());
                    prop_assert_eq!(stored, content);
                    prop_assert_eq!(out, wanted);
                }
                Err(error) => {
                    prop_assert_eq!(error.kind(), ErrorKind::Corrupt);
                    prop_assert!(out.len() < wanted.len() || wanted.is_empty());
                }
            }
        }
    }
}
