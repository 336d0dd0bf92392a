//! A frame: one event of a stream, and the description of one that is yet to be appended.

use std::str::FromStr;

use serde::ser::{Error as _, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{ContentHash, Error, FrameId, Meta, Result, Topic, Ttl};

/// One event. It never changes once stored.
///
/// Its JSON form is one line, its fields in this order, `null` where absent:
///
/// ```
/// use xs_core::Frame;
/// let line = r#"{"topic":"notes","id":"03d4q1qhbiv09ovtuhokw5yxv","hash":null,"meta":{"b":1,"a":2.0},"ttl":"last:3"}"#;
/// let frame = Frame::from_json(line)?;
/// assert_eq!(frame.to_json()?, line);
/// # Ok::<(), xs_core::Error>(())
/// ```
///
/// In that form a line break between the tokens of `meta` becomes a space. Its binary form is
/// [`kv::codec`](crate::kv::codec).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Given at append; greater than every id given before.
    pub id: FrameId,
    /// What it is about.
    pub topic: Topic,
    /// The content that it refers to.
    pub hash: Option<ContentHash>,
    /// The JSON value that it carries.
    pub meta: Option<Meta>,
    /// How long it is kept; `None` where none was given, which means forever.
    pub ttl: Option<Ttl>,
}

impl Frame {
    /// Starts the description of a frame about `topic`.
    ///
    /// ```
    /// use xs_core::{Frame, Ttl};
    /// let new = Frame::topic("clip.add")?.meta(serde_json::json!({"source": "keyboard"})).ttl(Ttl::Time { ms: 60_000 });
    /// assert_eq!(new.meta.unwrap().as_str(), r#"{"source":"keyboard"}"#);
    /// # Ok::<(), xs_core::Error>(())
    /// ```
    pub fn topic(topic: &str) -> Result<NewFrame> {
        Topic::parse(topic).map(NewFrame::new)
    }

    /// The frame that this JSON text describes, or `InvalidInput`.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| Error::invalid(format!("not a frame: {error}")).with_source(error))
    }

    /// Its JSON form, one line without the line's end.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::new(crate::ErrorKind::Internal, format!("frame {}: {error}", self.id)))
    }

    /// When it expires, in milliseconds since 1970; `None`: never by time.
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.ttl.and_then(|ttl| ttl.expires_at_ms(self.id))
    }

    /// Whether it has expired at `now_ms`.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms().is_some_and(|at| at <= now_ms)
    }

    /// Whether both have the same JSON form.
    pub(crate) fn is_same_on_a_line(&self, other: &Self) -> bool {
        let line = |meta: &Option<Meta>| meta.as_ref().map(|meta| meta.one_line().into_owned());
        let Self { id, topic, hash, meta, ttl } = self;
        (id, topic, hash, ttl) == (&other.id, &other.topic, &other.hash, &other.ttl) && line(meta) == line(&other.meta)
    }

    /// Roughly the memory that it holds, in bytes.
    pub(crate) fn weight(&self) -> usize {
        weight(&self.topic, self.meta.as_ref())
    }
}

/// What an allocation costs beside its bytes: the counters of an `Arc`, the allocator's header.
const ALLOCATION_BYTES: usize = 32;

fn weight(topic: &Topic, meta: Option<&Meta>) -> usize {
    size_of::<Frame>() + 2 * ALLOCATION_BYTES + topic.as_str().len() + meta.map_or(0, |meta| meta.as_str().len())
}

impl Serialize for Frame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let line = self.meta.as_ref().map(Meta::one_line);
        let meta: Option<&RawValue> =
            line.as_deref().map(serde_json::from_str).transpose().map_err(S::Error::custom)?;
        let mut fields = serializer.serialize_struct("Frame", 5)?;
        fields.serialize_field("topic", &self.topic)?;
        fields.serialize_field("id", &self.id)?;
        fields.serialize_field("hash", &self.hash)?;
        fields.serialize_field("meta", &meta)?;
        fields.serialize_field("ttl", &self.ttl)?;
        fields.end()
    }
}

/// The fields of a frame in JSON. What is unknown is refused, so that nothing is lost in silence;
/// `timestamp` is what `with-timestamp` adds, and follows from the id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameFields {
    topic: Topic,
    id: FrameId,
    hash: Option<ContentHash>,
    meta: Option<Box<RawValue>>,
    ttl: Option<Ttl>,
    #[serde(default, rename = "timestamp")]
    _timestamp: Option<serde::de::IgnoredAny>,
}

impl<'de> Deserialize<'de> for Frame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let FrameFields { topic, id, hash, meta, ttl, .. } = FrameFields::deserialize(deserializer)?;
        Ok(Self { id, topic, hash, meta: meta_of::<D>(meta)?, ttl })
    }
}

/// A frame that is yet to be appended: everything but its id.
///
/// In JSON: `topic`, and `hash`, `meta`, `ttl` where wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFrame {
    /// What it is about.
    pub topic: Topic,
    /// Content that is stored already.
    pub hash: Option<ContentHash>,
    /// The JSON value that it carries.
    pub meta: Option<Meta>,
    /// How long it is kept.
    pub ttl: Option<Ttl>,
}

impl NewFrame {
    /// A frame about `topic`, with nothing else.
    pub fn new(topic: Topic) -> Self {
        Self { topic, hash: None, meta: None, ttl: None }
    }

