//! Content, and parts of it.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use http::{Method, StatusCode, header};
use xs_core::{ByteRange, Content, ContentHash, ContentInfo, ContentReader, Result, Verifier};
use xs_wire::paths;

use crate::body::Body;
use crate::client::Client;
use crate::connect::unavailable;
use crate::request::{Request, Response, not_understood};

impl Client {
    /// The bytes of `range` of some content; `NotFound` when it is not there, `InvalidInput` when the range
    /// starts beyond its end.
    ///
    /// What is whole is verified here once more, so that nothing on the way can change it unseen: it ends in
    /// `Corrupt` then. Of a part, the server's word is taken. `Unavailable` when it breaks off, which is also
    /// how a server ends content that turns out to be damaged after it has begun.
    pub async fn content(&self, hash: ContentHash, range: ByteRange) -> Result<ContentReader> {
        if range.end.is_some_and(|end| end <= range.start) {
            // HTTP has no words for a range of nothing.
            let info = self.content_info(hash).await?;
            return Ok(nothing(info, range.within(info.size)?));
        }
        let mut request = Request::new(Method::GET, paths::content(&hash));
        if range != ByteRange::FULL {
            request = request.header(header::RANGE, asked(range));
        }
        let mut response = self.exchange(request).await?;
        response.body = response.body.within(self.options().response_timeout);
        let part = response.header(header::CONTENT_RANGE).and_then(content_range);
        match (response.status, part) {
            (StatusCode::OK, _) => {
                let size = response.body.size().ok_or_else(|| not_understood("it does not say how long it is"))?;
                let info = ContentInfo { hash, size, modified_ms: modified_ms(&response) };
                let range = range.within(size)?;
                Ok(ContentReader::new(info, range.clone(), verified(hash, range, response.body).boxed()))
            }
            (StatusCode::PARTIAL_CONTENT, Some((Some(part), size))) => {
                let info = ContentInfo { hash, size, modified_ms: modified_ms(&response) };
                if part != range.within(size)? {
                    return Err(not_understood(format_args!("bytes {}..{} were not asked for", part.start, part.end)));
                }
                let chunks = match part == (0..size) {
                    true => verified(hash, part.clone(), response.body).boxed(),
                    false => counted(hash, part.end - part.start, response.body).boxed(),
                };
                Ok(ContentReader::new(info, part, chunks))
            }
            (StatusCode::PARTIAL_CONTENT, _) => Err(not_understood("it does not say which part it is")),
            (StatusCode::RANGE_NOT_SATISFIABLE, Some((None, size))) if range.start >= size => {
                let info = ContentInfo { hash, size, modified_ms: modified_ms(&response) };
                Ok(nothing(info, range.within(size)?))
            }
            _ => Err(response.into_error(self).await),
        }
    }

