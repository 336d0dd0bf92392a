//! The JSON forms of what is neither a frame nor an error.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xs_core::{Error, ErrorKind, FrameId, Result, Topic};

/// A topic in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TopicEntry {
    /// Its name.
    pub topic: Topic,
    /// The id of its newest frame.
    pub last_id: FrameId,
}

impl TopicEntry {
    /// A topic whose newest frame has this id.
    pub fn new(topic: Topic, last_id: FrameId) -> Self {
        Self { topic, last_id }
    }
}

/// What `GET /version` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Version {
    /// The version of the server.
    pub version: String,
    /// The scheme of the index, such as `fjall`.
    pub index: String,
    /// The scheme of the content store, such as `fs`.
    pub cas: String,
    /// The version of the index's format on disk.
    pub format: u32,
}

impl Version {
    /// A server of this version, over an index of this scheme and format, and a content store of this scheme.
    pub fn new(version: impl Into<String>, index: impl Into<String>, format: u32, cas: impl Into<String>) -> Self {
        Self { version: version.into(), index: index.into(), cas: cas.into(), format }
    }
}

/// What `GET /healthz` says of a server that is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
}

/// The JSON text of one of the forms of this crate.
pub fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::new(ErrorKind::Internal, "writing JSON").with_source(error))
}

/// What a JSON text of one of the forms of this crate says. Fields that a later version may add are
/// passed over.
///
/// `Unsupported` when it has another shape: whoever wrote it is not known here.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| {
        Error::new(ErrorKind::Unsupported, format!("the answer is not understood: {error}")).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_round_trip() {
        let entry = TopicEntry::new(Topic::parse("a.b").unwrap(), "03d4q1qhbiv09ovtuhokw5yxv".parse().unwrap());
        let text = to_json(&entry).unwrap();
        assert_eq!(text, r#"{"topic":"a.b","last_id":"03d4q1qhbiv09ovtuhokw5yxv"}"#);
        assert_eq!(from_json::<TopicEntry>(text.as_bytes()).unwrap(), entry);
        let version = Version::new("0.1.0", "fjall", 1, "fs");
        let text = to_json(&version).unwrap();
        assert_eq!(text, r#"{"version":"0.1.0","index":"fjall","cas":"fs","format":1}"#);
        assert_eq!(from_json::<Version>(text.as_bytes()).unwrap(), version);
    }

    #[test]
    fn a_later_server_may_say_more_but_not_less() {
        let more = br#"{"version":"2","index":"fjall","cas":"fs","format":1,"mood":"good"}"#;
        assert_eq!(from_json::<Version>(more).unwrap().version, "2");
        assert_eq!(from_json::<Version>(br#"{"version":"0"}"#).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
