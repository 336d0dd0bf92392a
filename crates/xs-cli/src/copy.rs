//! `xs copy`: a store into one of other parts.

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use xs::{Create, OpenOptions, Progress};

use crate::args::Copy;
use crate::failure::{Failure, Result};
use crate::output;

pub(crate) async fn run(args: Copy) -> Result<()> {
    let mut options = OpenOptions::new().create(Create::IfMissing);
    if let Some(index) = args.index {
        options = options.index(index);
    }
    if let Some(cas) = args.cas {
        options = options.cas(cas);
    }
    // On standard error, and only on a terminal.
    let style = ProgressStyle::with_template("{bar:32} {percent:>3}%  {msg}  {elapsed}");
    let style = style.map_err(|error| Failure::new(format!("drawing progress: {error}")))?;
    let bar = ProgressBar::new(1000).with_style(style);
    let copied = xs::copy(&args.from, &args.to, &options, |progress| {
        bar.set_position(u64::from(progress.permille));
        bar.set_message(words(&progress));
    });
    let copied = copied.await;
    bar.finish_and_clear();
    let Progress { frames, contents, content_bytes, .. } = copied?;
    let copied = serde_json::json!({"frames": frames, "contents": contents, "content_bytes": content_bytes});
    output::print_line(&copied.to_string())
}

fn words(progress: &Progress) -> String {
    format!(
        "{} contents ({}), {} frames",
        HumanCount(progress.contents),
        HumanBytes(progress.content_bytes),
        HumanCount(progress.frames)
    )
}
