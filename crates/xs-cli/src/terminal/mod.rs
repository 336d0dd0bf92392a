//! What a person sees. Most of it only where standard output is a terminal, and the bytes of the server were not
//! asked for.

pub(crate) mod clean;
pub(crate) mod colour;
pub(crate) mod conceal;
pub(crate) mod escaped;
pub(crate) mod frames;
mod preview;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod usage;

use std::io::IsTerminal as _;

use crate::args::Common;

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether a person reads what is printed, rather than a program or somebody who asked for bytes.
pub(crate) fn person_reads(common: &Common) -> bool {
    is_terminal() && !common.json
}

/// How many columns the terminal has, where it knows.
pub(crate) fn width() -> Option<usize> {
    let (columns, _) = ratatui::crossterm::terminal::size().ok()?;
    (columns > 0).then_some(usize::from(columns))
}