    /// Size and time of some content, or `NotFound`. The time is that of the server, to the second; 0 where it
    /// does not say.
    pub async fn content_info(&self, hash: ContentHash) -> Result<ContentInfo> {
        // What refuses a HEAD request cannot say why.
        let about = |error: xs_core::Error| error.context(format_args!("content {hash}"));
        let response = self.request(Request::new(Method::HEAD, paths::content(&hash))).await.map_err(about)?;
        let size = response.header(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
        let size = size.ok_or_else(|| not_understood("it does not say how long the content is"))?;
        Ok(ContentInfo { hash, size, modified_ms: modified_ms(&response) })
    }
}

/// The content, unless it is empty. What it begins with is waited for.
pub(crate) async fn not_empty(content: Content) -> Result<Option<Content>> {
    match content.size() {
        Some(0) => Ok(None),
        Some(_) => Ok(Some(content)),
        None => {
            let mut chunks = content.into_chunks();
            let first = chunks.next().await.transpose()?;
            Ok(first.map(|first| Content::stream(stream::iter([Ok(first)]).chain(chunks))))
        }
    }
}

fn modified_ms(response: &Response) -> u64 {
    response.header(header::LAST_MODIFIED).and_then(xs_wire::modified_ms).unwrap_or_default()
}

/// A range as a header asks for it: with the last byte, not the one after it.
fn asked(range: ByteRange) -> String {
    match range.end {
        Some(end) => format!("bytes={}-{}", range.start, end.saturating_sub(1)),
        None => format!("bytes={}-", range.start),
    }
}

/// Which part of how many bytes an answer has, or that it has none.
fn content_range(text: &str) -> Option<(Option<Range<u64>>, u64)> {
    let (part, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let size = size.parse().ok()?;
    if part == "*" {
        return Some((None, size));
    }
    let (first, last) = part.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse::<u64>().ok()?);
    (first <= last && last < size).then(|| (Some(first..last + 1), size))
}

fn nothing(info: ContentInfo, range: Range<u64>) -> ContentReader {
    ContentReader::new(info, range, stream::empty().boxed())
}

/// The bytes of `range` of all of this content.
fn verified(hash: ContentHash, range: Range<u64>, body: Body) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    stream::try_unfold((Some(Verifier::new(hash, range)), body), move |(verifier, mut body)| async move {
        let Some(mut verifier) = verifier else { return Ok(None) };
        while let Some(chunk) = next(hash, &mut body).await? {
            if let Some(chunk) = verifier.push(chunk) {
                return Ok(Some((chunk, (Some(verifier), body))));
            }
        }
        Ok(verifier.finish()?.map(|last| (last, (None, body))))
    })
}

/// A part of this content, of so many bytes.
fn counted(hash: ContentHash, bytes: u64, body: Body) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    stream::try_unfold((bytes, body), move |(left, mut body)| async move {
        let chunk = next(hash, &mut body).await?;
        match (left.checked_sub(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64)), chunk) {
            (Some(left), Some(chunk)) => Ok(Some((chunk, (left, body)))),
            (Some(0), None) => Ok(None),
            (Some(left), None) => Err(unavailable(
                format!("content {hash}: the answer broke off {left} bytes before its end"),
                "it ended",
            )),
            (None, _) => Err(not_understood(format_args!("content {hash}: more came than was asked for"))),
        }
    })
}

async fn next(hash: ContentHash, body: &mut Body) -> Result<Option<Bytes>> {
    body.next().await.transpose().map_err(|error| {
        let message =
            format!("content {hash} did not come whole: {error} (if it is damaged, the server's log says so)");
        unavailable(message, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_spelled_as_rfc_9110_says() {
        assert_eq!(asked(ByteRange { start: 2, end: Some(5) }), "bytes=2-4");
        assert_eq!(asked(ByteRange { start: 2, end: None }), "bytes=2-");
        assert_eq!(asked(ByteRange { start: 0, end: Some(1) }), "bytes=0-0");
        for (text, range) in [
            ("bytes 0-0/1", Some((Some(0..1), 1))),
            ("bytes 2-4/10", Some((Some(2..5), 10))),
            ("bytes */10", Some((None, 10))),
            ("bytes 2-4/*", None),
            ("bytes 4-2/10", None),
            ("bytes 2-10/10", None),
            ("bytes 2-18446744073709551615/18446744073709551615", None),
            ("2-4/10", None),
            ("", None),
        ] {
            assert_eq!(content_range(text), range, "{text}");
        }
    }

    #[tokio::test]
    async fn content_that_turns_out_to_be_empty_is_none() {
        let chunks = |chunks: &[&'static str]| {
            let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect();
            Content::stream(stream::iter(chunks))
        };
        for empty in [Content::none(), "".into(), chunks(&[]), chunks(&["", ""])] {
            assert!(not_empty(empty).await.unwrap().is_none());
        }
        for some in [Content::from("ab"), chunks(&["", "a", "", "b"])] {
            let some = not_empty(some).await.unwrap().unwrap();
            let all: Vec<Bytes> = some.into_chunks().map(Result::unwrap).collect().await;
            assert_eq!(all.concat(), b"ab");
        }
    }
}
