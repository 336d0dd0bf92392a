//! Copying a store into one of other parts.

use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt as _;
use xs_core::{
    Batch, ByteRange, Cas, ContentHash, ContentInfo, Create, Direction, Error, ErrorKind, Frame, FrameId, IdRange,
    Parts, Pattern, Result, Scan, Store, Topic, limits,
};

use crate::OpenOptions;
use crate::manifest::{CopyOf, Found, name};

/// Content that is listed at a time.
const CONTENT_PAGE: usize = 256;

/// How far a copy has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Pieces of content that are in the copy, those of an earlier attempt included.
    pub contents: u64,
    /// Bytes of content that this attempt has copied.
    pub content_bytes: u64,
    /// Frames that are in the copy.
    pub frames: u64,
    /// How far it is, in thousandths: content is half of it, frames are the other half. An estimate,
    /// by where in the order of hashes, and of times, it is.
    pub permille: u16,
}

/// Copies the store in the directory `from` into one in `to`, of the parts that `options` ask for:
/// its frames with their ids, its content, and nothing else. Tells `progress` of every page.
///
/// Neither may be open elsewhere (`Locked`). Every byte of content is compared with its hash. When it
/// is cut short, the same call goes on where it was, and removes what was removed meanwhile;
/// until it is through, `to` is no store. `InvalidInput` where `to` holds anything else than the
/// beginning of this same copy; `Corrupt` where bytes of `from` are damaged.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> xs::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let (from, to) = (dir.path().join("from"), dir.path().join("to"));
/// # xs::open(&from).await?.append(xs::Frame::topic("a")?, "content").await?;
/// use xs::OpenOptions;
/// let copied = xs::copy(&from, &to, &OpenOptions::new(), |_| {}).await?;
/// assert_eq!((copied.frames, copied.contents), (1, 1));
/// # Ok(())
/// # }
/// ```
pub async fn copy(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: &OpenOptions,
    progress: impl FnMut(Progress) + Send,
) -> Result<Progress> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let reading = |error| Error::io(format_args!("reading {}", from.display()), error);
    let absolute = from.canonicalize().map_err(reading)?;
    let same = to.canonicalize().is_ok_and(|to| to == absolute);
    if same {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{} is both ends of the copy", from.display())));
    }
    let source = OpenOptions::new().registry(options.registry_ref().clone()).create(Create::Never);
    let source = source.open_parts(from).await?;
    let copied = async {
        let (index, cas) = options.locate(to, &Found::Nothing)?;
        let copy_of = CopyOf { from: absolute.display().to_string(), index: name(&index), cas: name(&cas) };
        let options = options.clone().create(Create::IfMissing);
        let (target, opened) = options.open_unfinished(to, Some(copy_of)).await?;
        let copied = match opened.is_store() {
            false => Copy { source: &source, target: &target, done: Progress::default(), progress }.run().await,
            true => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("{} is a store already: copy into a directory that is empty or missing", to.display()),
            )),
        };
        let closed = close(&target).await;
        let copied = copied.and_then(|done| closed.map(|()| done))?;
        opened.finish().await?;
        Ok(copied)
    }
    .await;
    let closed = close(&source).await;
    copied.and_then(|done| closed.map(|()| done))
}

async fn close(parts: &Parts) -> Result<()> {
    let (store, cas) = (parts.store.close().await, parts.cas.close().await);
    store.and(cas)
}

struct Copy<'a, P> {
    source: &'a Parts,
    target: &'a Parts,
    done: Progress,
    progress: P,
}

