//! The id of a frame.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A SCRU128 id: 16 bytes, or 25 characters of text, both sorting by time.
///
/// The fields, from the highest bit (<https://github.com/scru128/spec>): 48 bits of milliseconds
/// since 1970, 24 and 24 bits of counter, 32 bits of entropy.
///
/// ```
/// use xs_core::FrameId;
/// let id: FrameId = "03d4q1qhbiv09ovtuhokw5yxv".parse()?;
/// assert_eq!(id.to_string(), "03d4q1qhbiv09ovtuhokw5yxv");
/// assert_eq!(FrameId::from_bytes(id.to_bytes()), id);
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(u128);

impl FrameId {
    /// The least id.
    pub const MIN: Self = Self(0);
    /// The greatest id.
    pub const MAX: Self = Self(u128::MAX);

    /// The id with these 16 bytes, most significant first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Its 16 bytes, most significant first: byte order is id order.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id with this number.
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn to_u128(self) -> u128 {
        self.0
    }

    /// Milliseconds since 1970, from the id's first 48 bits.
    pub const fn timestamp_ms(self) -> u64 {
        scru128::Id::from_u128(self.0).timestamp()
    }

    /// The `nth` id of its own that a reader may give to a synthetic frame that follows this one.
    ///
    /// A stream gives a frame an id whose first 96 bits exceed those of every earlier id, so an
    /// id that differs in the last 32 bits only lies between this frame and whatever is appended
    /// next: reading on after it neither skips nor repeats a frame.
    pub(crate) fn synthetic(self, nth: u32) -> Self {
        let (prefix, entropy) = (self.0 >> 32 << 32, self.0 & u128::from(u32::MAX));
        Self(prefix | (entropy + u128::from(nth)).min(u128::from(u32::MAX)))
    }
}

impl FromStr for FrameId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        scru128::Id::try_from_str(text).map(|id| Self(id.to_u128())).map_err(|error| {
            Error::invalid(format!("{text:?} is not an id: expected 25 characters of SCRU128")).with_source(error)
        })
    }
}

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&scru128::Id::from_u128(self.0).encode())
    }
}

impl fmt::Debug for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for FrameId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FrameId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::frame::from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_bytes_round_trip_and_keep_order(a: u128, b: u128) {
            let (x, y) = (FrameId(a), FrameId(b));
            prop_assert_eq!(x.to_string().parse::<FrameId>().unwrap(), x);
            prop_assert_eq!(FrameId::from_bytes(x.to_bytes()), x);
            prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
            prop_assert_eq!(x.cmp(&y), x.to_bytes().cmp(&y.to_bytes()));
        }

        #[test]
        fn a_synthetic_id_stays_below_the_next_96_bit_prefix(a: u128, nth: u32) {
            let id = FrameId(a);
            prop_assert!(id.synthetic(nth) >= id);
            prop_assert_eq!(id.synthetic(nth).0 >> 32, a >> 32);
        }
    }

    #[test]
    fn bad_text_is_refused() {
        for text in [
            "",
            "03d4q1qhbiv09ovtuhokw5yx",
            "03d4q1qhbiv09ovtuhokw5yxv0",
            "zzzzzzzzzzzzzzzzzzzzzzzzz",
            "../../../../../etc/passwd",
        ] {
            assert!(text.parse::<FrameId>().is_err(), "{text}");
        }
    }
}
