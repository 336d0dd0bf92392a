//! `/cas`: content in and out.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use xs::{ByteRange, ContentHash};

use super::append::content;
use super::{App, Segment};
use crate::error::{ApiError, ApiResult};
use crate::wire::Params;

pub(super) async fn post(State(app): State<App>, RawQuery(query): RawQuery, body: Body) -> ApiResult {
    Params::parse(query.as_deref()).finish()?;
    match app.stream.put(content(body)).await? {
        Some(hash) => Ok(hash.to_string().into_response()),
        None => Err(ApiError::invalid("the body is empty")),
    }
}

pub(super) async fn head(State(app): State<App>, Segment(hash): Segment) -> ApiResult {
    let hash: ContentHash = hash.parse()?;
    let size = app.stream.content_info(hash).await?.size;
    Ok((headers(hash, size), Body::empty()).into_response())
}

pub(super) async fn get(State(app): State<App>, Segment(hash): Segment, request: HeaderMap) -> ApiResult {
    let hash: ContentHash = hash.parse()?;
    let size = app.stream.content_info(hash).await?.size;
    if is_known(&request, hash) {
        let mut response = (StatusCode::NOT_MODIFIED, headers(hash, size)).into_response();
        response.headers_mut().remove(header::CONTENT_LENGTH);
        return Ok(response);
    }
    let range = match request.get(header::RANGE).map(|value| range(value, size)) {
        None | Some(Asked::All) => None,
        Some(Asked::Part(range)) => Some(range),
        Some(Asked::Nothing) => return Ok(unsatisfiable(size)),
    };
    let reader = app.stream.content(hash, range.unwrap_or(ByteRange::FULL)).await?;
    let part = reader.range();
    let mut chunks = reader.inspect_err(move |error| {
        tracing::error!(kind = %error.kind(), %hash, %error, "content cannot be given out");
    });
    // The first chunk before the head: damage that it shows is still an answer and not a transfer that
    // breaks off, and a body that ought to be empty is not sent without having been looked at.
    let first = chunks.try_next().await?;
    let body = Body::from_stream(futures::stream::iter(first.map(Ok)).chain(chunks));
    let mut response = (headers(hash, part.end - part.start), body).into_response();
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let value = format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1));
        insert(response.headers_mut(), header::CONTENT_RANGE, &value);
    }
    Ok(response)
}

/// Content never changes under its hash, so whoever has it need not ask again.
fn headers(hash: ContentHash, length: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=31536000, immutable"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    insert(&mut headers, header::ETAG, &etag(hash));
    headers
}

fn etag(hash: ContentHash) -> String {
    format!("\"{hash}\"")
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn is_known(request: &HeaderMap, hash: ContentHash) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    tags.any(|tag| tag == "*" || tag == etag(hash))
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
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first > last => Asked::All,
        (Ok(first), _) if first >= size => Asked::Nothing,
        (Ok(start), Ok(last)) => Asked::Part(ByteRange { start, end: Some(last.saturating_add(1)) }),
        (Ok(start), Err(_)) if last.trim().is_empty() => Asked::Part(ByteRange { start, end: None }),
        (Err(_), Ok(0)) if first.trim().is_empty() => Asked::Nothing,
        (Err(_), Ok(_)) if first.trim().is_empty() && size == 0 => Asked::Nothing,
        (Err(_), Ok(suffix)) if first.trim().is_empty() => {
            Asked::Part(ByteRange { start: size.saturating_sub(suffix), end: None })
        }
        _ => Asked::All,
    }
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
        ] {
            assert_eq!(range(&HeaderValue::from_static(text), 10), asked, "{text}");
        }
    }
}
