//! Text that came from elsewhere, made fit for a terminal: a frame is written by whoever may append,
//! and must not move the cursor, rename the window or hide what comes after it.

use ratatui::text::Span;

/// Makes an image of the character before it.
const EMOJI_PRESENTATION: char = '\u{fe0f}';

/// The text in one line, what a terminal would act on replaced by a mark.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_harmless(c) { c } else { replacement(c) }).collect()
}

fn replacement(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => ' ',
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// Neither a control character (escape sequences begin with one, C1 has its own) nor one that turns
/// the direction of what follows, ends a line, or cannot be seen.
pub(super) fn is_harmless(c: char) -> bool {
    let invisible = matches!(
        c,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    !c.is_control() && !invisible
}

/// How many columns a text takes.
pub(crate) fn columns(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text, or as much of it as fits, with a mark where it is cut.
pub(crate) fn fit(text: &str, columns_max: usize) -> String {
    // No text takes more columns than bytes.
    if text.len() <= columns_max || columns(text) <= columns_max {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut taken = 1;
    for c in text.chars() {
        taken += match c {
            // What it makes is wider than the two of them are alone.
            EMOJI_PRESENTATION => 1,
            c => columns(c.encode_utf8(&mut [0; 4])),
        };
        if taken > columns_max {
            break;
        }
        kept.push(c);
    }
    if columns_max > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
        let hostile = "\x1b]0;title\x07\x1b[2J\u{9b}31mred\x08\x7f\u{202e}txt\u{feff}\0";
        let shown = clean(hostile);
        assert!(shown.chars().all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{feff}'), "{shown:?}");
        assert!(shown.contains("]0;title") && shown.contains("red"));
        assert_eq!(clean("a\tb\nc\r"), "a b c ");
        assert_eq!(clean("häßlich 日本 👩‍💻"), "häßlich 日本 👩‍💻");
    }

    #[test]
    fn what_is_too_wide_is_cut_where_a_mark_fits() {
        for (text, columns_max, expected) in [
            ("hello", 5, "hello"),
            ("hello", 4, "hel…"),
            ("hello", 1, "…"),
            ("hello", 0, ""),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("❤\u{fe0f}❤\u{fe0f}", 4, "❤\u{fe0f}❤\u{fe0f}"),
            ("❤\u{fe0f}❤\u{fe0f}", 3, "❤\u{fe0f}…"),
        ] {
            let fitted = fit(text, columns_max);
            assert_eq!(fitted, expected, "{text} in {columns_max}");
            assert!(columns(&fitted) <= columns_max);
        }
    }
}