    /// The frame that this JSON text describes, or `InvalidInput`.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("not a frame to append: {error}")).with_source(error))
    }

    /// With this value inline; `null` means none.
    ///
    /// A value beyond [`META_BYTES_MAX`](crate::META_BYTES_MAX) is refused by the append.
    #[must_use]
    pub fn meta(mut self, value: serde_json::Value) -> Self {
        self.meta = match value {
            serde_json::Value::Null => None,
            value => Some(Meta::from_stored(&value.to_string())),
        };
        self
    }

    /// With this JSON text inline, kept as it is.
    pub fn meta_text(mut self, text: &str) -> Result<Self> {
        self.meta = Meta::parse(text)?;
        Ok(self)
    }

    /// Referring to content that is stored already.
    #[must_use]
    pub fn hash(mut self, hash: ContentHash) -> Self {
        self.hash = Some(hash);
        self
    }

    /// Kept this long.
    #[must_use]
    pub fn ttl(mut self, ttl: Ttl) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The frame that this becomes when it is given `id`.
    pub fn with_id(self, id: FrameId) -> Frame {
        let Self { topic, hash, meta, ttl } = self;
        Frame { id, topic, hash, meta, ttl }
    }

    /// Roughly the memory that it holds, in bytes.
    pub(crate) fn weight(&self) -> usize {
        weight(&self.topic, self.meta.as_ref())
    }
}

impl From<Topic> for NewFrame {
    fn from(topic: Topic) -> Self {
        Self::new(topic)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFrameFields {
    topic: Topic,
    hash: Option<ContentHash>,
    meta: Option<Box<RawValue>>,
    ttl: Option<Ttl>,
}

impl<'de> Deserialize<'de> for NewFrame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let NewFrameFields { topic, hash, meta, ttl } = NewFrameFields::deserialize(deserializer)?;
        Ok(Self { topic, hash, meta: meta_of::<D>(meta)?, ttl })
    }
}

fn meta_of<'de, D: Deserializer<'de>>(raw: Option<Box<RawValue>>) -> Result<Option<Meta>, D::Error> {
    match raw {
        Some(raw) => Meta::from_raw(&raw).map_err(serde::de::Error::custom),
        None => Ok(None),
    }
}

/// Deserializes what has a text form through that form, for every type of the model.
pub(crate) fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = Error>,
{
    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_ttl() -> impl Strategy<Value = Option<Ttl>> {
        prop_oneof![
            Just(None),
            Just(Some(Ttl::Forever)),
            Just(Some(Ttl::Ephemeral)),
            any::<u64>().prop_map(|ms| Some(Ttl::Time { ms })),
            (1..=u64::MAX).prop_map(|n| Some(Ttl::Last(n.try_into().unwrap()))),
        ]
    }

    pub(crate) fn any_meta() -> impl Strategy<Value = Option<Meta>> {
        prop_oneof![
            Just(None),
            any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| Meta::parse(&n.to_string()).unwrap()),
            ".*".prop_map(|s: String| Meta::parse(&serde_json::to_string(&s).unwrap()).unwrap()),
            ("[a-z]{1,8}", any::<i64>(), "[ \\n\\t]{0,3}").prop_map(|(key, number, space)| {
                Meta::parse(&format!("{{\"{key}\":{space}[{number},{space}null]}}")).unwrap()
            }),
        ]
    }

    pub(crate) fn any_frame() -> impl Strategy<Value = Frame> {
        let topic = "[A-Za-z_][A-Za-z0-9_-]{0,9}(\\.[A-Za-z0-9_-]{1,9}){0,5}";
        (any::<u128>(), topic, any::<Option<[u8; 32]>>(), any_meta(), any_ttl()).prop_map(
            |(id, topic, hash, meta, ttl)| Frame {
                id: FrameId::from_u128(id),
                topic: Topic::parse(&topic).unwrap(),
                hash: hash.map(ContentHash::from_bytes),
                meta,
                ttl,
            },
        )
    }

    proptest! {
        #[test]
        fn json_round_trips_on_one_line(frame in any_frame()) {
            let json = frame.to_json().unwrap();
            prop_assert!(!json.contains(['\n', '\r']));
            let back = Frame::from_json(&json).unwrap();
            let line = frame.meta.as_ref().map(|meta| meta.one_line().into_owned());
            prop_assert_eq!(back.meta.as_ref().map(|meta| meta.as_str().to_owned()), line);
            prop_assert_eq!(Frame { meta: frame.meta.clone(), ..back }, frame);
        }

        #[test]
        fn parsing_never_panics(text in ".*") {
            let _ = Frame::from_json(&text);
            let _ = NewFrame::from_json(&text);
        }
    }

    #[test]
    fn bad_frames_name_what_is_wrong() {
        let id = "03d4q1qhbiv09ovtuhokw5yxv";
        for (json, names) in [
            (format!(r#"{{"topic":"a..b","id":"{id}"}}"#), "topic"),
            (r#"{"topic":"a","id":"x"}"#.to_owned(), "SCRU128"),
            (format!(r#"{{"topic":"a","id":"{id}","ttl":"later"}}"#), "ttl"),
            (format!(r#"{{"topic":"a","id":"{id}","hash":"md5-x"}}"#), "hash"),
            (format!(r#"{{"topic":"a","id":"{id}","colour":1}}"#), "colour"),
            (r#"{"topic":"a"}"#.to_owned(), "id"),
        ] {
            let error = Frame::from_json(&json).unwrap_err().to_string();
            assert!(error.contains(names), "{error}");
        }
    }

    #[test]
    fn absent_and_null_are_the_same() {
        let id = "03d4q1qhbiv09ovtuhokw5yxv";
        let short = Frame::from_json(&format!(r#"{{"id":"{id}","topic":"a"}}"#)).unwrap();
        let long = Frame::from_json(&format!(
            r#"{{"id":"{id}","topic":"a","meta":null,"hash":null,"ttl":null,"timestamp":"2026-01-01T00:00:00Z"}}"#
        ));
        assert_eq!(short, long.unwrap());
    }
}
