//! `xs copy`: a store into one of other parts.

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanCount;
use xs::{Create, OpenOptions, Progress};

use super::serve::INDEXES;
use crate::args::Common;
use crate::failure::Result;
use crate::terminal::{self, progress};
use crate::{output, units};

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The directory of the store
    from: PathBuf,
    /// The directory of the copy: empty, missing, or one where this copy was cut short
    to: PathBuf,
    /// The index of the copy [default: fjall]
    #[arg(long, value_parser = INDEXES)]
    index: Option<String>,
    /// The content store of the copy: fs, or a URL such as s3://bucket/prefix [default: fs]
    #[arg(long, value_name = "fs|URL")]
    cas: Option<String>,
}

pub(crate) async fn run(args: Copy, common: &Common) -> Result<()> {
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
    if !terminal::person_reads(common) {
        let copied = serde_json::json!({"frames": frames, "contents": contents, "content_bytes": content_bytes});
        return output::print_line(&copied.to_string());
    }
    output::print_line(&format!(
        "{} frames and {} contents ({} copied) in {}",
        HumanCount(frames),
        HumanCount(contents),
        units::size(content_bytes),
        args.to.display()
    ))
}

fn words(progress: &Progress) -> String {
    format!(
        "{} contents ({}), {} frames",
        HumanCount(progress.contents),
        units::size(progress.content_bytes),
        HumanCount(progress.frames)
    )
}
