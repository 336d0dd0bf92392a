//! `xs copy`: a store into one of other parts.

use std::path::PathBuf;

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use xs::{Create, OpenOptions, Progress};

use crate::failure::Result;
use crate::output;
use crate::terminal::progress;

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The directory of the store
    from: PathBuf,
    /// The directory of the copy: empty, missing, or one where this copy was cut short
    to: PathBuf,
    /// The index of the copy: fjall, redb or sqlite [default: fjall]
    #[arg(long)]
    index: Option<String>,
    /// The content store of the copy: fs, or a URL such as s3://bucket/prefix [default: fs]
    #[arg(long, value_name = "fs|URL")]
    cas: Option<String>,
}

pub(crate) async fn run(args: Copy) -> Result<()> {
    let mut options = OpenOptions::new().create(Create::IfMissing);
    if let Some(index) = args.index {
        options = options.index(index);
    }
    if let Some(cas) = args.cas {
        options = options.cas(cas);
    }
    let bar = progress::bar(1000)?;
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
