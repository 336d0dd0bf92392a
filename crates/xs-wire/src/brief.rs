//! Messages that quote a client: what it sent comes back to it, and into the log, at no great length.

/// Characters of a quoted value that a message keeps.
pub(crate) const QUOTED_CHARS_MAX: usize = 64;
/// Characters of a message: a value may hold quotes of its own, and look like many that are short.
const MESSAGE_CHARS_MAX: usize = 1024;

/// The message with what it quotes, in `"` or backticks, cut to 64 characters and an ellipsis.
///
/// ```
/// let long = format!("parameter limit={:?}: no number", "1".repeat(1_000_000));
/// assert_eq!(xs_wire::brief(&long), format!("parameter limit=\"{}…\": no number", "1".repeat(64)));
/// ```
pub fn brief(message: &str) -> String {
    let mut short = String::with_capacity(message.len().min(MESSAGE_CHARS_MAX));
    // What ends the quote that is open, and how many characters of it there were.
    let mut quote: Option<(char, usize)> = None;
    let mut is_escaped = false;
    for letter in message.chars() {
        match quote {
            None => {
                quote = matches!(letter, '"' | '`').then_some((letter, 0));
                short.push(letter);
            }
            Some((mark, _)) if letter == mark && !is_escaped => {
                quote = None;
                short.push(letter);
            }
            Some((mark, length)) => {
                match length {
                    QUOTED_CHARS_MAX => short.push('…'),
                    _ if length < QUOTED_CHARS_MAX => short.push(letter),
                    _ => {}
                }
                quote = Some((mark, length + 1));
            }
        }
        is_escaped = letter == '\\' && !is_escaped && matches!(quote, Some(('"', _)));
    }
    if let Some((end, _)) = short.char_indices().nth(MESSAGE_CHARS_MAX) {
        short.truncate(end);
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_stays_as_it_is() {
        let topic = "x".repeat(QUOTED_CHARS_MAX);
        for message in [
            "",
            "the topic's last id",
            r#"parameter a="b\"c\\": expected "d" or `e`"#,
            &format!("{topic:?} and `{topic}` are {topic} in {topic}"),
        ] {
            assert_eq!(brief(message), message);
        }
    }

    #[test]
    fn what_is_quoted_is_cut_and_the_rest_is_not() {
        for value in ["x", "\"", "\\", "\n", "`", "ä", "\u{1f980}", "\u{7}"].map(|piece| piece.repeat(10_000)) {
            let short = brief(&format!("parameter ttl={value:?}: ttl {value:?} is none"));
            assert!(short.starts_with("parameter ttl=\"") && short.ends_with("…\" is none"), "{short}");
            assert!(short.contains("…\": ttl \"") && short.chars().count() < 200, "{short}");
            assert_eq!(brief(&short), short);
        }
        let short = brief(&format!("unknown field `{}`, expected `topic`", "\\\"".repeat(10_000)));
        assert!(short.ends_with("…`, expected `topic`") && short.chars().count() < 200, "{short}");
    }

    #[test]
    fn a_value_that_looks_like_many_is_cut_with_the_message() {
        let short = brief(&format!("unknown field `{}`", "a`".repeat(10_000)));
        assert!(short.starts_with("unknown field `a`") && short.ends_with('…'), "{short}");
        assert_eq!(short.chars().count(), MESSAGE_CHARS_MAX + 1);
        assert_eq!(brief(&short), short);
    }
}
