//! JSON on its way to a terminal.

use bytes::Bytes;

use super::clean::is_harmless;
use super::is_terminal;

/// JSON on its way to standard output: byte for byte as it comes, unless that is a terminal. There, what a terminal
/// would act on is written as JSON can write it, such as `\u009b`. It is the same JSON: all of it stands in strings.
#[derive(Debug)]
pub(crate) struct Escaped {
    is_shown: bool,
    /// The beginning of a character whose end comes with the next chunk.
    begun: Vec<u8>,
}

impl Escaped {
    pub(crate) fn for_stdout() -> Self {
        Self { is_shown: is_terminal(), begun: Vec::new() }
    }

    /// What is to be written when this has come.
    pub(crate) fn pass(&mut self, chunk: Bytes) -> Bytes {
        if !self.is_shown {
            return chunk;
        }
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(&chunk);
        let mut text = String::with_capacity(bytes.len());
        let mut parts = bytes.utf8_chunks().peekable();
        while let Some(part) = parts.next() {
            part.valid().chars().for_each(|c| push(&mut text, c));
            let invalid = part.invalid();
            if parts.peek().is_none() && is_begun(invalid) {
                self.begun = invalid.to_vec();
            } else if !invalid.is_empty() {
                // No JSON, and a terminal that is not of UTF-8 acts on such bytes.
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Bytes::from(text)
    }
}

/// Whether more bytes could make a character of these.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

fn push(text: &mut String, c: char) {
    // Nothing else that is not harmless stands between strings.
    if is_harmless(c) || matches!(c, '\t' | '\n') {
        return text.push(c);
    }
    for unit in c.encode_utf16(&mut [0; 2]).iter() {
        text.push_str(&format!("\\u{unit:04x}"));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// C1 and DEL; overrides, isolates and marks of direction; what cannot be seen, beyond 16 bits too.
    const HOSTILE: &str =
        "\u{7f}\u{80}\u{9b}\u{9f}\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}\u{e0041}";

    fn passed(is_shown: bool, chunks: &[&[u8]]) -> Vec<u8> {
        let mut escaped = Escaped { is_shown, begun: Vec::new() };
        chunks.iter().flat_map(|chunk| escaped.pass(Bytes::copy_from_slice(chunk))).collect()
    }

    #[test]
    fn what_a_terminal_would_act_on_is_escaped_wherever_chunks_are_cut() {
        let json = format!("{{\"meta\":\"a{HOSTILE}é漢👩\u{200d}💻\"}}\n");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let whole = String::from_utf8(passed(true, &[json.as_bytes()])).unwrap();
        assert!(!whole.contains(|c: char| HOSTILE.contains(c)), "{whole:?}");
        assert!(
            whole.contains(r"a\u007f\u0080\u009b\u009f\u061c\u200e") && whole.contains(r"\udb40\udc41é漢"),
            "{whole}"
        );
        assert!(whole.ends_with("👩\u{200d}💻\"}\n"), "{whole}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&whole).unwrap(), value);
        for cut in 0..=json.len() {
            let (begin, end) = json.as_bytes().split_at(cut);
            assert_eq!(passed(true, &[begin, b"", end]), whole.as_bytes(), "{cut}");
        }
        let bytes: Vec<&[u8]> = json.as_bytes().chunks(1).collect();
        assert_eq!(passed(true, &bytes), whole.as_bytes());
    }

    #[test]
    fn what_no_terminal_shows_stays_as_it_is() {
        let bytes = [HOSTILE.as_bytes(), b"\x1b[2J\xff\xe2\x80"].concat();
        assert_eq!(passed(false, &[&bytes]), bytes);
    }

    #[test]
    fn what_is_no_json_cannot_act_on_the_terminal_either() {
        for (bytes, shown) in [
            (b"\x1b[2J\r".as_slice(), "\\u001b[2J\\u000d"),
            (b"a\x9b31m".as_slice(), "a\u{fffd}31m"),
            (b"\xe2\x80A\xc2".as_slice(), "\u{fffd}A"),
            (b"\xc2\x1b".as_slice(), "\u{fffd}\\u001b"),
        ] {
            assert_eq!(passed(true, &[bytes]), shown.as_bytes());
        }
    }
}
