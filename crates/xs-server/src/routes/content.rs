//! `/cas`: content in and out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use xs::{ByteRange, ContentHash, ContentInfo};

use super::body::{broke_off, content};
use super::{App, Segment};
use crate::error::{ApiError, ApiResult};
use crate::openapi::{self, About, BYTES, TEXT, answer};

pub(super) async fn post(State(app): State<Arc<App>>, body: Body) -> ApiResult {
    match app.stream.put(content(body)).await? {
        Some(hash) => Ok(hash.to_string().into_response()),
        None => Err(ApiError::invalid("the body is empty")),
    }
}

pub(super) fn about_post() -> About {
    About::new("cas-post", "content", "Store content")
        .takes(openapi::body("The content, whatever its size", true).content(BYTES, openapi::binary("Any bytes")))
        .answers("200", answer("It is stored, durably").content(TEXT, openapi::text("Its hash")))
        .refuses(&["413"])
}

/// Ranges are for GET alone (RFC 9110, section 14.2).
pub(super) async fn head(State(app): State<Arc<App>>, hash: Segment, request: HeaderMap) -> ApiResult {
    let info = app.stream.content_info(hash.parse()?).await?;
    match is_known(&request, info.hash) {
        true => Ok(not_modified(info.hash)),
        false => Ok((headers(&info, info.size), Body::empty()).into_response()),
    }
}

pub(super) fn about_head() -> About {
    About::new("cas-head", "content", "The size of content")
        .path("hash", "Its hash; the slashes in it may be escaped", openapi::content_hash())
        .header("If-None-Match", "ETags of content that is known already", openapi::string())
        .answers("200", openapi::with_headers(answer("It is there"), &["Content-Length", "ETag", "Last-Modified"]))
        .answers("304", openapi::with_headers(answer("It is known"), &["ETag"]))
        .refuses(&["404"])
}

pub(super) async fn get(State(app): State<Arc<App>>, hash: Segment, request: HeaderMap) -> ApiResult {
    let hash: ContentHash = hash.parse()?;
    let info = app.stream.content_info(hash).await?;
    if is_known(&request, hash) {
        return Ok(not_modified(hash));
    }
    let asked = request.get(header::RANGE).filter(|_| is_range_wanted(&request, hash));
    let range = match asked.map(|value| range(value, info.size)) {
        None | Some(Asked::All) => None,
        Some(Asked::Part(range)) => Some(range),
        Some(Asked::Nothing) => return Ok(unsatisfiable(info.size)),
    };
    let mut chunks = app.stream.content(hash, range.unwrap_or(ByteRange::FULL)).await?;
    let part = chunks.range();
    // The first chunk before the head: damage that it shows is still an answer and not a transfer that
    // breaks off, and a body that ought to be empty is not sent without having been looked at.
    let first = chunks.try_next().await?;
    let rest = chunks.map_err(move |error| broke_off(error, &app.counters));
    let body = Body::from_stream(futures::stream::iter(first.map(Ok)).chain(rest));
    let mut response = (headers(&info, part.end - part.start), body).into_response();
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let value = format!("bytes {}-{}/{}", part.start, part.end.saturating_sub(1), info.size);
        insert(response.headers_mut(), header::CONTENT_RANGE, &value);
    }
    Ok(response)
}

pub(super) fn about_get() -> About {
    let bytes = |description| openapi::with_headers(answer(description), &["Content-Length", "ETag", "Last-Modified"]);
    About::new("cas-get", "content", "Content")
        .more("Content that turns out to be damaged breaks off, and never ends as if it were whole.")
        .path("hash", "Its hash; the slashes in it may be escaped", openapi::content_hash())
        .header("Range", "One range of bytes; what is none is passed over", openapi::string())
        .header("If-Range", "Its ETag: a range is wanted of this content only", openapi::string())
        .header("If-None-Match", "ETags of content that is known already", openapi::string())
        .answers("200", bytes("All of it").content(BYTES, openapi::binary("The bytes")))
        .answers(
            "206",
            openapi::with_headers(bytes("The range"), &["Content-Range"]).content(BYTES, openapi::binary("The bytes")),
        )
        .answers("304", openapi::with_headers(answer("It is known"), &["ETag"]))
        .refuses(&["404", "416"])
}

