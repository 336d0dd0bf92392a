//! How long a frame is kept.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, FrameId, Result};

/// How long a frame is kept, in its text form `forever`, `ephemeral`, `time:<ms>` or `last:<n>`.
///
/// ```
/// use xs_core::Ttl;
/// assert_eq!("time:60000".parse::<Ttl>()?, Ttl::Time { ms: 60_000 });
/// assert!("last:0".parse::<Ttl>().is_err());
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ttl {
    /// Until it is removed.
    Forever,
    /// Shown to live readers only, never stored.
    Ephemeral,
    /// This long from the timestamp of its id.
    Time {
        /// Milliseconds.
        ms: u64,
    },
    /// While it is among the newest `n` of its topic when a frame with such a TTL is appended there.
    Last(NonZeroU64),
}

impl Ttl {
    /// When a frame with this TTL and this id expires, in milliseconds since 1970; `None`: never.
    pub fn expires_at_ms(self, id: FrameId) -> Option<u64> {
        match self {
            Self::Time { ms } => Some(id.timestamp_ms().saturating_add(ms)),
            Self::Forever | Self::Ephemeral | Self::Last(_) => None,
        }
    }
}

impl FromStr for Ttl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // `u64::from_str` takes a leading plus sign, which no text form has.
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse::<u64>().ok(),
            false => None,
        };
        let parsed = match text {
            "forever" => Some(Self::Forever),
            "ephemeral" => Some(Self::Ephemeral),
            _ => match text.split_once(':') {
                Some(("time", ms)) => number(ms).map(|ms| Self::Time { ms }),
                Some(("last", n)) => number(n).and_then(NonZeroU64::new).map(Self::Last),
                _ => None,
            },
        };
        parsed.ok_or_else(|| {
            Error::invalid(format!(
                "ttl {text:?} is none of forever, ephemeral, time:<milliseconds>, last:<n, at least 1>"
            ))
        })
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forever => f.write_str("forever"),
            Self::Ephemeral => f.write_str("ephemeral"),
            Self::Time { ms } => write!(f, "time:{ms}"),
            Self::Last(n) => write!(f, "last:{n}"),
        }
    }
}

impl Serialize for Ttl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::frame::from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in ["forever", "ephemeral", "time:0", "time:18446744073709551615", "last:1", "last:99"] {
            assert_eq!(text.parse::<Ttl>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "Forever",
            "time",
            "time:",
            "time:-1",
            "time:+1",
            "time:1s",
            "last:0",
            "last:",
            "head:1",
            "time:18446744073709551616",
        ] {
            assert!(bad.parse::<Ttl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn expiry_saturates() {
        let id = FrameId::MAX;
        assert_eq!(Ttl::Time { ms: u64::MAX }.expires_at_ms(id), Some(u64::MAX));
        assert_eq!(Ttl::Forever.expires_at_ms(id), None);
    }
}