impl<P: FnMut(Progress)> Copy<'_, P> {
    async fn run(mut self) -> Result<Progress> {
        // Content first, so that no frame refers to what is not there yet.
        self.contents().await?;
        self.frames().await?;
        self.done.permille = 1000;
        (self.progress)(self.done);
        Ok(self.done)
    }

    async fn contents(&mut self) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.source.cas.list(after, CONTENT_PAGE).await?;
            for info in &page.items {
                self.content(info).await?;
                after = Some(info.hash);
            }
            // Hashes are spread evenly, and listed in order.
            self.done.permille = after.map_or(0, |hash: ContentHash| {
                let [a, b, ..] = *hash.as_bytes();
                u16::try_from(u32::from(u16::from_be_bytes([a, b])) * 500 / 65_536).unwrap_or(500)
            });
            (self.progress)(self.done);
            if page.complete {
                return Ok(());
            }
        }
    }

    async fn content(&mut self, info: &ContentInfo) -> Result<()> {
        let ContentInfo { hash, size, .. } = *info;
        if !has(&*self.target.cas, hash, size).await? {
            let mut reader = self.source.cas.reader(hash, ByteRange::FULL).await?;
            let mut writer = self.target.cas.writer().await?;
            while let Some(chunk) = reader.try_next().await? {
                self.done.content_bytes += chunk.len() as u64;
                writer.write(chunk).await?;
                (self.progress)(self.done);
            }
            let written = writer.finish().await?;
            if written != hash {
                return Err(Error::new(ErrorKind::Corrupt, format!("content {hash} became {written} on its way")));
            }
        }
        self.done.contents += 1;
        Ok(())
    }

    /// Makes a range of the target into `wanted`, which is in the order of ids, in steps of a page.
    async fn make_same(&self, wanted: &[Frame], mut range: IdRange) -> Result<()> {
        let target = &*self.target.store;
        let mut missing = vec![true; wanted.len()];
        loop {
            let (there, complete) = page(target, range, limits::PAGE_FRAMES).await?;
            let mut gone = Vec::new();
            for frame in &there {
                match wanted.binary_search_by_key(&frame.id, |wanted| wanted.id) {
                    Ok(at) if wanted.get(at) == Some(frame) => {
                        missing.iter_mut().skip(at).take(1).for_each(|missing| *missing = false)
                    }
                    Ok(_) => {
                        let message = format!("another frame than the one to copy has the id {}", frame.id);
                        return Err(Error::new(ErrorKind::Conflict, message));
                    }
                    Err(_) => gone.push(frame.id),
                }
            }
            if let Some(last) = there.last() {
                range = range.beyond(last.id, Direction::Ascending);
            }
            commit(target, Batch { remove: gone, ..Batch::default() }).await?;
            if complete || there.is_empty() {
                break;
            }
        }
        let insert = wanted.iter().zip(missing).filter(|(_, missing)| *missing);
        let insert = insert.map(|(frame, _)| Arc::new(frame.clone())).collect();
        commit(target, Batch { insert, ..Batch::default() }).await
    }

    /// Walks both stores side by side: what is missing is stored, what is gone is removed.
    async fn frames(&mut self) -> Result<()> {
        let (source, target) = (&*self.source.store, &*self.target.store);
        let last_id = source.last_id().await?;
        let first_ms = page(source, IdRange::ALL, 1).await?.0.first().map_or(0, |frame| frame.id.timestamp_ms());
        let mut range = IdRange::ALL;
        loop {
            let (wanted, complete) = page(source, range, limits::PAGE_FRAMES).await?;
            // Up to where the page ends, or to the end of everything.
            let end = if complete { FrameId::MAX } else { wanted.last().map_or(FrameId::MAX, |frame| frame.id) };
            let range_there = IdRange { end: std::ops::Bound::Included(end), ..range };
            self.make_same(&wanted, range_there).await?;
            self.done.frames += wanted.len() as u64;
            let (at, last_ms) = (end.timestamp_ms().min(last_id.timestamp_ms()), last_id.timestamp_ms());
            let share =
                u128::from(at.saturating_sub(first_ms)) * 500 / u128::from(last_ms.saturating_sub(first_ms).max(1));
            self.done.permille = 500 + u16::try_from(share).unwrap_or(500).min(500);
            (self.progress)(self.done);
            if complete {
                break;
            }
            range = range.beyond(end, Direction::Ascending);
        }
        keep_last_id(target, last_id).await
    }
}

/// Whether content is there already, whole and sound: it is read back.
async fn has(cas: &dyn Cas, hash: ContentHash, size: u64) -> Result<bool> {
    let read = async {
        if cas.stat(hash).await?.size != size {
            return Ok(false);
        }
        let mut reader = cas.reader(hash, ByteRange::FULL).await?;
        while reader.try_next().await?.is_some() {}
        Ok(true)
    };
    match read.await {
        Err(error) if matches!(Error::kind(&error), ErrorKind::NotFound | ErrorKind::Corrupt) => Ok(false),
        read => read,
    }
}

/// A page of frames, and whether it is the last.
async fn page(store: &dyn Store, range: IdRange, limit: usize) -> Result<(Vec<Frame>, bool)> {
    let page = store.scan(Scan { range, bytes_max: limits::PAGE_BYTES, ..Scan::new(Pattern::All, limit) }).await?;
    Ok((page.frames, page.complete))
}

async fn commit(store: &dyn Store, batch: Batch) -> Result<()> {
    match batch.is_empty() {
        true => Ok(()),
        false => store.commit(batch).await.map(drop),
    }
}

/// Ids that the copy gives out exceed those of the original, also when its newest frame was removed:
/// a frame of that id comes and goes.
async fn keep_last_id(target: &dyn Store, last_id: FrameId) -> Result<()> {
    if target.last_id().await? < last_id {
        let frame = Frame { id: last_id, topic: Topic::parse("xs.copy")?, hash: None, meta: None, ttl: None };
        target.commit(Batch { insert: vec![Arc::new(frame)], ..Batch::default() }).await?;
        target.commit(Batch { remove: vec![last_id], ..Batch::default() }).await?;
    }
    Ok(())
}
