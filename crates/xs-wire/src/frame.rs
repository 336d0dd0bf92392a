//! A frame in JSON, its meta in a header, and moments as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use xs_core::{Frame, FrameId, Meta, Result};

use crate::error::invalid;

/// The header that carries the meta of a frame to append: [`encode_meta`].
pub const META_HEADER: &str = "xs-meta";

/// Meta as a header carries it: standard base64 of its text.
pub fn encode_meta(meta: &Meta) -> String {
    STANDARD.encode(meta.as_str())
}

/// The meta that a header carries; `None` for JSON `null`. `InvalidInput` when it is no standard
/// base64 of JSON.
pub fn decode_meta(value: &[u8]) -> Result<Option<Meta>> {
    let bytes = STANDARD
        .decode(value)
        .map_err(|error| invalid(format!("header {META_HEADER} is not standard base64: {error}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| invalid(format!("header {META_HEADER} is not base64 of UTF-8: {error}")))?;
    Meta::parse(&text).map_err(|error| error.context(format_args!("header {META_HEADER}")))
}

/// The time of an id, as RFC 3339 in UTC.
pub fn timestamp(id: FrameId) -> String {
    format!("{:.3}", moment(id.timestamp_ms()))
}

/// A moment in milliseconds since 1970 as HTTP spells it, to the second: the value of `Last-Modified`.
///
/// ```
/// assert_eq!(xs_wire::modified_text(1_500), "Thu, 01 Jan 1970 00:00:01 GMT");
/// assert_eq!(xs_wire::modified_ms("Thu, 01 Jan 1970 00:00:01 GMT"), Some(1_000));
/// ```
pub fn modified_text(ms: u64) -> String {
    // It fails only for years before 0, which no such moment lies in.
    DateTimePrinter::new().timestamp_to_rfc9110_string(&moment(ms)).unwrap_or_default()
}

/// The milliseconds since 1970 of a moment that HTTP spells.
pub fn modified_ms(text: &str) -> Option<u64> {
    let moment = DateTimeParser::new().parse_timestamp(text).ok()?;
    u64::try_from(moment.as_millisecond()).ok()
}

fn moment(ms: u64) -> Timestamp {
    // 48 bits of milliseconds reach beyond the year 9999, where RFC 3339 ends.
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}

/// A frame as one line of JSON, without the line's end.
pub fn frame_json(frame: &Frame, with_timestamp: bool) -> Result<String> {
    let mut json = frame.to_json()?;
    if with_timestamp && json.pop() == Some('}') {
        json.push_str(",\"timestamp\":\"");
        json.push_str(&timestamp(frame.id));
        json.push_str("\"}");
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "03d4q1qhbiv09ovtuhokw5yxv";

    #[test]
    fn timestamps_are_rfc_3339_whatever_the_id() {
        let id: FrameId = ID.parse().unwrap();
        assert!(timestamp(id).ends_with('Z') && timestamp(id).len() == 24, "{}", timestamp(id));
        assert_eq!(timestamp(FrameId::MIN), "1970-01-01T00:00:00.000Z");
        assert!(timestamp(FrameId::MAX).starts_with("9999-"));
    }

    #[test]
    fn moments_round_trip_to_the_second() {
        for ms in [0, 999, 1_000, 1_700_000_000_123, 253_402_207_200_000] {
            assert_eq!(modified_ms(&modified_text(ms)), Some(ms / 1000 * 1000), "{ms}");
        }
        assert!(!modified_text(u64::MAX).is_empty());
        for bad in ["", "yesterday", "2026-01-01T00:00:00Z", "Wed, 31 Dec 1969 23:59:59 GMT"] {
            assert_eq!(modified_ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_frame_can_have_its_time_and_is_still_one() {
        let frame = Frame::topic("a").unwrap().meta_text("{\"b\":\n1.50}").unwrap().with_id(ID.parse().unwrap());
        let plain = frame_json(&frame, false).unwrap();
        let timed = frame_json(&frame, true).unwrap();
        assert_eq!(plain, frame.to_json().unwrap());
        assert_eq!(timed.replace(&format!(",\"timestamp\":\"{}\"", timestamp(frame.id)), ""), plain);
        assert_eq!(Frame::from_json(&timed).unwrap(), Frame::from_json(&plain).unwrap());
    }

    #[test]
    fn meta_comes_through_a_header_as_it_is() {
        for text in ["{\"z\": 1.50,\n\t\"ä\":\"\u{1f980}\"}", "\"\"", "[]", "1e400"] {
            let meta = Meta::parse(text).unwrap().unwrap();
            let value = encode_meta(&meta);
            assert!(http::HeaderValue::from_str(&value).is_ok());
            assert_eq!(decode_meta(value.as_bytes()).unwrap(), Some(meta));
        }
        assert_eq!(decode_meta(STANDARD.encode("null").as_bytes()).unwrap(), None);
        for bad in ["{}", "e30", &STANDARD.encode([0xff]), &STANDARD.encode("{"), ""] {
            let error = decode_meta(bad.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(META_HEADER), "{bad}: {error}");
        }
    }
}
