//! `xs append`: one frame, with what comes from standard input as its content.

use std::io::IsTerminal as _;

use clap::Args;
use http::Method;
use xs::{Content, FrameId, Meta, Topic, Ttl};
use xs_client::Request;
use xs_wire::{META_HEADER, Query, encode_meta, paths};

use crate::args::{Common, Target};
use crate::failure::{Failure, Result};
use crate::output;
use crate::terminal::progress;

#[derive(Debug, Args)]
pub(crate) struct Append {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The topic of the frame
    topic: Topic,
    /// A JSON value that the frame carries
    #[arg(long, value_name = "JSON")]
    meta: Option<String>,
    /// forever, ephemeral, time:<ms> or last:<n>
    #[arg(long)]
    ttl: Option<Ttl>,
    /// Append only if the topic is empty (none), or if this is its last id
    #[arg(long, value_name = "none|ID", value_parser = expected)]
    expect: Option<String>,
    /// Add the time of the id to the frame
    #[arg(long)]
    with_timestamp: bool,
}

/// What `--expect` says, as the server takes it.
fn expected(text: &str) -> Result<String, xs::Error> {
    match text {
        "none" => Ok(text.to_owned()),
        id => id.parse::<FrameId>().map(|id| id.to_string()),
    }
}

pub(crate) async fn run(args: Append, common: &Common) -> Result<()> {
    let query =
        Query::new().param("ttl", args.ttl).param("expect", args.expect).flag("with-timestamp", args.with_timestamp);
    let mut request = Request::new(Method::POST, format!("{}{}", paths::append(&args.topic), query.finish()));
    if let Some(text) = &args.meta {
        // Refused here, before anything is read or sent.
        if let Some(meta) = Meta::parse(text).map_err(|error| Failure::usage(error.to_string()))? {
            request = request.header(META_HEADER, encode_meta(&meta));
        }
    }
    // A person at a terminal appends without content rather than being waited for.
    if !std::io::stdin().is_terminal() {
        request = request.body(progress::sent(Content::reader(tokio::io::stdin()))?);
    }
    output::frames(request, &args.target, common).await
}
