//! The name of content.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The SHA-256 of some content, in its text form `sha256-<standard base64>`, the spelling of
/// Subresource Integrity (<https://www.w3.org/TR/SRI/>).
///
/// ```
/// use xs_core::ContentHash;
/// let hash = ContentHash::of(b"hello");
/// assert_eq!(hash.to_string(), "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
/// assert_eq!(hash.to_string().parse::<ContentHash>()?, hash);
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = ContentHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The hash with this digest.
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest as 64 lower-case hexadecimal characters: safe as a file name or an object key.
    pub fn to_hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The hash with this digest in hexadecimal; `None` for anything but 64 lower-case digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
        let digest: Vec<u8> =
            pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<_>>()?;
        digest.try_into().ok().map(Self)
    }
}

impl FromStr for ContentHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.strip_prefix("sha256-")
            .and_then(|digest| STANDARD.decode(digest).ok())
            .and_then(|digest| digest.try_into().ok())
            .map(Self)
            .ok_or_else(|| Error::invalid(format!("{text:?} is not a hash: expected sha256-<base64 of 32 bytes>")))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256-")?;
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::frame::from_text(deserializer)
    }
}

/// Computes a [`ContentHash`] from bytes that come in pieces.
#[derive(Clone, Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes taken.
    pub fn finish(self) -> ContentHash {
        ContentHash(self.0.finalize().into())
    }
}

impl fmt::Debug for ContentHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentHasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_hex_round_trip(digest: [u8; 32]) {
            let hash = ContentHash(digest);
            prop_assert_eq!(hash.to_string().parse::<ContentHash>().unwrap(), hash);
            prop_assert_eq!(ContentHash::from_hex(&hash.to_hex()), Some(hash));
        }
    }

    #[test]
    fn bad_text_is_refused() {
        let good = ContentHash::of(b"").to_string();
        let digest = good.strip_prefix("sha256-").unwrap();
        for bad in [
            "".to_owned(),
            digest.to_owned(),
            format!("sha512-{digest}"),
            format!("SHA256-{digest}"),
            good.trim_end_matches('=').to_owned(),
            format!("{good} "),
            format!("sha256-{}", digest.replace('=', "/")),
            "sha256-../../../../etc/passwd".to_owned(),
            "sha256-AAAA".to_owned(),
        ] {
            assert!(bad.parse::<ContentHash>().is_err(), "{bad}");
        }
        assert_eq!(ContentHash::from_hex("../x"), None);
        assert_eq!(ContentHash::from_hex(&"A".repeat(64)), None);
    }
}
