//! The token that a request shows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

/// The token of `Authorization: Bearer …`, or of `Basic …`, where it is the password and the name does not
/// matter, or the name where there is no password, as clients send it for `https://TOKEN@host`. None where there is not exactly one of them: which one counts would be a guess.
pub(super) fn token(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let value = value.as_bytes();
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = value.split_at_checked(space)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let decoded = STANDARD.decode(rest).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (name, password) = decoded.split_at_checked(colon)?;
        let password = password.strip_prefix(b":")?;
        return Some(if password.is_empty() { name } else { password }.to_vec());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        token(&headers).map(|token| String::from_utf8(token).unwrap())
    }

    #[test]
    fn both_forms_are_read() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bEaReR   abc ", Some("abc")),
            (&basic("xs:abc"), Some("abc")),
            (&basic(":abc"), Some("abc")),
            (&basic("xs:a:b"), Some("a:b")),
            (&basic("abc:"), Some("abc")),
            (&basic(":"), Some("")),
            (&basic("abc"), None),
            ("Basic %%%", None),
            ("Bearer", None),
            ("Digest abc", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(of(&[value]).as_deref(), token, "{value:?}");
        }
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["Bearer abc", "Bearer def"]), None);
    }
}
