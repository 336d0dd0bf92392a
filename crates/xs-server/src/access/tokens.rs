//! The tokens of a file. None is kept: only digests, which are compared in constant time.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use xs::{Error, ErrorKind, Result};

/// What the owner of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    ReadOnly,
    ReadWrite,
}

/// Which token, without saying what it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenId(u64);

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenId")
    }
}

/// The tokens of a file.
pub(super) struct Tokens(Vec<Token>);

struct Token {
    digest: [u8; 32],
    rights: Rights,
}

impl Tokens {
    /// One token a line, after `read-only` or `read-write`, which is what goes without saying; `#` starts a
    /// comment. Errors name the line and never repeat what is in it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut tokens: Vec<Token> = Vec::new();
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let invalid = |what: &str| Err(Error::new(ErrorKind::InvalidInput, format!("line {number}: {what}")));
            let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let words: Vec<&[u8]> = words.take_while(|word| !word.starts_with(b"#")).collect();
            let (rights, token) = match words.as_slice() {
                [] => continue,
                [b"read-only" | b"read-write"] => return invalid("the token is missing"),
                [b"read-only", token] => (Rights::ReadOnly, *token),
                [b"read-write", token] | [token] => (Rights::ReadWrite, *token),
                _ => return invalid("expected a token without spaces, alone or after read-only or read-write"),
            };
            if !token.iter().all(u8::is_ascii_graphic) {
                return invalid("a token is of letters, digits and signs of ASCII: what a header can hold");
            }
            let digest = digest(token);
            if tokens.iter().any(|other| other.digest == digest) {
                return invalid("this token is there already, further up");
            }
            tokens.push(Token { digest, rights });
        }
        Ok(Self(tokens))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Looks at every token, whole, whichever it is: the time that it takes says nothing of them.
    pub(super) fn find(&self, shown: &[u8]) -> Option<(TokenId, Rights)> {
        let shown = digest(shown);
        let mut place = u64::MAX;
        for (number, token) in (0..).zip(&self.0) {
            place = u64::conditional_select(&place, &number, token.digest.as_slice().ct_eq(shown.as_slice()));
        }
        let token = self.0.get(usize::try_from(place).ok()?)?;
        Some((token.id(), token.rights))
    }

    /// What a token that was found once may do, as long as it is among them.
    pub(super) fn rights(&self, id: TokenId) -> Option<Rights> {
        self.0.iter().find(|token| token.id() == id).map(|token| token.rights)
    }
}

impl Token {
    fn id(&self) -> TokenId {
        let [a, b, c, d, e, f, g, h, ..] = self.digest;
        TokenId(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(tokens: &Tokens, token: &str) -> Option<Rights> {
        tokens.find(token.as_bytes()).map(|(_, rights)| rights)
    }

    #[test]
    fn a_file_is_read_line_by_line() {
        let text = "# tokens\n\nplain\r\n  read-only reads  # for the dashboard\nread-write writes\n\tlast";
        let tokens = Tokens::parse(text.as_bytes()).unwrap();
        assert_eq!(tokens.len(), 4);
        for (token, expected) in [
            ("plain", Some(Rights::ReadWrite)),
            ("reads", Some(Rights::ReadOnly)),
            ("writes", Some(Rights::ReadWrite)),
            ("last", Some(Rights::ReadWrite)),
            ("", None),
            ("plai", None),
            ("plainn", None),
            ("read-only", None),
            ("#", None),
        ] {
            assert_eq!(rights(&tokens, token), expected, "{token:?}");
        }
        let plain = tokens.find(b"plain").unwrap().0;
        assert_ne!(plain, tokens.find(b"last").unwrap().0);
        assert_eq!(tokens.rights(plain), Some(Rights::ReadWrite));
        assert_eq!(Tokens::parse(b"read-only plain").unwrap().rights(plain), Some(Rights::ReadOnly));
        assert_eq!(Tokens::parse(b"last").unwrap().rights(plain), None);
    }

    #[test]
    fn a_file_without_tokens_lets_nobody_in() {
        for none in ["", "\r\n", "# none\n\n"] {
            let tokens = Tokens::parse(none.as_bytes()).unwrap();
            assert!(tokens.is_empty() && tokens.find(b"").is_none() && tokens.find(b"none").is_none(), "{none:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        for (text, names) in [
            ("good\nread-only", "line 2: the token is missing"),
            ("good\nread-some secret", "line 2: expected"),
            ("sec ret", "line 1: expected"),
            ("read-only sec ret", "line 1: expected"),
            ("s\u{e4}cret", "line 1"),
            ("sec\u{1}ret", "line 1"),
            ("secret\nread-only secret", "line 2: this token is there already"),
        ] {
            let Err(error) = Tokens::parse(text.as_bytes()) else { panic!("{text:?} is taken") };
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let said = error.to_string();
            assert!(said.contains(names) && !said.contains("ret"), "{text:?}: {said}");
        }
    }
}
