//! A line of `POST /append`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use xs_core::{ContentHash, Expect, Meta, NewFrame, Result, Topic, Ttl};

use crate::brief::QUOTED_CHARS_MAX;
use crate::error::invalid;
use crate::json::to_json;
use crate::options::{EXPECT_FORMS, expect_text, parse_expect};

/// A frame to append, and the condition of its line: what its topic has to look like.
///
/// The conditions of all lines are checked before any frame of the request is added, so two lines of
/// one topic both look at what was stored before. When one does not hold, no frame is appended.
///
/// In JSON: a [`NewFrame`], and `expect` where wanted: `"none"`, or the topic's last id. `null` asks for
/// nothing.
///
/// ```
/// use xs_core::Expect;
/// use xs_wire::AppendLine;
/// let text = r#"{"topic":"account.7","meta":{"add":5},"expect":"none"}"#;
/// let line = AppendLine::parse(text)?;
/// assert_eq!(line.expect, Some(Expect::Empty));
/// assert_eq!(line.to_json()?, text);
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendLine {
    /// The frame.
    pub frame: NewFrame,
    /// Append only if the frame's topic looks like this.
    pub expect: Option<Expect>,
}

impl AppendLine {
    /// The line that this JSON text is; `InvalidInput` says what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = "not a frame to append";
        let fields: Read<'_> =
            serde_json::from_str(text).map_err(|error| invalid(format!("{refuse}: {error}")).with_source(error))?;
        let Read { topic, hash, meta, ttl, expect } = fields;
        let meta = match meta {
            Some(meta) => Meta::parse(meta.get()).map_err(|error| error.context(refuse))?,
            None => None,
        };
        Ok(Self { frame: NewFrame { topic, hash, meta, ttl }, expect: expect.map(read_expect).transpose()? })
    }

    /// Its JSON form, one line without the line's end. As in a frame's, a line break between the tokens
    /// of its meta becomes a space.
    pub fn to_json(&self) -> Result<String> {
        let Self { frame: NewFrame { topic, hash, meta, ttl }, expect } = self;
        let line = meta.as_ref().map(|meta| meta.as_str().replace(['\n', '\r'], " "));
        let meta: Option<&RawValue> = line
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| invalid(format!("the meta of a frame of {topic} is not JSON: {error}")))?;
        to_json(&Written { topic, hash: *hash, meta, ttl: *ttl, expect: expect.map(expect_text) })
    }
}

impl From<NewFrame> for AppendLine {
    /// A line without a condition.
    fn from(frame: NewFrame) -> Self {
        Self { frame, expect: None }
    }
}

fn read_expect(raw: &RawValue) -> Result<Expect> {
    let text: Option<String> = serde_json::from_str(raw.get()).ok();
    let expect = text.as_deref().and_then(parse_expect);
    expect.ok_or_else(|| {
        let text = raw.get();
        // In quotes it is cut as one, whatever quotes it holds.
        let shown = if text.len() > QUOTED_CHARS_MAX { format!("{text:?}") } else { text.to_owned() };
        invalid(format!("field expect={shown}: {EXPECT_FORMS}"))
    })
}

/// What is unknown is refused, so that nothing is lost in silence.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    topic: Topic,
    hash: Option<ContentHash>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    ttl: Option<Ttl>,
    // Whatever it is, so that a refusal can name the field.
    #[serde(borrow)]
    expect: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Written<'a> {
    topic: &'a Topic,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<ContentHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<Ttl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect: Option<String>,
}

#[cfg(test)]
mod tests {
    use xs_core::{ErrorKind, Frame, META_BYTES_MAX};

    use super::*;

    const ID: &str = "03d4q1qhbiv09ovtuhokw5yxv";

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let hash = ContentHash::of(b"hello");
        for frame in [
            Frame::topic("a").unwrap(),
            Frame::topic("a.b").unwrap().hash(hash).ttl(Ttl::Time { ms: 7 }),
            Frame::topic("a").unwrap().meta_text(r#"{"b": 1.50, "a": "x\n"}"#).unwrap().ttl(Ttl::Ephemeral),
        ] {
            let plain = AppendLine::from(frame.clone()).to_json().unwrap();
            assert_eq!(NewFrame::from_json(&plain).unwrap(), frame);
            for expect in [None, Some(Expect::Empty), Some(Expect::Last(ID.parse().unwrap()))] {
                let line = AppendLine { frame: frame.clone(), expect };
                let text = line.to_json().unwrap();
                assert!(!text.contains('\n'), "{text}");
                assert_eq!(AppendLine::parse(&text).unwrap(), line);
            }
        }
        let lines = Frame::topic("a").unwrap().meta_text("[1,\r\n2]").unwrap();
        let back = AppendLine::parse(&AppendLine::from(lines).to_json().unwrap()).unwrap();
        assert_eq!(back.frame.meta.unwrap().as_str(), "[1,  2]");
    }

    #[test]
    fn null_is_nothing() {
        let nulls = r#"{"topic":"a","hash":null,"meta":null,"ttl":null,"expect":null}"#;
        let line = AppendLine::parse(nulls).unwrap();
        assert_eq!(line, AppendLine::from(Frame::topic("a").unwrap()));
        assert_eq!(line.to_json().unwrap(), r#"{"topic":"a"}"#);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let expect = |value: &str| format!(r#"{{"topic":"a","expect":{value}}}"#);
        let long = format!(r#"{{"topic":"a","meta":"{}"}}"#, "x".repeat(META_BYTES_MAX));
        for (text, name) in [
            (expect(r#""None""#), r#"field expect="None": expected none, or the topic's last id"#),
            (expect(r#""""#), "field expect"),
            (expect(r#""03d4q1qhbiv09ovtuhokw5yx""#), "field expect"),
            // The digits of an id, which a number is not.
            (expect("1234567890123456789012345"), "field expect=1234567890123456789012345:"),
            (expect("false"), "field expect=false:"),
            (expect(r#"["none"]"#), "field expect"),
            (r#"{"topic":"a","expect":"none","expect":"none"}"#.to_owned(), "duplicate field `expect`"),
            (r#"{"topic":"a","id":null}"#.to_owned(), "unknown field `id`"),
            (r#"{"expect":"none"}"#.to_owned(), "missing field `topic`"),
            (r#"{"topic":"a..b"}"#.to_owned(), "a..b"),
            (long, "meta is"),
        ] {
            let error = AppendLine::parse(&text).unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_not_repeated_at_any_length() {
        let long = "x".repeat(100_000);
        let list = serde_json::to_string(&vec!["no\"ne"; 1000]).unwrap();
        for (text, end) in [
            (format!(r#"{{"topic":"a","expect":"{long}"}}"#), EXPECT_FORMS),
            (format!(r#"{{"topic":"a","expect":{list}}}"#), EXPECT_FORMS),
            (format!(r#"{{"topic":"a","expect":{}}}"#, "1".repeat(100_000)), EXPECT_FORMS),
            (format!(r#"{{"topic":"a","ttl":"{long}"}}"#), "at least 1>"),
            (format!(r#"{{"topic":"a","hash":"{long}"}}"#), "32 bytes>"),
            (format!(r#"{{"topic":"{}."}}"#, "x".repeat(100)), "ends with a dot"),
            (format!(r#"{{"topic":"a","{long}":1}}"#), "expected one of"),
        ] {
            let error = AppendLine::parse(&text).unwrap_err().to_string();
            assert!(error.contains(end) && error.contains('…') && error.len() < 400, "{error}");
        }
    }
}
