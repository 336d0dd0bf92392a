//! Progress of work that takes seconds: on standard error, and only where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::{Failure, Result};

/// A bar of this length, with words beside it.
pub(crate) fn bar(length: u64) -> Result<ProgressBar> {
    styled(ProgressBar::new(length), "{bar:32} {percent:>3}%  {msg}  {elapsed}")
}

/// Words, for work whose end is not known.
pub(crate) fn words() -> Result<ProgressBar> {
    styled(ProgressBar::no_length(), "{spinner} {msg}  {elapsed}")
}

fn styled(bar: ProgressBar, template: &str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template(template);
    Ok(bar.with_style(style.map_err(|error| Failure::new(format!("drawing progress: {error}")))?))
}
