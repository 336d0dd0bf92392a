//! Colours, where they are wanted.

use std::ffi::OsString;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColourChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Wherever a person reads
    Always,
    /// Not at all
    Never,
}

impl ColourChoice {
    /// Whether what goes to a terminal is coloured, by the choice and the environment.
    pub(crate) fn is_on(self) -> bool {
        self.decide(|name| std::env::var_os(name))
    }

    fn decide(self, variable: impl Fn(&str) -> Option<OsString>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                // <https://no-color.org>: set, and not empty.
                let refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
                // An old console of Windows has no TERM and knows no escape sequences.
                let able = match variable("TERM") {
                    Some(term) => term != "dumb",
                    None => cfg!(windows) && variable("WT_SESSION").is_some(),
                };
                able && !refused
            }
        }
    }

    pub(crate) fn palette(self) -> Palette {
        if self.is_on() { Palette::COLOURS } else { Palette::PLAIN }
    }
}

/// What each part of a line looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    pub(crate) time: Style,
    pub(crate) id: Style,
    pub(crate) topic: Style,
    pub(crate) meta: Style,
    pub(crate) content: Style,
    /// What is said about content rather than being content, and frames that are not stored.
    pub(crate) remark: Style,
}

impl Palette {
    pub(crate) const PLAIN: Self = {
        let style = Style::new();
        Self { time: style, id: style, topic: style, meta: style, content: style, remark: style }
    };

    const COLOURS: Self = Self {
        time: Style::new().dimmed(),
        id: AnsiColor::Yellow.on_default(),
        topic: AnsiColor::Cyan.on_default().bold(),
        meta: AnsiColor::Green.on_default(),
        content: Style::new(),
        remark: Style::new().dimmed(),
    };
}

/// `text` in a style, which ends with it.
pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_unless_the_choice_does() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<_> = set.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
            move |name: &str| set.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone())
        };
        let auto = ColourChoice::Auto;
        assert!(auto.decide(with(&[("TERM", "xterm")])));
        assert!(auto.decide(with(&[("TERM", "xterm"), ("NO_COLOR", "")])));
        assert!(!auto.decide(with(&[("TERM", "xterm"), ("NO_COLOR", "1")])));
        assert!(!auto.decide(with(&[("TERM", "dumb")])));
        assert!(!auto.decide(with(&[])));
        assert!(ColourChoice::Always.decide(with(&[("NO_COLOR", "1")])));
        assert!(!ColourChoice::Never.decide(with(&[("TERM", "xterm")])));
    }

    #[test]
    fn no_colour_is_no_escape_sequence() {
        assert_eq!(paint(Palette::PLAIN.topic, "a"), "a");
        assert!(paint(Palette::COLOURS.topic, "a").ends_with("a\u{1b}[0m"));
    }
}
