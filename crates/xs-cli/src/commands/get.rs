//! `xs get`: one frame.

use clap::Args;
use http::Method;
use xs::FrameId;
use xs_client::Request;
use xs_wire::{Query, paths};

use crate::args::{Common, Target};
use crate::failure::Result;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The id of the frame
    id: FrameId,
    /// Add the time of the id
    #[arg(long)]
    with_timestamp: bool,
}

pub(crate) async fn run(args: Get, common: &Common) -> Result<()> {
    let query = Query::new().flag("with-timestamp", args.with_timestamp);
    let request = Request::new(Method::GET, format!("{}{}", paths::frame(args.id), query.finish()));
    output::frames(request, &args.target, common).await
}