/// Content never changes under its hash, so whoever has it need not ask again.
fn headers(info: &ContentInfo, length: u64) -> HeaderMap {
    let mut headers = lasting(info.hash);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(BYTES));
    // Whatever somebody has stored, it is no page of this server's.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    insert(&mut headers, header::LAST_MODIFIED, &xs_wire::modified_text(info.modified_ms));
    headers
}

fn lasting(hash: ContentHash) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=31536000, immutable"));
    insert(&mut headers, header::ETAG, &etag(hash));
    headers
}

fn not_modified(hash: ContentHash) -> Response {
    (StatusCode::NOT_MODIFIED, lasting(hash)).into_response()
}

fn etag(hash: ContentHash) -> String {
    format!("\"{hash}\"")
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn is_known(request: &HeaderMap, hash: ContentHash) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    tags.any(|tag| tag == "*" || tag == etag(hash))
}

/// Whether a range is wanted whatever there is, or of this content.
fn is_range_wanted(request: &HeaderMap, hash: ContentHash) -> bool {
    request.get(header::IF_RANGE).is_none_or(|tag| tag.as_bytes() == etag(hash).as_bytes())
}

/// What a `Range` header asks for (RFC 9110, section 14).
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Not understood, or several ranges: the whole may be sent.
    All,
    Part(ByteRange),
    Nothing,
}

fn range(value: &HeaderValue, size: u64) -> Asked {
    let Some((first, last)) = value.to_str().ok().and_then(|text| text.strip_prefix("bytes=")?.split_once('-')) else {
        return Asked::All;
    };
    let (first, last) = (first.trim(), last.trim());
    match (position(first), position(last)) {
        (Some(first), Some(last)) if first > last => Asked::All,
        (Some(first), Some(_)) if first >= size => Asked::Nothing,
        (Some(start), Some(last)) => Asked::Part(ByteRange { start, end: Some(last.saturating_add(1)) }),
        (Some(first), None) if last.is_empty() && first >= size => Asked::Nothing,
        (Some(start), None) if last.is_empty() => Asked::Part(ByteRange { start, end: None }),
        (None, Some(suffix)) if first.is_empty() && (suffix == 0 || size == 0) => Asked::Nothing,
        (None, Some(suffix)) if first.is_empty() => {
            Asked::Part(ByteRange { start: size.saturating_sub(suffix), end: None })
        }
        _ => Asked::All,
    }
}

/// Digits and nothing else. More than fit lie beyond all content.
fn position(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn unsatisfiable(size: u64) -> Response {
    let error = ApiError::invalid(format!("header Range lies beyond the content's {size} bytes"));
    let mut response = error.with_status(StatusCode::RANGE_NOT_SATISFIABLE).into_response();
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let part = |start, end| Asked::Part(ByteRange { start, end });
        for (text, asked) in [
            ("bytes=0-0", part(0, Some(1))),
            ("bytes=2-4", part(2, Some(5))),
            ("bytes=2-99", part(2, Some(100))),
            ("bytes=9-", part(9, None)),
            ("bytes=-3", part(7, None)),
            ("bytes=-99", part(0, None)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=10-11", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=4-2", Asked::All),
            ("bytes=0-1,3-4", Asked::All),
            ("items=0-1", Asked::All),
            ("bytes=a-b", Asked::All),
            ("bytes=-", Asked::All),
            ("bytes=+1-2", Asked::All),
            ("bytes=10-x", Asked::All),
            ("bytes=99999999999999999999-", Asked::Nothing),
            ("bytes=0-99999999999999999999", part(0, Some(u64::MAX))),
        ] {
            assert_eq!(range(&HeaderValue::from_static(text), 10), asked, "{text}");
        }
    }
}
