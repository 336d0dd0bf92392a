//! Tokens, kept out of what is said: whoever puts arguments in the wrong order has an address, token and all,
//! repeated as a topic or an id that is none, and that on a screen or in a log.

/// How a message itself writes an address with a token.
const EXAMPLE: &str = "xs:TOKEN";

/// The text, with what stands before the `@` of an address as `…`: of `scheme://…@`, and of `name:…@`.
pub(crate) fn conceal(text: &str) -> String {
    // No token has a space.
    let words = text.split_inclusive(char::is_whitespace);
    words.map(|word| concealed(word).unwrap_or_else(|| word.to_owned())).collect()
}

fn concealed(word: &str) -> Option<String> {
    let (before, _) = word.rsplit_once('@')?;
    let start = match before.split_once("://") {
        Some((scheme, _)) => scheme.len() + "://".len(),
        // A path may hold both.
        None if before.trim_start_matches(['\'', '"', '`', '(']).starts_with(['.', '/']) => return None,
        None => before.split_once(':')?.0.len() + ":".len(),
    };
    match before.ends_with(EXAMPLE) {
        true => None,
        false => Some(format!("{}…{}", word.get(..start)?, word.get(before.len()..)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_the_host_of_an_address_is_not_said() {
        for (text, said) in [
            ("invalid value 'https://xs:s3cret@host' for '<ID>'", "invalid value 'https://…@host' for '<ID>'"),
            ("https://s3cret@host", "https://…@host"),
            ("tls://xs:s3@cret@host:1 \"xs:s3cret@host\"\n", "tls://…@host:1 \"xs:…@host\"\n"),
            ("--topic=http://:s3cret@[::1]:3021/", "--topic=http://…@[::1]:3021/"),
            ("\u{1b}[33mxs:s3:cr/et@localhost:1\u{1b}[0m", "\u{1b}[33mxs:…@localhost:1\u{1b}[0m"),
            ("http://xs:s3cret@a,https://xs:s3cret@b", "http://…@b"),
        ] {
            assert_eq!(conceal(text), said);
        }
    }

    #[test]
    fn everything_else_is_said() {
        for text in [
            "",
            "a topic is a.b: not a@b",
            "https://host:1/ at a@b:c",
            "as in http://xs:TOKEN@host:port",
            "./a:b@c \"/a:b@c/d\" \t\n",
        ] {
            assert_eq!(conceal(text), text);
        }
    }
}
