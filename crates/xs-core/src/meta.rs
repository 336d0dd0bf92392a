//! The JSON value that a frame carries inline.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::{Error, Result};

/// The longest meta text, in bytes. A frame is read whole into memory, so its size is bounded;
/// larger values belong into content.
pub const META_BYTES_MAX: usize = 1024 * 1024;

/// A JSON value, kept as the text that came in: key order, number spelling and inner white space
/// survive. Only who asks pays for parsing it.
///
/// JSON `null` is not a meta: a frame with `"meta":null` has none.
///
/// ```
/// use xs_core::Meta;
/// let meta = Meta::parse(r#"{"b": 1.50, "a": "x"}"#)?.unwrap();
/// assert_eq!(meta.as_str(), r#"{"b": 1.50, "a": "x"}"#);
/// assert_eq!(meta.to_value()?["a"], "x");
/// assert!(Meta::parse("null")?.is_none());
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Meta(Arc<str>);

impl Meta {
    /// The meta with this JSON text, less white space around it; `None` for `null`.
    ///
    /// `InvalidInput` when it is no JSON value or longer than [`META_BYTES_MAX`].
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let raw: &RawValue = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("meta is not JSON: {error}")).with_source(error))?;
        Self::from_raw(raw)
    }

    pub(crate) fn from_raw(raw: &RawValue) -> Result<Option<Self>> {
        match raw.get() {
            "null" => Ok(None),
            text => {
                let meta = Self(text.into());
                meta.check().map(|()| Some(meta))
            }
        }
    }

    /// `InvalidInput` when it is too long, which one made of a value can be.
    pub(crate) fn check(&self) -> Result<()> {
        match self.0.len() {
            0..=META_BYTES_MAX => Ok(()),
            length => Err(Error::invalid(format!(
                "meta is {length} bytes long; at most {META_BYTES_MAX} are allowed: store it as content"
            ))),
        }
    }

    /// A text that was a meta when it was stored, and whose checksum held: it is not parsed again.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, as it came in.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text without line breaks, for forms that give a frame one line. JSON allows them only
    /// between tokens, where a space means the same.
    pub(crate) fn one_line(&self) -> Cow<'_, str> {
        match self.0.contains(['\n', '\r']) {
            true => Cow::Owned(self.0.replace(['\n', '\r'], " ")),
            false => Cow::Borrowed(&self.0),
        }
    }

    /// The value, parsed into `T`; `InvalidInput` when it has another shape.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0)
            .map_err(|error| Error::invalid(format!("meta has another shape: {error}")).with_source(error))
    }

    /// The value, parsed.
    pub fn to_value(&self) -> Result<serde_json::Value> {
        self.to()
    }
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_survives() {
        for text in [r#"{"z":1,"a":2}"#, "1e400", "1.50", "\"\\ud800\"", "[ 1 ,\n 2 ]", "true", "\"\""] {
            assert_eq!(Meta::parse(&format!(" {text}\n")).unwrap().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", " ", "{", "{'a':1}", "nul", "1 2", "NaN", "\"a\nb\""] {
            assert!(Meta::parse(text).is_err(), "{text:?}");
        }
        let long = format!("\"{}\"", "x".repeat(META_BYTES_MAX));
        assert!(Meta::parse(&long).unwrap_err().to_string().contains("as content"));
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let _ = Meta::parse(&deep);
    }
}
